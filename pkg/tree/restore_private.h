/*
 * What the parts of a restore share. The calling thread walks catalog and target side
 * by side (restore.c), workers write files (restore_file.c), whoever lets go of a
 * directory last gives it its metadata (restore_metadata.c). Private to pkg/tree.
 */
#ifndef SIDESNAP_TREE_RESTORE_PRIVATE_H
#define SIDESNAP_TREE_RESTORE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/text.h"
#include "tree/record.h"
#include "tree/restore.h"

/* A directory that is being filled. Whoever drops the last reference finishes it. */
struct restore_directory {
	int fd; /* -1: closed for now, by the walk, which alone may do so */
	atomic_uint references;
	bool existed; /* it may have attributes that must go */
	char *path;
	uint8_t *record; /* its own, as record_decode() takes it */
	size_t record_size;
};

/* A file written in segments, by several workers at once. */
struct restore_large {
	int fd, direct_fd; /* direct_fd: O_DIRECT, or -1 */
	atomic_uint references;
	struct restore_directory *directory;
	uint8_t *record;
	struct record_space space;
	struct catalog_entry entry;
};

/* Work for one worker: small files of one directory, or a part of a large one. */
struct restore_job {
	struct restore_job *next;
	struct restore_directory *directory;
	struct buffer records; /* each behind its u32 size */
	size_t count;
	uint64_t bytes;
	struct restore_large *large;
	size_t content;	     /* the first of the part */
	uint64_t content_at; /* where in the file that content begins */
	uint64_t begin, end; /* of the part */
};

struct restore {
	int root_fd;
	struct store *store;
	const struct tree_record *tree;
	const struct restore_options *options;
	struct string_list untouchable; /* excluded and skipped, in path order */

	/* under lock */
	pthread_mutex_t lock;
	pthread_cond_t work, room;
	struct restore_job *first, **last;
	size_t queued, busy;
	bool closing;
	struct error *error;   /* the first */
	struct error *refusal; /* the first thing that this user may not do */
	uint64_t refusals;

	atomic_bool failed;
	atomic_bool no_direct; /* O_DIRECT was refused */
	atomic_ullong files, bytes, written_bytes;
	uint64_t entries, removed; /* the walk's own */
	uint64_t progress_at_ms;
	unsigned ticks;
	unsigned postponed; /* deep directories moved up to be removed */
};

/* restore_fail(restore, error): Keep the first error, stop everybody. Owns it. Returns -1. */
int restore_fail(struct restore *restore, struct error *error);

/*
 * restore_refused(restore, number, what, path, err): For a step that a user may be denied:
 * 0 and noted when ${number} says so, else -1 and *err.
 */
int restore_refused(struct restore *restore, int number, const char *what, const char *path,
		    struct error **err);

/* restore_tick(restore, err): Progress and cancellation, from the calling thread. */
int restore_tick(struct restore *restore, struct error **err);

/* ---- restore_pool.c ---- */

/* restore_pool_start(restore, threads, count, err), restore_pool_stop(): All jobs are done then. */
int restore_pool_start(struct restore *restore, pthread_t *threads, unsigned count,
		       struct error **err);
int restore_pool_stop(struct restore *restore, pthread_t *threads, unsigned count,
		      struct error **err);

/* restore_pool_add(restore, job, err): Waits for room. Owns the job in any case. */
int restore_pool_add(struct restore *restore, struct restore_job *job, struct error **err);

/* ---- restore_file.c ---- */

/* Of one worker: an aligned buffer, made when first needed. */
struct restore_worker {
	struct restore *restore;
	uint8_t *buffer;
	struct record_space space;
};

int restore_job_run(struct restore_worker *worker, struct restore_job *job, struct error **err);
void restore_job_free(struct restore *restore, struct restore_job *job);

/* restore_large_new(restore, directory, name, record, size, err): The file is made, empty. */
struct restore_large *restore_large_new(struct restore *restore,
					struct restore_directory *directory, const char *name,
					const void *record, size_t size, struct error **err);
void restore_large_put(struct restore *restore, struct restore_large *large);

/* ---- restore_metadata.c ---- */

/* metadata_apply(restore, fd, entry, existed, err): Of an open file or directory, in the order that keeps it. */
int metadata_apply(struct restore *restore, int fd, const struct catalog_entry *entry, bool existed,
		   struct error **err);

/* metadata_apply_name(restore, directory_fd, name, entry, err): Of a link, device node or FIFO. */
int metadata_apply_name(struct restore *restore, int directory_fd, const char *name,
			const struct catalog_entry *entry, struct error **err);

struct restore_directory *restore_directory_new(const char *path, int fd, bool existed,
						const void *record, size_t size);
struct restore_directory *restore_directory_get(struct restore_directory *directory);
void restore_directory_put(struct restore *restore, struct restore_directory *directory);

/* ---- restore_remove.c ---- */

/* restore_is_protected(restore, path): It or a parent was excluded or skipped; never touched. */
bool restore_is_protected(const struct restore *restore, const char *path);

/*
 * restore_remove(restore, directory_fd, name, path, type, err):
 * Delete it with all that is below, but nothing untouchable and nothing on another mount.
 * 0: gone, 1: something had to stay, -1.
 */
int restore_remove(struct restore *restore, int directory_fd, const char *name, const char *path,
		   unsigned char type, struct error **err);

/* restore_remove_postponed(restore, err): What was too deep for the first pass. */
int restore_remove_postponed(struct restore *restore, struct error **err);

#endif
