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

/* 1 when bytes are there, 0 at the end, -1. */
static int stream_fill(struct stream *stream, struct error **err)
{
	struct chunk_ref ref;
	int result;

	if (stream->held && stream->position < stream->chunk.size)
		return 1;
	stream_release(stream);
	result = stream_next_ref(stream, &ref, err);
	if (result <= 0)
		return result;
	if (store_get(stream->store, &ref, &stream->chunk, err) < 0)
		return -1;
	stream->held = true;
	stream->position = 0;
	return 1;
}

ssize_t stream_read(struct stream *stream, void *data, size_t size, struct error **err)
{
	size_t done = 0;

	while (done < size) {
		size_t part;
		int result = stream_fill(stream, err);

		if (result < 0)
			return -1;
		if (!result)
			break;
		part = stream->chunk.size - stream->position;
		if (part > size - done)
			part = size - done;
		memcpy((uint8_t *)data + done, stream->chunk.data + stream->position, part);
		stream->position += part;
		done += part;
	}
	return (ssize_t)done;
}
