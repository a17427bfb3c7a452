/*
 * The bytes of a pack (FORMAT.md tells them in words) and the limits that keep
 * a hostile one from making us allocate.
 */
#ifndef SIDESNAP_STORE_FORMAT_H
#define SIDESNAP_STORE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "store/hash.h"

#define CHUNK_SIZE_MIN (16U << 10)     /* of content-defined cuts; a stream's last may be less */
#define CHUNK_SIZE_NORMAL (64U << 10)  /* from here on cuts are made more easily */
#define CHUNK_SIZE_MAX (256U << 10)    /* of any chunk */
#define CHUNK_BLOCK_SIZE_MIN (1U << 9) /* of fixed blocks */

#define FRAME_RAW_MIN (1U << 20) /* what the writer gathers before it closes a frame */
#define FRAME_RAW_MAX (4U << 20) /* what a reader accepts */
/* Of pieces from all over a file: who reads a hundred packs in turn has a frame of each in memory. */
#define FRAME_RAW_SCATTERED (128U << 10)

#define CHUNK_FINE_SHIFT 2 /* what fine cuts are smaller by: 4/16/64 KiB */

#define PACK_VERSION 1
#define PACK_SIZE_DEFAULT (512ULL << 20)
#define PACK_SIZE_MAX (4ULL << 30)
#define PACK_FRAMES_MAX (1U << 16)
#define PACK_CHUNKS_MAX (1U << 20)
#define PACK_SUFFIX ".pack"
#define PACK_DIRECTORY "packs"
/*
 * What names of packs begin with: in the archive of a layer, which is sorted, those of catalogs are
 * first, so that they can be had without the data behind them.
 */
#define PACK_PREFIX_CATALOG 'c'
#define PACK_PREFIX_DATA 'd'

#define PACK_HEADER_SIZE 16
#define PACK_FRAME_SIZE 52
#define PACK_CHUNK_SIZE 44
#define PACK_TRAILER_SIZE 40
#define PACK_MAGIC_SIZE 8
#define PACK_HEADER_MAGIC "\x89SSPACK\n"
#define PACK_TRAILER_MAGIC "\x89SSPEND\n"

/* Of a frame. Any other bit is from a newer version. */
#define FRAME_FLAG_ZSTD 1U

/* Which chunks share frames. */
enum frame_kind {
	FRAME_USUAL,
	FRAME_SCATTERED, /* pieces from all over a file */
	FRAME_CATALOG,	 /* of catalogs and their lists, which have packs of their own */
};
#define FRAME_KINDS 3

/* One record of the frame table. */
struct frame_record {
	uint64_t offset;      /* in the file */
	uint32_t stored_size; /* bytes in the file */
	uint32_t raw_size;    /* bytes after decompression */
	uint32_t flags;
	struct hash hash; /* of the stored bytes */
};

/* One record of the chunk table. */
struct chunk_record {
	struct hash id;
	uint32_t frame;	 /* index into the frame table */
	uint32_t offset; /* in the frame's raw bytes */
	uint32_t size;
};

struct pack_trailer {
	uint64_t footer_offset; /* of the frame table */
	uint32_t frame_count;
	uint32_t chunk_count;
	uint64_t raw_size; /* of all frames */
};

/* Little-endian integers at any address. */
uint32_t format_get_u32(const uint8_t *bytes);
uint64_t format_get_u64(const uint8_t *bytes);
void format_put_u32(uint8_t *bytes, uint32_t value);
void format_put_u64(uint8_t *bytes, uint64_t value);

/* frame_record_get/put(bytes, record): PACK_FRAME_SIZE bytes. */
void frame_record_get(const uint8_t *bytes, struct frame_record *record);
void frame_record_put(uint8_t *bytes, const struct frame_record *record);

/* chunk_record_get/put(bytes, record): PACK_CHUNK_SIZE bytes. */
void chunk_record_get(const uint8_t *bytes, struct chunk_record *record);
void chunk_record_put(uint8_t *bytes, const struct chunk_record *record);

/* pack_header_put(bytes): PACK_HEADER_SIZE bytes. */
void pack_header_put(uint8_t *bytes);

/* pack_trailer_put(bytes, trailer): PACK_TRAILER_SIZE bytes. */
void pack_trailer_put(uint8_t *bytes, const struct pack_trailer *trailer);

/* pack_footer_size(frames, chunks): Bytes of both tables and the trailer. */
uint64_t pack_footer_size(uint64_t frames, uint64_t chunks);

#endif
