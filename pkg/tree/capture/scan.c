/*
 * The walk that every capture and estimate starts from: by directory fds, so that no
 * path is resolved twice and no length of a path matters to the kernel.
 */
#include "tree/capture/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/path.h"
#include "tree/attributes.h"
#include "tree/format.h"
#include "tree/listing.h"
#include "tree/mark.h"

/* Directories further up are closed and opened again on the way back. */
#define OPEN_DEPTH_MAX 100

struct level {
	int fd; /* -1: closed for now */
	size_t path_size;
	uint64_t device, inode;
	struct listing listing;
};

struct scan {
	struct scan_options options;
	struct level *levels;
	size_t depth, capacity;
	char path[RECORD_PATH_MAX + 258]; /* one name more than a catalog takes */
	size_t path_size;
	uint64_t mount;
	bool began, no_atime;
	int file_fd;	  /* of the item given last */
	int directory_fd; /* of the item given last: to be descended */
	struct file_status directory;
	struct attribute_space attributes;
	char link[RECORD_LINK_MAX + 1];
};

static bool is_pattern(const char *text)
{
	return strpbrk(text, "*?[\\") != NULL;
}

static int check_excluded(const struct scan_options *options, struct error **err)
{
	for (size_t i = 0; options->excluded && i < options->excluded->count; i++) {
		const char *path = options->excluded->items[i];

		if (!path_is_safe_relative(path, strlen(path))) {
			error_set(err, ERROR_USAGE, "cannot exclude \"%s\"", path);
			return error_hint(err,
					  "give a path or pattern relative to the tree's root");
		}
		/* also where it is not there now: a restore must leave it alone wherever it is */
		if (!is_pattern(path) && options->excluded_found)
			string_list_add(options->excluded_found, path);
	}
	return 0;
}

struct scan *scan_open(const struct scan_options *options, struct error **err)
{
	struct scan *scan;

	if (beneath_check(err) < 0 || check_excluded(options, err) < 0)
		return NULL;
	scan = memory_zalloc(sizeof(*scan));
	scan->options = *options;
	scan->file_fd = scan->directory_fd = -1;
	attribute_space_init(&scan->attributes);
	return scan;
}

static void level_release(struct level *level)
{
	if (level->fd >= 0)
		close(level->fd);
	listing_release(&level->listing);
}

void scan_close(struct scan *scan)
{
	if (!scan)
		return;
	for (size_t i = 0; i < scan->depth; i++)
		level_release(&scan->levels[i]);
	free(scan->levels);
	if (scan->file_fd >= 0)
		close(scan->file_fd);
	if (scan->directory_fd >= 0)
		close(scan->directory_fd);
	attribute_space_release(&scan->attributes);
	free(scan);
}

static bool is_gone(int number)
{
	return number == ENOENT || number == ENOTDIR || number == ESTALE;
}

/* -1 and the reason, naming the path that was to be read. */
static int scan_failed(const struct scan *scan, int number, struct error **err)
{
	error_set_errno(err, number, "cannot read \"%s\"", scan->path_size ? scan->path : ".");
	if (number == EACCES || number == EPERM)
		error_hint(err, "exclude it, or capture with the right to read it");
	return -1;
}

/* open() that leaves the access time alone where it may. */
static int open_quietly(struct scan *scan, int directory_fd, const char *name, int flags)
{
	int fd = -1;

	flags |= O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	if (!scan->no_atime) {
		fd = openat(directory_fd, name, flags | O_NOATIME);
		if (fd >= 0 || errno != EPERM)
			return fd;
		/* not the owner: from now on do not even try */
		scan->no_atime = true;
	}
	return openat(directory_fd, name, flags);
}

/* The directory given last becomes the deepest level. */
static int scan_descend(struct scan *scan, struct error **err)
{
	struct level *level;

	if (scan->depth == scan->capacity) {
		scan->capacity = 2 * scan->capacity + 16;
		scan->levels = memory_array(scan->levels, scan->capacity, sizeof(*scan->levels));
	}
	if (scan->depth > OPEN_DEPTH_MAX) {
		struct level *upper = &scan->levels[scan->depth - OPEN_DEPTH_MAX];

		if (upper->fd >= 0)
			close(upper->fd);
		upper->fd = -1;
	}
	level = &scan->levels[scan->depth++];
	level->fd = STEAL_FD(scan->directory_fd);
	level->path_size = scan->path_size;
	level->device = scan->directory.device;
	level->inode = scan->directory.inode;
	listing_init(&level->listing);
	if (listing_read(&level->listing, level->fd) < 0 && !is_gone(errno))
		return scan_failed(scan, errno, err);
	return 0;
}

