/* One container's log, line by line. */
#include "project/log_source.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "snapshot/labels.h"

#define LINE_MAX_SIZE (1U << 20)

void log_source_init(struct log_source *source, const struct json *inspect)
{
	const struct json *config = json_get(inspect, "Config");
	const char *name = json_string_or(inspect, "Name", "");

	*source = (struct log_source){0};
	source->id = memory_strdup(json_string_or(inspect, "Id", ""));
	source->name = memory_strdup(name + (*name == '/'));
	source->project = memory_strdup(json_string(json_get(config, "Labels"), COMPOSE_PROJECT));
	source->service = memory_strdup(json_string(json_get(config, "Labels"), COMPOSE_SERVICE));
	source->raw = json_bool(config, "Tty");
	for (size_t i = 0; i < 3; i++)
		buffer_init(&source->parts[i], LINE_MAX_SIZE);
	buffer_init(&source->head, LINE_MAX_SIZE);
	buffer_init(&source->waiting, LINE_MAX_SIZE);
}

void log_source_release(struct log_source *source)
{
	log_stream_free(source->stream);
	for (size_t i = 0; i < 3; i++)
		buffer_release(&source->parts[i]);
	buffer_release(&source->head);
	buffer_release(&source->waiting);
	free(source->id);
	free(source->name);
	free(source->project);
	free(source->service);
	*source = (struct log_source){0};
}

int log_source_open(struct log_source *source, struct engine *engine,
		    const struct log_options *options, struct error **err)
{
	struct log_options more = *options;
	struct timespec behind;

	log_stream_free(source->stream);
	more.raw = source->raw;
	if (*source->time && clock_parse(source->time, &behind)) {
		behind.tv_nsec++;
		behind.tv_sec += behind.tv_nsec / 1000000000L;
		behind.tv_nsec %= 1000000000L;
		more.since = &behind;
		more.tail = LOG_TAIL_ALL;
	}
	source->empty_since_ms = clock_monotonic_ms();
	source->stream = log_stream_open(engine, source->id, &more, err);
	return source->stream ? 0
			      : error_prefix(err, "cannot read the log of \"%s\"", source->name);
}

/* A line is whole: its time is what stands before the first blank. */
static void make_head(struct log_source *source, int stream)
{
	struct buffer *line = &source->parts[stream];
	const char *blank;
	struct timespec time;
	char stamp[LOG_TIME_SIZE] = "";

	while (line->size && strchr("\r\n", line->data[line->size - 1]))
		line->data[--line->size] = '\0';
	for (size_t i = 0; i < line->size; i++)
		if (!line->data[i])
			line->data[i] = ' ';
	blank = strchr(line->data, ' ');
	if (!blank)
		blank = line->data + line->size;
	if ((size_t)(blank - line->data) < sizeof(stamp))
		memcpy(stamp, line->data, (size_t)(blank - line->data));
	buffer_clear(&source->head);
	if (clock_parse(stamp, &time)) {
		memcpy(source->time, stamp, sizeof(stamp));
		blank += *blank == ' ';
		buffer_append(&source->head, blank, line->size - (size_t)(blank - line->data));
	} else {
		buffer_append(&source->head, line->data, line->size);
	}
	source->head_stream = stream;
	source->has_head = true;
	buffer_clear(line);
}

/* Take of a piece up to a line end; how much of it. */
static size_t take(struct log_source *source, int stream, bool begins, const char *data,
		   size_t size)
{
	struct buffer *line = &source->parts[stream];
	const char *end = memchr(data, '\n', size), *blank;
	size_t count = end ? (size_t)(end - data) + 1 : size, skipped = 0;

	/* The engine cuts long lines into messages, and each has a time. */
	if (begins)
		source->skips_time[stream] = line->size > 0;
	if (source->skips_time[stream]) {
		blank = memchr(data, ' ', count);
		skipped = blank ? (size_t)(blank - data) + 1 : count;
		source->skips_time[stream] = !blank;
	}
	if (buffer_append(line, data + skipped, count - skipped) < 0) {
		/* Longer than any line of use: the rest is another one. */
		make_head(source, stream);
		return skipped;
	}
	if (end)
		make_head(source, stream);
	return count;
}

/* What a piece holds behind the first line waits. */
static void take_piece(struct log_source *source, const struct log_piece *piece)
{
	int stream = piece->stream == 2 ? 2 : 1;
	size_t used = take(source, stream, piece->begins, piece->data, piece->size);

	buffer_append(&source->waiting, piece->data + used, piece->size - used);
	source->waiting_stream = stream;
}

static bool take_waiting(struct log_source *source)
{
	size_t used;

	if (!source->waiting.size)
		return false;
	used = take(source, source->waiting_stream, false, source->waiting.data,
		    source->waiting.size);
	buffer_consume(&source->waiting, used);
	return true;
}

/* The last line may have no end. */
static bool take_rest(struct log_source *source)
{
	for (int i = 1; i < 3; i++)
		if (source->parts[i].size) {
			make_head(source, i);
			return true;
		}
	return false;
}

int log_source_fill(struct log_source *source, struct error **err)
{
	struct log_piece piece;
	int result;

	while (!source->has_head) {
		if (take_waiting(source))
			continue;
		if (!source->stream)
			return take_rest(source) ? 1 : 2;
		result = log_stream_next(source->stream, &piece, err);
		if (result < 0)
			return error_prefix(err, "the log of \"%s\"", source->name);
		if (result == 0)
			return 0;
		if (result == 1)
			take_piece(source, &piece);
		else
			log_stream_free(STEAL_POINTER(source->stream));
	}
	return 1;
}

const char *log_source_text(const struct log_source *source)
{
	return source->head.data;
}

void log_source_drop(struct log_source *source)
{
	source->has_head = false;
	source->empty_since_ms = clock_monotonic_ms();
}
