/*
 * Writing chunks into new packs. One thread feeds bytes as a sequence of
 * streams; worker threads hash, drop what is known, compress into shared frames
 * and write; the references come back to the feeding thread, in order.
 */
#ifndef SIDESNAP_STORE_WRITER_H
#define SIDESNAP_STORE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "store/hash.h"

struct store; /* store/reader.h */

/* One chunk as a catalog names it. */
struct chunk_ref {
	struct hash id; /* of the raw bytes */
	uint32_t size;	/* raw bytes, 1 to CHUNK_SIZE_MAX (store/format.h) */
};

/* A pack as the manifest names it: what must be true before it is read. */
struct pack_info {
	char name[80];	    /* file name below packs/: hex digits and ".pack" only */
	uint64_t size;	    /* of the whole file, bytes */
	uint64_t raw_size;  /* of all chunks in it before compression */
	uint64_t chunks;    /* how many */
	struct hash footer; /* of the index and trailer: everything else hangs on them */
};

enum chunking {
	CHUNKING_CONTENT, /* FastCDC, 16/64/256 KiB */
	CHUNKING_FINE, /* FastCDC, 4/16/64 KiB: for catalogs, where a record in a chunk changes; in packs of their own */
	CHUNKING_FIXED,	    /* aligned blocks of block_size, 512 bytes to CHUNK_SIZE_MAX */
	CHUNKING_SCATTERED, /* the same, in small frames: pieces that are read one at a time */
};

/*
 * Called in the feeding thread, in the order of the streams: ${count} more
 * references of stream ${cookie}; ${last} with the final call of a stream
 * (count may be 0 then). Must not call the writer. A failure (-1, *err set)
 * ends the writer.
 */
typedef int store_sink(void *context, uint64_t cookie, const struct chunk_ref *refs, size_t count,
		       bool last, struct error **err);

/*
 * Called by a worker before ${bytes} are written to a pack; -1 and *err refuse,
 * which fails the writer (a reserve of free space, a cancellation).
 */
typedef int store_permit(void *context, uint64_t bytes, struct error **err);

struct store_writer_options {
	int directory_fd;	   /* of the store; packs/ is made in it. Borrowed. */
	const struct store *known; /* chunks that need no copy; NULL: none. Borrowed. */
	int compression_level;	   /* zstd; 0 means the default, 1 */
	unsigned workers;	   /* threads; 0 means one a core */
	uint64_t pack_size_max;	   /* bytes; 0 means the default, 512 MiB */
	store_sink *sink;
	void *sink_context;
	store_permit *permit; /* NULL: everything is allowed */
	void *permit_context; /* called from several threads, never at once */
};

struct store_writer;

struct store_writer_totals {
	uint64_t raw_bytes;    /* fed */
	uint64_t new_bytes;    /* of chunks that were not known */
	uint64_t stored_bytes; /* of all new pack files */
	uint64_t chunks;       /* fed */
	uint64_t new_chunks;
};

/* store_writer_open(options, err): NULL on failure. */
struct store_writer *store_writer_open(const struct store_writer_options *options,
				       struct error **err);

/* store_writer_begin(writer, cookie, chunking, block_size, err): Start a stream. */
int store_writer_begin(struct store_writer *writer, uint64_t cookie, enum chunking chunking,
		       uint32_t block_size, struct error **err);

/*
 * store_writer_space(writer, size, err):
 * Where the next bytes of the stream go: at least 64 KiB, usually about 1 MiB;
 * their number in *size. May wait for a free buffer (memory is bounded) and call
 * the sink. NULL on failure.
 */
uint8_t *store_writer_space(struct store_writer *writer, size_t *size, struct error **err);

/* store_writer_commit(writer, size, err): ${size} bytes were put there. */
int store_writer_commit(struct store_writer *writer, size_t size, struct error **err);

/* store_writer_end(writer, err): The stream is complete; its last chunk is cut. */
int store_writer_end(struct store_writer *writer, struct error **err);

/* store_writer_put(writer, cookie, chunking, block, data, size, err): A whole stream at once. */
int store_writer_put(struct store_writer *writer, uint64_t cookie, enum chunking chunking,
		     uint32_t block_size, const void *data, size_t size, struct error **err);

/* store_writer_flush(writer, err): All ended streams have been given to the sink. */
int store_writer_flush(struct store_writer *writer, struct error **err);

/*
 * store_writer_renew(writer, err):
 * Flush, end the workers and start others from the calling thread, whose priorities
 * they have. For a process that may not raise those of a thread again.
 */
int store_writer_renew(struct store_writer *writer, struct error **err);

/*
 * store_writer_finish(writer, packs, count, err):
 * Flush, write the footers, fsync files and directory. The packs made (possibly
 * none) in *packs, to be freed. The writer can only be freed after this.
 */
int store_writer_finish(struct store_writer *writer, struct pack_info **packs, size_t *count,
			struct error **err);

/* store_writer_totals(writer, totals): May be asked at any time, from any thread. */
void store_writer_totals(struct store_writer *writer, struct store_writer_totals *totals);

/* store_writer_free(writer): Stops the workers; packs not finished are unlinked. NULL ok. */
void store_writer_free(struct store_writer *writer);
CLEANUP_DEFINE(struct store_writer, store_writer_free)

#endif
