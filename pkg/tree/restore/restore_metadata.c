/*
 * Owners, attributes, modes and times, in the order in which none undoes another:
 * chown drops setuid bits and capabilities, an ACL changes the mode, all change the times.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "tree/attributes.h"
#include "tree/mark.h"
#include "tree/restore/restore_private.h"

#define CAPABILITY_NAME "security.capability"

static bool is_our_mark(const struct catalog_entry *entry, const char *name)
{
	return !*entry->path && strcmp(name, MARK_ATTRIBUTE) == 0;
}

static bool has_attribute(const struct catalog_entry *entry, const char *name)
{
	for (size_t i = 0; i < entry->attribute_count; i++) {
		if (strcmp(entry->attributes[i].name, name) == 0)
			return true;
	}
	return false;
}

/* A directory that was there may have attributes that the catalog does not know. */
static int remove_other_attributes(struct restore *restore, int fd,
				   const struct catalog_entry *entry, struct error **err)
{
	struct attribute_space space;
	int result = 0;

	attribute_space_init(&space);
	if (attributes_read(fd, false, &space) < 0)
		result =
			restore_refused(restore, errno, "read the attributes of", entry->path, err);
	for (size_t i = 0; i < space.count && !result; i++) {
		const char *name = space.items[i].name;

		if (has_attribute(entry, name) || is_our_mark(entry, name))
			continue;
		if (fremovexattr(fd, name) < 0 && errno != ENODATA)
			result = restore_refused(restore, errno, "remove an extended attribute of",
						 entry->path, err);
	}
	attribute_space_release(&space);
	return result;
}

/* Capabilities come last and only once: anything else on the file drops them. */
static int set_attributes(struct restore *restore, int fd, const char *proc,
			  const struct catalog_entry *entry, bool capability, struct error **err)
{
	for (size_t i = 0; i < entry->attribute_count; i++) {
		const struct attribute *attribute = &entry->attributes[i];
		int result;

		if ((strcmp(attribute->name, CAPABILITY_NAME) == 0) != capability ||
		    is_our_mark(entry, attribute->name))
			continue;
		result =
			proc ? setxattr(proc, attribute->name, attribute->value, attribute->size, 0)
			     : fsetxattr(fd, attribute->name, attribute->value, attribute->size, 0);
		if (result < 0 && restore_refused(restore, errno, "set an extended attribute of",
						  entry->path, err) < 0)
			return -1;
	}
	return 0;
}

static void entry_times(const struct catalog_entry *entry, struct timespec times[2])
{
	times[0].tv_sec = 0;
	times[0].tv_nsec = UTIME_OMIT;
	times[1] = entry->mtime;
}

int metadata_apply(struct restore *restore, int fd, const struct catalog_entry *entry, bool existed,
		   struct error **err)
{
	mode_t mode = entry->mode & 07777;
	struct timespec times[2];

	if (fchown(fd, entry->uid, entry->gid) < 0) {
		if (restore_refused(restore, errno, "set the owner of", entry->path, err) < 0)
			return -1;
		/* what was one user's power must not become another's */
		if (!S_ISDIR(entry->mode))
			mode &= 01777;
	}
	if (existed && remove_other_attributes(restore, fd, entry, err) < 0)
		return -1;
	if (set_attributes(restore, fd, NULL, entry, false, err) < 0)
		return -1;
	if (fchmod(fd, mode) < 0 &&
	    restore_refused(restore, errno, "set the mode of", entry->path, err) < 0)
		return -1;
	if (set_attributes(restore, fd, NULL, entry, true, err) < 0)
		return -1;
	entry_times(entry, times);
	if (futimens(fd, times) < 0)
		return restore_refused(restore, errno, "set the time of", entry->path, err);
	return 0;
}

static bool same_attribute(const struct attribute *a, const struct attribute *b)
{
	return strcmp(a->name, b->name) == 0 && a->size == b->size &&
	       (!a->size || memcmp(a->value, b->value, a->size) == 0);
}

bool metadata_same(const struct catalog_entry *a, const struct catalog_entry *b)
{
	if (a->mode != b->mode || a->uid != b->uid || a->gid != b->gid ||
	    a->mtime.tv_sec != b->mtime.tv_sec || a->mtime.tv_nsec != b->mtime.tv_nsec ||
	    a->attribute_count != b->attribute_count)
		return false;
	for (size_t i = 0; i < a->attribute_count; i++) {
		if (!same_attribute(&a->attributes[i], &b->attributes[i]))
			return false;
	}
	return true;
}

/* Whether a file has exactly the attributes of its record, but for our mark. */
static bool has_same_attributes(int fd, const struct catalog_entry *entry,
				struct attribute_space *space)
{
	size_t matched = 0;

