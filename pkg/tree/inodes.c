/* A hash table from (device, inode) to the first path. */
#include "tree/inodes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"

void inode_map_init(struct inode_map *map)
{
	memset(map, 0, sizeof(*map));
}

void inode_map_release(struct inode_map *map)
{
	for (size_t i = 0; i < map->capacity; i++)
		free(map->slots[i].path);
	free(map->slots);
	inode_map_init(map);
}

static struct inode_slot *find_slot(const struct inode_map *map, uint64_t device, uint64_t inode)
{
	uint64_t key = (inode ^ device << 32) * UINT64_C(0x9e3779b97f4a7c15);
	size_t i = (size_t)(key >> 20) & (map->capacity - 1);

	while (map->slots[i].path &&
	       (map->slots[i].inode != inode || map->slots[i].device != device))
		i = (i + 1) & (map->capacity - 1);
	return &map->slots[i];
}

static void inode_map_grow(struct inode_map *map)
{
	struct inode_map larger = {.capacity = map->capacity ? 2 * map->capacity : 256,
				   .count = map->count};

	larger.slots = memory_zalloc(larger.capacity * sizeof(*larger.slots));
	for (size_t i = 0; i < map->capacity; i++) {
		const struct inode_slot *slot = &map->slots[i];

		if (slot->path)
			*find_slot(&larger, slot->device, slot->inode) = *slot;
	}
	free(map->slots);
	*map = larger;
}

bool inode_map_has(const struct inode_map *map, const struct file_status *status)
{
	const struct inode_slot *slot;

	if (!map->count)
		return false;
	slot = find_slot(map, status->device, status->inode);
	return slot->path && slot->type == (status->mode & S_IFMT);
}

const char *inode_map_seen(struct inode_map *map, const struct file_status *status,
			   const char *path)
{
	struct inode_slot *slot;

	if (2 * (map->count + 1) > map->capacity)
		inode_map_grow(map);
	slot = find_slot(map, status->device, status->inode);
	/* the type guards against an inode number that was used again meanwhile */
	if (slot->path && slot->type == (status->mode & S_IFMT))
		return slot->path;
	if (!slot->path)
		map->count++;
	free(slot->path);
	slot->path = memory_strdup(path);
	slot->device = status->device;
	slot->inode = status->inode;
	slot->type = status->mode & S_IFMT;
	return NULL;
}
