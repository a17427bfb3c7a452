/*
 * Every access below an untrusted root goes through openat2(), so that neither a
 * link nor a mount point in it can lead elsewhere.
 */
#include "tree/own/own_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "tree/format.h"
#include "tree/own/own.h"
#include "tree/record.h"

#define PLACE_RESOLVE                                                                              \
	(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV)
#define REMOVE_DEPTH_MAX 1024
#define NAMES_SIZE_MAX 65536

void own_add_hidden(struct string_list *list)
{
	static const char *const paths[] = {
		"/dev",
		"/proc",
		"/sys",
		"/run/secrets",
		"/etc/hosts",
		"/etc/hostname",
		"/etc/resolv.conf",
		"/etc/mtab",
		"/.dockerenv",
		"/run/.containerenv",
		STORE_DIRECTORY,
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		string_list_add(list, paths[i]);
}

int place_open(int root_fd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
		.resolve = PLACE_RESOLVE,
	};

	return (int)syscall(SYS_openat2, root_fd, *path ? path : ".", &how, sizeof(how));
}

int place_parent(int root_fd, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *parent = NULL;

	*name = slash ? slash + 1 : path;
	if (!**name)
		*name = ".";
	parent = slash ? memory_strndup(path, (size_t)(slash - path)) : memory_strdup("");
	return place_open(root_fd, parent, O_PATH | O_DIRECTORY);
}

bool place_is_absent(int number)
{
	return number == ENOENT || number == ENOTDIR || number == ELOOP;
}

