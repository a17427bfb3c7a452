/*
 * What differs between two trees, from their catalogs: both are read once, in path order,
 * and where they are stored in the same chunks only once for both. Memory is bounded by
 * the largest record. Fingerprints are no part of a tree, nor is how a file is cut.
 */
#ifndef SIDESNAP_TREE_DIFF_H
#define SIDESNAP_TREE_DIFF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "store/reader.h"
#include "tree/catalog.h"

enum diff_kind {
	DIFF_ADDED,
	DIFF_REMOVED,
	DIFF_CHANGED, /* the same type of file */
	DIFF_TYPE,    /* another type of file */
};

/* What of a file is another; of DIFF_CHANGED at least one. */
enum diff_what {
	DIFF_CONTENT = 1,
	DIFF_MODE = 2,
	DIFF_OWNER = 4, /* user or group */
	DIFF_TIME = 8,	/* mtime */
	DIFF_ATTRIBUTES = 16,
	DIFF_LINK = 32,	 /* where a symbolic link points */
	DIFF_NAMES = 64, /* of which file it is another name, before or now */
	DIFF_DEVICE = 128,
};

/* Everything is borrowed for the call. */
struct difference {
	enum diff_kind kind;
	unsigned what; /* enum diff_what; 0 unless DIFF_CHANGED */
	const char *path;
	const struct catalog_entry *from,
		*to; /* NULL: not there; contents only where it is in both */
	/*
	 * With DIFF_CONTENT the bytes of the file that may differ, those behind the end of the
	 * shorter one too: whole blocks, where no more is known without reading much.
	 */
	uint64_t changed_bytes;
};

struct diff_totals {
	uint64_t added, removed; /* names */
	uint64_t changed, types; /* files with DIFF_CONTENT; DIFF_TYPE */
	uint64_t metadata;	 /* all other DIFF_CHANGED */
	/* of regular files: that were added, removed, changed_bytes of all */
	uint64_t added_bytes, removed_bytes, changed_bytes;
	uint64_t records;    /* that were compared, on either side */
	uint64_t skipped;    /* of these, known to be the same by the chunks that they are in */
	uint64_t read_bytes; /* contents read, to tell whether they are the same */
};

struct diff_side {
	struct store *store;
	const struct catalog_root *root; /* NULL: an empty partial catalog */
	/*
	 * For partial catalogs (own files), where only the other side names a path: what this side's
	 * image has there. 1 and the entry, which is valid until the next call; 0 nothing, -1. NULL:
	 * nothing is there. Images have whole seconds and not all attributes, so that is how it is
	 * compared.
	 */
	int (*look)(void *context, const char *path, struct catalog_entry *entry,
		    struct error **err);
	void *look_context;
};

struct diff_options {
	bool no_contents; /* data cannot be read: what may differ is taken to differ */
	/* One difference, in path order; -1 ends it. */
	int (*found)(void *context, const struct difference *difference, struct error **err);
	/* Whether nothing is to be said of a path, as it is not part of both trees. May be NULL. */
	bool (*is_left_out)(void *context, const char *path);
	void *context; /* of both */
	/* Called every few thousand records; -1 ends it. May be NULL. */
	int (*progress)(void *context, uint64_t records, struct error **err);
	void *progress_context;
};

/*
 * tree_diff(from, to, options, totals, err):
 * Hard links: what has changed in a file is told of its first name alone; of its other names,
 * that they are names of another file than before.
 */
int tree_diff(const struct diff_side *from, const struct diff_side *to,
	      const struct diff_options *options, struct diff_totals *totals, struct error **err);

/* ---- diff_content.c ---- */

/* How much is read to tell what differs. */
struct diff_reading {
	bool is_exact;	 /* every byte that may differ is compared */
	bool is_blind;	 /* nothing is read: what may differ is taken to differ */
	uint64_t budget; /* bytes that may yet be read only to know better how much differs */
	uint64_t read_bytes;
};

/* A part of a file that differs; -1 ends it. */
typedef int diff_range(void *context, uint64_t offset, uint64_t length, struct error **err);

/*
 * diff_content(from_store, from, to_store, to, reading, range, context, changed, err):
 * Compare two regular files by their records. *changed as changed_bytes above; 0: the same.
 * Ranges ascend, and where two touch they are one; ${range} may be NULL.
 */
int diff_content(struct store *from_store, const struct catalog_entry *from, struct store *to_store,
		 const struct catalog_entry *to, struct diff_reading *reading, diff_range *range,
		 void *context, uint64_t *changed, struct error **err);

#endif
