/*
 * A part of a file read in windows, with the hashes of its pages: by several threads, given in
 * order. One core hashes two gigabytes a second, which is what a freeze would last. Private to
 * pkg/tree.
 */
#ifndef SIDESNAP_TREE_PAGE_READER_H
#define SIDESNAP_TREE_PAGE_READER_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "store/format.h"
#include "store/page_hash.h"

#define PAGE_WINDOW_SIZE CHUNK_SIZE_MAX

/* What is read. */
struct page_range {
	int fd; /* borrowed */
	uint64_t from, to;
	uint32_t
		block; /* windows end where one ends; at most PAGE_WINDOW_SIZE, multiple of a page */
	uint32_t page;
	const struct page_hasher *hasher; /* for pages of that size; borrowed */
};

/* Some of its bytes, and a hash for each page that lies wholly in them. */
struct page_window {
	uint64_t at; /* offset in the file */
	size_t size; /* less than it should be: the file ends here */
	uint8_t *data;
	uint8_t *hashes;     /* PAGE_HASH_SIZE bytes each */
	uint64_t first_page; /* offset in the file of the first that has one */
};

struct page_reader;

/* page_reader_new(): Buffers come with what is read, 256 KiB and hashes for each of a few windows. */
struct page_reader *page_reader_new(void);
void page_reader_free(struct page_reader *reader); /* NULL ok */
CLEANUP_DEFINE(struct page_reader, page_reader_free)

/*
 * page_reader_begin(reader, range):
 * Where the range is long enough to be worth it, in threads, which are as gentle as the caller
 * is; they end with page_reader_end(), which has to follow.
 */
void page_reader_begin(struct page_reader *reader, const struct page_range *range);

/*
 * page_reader_next(reader, window):
 * 1: the next window, which lasts until the next call. 0: that was all, or the file has ended.
 * -1: errno.
 */
int page_reader_next(struct page_reader *reader, struct page_window *window);

void page_reader_end(struct page_reader *reader);

/* page_window_hash(window, page, at): Of the page at that offset; NULL: it is not wholly there. */
const uint8_t *page_window_hash(const struct page_window *window, uint32_t page, uint64_t at);

#endif
