/* Extended attributes as the kernel lists them, in one buffer that is used again. */
#include "tree/attributes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/memory.h"
#include "tree/format.h"
#include "tree/record.h"

#define LIST_SIZE_MAX 65536 /* XATTR_LIST_MAX */

void attribute_space_init(struct attribute_space *space)
{
	memset(space, 0, sizeof(*space));
}

void attribute_space_release(struct attribute_space *space)
{
	free(space->names);
	free(space->values);
	free(space->items);
	attribute_space_init(space);
}

static int compare_attributes(const void *a, const void *b)
{
	return strcmp(((const struct attribute *)a)->name, ((const struct attribute *)b)->name);
}

static ssize_t list_names(int fd, const char *path, struct attribute_space *space)
{
	ssize_t size;

	if (!space->names)
		space->names = memory_alloc(LIST_SIZE_MAX);
	size = path ? listxattr(path, space->names, LIST_SIZE_MAX)
		    : flistxattr(fd, space->names, LIST_SIZE_MAX);
	if (size < 0 && (errno == ENOTSUP || errno == ENOSYS))
		return 0;
	/* no /proc: an O_PATH fd (device node, FIFO) then counts as having none */
	if (size < 0 && path && errno == ENOENT)
		return 0;
	return size;
}

/* Offsets while the arena may still move; made pointers at the end. */
static int read_value(int fd, const char *path, struct attribute_space *space, const char *name)
{
	struct attribute *item;
	ssize_t size;

	if (space->value_capacity - space->value_size < RECORD_ATTRIBUTE_SIZE_MAX) {
		space->value_capacity = 2 * space->value_capacity + 2UL * RECORD_ATTRIBUTE_SIZE_MAX;
		space->values = memory_array(space->values, space->value_capacity, 1);
	}
	size = path ? getxattr(path, name, space->values + space->value_size,
			       RECORD_ATTRIBUTE_SIZE_MAX)
		    : fgetxattr(fd, name, space->values + space->value_size,
				RECORD_ATTRIBUTE_SIZE_MAX);
	if (size < 0)
		return errno == ENODATA ? 0 : -1; /* removed meanwhile */
	if (space->value_size + (size_t)size > RECORD_ATTRIBUTES_SIZE_MAX ||
	    space->count == RECORD_ATTRIBUTE_COUNT_MAX) {
		errno = E2BIG;
		return -1;
	}
	if (space->count == space->capacity) {
		space->capacity = 2 * space->capacity + 8;
		space->items = memory_array(space->items, space->capacity, sizeof(*space->items));
	}
	item = &space->items[space->count++];
	item->name = name;
	item->value = NULL;
	item->size = (size_t)size;
	space->value_size += (size_t)size;
	return 0;
}

int attributes_read(int fd, bool is_path_fd, struct attribute_space *space)
{
	char proc[40];
	const char *path = NULL, *value;
	ssize_t size;

	space->count = space->value_size = 0;
	if (is_path_fd) {
		snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
		path = proc;
	}
	size = list_names(fd, path, space);
	if (size <= 0)
		return (int)size;
	for (const char *name = space->names; name < space->names + size;
	     name += strlen(name) + 1) {
		if (attribute_is_kept(name) && read_value(fd, path, space, name) < 0)
			return -1;
	}
	value = space->values;
	for (size_t i = 0; i < space->count; i++) {
		space->items[i].value = value;
		value += space->items[i].size;
	}
	if (space->count > 1)
		qsort(space->items, space->count, sizeof(*space->items), compare_attributes);
	return 0;
}