/* Open a level again; what is no longer there has lost its remaining names. */
static int level_reopen(struct scan *scan, struct level *level, struct error **err)
{
	struct file_status status;

	if (level->fd >= 0)
		return 0;
	scan->path[level->path_size] = '\0';
	level->fd = beneath_open(scan->levels[0].fd, scan->path, O_RDONLY | O_DIRECTORY, 0);
	if (level->fd < 0 && !is_gone(errno) && errno != ELOOP && errno != EXDEV) {
		scan->path_size = level->path_size;
		return scan_failed(scan, errno, err);
	}
	if (level->fd >= 0 && beneath_status(level->fd, "", &status) == 0 &&
	    status.device == level->device && status.inode == level->inode)
		return 0;
	level->listing.next = level->listing.count;
	return 0;
}

/* Exclusions and our own marks. */
static bool is_left_out(struct scan *scan)
{
	const struct string_list *excluded = scan->options.excluded;

	if (strcmp(scan->path, MARK_FILE) == 0)
		return true;
	for (size_t i = 0; excluded && i < excluded->count; i++) {
		const char *pattern = excluded->items[i];

		if (!is_pattern(pattern) ? strcmp(pattern, scan->path) != 0
					 : !text_match(pattern, scan->path))
			continue;
		if (is_pattern(pattern) && scan->options.excluded_found)
			string_list_add(scan->options.excluded_found, scan->path);
		return true;
	}
	return false;
}

static int append_name(struct scan *scan, const struct level *level, const char *name,
		       struct error **err)
{
	size_t size = strlen(name), at = level->path_size;

	if (at)
		scan->path[at++] = '/';
	memcpy(scan->path + at, name, size + 1);
	scan->path_size = at + size;
	if (scan->path_size <= RECORD_PATH_MAX)
		return 0;
	error_set(err, ERROR_UNSUPPORTED, "cannot capture \"%s\": its path has more than %u bytes",
		  scan->path, RECORD_PATH_MAX);
	return error_hint(err, "exclude one of its parent directories");
}

static int read_attributes(struct scan *scan, int fd, bool is_path_fd, struct scan_item *item,
			   struct error **err)
{
	struct attribute_space *space = &scan->attributes;
	size_t kept = 0;

	if (scan->options.sizes_only)
		return 0;
	if (attributes_read(fd, is_path_fd, space) < 0)
		return scan_failed(scan, errno, err);
	/* the mark tells what was restored here: it is no part of the tree */
	for (size_t i = 0; i < space->count; i++) {
		if (scan->path_size || strcmp(space->items[i].name, MARK_ATTRIBUTE) != 0)
			space->items[kept++] = space->items[i];
	}
	space->count = kept;
	item->attributes = space->items;
	item->attribute_count = space->count;
	return 0;
}

/* Whether a name that could not be opened is of another type by now: nobody opens some devices. */
static bool is_something_else(int directory_fd, const char *name, mode_t type)
{
	struct file_status status;
	int number = errno;
	bool is_other = beneath_status(directory_fd, name, &status) < 0
				? is_gone(errno)
				: (status.mode & S_IFMT) != type;

	errno = number;
	return is_other;
}

/* A regular file or a directory, opened. 1, 0 when it is gone or something else by now, -1. */
static int take_opened(struct scan *scan, int directory_fd, const char *name, int flags,
		       struct scan_item *item, struct error **err)
{
	mode_t type = flags & O_DIRECTORY ? S_IFDIR : S_IFREG;
	cleanup_fd int fd = open_quietly(scan, directory_fd, name, flags);

	if (fd < 0)
		return is_gone(errno) || errno == ELOOP || errno == ENXIO ||
				       is_something_else(directory_fd, name, type)
			       ? 0
			       : scan_failed(scan, errno, err);
	clock_gettime(CLOCK_REALTIME_COARSE, &item->looked);
	if (beneath_status(fd, "", &item->status) < 0)
		return scan_failed(scan, errno, err);
	if ((item->status.mode & S_IFMT) != type)
		return 0;
	if (!scan->began)
		scan->mount = item->status.mount;
	if (read_attributes(scan, fd, false, item, err) < 0)
		return -1;
	if (type == S_IFREG) {
		scan->file_fd = item->fd = STEAL_FD(fd);
		return 1;
	}
	item->is_mount_point = item->status.mount != scan->mount;
	if (!item->is_mount_point) {
		scan->directory_fd = STEAL_FD(fd);
		scan->directory = item->status;
	}
	return 1;
}

static int take_link(struct scan *scan, int directory_fd, const char *name, struct scan_item *item,
		     struct error **err)
{
	ssize_t size = readlinkat(directory_fd, name, scan->link, sizeof(scan->link));

	if (size < 0)
		return is_gone(errno) || errno == EINVAL ? 0 : scan_failed(scan, errno, err);
	if ((size_t)size == sizeof(scan->link))
		return scan_failed(scan, ENAMETOOLONG, err);
	scan->link[size] = '\0';
	item->link = scan->link;
	return 1;
}

