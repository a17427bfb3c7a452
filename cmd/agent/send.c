/*
 * Members of a snapshot on their way to the command. What is in a tree is checked by hash.
 */
#include "send.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "channel.h"
#include "entry.h"
#include "tree/own/own_place.h"

#define BLOCK_SIZE (128U << 10)
#define DEPTH_MAX 2048

/* A name of a file whose first name is not in what was asked for. */
struct other_name {
	char *first, *name;
};

/* A name that may be linked to, of a file of the image with several. */
struct image_name {
	dev_t device;
	ino_t inode;
	char *path;
};

struct sender {
	const struct snapshot_view *view;
	const struct location *location;
	const struct string_list *dropped;
	struct send_totals *totals;
	struct other_name *others;
	size_t other_count;
	struct image_name *names;
	size_t name_count;
};

/* Where a path is below what was asked for: "" that itself, NULL not there. */
static const char *relative_to(const char *path, const char *top)
{
	size_t size = strlen(top);

	if (!size)
		return path;
	if (strncmp(path, top, size) != 0 || (path[size] && path[size] != '/'))
		return NULL;
	return path + size + (path[size] == '/');
}

static char *join(const char *top, const char *path)
{
	return *top && *path ? memory_printf("%s/%s", top, path) : memory_strdup(*top ? top : path);
}

static void told(struct sender *state, uint64_t bytes)
{
	state->totals->bytes += bytes;
	channel_progress("extracting", state->totals->files, state->totals->bytes,
			 state->totals->expected_bytes);
}

static void send_hole(uint64_t length)
{
	struct json *found = json_new_object();

	json_set_int(found, "hole", (int64_t)length);
	channel_send(WIRE_FOUND, found);
}

/* ---- out of a tree ---- */

static int send_contents(struct sender *state, const struct catalog_entry *entry,
			 struct error **err)
{
	for (size_t i = 0; i < entry->content_count; i++) {
		const struct content *content = &entry->contents[i];
		struct chunk chunk;

		if (content->kind == CONTENT_HOLE) {
			send_hole(content->length);
			continue;
		}
		if (content->kind != CONTENT_CHUNK)
			return error_set(err, ERROR_DAMAGED, "\"%s\" has its content elsewhere",
					 entry->path);
		if (store_get(state->view->store, &content->chunk, &chunk, err) < 0)
			return error_prefix(err, "\"%s\"", entry->path);
		channel_send_data(chunk.data + content->offset, (size_t)content->length);
		store_put_back(state->view->store, &chunk);
		told(state, content->length);
	}
	return failpoint_error("extract/sent", err);
}

static int send_file(struct sender *state, const char *path, const struct catalog_entry *entry,
		     struct error **err)
{
	struct catalog_entry copy = *entry;

	copy.path = path;
	copy.hardlink = NULL;
	state->totals->files++;
	channel_send(WIRE_ENTRY, entry_json(&copy));
	return S_ISREG(entry->mode) ? send_contents(state, entry, err) : 0;
}

static void send_link(struct sender *state, const char *path, const struct catalog_entry *entry,
		      const char *first)
{
	struct catalog_entry copy = *entry;

	copy.path = path;
	copy.hardlink = first;
	state->totals->files++;
	channel_send(WIRE_ENTRY, entry_json(&copy));
}

/* Whether another tree is mounted on a path, or above it, inside of the one at ${top}. */
static bool is_covered(const struct sender *state, const char *path, const char *top)
{
	const char *ignored;
	const struct tree_record *tree = locate_tree(&state->view->manifest, path, &ignored);
	const struct tree_record *own = locate_tree(&state->view->manifest, top, &ignored);

	return tree && tree != own;
}

struct tree_part {
	const struct tree_record *tree;
	const char *below; /* what of the tree; "": all */
	const char *under; /* where below what was asked for it goes */
	const char *top;   /* absolute path of ${below} */
};

static int take_entry(struct sender *state, const struct tree_part *part,
		      struct catalog_reader *reader, struct catalog_entry *entry,
		      struct error **err)
{
	const char *relative = relative_to(entry->path, part->below), *first;
	cleanup_free char *path = join(part->under, relative);
	cleanup_free char *absolute = path_join(part->top, relative), *leader = NULL;

	if (*relative && is_covered(state, absolute, part->top))
		return 0;
	if (!entry->hardlink) {
		if (catalog_complete(reader, entry, err) < 0)
			return -1;
		return send_file(state, path, entry, err);
	}
	first = relative_to(entry->hardlink, part->below);
	if (first) {
		leader = join(part->under, first);
		send_link(state, path, entry, leader);
		return 0;
	}
	state->others = memory_array(state->others, state->other_count + 1, sizeof(*state->others));
	state->others[state->other_count++] =
		(struct other_name){memory_strdup(entry->hardlink), STEAL_POINTER(path)};
	return 0;
}

