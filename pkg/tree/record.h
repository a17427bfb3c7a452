/*
 * One catalog record as bytes: decoding untrusted ones, and hashing them. Encoding
 * is catalog_encode() of catalog.h. Private to pkg/tree.
 */
#ifndef SIDESNAP_TREE_RECORD_H
#define SIDESNAP_TREE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tree/catalog.h"

/* Storage that decoded entries point into, used again for each record. */
struct record_space {
	struct attribute *attributes;
	size_t attribute_capacity;
	struct content *contents;
	size_t content_capacity;
};

void record_space_init(struct record_space *space);
void record_space_release(struct record_space *space);

/*
 * record_decode(bytes, size, space, entry, err):
 * Decode what follows a record's size. Every part is checked by itself; order and
 * parents are the reader's. ${entry} points into ${bytes} and ${space}. ERROR_DAMAGED.
 */
int record_decode(const void *bytes, size_t size, struct record_space *space,
		  struct catalog_entry *entry, struct error **err);

/* record_hash(hasher, bytes, size): Add it to a tree's hash: without fingerprint and hints. */
void record_hash(struct hasher *hasher, const void *bytes, size_t size);

/* attribute_is_kept(name): Whether extended attributes of that name are captured and restored. */
bool attribute_is_kept(const char *name);

#endif
