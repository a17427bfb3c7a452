/*
 * Trees of two snapshots are found in one another by where they were mounted, compared, and what
 * differs is told in parts, so that memory stays bounded.
 */
#include "tree/diff/diff_report.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "base/failpoint.h"
#include "base/text.h"

/* Differences go in parts of about this size; JSON may need six bytes for one of a path. */
#define PART_MAX (128U << 10)
#define ENTRY_COST 256U

struct report {
	const struct diff_report_side *from, *to;
	const struct diff_report_options *options;
	const struct tree_record *trees[2]; /* that are compared now; one may be NULL */
	struct json *part, *entries;	    /* not sent yet; NULL: nothing */
	size_t part_size;
	struct diff_totals *totals; /* of all trees */
	uint64_t before;	    /* records of the trees before */
};

/* ---- telling ---- */

static int send(const struct report *report, struct json *message, struct error **err)
{
	return report->options->send(report->options->context, message, err);
}

static int send_part(struct report *report, struct error **err)
{
	if (!report->part)
		return 0;
	report->entries = NULL;
	report->part_size = 0;
	return send(report, STEAL_POINTER(report->part), err);
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

static void add_name(struct json *list, const char *name)
{
	if (text_is_utf8(name))
		json_add_string(list, name);
	else
		json_set_bytes(json_add_object(list), "path", name);
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
			add_name(list, order <= 0 ? a->name : b->name);
	}
}

static struct json *describe(const struct difference *difference)
{
	static const char *const changes[] = {"added", "removed", "changed", "type"};
	const struct catalog_entry *from = difference->from, *to = difference->to;
	const struct catalog_entry *entry = to ? to : from;
	struct json *item = json_new_object();

	json_set_bytes(item, "path", difference->path);
	json_set_string(item, "change", changes[difference->kind]);
	json_set_string(item, "type", catalog_type_name(entry->mode));
	if (difference->kind == DIFF_TYPE) {
		json_set_string(json_set_object(item, "from"), "type",
				catalog_type_name(from->mode));
		json_set_string(json_set_object(item, "to"), "type", catalog_type_name(to->mode));
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
	struct report *state = context;

	if (!state->part) {
		state->part = json_new_object();
		state->entries = json_set_array(state->part, "entries");
	}
	json_add(state->entries, describe(difference));
	state->part_size += ENTRY_COST + strlen(difference->path);
	if (state->part_size >= PART_MAX && send_part(state, err) < 0)
		return -1;
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
	const struct report *state = context;

	for (size_t i = 0; i < 2; i++) {
		const struct tree_record *tree = state->trees[i];

		if (tree && (lists_path(&tree->excluded, path) || lists_path(&tree->skipped, path)))
			return true;
	}
	return false;
}

static int count_records(void *context, uint64_t records, struct error **err)
{
	const struct report *state = context;
	const struct diff_report_options *options = state->options;

	return options->progress ? options->progress(options->context, state->before + records, err)
				 : 0;
}

/* ---- comparing ---- */

/* Only trees of one class hold the same kind of thing. */
static enum tree_kind class_of(const struct tree_record *tree)
{
	return tree->kind == TREE_BIND ? TREE_VOLUME : tree->kind;
}

static const struct tree_record *find_tree(const struct manifest *manifest,
					   const struct tree_record *tree)
{
	for (size_t i = 0; i < manifest->tree_count; i++) {
		const struct tree_record *other = &manifest->trees[i];

		if (class_of(other) != class_of(tree))
			continue;
		/* there is one at most, and a newer server's may fill other directories */
		if (tree->kind == TREE_DUMP)
			return other;
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

static int send_tree(const struct report *report, const struct tree_record *from,
		     const struct tree_record *to, struct error **err)
{
	const struct tree_record *record = to ? to : from;
	struct json *found = json_new_object(), *tree = json_set_object(found, "tree");

	json_set_string(tree, "kind", tree_kind_name(record->kind));
	json_set_bytes(tree, "name", record->name);
	json_set_bytes(tree, "path", record->paths.items[0]);
	set_tree_side(tree, "from", from);
	set_tree_side(tree, "to", to);
	return send(report, found, err);
}

static int send_totals(const struct report *report, const struct diff_totals *totals,
		       struct error **err)
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
	return send(report, found, err);
}

/* ${one}: of the two the one to name, which is there. */
static int compare_tree(struct report *state, const struct tree_record *from,
			const struct tree_record *to, const struct tree_record *one,
			struct error **err)
{
	const struct diff_side sides[2] = {
		{state->from->store, from ? &from->root : NULL, state->from->look,
		 state->from->look_context},
		{state->to->store, to ? &to->root : NULL, state->to->look, state->to->look_context},
	};
	const struct diff_options options = {.found = take_difference,
					     .is_left_out = is_left_out,
					     .context = state,
					     .no_contents = state->options->no_contents,
					     .progress = count_records,
					     .progress_context = state};
	struct diff_totals totals = {0};

	state->trees[0] = from;
	state->trees[1] = to;
	if (send_tree(state, from, to, err) < 0)
		return -1;
	/* an image without own files has the same paths all the same */
	if ((one->kind == TREE_OWN || (from && to)) &&
	    tree_diff(&sides[0], &sides[1], &options, &totals, err) < 0)
		return error_prefix(err, "%s", one->paths.items[0]);
	if (send_part(state, err) < 0 || send_totals(state, &totals, err) < 0)
		return -1;
	state->before += totals.records;
	state->totals->records += totals.records;
	state->totals->skipped += totals.skipped;
	state->totals->read_bytes += totals.read_bytes;
	return 0;
}

static int compare_all(struct report *state, struct error **err)
{
	const struct manifest *from = state->from->manifest, *to = state->to->manifest;

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

int diff_report(const struct diff_report_side *from, const struct diff_report_side *to,
		const struct diff_report_options *options, struct diff_totals *totals,
		struct error **err)
{
	struct report report = {.from = from, .to = to, .options = options, .totals = totals};
	int result;

	memset(totals, 0, sizeof(*totals));
	result = compare_all(&report, err);
	json_free(report.part);
	return result;
}
