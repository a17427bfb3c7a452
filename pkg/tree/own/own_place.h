/*
 * Places below a root directory, opened without leaving it, and changes to them.
 * Private to own*.c, seed.c and the agent's own use.
 */
#ifndef SIDESNAP_TREE_OWN_PLACE_H
#define SIDESNAP_TREE_OWN_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/text.h"
#include "tree/catalog.h"

/*
 * place_open(root_fd, path, flags):
 * openat2() of a relative path ("" is the root itself) that follows no symbolic link
 * and crosses no mount point. -1 with errno: ELOOP a link, EXDEV a mount point.
 */
int place_open(int root_fd, const char *path, int flags);

/*
 * place_parent(root_fd, path, name):
 * The directory that holds ${path}, opened O_PATH; *name points at the last part of
 * ${path} ("." for the root itself). -1 with errno.
 */
int place_parent(int root_fd, const char *path, const char **name);

/* place_is_absent(number): Whether this errno means that there is nothing at a path. */
bool place_is_absent(int number);

/*
 * place_stat(root_fd, path, status):
 * 0 and the status (links not followed), or -1 with errno; EXDEV for a mount point.
 */
int place_stat(int root_fd, const char *path, struct stat *status);

/* place_list(root_fd, path, names, err): Names in a directory, sorted, without "." and "..". */
int place_list(int root_fd, const char *path, struct string_list *names, struct error **err);

/*
 * place_remove(parent_fd, name, err):
 * Remove a file or a whole directory. Mount points, and what holds one, stay. No
 * failure when it is absent.
 */
int place_remove(int parent_fd, const char *name, struct error **err);

/* Extended attributes of one file, owned. */
struct place_attributes {
	struct attribute *list;
	size_t count;
};

/* place_read_attributes(parent_fd, name, attributes): Those that are kept; what cannot be read is none. */
void place_read_attributes(int parent_fd, const char *name, struct place_attributes *attributes);
void place_attributes_copy(struct place_attributes *to, const struct attribute *list, size_t count);
void place_attributes_release(struct place_attributes *attributes);
bool place_attributes_equal(const struct attribute *a, size_t a_count, const struct attribute *b,
			    size_t b_count);

/* place_write_attributes(parent_fd, name, list, count): Make it have these; what is refused is left out. */
void place_write_attributes(int parent_fd, const char *name, const struct attribute *list,
			    size_t count);

/* place_read_link(parent_fd, name): The target of a symbolic link, to be freed; NULL. */
char *place_read_link(int parent_fd, const char *name);

#endif
