/*
 * Walking a tree in the order of a catalog, without following anything, without
 * leaving its mount, in memory for the directories on the way down only.
 * Private to pkg/tree.
 */
#ifndef SIDESNAP_TREE_SCAN_H
#define SIDESNAP_TREE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "tree/beneath.h"
#include "tree/catalog.h"

struct scan_options {
	int root_fd;			    /* borrowed */
	const struct string_list *excluded; /* relative paths or globs; may be NULL; borrowed */
	bool allow_overlay;		    /* else a 0/0 character device is ERROR_REFUSED */
	bool sizes_only;		    /* open no files, read no attributes or links */
	/*
	 * Asked before a regular file is opened; true: it is given as is_unchanged, without fd
	 * and attributes. NULL: all are opened.
	 */
	bool (*is_unchanged)(void *context, const char *path, const struct file_status *status);
	void *context;
	struct string_list *excluded_found; /* what was left out is added; may be NULL */
	struct string_list *skipped;	    /* sockets and mounted files are added; may be NULL */
};

/* Everything is valid until the next call. */
struct scan_item {
	const char *path;	   /* "" is the root */
	int fd;			   /* of regular files, to be read; -1 else */
	struct file_status status; /* before anything was read */
	struct timespec looked;	   /* the clock that files get their times from, before that */
	bool is_unchanged;	   /* said the options' callback */
	bool is_mount_point;	   /* a directory with another mount on it: not descended */
	const char *link;
	const struct attribute *attributes;
	size_t attribute_count;
};

struct scan;

/* scan_open(options, err): NULL on failure: ERROR_UNSUPPORTED, ERROR_USAGE (an exclusion). */
struct scan *scan_open(const struct scan_options *options, struct error **err);
void scan_close(struct scan *scan); /* NULL ok */
CLEANUP_DEFINE(struct scan, scan_close)

/* scan_next(scan, item, err): 1 and an item, 0 at the end, -1. The root comes first. */
int scan_next(struct scan *scan, struct scan_item *item, struct error **err);

#endif
