/*
 * Deleting what a snapshot does not have. The most dangerous thing that sidesnap does:
 * by fds only, across no mount, and never what an exclusion or a skipped file names.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/path.h"
#include "tree/beneath.h"
#include "tree/format.h"
#include "tree/listing.h"
#include "tree/mark.h"
#include "tree/restore/restore_private.h"

/* Deeper directories are moved up and removed from there: each level holds an fd. */
#define DEPTH_MAX 200
#define POSTPONED_NAME ".sidesnap-remove-%u"

/* The first untouchable path that is not before ${path}. */
static size_t find_untouchable(const struct restore *restore, const char *path)
{
	size_t low = 0, high = restore->untouchable.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (path_compare(restore->untouchable.items[middle], path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_listed(const struct restore *restore, const char *path)
{
	size_t i = find_untouchable(restore, path);

	return i < restore->untouchable.count && strcmp(restore->untouchable.items[i], path) == 0;
}

bool restore_is_protected(const struct restore *restore, const char *path)
{
	char parent[RECORD_PATH_MAX + 1];
	size_t size = strlen(path);

	if (!restore->untouchable.count || size > RECORD_PATH_MAX)
		return false;
	if (is_listed(restore, path))
		return true;
	memcpy(parent, path, size + 1);
	for (size_t i = 0; i < size; i++) {
		if (parent[i] != '/')
			continue;
		parent[i] = '\0';
		if (is_listed(restore, parent))
			return true;
		parent[i] = '/';
	}
	return false;
}

static bool holds_untouchable(const struct restore *restore, const char *path)
{
	size_t i = find_untouchable(restore, path), size = strlen(path);

	return i < restore->untouchable.count &&
	       strncmp(restore->untouchable.items[i], path, size) == 0 &&
	       restore->untouchable.items[i][size] == '/';
}

static int remove_failed(const char *path, struct error **err)
{
	int number = errno;

	error_set_errno(err, number, "cannot remove \"%s\"", path);
	if (number == EPERM)
		error_hint(err, "it may be immutable: see lsattr");
	return -1;
}

/* A path while it is walked; more than RECORD_PATH_MAX bytes are not kept. */
struct removal {
	struct restore *restore;
	char path[RECORD_PATH_MAX + 258];
	unsigned depth;
};

static int remove_at(struct removal *removal, int directory_fd, const char *name,
		     unsigned char type, struct error **err);

/* Move a directory that is too deep up into the root. */
static int postpone(struct removal *removal, int directory_fd, const char *name, struct error **err)
{
	struct restore *restore = removal->restore;
	char target[64];

	if (holds_untouchable(restore, removal->path))
		return 1;
	for (int tries = 0; tries < 1000; tries++) {
		snprintf(target, sizeof(target), POSTPONED_NAME, restore->postponed++);
		if (renameat(directory_fd, name, restore->root_fd, target) == 0)
			return 0;
		if (errno == ENOENT)
			return 0;
		if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
			break;
	}
	return errno == EBUSY || errno == EXDEV ? 1 : remove_failed(removal->path, err);
}

static int remove_children(struct removal *removal, int fd, struct error **err)
{
	size_t size = strlen(removal->path);
	struct listing listing;
	int result = 0, kept = 0;

	listing_init(&listing);
	if (listing_read(&listing, fd) < 0)
		result = remove_failed(removal->path, err);
	removal->depth++;
	for (size_t i = 0; i < listing.count && result >= 0; i++) {
		const char *name = listing_name(&listing, i);

		snprintf(removal->path + size, sizeof(removal->path) - size, "/%s", name);
		result = remove_at(removal, fd, name, listing_type(&listing, i), err);
		removal->path[size] = '\0';
		kept |= result > 0;
	}
	removal->depth--;
	listing_release(&listing);
	return result < 0 ? -1 : kept;
}

static int remove_directory(struct removal *removal, int directory_fd, const char *name,
			    struct error **err)
{
	cleanup_fd int fd = -1;
	int kept;

	if (removal->depth >= DEPTH_MAX || strlen(removal->path) > RECORD_PATH_MAX)
		return postpone(removal, directory_fd, name, err);
	fd = beneath_open_own(directory_fd, name);
	if (fd < 0 && errno == EXDEV)
		return 1; /* another mount is on it */
	if (fd < 0)
		return errno == ENOENT ? 0 : remove_failed(removal->path, err);
	kept = remove_children(removal, fd, err);
	if (kept)
		return kept;
	if (unlinkat(directory_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return errno == EBUSY || errno == ENOTEMPTY ? 1 : remove_failed(removal->path, err);
	removal->restore->removed++;
	return 0;
}

static int remove_at(struct removal *removal, int directory_fd, const char *name,
		     unsigned char type, struct error **err)
{
	struct restore *restore = removal->restore;

	if (++restore->ticks % 64 == 0 && restore_tick(restore, err) < 0)
		return -1;
	if (restore_is_protected(restore, removal->path))
		return 1;
	if (type != DT_DIR) {
		if (unlinkat(directory_fd, name, 0) == 0) {
			restore->removed++;
			return 0;
		}
		if (errno == ENOENT)
			return 0;
		if (errno == EBUSY)
			return 1; /* a file with another mount on it */
		if (errno != EISDIR && (errno != EPERM || type != DT_UNKNOWN))
			return remove_failed(removal->path, err);
	}
	return remove_directory(removal, directory_fd, name, err);
}

int restore_remove(struct restore *restore, int directory_fd, const char *name, const char *path,
		   unsigned char type, struct error **err)
{
	struct removal *removal;
	int result;

	/* the mark is ours, lost+found the file system's */
	if (strcmp(path, MARK_FILE) == 0 || (type == DT_DIR && strcmp(path, "lost+found") == 0))
		return 1;
	removal = memory_alloc(sizeof(*removal));
	removal->restore = restore;
	removal->depth = 0;
	snprintf(removal->path, sizeof(removal->path), "%s", path);
	result = remove_at(removal, directory_fd, name, type, err);
	free(removal);
	return result;
}

int restore_remove_postponed(struct restore *restore, struct error **err)
{
	for (unsigned i = 0; i < restore->postponed; i++) {
		char name[64];

		snprintf(name, sizeof(name), POSTPONED_NAME, i);
		if (restore_remove(restore, restore->root_fd, name, name, DT_DIR, err) < 0)
			return -1;
	}
	return 0;
}

int tree_clear(int root_fd, struct error **err)
{
	static const struct restore_options options = {.workers = 1};
	struct restore restore;
	struct listing listing;
	int result = 0;

	memset(&restore, 0, sizeof(restore));
	restore.root_fd = root_fd;
	restore.options = &options;
	listing_init(&listing);
	if (listing_read(&listing, root_fd) < 0)
		result = error_set_errno(err, errno, "cannot list what is to be deleted");
	for (size_t i = 0; result >= 0 && i < listing.count; i++)
		result = restore_remove(&restore, root_fd, listing_name(&listing, i),
					listing_name(&listing, i), listing_type(&listing, i), err);
	listing_release(&listing);
	return result < 0 ? -1 : restore_remove_postponed(&restore, err);
}
