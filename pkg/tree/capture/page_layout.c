/*
 * Pages change alone, so cutting by content would store a changed page with all its neighbours. A
 * driver names a server's files; SQLite's are in any application's volume, and tell by themselves.
 */
#include "tree/capture/page_layout.h"

#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "store/format.h"
#include "store/page_hash.h"

#define BLOCK_DEFAULT (32U << 10)

/* https://www.sqlite.org/fileformat.html: the string with its NUL, then u16 big-endian; 1 stands for 65536. */
#define SQLITE_MAGIC "SQLite format 3"
#define SQLITE_HEADER_SIZE 18

/* Smaller pages cost more for their hashes than is saved: what is compared is what the kernel writes. */
#define SQLITE_COMPARED_MIN 4096U

static bool is_page_size(uint32_t page)
{
	return page >= PAGE_SIZE_MIN && page <= PAGE_SIZE_MAX && !(page & (page - 1));
}

static bool is_named(const struct tree_source *source, const char *path)
{
	for (size_t i = 0; source->pages && i < source->pages->count; i++) {
		if (text_match(source->pages->items[i], path))
			return true;
	}
	return false;
}

/* 0: it is none, or says nonsense. */
static uint32_t sqlite_page(int fd)
{
	uint8_t header[SQLITE_HEADER_SIZE];
	uint32_t page;

	if (pread(fd, header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
	    memcmp(header, SQLITE_MAGIC, sizeof(SQLITE_MAGIC)) != 0)
		return 0;
	page = (uint32_t)header[16] << 8 | header[17];
	page = page == 1 ? 1U << 16 : page;
	return is_page_size(page) ? page : 0;
}

struct page_layout page_layout_of(const struct tree_source *source, const struct scan_item *item)
{
	struct page_layout layout = {0, 0};
	uint32_t page;

	if (is_named(source, item->path)) {
		layout.block = source->page_block ? source->page_block : BLOCK_DEFAULT;
		if (is_page_size(source->page_size) && layout.block % source->page_size == 0)
			layout.page = source->page_size;
		return layout;
	}
	/* what fits into one block is stored whole either way, and need not be looked at */
	page = item->status.size > BLOCK_DEFAULT ? sqlite_page(item->fd) : 0;
	if (page) {
		layout.page = page > SQLITE_COMPARED_MIN ? page : SQLITE_COMPARED_MIN;
		layout.block = page > BLOCK_DEFAULT ? page : BLOCK_DEFAULT;
	}
	return layout;
}
