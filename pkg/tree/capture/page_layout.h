/* Whether a file consists of pages, and of which size: by its path, or by what it begins with. Private to pkg/tree. */
#ifndef SIDESNAP_TREE_PAGE_LAYOUT_H
#define SIDESNAP_TREE_PAGE_LAYOUT_H

#include <stdint.h>

#include "tree/capture/capture.h"
#include "tree/capture/scan.h"

struct page_layout {
	uint32_t block; /* bytes that are stored together; 0: no pages, it is cut by content */
	uint32_t page;	/* bytes that are compared; 0: whole blocks are */
};

/*
 * page_layout_of(source, item):
 * Of a regular file whose item->fd is open. What the source's globs name has the source's sizes; any
 * other that is an SQLite database and longer than a block has those of its header.
 */
struct page_layout page_layout_of(const struct tree_source *source, const struct scan_item *item);

#endif
