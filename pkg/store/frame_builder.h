/*
 * A worker's frame under construction: new chunks are gathered until a
 * megabyte is there, compressed once, and added to the pack.
 */
#ifndef SIDESNAP_STORE_FRAME_BUILDER_H
#define SIDESNAP_STORE_FRAME_BUILDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/pack_writer.h"
#include "store/queue.h"

#define FRAME_CHUNKS_FULL 8192

struct frame_builder {
	struct pack_writer *packs;
	struct ZSTD_CCtx_s *compressor;
	uint8_t *raw;	 /* gathered: FRAME_RAW_MIN + CHUNK_SIZE_MAX bytes */
	uint8_t *stored; /* BATCH_SIZE bytes */
	size_t raw_size;
	size_t chunk_count;
	uint32_t chunks[FRAME_CHUNKS_FULL];
	uint32_t chunk_sizes[FRAME_CHUNKS_FULL];
};

/* frame_builder_init(builder, packs, level, err): Allocate all that it will ever need. */
int frame_builder_init(struct frame_builder *builder, struct pack_writer *packs, int level,
		       struct error **err);

/* frame_builder_release(builder): Free it; what was gathered is dropped. */
void frame_builder_release(struct frame_builder *builder);

/*
 * frame_builder_add(builder, batch, claims, err):
 * Store those chunks of the batch whose claims[] is an index of the known table.
 */
int frame_builder_add(struct frame_builder *builder, const struct batch *batch,
		      const uint32_t *claims, struct error **err);

/* frame_builder_flush(builder, err): Write what is gathered, however little. */
int frame_builder_flush(struct frame_builder *builder, struct error **err);

#endif
