/* Files with several names, by inode: eight words and a path for each. Private to pkg/tree. */
#ifndef SIDESNAP_TREE_INODES_H
#define SIDESNAP_TREE_INODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tree/beneath.h"

struct inode_slot {
	uint64_t device, inode;
	uint32_t type;
	char *path; /* NULL: free slot */
};

struct inode_map {
	struct inode_slot *slots;
	size_t capacity, count;
};

void inode_map_init(struct inode_map *map);
void inode_map_release(struct inode_map *map);

/*
 * inode_map_seen(map, status, path): The first path under which that file was seen
 * (borrowed until the map is released), or NULL: this is the first.
 */
const char *inode_map_seen(struct inode_map *map, const struct file_status *status,
			   const char *path);

/* inode_map_has(map, status): Whether that file was seen. */
bool inode_map_has(const struct inode_map *map, const struct file_status *status);

#endif
