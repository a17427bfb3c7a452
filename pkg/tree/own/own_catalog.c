/*
 * The catalog of own files: written after a capture, checked by verify, used by a
 * boot to put back what the engine's commit cannot carry.
 */
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
#include "base/text.h"
#include "tree/own/own_state.h"

#define BLOCK_SIZE (128U << 10)
#define LINK_NAME ".sidesnap-link" /* for a moment, beside a name that becomes a link again */

static const struct own_record *sorting;

static int compare_records(const void *a, const void *b)
{
	return path_compare(sorting[*(const size_t *)a].path, sorting[*(const size_t *)b].path);
}

static int add_record(struct capture *capture, uint64_t source, const struct own_record *record,
		      const char *hardlink, struct error **err)
{
	struct content content = {
		.kind = CONTENT_HASH,
		.length = record->size,
		.chunk = {.id = record->hash},
	};
	struct catalog_entry entry = {
		.path = record->path,
		.flags = record->flags,
		.mode = record->mode,
		.uid = record->uid,
		.gid = record->gid,
		.device = record->device,
		.size = record->size,
		.mtime = record->mtime,
		.link = record->link,
		.hardlink = hardlink,
		.attributes = record->attributes.list,
		.attribute_count = record->attributes.count,
		.contents = &content,
		.content_count = S_ISREG(record->mode) && record->size && !hardlink ? 1 : 0,
	};

	if (record->has_fingerprint && !record->is_hot)
		entry.fingerprint = (struct fingerprint){source, record->inode, record->ctime};
	return capture_catalog_add(capture, &entry, err);
}

int own_write_catalog(struct own *own, struct capture *capture, struct tree_record *record,
		      struct error **err)
{
	cleanup_free size_t *order = memory_array(NULL, own->record_count + 1, sizeof(*order));
	/* Of each group the record that comes first in the catalog: the others are names of it. */
	cleanup_free size_t *first = memory_array(NULL, own->group_count + 1, sizeof(*first));
	const char *gone = NULL; /* the last record that nothing can be below */

	if (!own->options.measure_only && own_finish_directories(own, err) < 0)
		return -1;
	for (size_t i = 0; i < own->record_count; i++)
		order[i] = i;
	for (size_t i = 0; i <= own->group_count; i++)
		first[i] = PATH_MAP_NONE;
	sorting = own->records;
	qsort(order, own->record_count, sizeof(*order), compare_records);
	if (capture_catalog_begin(capture, err) < 0)
		return -1;
	for (size_t i = 0; i < own->record_count; i++) {
		const struct own_record *item = &own->records[order[i]];
		const char *hardlink = NULL;

		/* what an earlier snapshot saw deleted in a directory that has gone as well */
		if (item->flags & ENTRY_DELETED && gone && path_below(item->path, gone))
			continue;
		if (item->flags & ENTRY_DELETED || !S_ISDIR(item->mode))
			gone = item->path;
		if (item->group && first[item->group] == PATH_MAP_NONE)
			first[item->group] = order[i];
		else if (item->group)
			hardlink = own->records[first[item->group]].path;
		if (add_record(capture, own->options.source, item, hardlink, err) < 0)
			return error_prefix(err, "own file \"/%s\"", item->path);
	}
	record->kind = TREE_OWN;
	if (!record->name)
		record->name = memory_strdup("");
	if (!record->paths.count)
		string_list_add(&record->paths, "/");
	string_list_add_all(&record->skipped, &own->skipped);
	return capture_catalog_end(capture, record, NULL, err);
}

static int hash_file(int fd, struct hash *hash)
{
	struct hasher *hasher = hasher_new();
	cleanup_free uint8_t *block = memory_alloc(BLOCK_SIZE);
	ssize_t count;

	while ((count = io_read_full(fd, block, BLOCK_SIZE)) > 0)
		hasher_update(hasher, block, (size_t)count);
	hasher_finish(hasher, hash);
	hasher_free(hasher);
	return count < 0 ? -1 : 0;
}

