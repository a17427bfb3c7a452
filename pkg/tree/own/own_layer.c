/*
 * Own files as real files of the helper's layer. Only what differs is written: every
 * file that is touched is copied into the new layer whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "tree/own/own_state.h"

void own_touch(struct own *own, const char *path)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *parent =
		slash ? memory_strndup(path, (size_t)(slash - path)) : memory_strdup("");
	struct stat status;

	if (path_map_get(&own->touched_paths, parent) != PATH_MAP_NONE ||
	    place_stat(own->options.layer_fd, parent, &status) < 0)
		return;
	path_map_put(&own->touched_paths, parent, own->touched_count);
	own->touched = memory_array(own->touched, own->touched_count + 1, sizeof(*own->touched));
	own->touched[own->touched_count].mtime = status.st_mtim;
	own->touched[own->touched_count++].path = STEAL_POINTER(parent);
}

int own_set_metadata(const struct own_record *record, int parent_fd, const char *name,
		     struct error **err)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, record->mtime};
	struct place_attributes present;
	struct stat status;
	bool is_changed = false;

	if (fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set_errno(err, errno, "cannot examine \"%s\"", record->path);
	if (status.st_uid != record->uid || status.st_gid != record->gid) {
		if (fchownat(parent_fd, name, record->uid, record->gid, AT_SYMLINK_NOFOLLOW) < 0)
			return error_set_errno(err, errno, "cannot change the owner of \"%s\"",
					       record->path);
		is_changed = true;
	}
	if (!S_ISLNK(record->mode) &&
	    (is_changed || (status.st_mode & 07777) != (record->mode & 07777))) {
		if (fchmodat(parent_fd, name, record->mode & 07777, 0) < 0)
			return error_set_errno(err, errno, "cannot change the mode of \"%s\"",
					       record->path);
		is_changed = true;
	}
	place_read_attributes(parent_fd, name, &present);
	if (!place_attributes_equal(present.list, present.count, record->attributes.list,
				    record->attributes.count)) {
		place_write_attributes(parent_fd, name, record->attributes.list,
				       record->attributes.count);
		is_changed = true;
	}
	place_attributes_release(&present);
	/* A commit keeps whole seconds, so a difference below them is not worth a copy. */
	if (status.st_mtim.tv_sec != record->mtime.tv_sec ||
	    (is_changed && status.st_mtim.tv_nsec != record->mtime.tv_nsec))
		(void)utimensat(parent_fd, name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

/* A directory that the layer lacks, on the way to something in it. */
static int make_parents(struct own *own, const char *path, struct error **err)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		cleanup_free char *part = memory_strndup(path, (size_t)(slash - path));
		const char *name = NULL;
		struct stat status;
		cleanup_fd int fd = -1;

		if (place_stat(own->options.layer_fd, part, &status) == 0 &&
		    S_ISDIR(status.st_mode))
			continue;
		fd = place_parent(own->options.layer_fd, part, &name);
		if (fd < 0)
			return errno == EXDEV
				       ? 0
				       : error_set_errno(err, errno, "cannot open \"/%s\"", part);
		own_touch(own, part);
		own->is_layer_suspect = true;
		if (place_remove(fd, name, err) < 0)
			return -1;
		if (mkdirat(fd, name, 0755) < 0 && errno != EEXIST)
			return error_set_errno(err, errno, "cannot make directory \"/%s\"", part);
	}
	return 0;
}

int own_layer_parent(struct own *own, const char *path, const char **name, int *fd,
		     struct error **err)
{
	*fd = place_parent(own->options.layer_fd, path, name);
	if (*fd < 0 && place_is_absent(errno)) {
		if (make_parents(own, path, err) < 0)
			return -1;
		*fd = place_parent(own->options.layer_fd, path, name);
	}
	if (*fd >= 0)
		return 1;
	if (errno == EXDEV)
		return 0;
	return error_set_errno(err, errno, "cannot open the directory of \"/%s\" in the layer",
			       path);
}

static int make_node(struct own *own, const struct own_record *record, int parent_fd,
		     const char *name, struct error **err)
{
	/* A 0/0 character device means "deleted" to overlay file systems. */
	if ((S_ISCHR(record->mode) && record->device == makedev(0, 0)) ||
	    mknodat(parent_fd, name, (record->mode & S_IFMT) | 0600, record->device) < 0) {
		if (errno == ENOSPC || errno == EDQUOT)
			return error_set_errno(err, errno, "cannot make \"/%s\"", record->path);
		string_list_add(&own->skipped, record->path);
		return 0;
	}
	return own_set_metadata(record, parent_fd, name, err);
}

int own_make(struct own *own, const struct own_record *record, int parent_fd, const char *name,
	     struct error **err)
{
	struct stat status;
	bool is_there = fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
	bool is_same = is_there && (status.st_mode & S_IFMT) == (record->mode & S_IFMT);

	if (is_same && S_ISLNK(record->mode)) {
		cleanup_free char *target = place_read_link(parent_fd, name);

		is_same = target && strcmp(target, record->link) == 0;
	} else if (is_same && !S_ISDIR(record->mode)) {
		/* Made anew rather than changed: some storage drivers cannot copy a node up. */
		is_same = status.st_uid == record->uid && status.st_gid == record->gid &&
			  status.st_mode == record->mode &&
			  status.st_mtim.tv_sec == record->mtime.tv_sec &&
			  (S_ISFIFO(record->mode) || status.st_rdev == record->device);
	}
	if (!is_same) {
		own_touch(own, record->path);
		own->is_layer_suspect |= is_there && S_ISDIR(status.st_mode);
		if (is_there && place_remove(parent_fd, name, err) < 0)
			return -1;
		errno = 0;
		if (S_ISDIR(record->mode)) {
			if (mkdirat(parent_fd, name, 0700) < 0)
				return error_set_errno(err, errno, "cannot make directory \"/%s\"",
						       record->path);
		} else if (S_ISLNK(record->mode)) {
			if (symlinkat(record->link, parent_fd, name) < 0)
				return error_set_errno(err, errno, "cannot make link \"/%s\"",
						       record->path);
		} else {
			return make_node(own, record, parent_fd, name, err);
		}
	}
	/* Directories get theirs when nothing is written in them any more. */
	return S_ISDIR(record->mode) ? 0 : own_set_metadata(record, parent_fd, name, err);
}

