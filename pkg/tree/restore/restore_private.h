/*
 * What the parts of a restore share. The calling thread walks catalog and target side
 * by side (restore.c) and finds what can stay (restore_keep.c), workers write files anew
 * (restore_file.c) or where they differ (restore_update.c), whoever lets go of a directory
 * last gives it its metadata (restore_metadata.c). Private to pkg/tree.
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
#include "tree/attributes.h"
#include "tree/beneath.h"
#include "tree/listing.h"
#include "tree/record.h"
#include "tree/restore/restore.h"

#define RESTORE_SMALL_MAX (512U << 10) /* of files larger than this several workers take parts */

/* A directory that is being filled. Whoever drops the last reference finishes it. */
struct restore_directory {
	int fd; /* -1: closed for now, by the walk, which alone may do so */
	atomic_uint references;
	bool existed; /* it may have attributes that must go */
	char *path;
	uint8_t *record; /* its own, as record_decode() takes it */
	size_t record_size;
};

/* The contents of a file, of the catalog or what is known of the file that is there. */
struct known_contents {
	const struct content *items;
	size_t count;
};

/* A file written in segments, by several workers at once. */
struct restore_large {
	int fd, direct_fd;	     /* direct_fd: O_DIRECT, or -1 */
	bool existed;		     /* only what differs is written */
	struct known_contents known; /* what it holds, if that is known; owned */
	atomic_uint references;
	struct restore_directory *directory;
	uint8_t *record;
	struct record_space space;
	struct catalog_entry entry;
};

/* What a worker does with a small file. */
enum restore_action {
	ACTION_CREATE,	 /* there is none of that name */
	ACTION_UPDATE,	 /* there is one: write what differs */
	ACTION_METADATA, /* its contents are right */
};

/* A place in a list of contents: items[index] begins at ${at} in the file. */
struct content_place {
	size_t index;
	uint64_t at;
};

/* Work for one worker: small files of one directory, or a part of a large one. */
struct restore_job {
	struct restore_job *next;
	struct restore_directory *directory;
	struct buffer records; /* each behind its u32 size and u8 action */
	size_t count;
	uint64_t bytes;
	struct restore_large *large;
	struct content_place content, known; /* the first of the part in both lists */
	uint64_t begin, end;		     /* of the part */
};

/* A guard file that is written when all else is done. */
struct restore_guard {
	struct restore_directory *directory;
	uint8_t *record;
	size_t record_size;
};

/* The names that the catalog gives one file: the first, then the others. */
struct link_group {
	char *first;
	struct string_list others;
	bool is_kept; /* all of them are names of the file that is there, and it has no other */
};

/* All groups of a catalog, in order; read only where the target has such files. */
struct link_groups {
	struct link_group *items;
	size_t count, capacity, size;
	bool is_loaded;
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
	atomic_ullong files, bytes, written_bytes, read_bytes;
	uint64_t entries, removed, kept_files; /* the walk's own */
	bool times_are_proof;		       /* of this file system */
	struct state_writer *state;	       /* hears of every regular file; may be NULL; owned */
	struct link_groups groups;
	struct restore_guard *guards;
	size_t guard_count;
	struct timespec synced; /* all that was changed before is on the disk */
	uint64_t progress_at_ms;
	unsigned ticks;
	unsigned postponed; /* deep directories moved up to be removed */
};

/* ---- restore.c ---- */

struct frame {
	struct restore_directory *directory;
	uint64_t device, inode, mount;
	struct listing listing; /* what was there before; empty when we made it */
};

struct walk {
	struct restore *restore;
	struct frame *frames;
	size_t depth, capacity;
	char *hidden; /* a directory with another mount on it: what is below is out of reach */
	struct restore_job *batch;
	int link_fd; /* directory of the last hard link's target */
	char *link_directory;
	struct hasher *hasher;
	uint64_t bytes;
};

/* The record at hand. */
struct step {
	const struct catalog_entry *entry;
	const char *name;
	struct frame *frame; /* of its directory */
	bool exists;
	unsigned char type; /* of what exists */
	const void *record;
	size_t record_size;
	const struct fingerprint *found; /* of a file that is known to be right, else NULL */
	struct fingerprint fingerprint;
};

/*
 * restore_init(), restore_fill(), restore_guards(), restore_release(): A restore in its steps:
 * all but the guards, synced; the guards, synced; the totals so far by restore_count().
 * Totals may be asked for after a failure too.
 */
int restore_init(struct restore *restore, int root_fd, struct store *store,
		 const struct tree_record *tree, const struct restore_options *options,
		 struct error **err);
