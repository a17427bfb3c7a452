/*
 * Open addressing over entries in fixed segments: growth re-makes only the
 * slots, and entries may be filled by their claimant without the lock.
 */
#include "store/known.h"

#include <stdlib.h>
#include <string.h>

#define SEGMENT_BITS 16
#define SEGMENT_ENTRIES (1U << SEGMENT_BITS)
#define SEGMENTS_MAX (1U << (32 - SEGMENT_BITS))
#define ENTRIES_MAX (UINT32_MAX - 1)
#define SLOTS_MIN (1U << 14)

/* A place is packed: 16 bits of frame, 22 of the offset, 18 of the size less one. */
#define OFFSET_BITS 22
#define SIZE_BITS 18
_Static_assert(FRAME_RAW_MAX <= 1U << OFFSET_BITS, "offset in a frame");
_Static_assert(CHUNK_SIZE_MAX <= 1U << SIZE_BITS, "size of a chunk");

struct known_entry {
	struct hash id;
	uint64_t place;
};

static struct known_entry *entry_at(const struct known_table *table, uint32_t index)
{
	return &table->segments[index >> SEGMENT_BITS][index & (SEGMENT_ENTRIES - 1)];
}

static uint64_t slot_of(const struct known_table *table, const struct hash *id)
{
	return format_get_u64(id->bytes) & (table->slot_count - 1);
}

static int out_of_memory(struct error **err, const struct known_table *table)
{
	return error_set(err, ERROR_FAILED, "no memory for the table of %u chunks", table->count);
}

int known_table_init(struct known_table *table, struct error **err)
{
	memset(table, 0, sizeof(*table));
	pthread_mutex_init(&table->lock, NULL);
	table->segments = calloc(SEGMENTS_MAX, sizeof(struct known_entry *));
	table->slots = calloc(SLOTS_MIN, sizeof(*table->slots));
	table->slot_count = SLOTS_MIN;
	if (!table->segments || !table->slots)
		return out_of_memory(err, table);
	return 0;
}

void known_table_release(struct known_table *table)
{
	for (size_t i = 0; table->segments && i < SEGMENTS_MAX && table->segments[i]; i++)
		free(table->segments[i]);
	free(table->segments);
	free(table->slots);
	pthread_mutex_destroy(&table->lock);
}

static void insert_slot(struct known_table *table, const struct hash *id, uint32_t index)
{
	uint64_t slot = slot_of(table, id);

	while (table->slots[slot])
		slot = (slot + 1) & (table->slot_count - 1);
	table->slots[slot] = index + 1;
}

/* Twice the slots before five eighths are in use: a miss then costs about two probes. */
static int grow(struct known_table *table, struct error **err)
{
	uint64_t count = table->slot_count * 2;
	uint32_t *slots = calloc(count, sizeof(*slots));

	if (!slots)
		return out_of_memory(err, table);
	free(table->slots);
	table->slots = slots;
	table->slot_count = count;
	for (uint32_t i = 0; i < table->count; i++)
		insert_slot(table, &entry_at(table, i)->id, i);
	return 0;
}

/* The index of a new entry for ${id}, or KNOWN_ALREADY, in *index. */
static int claim_one(struct known_table *table, const struct hash *id, uint32_t *index,
		     struct error **err)
{
	uint64_t slot = slot_of(table, id);
	struct known_entry **segment;

	for (; table->slots[slot]; slot = (slot + 1) & (table->slot_count - 1)) {
		if (hash_equal(&entry_at(table, table->slots[slot] - 1)->id, id)) {
			*index = KNOWN_ALREADY;
			return 0;
		}
	}
	if (table->count >= ENTRIES_MAX)
		return error_set(err, ERROR_UNSUPPORTED, "more than %u chunks in one run",
				 ENTRIES_MAX);
	segment = &table->segments[table->count >> SEGMENT_BITS];
	if (!*segment && !(*segment = malloc(SEGMENT_ENTRIES * sizeof(**segment))))
		return out_of_memory(err, table);
	*index = table->count++;
	entry_at(table, *index)->id = *id;
	table->slots[slot] = *index + 1;
	if (table->count > table->slot_count / 8 * 5)
		return grow(table, err);
	return 0;
}

int known_table_claim(struct known_table *table, const struct chunk_ref *refs, size_t count,
		      uint32_t *claims, struct error **err)
{
	int result = 0;

	pthread_mutex_lock(&table->lock);
	for (size_t i = 0; i < count; i++)
		if (claims[i] != KNOWN_ALREADY)
			__builtin_prefetch(&table->slots[slot_of(table, &refs[i].id)]);
	for (size_t i = 0; i < count && result == 0; i++)
		if (claims[i] != KNOWN_ALREADY)
			result = claim_one(table, &refs[i].id, &claims[i], err);
	pthread_mutex_unlock(&table->lock);
	return result;
}

void known_table_place(struct known_table *table, uint32_t index, uint32_t frame, uint32_t offset,
		       uint32_t size)
{
	entry_at(table, index)->place = (uint64_t)frame << (OFFSET_BITS + SIZE_BITS) |
					(uint64_t)offset << SIZE_BITS | (size - 1);
}

void known_table_get(const struct known_table *table, uint32_t index, struct chunk_record *record)
{
	const struct known_entry *entry = entry_at(table, index);

	record->id = entry->id;
	record->size = (uint32_t)(entry->place & ((1U << SIZE_BITS) - 1)) + 1;
	record->offset = (uint32_t)(entry->place >> SIZE_BITS) & ((1U << OFFSET_BITS) - 1);
	record->frame = (uint32_t)(entry->place >> (OFFSET_BITS + SIZE_BITS));
}
