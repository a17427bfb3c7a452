/*
 * Restoring and verifying trees: the side that writes, from untrusted input.
 */
#ifndef SIDESNAP_TREE_RESTORE_H
#define SIDESNAP_TREE_RESTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/reader.h"
#include "tree/manifest.h"
#include "tree/state.h"

struct restore_totals {
	uint64_t entries, files, bytes, written_bytes,
		removed;     /* removed: not counting what was replaced */
	uint64_t read_bytes; /* of files that were there, to compare */
	uint64_t kept_files; /* right without having been opened */
};

struct restore_options {
	unsigned workers; /* 0: one a core; beside them some for parts of large files */
	bool remove_extra; /* delete what the catalog does not have (never excluded, skipped, mount points) */
	/*
	 * Change only what differs: what is right stays, files are written in place where no
	 * other name shows them. False: every file is made anew.
	 */
	bool delta;
	/*
	 * What the files that are there are known to hold, asked in turn (borrowed, used once;
	 * NULL: none); with ${trust_catalog} the tree's own record too: unchanged since create.
	 */
	struct volume_state *known[2];
	bool trust_catalog;
	/*
	 * Files (relative paths; may be NULL) that come last, when all else is on the disk.
	 * They must be gone before the first change: volume_restore() sees to it.
	 */
	const struct string_list *guards;
	/*
	 * Without CAP_CHOWN and friends: owners that differ from ours, device nodes and
	 * attributes that are refused become one error naming the first, at the end,
	 * unless ${lenient}.
	 */
	bool lenient;
	/* Called now and then in the calling thread; -1 ends the restore. May be NULL. */
	int (*progress)(void *context, const struct restore_totals *totals, struct error **err);
	void *progress_context;
};

/*
 * tree_restore(root_fd, store, tree, options, totals, err):
 * Make the directory ${root_fd} hold exactly the tree (with remove_extra) or at
 * least it. Converges when run again after an interruption. Files that are there
 * are replaced, or with delta kept where they are right; links are never followed. Nothing outside root_fd's mount is touched:
 * openat2(RESOLVE_BENEATH|NO_SYMLINKS|NO_MAGICLINKS|NO_XDEV) only. Metadata of
 * directories last, the root's own at the very end; syncfs before it returns.
 */
int tree_restore(int root_fd, struct store *store, const struct tree_record *tree,
		 const struct restore_options *options, struct restore_totals *totals,
		 struct error **err);

/*
 * tree_verify(store, tree, entries, err):
 * Read the whole catalog: order, paths, lengths, that every chunk exists with the size
 * named, that hash, entries and bytes are what the record says.
 */
int tree_verify(struct store *store, const struct tree_record *tree, struct error **err);

/*
 * tree_clear(root_fd, err):
 * Delete all that is in the directory, but never what is on another mount, lost+found or a
 * volume's mark. Not synced.
 */
int tree_clear(int root_fd, struct error **err);

/* tree_is_empty(root_fd, ...) and seeds: tree/seed.h. Marks: tree/mark.h. Own files: tree/own.h. */

#endif
