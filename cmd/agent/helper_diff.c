/*
 * The diff job: two snapshots as two helpers show them, compared by their catalogs. Own files
 * are compared by theirs too; what only one of them names is looked at in the other's image.
 * All of it may be somebody else's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "channel.h"
#include "diff_content.h"
#include "entry.h"
#include "helper.h"
#include "job.h"
#include "layer.h"
#include "tree/diff/diff.h"
#include "tree/own/own_place.h"
#include "view.h"

#define CACHE_SIZE (64U << 20)

/* Differences go in parts of about this size; JSON may need six bytes for one of a path. */
#define PART_MAX (128U << 10)
#define ENTRY_COST 256U

/* What the image of one side has at a path. */
struct image_look {
	int root_fd;
	struct content content;
	char *link;
};

struct diff_job {
	const struct json *job;
	struct snapshot_view from, to;
	struct image_look looks[2];
	const struct tree_record *trees[2]; /* that are compared now; one may be NULL */
	struct json *part, *entries;	    /* not sent yet; NULL: nothing */
	size_t part_size;
	struct diff_totals totals; /* of all trees */
	uint64_t before;	   /* records of the trees before */
};

/* ---- telling ---- */

static void send_part(struct diff_job *state)
{
	if (!state->part)
		return;
	channel_send(WIRE_FOUND, STEAL_POINTER(state->part));
	state->entries = NULL;
	state->part_size = 0;
}

/* In the local time of nobody, to the nanosecond. */
static void set_time(struct json *object, const struct timespec *time)
{
	char text[64];
	struct tm parts;
	size_t size;

	if (!gmtime_r(&time->tv_sec, &parts))
		return;
	size = strftime(text, 40, "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text + size, sizeof(text) - size, ".%09ldZ", time->tv_nsec);
	json_set_string(object, "mtime", text);
}

/* One side of a change: what is another there. */
static void set_side(struct json *item, const char *key, const struct catalog_entry *entry,
		     unsigned what)
{
	struct json *side = json_set_object(item, key), *device;
	char mode[16];

	if (what & DIFF_MODE) {
		snprintf(mode, sizeof(mode), "%04o", (unsigned)entry->mode & 07777);
		json_set_string(side, "mode", mode);
	}
	if (what & DIFF_OWNER) {
		json_set_int(side, "uid", entry->uid);
		json_set_int(side, "gid", entry->gid);
	}
	if (what & DIFF_TIME)
		set_time(side, &entry->mtime);
	if (what & DIFF_CONTENT)
		json_set_int(side, "size", (int64_t)entry->size);
	if (what & DIFF_LINK)
		json_set_bytes(side, "link", text_or(entry->link, ""));
	if (what & DIFF_NAMES)
		json_set_bytes(side, "hardlink", text_or(entry->hardlink, ""));
	if (what & DIFF_DEVICE) {
		device = json_set_array(side, "device");
		json_add(device, json_new_int(major(entry->device)));
		json_add(device, json_new_int(minor(entry->device)));
	}
}

static void set_what(struct json *item, unsigned what)
{
	static const char *const names[] = {"content",	  "mode", "owner", "mtime",
					    "attributes", "link", "names", "device"};
	struct json *list = json_set_array(item, "what");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (what & 1U << i)
			json_add_string(list, names[i]);
}

/* Names of the attributes that differ; both lists are sorted. */
static void set_attributes(struct json *item, const struct catalog_entry *from,
			   const struct catalog_entry *to)
{
	struct json *list = json_set_array(item, "attributes");
	size_t i = 0, j = 0;

	while (i < from->attribute_count || j < to->attribute_count) {
		const struct attribute *a = i < from->attribute_count ? &from->attributes[i] : NULL;
		const struct attribute *b = j < to->attribute_count ? &to->attributes[j] : NULL;
		int order = !a ? 1 : !b ? -1 : strcmp(a->name, b->name);

		i += order <= 0;
		j += order >= 0;
		if (order || a->size != b->size || memcmp(a->value, b->value, a->size) != 0)
			job_add_path(list, order <= 0 ? a->name : b->name);
	}
}

static struct json *describe(const struct difference *difference)
{
	static const char *const changes[] = {"added", "removed", "changed", "type"};
	const struct catalog_entry *from = difference->from, *to = difference->to;
	const struct catalog_entry *entry = to ? to : from;
	struct json *item = json_new_object();

	job_set_path(item, difference->path);
	json_set_string(item, "change", changes[difference->kind]);
	json_set_string(item, "type", entry_type_name(entry->mode));
	if (difference->kind == DIFF_TYPE) {
		json_set_string(json_set_object(item, "from"), "type", entry_type_name(from->mode));
		json_set_string(json_set_object(item, "to"), "type", entry_type_name(to->mode));
	} else if (difference->kind == DIFF_CHANGED) {
		set_what(item, difference->what);
		if (difference->what & DIFF_CONTENT)
			json_set_int(item, "changed_bytes", (int64_t)difference->changed_bytes);
		if (difference->what & DIFF_ATTRIBUTES)
			set_attributes(item, from, to);
		set_side(item, "from", from, difference->what);
		set_side(item, "to", to, difference->what);
	} else if (entry->hardlink) {
		json_set_bytes(item, "hardlink", entry->hardlink);
	} else if (S_ISREG(entry->mode)) {
		json_set_int(item, "size", (int64_t)entry->size);
	}
	return item;
}

static int take_difference(void *context, const struct difference *difference, struct error **err)
{
	struct diff_job *state = context;

	if (!state->part) {
		state->part = json_new_object();
		state->entries = json_set_array(state->part, "entries");
	}
	json_add(state->entries, describe(difference));
	state->part_size += ENTRY_COST + strlen(difference->path);
	if (state->part_size >= PART_MAX)
		send_part(state);
	(void)err;
	return failpoint_error("diff/found", err);
}

static bool lists_path(const struct string_list *list, const char *path)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *item = list->items[i];
		size_t size = strlen(item);

		if (strncmp(path, item, size) == 0 && (!path[size] || path[size] == '/'))
			return true;
	}
	return false;
}

