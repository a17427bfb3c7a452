/*
 * Eight bytes that tell of a page whether it has changed: the first of its keyed BLAKE3. They
 * are compared with the same page's of an earlier capture only, and name nothing. For two
 * pages that were chosen without knowing the key the chance of being taken for the same is 2^-64.
 */
#ifndef SIDESNAP_STORE_PAGE_HASH_H
#define SIDESNAP_STORE_PAGE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define PAGE_HASH_SIZE 8
#define PAGE_HASH_KEY_SIZE 32
#define PAGE_SIZE_MIN (1U << 9)
#define PAGE_SIZE_MAX (1U << 16)

/* One key, made ready for pages of one size. Read only: any thread may use it. */
struct page_hasher;

/* page_hasher_new(key, page_size): ${page_size} is a power of two, PAGE_SIZE_MIN to _MAX. */
struct page_hasher *page_hasher_new(const uint8_t key[PAGE_HASH_KEY_SIZE], uint32_t page_size);

void page_hasher_free(struct page_hasher *hasher); /* NULL ok */
CLEANUP_DEFINE(struct page_hasher, page_hasher_free)

/* page_hasher_run(hasher, page, hash): Of one whole page. */
void page_hasher_run(const struct page_hasher *hasher, const void *page,
		     uint8_t hash[PAGE_HASH_SIZE]);

#endif
