/*
 * The catalog: the full state of one tree as a stream of records in path order
 * (path_compare() of base/path.h), stored in chunks like data, so that the
 * catalog of an unchanged tree costs nothing again. Bytes: FORMAT.md.
 */
#ifndef SIDESNAP_TREE_CATALOG_H
#define SIDESNAP_TREE_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "store/reader.h"
#include "store/writer.h"

enum content_kind {
	CONTENT_HOLE,  /* ${length} zero bytes that are not allocated */
	CONTENT_CHUNK, /* ${length} bytes of a chunk, from ${offset} in it */
	CONTENT_HASH,  /* the whole content has this hash; its bytes are elsewhere */
	CONTENT_GAP,   /* never seen by readers: not said here, but by an earlier list */
};

/*
 * A file's content is a sequence of these; their lengths add up to its size.
 * HASH stands alone. A record that is a hard link has neither contents nor attributes.
 */
struct content {
	enum content_kind kind;
	uint8_t list; /* private to pkg/tree: which of the record's stored lists says so */
	uint64_t length;
	struct chunk_ref chunk; /* CHUNK; for HASH only its id */
	uint32_t offset;	/* CHUNK: where in the chunk */
};

/* What the source's stat said: same fingerprint and not hot means unchanged. */
struct fingerprint {
	uint64_t device, inode;
	struct timespec ctime;
};

/* catalog_type_name(mode): "file", "directory", "symlink", "fifo", "char", "block". */
const char *catalog_type_name(mode_t mode);

struct content_lists; /* tree/record.h: how a record is stored */

struct attribute { /* an extended attribute, raw */
	const char *name;
	const void *value;
	size_t size;
};

enum entry_flags {
	ENTRY_DELETED = 1, /* own files: removed from the image below */
	ENTRY_HOT =
		2, /* its fingerprint proves nothing: changed while or just before it was read */
	ENTRY_LINKED = 4, /* it had several names: later records may be hard links to it */
};

/* One record. When read, everything pointed to is valid until the next record. */
struct catalog_entry {
	const char *path; /* relative, "" is the root itself */
	uint32_t flags;	  /* enum entry_flags */
	mode_t mode;	  /* with type */
	uid_t uid;
	gid_t gid;
	dev_t device;  /* of device nodes */
	uint64_t size; /* regular files */
	struct timespec mtime;
	struct fingerprint fingerprint;
	const char *link;     /* symlink: its target */
	const char *hardlink; /* the earlier record that this is another name of; else NULL */
	const struct attribute *attributes; /* sorted by name */
	size_t attribute_count;
	const struct content *contents;
	size_t content_count;
	const struct content_lists *lists; /* private to pkg/tree; may be NULL */
};

/* Where a stored catalog is: references to the chunks of its list of chunks. */
struct catalog_root {
	struct chunk_ref *refs; /* owned */
	size_t count;
};

void catalog_root_release(struct catalog_root *root);

/* catalog_root_copy(to, from): ${to} is empty before. */
void catalog_root_copy(struct catalog_root *to, const struct catalog_root *from);

/*
 * catalog_encode(buffer, entry):
 * Append one record in its canonical form, all of whose contents stand in it. -1 when the buffer's limit is hit or a part is over its cap
 * (path 4095, link 4095, attributes 64 KiB each and 1 MiB in all).
 */
int catalog_encode(struct buffer *buffer, const struct catalog_entry *entry);

/*
 * catalog_hash_update(hasher, entry): Adds the record to a tree's hash: all but
 * fingerprint and the flags HOT and LINKED, in the canonical form of its encoding
 * (FORMAT.md), so that neighbouring holes or parts of one chunk count as one.
 */
void catalog_hash_update(struct hasher *hasher, const struct catalog_entry *entry);

/* A stored catalog being read; memory is bounded by its largest record. */
struct catalog_reader;

/* catalog_open(store, root, err): Read a stored catalog; everything is checked. NULL on failure. */
struct catalog_reader *catalog_open(struct store *store, const struct catalog_root *root,
				    struct error **err);

/*
 * catalog_next(reader, entry, err):
 * 1 and a record, 0 at the end, -1 when damaged (order, paths that climb, lengths
 * that do not add up, unknown types: all are damage). The first record is "".
 */
int catalog_next(struct catalog_reader *reader, struct catalog_entry *entry, struct error **err);

/*
 * catalog_record(reader, size): The canonical bytes of the record that catalog_next() gave
 * last, as record_decode() takes them, valid as long.
 */
const void *catalog_record(const struct catalog_reader *reader, size_t *size);

/*
 * catalog_next_brief(reader, entry, err): As catalog_next(), but what a file is made of is not
 * read: ${entry} has its size and no contents. There is no catalog_record() then.
 */
int catalog_next_brief(struct catalog_reader *reader, struct catalog_entry *entry,
		       struct error **err);

/* catalog_complete(reader, entry, err): The record that catalog_next_brief() gave last, whole. */
int catalog_complete(struct catalog_reader *reader, struct catalog_entry *entry,
		     struct error **err);

/* catalog_stored(reader, size): The stored bytes of that record; the same bytes say the same. */
const void *catalog_stored(const struct catalog_reader *reader, size_t *size);

/*
 * catalog_skip_same(a, b, skipped, err):
 * Go over records in both readers that are the same in both, as long as the chunks that they
 * are in tell: they are read and checked once. *skipped is how many. 0 or -1.
 */
int catalog_skip_same(struct catalog_reader *a, struct catalog_reader *b, uint64_t *skipped,
		      struct error **err);

/* catalog_is_partial(reader): Own files or a seed: parents may be missing, no full tree. */
bool catalog_is_partial(const struct catalog_reader *reader);

void catalog_close(struct catalog_reader *reader); /* NULL ok */
CLEANUP_DEFINE(struct catalog_reader, catalog_close)

#endif