static int take_node(struct scan *scan, int directory_fd, const char *name, struct scan_item *item,
		     struct error **err)
{
	cleanup_fd int fd = -1;

	if (S_ISCHR(item->status.mode) && !item->status.node && !scan->options.allow_overlay) {
		error_set(err, ERROR_REFUSED,
			  "\"%s\" is a 0/0 character device: the tree looks like overlay storage, "
			  "whose trusted attributes cannot be captured",
			  scan->path);
		return error_hint(err, "exclude it, or allow it with --allow-overlay-volume");
	}
	if (scan->options.sizes_only)
		return 1;
	fd = openat(directory_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return is_gone(errno) ? 0 : scan_failed(scan, errno, err);
	return read_attributes(scan, fd, true, item, err) < 0 ? -1 : 1;
}

/* A regular file of which all is known already, by its status alone. */
static bool take_unchanged(struct scan *scan, int directory_fd, const char *name,
			   struct scan_item *item)
{
	const struct scan_options *options = &scan->options;

	if (!options->is_unchanged || beneath_status(directory_fd, name, &item->status) < 0 ||
	    !S_ISREG(item->status.mode) || item->status.mount != scan->mount)
		return false;
	item->is_unchanged = options->is_unchanged(options->context, scan->path, &item->status);
	return item->is_unchanged;
}

static void skip(struct scan *scan)
{
	if (scan->options.skipped)
		string_list_add(scan->options.skipped, scan->path);
}

/* What the name in scan->path is. 1 an item, 0 nothing to give, -1. */
static int scan_take(struct scan *scan, int directory_fd, const char *name, unsigned char type,
		     struct scan_item *item, struct error **err)
{
	int result = 0;

	memset(item, 0, sizeof(*item));
	item->fd = -1;
	item->path = scan->path;
	if (type == DT_DIR)
		result = take_opened(scan, directory_fd, name, O_DIRECTORY, item, err);
	else if (type == DT_REG && take_unchanged(scan, directory_fd, name, item))
		return 1;
	else if (type == DT_REG && !scan->options.sizes_only)
		result = take_opened(scan, directory_fd, name, 0, item, err);
	if (result < 0)
		return -1;
	/* an unknown or unexpected type: look first */
	if (!result)
		clock_gettime(CLOCK_REALTIME_COARSE, &item->looked);
	if (!result && beneath_status(directory_fd, name, &item->status) < 0)
		return is_gone(errno) ? 0 : scan_failed(scan, errno, err);
	if (!S_ISDIR(item->status.mode) && item->status.mount != scan->mount) {
		skip(scan);
		return 0;
	}
	if (result)
		return 1;
	switch (item->status.mode & S_IFMT) {
	case S_IFDIR:
		return take_opened(scan, directory_fd, name, O_DIRECTORY, item, err);
	case S_IFREG:
		if (scan->options.sizes_only || take_unchanged(scan, directory_fd, name, item))
			return 1;
		return take_opened(scan, directory_fd, name, 0, item, err);
	case S_IFLNK:
		return scan->options.sizes_only ? 1
						: take_link(scan, directory_fd, name, item, err);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
		return take_node(scan, directory_fd, name, item, err);
	default:
		skip(scan);
		return 0;
	}
}

static int scan_root(struct scan *scan, struct scan_item *item, struct error **err)
{
	int result;

	memset(item, 0, sizeof(*item));
	item->fd = -1;
	item->path = scan->path;
	result = take_opened(scan, scan->options.root_fd, ".", O_DIRECTORY, item, err);
	if (!result)
		return error_set(err, ERROR_NOT_FOUND, "the root of the tree is no directory");
	scan->began = true;
	return result;
}

int scan_next(struct scan *scan, struct scan_item *item, struct error **err)
{
	if (!scan->began)
		return scan_root(scan, item, err);
	if (scan->file_fd >= 0)
		close(STEAL_FD(scan->file_fd));
	if (scan->directory_fd >= 0 && scan_descend(scan, err) < 0)
		return -1;
	while (scan->depth) {
		struct level *level = &scan->levels[scan->depth - 1];
		struct listing *listing = &level->listing;
		const char *name;
		size_t i;
		int result;

		if (level_reopen(scan, level, err) < 0)
			return -1;
		if (listing->next == listing->count) {
			level_release(level);
			scan->depth--;
			continue;
		}
		i = listing->next++;
		name = listing_name(listing, i);
		if (append_name(scan, level, name, err) < 0)
			return -1;
		if (is_left_out(scan))
			continue;
		result = scan_take(scan, level->fd, name, listing_type(listing, i), item, err);
		if (result)
			return result;
		if (scan->file_fd >= 0)
			close(STEAL_FD(scan->file_fd));
	}
	return 0;
}
