/*
 * The pack files of one run: frames are appended by all workers at once, a
 * full pack gets its footer and the next one is begun.
 */
#ifndef SIDESNAP_STORE_PACK_WRITER_H
#define SIDESNAP_STORE_PACK_WRITER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/format.h"
#include "store/known.h"
#include "store/writer.h"

/* A compressed frame and the chunks in it (indices into the known table, places set but frame). */
struct pack_frame {
	const uint8_t *stored;
	struct frame_record record; /* all but the offset */
	const uint32_t *chunks;
	const uint32_t *chunk_sizes; /* they follow one another from offset 0 */
	size_t chunk_count;
	enum frame_kind kind;
};

struct pack_writer {
	int directory_fd; /* packs/ */
	int parent_fd;	  /* the store, borrowed */
	struct known_table *known;
	uint64_t size_max;
	store_permit *permit;
	void *permit_context;
	pthread_mutex_t permit_lock;
	pthread_mutex_t lock; /* of all below, and of each file's fields */
	pthread_cond_t idle;  /* a file has no write under way */
	struct pack_file **files;
	size_t count;
	size_t unsynced;		   /* finished files whose fd is still open */
	struct pack_file *data, *catalogs; /* that frames are added to; NULL: none yet */
	atomic_uint_fast64_t stored_bytes;
};

/*
 * pack_writer_init(writer, options, known, err):
 * Open or make packs/ in the store's directory; it must be a real directory of
 * ours that nobody else may write.
 */
int pack_writer_init(struct pack_writer *writer, const struct store_writer_options *options,
		     struct known_table *known, struct error **err);

/* pack_writer_release(writer, keep): Close; unlink every file unless ${keep}. */
void pack_writer_release(struct pack_writer *writer, bool keep);

/* pack_writer_add(writer, frame, err): Append a frame. From any thread. */
int pack_writer_add(struct pack_writer *writer, const struct pack_frame *frame, struct error **err);

/*
 * pack_writer_finish(writer, packs, count, err):
 * Footer of the last pack, fsync of all of them and of the directories. No
 * pack_writer_add() may be under way. *packs is to be freed.
 */
int pack_writer_finish(struct pack_writer *writer, struct pack_info **packs, size_t *count,
		       struct error **err);

#endif
