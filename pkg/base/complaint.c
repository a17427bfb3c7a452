/* A line is judged by its first 16 KiB: a tool that quotes a whole row behind its message fits all the same. */
#include "base/complaint.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define LINE_LIMIT 16384

static int compile(regex_t *regex, const char *pattern, bool *has, struct error **err)
{
	*has = false;
	if (!pattern)
		return 0;
	if (regcomp(regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return error_set(err, ERROR_USAGE, "\"%s\" is no extended regular expression",
				 pattern);
	*has = true;
	return 0;
}

int complaint_init(struct complaint *complaint, const char *errors, const char *ignored,
		   struct error **err)
{
	memset(complaint, 0, sizeof(*complaint));
	if (compile(&complaint->errors, errors, &complaint->has_errors, err) < 0)
		return -1;
	if (compile(&complaint->ignored, ignored, &complaint->has_ignored, err) < 0) {
		if (complaint->has_errors)
			regfree(&complaint->errors);
		return -1;
	}
	for (size_t i = 0; i < 2; i++)
		buffer_init(&complaint->lines[i], LINE_LIMIT);
	return 0;
}

void complaint_release(struct complaint *complaint)
{
	if (complaint->has_errors)
		regfree(&complaint->errors);
	if (complaint->has_ignored)
		regfree(&complaint->ignored);
	for (size_t i = 0; i < 2; i++)
		buffer_release(&complaint->lines[i]);
	free(complaint->first);
	memset(complaint, 0, sizeof(*complaint));
}

static void judge(struct complaint *complaint, struct buffer *line)
{
	if (line->size && line->data[line->size - 1] == '\r')
		line->data[--line->size] = '\0';
	if (line->size && regexec(&complaint->errors, line->data, 0, NULL, 0) == 0 &&
	    !(complaint->has_ignored && regexec(&complaint->ignored, line->data, 0, NULL, 0) == 0))
		complaint->first = memory_strdup(line->data);
	buffer_clear(line);
}

static void keep(struct buffer *line, const char *data, size_t size)
{
	size_t room = line->limit - line->size, start = line->size;

	buffer_append(line, data, size < room ? size : room);
	for (size_t i = start; i < line->size; i++)
		if (!line->data[i])
			line->data[i] = ' ';
}

void complaint_take(struct complaint *complaint, int stream, const void *data, size_t size)
{
	struct buffer *line = &complaint->lines[stream == 2];
	const char *p = data;

	while (size && complaint->has_errors && !complaint->first) {
		const char *end = memchr(p, '\n', size);
		size_t length = end ? (size_t)(end - p) : size;

		keep(line, p, length);
		if (end)
			judge(complaint, line);
		length += end != NULL;
		p += length;
		size -= length;
	}
}

void complaint_end(struct complaint *complaint)
{
	for (size_t i = 0; i < 2 && complaint->has_errors && !complaint->first; i++)
		judge(complaint, &complaint->lines[i]);
}
