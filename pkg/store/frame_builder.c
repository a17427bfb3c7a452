/*
 * Compression, the most expensive step. A batch of nothing but new chunks is
 * compressed where it lies; only mixed ones are copied together first.
 */
#include "store/frame_builder.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

_Static_assert(FRAME_RAW_MIN + CHUNK_SIZE_MAX <= BATCH_SIZE && BATCH_SIZE <= FRAME_RAW_MAX,
	       "frame sizes");
_Static_assert(BATCH_CHUNKS_MAX <= FRAME_CHUNKS_FULL, "a batch fits into a frame");

/* A frame that shrinks by less than this share is stored raw: cheaper to read back. */
#define GAIN_SHIFT 6

int frame_builder_init(struct frame_builder *builder, struct pack_writer *packs,
		       enum frame_kind kind, int level, struct error **err)
{
	size_t result;

	memset(builder, 0, offsetof(struct frame_builder, chunks));
	builder->packs = packs;
	builder->kind = kind;
	builder->full = kind == FRAME_SCATTERED ? FRAME_RAW_SCATTERED : FRAME_RAW_MIN;
	builder->compressor = ZSTD_createCCtx();
	if (!builder->compressor)
		return error_set(err, ERROR_FAILED, "no memory for compression");
	result = ZSTD_CCtx_setParameter(builder->compressor, ZSTD_c_compressionLevel,
					level ? level : 1);
	if (ZSTD_isError(result))
		return error_set(err, ERROR_USAGE, "compression level %d: %s", level,
				 ZSTD_getErrorName(result));
	return 0;
}

static int need_buffers(struct frame_builder *builder, struct error **err)
{
	if (builder->raw)
		return 0;
	builder->raw = malloc(builder->full + CHUNK_SIZE_MAX);
	builder->stored =
		malloc(builder->full < FRAME_RAW_MIN ? builder->full + CHUNK_SIZE_MAX : BATCH_SIZE);
	if (!builder->raw || !builder->stored)
		return error_set(err, ERROR_FAILED, "no memory for compression");
	return 0;
}

void frame_builder_release(struct frame_builder *builder)
{
	free(builder->raw);
	free(builder->stored);
	ZSTD_freeCCtx(builder->compressor);
}

/* Compress ${size} bytes and add them with the chunks entered in the builder. */
static int write_frame(struct frame_builder *builder, const uint8_t *raw, size_t size,
		       struct error **err)
{
	struct pack_frame frame = {
		.stored = raw,
		.record = {.raw_size = (uint32_t)size, .stored_size = (uint32_t)size},
		.chunks = builder->chunks,
		.chunk_sizes = builder->chunk_sizes,
		.chunk_count = builder->chunk_count,
		.kind = builder->kind,
	};
	size_t result, enough = size - (size >> GAIN_SHIFT) - 1;

	/* Too little room is how the library tells us that it does not shrink. */
	result = ZSTD_compress2(builder->compressor, builder->stored, enough, raw, size);
	if (!ZSTD_isError(result)) {
		frame.stored = builder->stored;
		frame.record.stored_size = (uint32_t)result;
		frame.record.flags = FRAME_FLAG_ZSTD;
	}
	hash_data(&frame.record.hash, frame.stored, frame.record.stored_size);
	builder->chunk_count = 0;
	return pack_writer_add(builder->packs, &frame, err);
}

int frame_builder_flush(struct frame_builder *builder, struct error **err)
{
	size_t size = builder->raw_size;

	if (!size)
		return 0;
	builder->raw_size = 0;
	return write_frame(builder, builder->raw, size, err);
}

static void enter_chunk(struct frame_builder *builder, uint32_t index, uint32_t size)
{
	builder->chunks[builder->chunk_count] = index;
	builder->chunk_sizes[builder->chunk_count++] = size;
}

/* A batch of nothing but new chunks of one kind. */
static bool is_whole_frame(const struct frame_builder *builder, const struct batch *batch,
			   const uint32_t *claims)
{
	if (builder->raw_size || batch->complete < FRAME_RAW_MIN || builder->full < FRAME_RAW_MIN)
		return false;
	for (uint32_t i = 0; i < batch->chunk_count; i++)
		if (claims[i] == KNOWN_ALREADY)
			return false;
	for (uint32_t i = 0; i < batch->stream_count; i++)
		if (batch->streams[i].kind != builder->kind)
			return false;
	return true;
}

static int gather(struct frame_builder *builder, const uint8_t *data, uint32_t size, uint32_t index,
		  struct error **err)
{
	if (need_buffers(builder, err) < 0)
		return -1;
	memcpy(builder->raw + builder->raw_size, data, size);
	builder->raw_size += size;
	enter_chunk(builder, index, size);
	if (builder->raw_size >= builder->full || builder->chunk_count == FRAME_CHUNKS_FULL)
		return frame_builder_flush(builder, err);
	return 0;
}

int frame_builder_add(struct frame_builder *builder, const struct batch *batch,
		      const uint32_t *claims, struct error **err)
{
	const uint8_t *data = batch->data;
	uint32_t chunk = 0;

	if (is_whole_frame(builder, batch, claims)) {
		if (need_buffers(builder, err) < 0)
			return -1;
		for (uint32_t i = 0; i < batch->chunk_count; i++)
			enter_chunk(builder, claims[i], batch->refs[i].size);
		return write_frame(builder, data, batch->complete, err);
	}
	for (uint32_t i = 0; i < batch->stream_count; i++) {
		const struct batch_stream *stream = &batch->streams[i];

		for (; chunk < stream->first + stream->count; data += batch->refs[chunk++].size) {
			if (claims[chunk] != KNOWN_ALREADY && stream->kind == builder->kind &&
			    gather(builder, data, batch->refs[chunk].size, claims[chunk], err) < 0)
				return -1;
		}
	}
	return 0;
}
