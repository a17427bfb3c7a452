/*
 * An image may be anybody's, so its store must be a real directory of root's, and what is
 * read of it is checked by hash.
 */
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layer.h"
#include "tree/own/own.h"

void view_init(struct snapshot_view *view)
{
	memset(view, 0, sizeof(*view));
	view->root_fd = view->store_fd = -1;
	manifest_init(&view->manifest);
}

void view_release(struct snapshot_view *view)
{
	store_free(view->store);
	manifest_release(&view->manifest);
	if (view->store_fd >= 0)
		close(view->store_fd);
	if (view->root_fd >= 0)
		close(view->root_fd);
}

int view_open_root(struct snapshot_view *view, struct error **err)
{
	view->root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return view->root_fd < 0 ? error_set_errno(err, errno, "cannot open the helper's root") : 0;
}

int view_open_container(struct snapshot_view *view, const char *container, struct error **err)
{
	struct own_root root;

	if (own_find_root("/proc", container, &root, err) < 0)
		return -1;
	view->root_fd = root.fd;
	free(root.overlay);
	return view->root_fd < 0 ? error_set(err, ERROR_FAILED,
					     "no process can be proven to be in the helper that "
					     "shows the snapshot")
				 : 0;
}

int view_open_store(struct snapshot_view *view, bool make, struct error **err)
{
	view->store_fd = layer_open_store(view->root_fd, make, err);
	return view->store_fd < 0 ? -1 : 0;
}

int view_read_if_there(struct snapshot_view *view, struct error **err)
{
	struct error *problem = NULL;

	if (manifest_read(&view->manifest, view->store_fd, NULL, &problem) < 0) {
		if (problem && problem->kind == ERROR_NOT_FOUND) {
			error_free(problem);
			return 0;
		}
		error_append(err, problem);
		return -1;
	}
	view->store = manifest_store(&view->manifest, view->store_fd, err);
	return view->store ? 0 : -1;
}

int view_read_checked(struct snapshot_view *view, const char *expected, size_t cache_size,
		      struct error **err)
{
	const struct manifest *manifest = &view->manifest;
	char digits[HASH_HEX_SIZE];
	struct hash hash;

	if (manifest_read(&view->manifest, view->store_fd, &hash, err) < 0)
		return -1;
	hash_format(&hash, digits);
	if (*expected && strcmp(expected, digits) != 0)
		return error_set(err, ERROR_DAMAGED,
				 "the manifest has the hash %s, but the image's label says %s",
				 digits, expected);
	view->store =
		store_open(view->store_fd, manifest->packs, manifest->pack_count, cache_size, err);
	return view->store ? 0 : -1;
}
