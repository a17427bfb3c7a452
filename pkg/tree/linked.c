/* A hash set of paths, kept as their 64-bit hashes. */
#include "tree/linked.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LINKED_MAX (1UL << 26)

void linked_set_init(struct linked_set *set)
{
	memset(set, 0, sizeof(*set));
}

void linked_set_release(struct linked_set *set)
{
	free(set->slots);
	linked_set_init(set);
}

static uint64_t path_key(const char *path, mode_t mode)
{
	uint64_t key = UINT64_C(0xcbf29ce484222325) ^ (mode & S_IFMT);

	for (; *path; path++)
		key = (key ^ (uint8_t)*path) * UINT64_C(0x100000001b3);
	key ^= key >> 29;
	return key ? key : 1;
}

/* Where a key is, or the free slot where it belongs. */
static size_t find_slot(const struct linked_set *set, uint64_t key)
{
	size_t slot = (size_t)key & (set->capacity - 1);

	while (set->slots[slot] && set->slots[slot] != key)
		slot = (slot + 1) & (set->capacity - 1);
	return slot;
}

static int linked_set_grow(struct linked_set *set)
{
	struct linked_set larger = {.capacity = set->capacity ? 2 * set->capacity : 1024};

	if (set->count >= LINKED_MAX)
		return -1;
	larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
	if (!larger.slots)
		return -1;
	for (size_t i = 0; i < set->capacity; i++) {
		if (set->slots[i])
			larger.slots[find_slot(&larger, set->slots[i])] = set->slots[i];
	}
	larger.count = set->count;
	free(set->slots);
	*set = larger;
	return 0;
}

int linked_set_add(struct linked_set *set, const char *path, mode_t mode)
{
	uint64_t key = path_key(path, mode);
	size_t slot;

	if (2 * (set->count + 1) > set->capacity && linked_set_grow(set) < 0)
		return -1;
	slot = find_slot(set, key);
	if (!set->slots[slot]) {
		set->slots[slot] = key;
		set->count++;
	}
	return 0;
}

bool linked_set_has(const struct linked_set *set, const char *path, mode_t mode)
{
	return set->capacity && set->slots[find_slot(set, path_key(path, mode))];
}
