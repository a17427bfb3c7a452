/*
 * A file is written under a name of ours and then takes its place, so that what was there
 * before is lost only when the new one is whole.
 */
#include "snapshot/compare/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "tree/beneath.h"

/* A folder whose mode and time are set when all is in it. */
struct folder {
	char *path;
	mode_t mode;
	struct timespec mtime;
};

/* The file that data comes for. */
struct open_file {
	int fd, parent_fd; /* -1: none */
	char *path, *name, *temporary;
	struct tar_entry entry;		  /* without what it points to */
	struct tar_attribute *attributes; /* owned: a write or chown takes some of them away */
	size_t attribute_count;
	uint64_t at;
};

struct unpack {
	int folder_fd;
	char *name; /* NULL: the folder itself */
	bool archive;
	struct open_file file;
	struct folder *folders;
	size_t folder_count, folder_capacity;
	struct string_list skipped;
};

struct unpack *unpack_new(int folder_fd, const char *name, bool archive)
{
	struct unpack *unpack = memory_zalloc(sizeof(*unpack));

	unpack->folder_fd = folder_fd;
	unpack->name = memory_strdup(name);
	unpack->archive = archive;
	unpack->file.fd = unpack->file.parent_fd = -1;
	string_list_init(&unpack->skipped);
	return unpack;
}

static void file_release(struct open_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	if (file->parent_fd >= 0)
		close(file->parent_fd);
	free(file->path);
	free(file->name);
	free(file->temporary);
	for (size_t i = 0; i < file->attribute_count; i++) {
		free((void *)(uintptr_t)file->attributes[i].name);
		free((void *)(uintptr_t)file->attributes[i].value);
	}
	free(file->attributes);
	memset(file, 0, sizeof(*file));
	file->fd = file->parent_fd = -1;
}

void unpack_free(struct unpack *unpack)
{
	if (!unpack)
		return;
	if (unpack->file.temporary && unpack->file.parent_fd >= 0)
		(void)unlinkat(unpack->file.parent_fd, unpack->file.temporary, 0);
	file_release(&unpack->file);
	for (size_t i = 0; i < unpack->folder_count; i++)
		free(unpack->folders[i].path);
	free(unpack->folders);
	free(unpack->name);
	string_list_release(&unpack->skipped);
	free(unpack);
}

const struct string_list *unpack_skipped(const struct unpack *unpack)
{
	return &unpack->skipped;
}

/* ---- places ---- */

/* Below the folder, "." for itself. */
static char *full_path(const struct unpack *unpack, const char *path)
{
	if (!unpack->name)
		return memory_strdup(*path ? path : ".");
	return *path ? memory_printf("%s/%s", unpack->name, path) : memory_strdup(unpack->name);
}

static int cannot(int number, const char *what, const char *path, struct error **err)
{
	error_set_errno(err, number, "cannot %s \"%s\"", what, path);
	if (number == ELOOP || number == ENOTDIR)
		error_hint(err, "a symbolic link or a file is in its way: remove it, or choose "
				"another destination");
	return -1;
}

/* The folder that holds ${path}, made where it is missing; *name is the last part of it. */
static int open_parent(const struct unpack *unpack, const char *path, const char **name,
		       struct error **err)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *parent =
		slash ? memory_strndup(path, (size_t)(slash - path)) : memory_strdup(".");
	int fd = beneath_open(unpack->folder_fd, parent, O_PATH | O_DIRECTORY, 0);

	*name = slash ? slash + 1 : path;
	if (fd < 0 && errno == ENOENT && slash) {
		const char *last;
		cleanup_fd int above = open_parent(unpack, parent, &last, err);

		if (above < 0)
			return -1;
		if (mkdirat(above, last, 0777) < 0 && errno != EEXIST)
			return cannot(errno, "make", parent, err);
		fd = beneath_open(unpack->folder_fd, parent, O_PATH | O_DIRECTORY, 0);
	}
	return fd < 0 ? cannot(errno, "open", parent, err) : fd;
}

/* What is there already makes room, unless it is a folder. */
static int make_room(int parent_fd, const char *name, const char *path, struct error **err)
{
	if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	return cannot(errno, "replace", path, err);
}

/* ---- metadata ---- */

static mode_t mode_of(const struct unpack *unpack, const struct tar_entry *entry)
{
	/* whoever copies owns it then: a program with its own rights it must not become */
	return entry->mode & (unpack->archive ? 07777 : 0777);
}

