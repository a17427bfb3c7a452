/*
 * A snapshot as a root directory shows it: the helper's own, another container's, or a
 * store in some directory.
 */
#ifndef SIDESNAP_AGENT_VIEW_H
#define SIDESNAP_AGENT_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "store/reader.h"
#include "tree/manifest.h"

struct snapshot_view {
	int root_fd, store_fd; /* -1: not open; owned */
	struct manifest manifest;
	struct store *store; /* NULL: no snapshot was read */
};

void view_init(struct snapshot_view *view);
void view_release(struct snapshot_view *view); /* closes both directories too */

/* view_open_root(view, err): The root of this process. */
int view_open_root(struct snapshot_view *view, struct error **err);

/*
 * view_open_container(view, container, err): That of another helper, whose processes this one
 * sees; only a process that is proven to be its own counts.
 */
int view_open_container(struct snapshot_view *view, const char *container, struct error **err);

/* view_open_store(view, make, err): The store below view->root_fd, as layer_open_store(). */
int view_open_store(struct snapshot_view *view, bool make, struct error **err);

/*
 * view_read_if_there(view, err): What the store below view->store_fd holds. Where that is
 * no snapshot the view stays empty.
 */
int view_read_if_there(struct snapshot_view *view, struct error **err);

/*
 * view_read_checked(view, expected, cache_size, err):
 * The same where one must be, else ERROR_NOT_FOUND. ERROR_DAMAGED when its manifest does not
 * have the hash ${expected}, which the image's label names (empty: none is known).
 * ${cache_size} as store_open().
 */
int view_read_checked(struct snapshot_view *view, const char *expected, size_t cache_size,
		      struct error **err);

#endif
