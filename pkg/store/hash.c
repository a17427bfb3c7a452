/*
 * BLAKE3 behind our own names: with chunker and frames the only sources that
 * may include a third party's header are in this folder.
 */
#include "store/hash.h"

#include <blake3.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

struct hasher {
	blake3_hasher state;
};

void hash_data(struct hash *hash, const void *data, size_t size)
{
	blake3_hasher state;

	blake3_hasher_init(&state);
	blake3_hasher_update(&state, data, size);
	blake3_hasher_finalize(&state, hash->bytes, HASH_SIZE);
}

bool hash_equal(const struct hash *a, const struct hash *b)
{
	return memcmp(a->bytes, b->bytes, HASH_SIZE) == 0;
}

void hash_format(const struct hash *hash, char text[HASH_HEX_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < HASH_SIZE; i++) {
		text[2 * i] = digits[hash->bytes[i] >> 4];
		text[2 * i + 1] = digits[hash->bytes[i] & 15];
	}
	text[2 * HASH_SIZE] = 0;
}

bool hash_parse(const char *text, struct hash *hash)
{
	return text_unhex(text, hash->bytes, HASH_SIZE);
}

struct hasher *hasher_new(void)
{
	struct hasher *hasher = memory_alloc(sizeof(*hasher));

	blake3_hasher_init(&hasher->state);
	return hasher;
}

void hasher_free(struct hasher *hasher)
{
	free(hasher);
}

void hasher_update(struct hasher *hasher, const void *data, size_t size)
{
	blake3_hasher_update(&hasher->state, data, size);
}

void hasher_finish(struct hasher *hasher, struct hash *hash)
{
	blake3_hasher_finalize(&hasher->state, hash->bytes, HASH_SIZE);
	blake3_hasher_reset(&hasher->state);
}