static void skip(struct unpack *unpack, const char *path, const char *what)
{
	cleanup_free char *text = memory_printf("%s: %s: %s", path, what, strerror(errno));

	string_list_add(&unpack->skipped, text);
}

static void set_attributes(struct unpack *unpack, const struct tar_attribute *list, size_t count,
			   int fd, const char *path)
{
	for (size_t i = 0; i < count; i++) {
		const struct tar_attribute *attribute = &list[i];

		if (fsetxattr(fd, attribute->name, attribute->value, attribute->size, 0) < 0)
			skip(unpack, path, attribute->name);
	}
}

/* Owner and time of anything that is not open. */
static void set_metadata(struct unpack *unpack, const struct tar_entry *entry, int parent_fd,
			 const char *name, const char *path)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, entry->mtime};

	if (unpack->archive &&
	    fchownat(parent_fd, name, entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) < 0)
		skip(unpack, path, "owner");
	(void)utimensat(parent_fd, name, times, AT_SYMLINK_NOFOLLOW);
}

/* ---- files ---- */

static int finish_file(struct unpack *unpack, struct error **err)
{
	struct open_file *file = &unpack->file;
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, file->entry.mtime};

	if (file->fd < 0)
		return 0;
	if (ftruncate(file->fd, (off_t)file->entry.size) < 0)
		return cannot(errno, "write", file->path, err);
	if (unpack->archive && fchown(file->fd, file->entry.uid, file->entry.gid) < 0) {
		skip(unpack, file->path, "owner");
		file->entry.mode &= ~(mode_t)07000;
	}
	if (fchmod(file->fd, mode_of(unpack, &file->entry)) < 0)
		return cannot(errno, "set the mode of", file->path, err);
	set_attributes(unpack, file->attributes, file->attribute_count, file->fd, file->path);
	if (futimens(file->fd, times) < 0)
		return cannot(errno, "set the time of", file->path, err);
	if (renameat(file->parent_fd, file->temporary, file->parent_fd, file->name) < 0)
		return cannot(errno, "replace", file->path, err);
	file_release(file);
	return 0;
}

static void copy_attributes(struct open_file *file, const struct tar_entry *entry)
{
	file->attributes = memory_zalloc((entry->attribute_count + 1) * sizeof(*file->attributes));
	for (size_t i = 0; i < entry->attribute_count; i++) {
		const struct tar_attribute *from = &entry->attributes[i];
		void *value = memory_alloc(from->size + 1);

		memcpy(value, from->value, from->size);
		file->attributes[i] =
			(struct tar_attribute){memory_strdup(from->name), value, from->size};
		file->attribute_count++;
	}
}

static int begin_file(struct unpack *unpack, const struct tar_entry *entry, const char *path,
		      int parent_fd, const char *name, struct error **err)
{
	struct open_file *file = &unpack->file;
	cleanup_free char *random = text_random_hex(8);

	file->temporary = memory_printf(".sidesnap-%s", random);
	file->path = memory_strdup(path);
	file->name = memory_strdup(name);
	file->parent_fd = fcntl(parent_fd, F_DUPFD_CLOEXEC, 0);
	file->entry = *entry;
	file->fd = openat(parent_fd, file->temporary,
			  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file->fd < 0) {
		free(STEAL_POINTER(file->temporary));
		return cannot(errno, "make", path, err);
	}
	if (unpack->archive)
		copy_attributes(file, entry);
	return 0;
}

static int take_data(void *context, const void *data, size_t size, struct error **err)
{
	struct unpack *unpack = context;
	struct open_file *file = &unpack->file;

	if (file->fd < 0)
		return error_set(err, ERROR_FAILED, "bytes that belong to no file");
	if (io_pwrite_full(file->fd, data, size, file->at) < 0)
		return cannot(errno, "write", file->path, err);
	file->at += size;
	return 0;
}

static int take_hole(void *context, uint64_t length, struct error **err)
{
	struct unpack *unpack = context;

	(void)err;
	unpack->file.at += length;
	return 0;
}

/* ---- all else ---- */