/* What one of them does not have on request, or because nobody could: it need not differ. */
static bool is_left_out(void *context, const char *path)
{
	const struct diff_job *state = context;

	for (size_t i = 0; i < 2; i++) {
		const struct tree_record *tree = state->trees[i];

		if (tree && (lists_path(&tree->excluded, path) || lists_path(&tree->skipped, path)))
			return true;
	}
	return false;
}

static int report_progress(void *context, uint64_t records, struct error **err)
{
	const struct diff_job *state = context;

	(void)err;
	channel_progress("comparing", state->before + records, 0, 0);
	return 0;
}

/* ---- comparing ---- */

static int look(void *context, const char *path, struct catalog_entry *entry, struct error **err)
{
	struct image_look *image = context;
	const char *name = NULL;
	struct stat status;
	cleanup_fd int parent_fd = place_parent(image->root_fd, path, &name);

	if (parent_fd < 0 || fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
		/* what a mount hides here is nobody's own file */
		if (place_is_absent(errno) || errno == EXDEV)
			return 0;
		return error_set_errno(err, errno, "cannot examine \"/%s\" of the image", path);
	}
	memset(entry, 0, sizeof(*entry));
	entry->path = path;
	entry->mode = status.st_mode;
	entry->uid = status.st_uid;
	entry->gid = status.st_gid;
	entry->mtime = status.st_mtim;
	if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
		entry->device = status.st_rdev;
	if (S_ISLNK(status.st_mode)) {
		free(image->link);
		entry->link = image->link = place_read_link(parent_fd, name);
	}
	if (!S_ISREG(status.st_mode))
		return 1;
	entry->size = (uint64_t)status.st_size;
	image->content = (struct content){.kind = CONTENT_HASH, .length = entry->size};
	entry->contents = &image->content;
	entry->content_count = entry->size ? 1 : 0;
	if (layer_hash_file(parent_fd, name, &image->content.chunk.id, err) < 0)
		return error_prefix(err, "\"/%s\" of the image", path);
	return 1;
}

static const struct tree_record *find_tree(const struct manifest *manifest,
					   const struct tree_record *tree)
{
	for (size_t i = 0; i < manifest->tree_count; i++) {
		const struct tree_record *other = &manifest->trees[i];

		if ((other->kind == TREE_OWN) != (tree->kind == TREE_OWN))
			continue;
		for (size_t p = 0; p < tree->paths.count; p++)
			if (string_list_has(&other->paths, tree->paths.items[p]))
				return other;
	}
	return NULL;
}

static void set_tree_side(struct json *tree, const char *key, const struct tree_record *record)
{
	struct json *side;

	if (!record)
		return;
	side = json_set_object(tree, key);
	json_set_int(side, "entries", (int64_t)record->entries);
	json_set_int(side, "bytes", (int64_t)record->bytes);
}

static void send_tree(const struct tree_record *from, const struct tree_record *to)
{
	static const char *const kinds[] = {"volume", "bind", "own"};
	const struct tree_record *record = to ? to : from;
	struct json *found = json_new_object(), *tree = json_set_object(found, "tree");

	json_set_string(tree, "kind", kinds[record->kind]);
	json_set_bytes(tree, "name", record->name);
	job_set_path(tree, record->paths.items[0]);
	set_tree_side(tree, "from", from);
	set_tree_side(tree, "to", to);
	channel_send(WIRE_FOUND, found);
}