static int differs(const struct catalog_entry *entry, const char *what, struct error **err)
{
	return error_set(err, ERROR_DAMAGED, "own file \"/%s\" of the image %s", entry->path, what);
}

/*
 * Podman writes these into the helper's layer at its start, where the image has none:
 * what is younger than the agent, which is put there before, is not the image's.
 */
static bool is_made_at_start(const char *path, const struct stat *status)
{
	struct stat agent;

	return (strcmp(path, "etc/passwd") == 0 || strcmp(path, "etc/group") == 0 ||
		strcmp(path, "etc/mtab") == 0) &&
	       stat("/proc/self/exe", &agent) == 0 &&
	       (status->st_ctim.tv_sec > agent.st_ctim.tv_sec ||
		(status->st_ctim.tv_sec == agent.st_ctim.tv_sec &&
		 status->st_ctim.tv_nsec > agent.st_ctim.tv_nsec));
}

static int verify_entry(int layer_fd, const struct catalog_entry *entry, struct error **err)
{
	const char *name = NULL;
	cleanup_fd int parent_fd = place_parent(layer_fd, entry->path, &name), fd = -1;
	struct stat status;
	struct hash hash;
	bool is_there;

	if (parent_fd < 0 && errno == EXDEV)
		return 0; /* something is mounted over it here */
	is_there = parent_fd >= 0 && fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
	if (entry->flags & ENTRY_DELETED)
		return is_there && !is_made_at_start(entry->path, &status)
			       ? differs(entry, "is there, but was deleted", err)
			       : 0;
	if (!is_there)
		return differs(entry, "is missing", err);
	if ((status.st_mode & S_IFMT) != (entry->mode & S_IFMT))
		return differs(entry, "has another type", err);
	if (S_ISLNK(entry->mode)) {
		cleanup_free char *target = place_read_link(parent_fd, name);

		return !target || strcmp(target, entry->link) != 0
			       ? differs(entry, "points elsewhere", err)
			       : 0;
	}
	if (!S_ISREG(entry->mode) || entry->hardlink)
		return 0;
	fd = place_open(parent_fd, name, O_RDONLY | O_NONBLOCK);
	if (fd < 0 && errno == EXDEV)
		return 0;
	if ((uint64_t)status.st_size != entry->size)
		return differs(entry, "has another size", err);
	if (fd < 0 || hash_file(fd, &hash) < 0)
		return error_set_errno(err, errno, "cannot read \"/%s\"", entry->path);
	if (entry->content_count && !hash_equal(&hash, &entry->contents[0].chunk.id))
		return differs(entry, "has another content", err);
	return 0;
}

int own_verify(int layer_fd, struct store *store, const struct tree_record *tree, bool check_files,
	       struct error **err)
{
	CLEANUP(cleanup_catalog_close)
	struct catalog_reader *reader = catalog_open(store, &tree->root, err);
	struct catalog_entry entry;
	int result;

	if (!reader)
		return -1;
	while ((result = catalog_next(reader, &entry, err)) > 0) {
		if (check_files && verify_entry(layer_fd, &entry, err) < 0)
			return -1;
	}
	return result;
}

/*
 * Attributes by descriptor, since there may be no /proc. Those of "security." are left:
 * a commit keeps them, and a service must not be able to have them set on a file of its own.
 */
static void put_attributes_right(int fd, const struct catalog_entry *entry)
{
	for (size_t i = 0; i < entry->attribute_count; i++) {
		const struct attribute *attribute = &entry->attributes[i];
		char value[4096];
		ssize_t size;

		if (text_has_prefix(attribute->name, "security."))
			continue;
		size = fgetxattr(fd, attribute->name, value, sizeof(value));
		if (size >= 0 && (size_t)size == attribute->size &&
		    memcmp(value, attribute->value, attribute->size) == 0)
			continue;
		(void)fsetxattr(fd, attribute->name, attribute->value, attribute->size, 0);
	}
}

