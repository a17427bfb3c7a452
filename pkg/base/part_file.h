/*
 * A file that gets its name only when it is whole and on the disk: until then it is a neighbour with
 * another name, which goes away with whatever went wrong.
 */
#ifndef SIDESNAP_BASE_PART_FILE_H
#define SIDESNAP_BASE_PART_FILE_H

#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"

struct part_file;

/*
 * part_file_open(path, err):
 * Begin; readable by its owner only. A link is followed: what it names is replaced. ERROR_USAGE
 * where ${path} is something else than a file.
 */
struct part_file *part_file_open(const char *path, struct error **err);

/* part_file_write(file, data, size, err): The next bytes. */
int part_file_write(struct part_file *file, const void *data, size_t size, struct error **err);

/* part_file_finish(file, err): All is there: sync it, and give it its name, in place of an earlier file. */
int part_file_finish(struct part_file *file, struct error **err);

/* part_file_free(file): One that was not finished is removed. NULL ok. */
void part_file_free(struct part_file *file);
CLEANUP_DEFINE(struct part_file, part_file_free)

#endif