static int make_folder(struct unpack *unpack, const struct tar_entry *entry, const char *path,
		       int parent_fd, const char *name, struct error **err)
{
	struct folder *folder;

	/* its own mode comes last: it need not let us in */
	if (strcmp(path, ".") != 0 && mkdirat(parent_fd, name, 0700) < 0) {
		int number = errno;
		struct stat status;

		if (number != EEXIST ||
		    fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISDIR(status.st_mode))
			return cannot(number, "make", path, err);
	}
	if (unpack->folder_count == unpack->folder_capacity) {
		unpack->folder_capacity = unpack->folder_capacity * 2 + 16;
		unpack->folders = memory_array(unpack->folders, unpack->folder_capacity,
					       sizeof(*unpack->folders));
	}
	folder = &unpack->folders[unpack->folder_count++];
	*folder = (struct folder){memory_strdup(path), mode_of(unpack, entry), entry->mtime};
	if (unpack->archive && entry->attribute_count) {
		cleanup_fd int fd =
			beneath_open(unpack->folder_fd, path, O_RDONLY | O_DIRECTORY, 0);

		if (fd >= 0)
			set_attributes(unpack, entry->attributes, entry->attribute_count, fd, path);
	}
	if (unpack->archive && strcmp(path, ".") != 0 &&
	    fchownat(parent_fd, name, entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) < 0)
		skip(unpack, path, "owner");
	return 0;
}

static int make_link(struct unpack *unpack, const struct tar_entry *entry, const char *path,
		     int parent_fd, const char *name, struct error **err)
{
	cleanup_free char *first = full_path(unpack, entry->hardlink);
	const char *first_name;
	cleanup_fd int first_fd = open_parent(unpack, first, &first_name, err);

	if (first_fd < 0 || make_room(parent_fd, name, path, err) < 0)
		return -1;
	if (linkat(first_fd, first_name, parent_fd, name, 0) == 0)
		return 0;
	/* the first name is what could not be made */
	if (errno == ENOENT && unpack->skipped.count) {
		skip(unpack, path, "another name");
		return 0;
	}
	return cannot(errno, "link", path, err);
}

static int make_other(struct unpack *unpack, const struct tar_entry *entry, const char *path,
		      int parent_fd, const char *name, struct error **err)
{
	int result;

	if (make_room(parent_fd, name, path, err) < 0)
		return -1;
	if (S_ISLNK(entry->mode))
		result = symlinkat(entry->link, parent_fd, name);
	else
		result = mknodat(parent_fd, name, (entry->mode & S_IFMT) | mode_of(unpack, entry),
				 entry->device);
	if (result < 0 && errno == EPERM && !S_ISLNK(entry->mode)) {
		skip(unpack, path, "a device needs root");
		return 0;
	}
	if (result < 0)
		return cannot(errno, "make", path, err);
	set_metadata(unpack, entry, parent_fd, name, path);
	return 0;
}

static int take_entry(void *context, const struct tar_entry *entry, struct error **err)
{
	struct unpack *unpack = context;
	cleanup_free char *path = full_path(unpack, entry->path);
	const char *name;
	cleanup_fd int parent_fd = -1;

	if (finish_file(unpack, err) < 0)
		return -1;
	parent_fd = open_parent(unpack, path, &name, err);
	if (parent_fd < 0)
		return -1;
	if (entry->hardlink)
		return make_link(unpack, entry, path, parent_fd, name, err);
	if (S_ISDIR(entry->mode))
		return make_folder(unpack, entry, path, parent_fd, name, err);
	if (S_ISREG(entry->mode))
		return begin_file(unpack, entry, path, parent_fd, name, err);
	return make_other(unpack, entry, path, parent_fd, name, err);
}

struct extract_taker unpack_taker(struct unpack *unpack)
{
	return (struct extract_taker){take_entry, take_data, take_hole, unpack};
}

int unpack_finish(struct unpack *unpack, struct error **err)
{
	if (finish_file(unpack, err) < 0)
		return -1;
	/* the inner ones first: each changes the time of that which holds it */
	for (size_t i = unpack->folder_count; i-- > 0;) {
		const struct folder *folder = &unpack->folders[i];
		const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, folder->mtime};
		cleanup_fd int fd =
			beneath_open(unpack->folder_fd, folder->path, O_RDONLY | O_DIRECTORY, 0);

		/* the destination that a person has named keeps its own */
		if (strcmp(folder->path, ".") == 0)
			continue;
		if (fd < 0 || fchmod(fd, folder->mode) < 0 || futimens(fd, times) < 0)
			return cannot(errno, "set the mode of", folder->path, err);
	}
	return 0;
}
