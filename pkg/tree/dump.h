/*
 * A dump in a snapshot: a tree of kind TREE_DUMP holds a root and one regular file, which is
 * what the database's own tool has written. It is read from its begin to its end, once, into
 * the tool that loads it; nothing of it is ever a file of a volume.
 */
#ifndef SIDESNAP_TREE_DUMP_H
#define SIDESNAP_TREE_DUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "store/reader.h"
#include "tree/manifest.h"

#define DUMP_ENTRIES 2 /* records of its catalog: the root, the file */

/* dump_name_is_valid(name): Whether a dump's file may be called so: one component, at most 255 bytes. */
bool dump_name_is_valid(const char *name);

struct dump_reader;

/*
 * dump_open(store, tree, err):
 * The catalog is read and checked: a root and one regular file of the size that the manifest
 * says, in whole chunks, nothing else. ERROR_DAMAGED. NULL on failure. Both are borrowed.
 */
struct dump_reader *dump_open(struct store *store, const struct tree_record *tree,
			      struct error **err);
void dump_close(struct dump_reader *reader); /* NULL ok */
CLEANUP_DEFINE(struct dump_reader, dump_close)

/* dump_name(reader): Of the file. dump_size(reader): Its bytes. */
const char *dump_name(const struct dump_reader *reader);
uint64_t dump_size(const struct dump_reader *reader);

/*
 * dump_next(reader, data, size, err): The next bytes, checked by their hash, valid until the
 * next call. 1, 0 at the end, -1.
 */
int dump_next(struct dump_reader *reader, const uint8_t **data, size_t *size, struct error **err);

#endif