/*
 * overlayfs breaks a hard link when it copies one of its names up, as putting the first name
 * right does. True: ${name} is a name of the first one's file, still or again.
 */
static bool link_again(int layer_fd, const char *first, int parent_fd, const char *name,
		       const struct stat *status)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	struct stat found, directory, left;
	const char *first_name = NULL;
	cleanup_fd int first_fd = place_parent(layer_fd, first, &first_name);

	if (first_fd < 0 || fstatat(first_fd, first_name, &found, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstatat(parent_fd, ".", &directory, 0) < 0)
		return false;
	if (found.st_ino == status->st_ino)
		return true;
	/* one name of the image's, that is: alone it would be somebody else's file by now */
	if (status->st_nlink < 2 || found.st_mode != status->st_mode ||
	    found.st_uid != status->st_uid || found.st_gid != status->st_gid ||
	    found.st_size != status->st_size)
		return false;
	if (linkat(first_fd, first_name, parent_fd, LINK_NAME, 0) < 0 &&
	    (errno != EEXIST || fstatat(parent_fd, LINK_NAME, &left, AT_SYMLINK_NOFOLLOW) < 0 ||
	     left.st_ino != found.st_ino))
		return false;
	if (renameat(parent_fd, LINK_NAME, parent_fd, name) < 0) {
		(void)unlinkat(parent_fd, LINK_NAME, 0);
		return false;
	}
	times[1] = directory.st_mtim;
	(void)utimensat(parent_fd, ".", times, 0);
	return true;
}

/* Whether it is the time that a commit has left: whole seconds, not before 1970. */
static bool is_committed_time(const struct timespec *committed, const struct timespec *captured)
{
	return committed->tv_sec == captured->tv_sec ||
	       (committed->tv_sec == 0 && captured->tv_sec < 0);
}

static void put_entry_right(int layer_fd, const struct catalog_entry *entry)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, entry->mtime};
	const char *name = NULL;
	cleanup_fd int parent_fd = -1, fd = -1;
	struct stat status;

	/* Some storage drivers make regular files of the others when they copy them up. */
	if (entry->flags & ENTRY_DELETED ||
	    (!S_ISREG(entry->mode) && !S_ISDIR(entry->mode) && !S_ISLNK(entry->mode)))
		return;
	parent_fd = place_parent(layer_fd, entry->path, &name);
	if (parent_fd < 0 || fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	/* Only what nobody has changed since: an image made from ours may have other files there. */
	if ((status.st_mode & 07777) != (entry->mode & 07777) ||
	    (status.st_mode & S_IFMT) != (entry->mode & S_IFMT) || status.st_uid != entry->uid ||
	    status.st_gid != entry->gid ||
	    (!S_ISDIR(entry->mode) && !is_committed_time(&status.st_mtim, &entry->mtime)) ||
	    (S_ISREG(entry->mode) && !entry->hardlink && (uint64_t)status.st_size != entry->size))
		return;
	if (entry->hardlink && link_again(layer_fd, entry->hardlink, parent_fd, name, &status))
		return;
	if (entry->attribute_count && (S_ISREG(entry->mode) || S_ISDIR(entry->mode))) {
		fd = place_open(parent_fd, name, O_RDONLY | O_NONBLOCK);
		if (fd >= 0)
			put_attributes_right(fd, entry);
	}
	if (status.st_mtim.tv_sec != entry->mtime.tv_sec ||
	    status.st_mtim.tv_nsec != entry->mtime.tv_nsec)
		(void)utimensat(parent_fd, name, times, AT_SYMLINK_NOFOLLOW);
}

int own_put_right(int layer_fd, struct store *store, const struct tree_record *tree,
		  struct error **err)
{
	CLEANUP(cleanup_catalog_close)
	struct catalog_reader *reader = catalog_open(store, &tree->root, err);
	struct catalog_entry entry;
	int result;

	if (!reader)
		return -1;
	while ((result = catalog_next(reader, &entry, err)) > 0)
		put_entry_right(layer_fd, &entry);
	return result;
}
