/*
 * What containers have written: the end of it at once, or all of it as it comes, several side by side
 * on one thread. Of a container with a terminal it comes as it is, else in frames, one a message.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/client.h"
#include "engine/frames.h"

/* ---- the last lines ---- */

struct log_reader {
	struct frames frames;
	struct buffer *output;
	bool raw; /* of a container with a terminal */
	bool started;
};

static void keep(struct buffer *buffer, const char *data, size_t size)
{
	size_t room = buffer->limit - buffer->size;

	buffer_append(buffer, data, size < room ? size : room);
}

static int take_log(struct log_reader *reader, const char *data, size_t size, struct error **err)
{
	struct frames *frames = &reader->frames;

	while (size && !reader->raw) {
		size_t take = size;

		if (frames->left) {
			take = size < frames->left ? size : frames->left;
			keep(reader->output, data, take);
			frames->left -= (uint32_t)take;
		} else {
			cleanup_error struct error *problem = NULL;
			size_t had = frames->header_have;
			ssize_t eaten = frames_header(frames, data, size, &problem);

			if (eaten < 0 && !reader->started) {
				/* What had been taken for a header is text as well. */
				keep(reader->output, (const char *)frames->header, had);
				reader->raw = true;
				break;
			}
			if (eaten < 0) {
				if (err)
					*err = STEAL_POINTER(problem);
				return -1;
			}
			take = (size_t)eaten;
			reader->started = reader->started || !frames->header_have;
		}
		data += take;
		size -= take;
	}
	keep(reader->output, data, size);
	return 0;
}

int container_logs(struct engine *engine, const char *id, unsigned tail, struct buffer *output,
		   struct error **err)
{
	cleanup_free char *rest = memory_printf("/logs?stdout=1&stderr=1&tail=%u", tail);
	cleanup_free char *path = container_path(engine, id, rest);
	struct transport_request request = {.method = "GET", .path = path};
	CLEANUP(cleanup_exchange_free)
	struct exchange *exchange = engine_exchange(engine, &request, err);
	struct log_reader reader = {.output = output};
	char block[16384];
	ssize_t count;

	if (!exchange)
		return -1;
	while ((count = exchange_read(exchange, block, sizeof(block), err)) > 0)
		if (take_log(&reader, block, (size_t)count, err) < 0)
			return -1;
	return count < 0 ? -1 : 0;
}

/* ---- as it comes ---- */

struct log_stream {
	struct exchange *exchange;
	struct frames frames;
	bool raw;
	bool begins; /* the next byte of the frame is its first */
	size_t start, end;
	char block[16384]; /* of the exchange, what is between start and end is not looked at yet */
};

static char *stream_path(struct engine *engine, const char *id, const struct log_options *options)
{
	struct buffer rest;
	cleanup_free char *text = NULL;

	buffer_init(&rest, 4096);
	buffer_printf(&rest, "/logs?stdout=1&stderr=1&timestamps=1&follow=%d", options->follow);
	if (options->since)
		buffer_printf(&rest, "&since=%lld.%09ld", (long long)options->since->tv_sec,
			      options->since->tv_nsec);
	if (options->until)
		buffer_printf(&rest, "&until=%lld.%09ld", (long long)options->until->tv_sec,
			      options->until->tv_nsec);
	if (options->tail == LOG_TAIL_ALL)
		buffer_append_string(&rest, "&tail=all");
	else
		buffer_printf(&rest, "&tail=%llu", (unsigned long long)options->tail);
	text = buffer_steal(&rest);
	return container_path(engine, id, text);
}

struct log_stream *log_stream_open(struct engine *engine, const char *id,
				   const struct log_options *options, struct error **err)
{
	CLEANUP(cleanup_log_stream_free) struct log_stream *stream = memory_zalloc(sizeof(*stream));
	cleanup_free char *path = stream_path(engine, id, options);
	struct transport_request request = {.method = "GET", .path = path};

	frames_init(&stream->frames);
	stream->raw = options->raw;
	stream->begins = true;
	stream->exchange = engine_exchange(engine, &request, err);
	return stream->exchange ? STEAL_POINTER(stream) : NULL;
}

void log_stream_free(struct log_stream *stream)
{
	if (!stream)
		return;
	exchange_free(stream->exchange);
	free(stream);
}

/* Something to look at: 1, or 0 nothing yet, 2 the end, -1. */
static int fill_block(struct log_stream *stream, struct error **err)
{
	bool ended;
	ssize_t count;

	if (stream->start < stream->end)
		return 1;
	stream->start = stream->end = 0;
	count = exchange_read_now(stream->exchange, stream->block, sizeof(stream->block), &ended,
				  err);
	if (count < 0)
		return -1;
	stream->end = (size_t)count;
	return count > 0 ? 1 : ended ? 2 : 0;
}

int log_stream_next(struct log_stream *stream, struct log_piece *piece, struct error **err)
{
	struct frames *frames = &stream->frames;
	int result;

	while ((result = fill_block(stream, err)) == 1) {
		size_t have = stream->end - stream->start;
		ssize_t eaten;

		if (stream->raw || frames->left) {
			size_t take = stream->raw || have < frames->left ? have : frames->left;

			*piece = (struct log_piece){
				.stream = stream->raw ? FRAME_STDOUT : frames->stream,
				.begins = !stream->raw && stream->begins,
				.data = stream->block + stream->start,
				.size = take,
			};
			stream->begins = false;
			stream->start += take;
			if (!stream->raw)
				frames->left -= (uint32_t)take;
			return 1;
		}
		eaten = frames_header(frames, stream->block + stream->start, have, err);
		if (eaten < 0)
			return -1;
		stream->start += (size_t)eaten;
		stream->begins = true;
	}
	return result;
}

int engine_wait(struct engine *engine, int timeout_ms, struct error **err)
{
	return transport_wait(engine->transport, timeout_ms, err);
}
