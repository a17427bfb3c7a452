/*
 * Trees find their volumes by the path in the container: names differ from machine
 * to machine. A snapshot's labels are untrusted; what they can reach are only
 * mounts that the container itself has.
 */
#include "snapshot/restore/restore_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/path.h"
#include "snapshot/helper/state.h"
#include "snapshot/labels.h"
#include "snapshot/restore/journal.h"
#include "snapshot/restore/recreate.h"
#include "snapshot/target.h"
#include "tree/manifest.h"

#define TREES_MAX 1000

void restore_plan_release(struct restore_plan *plan)
{
	json_free(plan->mounts);
	json_free(plan->job);
	json_free(plan->places);
	string_list_release(&plan->notes);
	memset(plan, 0, sizeof(*plan));
}

static void note(struct restore_plan *plan, const char *format, const char *path)
{
	cleanup_free char *text = memory_printf("%s %s", path, format);

	string_list_add(&plan->notes, text);
}

/* The container's mount at one of the tree's paths. */
static const struct json *find_mount(const struct json *tree, const struct json *inspect)
{
	json_for_each(path, json_get(tree, "paths")) {
		const struct json *mount =
			recreate_mount_at(inspect, json_string_or(path, NULL, "/"));

		if (mount)
			return mount;
	}
	return NULL;
}

static bool same_place(const struct json *a, const struct json *b)
{
	return json_equal(json_get(a, "Type"), json_get(b, "Type")) &&
	       json_equal(json_get(a, "Source"), json_get(b, "Source")) &&
	       json_equal(json_path(a, "VolumeOptions", "Subpath"),
			  json_path(b, "VolumeOptions", "Subpath"));
}

static bool is_dump(const struct json *tree)
{
	return strcmp(json_string_or(tree, "kind", ""), tree_kind_name(TREE_DUMP)) == 0;
}

/* ${shared}: what is in the plan already need not be added again. */
static int add_tree(struct restore_plan *plan, const struct json *inspect, const struct json *mount,
		    size_t index, bool shared, struct error **err)
{
	cleanup_free char *target = memory_printf("/dev/sidesnap/%zu", json_count(plan->mounts));
	CLEANUP(cleanup_json_free)
	struct json *made = recreate_helper_mount(inspect, mount, target);
	const char *path = json_string_or(mount, "Destination", "");
	struct json *tree, *place;

	json_for_each(other, plan->mounts) {
		if (!same_place(other, made))
			continue;
		if (shared)
			return 0;
		error_set(err, ERROR_REFUSED,
			  "the snapshot has two trees for what is one volume here (%s, at \"%s\")",
			  json_string_or(made, "Source", ""), path);
		return error_hint(err, "boot it beside: sidesnap run");
	}
	json_add(plan->mounts, STEAL_POINTER(made));
	tree = json_add_object(json_get(plan->job, "trees"));
	json_set_int(tree, "index", (int64_t)index);
	json_set_string(tree, "mount", target);
	place = json_add_object(plan->places);
	json_set_string(place, "path", path);
	if (strcmp(json_string_or(mount, "Type", ""), "volume") == 0)
		json_set_string(place, "volume", json_string_or(mount, "Name", ""));
	else
		json_set_string(place, "source", json_string_or(mount, "Source", ""));
	return 0;
}

static bool is_among(const struct json *places, const struct json *mount)
{
	json_for_each(place, places)
		if (json_equal(json_get(place, "path"), json_get(mount, "Destination")))
			return true;
	return false;
}

/* ${mount}: where the container has ${path} of the tree; NULL: nowhere. */
static int place_at(struct restore_plan *plan, const struct json *inspect, const struct json *only,
		    bool in_place, const struct json *tree, const struct json *mount,
		    const char *path, size_t index, struct error **err)
{
	const char *type = json_string_or(mount, "Type", "");

	if (!*path)
		return error_set(err, ERROR_DAMAGED,
				 "label " LABEL_TREES " names a tree without a path");
	if (only && !is_among(only, mount))
		return 0;
	if (!mount) {
		note(plan,
		     in_place ? "is no volume of this container: left out"
			      : "is no volume of this container: the new one gets an anonymous "
				"volume there",
		     path);
		return 0;
	}
	if (strcmp(type, "volume") != 0 && strcmp(type, "bind") != 0) {
		note(plan,
		     in_place ? "is no volume of this container: left out"
			      : "is no volume of this container: it is filled when the container "
				"starts",
		     path);
		return 0;
	}
	/* It was captured with the rest, and its other users are asked about and stopped. */
	if (!json_bool(mount, "RW"))
		note(plan, "is mounted read-only in this container, and restored all the same",
		     path);
	return add_tree(plan, inspect, mount, index, is_dump(tree), err);
}

