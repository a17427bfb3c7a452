/*
 * Reading chunks out of packs. A pack is untrusted until its footer has the
 * hash that the manifest says, a frame until its stored bytes have theirs, a
 * chunk until its raw bytes have its id. May be used by several threads.
 */
#ifndef SIDESNAP_STORE_READER_H
#define SIDESNAP_STORE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "store/hash.h"
#include "store/writer.h"

struct store;

/*
 * store_open(directory_fd, packs, count, cache_size, err):
 * Open the packs below ${directory_fd}/packs (never through a symlink), check
 * size and footer of each, map their tables. At most ${cache_size} bytes of
 * decompressed frames are kept (0: 32 MiB). Failure: ERROR_DAMAGED, ERROR_NOT_FOUND
 * (a pack is missing), ERROR_UNSUPPORTED (newer pack version).
 */
struct store *store_open(int directory_fd, const struct pack_info *packs, size_t count,
			 size_t cache_size, struct error **err);

/*
 * store_open_files(fds, packs, count, cache_size, err):
 * The same of ${count} files that are open, one a pack; they are duplicated.
 */
struct store *store_open_files(const int *fds, const struct pack_info *packs, size_t count,
			       size_t cache_size, struct error **err);

/* store_free(store): NULL is ignored. No chunk may be held any more. */
void store_free(struct store *store);
CLEANUP_DEFINE(struct store, store_free)

/* store_has(store, id): Whether a chunk is in one of the packs. */
bool store_has(const struct store *store, const struct hash *id);

/* store_chunk_size(store, id): The raw bytes of a chunk as its pack says; 0: it is in none. */
uint32_t store_chunk_size(const struct store *store, const struct hash *id);

/* A chunk in memory, pinned in the cache until released. */
struct chunk {
	const uint8_t *data;
	uint32_t size;
	void *frame; /* private */
};

/*
 * store_get(store, ref, chunk, err):
 * The bytes of a chunk, checked. ERROR_DAMAGED where it is missing, has
 * another size, or does not have its hash.
 */
int store_get(struct store *store, const struct chunk_ref *ref, struct chunk *chunk,
	      struct error **err);

/* store_put_back(store, chunk): Release what store_get() gave. */
void store_put_back(struct store *store, struct chunk *chunk);

/* What store_verify() found, for a caller's progress and summary. */
struct store_verify_totals {
	uint64_t packs, frames, chunks, raw_bytes, stored_bytes;
};

/*
 * store_verify(store, workers, progress, context, totals, err):
 * Check every byte of every pack: header, gaps (none may be), frames, chunks,
 * footer. ${progress} (may be NULL) hears of stored bytes checked so far, from
 * several threads, never at once. The
 * first damage found is reported as ERROR_DAMAGED with the pack's name and offset.
 */
int store_verify(struct store *store, unsigned workers,
		 void (*progress)(void *context, uint64_t stored_bytes), void *context,
		 struct store_verify_totals *totals, struct error **err);

#endif