int own_link(struct own *own, const struct own_record *leader, int parent_fd, const char *name,
	     struct error **err)
{
	const char *leader_name = NULL;
	cleanup_fd int leader_fd = place_parent(own->options.layer_fd, leader->path, &leader_name);
	struct stat there, here;

	if (leader_fd < 0 || fstatat(leader_fd, leader_name, &there, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set_errno(err, errno, "cannot examine \"/%s\"", leader->path);
	if (fstatat(parent_fd, name, &here, AT_SYMLINK_NOFOLLOW) == 0 &&
	    here.st_dev == there.st_dev && here.st_ino == there.st_ino)
		return 0;
	if (place_remove(parent_fd, name, err) < 0)
		return -1;
	if (linkat(leader_fd, leader_name, parent_fd, name, 0) < 0)
		return error_set_errno(err, errno, "cannot link \"%s\" to \"/%s\"", name,
				       leader->path);
	return 0;
}

/* Below what is deleted, or no directory any more, there is nothing that could be deleted. */
static bool is_implied(const struct own *own, const char *path)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		cleanup_free char *above = memory_strndup(path, (size_t)(slash - path));
		size_t index = path_map_get(&own->done, above);

		if (index < own->record_count && (own->records[index].flags & ENTRY_DELETED ||
						  !S_ISDIR(own->records[index].mode)))
			return true;
	}
	return false;
}

int own_delete(struct own *own, const char *path, struct error **err)
{
	const char *name = NULL;
	struct stat status;
	cleanup_fd int fd = -1;
	struct own_record *record, *known = own_known_find(own, path);
	bool is_there, was_deleted = path_map_get(&own->deleted, path) != PATH_MAP_NONE;

	fd = place_parent(own->options.layer_fd, path, &name);
	if (fd < 0 && !place_is_absent(errno))
		return errno == EXDEV ? 0
				      : error_set_errno(err, errno, "cannot examine \"/%s\"", path);
	is_there = fd >= 0 && fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
	if (!is_there && !was_deleted)
		return 0;
	if (is_there && !own->options.measure_only) {
		own_touch(own, path);
		own->is_layer_suspect |= S_ISDIR(status.st_mode);
		if (place_remove(fd, name, err) < 0)
			return error_prefix(err, "cannot delete \"/%s\" in the layer", path);
		if (fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
			return 0; /* a mount point of the helper's, or what holds one */
	}
	/* It came and went while we were at work: the image below never had it. */
	if ((known && known->is_new && !was_deleted) || is_implied(own, path))
		return 0;
	record = own_record_new(own, path, err);
	if (!record)
		return -1;
	record->flags = ENTRY_DELETED;
	own->totals.deleted++;
	return 0;
}

int own_create_file(struct own *own, const char *path, int parent_fd, const char *name,
		    struct error **err)
{
	struct stat status;
	int fd;

	own_touch(own, path);
	own->is_layer_suspect |= fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
				 S_ISDIR(status.st_mode);
	if (place_remove(parent_fd, name, err) < 0)
		return -1;
	fd = openat(parent_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot create \"/%s\" in the layer", path);
	return fd;
}

static bool is_zero(const uint8_t *data, size_t size)
{
	return size && !data[0] && memcmp(data, data + 1, size - 1) == 0;
}

int own_write_block(struct own *own, int fd, const void *data, size_t size, struct error **err)
{
	off_t position;

	if (is_zero(data, size)) {
		position = lseek(fd, (off_t)size, SEEK_CUR);
		if (position < 0 || ftruncate(fd, position) < 0)
			return error_set_errno(err, errno, "cannot write into the layer");
		return 0;
	}
	if (own->options.permit && own->options.permit(own->options.permit_context, size, err) < 0)
		return -1;
	if (io_write_full(fd, data, size) < 0)
		return error_set_errno(err, errno, "cannot write into the layer");
	return 0;
}

int own_finish_directories(struct own *own, struct error **err)
{
	int layer_fd = own->options.layer_fd;

	if (own->is_finished)
		return 0;
	own->is_finished = true;
	for (size_t i = 0; i < own->record_count; i++) {
		const struct own_record *record = &own->records[i];
		const char *name = NULL;
		cleanup_fd int fd = -1;

		if (!S_ISDIR(record->mode) || record->flags & ENTRY_DELETED)
			continue;
		fd = place_parent(layer_fd, record->path, &name);
		if (fd >= 0 && own_set_metadata(record, fd, name, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < own->touched_count; i++) {
		const struct touched *touched = &own->touched[i];
		size_t index = path_map_get(&own->done, touched->path);
		struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, touched->mtime};
		cleanup_fd int fd = place_open(layer_fd, touched->path, O_RDONLY | O_DIRECTORY);

		if (index < own->record_count)
			times[1] = own->records[index].mtime;
		if (fd >= 0)
			(void)futimens(fd, times);
	}
	return 0;
}
