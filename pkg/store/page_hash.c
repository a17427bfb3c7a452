/*
 * The hash of a page. Not the id of its bytes cut short: whoever knows no key cannot look
 * for two pages that count as one.
 */
#include "store/page_hash.h"

#include <blake3.h>
#include <stdlib.h>

#include "base/memory.h"

struct page_hasher {
	blake3_hasher keyed; /* fed with nothing yet */
	size_t page_size;
};

struct page_hasher *page_hasher_new(const uint8_t key[PAGE_HASH_KEY_SIZE], uint32_t page_size)
{
	struct page_hasher *hasher = memory_zalloc(sizeof(*hasher));

	blake3_hasher_init_keyed(&hasher->keyed, key);
	hasher->page_size = page_size;
	return hasher;
}

void page_hasher_free(struct page_hasher *hasher)
{
	free(hasher);
}

void page_hasher_run(const struct page_hasher *hasher, const void *page,
		     uint8_t hash[PAGE_HASH_SIZE])
{
	blake3_hasher state = hasher->keyed;

	blake3_hasher_update(&state, page, hasher->page_size);
	blake3_hasher_finalize(&state, hash, PAGE_HASH_SIZE);
}