int restore_fill(struct restore *restore, struct error **err);
int restore_guards(struct restore *restore, struct error **err);
int restore_report_refusals(struct restore *restore, struct error **err);
void restore_count(struct restore *restore, struct restore_totals *totals);
void restore_release(struct restore *restore);

/* restore_add_small(walk, step, action, err): Into the batch of its directory. */
int restore_add_small(struct walk *walk, const struct step *step, enum restore_action action,
		      struct error **err);

/*
 * restore_add_large(walk, step, fd, known, err): In segments; into a new file (fd -1), or where
 * the file ${fd} (owned) differs, of which ${known} is known (may be NULL).
 */
int restore_add_large(struct walk *walk, const struct step *step, int fd,
		      const struct known_contents *known, struct error **err);

/* ---- restore_keep.c ---- */

/*
 * restore_keep(walk, step, err): What exists under the record's name: 1 when it stays, at most
 * changed by a worker; 0 when it has to make way; -1. step->found is set where it is known.
 */
int restore_keep(struct walk *walk, struct step *step, struct error **err);
void link_groups_release(struct link_groups *groups);

/* ---- restore_moved.c ---- */

/*
 * restore_find_moved(walk, step): Nothing exists under the record's name. Whether the file that
 * was there when it was last looked at stood beside it under a later one: then it exists,
 * with whatever it holds.
 */
bool restore_find_moved(const struct walk *walk, struct step *step);

/* ---- restore_pool.c ---- */

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

/*
 * restore_pool_start(restore, threads, count, large, err): *count workers; ${large} of them (fewer) do
 * nothing but parts of large files, and where these cannot be had, *count becomes less.
 * restore_pool_stop(): All jobs are done then.
 */
int restore_pool_start(struct restore *restore, pthread_t *threads, unsigned *count, unsigned large,
		       struct error **err);
int restore_pool_stop(struct restore *restore, pthread_t *threads, unsigned count,
		      struct error **err);

/* restore_pool_add(restore, job, err): Waits for room. Owns the job in any case. */
int restore_pool_add(struct restore *restore, struct restore_job *job, struct error **err);

/* ---- restore_file.c ---- */

/* Of one worker: an aligned buffer, made when first needed. */
struct restore_worker {
	struct restore *restore;
	uint8_t *buffer, *compare;
	struct record_space space;
	struct attribute_space attributes;
};

int restore_job_run(struct restore_worker *worker, struct restore_job *job, struct error **err);
void restore_job_free(struct restore *restore, struct restore_job *job);

/*
 * restore_large_new(restore, step, fd, known, err): The file is made, empty, unless ${fd} (owned)
 * is it.
 */
struct restore_large *restore_large_new(struct restore *restore, const struct step *step, int fd,
					const struct known_contents *known, struct error **err);
void restore_large_put(struct restore *restore, struct restore_large *large);

/* restore_range(restore, fd, entry, err): Write all data of a new file. */
int restore_whole(struct restore *restore, int fd, const struct catalog_entry *entry,
		  struct error **err);

/* restore_create(directory_fd, name): A file of that name, which must not exist. -1, errno. */
int restore_create(int directory_fd, const char *name);

/* ---- restore_update.c ---- */

/* A file that is there, and a part of it. */
struct update {
	struct restore_worker *worker;
	const struct catalog_entry *entry;
	int fd;
	const struct known_contents *known; /* NULL: nothing is known of it */
	struct content_place content, known_place;
	uint64_t begin, end;
	uint64_t data_begin, data_end; /* there is no hole between these, as far as was asked */
};

/* update_range(update, err): Read what may differ, write what does. The size is right already. */
int update_range(struct update *update, struct error **err);

/*
 * update_open(directory_fd, name, entry, err): The regular file that is to be written in place;
 * its size is made right. -1: error; -2: it has to be replaced.
 */
int update_open(int directory_fd, const char *name, const struct catalog_entry *entry,
		struct error **err);

/* ---- restore_metadata.c ---- */

/*
 * metadata_settle(restore, fd, entry, attributes, err): Of an open file or directory that was
 * there: what differs is put right. ${attributes}: storage for it, or NULL.
 */
int metadata_settle(struct restore *restore, int fd, const struct catalog_entry *entry,
		    struct attribute_space *attributes, struct error **err);

/* metadata_same(a, b): Whether two records agree in owner, mode, time and attributes. */
bool metadata_same(const struct catalog_entry *a, const struct catalog_entry *b);

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
