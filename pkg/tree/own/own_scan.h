/*
 * Which of the target's own files differ from the layer, found from its directories alone:
 * on an overlay file system whatever is made, removed, renamed, linked or changed in a
 * directory of an image below changes the ctime of that directory (mtime is put back when a
 * file is copied up). So a directory that is the image's own in both has nothing new in it,
 * and one that has not changed since the last look has nothing new since. Private to own*.c.
 */
#ifndef SIDESNAP_TREE_OWN_SCAN_H
#define SIDESNAP_TREE_OWN_SCAN_H

#include <stdbool.h>

#include "base/error.h"
#include "tree/beneath.h"

struct own_scan;

/* How a file looked, and the coarse clock from before that. */
struct own_look {
	struct file_status status;
	struct timespec looked;
};

struct own_scan_options {
	int target_fd, layer_fd; /* borrowed */
	/* Whether nothing at or below a path (relative) counts. */
	bool (*is_dropped)(void *context, const char *path);
	/* Whether a directory is known to be as it was when all in it that differs was found. */
	bool (*is_known)(void *context, const char *path, const struct file_status *status);
	/* Something that may differ: not there in the layer, not there in the target, or another. */
	void (*found)(void *context, const char *path, const struct own_look *look);
	void *context;
};

/* own_scan_new(options): Never NULL. */
struct own_scan *own_scan_new(const struct own_scan_options *options);
void own_scan_free(struct own_scan *scan); /* NULL ok */

/*
 * own_scan_run(scan, err):
 * The first time: walk all directories of the target, never into another mount, and give
 * what differs from the layer. After that: give what may have changed since the time before;
 * of directories that have not changed only the status is asked. What vanishes meanwhile
 * is no error: the directory that held it has changed. ${look} is NULL for what is not there.
 */
int own_scan_run(struct own_scan *scan, struct error **err);

/*
 * own_scan_is_useful(scan): Whether the two have anything in common by status: else their
 * layers are not the same files, and everything was given.
 */
bool own_scan_is_useful(const struct own_scan *scan);

#endif