static int compare_others(const void *a, const void *b)
{
	const struct other_name *one = a, *other = b;
	int order = path_compare(one->first, other->first);

	return order ? order : path_compare(one->name, other->name);
}

/* Names of files whose first names are elsewhere in the tree: one becomes the first. */
static int send_others(struct sender *state, const struct tree_record *tree, struct error **err)
{
	CLEANUP(cleanup_catalog_close) struct catalog_reader *reader = NULL;
	struct catalog_entry entry;
	size_t next = 0;
	int result = 0;

	if (!state->other_count)
		return 0;
	qsort(state->others, state->other_count, sizeof(*state->others), compare_others);
	reader = catalog_open(state->view->store, &tree->root, err);
	if (!reader)
		return -1;
	while (next < state->other_count &&
	       (result = catalog_next_brief(reader, &entry, err)) > 0) {
		const char *first = state->others[next].name;

		if (strcmp(entry.path, state->others[next].first) != 0)
			continue;
		if (catalog_complete(reader, &entry, err) < 0 ||
		    send_file(state, first, &entry, err) < 0)
			return -1;
		for (next++; next < state->other_count &&
			     strcmp(entry.path, state->others[next].first) == 0;
		     next++)
			send_link(state, state->others[next].name, &entry, first);
	}
	for (size_t i = 0; i < state->other_count; i++) {
		free(state->others[i].first);
		free(state->others[i].name);
	}
	state->other_count = 0;
	return result < 0 ? -1 : 0;
}

static int send_part_of_tree(struct sender *state, const struct tree_part *part, struct error **err)
{
	CLEANUP(cleanup_catalog_close)
	struct catalog_reader *reader = catalog_open(state->view->store, &part->tree->root, err);
	struct catalog_entry entry;
	bool begun = false;
	int result;

	if (!reader)
		return -1;
	while ((result = catalog_next_brief(reader, &entry, err)) > 0) {
		if (!relative_to(entry.path, part->below)) {
			if (begun)
				break;
			continue;
		}
		begun = true;
		if (take_entry(state, part, reader, &entry, err) < 0)
			return -1;
	}
	return result < 0 ? -1 : send_others(state, part->tree, err);
}

/* ---- out of the image ---- */

static bool is_dropped(const struct sender *state, const char *absolute)
{
	for (size_t i = 0; i < state->dropped->count; i++)
		if (path_is_at_or_under(absolute, state->dropped->items[i]))
			return true;
	return false;
}

static int send_image_content(struct sender *state, int fd, uint64_t size, struct error **err)
{
	cleanup_free uint8_t *block = memory_alloc(BLOCK_SIZE);
	uint64_t at = 0;

	while (at < size) {
		size_t want = size - at < BLOCK_SIZE ? (size_t)(size - at) : BLOCK_SIZE;
		ssize_t count = io_pread_full(fd, block, want, at);

		if (count != (ssize_t)want)
			return error_set_errno(err, count < 0 ? errno : EIO, "cannot read it");
		channel_send_data(block, want);
		told(state, want);
		at += want;
	}
	return 0;
}

/* The name that a file of the image was sent under before; NULL: not yet, it is noted. */
static const char *earlier_name(struct sender *state, const struct stat *status, const char *path)
{
	struct image_name *name;

	if (status->st_nlink < 2 || S_ISDIR(status->st_mode))
		return NULL;
	for (size_t i = 0; i < state->name_count; i++) {
		name = &state->names[i];
		if (name->device == status->st_dev && name->inode == status->st_ino)
			return name->path;
	}
	state->names = memory_array(state->names, state->name_count + 1, sizeof(*state->names));
	state->names[state->name_count++] =
		(struct image_name){status->st_dev, status->st_ino, memory_strdup(path)};
	return NULL;
}

