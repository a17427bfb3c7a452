/* Bytes of a sequence of chunks, one chunk held at a time. */
#include "tree/stream.h"

#include <string.h>

#include "store/format.h"
#include "tree/format.h"

void stream_init(struct stream *stream, struct store *store, const struct chunk_ref *refs,
		 size_t count)
{
	memset(stream, 0, sizeof(*stream));
	stream->store = store;
	stream->refs = refs;
	stream->count = count;
}

void stream_init_list(struct stream *stream, struct store *store, struct stream *list)
{
	memset(stream, 0, sizeof(*stream));
	stream->store = store;
	stream->list = list;
}

void stream_release(struct stream *stream)
{
	if (stream->held)
		store_put_back(stream->store, &stream->chunk);
	stream->held = false;
}

/* 1 and the next reference, 0 at the end, -1. */
static int stream_next_ref(struct stream *stream, struct chunk_ref *ref, struct error **err)
{
	uint8_t bytes[CATALOG_LIST_ENTRY_SIZE];
	ssize_t size;

	if (!stream->list) {
		if (stream->next == stream->count)
			return 0;
		*ref = stream->refs[stream->next++];
	} else {
		size = stream_read(stream->list, bytes, sizeof(bytes), err);
		if (size <= 0)
			return (int)size;
		if ((size_t)size < sizeof(bytes))
			return error_set(err, ERROR_DAMAGED, "catalog: its list of chunks is cut");
		memcpy(ref->id.bytes, bytes, HASH_SIZE);
		ref->size = format_get_u32(bytes + HASH_SIZE);
	}
	if (!ref->size || ref->size > CHUNK_SIZE_MAX)
		return error_set(err, ERROR_DAMAGED, "catalog: impossible chunk size");
	return 1;
}

/* 1 and the reference behind the current one in stream->ahead, 0 where there is none, -1. */
static int stream_look_ahead(struct stream *stream, struct error **err)
{
	int result = 1;

	if (!stream->has_ahead)
		result = stream_next_ref(stream, &stream->ahead, err);
	stream->has_ahead = result > 0;
	return result;
}

/* 1 when there is a next byte: of stream->ref at stream->position; 0 at the end, -1. */
static int stream_advance(struct stream *stream, struct error **err)
{
	int result;

	if (stream->has_ref && stream->position < stream->ref.size)
		return 1;
	stream_release(stream);
	stream->has_ref = false;
	result = stream_look_ahead(stream, err);
	if (result <= 0)
		return result;
	stream->ref = stream->ahead;
	stream->has_ref = true;
	stream->has_ahead = false;
	stream->position = 0;
	return 1;
}

/* The next bytes, to ${data} unless that is NULL. */
static ssize_t stream_take(struct stream *stream, uint8_t *data, size_t size, struct error **err)
{
	size_t done = 0;

	while (done < size) {
		size_t part;
		int result = stream_advance(stream, err);

		if (result < 0)
			return -1;
		if (!result)
			break;
		part = stream->ref.size - stream->position;
		if (part > size - done)
			part = size - done;
		if (data && !stream->held) {
			if (store_get(stream->store, &stream->ref, &stream->chunk, err) < 0)
				return -1;
			stream->held = true;
		}
		if (data)
			memcpy(data + done, stream->chunk.data + stream->position, part);
		stream->position += part;
		done += part;
	}
	return (ssize_t)done;
}

ssize_t stream_read(struct stream *stream, void *data, size_t size, struct error **err)
{
	return stream_take(stream, data, size, err);
}

ssize_t stream_skip(struct stream *stream, size_t size, struct error **err)
{
	return stream_take(stream, NULL, size, err);
}

static bool is_same_ref(const struct chunk_ref *a, const struct chunk_ref *b)
{
	return a->size == b->size && hash_equal(&a->id, &b->id);
}

int stream_same_ahead(struct stream *a, struct stream *b, size_t *size, struct error **err)
{
	int in_a = stream_advance(a, err), in_b = in_a < 0 ? -1 : stream_advance(b, err);

	*size = 0;
	if (in_a < 0 || in_b < 0)
		return -1;
	if (!in_a || !in_b || a->position != b->position || !is_same_ref(&a->ref, &b->ref))
		return 0;
	*size = a->ref.size - a->position;
	in_a = stream_look_ahead(a, err);
	in_b = in_a < 0 ? -1 : stream_look_ahead(b, err);
	if (in_a < 0 || in_b < 0)
		return -1;
	if (in_a && in_b && is_same_ref(&a->ahead, &b->ahead))
		*size += a->ahead.size;
	return 0;
}
