/* Reading the extended attributes that are kept (attribute_is_kept()). Private to pkg/tree. */
#ifndef SIDESNAP_TREE_ATTRIBUTES_H
#define SIDESNAP_TREE_ATTRIBUTES_H

#include <stddef.h>

#include "tree/catalog.h"

/* Storage for one file's attributes, used again for the next. */
struct attribute_space {
	char *names; /* the kernel's list */
	char *values;
	size_t value_size, value_capacity;
	struct attribute *items;
	size_t count, capacity;
};

void attribute_space_init(struct attribute_space *space);
void attribute_space_release(struct attribute_space *space);

/*
 * attributes_read(fd, space): Kept attributes of an open file, sorted, into
 * space->items and count; none where the file system has none. An O_PATH fd is read
 * through /proc. 0 or -1 with errno (E2BIG: more than a catalog takes).
 */
int attributes_read(int fd, bool is_path_fd, struct attribute_space *space);

#endif
