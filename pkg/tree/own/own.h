/*
 * Own files: what a container changed in its own file system. A helper that was made
 * from the parent image gets them as real files of its layer, so that the image reads
 * right without us, and a catalog keeps what a commit loses (nanoseconds, attributes).
 *
 * The parent image is not trusted: nothing is written or removed through a symbolic
 * link or across a mount point of the helper.
 */
#ifndef SIDESNAP_TREE_OWN_H
#define SIDESNAP_TREE_OWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "store/reader.h"
#include "store/writer.h"
#include "tree/capture/capture.h"
#include "tree/catalog.h"
#include "tree/manifest.h"

/* The root directory of a container, seen through one of its processes. */
struct own_root {
	int fd;		 /* to be closed; -1: none */
	unsigned proven; /* processes */
	char *overlay; /* options of the mount where it is of type overlay, to be freed; else NULL */
};

/*
 * own_find_root(proc, container, root, err):
 * Count the processes below ${proc} ("/proc") that are proven to be in the container
 * with that 64-digit id, by their cgroup or, where that names no container, by the
 * source of their /etc/hostname; open the root of the first of them (process 1 if it
 * is one). That none is proven is no failure.
 */
int own_find_root(const char *proc, const char *container, struct own_root *root,
		  struct error **err);

/*
 * own_add_hidden(list): Add the absolute paths that engines and sidesnap make in every
 * container: they are nobody's own files.
 */
void own_add_hidden(struct string_list *list);

/*
 * own_source(container): A number for the container with that id, for fingerprints: its
 * first 16 digits. The device of an overlay file system is another after each start.
 */
uint64_t own_source(const char *container);

struct own_options {
	int target_fd; /* the target's root directory; -1 for a stream. Borrowed. */
	int layer_fd;  /* the helper's root directory. Borrowed. */
	const struct string_list
		*dropped; /* absolute paths never looked at or below; may be NULL */
	const struct string_list
		*included; /* absolute paths of single files behind mounts; may be NULL */
	bool measure_only; /* count, change nothing */
	uint64_t source; /* which container it is: fingerprints count for that one only; 0: none */
	bool is_new_run; /* the machine was restarted since the parent: no fingerprint of it counts */
	int scratch_fd; /* directory for a file without a name, in the layer; borrowed */
	const char
		*mount_options; /* of the target's root, where that is an overlay; borrowed; NULL */
	store_permit *permit;	/* asked before content is written; may be NULL */
	void *permit_context;
	int (*progress)(void *context, uint64_t files, uint64_t bytes, struct error **err);
	void *progress_context; /* progress may be NULL */
};

struct own_totals {
	uint64_t files, bytes, deleted;
	uint64_t read_bytes; /* by own_run(), or from a stream */
};

struct own;

/* own_new(options): Never NULL. The options are copied, what they point to is borrowed. */
struct own *own_new(const struct own_options *options);
void own_free(struct own *own); /* NULL ok */
CLEANUP_DEFINE(struct own, own_free)

/* own_add_candidate(own, path): Look at this path, absolute or relative to the root. */
void own_add_candidate(struct own *own, const char *path);

/* own_add_parent(own, store, root, err): Every path of the parent's own catalog is a candidate. */
int own_add_parent(struct own *own, struct store *store, const struct catalog_root *root,
		   struct error **err);

/* own_paths(own): All candidates so far, relative, sorted by path_compare(). Borrowed. */
const struct string_list *own_paths(struct own *own);

/*
 * own_precopy(own, err):
 * While the target runs: find what differs from the layer, and bring the layer to that state,
 * so that own_run() has only to do what has changed since. Where the target's root is no
 * overlay file system over the layer's own it does nothing, and own_is_covered() is false.
 */
int own_precopy(struct own *own, struct error **err);

/* own_is_covered(own): Whether own_run() finds all changes by itself: no list of them is needed. */
bool own_is_covered(const struct own *own);

/*
 * own_run(own, err):
 * Compare each candidate with the target, bring the layer to the same state, note the
 * records. A directory that the parent image does not have is taken whole; in one that
 * both have, what only the parent has counts as deleted.
 */
int own_run(struct own *own, struct error **err);

/* One member of a stream. Strings are borrowed for the call. */
struct own_member {
	const char *path; /* relative, "" is the root */
	bool deleted;
	bool whole;  /* a directory: all that is in it follows, and nothing else is in it */
	mode_t mode; /* with type */
	uid_t uid;
	gid_t gid;
	dev_t device;
	uint64_t size;
	struct timespec mtime;
	const char *link, *hardlink; /* NULL: none */
	const struct hash *content;  /* seeds: of the bytes, which do not follow then; else NULL */
	const struct attribute *attributes;
	size_t attribute_count;
};

/*
 * own_stream_entry(own, member, err), own_stream_data(), own_stream_end():
 * The same from a stream: a member, the bytes of it, the next. Ends with own_stream_end(),
 * after which candidates that the stream did not name are kept as the parent has them, but
 * below a whole directory they are deleted.
 */
int own_stream_entry(struct own *own, const struct own_member *member, struct error **err);
int own_stream_data(struct own *own, const void *data, size_t size, struct error **err);
int own_stream_end(struct own *own, struct error **err);

/*
 * own_write_catalog(own, capture, record, err): The catalog of all that was found, into
 * ${record}. After a pre-copy the directories of the layer get their times here.
 */
int own_write_catalog(struct own *own, struct capture *capture, struct tree_record *record,
		      struct error **err);

void own_get_totals(const struct own *own, struct own_totals *totals);

/*
 * own_verify(layer_fd, store, tree, check_files, err):
 * Read the catalog; with check_files compare every record with the files below
 * ${layer_fd}: type, content, and that what was deleted is absent. ERROR_DAMAGED.
 */
int own_verify(int layer_fd, struct store *store, const struct tree_record *tree, bool check_files,
	       struct error **err);

/*
 * own_put_right(layer_fd, store, tree, err):
 * Give files of the layer the times and attributes that the commit lost, where they are
 * still what was captured. What is refused (a read-only root, no right) is left. Only a
 * damaged catalog is an error. Attributes that carry privilege are not touched.
 */
int own_put_right(int layer_fd, struct store *store, const struct tree_record *tree,
		  struct error **err);

#endif
