/*
 * A worker's frame under construction: new chunks are gathered until a
 * megabyte is there, compressed once, and added to the pack.
 */
#ifndef SIDESNAP_STORE_FRAME_BUILDER_H
#define SIDESNAP_STORE_FRAME_BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/pack_writer.h"
#include "store/queue.h"

#define FRAME_CHUNKS_FULL 8192

struct frame_builder {
	struct pack_writer *packs;
	enum frame_kind kind;
	struct ZSTD_CCtx_s *compressor;
	size_t full;	 /* raw bytes that make a frame */
	uint8_t *raw;	 /* gathered: full + CHUNK_SIZE_MAX bytes; NULL: not needed yet */
	uint8_t *stored; /* for a frame, or a whole batch */
	size_t raw_size;
	size_t chunk_count;
	uint32_t chunks[FRAME_CHUNKS_FULL];
	uint32_t chunk_sizes[FRAME_CHUNKS_FULL];
};

/*
 * frame_builder_init(builder, packs, kind, level, err):
 * For frames of FRAME_RAW_MIN raw bytes, FRAME_RAW_SCATTERED for those. Buffers come with the
 * first chunk.
 */
int frame_builder_init(struct frame_builder *builder, struct pack_writer *packs,
		       enum frame_kind kind, int level, struct error **err);

/* frame_builder_release(builder): Free it; what was gathered is dropped. */
void frame_builder_release(struct frame_builder *builder);

/*
 * frame_builder_add(builder, batch, claims, err):
 * Store those chunks of the batch whose claims[] is an index of the known table, of
 * streams of the builder's kind.
 */
int frame_builder_add(struct frame_builder *builder, const struct batch *batch,
		      const uint32_t *claims, struct error **err);

/* frame_builder_flush(builder, err): Write what is gathered, however little. */
int frame_builder_flush(struct frame_builder *builder, struct error **err);

#endif
