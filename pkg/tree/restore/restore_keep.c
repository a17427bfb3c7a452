/*
 * What is right already stays. The walk asks here about everything that exists under a
 * name of the catalog; the less is opened the better: a stat that a record proves is worth
 * a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/path.h"
#include "tree/attributes.h"
#include "tree/catalog.h"
#include "tree/earlier.h"
#include "tree/format.h"
#include "tree/restore/restore_private.h"
#include "tree/state.h"

#define GROUPS_SIZE_MAX (64U << 20) /* of the paths of hard links that are kept in memory */

/* ---- files with several names ---- */

void link_groups_release(struct link_groups *groups)
{
	for (size_t i = 0; i < groups->count; i++) {
		free(groups->items[i].first);
		string_list_release(&groups->items[i].others);
	}
	free(groups->items);
	memset(groups, 0, sizeof(*groups));
}

static struct link_group *find_group(struct link_groups *groups, const char *first)
{
	size_t low = 0, high = groups->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = path_compare(groups->items[middle].first, first);

		if (order == 0)
			return &groups->items[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* False: no more fit into memory. */
static bool add_to_groups(struct link_groups *groups, const struct catalog_entry *entry)
{
	struct link_group *group;

	groups->size += strlen(entry->path) + sizeof(*group);
	if (groups->size > GROUPS_SIZE_MAX)
		return false;
	if (entry->hardlink) {
		group = find_group(groups, entry->hardlink);
		if (group)
			string_list_add(&group->others, entry->path);
		return true;
	}
	if (groups->count == groups->capacity) {
		groups->capacity = 2 * groups->capacity + 64;
		groups->items =
			memory_array(groups->items, groups->capacity, sizeof(*groups->items));
	}
	group = &groups->items[groups->count++];
	group->first = memory_strdup(entry->path);
	string_list_init(&group->others);
	group->is_kept = false;
	return true;
}

/*
 * All groups of the catalog, by reading it once more. Where there are too many none is known:
 * then they are all made anew.
 */
static int load_groups(struct restore *restore, struct error **err)
{
	struct link_groups *groups = &restore->groups;
	CLEANUP(cleanup_catalog_close) struct catalog_reader *reader = NULL;
	struct catalog_entry entry;
	int result;

	if (groups->is_loaded)
		return 0;
	reader = catalog_open(restore->store, &restore->tree->root, err);
	if (!reader)
		return -1;
	while ((result = catalog_next(reader, &entry, err)) > 0) {
		if ((entry.flags & ENTRY_LINKED || entry.hardlink) &&
		    !add_to_groups(groups, &entry)) {
			link_groups_release(groups);
			break;
		}
	}
	groups->is_loaded = true;
	return result < 0 ? -1 : 0;
}

static bool is_that_file(const struct restore *restore, const char *path,
			 const struct file_status *expected)
{
	cleanup_fd int fd = beneath_open(restore->root_fd, path, O_PATH | O_NOFOLLOW, 0);
	struct file_status status;

	return fd >= 0 && beneath_status(fd, "", &status) == 0 &&
	       status.device == expected->device && status.inode == expected->inode;
}

/*
 * Whether a file has exactly the names that the catalog gives it, so that to change it changes
 * no other. 1, 0, -1.
 */
static int links_are_right(struct restore *restore, const struct catalog_entry *entry,
			   const struct file_status *status, struct error **err)
{
	struct link_group *group;

	if (status->links == 1)
		return 1;
	if (!(entry->flags & ENTRY_LINKED))
		return 0;
	if (load_groups(restore, err) < 0)
		return -1;
	group = find_group(&restore->groups, entry->path);
	if (!group || status->links != group->others.count + 1)
		return 0;
	for (size_t i = 0; i < group->others.count; i++) {
		if (!is_that_file(restore, group->others.items[i], status))
			return 0;
	}
	group->is_kept = true;
	return 1;
}

/* ---- regular files ---- */

/* The record that proves what the file holds, or NULL. */
static const struct catalog_entry *find_known(const struct restore *restore,
					      const struct catalog_entry *entry,
					      const struct file_status *status)
{
	const struct restore_options *options = restore->options;

	if (!restore->times_are_proof)
		return NULL;
	if (options->trust_catalog && fingerprint_holds(entry, status))
		return entry;
	for (size_t i = 0; i < sizeof(options->known) / sizeof(options->known[0]); i++) {
		const struct catalog_entry *known =
			options->known[i] ? state_find(options->known[i], entry->path, status)
					  : NULL;

		if (known)
			return known;
	}
	return NULL;
}

static bool same_content(const struct content *a, const struct content *b)
{
	return a->kind == b->kind && a->length == b->length &&
	       (a->kind == CONTENT_HOLE ||
		(a->offset == b->offset && a->chunk.size == b->chunk.size &&
		 hash_equal(&a->chunk.id, &b->chunk.id)));
}

static bool same_contents(const struct catalog_entry *a, const struct catalog_entry *b)
{
	if (a == b)
		return true;
	if (a->size != b->size || a->content_count != b->content_count)
		return false;
	for (size_t i = 0; i < a->content_count; i++) {
		if (!same_content(&a->contents[i], &b->contents[i]))
			return false;
	}
	return true;
}

static int keep_large(struct walk *walk, const struct step *step, const struct catalog_entry *known,
		      struct error **err)
{
	struct known_contents list = {.items = known ? known->contents : NULL,
				      .count = known ? known->content_count : 0};
	int fd = update_open(step->frame->directory->fd, step->name, step->entry, err);

	if (fd < 0)
		return fd == -2 ? 0 : -1;
	return restore_add_large(walk, step, fd, &list, err) < 0 ? -1 : 1;
}

static int keep_regular(struct walk *walk, struct step *step, const struct file_status *status,
			struct error **err)
{
	struct restore *restore = walk->restore;
	const struct catalog_entry *entry = step->entry;
	const struct catalog_entry *known = find_known(restore, entry, status);
	enum restore_action action = ACTION_UPDATE;

	if (known && same_contents(known, entry)) {
		if (metadata_same(known, entry)) {
			step->fingerprint = known->fingerprint;
			step->found = &step->fingerprint;
			restore->kept_files++;
			atomic_fetch_add(&restore->files, 1);
			atomic_fetch_add(&restore->bytes, entry->size);
			return 1;
		}
		action = ACTION_METADATA;
	} else if (entry->size > RESTORE_SMALL_MAX || entry->flags & ENTRY_LINKED) {
		return keep_large(walk, step, known, err);
	}
	return restore_add_small(walk, step, action, err) < 0 ? -1 : 1;
}

/* ---- symlinks, device nodes, FIFOs ---- */

static bool has_target(const struct step *step)
{
	char target[RECORD_LINK_MAX + 2];
	ssize_t size = readlinkat(step->frame->directory->fd, step->name, target, sizeof(target));

	return size >= 0 && (size_t)size == strlen(step->entry->link) &&
	       memcmp(target, step->entry->link, (size_t)size) == 0;
}

/* Attributes of what is no link; those that are too much could not be taken away by name. */
static bool has_attributes(const struct step *step)
{
	cleanup_fd int fd =
		beneath_open(step->frame->directory->fd, step->name, O_PATH | O_NOFOLLOW, 0);
	struct catalog_entry found = *step->entry;
	struct attribute_space space;
	bool result;

	attribute_space_init(&space);
	result = fd >= 0 && attributes_read(fd, true, &space) == 0;
	found.attributes = space.items;
	found.attribute_count = space.count;
	result = result && metadata_same(&found, step->entry);
	attribute_space_release(&space);
	return result;
}

static int keep_special(struct walk *walk, const struct step *step,
			const struct file_status *status, struct error **err)
{
	const struct catalog_entry *entry = step->entry;
	bool is_node = S_ISCHR(entry->mode) || S_ISBLK(entry->mode);

	if ((S_ISLNK(entry->mode) && !has_target(step)) ||
	    (is_node && status->node != entry->device) ||
	    (!S_ISLNK(entry->mode) && !has_attributes(step)))
		return 0;
	if (status->uid == entry->uid && status->gid == entry->gid &&
	    (S_ISLNK(entry->mode) || status->mode == entry->mode) &&
	    status->mtime.tv_sec == entry->mtime.tv_sec &&
	    status->mtime.tv_nsec == entry->mtime.tv_nsec)
		return 1;
	return metadata_apply_name(walk->restore, step->frame->directory->fd, step->name, entry,
				   err) < 0
		       ? -1
		       : 1;
}

/* It makes way, so the group's other names have to be made anew too. */
static void give_up_group(struct restore *restore, const char *first)
{
	struct link_group *group = find_group(&restore->groups, first);

	if (group)
		group->is_kept = false;
}

int restore_keep(struct walk *walk, struct step *step, struct error **err)
{
	struct restore *restore = walk->restore;
	const struct catalog_entry *entry = step->entry;
	const struct link_group *group;
	struct file_status status;
	int result;

	if (beneath_status(step->frame->directory->fd, step->name, &status) < 0) {
		if (errno == ENOENT)
			return 0;
		return error_set_errno(err, errno, "cannot examine \"%s\"", entry->path);
	}
	if ((status.mode & S_IFMT) != (entry->mode & S_IFMT))
		return 0;
	if (status.mount != step->frame->mount)
		return 1; /* a file with another mount on it */
	if (entry->hardlink) {
		group = find_group(&restore->groups, entry->hardlink);
		return group && group->is_kept;
	}
	result = links_are_right(restore, entry, &status, err);
	if (result > 0)
		result = S_ISREG(entry->mode) ? keep_regular(walk, step, &status, err)
					      : keep_special(walk, step, &status, err);
	if (result == 0 && status.links > 1)
		give_up_group(restore, entry->path);
	return result;
}
