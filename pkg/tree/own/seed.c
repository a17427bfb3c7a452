/*
 * A seed is small and known; a volume may be huge and foreign. So the seed is
 * loaded, the volume walked, and the first thing that is not the seed's ends it.
 */
#include "tree/own/seed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "tree/mark.h"
#include "tree/own/own_place.h"

#define SEED_MEMBERS_MAX (1U << 20)
#define DEPTH_MAX 1024

struct seed_member {
	char *path, *link;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	dev_t device;
	uint64_t size;
	struct timespec mtime;
	struct hash hash;
};

struct seed {
	struct seed_member *members;
	size_t count, capacity;
	struct hasher *hasher;
	bool is_open;  /* the last member's content is coming */
	uint64_t left; /* of it */
};

struct seed *seed_new(void)
{
	struct seed *seed = memory_zalloc(sizeof(*seed));

	seed->hasher = hasher_new();
	return seed;
}

void seed_free(struct seed *seed)
{
	if (!seed)
		return;
	for (size_t i = 0; i < seed->count; i++) {
		free(seed->members[i].path);
		free(seed->members[i].link);
	}
	free(seed->members);
	hasher_free(seed->hasher);
	free(seed);
}

static int append(struct seed *seed, const struct seed_member *member, struct error **err)
{
	if (seed->count >= SEED_MEMBERS_MAX) {
		free(member->path);
		free(member->link);
		return error_set(err, ERROR_UNSUPPORTED,
				 "the image has more than %u files at a volume's path",
				 SEED_MEMBERS_MAX);
	}
	if (seed->count == seed->capacity) {
		seed->capacity = seed->capacity ? seed->capacity * 2 : 16;
		seed->members = memory_array(seed->members, seed->capacity, sizeof(*seed->members));
	}
	seed->members[seed->count++] = *member;
	return 0;
}

static int close_member(struct seed *seed, struct error **err)
{
	struct seed_member *last = seed->count ? &seed->members[seed->count - 1] : NULL;

	if (seed->left)
		return error_set(err, ERROR_FAILED, "the seed has too few bytes of \"%s\"",
				 last ? last->path : "");
	if (last && seed->is_open)
		hasher_finish(seed->hasher, &last->hash);
	seed->is_open = false;
	return 0;
}

static int compare_members(const void *a, const void *b)
{
	return path_compare(((const struct seed_member *)a)->path,
			    ((const struct seed_member *)b)->path);
}

/* Names of one file count as files of the same content: only that is compared later. */
static int copy_linked(struct seed *seed, const char *hardlink, struct seed_member *member,
		       struct error **err)
{
	for (size_t i = seed->count; i-- > 0;) {
		const struct seed_member *other = &seed->members[i];

		if (strcmp(other->path, hardlink) != 0)
			continue;
		member->mode = other->mode;
		member->uid = other->uid;
		member->gid = other->gid;
		member->mtime = other->mtime;
		member->size = other->size;
		member->hash = other->hash;
		return 0;
	}
	return error_set(err, ERROR_FAILED,
			 "\"%s\" of the seed links to \"%s\", which did not come", member->path,
			 hardlink);
}

int seed_add(struct seed *seed, const struct own_member *given, struct error **err)
{
	struct seed_member member = {
		.mode = given->mode,
		.uid = given->uid,
		.gid = given->gid,
		.device = given->device,
		.size = S_ISREG(given->mode) ? given->size : 0,
		.mtime = given->mtime,
	};

	if (close_member(seed, err) < 0)
		return -1;
	if (*given->path && !path_is_safe_relative(given->path, strlen(given->path)))
		return error_set(err, ERROR_FAILED, "bad path \"%s\" in the seed", given->path);
	if (S_ISSOCK(given->mode) || given->deleted)
		return 0;
	if (S_ISLNK(given->mode) && !given->link)
		return error_set(err, ERROR_FAILED, "link \"%s\" without a target", given->path);
	member.path = memory_strdup(given->path);
	member.link = S_ISLNK(given->mode) ? memory_strdup(given->link) : NULL;
	if (given->hardlink) {
		if (copy_linked(seed, given->hardlink, &member, err) < 0) {
			free(member.path);
			free(member.link);
			return -1;
		}
		return append(seed, &member, err);
	}
	if (given->content) {
		member.hash = *given->content;
		return append(seed, &member, err);
	}
	seed->left = member.size;
	seed->is_open = member.size > 0;
	return append(seed, &member, err);
}