int place_stat(int root_fd, const char *path, struct stat *status)
{
	cleanup_fd int fd = place_open(root_fd, path, O_PATH);

	return fd < 0 ? -1 : fstat(fd, status);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int place_list(int root_fd, const char *path, struct string_list *names, struct error **err)
{
	int fd = place_open(root_fd, path, O_RDONLY | O_DIRECTORY);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int number = errno;

	if (!directory) {
		if (fd >= 0)
			close(fd);
		return error_set_errno(err, number, "cannot list \"/%s\"", path);
	}
	while ((errno = 0, entry = readdir(directory))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			string_list_add(names, entry->d_name);
	}
	number = errno;
	closedir(directory);
	if (number)
		return error_set_errno(err, number, "cannot list \"/%s\"", path);
	if (names->count)
		qsort(names->items, names->count, sizeof(*names->items), compare_names);
	return 0;
}

static int remove_in(int parent_fd, const char *name, unsigned depth, struct error **err);

static int remove_directory(int parent_fd, const char *name, unsigned depth, struct error **err)
{
	struct string_list names;
	cleanup_fd int fd = place_open(parent_fd, name, O_PATH | O_DIRECTORY);
	int result = 0;

	if (fd < 0)
		return errno == EXDEV || place_is_absent(errno)
			       ? 0
			       : error_set_errno(err, errno, "cannot open directory \"%s\"", name);
	if (depth >= REMOVE_DEPTH_MAX)
		return error_set(err, ERROR_FAILED, "directory \"%s\" is nested too deeply", name);
	string_list_init(&names);
	result = place_list(fd, "", &names, err);
	for (size_t i = 0; result == 0 && i < names.count; i++)
		result = remove_in(fd, names.items[i], depth + 1, err);
	string_list_release(&names);
	if (result < 0)
		return -1;
	if (unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT && errno != EBUSY &&
	    errno != ENOTEMPTY && errno != EEXIST)
		return error_set_errno(err, errno, "cannot remove directory \"%s\"", name);
	return 0;
}

static int remove_in(int parent_fd, const char *name, unsigned depth, struct error **err)
{
	struct stat status;

	if (fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0
				       : error_set_errno(err, errno, "cannot examine \"%s\"", name);
	if (S_ISDIR(status.st_mode))
		return remove_directory(parent_fd, name, depth, err);
	if (unlinkat(parent_fd, name, 0) < 0 && errno != ENOENT && errno != EBUSY)
		return error_set_errno(err, errno, "cannot remove \"%s\"", name);
	return 0;
}

int place_remove(int parent_fd, const char *name, struct error **err)
{
	return remove_in(parent_fd, name, 0, err);
}

/* Attributes have no *at() calls; this works for links and device nodes without opening them. */
static char *descriptor_path(int parent_fd, const char *name)
{
	return memory_printf("/proc/self/fd/%d/%s", parent_fd, name);
}

static void read_one_attribute(const char *path, const char *name,
			       struct place_attributes *attributes)
{
	cleanup_free void *value = malloc(RECORD_ATTRIBUTE_SIZE_MAX);
	ssize_t size = value ? lgetxattr(path, name, value, RECORD_ATTRIBUTE_SIZE_MAX) : -1;
	struct attribute *item;

	if (size < 0)
		return;
	attributes->list =
		memory_array(attributes->list, attributes->count + 1, sizeof(*attributes->list));
	item = &attributes->list[attributes->count++];
	item->name = memory_strdup(name);
	item->size = (size_t)size;
	item->value = memory_alloc(item->size ? item->size : 1);
	memcpy((void *)(uintptr_t)item->value, value, item->size);
}

static int compare_attributes(const void *a, const void *b)
{
	return strcmp(((const struct attribute *)a)->name, ((const struct attribute *)b)->name);
}

void place_read_attributes(int parent_fd, const char *name, struct place_attributes *attributes)
{
	cleanup_free char *path = descriptor_path(parent_fd, name);
	cleanup_free char *names = NULL;
	ssize_t size = llistxattr(path, NULL, 0);

	attributes->list = NULL;
	attributes->count = 0;
	if (size <= 0)
		return;
	names = memory_alloc(NAMES_SIZE_MAX);
	size = llistxattr(path, names, NAMES_SIZE_MAX);
	for (ssize_t i = 0; i < size && attributes->count < RECORD_ATTRIBUTE_COUNT_MAX;
	     i += (ssize_t)strlen(names + i) + 1) {
		if (attribute_is_kept(names + i))
			read_one_attribute(path, names + i, attributes);
	}
	if (attributes->count)
		qsort(attributes->list, attributes->count, sizeof(*attributes->list),
		      compare_attributes);
}

void place_attributes_copy(struct place_attributes *to, const struct attribute *list, size_t count)
{
	to->count = count;
	to->list = count ? memory_array(NULL, count, sizeof(*to->list)) : NULL;
	for (size_t i = 0; i < count; i++) {
		void *value = memory_alloc(list[i].size ? list[i].size : 1);

		memcpy(value, list[i].value, list[i].size);
		to->list[i].name = memory_strdup(list[i].name);
		to->list[i].value = value;
		to->list[i].size = list[i].size;
	}
}

void place_attributes_release(struct place_attributes *attributes)
{
	for (size_t i = 0; i < attributes->count; i++) {
		free((void *)(uintptr_t)attributes->list[i].name);
		free((void *)(uintptr_t)attributes->list[i].value);
	}
	free(attributes->list);
	attributes->list = NULL;
	attributes->count = 0;
}

bool place_attributes_equal(const struct attribute *a, size_t a_count, const struct attribute *b,
			    size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++) {
		if (strcmp(a[i].name, b[i].name) != 0 || a[i].size != b[i].size ||
		    memcmp(a[i].value, b[i].value, a[i].size) != 0)
			return false;
	}
	return true;
}

void place_write_attributes(int parent_fd, const char *name, const struct attribute *list,
			    size_t count)
{
	cleanup_free char *path = descriptor_path(parent_fd, name);
	struct place_attributes present;

	place_read_attributes(parent_fd, name, &present);
	for (size_t i = 0; i < present.count; i++) {
		bool wanted = false;

		for (size_t j = 0; j < count; j++)
			wanted |= strcmp(list[j].name, present.list[i].name) == 0;
		if (!wanted)
			(void)lremovexattr(path, present.list[i].name);
	}
	/* What the file system here cannot hold is in the catalog all the same. */
	for (size_t i = 0; i < count; i++)
		(void)lsetxattr(path, list[i].name, list[i].value, list[i].size, 0);
	place_attributes_release(&present);
}

char *place_read_link(int parent_fd, const char *name)
{
	char target[RECORD_LINK_MAX + 2];
	ssize_t size = readlinkat(parent_fd, name, target, sizeof(target));

	if (size < 0 || (size_t)size > RECORD_LINK_MAX)
		return NULL;
	return memory_strndup(target, (size_t)size);
}