static void send_totals(const struct diff_totals *totals)
{
	struct json *found = json_new_object(), *object = json_set_object(found, "totals");

	json_set_int(object, "added", (int64_t)totals->added);
	json_set_int(object, "removed", (int64_t)totals->removed);
	json_set_int(object, "changed", (int64_t)totals->changed);
	json_set_int(object, "metadata", (int64_t)totals->metadata);
	json_set_int(object, "types", (int64_t)totals->types);
	json_set_int(object, "added_bytes", (int64_t)totals->added_bytes);
	json_set_int(object, "removed_bytes", (int64_t)totals->removed_bytes);
	json_set_int(object, "changed_bytes", (int64_t)totals->changed_bytes);
	channel_send(WIRE_FOUND, found);
}

/* ${one}: of the two the one to name, which is there. */
static int compare_tree(struct diff_job *state, const struct tree_record *from,
			const struct tree_record *to, const struct tree_record *one,
			struct error **err)
{
	const struct diff_side sides[2] = {
		{state->from.store, from ? &from->root : NULL, look, &state->looks[0]},
		{state->to.store, to ? &to->root : NULL, look, &state->looks[1]},
	};
	const struct diff_options options = {.found = take_difference,
					     .is_left_out = is_left_out,
					     .context = state,
					     .progress = report_progress,
					     .progress_context = state};
	struct diff_totals totals = {0};

	state->trees[0] = from;
	state->trees[1] = to;
	send_tree(from, to);
	/* an image without own files has the same paths all the same */
	if ((one->kind == TREE_OWN || (from && to)) &&
	    tree_diff(&sides[0], &sides[1], &options, &totals, err) < 0)
		return error_prefix(err, "%s", one->paths.items[0]);
	send_part(state);
	send_totals(&totals);
	state->before += totals.records;
	state->totals.records += totals.records;
	state->totals.skipped += totals.skipped;
	state->totals.read_bytes += totals.read_bytes;
	return 0;
}

static int compare_all(struct diff_job *state, struct error **err)
{
	const struct manifest *from = &state->from.manifest, *to = &state->to.manifest;

	for (size_t i = 0; i < to->tree_count; i++) {
		const struct tree_record *tree = &to->trees[i];

		if (compare_tree(state, find_tree(from, tree), tree, tree, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < from->tree_count; i++) {
		const struct tree_record *tree = &from->trees[i];

		if (!find_tree(to, tree) && compare_tree(state, tree, NULL, tree, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- the job ---- */

static int open_side(const struct diff_job *state, const char *key, struct snapshot_view *view,
		     struct error **err)
{
	const struct json *side = json_get(state->job, key);
	const char *source = json_string_or(side, "source", "");

	if (job_check_members(side, "source manifest", err) < 0 ||
	    (*source ? view_open_container(view, source, err) : view_open_root(view, err)) < 0 ||
	    view_open_store(view, false, err) < 0)
		return -1;
	return view_read_checked(view, json_string_or(side, "manifest", ""), CACHE_SIZE, err);
}

/* One file, or everything. */
static int find_differences(struct diff_job *state, struct error **err)
{
	cleanup_free char *path = json_bytes(state->job, "content");
	struct string_list dropped;
	int result;

	if (!path)
		return compare_all(state, err);
	string_list_init(&dropped);
	result = job_dropped(state->job, &dropped, err);
	if (result == 0)
		result = diff_content_send(&state->from, &state->to, path, &dropped, err);
	string_list_release(&dropped);
	return result;
}

static int run_diff(struct diff_job *state, struct error **err)
{
	struct json *done;

	if (job_check_members(state->job, "operation from to content content64 failpoint", err) < 0)
		return -1;
	if (open_side(state, "from", &state->from, err) < 0)
		return error_prefix(err, "the older one");
	if (open_side(state, "to", &state->to, err) < 0)
		return error_prefix(err, "the newer one");
	state->looks[0].root_fd = state->from.root_fd;
	state->looks[1].root_fd = state->to.root_fd;
	channel_send(WIRE_READY, NULL);
	if (find_differences(state, err) < 0)
		return -1;
	done = json_new_object();
	json_set_int(done, "records", (int64_t)state->totals.records);
	json_set_int(done, "skipped", (int64_t)state->totals.skipped);
	json_set_int(done, "read_bytes", (int64_t)state->totals.read_bytes);
	channel_send(WIRE_DONE, done);
	return 0;
}

int helper_diff(const struct json *job, struct error **err)
{
	struct diff_job state = {.job = job};
	int result;

	view_init(&state.from);
	view_init(&state.to);
	result = run_diff(&state, err);
	json_free(state.part);
	free(state.looks[0].link);
	free(state.looks[1].link);
	view_release(&state.from);
	view_release(&state.to);
	return result;
}