int seed_data(struct seed *seed, const void *data, size_t size, struct error **err)
{
	if (size > seed->left)
		return error_set(err, ERROR_FAILED, "the seed has bytes that belong to no file");
	hasher_update(seed->hasher, data, size);
	seed->left -= size;
	return 0;
}

static int write_member(struct capture *capture, const struct seed_member *member,
			struct error **err)
{
	struct content content = {
		.kind = CONTENT_HASH,
		.length = member->size,
		.chunk = {.id = member->hash},
	};
	struct catalog_entry entry = {
		.path = member->path,
		.mode = member->mode,
		.uid = member->uid,
		.gid = member->gid,
		.device = member->device,
		.size = member->size,
		.mtime = member->mtime,
		.link = member->link,
		.contents = &content,
		.content_count = S_ISREG(member->mode) && member->size ? 1 : 0,
	};

	return capture_catalog_add(capture, &entry, err);
}

int seed_write(struct seed *seed, struct capture *capture, struct catalog_root *root,
	       struct error **err)
{
	const struct seed_member top = {.path = (char *)(uintptr_t) "", .mode = S_IFDIR | 0755};

	if (close_member(seed, err) < 0)
		return -1;
	if (seed->count)
		qsort(seed->members, seed->count, sizeof(*seed->members), compare_members);
	if (capture_catalog_begin(capture, err) < 0)
		return -1;
	if ((!seed->count || *seed->members[0].path) && write_member(capture, &top, err) < 0)
		return -1;
	for (size_t i = 0; i < seed->count; i++) {
		if (i && strcmp(seed->members[i].path, seed->members[i - 1].path) == 0)
			continue;
		if (write_member(capture, &seed->members[i], err) < 0)
			return -1;
	}
	return capture_catalog_end(capture, NULL, root, err);
}

/* The members of a stored seed; their paths are in catalog order. */
static struct seed *seed_load(struct store *store, const struct catalog_root *root,
			      struct error **err)
{
	CLEANUP(cleanup_seed_free) struct seed *seed = seed_new();
	CLEANUP(cleanup_catalog_close) struct catalog_reader *reader = NULL;
	struct catalog_entry entry;
	int result;

	if (!root || !root->count)
		return STEAL_POINTER(seed);
	reader = catalog_open(store, root, err);
	if (!reader)
		return NULL;
	while ((result = catalog_next(reader, &entry, err)) > 0) {
		struct seed_member member = {.mode = entry.mode,
					     .device = entry.device,
					     .size = S_ISREG(entry.mode) ? entry.size : 0};

		if (entry.content_count)
			member.hash = entry.contents[0].chunk.id;
		member.path = memory_strdup(entry.path);
		member.link = memory_strdup(entry.link);
		if (append(seed, &member, err) < 0)
			return NULL;
	}
	return result < 0 ? NULL : STEAL_POINTER(seed);
}

struct walk {
	int root_fd;
	const struct seed *seed;
	const struct string_list *mounted_below;
	size_t mounts; /* met so far */
	char *foreign;
};

static bool same_content(int root_fd, const char *path, const struct seed_member *member)
{
	cleanup_fd int fd = place_open(root_fd, path, O_RDONLY | O_NONBLOCK);
	struct hasher *hasher = hasher_new();
	char block[16384];
	struct hash hash;
	uint64_t size = 0;
	ssize_t count = -1;

	while (fd >= 0 && size <= member->size &&
	       (count = io_read_full(fd, block, sizeof(block))) > 0) {
		hasher_update(hasher, block, (size_t)count);
		size += (uint64_t)count;
	}
	hasher_finish(hasher, &hash);
	hasher_free(hasher);
	return count == 0 && size == member->size && (!size || hash_equal(&hash, &member->hash));
}

static bool is_seeded(const struct walk *walk, const char *path, const struct stat *status)
{
	const struct seed_member key = {.path = (char *)(uintptr_t)path};
	const struct seed_member *member =
		walk->seed->count ? bsearch(&key, walk->seed->members, walk->seed->count,
					    sizeof(key), compare_members)
				  : NULL;

	if (!member || (member->mode & S_IFMT) != (status->st_mode & S_IFMT))
		return false;
	if (S_ISLNK(status->st_mode)) {
		const char *name = NULL;
		cleanup_fd int parent_fd = place_parent(walk->root_fd, path, &name);
		cleanup_free char *target = parent_fd < 0 ? NULL : place_read_link(parent_fd, name);

		return target && member->link && strcmp(target, member->link) == 0;
	}
	if (S_ISREG(status->st_mode))
		return (uint64_t)status->st_size == member->size &&
		       same_content(walk->root_fd, path, member);
	if (S_ISCHR(status->st_mode) || S_ISBLK(status->st_mode))
		return status->st_rdev == member->device;
	return true;
}

