/*
 * A merge join. The order that the streams are said to have is checked: a server that sorts
 * otherwise than we compare would make every row look added and removed.
 */
#include "snapshot/compare/data_merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct stream {
	struct record_reader *reader; /* NULL: at its end */
	const struct record *record;
	size_t keys;
	/* The key before, in one piece. */
	char *last;
	size_t *sizes; /* of its fields; SIZE_MAX: no value */
	size_t capacity;
	bool has_last;
};

/* The key before against this one, as record_key_compare(). */
static int compare_last(const struct stream *stream)
{
	const char *data = stream->last;

	for (size_t i = 0; i < stream->keys; i++) {
		const struct record_field *field = &stream->record->fields[i];
		size_t size = stream->sizes[i];
		int order;

		if (size == SIZE_MAX || field->is_null) {
			if ((size == SIZE_MAX) != field->is_null)
				return size == SIZE_MAX ? -1 : 1;
			continue;
		}
		order = memcmp(data, field->data, size < field->kept ? size : field->kept);
		if (order)
			return order;
		if (size != field->kept)
			return size < field->kept ? -1 : 1;
		data += size;
	}
	return 0;
}

static void keep_key(struct stream *stream)
{
	size_t size = 0;

	for (size_t i = 0; i < stream->keys; i++)
		size += stream->record->fields[i].kept;
	if (size > stream->capacity) {
		stream->capacity = 2 * size;
		stream->last = memory_array(stream->last, stream->capacity, 1);
	}
	size = 0;
	for (size_t i = 0; i < stream->keys; i++) {
		const struct record_field *field = &stream->record->fields[i];

		stream->sizes[i] = field->is_null ? SIZE_MAX : field->kept;
		if (field->kept)
			memcpy(stream->last + size, field->data, field->kept);
		size += field->kept;
	}
	stream->has_last = true;
}

/* To the next record; none where reader is NULL then. */
static int advance(struct stream *stream, struct error **err)
{
	int result;

	if (!stream->reader)
		return 0;
	result = record_next(stream->reader, &stream->record, err);
	if (result <= 0) {
		stream->reader = NULL;
		return result;
	}
	if (stream->record->count < stream->keys)
		return error_set(err, ERROR_FAILED, "a record has %zu fields instead of %zu",
				 stream->record->count, stream->keys);
	if (stream->has_last && compare_last(stream) > 0)
		return error_set(err, ERROR_FAILED,
				 "the records did not come in the order of their keys' bytes");
	keep_key(stream);
	return 0;
}

static int merge(struct stream *from, struct stream *to, size_t keys, data_pair *pair,
		 void *context, struct error **err)
{
	if (advance(from, err) < 0 || advance(to, err) < 0)
		return -1;
	while (from->reader || to->reader) {
		int order = 0;

		if (!from->reader || !to->reader)
			order = from->reader ? -1 : 1;
		else
			order = record_key_compare(from->record, to->record, keys);
		if (pair(context, order <= 0 ? from->record : NULL, order >= 0 ? to->record : NULL,
			 err) < 0)
			return -1;
		if ((order <= 0 && advance(from, err) < 0) || (order >= 0 && advance(to, err) < 0))
			return -1;
	}
	return 0;
}

int data_merge(struct record_reader *from, struct record_reader *to, size_t keys, data_pair *pair,
	       void *context, struct error **err)
{
	struct stream streams[2] = {{.reader = from, .keys = keys}, {.reader = to, .keys = keys}};
	int result;

	for (size_t i = 0; i < 2; i++) {
		streams[i].sizes = memory_array(NULL, keys + 1, sizeof(size_t));
		/* Also where all keys are empty, memcmp() is not to be given NULL. */
		streams[i].capacity = 64;
		streams[i].last = memory_array(NULL, streams[i].capacity, 1);
	}
	result = merge(&streams[0], &streams[1], keys, pair, context, err);
	for (size_t i = 0; i < 2; i++) {
		free(streams[i].last);
		free(streams[i].sizes);
	}
	return result;
}
