/*
 * One pack opened for reading: its tables in memory, checked; frames fetched
 * and decompressed on request.
 *
 * The tables are read, not mapped: what was checked against the manifest's hash
 * can then not change under us, and a file that gets shorter gives an error,
 * not a SIGBUS. Hashing them touches every page anyway, and 44 bytes a chunk are
 * what a mapping would keep resident too.
 */
#ifndef SIDESNAP_STORE_PACK_READER_H
#define SIDESNAP_STORE_PACK_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/format.h"
#include "store/writer.h"

struct pack_reader {
	int fd;
	char name[80];
	uint64_t size;
	uint32_t frame_count, chunk_count;
	uint8_t *tables;       /* both, as they are in the file */
	const uint8_t *chunks; /* the chunk table in it */
	struct frame **frames; /* the cache's, by number; NULL: not in memory */
};

/*
 * pack_reader_open(pack, directory_fd, info, err):
 * Open packs/NAME and check header and footer against ${info}. On failure
 * nothing is held.
 */
int pack_reader_open(struct pack_reader *pack, int directory_fd, const struct pack_info *info,
		     struct error **err);

/* pack_reader_take(pack, fd, info, err): The same of a file that is open; ${fd} is the pack's from here on. */
int pack_reader_take(struct pack_reader *pack, int fd, const struct pack_info *info,
		     struct error **err);

/* pack_reader_release(pack): Close and free. */
void pack_reader_release(struct pack_reader *pack);

/* pack_reader_find(pack, id, record, number): Whether the chunk is in it, and as which of its table. */
bool pack_reader_find(const struct pack_reader *pack, const struct hash *id,
		      struct chunk_record *record, uint32_t *number);

/* pack_reader_frame(pack, number, record): Of the frame table; ${number} must be in it. */
void pack_reader_frame(const struct pack_reader *pack, uint32_t number,
		       struct frame_record *record);

/* pack_reader_chunk(pack, number, record): Of the chunk table; ${number} must be in it. */
void pack_reader_chunk(const struct pack_reader *pack, uint32_t number,
		       struct chunk_record *record);

/* What one thread needs to fetch frames; grows to the largest frame met. */
struct frame_loader {
	struct ZSTD_DCtx_s *decompressor;
	uint8_t *stored;
	size_t capacity;
};

/* frame_loader_release(loader): Free its buffers. An all-zero loader is ready for use. */
void frame_loader_release(struct frame_loader *loader);

/*
 * frame_loader_load(loader, pack, number, raw, err):
 * Read a frame, check its hash, decompress to ${raw}, which has room for the
 * record's raw_size.
 */
int frame_loader_load(struct frame_loader *loader, const struct pack_reader *pack, uint32_t number,
		      uint8_t *raw, struct error **err);

#endif