/* Whether other trees are mounted at or below ${path}: the engine makes such directories. */
static bool leads_to_mount(const struct walk *walk, const char *path)
{
	for (size_t i = 0; walk->mounted_below && i < walk->mounted_below->count; i++) {
		const char *mounted = walk->mounted_below->items[i];
		size_t size = strlen(path);

		if (strncmp(mounted, path, size) == 0 &&
		    (mounted[size] == '/' || mounted[size] == '\0'))
			return true;
	}
	return false;
}

static int examine(struct walk *walk, const char *path, unsigned depth, struct error **err);

/* One name in the volume: 1 it does not count, 0 it is foreign, -1 error. */
static int examine_name(struct walk *walk, const char *path, unsigned depth, struct error **err)
{
	struct stat status;
	size_t mounts = walk->mounts;
	bool is_known;
	int result;

	if (strcmp(path, MARK_FILE) == 0)
		return 1;
	if (place_stat(walk->root_fd, path, &status) < 0) {
		walk->mounts += errno == EXDEV;
		if (errno == EXDEV || errno == ENOENT)
			return 1;
		return error_set_errno(err, errno, "cannot examine \"%s\"", path);
	}
	if (!S_ISDIR(status.st_mode))
		return is_seeded(walk, path, &status);
	if (strcmp(path, "lost+found") == 0)
		return 1;
	is_known = is_seeded(walk, path, &status) || leads_to_mount(walk, path);
	result = examine(walk, path, depth + 1, err);
	/* An engine makes directories for what it mounts inside of a volume. */
	return result > 0 && !is_known && walk->mounts == mounts ? 0 : result;
}

/* All names in a directory; the first foreign one goes to walk->foreign. */
static int examine(struct walk *walk, const char *path, unsigned depth, struct error **err)
{
	struct string_list names;
	int result = 1;

	string_list_init(&names);
	if (depth > DEPTH_MAX)
		result = 0;
	else if (place_list(walk->root_fd, path, &names, err) < 0)
		result = -1;
	for (size_t i = 0; result > 0 && i < names.count; i++) {
		cleanup_free char *child =
			*path ? path_join(path, names.items[i]) : memory_strdup(names.items[i]);

		result = examine_name(walk, child, depth, err);
		if (result == 0 && !walk->foreign)
			walk->foreign = STEAL_POINTER(child);
	}
	string_list_release(&names);
	return result;
}

int volume_is_empty(int root_fd, struct store *store, const struct catalog_root *seed_root,
		    const struct string_list *mounted_below, char **foreign, struct error **err)
{
	CLEANUP(cleanup_seed_free) struct seed *seed = seed_load(store, seed_root, err);
	struct walk walk = {.root_fd = root_fd, .seed = seed, .mounted_below = mounted_below};
	int result;

	if (!seed)
		return -1;
	result = examine(&walk, "", 0, err);
	if (foreign)
		*foreign = STEAL_POINTER(walk.foreign);
	free(walk.foreign);
	return result;
}

enum volume_action volume_decide(const struct mark *mark, const struct hash *tree,
				 enum volume_wish wish, bool is_writable, bool is_empty)
{
	bool is_ours = mark->state != MARK_NONE && hash_equal(&mark->tree, tree);

	if (is_ours && mark->state == MARK_RESTORED)
		return wish == VOLUME_REPLACE && !mark->replaced && is_writable ? VOLUME_RESTORE
										: VOLUME_LEAVE;
	if (is_ours || is_empty)
		return is_writable ? VOLUME_RESTORE : VOLUME_WAIT;
	if (wish == VOLUME_REPLACE && is_writable)
		return VOLUME_RESTORE;
	/* Half of another snapshot is nothing to start on. */
	return wish == VOLUME_KEEP && mark->state != MARK_RESTORING ? VOLUME_LEAVE : VOLUME_REFUSE;
}