/*
 * A volume may have been mounted at several paths, of which one will do. What a dump's load fills
 * are different volumes, and each has to be emptied for it.
 */
static int place_tree(struct restore_plan *plan, const struct json *inspect,
		      const struct json *only, bool in_place, const struct json *tree, size_t index,
		      struct error **err)
{
	const struct json *paths = json_get(tree, "paths");

	if (!is_dump(tree))
		return place_at(plan, inspect, only, in_place, tree, find_mount(tree, inspect),
				json_string_or(json_first(paths), NULL, ""), index, err);
	json_for_each(item, paths) {
		const char *path = json_string_or(item, NULL, "");

		if (place_at(plan, inspect, only, in_place, tree, recreate_mount_at(inspect, path),
			     path, index, err) < 0)
			return -1;
	}
	return 0;
}

static void note_other_volumes(struct restore_plan *plan, const struct json *inspect,
			       const struct json *trees)
{
	json_for_each(mount, json_get(inspect, "Mounts")) {
		bool known = false;

		if (strcmp(json_string_or(mount, "Type", ""), "volume") != 0)
			continue;
		json_for_each(tree, trees)
			known = known || find_mount(tree, inspect) == mount;
		if (!known)
			note(plan, "is not in the snapshot: left as it is",
			     json_string_or(mount, "Destination", ""));
	}
}

int restore_plan_make(const struct json *snapshot, const struct json *inspect,
		      const struct json *only, bool in_place, struct restore_plan *plan,
		      struct error **err)
{
	const char *text = snapshot_label(snapshot, LABEL_TREES);
	CLEANUP(cleanup_json_free) struct json *trees = NULL;
	size_t index = 0;

	memset(plan, 0, sizeof(*plan));
	plan->mounts = json_new_array();
	plan->places = json_new_array();
	plan->job = json_new_object();
	json_set_string(plan->job, "operation", "restore");
#ifdef SIDESNAP_FAILPOINTS
	if (getenv("SIDESNAP_FAILPOINT"))
		json_set_string(plan->job, "failpoint", getenv("SIDESNAP_FAILPOINT"));
#endif
	json_set_bool(plan->job, "wait", true);
	json_set_bool(plan->job, "delta", true);
	json_set_array(plan->job, "trees");
	json_set_string(plan->job, "manifest", snapshot_label(snapshot, LABEL_MANIFEST));
	json_set_int(plan->job, "workers", 0);
	trees = *text ? json_parse(text, strlen(text), NULL) : json_new_array();
	if (!json_is_array(trees) || json_count(trees) > TREES_MAX)
		return error_set(err, ERROR_DAMAGED,
				 "label " LABEL_TREES " of the snapshot is damaged");
	json_for_each(tree, trees)
		if (place_tree(plan, inspect, only, in_place, tree, index++, err) < 0)
			return -1;
	note_other_volumes(plan, inspect, trees);
	return 0;
}

void restore_plan_set_marks(struct restore_plan *plan, const struct json *image)
{
	const char *text = snapshot_label(image, LABEL_TREES);
	CLEANUP(cleanup_json_free)
	struct json *trees = *text ? json_parse(text, strlen(text), NULL) : NULL;
	struct json *item = json_first(json_get(plan->job, "trees"));

	json_for_each(place, plan->places) {
		const char *path = json_string_or(place, "path", "");

		json_for_each(tree, trees) {
			const char *hash = json_string_or(tree, "hash", "");

			if (json_has_string(json_get(tree, "paths"), path) && strlen(hash) == 64 &&
			    strspn(hash, "0123456789abcdef") == 64)
				json_set_string(item, "mark", hash);
		}
		item = json_next(item);
	}
}

/* The tree that holds a path of the container, and the path in it; the deepest one. */
static struct json *tree_at(const struct restore_plan *plan, const char *path, const char **below)
{
	struct json *item = json_first(json_get(plan->job, "trees")), *found = NULL;
	size_t depth = 0;

	json_for_each(place, plan->places) {
		const char *root = json_string_or(place, "path", "");
		const char *rest = path_below(path, root);

		if (rest && *rest && strlen(root) >= depth) {
			depth = strlen(root);
			*below = rest;
			found = item;
		}
		item = json_next(item);
	}
	return found;
}

