/* Answers without an end are read line by line, and given up by freeing them. */
#include "engine/observe.h"

#include <string.h>

#include "base/memory.h"
#include "engine/client.h"

#define LINE_LIMIT (4u << 20)

/* An answer of one JSON object a line. */
struct stats_stream {
	struct exchange *exchange;
	struct buffer lines;
};

static struct stats_stream *open_lines(struct engine *engine, char *path, struct error **err)
{
	cleanup_free char *owned = path;
	struct transport_request request = {.method = "GET", .path = owned};
	struct stats_stream *stream = memory_zalloc(sizeof(*stream));

	buffer_init(&stream->lines, LINE_LIMIT);
	stream->exchange = engine_exchange(engine, &request, err);
	if (stream->exchange)
		return stream;
	stats_stream_free(stream);
	return NULL;
}

struct stats_stream *stats_stream_open(struct engine *engine, const char *id, struct error **err)
{
	cleanup_free char *escaped = engine_escape(id);

	return open_lines(engine, engine_path(engine, "/containers/%s/stats?stream=1", escaped),
			  err);
}

void stats_stream_free(struct stats_stream *stream)
{
	if (!stream)
		return;
	exchange_free(stream->exchange);
	buffer_release(&stream->lines);
	free(stream);
}

/* 1 and the next object, 0 at the end, -1. */
static int next_line(struct stats_stream *stream, struct json **object, struct error **err)
{
	char block[16384];

	for (;;) {
		char *end = memchr(stream->lines.data, '\n', stream->lines.size);
		ssize_t count;

		if (end && end > stream->lines.data) {
			*object = json_parse(stream->lines.data, (size_t)(end - stream->lines.data),
					     err);
			buffer_consume(&stream->lines, (size_t)(end - stream->lines.data) + 1);
			return *object ? 1 : -1;
		}
		if (end) {
			buffer_consume(&stream->lines, 1);
			continue;
		}
		count = exchange_read(stream->exchange, block, sizeof(block), err);
		if (count < 0)
			return -1;
		if (count == 0 && !stream->lines.size)
			return 0;
		if (buffer_append(&stream->lines, count ? block : "\n", count ? (size_t)count : 1) <
		    0)
			return error_set(err, ERROR_ENGINE,
					 "a line of the engine's answer is "
					 "larger than %u bytes",
					 LINE_LIMIT);
	}
}

struct json *stats_stream_next(struct stats_stream *stream, struct error **err)
{
	struct json *object = NULL;

	if (next_line(stream, &object, err) == 0)
		error_set(err, ERROR_ENGINE, "the engine sends no more figures");
	return object;
}

struct json *engine_events(struct engine *engine, int64_t since, int64_t until, size_t most,
			   struct error **err)
{
	CLEANUP(cleanup_stats_stream_free) struct stats_stream *stream = NULL;
	CLEANUP(cleanup_json_free) struct json *events = json_new_array();
	struct json **ring = memory_zalloc(most * sizeof(*ring));
	size_t count = 0;
	int more = -1;

	stream = open_lines(engine,
			    engine_path(engine, "/events?since=%lld&until=%lld.999999999",
					(long long)since, (long long)until),
			    err);
	while (stream) {
		struct json *event = NULL;

		more = next_line(stream, &event, err);
		if (more <= 0)
			break;
		json_free(ring[count % most]);
		ring[count++ % most] = event;
	}
	for (size_t i = count > most ? count - most : 0; i < count; i++)
		json_add(events, ring[i % most]);
	free(ring);
	return more == 0 ? STEAL_POINTER(events) : NULL;
}

struct json *engine_disk_use(struct engine *engine, struct error **err)
{
	return engine_get(engine, engine_path(engine, "/system/df"), err);
}
