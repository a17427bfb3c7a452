/* A record's contents as bytes: in the record, or in stored lists. Private to pkg/tree. */
#ifndef SIDESNAP_TREE_RECORD_CONTENTS_H
#define SIDESNAP_TREE_RECORD_CONTENTS_H

#include "base/buffer.h"
#include "tree/record.h"

/* contents_parts(entry): RECORD_PART_* of its stored form. */
unsigned contents_parts(const struct catalog_entry *entry);

/* contents_encode(buffer, entry, parts): The parts that ${parts} names; CONTENTS alone is canonical. */
void contents_encode(struct buffer *buffer, const struct catalog_entry *entry, unsigned parts);

/*
 * contents_encode_list(buffer, entry, first):
 * A list of all contents that list ${first} or a later one says, or none.
 */
void contents_encode_list(struct buffer *buffer, const struct catalog_entry *entry, unsigned first);

/* contents_list_size(entry, first): Bytes of that. */
uint64_t contents_list_size(const struct catalog_entry *entry, unsigned first);

/* contents_decode(cursor, parts, space, store, entry, err): Sets size, contents and lists. */
int contents_decode(struct cursor *cursor, unsigned parts, struct record_space *space,
		    struct store *store, struct catalog_entry *entry, struct error **err);

/* contents_decode_size(cursor, parts, entry, err): Sets the size alone; what follows is not looked at. */
int contents_decode_size(struct cursor *cursor, unsigned parts, struct catalog_entry *entry,
			 struct error **err);

#endif