void restore_plan_set_guards(struct restore_plan *plan, const struct json *guards)
{
	json_for_each(guard, guards) {
		cleanup_free char *path = path_clean(json_string_or(guard, NULL, "/"));
		const char *below = NULL;
		struct json *tree = tree_at(plan, path, &below);

		if (!tree)
			continue;
		if (!json_get(tree, "guards"))
			json_set_array(tree, "guards");
		json_add_string(json_get(tree, "guards"), below);
	}
}

void restore_plan_set_record(struct restore_plan *plan, const char *container,
			     const struct json *snapshot, const char *reference,
			     const char *operation)
{
	struct json *record = json_set_object(plan->job, "record");
	cleanup_free char *now = clock_format(clock_now());

	json_set_string(record, "container", container);
	json_set_string(record, "snapshot", snapshot_label(snapshot, LABEL_ID));
	json_set_string(record, "reference", reference);
	json_set_string(record, "operation", operation);
	json_set_string(record, "at", now);
}

/*
 * The key of a volume's state. Its time of creation stays empty: docker 20.10 tells the root's
 * ctime for it, which every restore changes. That a volume was made anew shows in the inodes and
 * ctimes of its files, of which each must be as it was noted.
 */
static void set_identity(struct json *tree, const struct json *mount)
{
	const char *name = json_string_or(mount, "Source", "");
	const char *subpath = json_string_or(json_get(mount, "VolumeOptions"), "Subpath", "");
	cleanup_free char *whole = NULL;
	struct json *identity;

	if (strcmp(json_string_or(mount, "Type", ""), "volume") != 0)
		return;
	whole = *subpath ? memory_printf("%s/%s", name, subpath) : memory_strdup(name);
	identity = json_set_object(tree, "volume");
	json_set_string(identity, "name", whole);
	json_set_string(identity, "created", "");
}

void restore_plan_use_state(const struct session *session, struct restore_plan *plan)
{
	struct json *tree = json_first(json_get(plan->job, "trees"));
	struct json *mount = state_mount(session);

	/* There is nowhere to note anything. */
	if (!mount) {
		json_remove(plan->job, "record");
		return;
	}
	json_for_each(of_tree, plan->mounts) {
		set_identity(tree, of_tree);
		tree = json_next(tree);
	}
	json_add(plan->mounts, mount);
	json_set_string(plan->job, "state", STATE_MOUNT);
}

int restore_begin(struct helper *helper, const struct restore_plan *plan, struct error **err)
{
	return helper_start(helper, plan->job, NULL, err);
}

int restore_finish(struct helper *helper, struct json **answer, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *go = json_new_object();
	cleanup_free char *now = clock_format(clock_now());

	json_set_string(go, "at", now);
	if (helper_send(helper, WIRE_GO, go, err) < 0)
		return -1;
	failpoint("restore/going");
	return helper_wait(helper, WIRE_DONE, answer, err);
}

static void record_going_back(struct restore_plan *plan, const struct json *snapshot,
			      const struct json *journal)
{
	bool back = *json_string_or(journal, "safety", "");

	restore_plan_set_record(plan, json_string(journal_target(journal), "id"), snapshot,
				json_string(journal, back ? "safety" : "snapshot"),
				back ? "rollback" : json_string(journal, "operation"));
}

int restore_volumes(const struct session *session, const struct json *snapshot,
		    const struct json *inspect, const struct json *journal, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *image =
		image_inspect(session->engine, json_string_or(inspect, "Image", ""), NULL);
	struct restore_plan plan;
	struct helper_specification specification = {.image = json_string(snapshot, "Id"),
						     .purpose = "restore",
						     .target = inspect,
						     .write_volumes = true};
	struct helper *helper = NULL;
	int result = -1;

	if (restore_plan_make(snapshot, inspect, json_get(journal, "places"), true, &plan, err) < 0)
		goto out;
	restore_plan_set_marks(&plan, image);
	restore_plan_set_guards(&plan, json_get(journal, "guards"));
	record_going_back(&plan, snapshot, journal);
	result = 0;
	if (json_count(plan.places) == 0)
		goto out;
	restore_plan_use_state(session, &plan);
	specification.mounts = plan.mounts;
	helper = helper_create(session, &specification, err);
	result = helper && restore_begin(helper, &plan, err) == 0
			 ? restore_finish(helper, NULL, err)
			 : -1;
	if (helper && result == 0)
		result = helper_close(helper, err);
	helper_free(helper);
out:
	restore_plan_release(&plan);
	return result;
}