	if (!entry->attribute_count && flistxattr(fd, NULL, 0) == 0)
		return true;
	if (attributes_read(fd, false, space) < 0)
		return false;
	for (size_t i = 0; i < space->count; i++) {
		if (is_our_mark(entry, space->items[i].name))
			continue;
		if (matched == entry->attribute_count ||
		    !same_attribute(&space->items[i], &entry->attributes[matched++]))
			return false;
	}
	return matched == entry->attribute_count;
}

int metadata_settle(struct restore *restore, int fd, const struct catalog_entry *entry,
		    struct attribute_space *attributes, struct error **err)
{
	struct attribute_space own;
	struct timespec times[2];
	struct stat status;
	bool is_same;

	if (fstat(fd, &status) < 0)
		return error_set_errno(err, errno, "cannot examine \"%s\"", entry->path);
	attribute_space_init(&own);
	is_same = status.st_mode == entry->mode && status.st_uid == entry->uid &&
		  status.st_gid == entry->gid &&
		  has_same_attributes(fd, entry, attributes ? attributes : &own);
	attribute_space_release(&own);
	if (!is_same)
		return metadata_apply(restore, fd, entry, true, err);
	if (status.st_mtim.tv_sec == entry->mtime.tv_sec &&
	    status.st_mtim.tv_nsec == entry->mtime.tv_nsec)
		return 0;
	entry_times(entry, times);
	if (futimens(fd, times) < 0)
		return restore_refused(restore, errno, "set the time of", entry->path, err);
	return 0;
}

/* Mode and attributes of what cannot be opened, through an fd that names it surely. */
static int apply_by_path_fd(struct restore *restore, int directory_fd, const char *name,
			    const struct catalog_entry *entry, mode_t mode, struct error **err)
{
	cleanup_fd int fd = openat(directory_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char proc[40];
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return error_set_errno(err, errno, "cannot open \"%s\"", entry->path);
	if ((status.st_mode & S_IFMT) != (entry->mode & S_IFMT))
		return error_set(err, ERROR_FAILED,
				 "\"%s\" was replaced while it was being restored", entry->path);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	if (set_attributes(restore, fd, proc, entry, false, err) < 0)
		return -1;
	if (chmod(proc, mode) < 0 && restore_refused(restore, errno == ENOENT ? ENOTSUP : errno,
						     "set the mode of", entry->path, err) < 0)
		return -1;
	return 0;
}

int metadata_apply_name(struct restore *restore, int directory_fd, const char *name,
			const struct catalog_entry *entry, struct error **err)
{
	mode_t mode = entry->mode & 07777;
	struct timespec times[2];

	if (fchownat(directory_fd, name, entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) < 0) {
		if (restore_refused(restore, errno, "set the owner of", entry->path, err) < 0)
			return -1;
		mode &= 01777;
	}
	if (!S_ISLNK(entry->mode) &&
	    apply_by_path_fd(restore, directory_fd, name, entry, mode, err) < 0)
		return -1;
	entry_times(entry, times);
	if (utimensat(directory_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return restore_refused(restore, errno, "set the time of", entry->path, err);
	return 0;
}

struct restore_directory *restore_directory_new(const char *path, int fd, bool existed,
						const void *record, size_t size)
{
	struct restore_directory *directory = memory_zalloc(sizeof(*directory));

	directory->fd = fd;
	directory->existed = existed;
	directory->path = memory_strdup(path);
	directory->record = memory_alloc(size);
	directory->record_size = size;
	memcpy(directory->record, record, size);
	atomic_init(&directory->references, 1);
	return directory;
}

struct restore_directory *restore_directory_get(struct restore_directory *directory)
{
	atomic_fetch_add(&directory->references, 1);
	return directory;
}

static int finish_directory(struct restore *restore, const struct restore_directory *directory,
			    struct error **err)
{
	struct record_space space;
	struct catalog_entry entry;
	int result;

	record_space_init(&space);
	result = record_decode(directory->record, directory->record_size, &space, &entry, err);
	if (result == 0)
		result = directory->existed
				 ? metadata_settle(restore, directory->fd, &entry, NULL, err)
				 : metadata_apply(restore, directory->fd, &entry, false, err);
	record_space_release(&space);
	return result;
}

void restore_directory_put(struct restore *restore, struct restore_directory *directory)
{
	struct error *error = NULL;

	if (atomic_fetch_sub(&directory->references, 1) != 1)
		return;
	if (directory->fd >= 0) {
		if (!atomic_load(&restore->failed) &&
		    finish_directory(restore, directory, &error) < 0)
			restore_fail(restore, error);
		close(directory->fd);
	}
	free(directory->path);
	free(directory->record);
	free(directory);
}
