/*
 * What a pre-copy pass found, as the records of the files whose contents it has and whose
 * fingerprints can be trusted: kept in a temporary file that has no name, because it is
 * of use only until the final pass and must not get into the snapshot's layer.
 */
#ifndef SIDESNAP_TREE_DRAFT_H
#define SIDESNAP_TREE_DRAFT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "tree/catalog.h"

struct draft;

/* draft_new(directory_fd, err): An empty one, in a file system with room. NULL on failure. */
struct draft *draft_new(int directory_fd, struct error **err);
void draft_free(struct draft *draft); /* NULL ok */
CLEANUP_DEFINE(struct draft, draft_free)

/*
 * draft_add(draft, entry, is_reused, err):
 * The next record, in path order; ${is_reused}: its contents were never read but taken
 * from an earlier snapshot's catalog.
 */
int draft_add(struct draft *draft, const struct catalog_entry *entry, bool is_reused,
	      struct error **err);

/* draft_end(draft, err): No more come; it can be read now, any number of times. */
int draft_end(struct draft *draft, struct error **err);

/*
 * draft_read(draft, store): Reading one from its begin; both are borrowed. ${store}: where
 * the lists of contents of an earlier snapshot are, if there is one; else NULL.
 */
struct draft_reader;

struct draft_reader *draft_read(const struct draft *draft, struct store *store);
void draft_reader_free(struct draft_reader *reader); /* NULL ok */

/* draft_next(reader, entry, is_reused, err): As catalog_next(). */
int draft_next(struct draft_reader *reader, struct catalog_entry *entry, bool *is_reused,
	       struct error **err);

#endif