static int send_one_of_image(struct sender *state, const char *source, const char *path,
			     const struct stat *status, struct error **err)
{
	const char *name = NULL;
	cleanup_fd int parent_fd = place_parent(state->view->root_fd, source, &name), fd = -1;
	CLEANUP(place_attributes_release) struct place_attributes attributes = {0};
	cleanup_free char *link = NULL;
	struct catalog_entry entry = {
		.path = path,
		.mode = status->st_mode,
		.uid = status->st_uid,
		.gid = status->st_gid,
		.mtime = status->st_mtim,
		.size = S_ISREG(status->st_mode) ? (uint64_t)status->st_size : 0,
		.hardlink = earlier_name(state, status, path),
	};

	if (parent_fd < 0)
		return error_set_errno(err, errno, "cannot open \"/%s\"", source);
	if (S_ISCHR(status->st_mode) || S_ISBLK(status->st_mode))
		entry.device = status->st_rdev;
	if (S_ISLNK(status->st_mode)) {
		entry.link = link = place_read_link(parent_fd, name);
		if (!link)
			return error_set_errno(err, errno, "cannot read the link \"/%s\"", source);
	} else {
		place_read_attributes(parent_fd, name, &attributes);
		entry.attributes = attributes.list;
		entry.attribute_count = attributes.count;
	}
	if (S_ISREG(status->st_mode) && !entry.hardlink) {
		fd = place_open(parent_fd, name, O_RDONLY | O_NONBLOCK);
		if (fd < 0)
			return error_set_errno(err, errno, "cannot open \"/%s\"", source);
	}
	state->totals->files++;
	channel_send(WIRE_ENTRY, entry_json(&entry));
	if (fd >= 0 && send_image_content(state, fd, entry.size, err) < 0)
		return error_prefix(err, "\"/%s\"", source);
	return 0;
}

static int send_image(struct sender *state, const char *source, const char *path, unsigned depth,
		      struct error **err)
{
	cleanup_free char *absolute = memory_printf("/%s", source);
	struct string_list names;
	struct stat status;
	int result;

	if (depth > DEPTH_MAX)
		return error_set(err, ERROR_UNSUPPORTED, "\"%s\" is nested too deeply", absolute);
	/* what is mounted is no part of the image, or comes as a tree */
	if ((*source && (is_dropped(state, absolute) || is_covered(state, absolute, "/"))) ||
	    place_stat(state->view->root_fd, source, &status) < 0 || S_ISSOCK(status.st_mode))
		return 0;
	if (send_one_of_image(state, source, path, &status, err) < 0)
		return -1;
	if (!S_ISDIR(status.st_mode))
		return 0;
	string_list_init(&names);
	result = place_list(state->view->root_fd, source, &names, err);
	for (size_t i = 0; result == 0 && i < names.count; i++) {
		cleanup_free char *child = join(source, names.items[i]);
		cleanup_free char *target = join(path, names.items[i]);

		result = send_image(state, child, target, depth + 1, err);
	}
	string_list_release(&names);
	return result;
}

/* ---- all of it ---- */

/* Trees that are mounted below what was asked for, the outer ones first. */
static int send_inner_trees(struct sender *state, struct error **err)
{
	const struct manifest *manifest = &state->view->manifest;
	struct string_list tops;
	int result = 0;

	string_list_init(&tops);
	for (size_t i = 0; i < manifest->tree_count; i++) {
		const struct tree_record *tree = &manifest->trees[i];

		for (size_t p = 0; tree->kind != TREE_OWN && p < tree->paths.count; p++) {
			const char *below = path_below(tree->paths.items[p], state->location->path);

			if (below && *below)
				string_list_add(&tops, tree->paths.items[p]);
		}
	}
	string_list_sort(&tops);
	for (size_t i = 0; result == 0 && i < tops.count; i++) {
		const char *ignored;
		const struct tree_part part = {
			.tree = locate_tree(manifest, tops.items[i], &ignored),
			.below = "",
			.under = path_below(tops.items[i], state->location->path),
			.top = tops.items[i],
		};

		result = send_part_of_tree(state, &part, err);
	}
	string_list_release(&tops);
	return result;
}

static int send_all(struct sender *state, struct error **err)
{
	const struct location *location = state->location;
	const struct tree_part part = {
		.tree = location->tree,
		.below = location->relative,
		.under = "",
		.top = location->path,
	};

	if ((location->tree ? send_part_of_tree(state, &part, err)
			    : send_image(state, location->relative, "", 0, err)) < 0)
		return -1;
	return S_ISDIR(location->mode) ? send_inner_trees(state, err) : 0;
}

int send_location(const struct snapshot_view *view, const struct location *location,
		  const struct string_list *dropped, struct send_totals *totals, struct error **err)
{
	struct sender state = {
		.view = view, .location = location, .dropped = dropped, .totals = totals};
	int result = send_all(&state, err);

	for (size_t i = 0; i < state.other_count; i++) {
		free(state.others[i].first);
		free(state.others[i].name);
	}
	for (size_t i = 0; i < state.name_count; i++)
		free(state.names[i].path);
	free(state.others);
	free(state.names);
	return result;
}
