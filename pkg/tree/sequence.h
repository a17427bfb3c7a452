/*
 * What a file is made of, in memory: contents one after the other from its first byte, the
 * hashes of its pages beside them, and of each content which of the record's stored lists
 * says so. Private to pkg/tree.
 */
#ifndef SIDESNAP_TREE_SEQUENCE_H
#define SIDESNAP_TREE_SEQUENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "tree/catalog.h"

/* Of a content's list: none, it stands in the record itself or is new. */
#define LIST_NONE 0xffU

struct sequence {
	struct content *contents;
	size_t count, capacity;
	uint8_t *hashes; /* PAGE_HASH_SIZE bytes for each page that lies in one content */
	size_t hash_count, hash_capacity;
	uint64_t size; /* of all contents */
	uint32_t page; /* bytes; 0: no hashes */
};

/* sequence_init(), sequence_release(); sequence_clear(): empty, for pages of that size. */
void sequence_init(struct sequence *sequence);
void sequence_release(struct sequence *sequence);
void sequence_clear(struct sequence *sequence, uint32_t page);

/* sequence_borrow(sequence, entry): That of a record, as long as it is there; only to be read. */
void sequence_borrow(struct sequence *sequence, const struct catalog_entry *entry);

/* sequence_add(sequence, content): At its end; -1: no memory. */
int sequence_add(struct sequence *sequence, const struct content *content);

/* sequence_add_hashes(sequence, hashes, count): Of the next pages; -1: no memory. */
int sequence_add_hashes(struct sequence *sequence, const uint8_t *hashes, size_t count);

/*
 * sequence_pages(page, at, length): How many whole pages lie in a content of ${length} bytes
 * at ${at} in the file. These, and only these, have a hash: none for holes and gaps.
 */
uint64_t sequence_pages(uint32_t page, uint64_t at, uint64_t length);

/* sequence_is_sound(sequence): There are as many hashes as its contents call for. */
bool sequence_is_sound(const struct sequence *sequence);

/* A place in a sequence, which only moves forward. */
struct sequence_cursor {
	const struct sequence *sequence;
	size_t content, hash; /* the content there, its first hash */
	uint64_t at;	      /* where that content begins */
};

void sequence_cursor_init(struct sequence_cursor *cursor, const struct sequence *sequence);

/* sequence_page_hash(cursor, at): Of the page at that offset; NULL: it has none. */
const uint8_t *sequence_page_hash(struct sequence_cursor *cursor, uint64_t at);

/* sequence_is_hole(cursor, from, to): Nothing but hole there. */
bool sequence_is_hole(struct sequence_cursor *cursor, uint64_t from, uint64_t to);

/*
 * sequence_copy(cursor, from, to, target): What is there, with hashes, to the end of
 * ${target}, which must be at the same offset: contents are cut where needed. -1: no memory.
 */
int sequence_copy(struct sequence_cursor *cursor, uint64_t from, uint64_t to,
		  struct sequence *target);

/* sequence_overlay(lower, upper, target): ${upper}, and ${lower} where it has gaps or has ended. */
int sequence_overlay(const struct sequence *lower, const struct sequence *upper,
		     struct sequence *target);

#endif
