/*
 * Trees find their volumes by the path in the container: names differ from machine
 * to machine. A snapshot's labels are untrusted; what they can reach are only
 * mounts that the container itself has.
 */
#include "snapshot/replace_restore.h"

#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/path.h"
#include "snapshot/labels.h"
#include "snapshot/recreate.h"
#include "snapshot/target.h"

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

static int add_tree(struct restore_plan *plan, const struct json *inspect, const struct json *mount,
		    size_t index, struct error **err)
{
	cleanup_free char *target = memory_printf("/dev/sidesnap/%zu", json_count(plan->mounts));
	CLEANUP(cleanup_json_free)
	struct json *made = recreate_helper_mount(inspect, mount, target);
	const char *path = json_string_or(mount, "Destination", "");
	struct json *tree, *place;

	json_for_each(other, plan->mounts) {
		if (!same_place(other, made))
			continue;
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

static int place_tree(struct restore_plan *plan, const struct json *inspect,
		      const struct json *only, const struct json *tree, size_t index,
		      struct error **err)
{
	const struct json *mount = find_mount(tree, inspect);
	const char *type = json_string_or(mount, "Type", "");
	const char *path = json_string_or(json_first(json_get(tree, "paths")), NULL, "");

	if (!*path)
		return error_set(err, ERROR_DAMAGED,
				 "label " LABEL_TREES " names a tree without a path");
	if (only && !is_among(only, mount))
		return 0;
	if (!mount) {
		note(plan,
		     "is no volume of this container: the new one gets an anonymous volume there",
		     path);
		return 0;
	}
	if (strcmp(type, "volume") != 0 && strcmp(type, "bind") != 0) {
		note(plan, "is no volume of this container: it is filled when the container starts",
		     path);
		return 0;
	}
	/* It was captured with the rest, and its other users are asked about and stopped. */
	if (!json_bool(mount, "RW"))
		note(plan, "is mounted read-only in this container, and restored all the same",
		     path);
	return add_tree(plan, inspect, mount, index, err);
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
		      const struct json *only, struct restore_plan *plan, struct error **err)
{
	const char *text = snapshot_label(snapshot, LABEL_TREES);
	CLEANUP(cleanup_json_free) struct json *trees = NULL;
	size_t index = 0;

	memset(plan, 0, sizeof(*plan));
	plan->mounts = json_new_array();
	plan->places = json_new_array();
	plan->job = json_new_object();
	json_set_string(plan->job, "operation", "restore");
	json_set_array(plan->job, "trees");
	json_set_string(plan->job, "manifest", snapshot_label(snapshot, LABEL_MANIFEST));
	json_set_int(plan->job, "workers", 0);
	trees = *text ? json_parse(text, strlen(text), NULL) : json_new_array();
	if (!json_is_array(trees) || json_count(trees) > TREES_MAX)
		return error_set(err, ERROR_DAMAGED,
				 "label " LABEL_TREES " of the snapshot is damaged");
	json_for_each(tree, trees)
		if (place_tree(plan, inspect, only, tree, index++, err) < 0)
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

int restore_with(struct helper *helper, const struct restore_plan *plan, struct json **answer,
		 struct error **err)
{
	if (helper_start(helper, plan->job, NULL, err) < 0)
		return -1;
	failpoint("replace/restoring");
	return helper_wait(helper, WIRE_DONE, answer, err);
}

int restore_volumes(const struct session *session, const struct json *snapshot,
		    const struct json *inspect, const struct json *only, struct error **err)
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

	if (restore_plan_make(snapshot, inspect, only, &plan, err) < 0)
		goto out;
	restore_plan_set_marks(&plan, image);
	result = 0;
	if (json_count(plan.mounts) == 0)
		goto out;
	specification.mounts = plan.mounts;
	helper = helper_create(session, &specification, err);
	result = helper ? restore_with(helper, &plan, NULL, err) : -1;
	if (helper && result == 0)
		result = helper_close(helper, err);
	helper_free(helper);
out:
	restore_plan_release(&plan);
	return result;
}
