/*
 * One catalog record as bytes: its stored form, where the contents of a large file are in
 * lists of their own, and its canonical form (catalog_encode() of catalog.h), which a
 * tree's hash covers. Private to pkg/tree.
 */
#ifndef SIDESNAP_TREE_RECORD_H
#define SIDESNAP_TREE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "store/page_hash.h"
#include "store/reader.h"
#include "tree/catalog.h"
#include "tree/format.h"
#include "tree/sequence.h"

/* A stored list of contents. Where later ones of a record say something, they are right. */
struct content_list {
	uint64_t size; /* of its stream, bytes */
	struct chunk_ref *refs;
	size_t count;
};

/* What a record's stored form has beside its contents. */
struct content_lists {
	uint32_t page; /* bytes; 0: no hashes of pages */
	uint8_t key[PAGE_HASH_KEY_SIZE];
	const uint8_t *hashes; /* of all pages that lie in one content, in their order */
	size_t hash_count;
	const struct content_list *lists;
	size_t count; /* 0: all contents are in the record */
};

/* Storage that decoded entries point into, used again for each record. */
struct record_space {
	struct attribute *attributes;
	size_t attribute_capacity;
	struct sequence contents, upper, spare;
	struct content_list lists[CONTENT_LISTS_MAX];
	struct content_lists stored;
	struct buffer list; /* bytes of one */
};

void record_space_init(struct record_space *space);
void record_space_release(struct record_space *space);

/*
 * record_decode(bytes, size, space, entry, err):
 * Decode what follows a record's size, canonical. Every part is checked by itself; order
 * and parents are the reader's. ${entry} points into ${bytes} and ${space}. ERROR_DAMAGED.
 */
int record_decode(const void *bytes, size_t size, struct record_space *space,
		  struct catalog_entry *entry, struct error **err);

/* record_decode_stored(...): The same of its stored form, whose lists are in ${store}. */
int record_decode_stored(const void *bytes, size_t size, struct record_space *space,
			 struct store *store, struct catalog_entry *entry, struct error **err);

/*
 * record_decode_brief(bytes, size, space, entry, err): The same of either form without the
 * contents, of which only the file's size is looked at.
 */
int record_decode_brief(const void *bytes, size_t size, struct record_space *space,
			struct catalog_entry *entry, struct error **err);

/* record_encode(buffer, entry): As catalog_encode(), but the stored form: see content_lists. */
int record_encode(struct buffer *buffer, const struct catalog_entry *entry);

/* record_is_canonical(entry): Both forms are the same. */
bool record_is_canonical(const struct catalog_entry *entry);

/* record_hash(hasher, bytes, size): Add a canonical one to a tree's hash: without fingerprint and hints. */
void record_hash(struct hasher *hasher, const void *bytes, size_t size);

/* attribute_is_kept(name): Whether extended attributes of that name are captured and restored. */
bool attribute_is_kept(const char *name);

#endif
