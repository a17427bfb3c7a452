/*
 * Paths as text: absolute container paths and relative tree paths. Nothing
 * here touches a file system.
 */
#ifndef SIDESNAP_BASE_PATH_H
#define SIDESNAP_BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>

/*
 * path_clean(path):
 * The absolute path without doubled or trailing slashes and "." parts; ".." is
 * resolved as text and never climbs above "/". To be freed.
 */
char *path_clean(const char *path);

/* path_join(a, b): "a/b" with one slash between; to be freed. */
char *path_join(const char *directory, const char *name);

/* path_is_at_or_under(path, parent): Both cleaned and absolute; "/" holds everything. */
bool path_is_at_or_under(const char *path, const char *parent);

/* path_below(path, parent): ${path} relative to ${parent}, "" where equal, NULL where not under. */
const char *path_below(const char *path, const char *parent);

/*
 * path_is_safe_relative(path, size):
 * For names from untrusted catalogs: not empty, no NUL, not absolute, no empty,
 * "." or ".." component, each component at most 255 bytes, all at most 4095.
 */
bool path_is_safe_relative(const char *path, size_t size);

/*
 * path_compare(a, b):
 * The order of every catalog and scan: bytes unsigned, with '/' below every
 * other byte, so that a directory is followed at once by what is in it.
 */
int path_compare(const char *a, const char *b);

#endif
