/* Reading one regular file into the store. Private to pkg/tree. */
#ifndef SIDESNAP_TREE_CAPTURE_FILE_H
#define SIDESNAP_TREE_CAPTURE_FILE_H

#include "store/page_hash.h"
#include "tree/capture/page_layout.h"
#include "tree/capture/scan.h"
#include "tree/catalog_writer.h"

typedef int capture_file_progress(void *context, uint64_t bytes, struct error **err);

/* What the files of a capture share. */
struct capture_files {
	struct store_writer *store;
	const struct store *known; /* may be NULL */
	capture_file_progress *progress;
	void *context;
	uint8_t key[PAGE_HASH_KEY_SIZE]; /* of pages that have no hashes yet */
	struct page_hasher *hasher;	 /* the last one that was used */
	uint8_t hasher_key[PAGE_HASH_KEY_SIZE];
	uint32_t hasher_page;
	struct page_reader *reader; /* of files whose pages are compared; NULL: none yet */
};

/* capture_files_init(files, err): A random key; the rest is the caller's. -1: no randomness. */
int capture_files_init(struct capture_files *files, struct error **err);
void capture_files_release(struct capture_files *files);

/*
 * capture_file(files, layout, item, earlier, pending, hole, changed, err):
 * Feed what item->fd holds, extent by extent, up to the size it had when it was found.
 * Pages whose hashes are those of ${earlier} (NULL: none) are taken from there.
 * *hole is what follows the last extent; *changed whether it was written meanwhile.
 */
int capture_file(struct capture_files *files, const struct page_layout *layout,
		 const struct scan_item *item, const struct catalog_entry *earlier,
		 struct pending_entry *pending, uint64_t *hole, bool *changed, struct error **err);

#endif
