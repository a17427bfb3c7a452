/*
 * Capturing trees into a store: the side that reads.
 */
#ifndef SIDESNAP_TREE_CAPTURE_H
#define SIDESNAP_TREE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "store/writer.h"
#include "tree/catalog.h"
#include "tree/draft.h"
#include "tree/earlier.h"
#include "tree/manifest.h"

struct capture_options {
	int store_fd;		   /* directory of the store; borrowed */
	const struct store *known; /* chunks of the parent; may be NULL; borrowed */
	int compression_level;	   /* as store_writer_options */
	unsigned workers;
	store_permit *permit;
	void *permit_context;
	/* Called now and then (every 100 ms or so) in the calling thread; -1 ends it. May be NULL. */
	int (*progress)(void *context, uint64_t files, uint64_t bytes, struct error **err);
	void *progress_context;
};

/* One tree to read. Everything is borrowed. */
struct tree_source {
	int root_fd; /* its root directory, O_RDONLY or O_PATH */
	const struct string_list *
		pages; /* globs of page-structured files, relative; may be NULL: SQLite's tell by themselves */
	uint32_t page_block;		    /* block size for these, bytes; 0: 32 KiB */
	uint32_t page_size;		    /* of these; 0: a changed page costs its whole block */
	const struct string_list *excluded; /* relative paths or globs; may be NULL */
	bool has_direct_io;		    /* files are written past the page cache */
	bool allow_overlay;		    /* else 0/0 character devices refuse the tree */
	/*
	 * What an earlier capture found, read to its end: files that have not changed since
	 * are not opened. May be NULL.
	 */
	struct earlier *earlier;
	/*
	 * Time counts: what is read is not written back first, and so recorded as hot: the
	 * next capture reads it again.
	 */
	bool is_frozen;
};

/* What a pass over one tree did, bytes. */
struct capture_pass {
	uint64_t read_bytes;
	uint64_t reused_bytes;	 /* of files taken from a snapshot's catalog, now or in a draft */
	uint64_t deferred_bytes; /* left out by a pre-copy as too hot to be worth reading */
	struct timespec hottest; /* the latest mtime or ctime of what was left out */
	bool is_trusted;	 /* the file system's times prove something */
};

struct capture;

/* capture_open(options, err): NULL on failure. */
struct capture *capture_open(const struct capture_options *options, struct error **err);
void capture_free(struct capture *capture); /* unfinished packs are unlinked; NULL ok */
CLEANUP_DEFINE(struct capture, capture_free)

/*
 * capture_tree(capture, source, record, err):
 * Read the whole tree below source->root_fd, in path order, without leaving its
 * mount (statx mount id) and without following anything. Sets hash, entries, bytes,
 * root, excluded and skipped of ${record}. What vanishes or changes type while it is
 * read is left out or read as it then is (a live capture); it is no error. ${pass} may be NULL.
 * Not captured: sidesnap's own marks (tree/mark.h); sockets (listed in skipped).
 */
int capture_tree(struct capture *capture, const struct tree_source *source,
		 struct tree_record *record, struct capture_pass *pass, struct error **err);

/*
 * capture_draft(capture, source, draft, defer, record, pass, err):
 * A pass of the pre-copy, while others write: the chunks go into the store, the records of
 * what can be trusted into ${draft}, for the next pass. For each file that is not known:
 * stat, write-back, read; the stat is what is recorded. ${defer}: files that are hot are
 * not read, since another pass follows. Sets entries and bytes of ${record}, no more.
 */
int capture_draft(struct capture *capture, const struct tree_source *source, struct draft *draft,
		  bool defer, struct tree_record *record, struct capture_pass *pass,
		  struct error **err);

/* capture_renew(capture, err): As store_writer_renew(); no tree may be under way. */
int capture_renew(struct capture *capture, struct error **err);

/*
 * A dump (tree/dump.h) as it arrives: begin, its bytes in any portions, end, which sets hash,
 * entries, bytes and root of ${record}. No tree may be under way. Memory is bounded by the
 * writer's queues; data waits for room in them.
 */
int capture_dump_begin(struct capture *capture, const char *name, const struct timespec *mtime,
		       struct error **err);
int capture_dump_data(struct capture *capture, const void *data, size_t size, struct error **err);
int capture_dump_end(struct capture *capture, struct tree_record *record, struct error **err);

/*
 * A catalog whose entries the caller makes, in path order, with contents HASH or none:
 * own files, seeds. capture_catalog_end() sets hash, entries, bytes and root (or only
 * *root where ${record} is NULL).
 */
int capture_catalog_begin(struct capture *capture, struct error **err);
int capture_catalog_add(struct capture *capture, const struct catalog_entry *entry,
			struct error **err);
int capture_catalog_end(struct capture *capture, struct tree_record *record,
			struct catalog_root *root, struct error **err);

/*
 * capture_finish(capture, packs, count, totals, err):
 * Everything on disk. *packs are the new ones only, to be freed; ${totals} may be NULL.
 */
int capture_finish(struct capture *capture, struct pack_info **packs, size_t *count,
		   struct store_writer_totals *totals, struct error **err);

struct tree_measure {
	uint64_t files, directories, others, bytes, allocated_bytes;
};

/* tree_measure(source, measure, skipped, err): Sizes by a scan alone; for dry runs and estimates. */
int tree_measure(const struct tree_source *source, struct tree_measure *measure,
		 struct string_list *skipped, struct error **err);

#endif
