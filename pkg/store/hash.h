/*
 * BLAKE3-256, the only hash of our formats: of chunks, frames, footers, trees.
 */
#ifndef SIDESNAP_STORE_HASH_H
#define SIDESNAP_STORE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_SIZE 32
#define HASH_HEX_SIZE (2 * HASH_SIZE + 1)

struct hash {
	uint8_t bytes[HASH_SIZE];
};

/* hash_data(hash, data, size): The hash of ${size} bytes. */
void hash_data(struct hash *hash, const void *data, size_t size);

/* hash_equal(a, b): Whether they are the same. */
bool hash_equal(const struct hash *a, const struct hash *b);

/* hash_format(hash, text): 64 lower-case digits and a NUL. */
void hash_format(const struct hash *hash, char text[HASH_HEX_SIZE]);

/* hash_parse(text, hash): False unless it is exactly 64 hexadecimal digits. */
bool hash_parse(const char *text, struct hash *hash);

/* A hash of what comes in pieces. */
struct hasher;

/* hasher_new(): To be freed with hasher_free(). Never NULL. */
struct hasher *hasher_new(void);

/* hasher_free(hasher): NULL is ignored. */
void hasher_free(struct hasher *hasher);

/* hasher_update(hasher, data, size): More bytes. */
void hasher_update(struct hasher *hasher, const void *data, size_t size);

/* hasher_finish(hasher, hash): The hash so far; the hasher then starts anew. */
void hasher_finish(struct hasher *hasher, struct hash *hash);

#endif
