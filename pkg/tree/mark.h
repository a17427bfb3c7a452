/*
 * The mark on a volume: which tree it was restored from, and whether that was
 * finished. It is an extended attribute of the volume's root, or a dot file in it
 * where the file system has none. It tells a container's first start from a second,
 * and an interrupted restore from somebody else's data. Never captured, never
 * deleted by a restore.
 */
#ifndef SIDESNAP_TREE_MARK_H
#define SIDESNAP_TREE_MARK_H

#include <stdbool.h>

#include "base/error.h"
#include "store/hash.h"

#define MARK_ATTRIBUTE "user.sidesnap.tree"
#define MARK_FILE ".sidesnap-tree" /* only directly in the root of a tree */

enum mark_state {
	MARK_NONE,	/* none, or one that cannot be understood */
	MARK_RESTORING, /* a restore of ${tree} began and has not ended */
	MARK_RESTORED,	/* it ended; what is there now grew from it */
};

struct mark {
	enum mark_state state;
	struct hash tree; /* tree_record.hash */
	bool replaced;	  /* SIDESNAP_RESTORE=replace has acted for this tree */
};

/* mark_read(root_fd, mark): Attribute first, then the file. ${root_fd} is no O_PATH one. */
void mark_read(int root_fd, struct mark *mark);

/*
 * mark_write(root_fd, mark, err):
 * Set it, durably; MARK_NONE removes it. The attribute is preferred; the file is
 * made when that is refused, and removed when it is not.
 */
int mark_write(int root_fd, const struct mark *mark, struct error **err);

/*
 * mark_write_attribute(root_fd, mark, err):
 * As mark_write(), but never by a file, and one that is there goes: for a directory whose
 * service refuses to fill it when anything is in it. 1: the file system takes no attribute, and
 * there is no mark now.
 */
int mark_write_attribute(int root_fd, const struct mark *mark, struct error **err);

/*
 * mark_lock(root_fd, wait_ms, err):
 * The exclusive lock on a volume that a restore holds (flock of its root directory,
 * seen by all containers of the host), released by closing ${root_fd}. ERROR_BUSY after
 * ${wait_ms}. File systems that know no such lock count as locked.
 */
int mark_lock(int root_fd, unsigned wait_ms, struct error **err);

#endif
