/*
 * What every way of writing trees has: a store's writer, the writer of catalogs behind it,
 * and word of the progress of both. Private to pkg/tree.
 */
#ifndef SIDESNAP_TREE_TREE_WRITER_H
#define SIDESNAP_TREE_TREE_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/writer.h"
#include "tree/capture/capture.h"
#include "tree/catalog_writer.h"

struct tree_writer {
	struct capture_options options;
	struct store_writer *store;
	struct catalog_writer *catalog;
	uint64_t files, bytes; /* done, as progress tells them: the caller counts files */
	uint64_t progress_at_ms;
	unsigned calls; /* of tree_writer_progress(), to look at the clock seldom */
};

/* tree_writer_open(writer, options, err): To be released also after a failure. */
int tree_writer_open(struct tree_writer *writer, const struct capture_options *options,
		     struct error **err);
void tree_writer_release(struct tree_writer *writer); /* unfinished packs are unlinked */

/*
 * tree_writer_progress(writer, bytes, err): So many more were done; tell the caller now and
 * then. -1: the caller ends it.
 */
int tree_writer_progress(struct tree_writer *writer, uint64_t bytes, struct error **err);

/* tree_writer_finish(writer, packs, count, totals, err): As capture_finish(). */
int tree_writer_finish(struct tree_writer *writer, struct pack_info **packs, size_t *count,
		       struct store_writer_totals *totals, struct error **err);

#endif
