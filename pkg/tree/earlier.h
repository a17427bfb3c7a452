/*
 * What an earlier capture of the same tree found, asked in path order: a stored catalog
 * or the draft of a pre-copy. A stored one may be damaged or another volume's; that
 * only costs time. Private to pkg/tree, but for making one.
 */
#ifndef SIDESNAP_TREE_EARLIER_H
#define SIDESNAP_TREE_EARLIER_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "tree/beneath.h"
#include "tree/catalog.h"
#include "tree/draft.h"

struct earlier;

/*
 * earlier_of_catalog(store, root, is_of_this_run): From a snapshot's catalog; both borrowed. NULL
 * when it cannot be read. What it names is used only where ${store} has it. Of another run of
 * the machine (manifest_is_of_this_run()) it proves nothing, and only its pages are compared.
 */
struct earlier *earlier_of_catalog(struct store *store, const struct catalog_root *root,
				   bool is_of_this_run);

/*
 * earlier_of_draft(draft, store): From a pre-copy whose chunks are in the same capture, or
 * in ${store} (the snapshot's that it began with; may be NULL). Both borrowed.
 */
struct earlier *earlier_of_draft(const struct draft *draft, struct store *store);

void earlier_free(struct earlier *earlier); /* NULL ok */
CLEANUP_DEFINE(struct earlier, earlier_free)

/*
 * earlier_find(earlier, path, status):
 * The record of a regular file if it proves that the file has not changed since, with its
 * contents and attributes: same fingerprint, not hot, no chunk of it missing. Else NULL.
 * Valid until the next call, whose path must come later.
 */
const struct catalog_entry *earlier_find(struct earlier *earlier, const char *path,
					 const struct file_status *status);

/*
 * earlier_pages(earlier, path, status):
 * The record of a file that may have changed since, to compare its pages with: of the same
 * inode, with hashes of its pages, no chunk of it missing. NULL: none. As earlier_find().
 */
const struct catalog_entry *earlier_pages(struct earlier *earlier, const char *path,
					  const struct file_status *status);

/* earlier_is_reused(earlier): Whether the record found last stems from a snapshot's catalog. */
bool earlier_is_reused(const struct earlier *earlier);

/*
 * fingerprint_holds(entry, status): Whether a file's stat proves that it holds what the record of
 * a regular file says: same device, inode, size, mtime and ctime, and the record is not hot.
 */
bool fingerprint_holds(const struct catalog_entry *entry, const struct file_status *status);

#endif
