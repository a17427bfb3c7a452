/*
 * The chunks of this run: which ids were met, and where each is stored. Packed
 * to 40 bytes a chunk and 4 a slot, because a volume has millions of them.
 */
#ifndef SIDESNAP_STORE_KNOWN_H
#define SIDESNAP_STORE_KNOWN_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/format.h"
#include "store/writer.h"

struct known_table {
	pthread_mutex_t lock;
	struct known_entry **segments; /* never moved, so that an entry's address is lasting */
	uint32_t *slots;	       /* index + 1; 0 is a free slot */
	uint64_t slot_count;	       /* a power of two */
	uint32_t count;
};

/* Instead of an index: the chunk needs no copy. */
#define KNOWN_ALREADY UINT32_MAX

/* known_table_init(table, err): An empty table. */
int known_table_init(struct known_table *table, struct error **err);

/* known_table_release(table): Free what it holds. */
void known_table_release(struct known_table *table);

/*
 * known_table_claim(table, refs, count, claims, err):
 * For each chunk whose claims[] is not KNOWN_ALREADY: the index of a new entry
 * when nobody claimed that id before (the caller must then store it), else
 * KNOWN_ALREADY. One lock for all, so that every id has exactly one claimant.
 */
int known_table_claim(struct known_table *table, const struct chunk_ref *refs, size_t count,
		      uint32_t *claims, struct error **err);

/* known_table_place(table, index, frame, offset, size): Where the claimant stored it. */
void known_table_place(struct known_table *table, uint32_t index, uint32_t frame, uint32_t offset,
		       uint32_t size);

/* known_table_get(table, index, record): Id and place of a placed chunk. */
void known_table_get(const struct known_table *table, uint32_t index, struct chunk_record *record);

#endif
