/* Reading one regular file into the store. Private to pkg/tree. */
#ifndef SIDESNAP_TREE_CAPTURE_FILE_H
#define SIDESNAP_TREE_CAPTURE_FILE_H

#include "tree/capture.h"
#include "tree/catalog_writer.h"
#include "tree/scan.h"

typedef int capture_file_progress(void *context, uint64_t bytes, struct error **err);

/*
 * capture_file(store, source, item, pending, progress, context, hole, changed, err):
 * Feed what item->fd holds, extent by extent, up to the size it had when it was found.
 * *hole is what follows the last extent; *changed whether it was written meanwhile.
 */
int capture_file(struct store_writer *store, const struct tree_source *source,
		 const struct scan_item *item, struct pending_entry *pending,
		 capture_file_progress *progress, void *context, uint64_t *hole, bool *changed,
		 struct error **err);

#endif
