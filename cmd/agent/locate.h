/*
 * A path of a snapshot as its container would see it: volumes over the image, symbolic
 * links followed across both, and never out of it.
 */
#ifndef SIDESNAP_AGENT_LOCATE_H
#define SIDESNAP_AGENT_LOCATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "tree/manifest.h"
#include "view.h"

struct location {
	char *path;			/* absolute, without links on the way; owned */
	const struct tree_record *tree; /* that it lies in; NULL: the image */
	char *relative; /* to the tree's root or the image's: "" is that itself; owned */
	mode_t mode;	/* with type */
	uint64_t size;	/* of regular files */
};

/*
 * locate(view, path, follow, location, err):
 * ${path} is absolute. With ${follow} a link at its end is followed, too; else that is the place.
 * ERROR_NOT_FOUND where there is nothing, or something that is no part of the snapshot.
 */
int locate(const struct snapshot_view *view, const char *path, bool follow,
	   struct location *location, struct error **err);
void location_release(struct location *location);

/*
 * locate_tree(manifest, path, relative): The tree that an absolute path lies in, the innermost, and
 * where in it (borrowed from ${path}); NULL: none.
 */
const struct tree_record *locate_tree(const struct manifest *manifest, const char *path,
				      const char **relative);

#endif
