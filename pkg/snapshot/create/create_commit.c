/* The last part of a create: commit, name, and what is said of it. */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/path.h"
#include "driver/dump.h"
#include "snapshot/create/create.h"
#include "snapshot/create/image_config.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"

static void add_strings(struct json *object, const char *key, const struct string_list *list)
{
	struct json *array = json_set_array(object, key);

	for (size_t i = 0; i < list->count; i++)
		json_add_string(array, list->items[i]);
}

/* Without --force a tag is never moved, also not one that somebody made meanwhile. */
static int check_tag_is_free(const struct create *create, const char *reference, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *taken = NULL;

	if (create->options->force)
		return 0;
	taken = image_inspect(create->session->engine, reference, NULL);
	if (!taken)
		return 0;
	error_set(err, ERROR_EXISTS, "it was given to another image meanwhile");
	return error_hint(err, "choose another tag, or use --force to move it");
}

/* The trees as label and result show them. */
static struct json *result_trees(const struct create *create, uint64_t *bytes)
{
	struct json *trees = json_new_array();
	const struct json *done = json_first(json_get(create->done, "trees"));

	for (size_t i = 0; i < create->plan.count; i++) {
		const struct plan_tree *tree = &create->plan.trees[i];
		struct json *item;

		if (tree->dropped)
			continue;
		item = plan_add_description(trees, tree);
		json_set_int(item, "entries", json_int(done, "entries"));
		json_set_int(item, "bytes", json_int(done, "bytes"));
		json_set_string(item, "hash", json_string_or(done, "hash", ""));
		*bytes += (uint64_t)json_int(done, "bytes");
		done = done ? json_next(done) : NULL;
	}
	if (create->load) {
		struct json *item = json_add_object(trees);

		json_set_string(item, "kind", tree_kind_name(TREE_DUMP));
		json_set_string(item, "name", create->plan.driver.driver->name);
		add_strings(item, "paths", &create->plan.dump_paths);
		json_set_string(item, "file", json_string_or(create->load, "file", "dump"));
		json_set_string(item, "without", driver_dump_without(&create->plan.driver));
		json_set_int(item, "entries", json_int(done, "entries"));
		json_set_int(item, "bytes", json_int(done, "bytes"));
		json_set_string(item, "hash", json_string_or(done, "hash", ""));
		*bytes += (uint64_t)json_int(done, "bytes");
	}
	return trees;
}

/* Sockets and the like inside the trees, besides the mounts that were left out. */
static void note_skipped(struct create *create)
{
	json_for_each(item, json_get(create->done, "skipped")) {
		size_t index = (size_t)json_int(item, "tree"), seen = 0;

		for (size_t i = 0; i < create->plan.count; i++) {
			cleanup_free char *path = NULL;

			if (create->plan.trees[i].dropped || seen++ != index)
				continue;
			path = path_join(create->plan.trees[i].paths.items[0],
					 json_string_or(item, "path", ""));
			plan_not_captured(&create->plan, path, "socket",
					  "exists only while its process runs");
		}
	}
}

static struct json *describe_dump(const struct create *create)
{
	struct json *dump;

	if (!create->load)
		return json_new_null();
	dump = json_new_object();
	json_set_string(dump, "file", json_string_or(create->load, "file", "dump"));
	json_set_string(dump, "without", driver_dump_without(&create->plan.driver));
	json_set_int(dump, "bytes", (int64_t)create->dump_bytes);
	json_set(dump, "database", json_new_string(create->options->database));
	return dump;
}

static struct json *make_result(const struct create *create, const char *image,
				const char *reference, struct json *trees, uint64_t bytes)
{
	struct json *result = json_new_object(), *list;
	const struct identity *identity = &create->identity;

	json_set_string(result, "reference", reference);
	json_set_string(result, "id", identity->id);
	json_set_string(result, "image", image);
	json_set_string(result, "manifest", json_string_or(create->done, "manifest", ""));
	json_set_string(result, "target", create->target.name);
	json_set_string(result, "target_id", create->target.id);
	json_set_string(result, "parent", identity->parent);
	json_set_string(result, "lineage", identity->lineage);
	json_set_string(result, "created", identity->created);
	json_set_string(result, "title", text_or(create->options->title, ""));
	json_set_string(result, "kind", create->options->safety ? "safety" : "user");
	json_set_string(result, "consistency", create_consistency(create));
	json_set_string(result, "prepare", create->prepare_failed ? "failed" : "");
	json_set_string(result, "driver",
			create->plan.driver.driver ? create->plan.driver.driver->name : "");
	json_set_int(result, "frozen_ms", (int64_t)create->freeze.duration_ms);
	json_set_int(result, "hot_bytes",
		     create->freeze.duration_ms ? json_int(create->done, "hot_bytes") : 0);
	json_set_int(result, "duration_ms", (int64_t)(clock_monotonic_ms() - create->started_ms));
	json_set_int(result, "bytes", (int64_t)bytes);
	json_set_int(result, "new_bytes", json_int(create->done, "new_bytes"));
	json_set_int(result, "stored_bytes", json_int(create->done, "stored_bytes"));
	json_set(result, "consolidated",
		 create->consolidation ? consolidation_describe(create->consolidation)
				       : json_new_null());
	json_set(result, "trees", trees);
	json_set(result, "own",
		 json_is_object(json_get(create->done, "own"))
			 ? json_copy(json_get(create->done, "own"))
			 : json_new_object());
	json_set(result, "not_captured", json_copy(create->plan.not_captured));
	json_set(result, "dump", describe_dump(create));
	json_set_string(result, "masked",
			create->options->masked ? create->options->masked->name : "");
	json_set(result, "frozen", create_container_names(create, &create->freeze.ids));
	list = json_set_array(result, "omitted_variables");
	for (size_t i = 0; i < create->omitted.count; i++)
		json_add_string(list, create->omitted.items[i]);
	return result;
}

static int give_name(struct create *create, const char *image, const char *reference,
		     struct error **err)
{
	if (check_tag_is_free(create, reference, err) == 0 &&
	    image_tag(create->session->engine, image, create->reference.repository,
		      create->reference.tag, err) == 0)
		return 0;
	return error_prefix(err, "cannot tag the snapshot as \"%s\"", reference);
}

static void remove_image(const struct create *create, const char *image)
{
	struct engine *engine = create->session->engine;

	engine_set_cancel(engine, NULL);
	image_remove(engine, image, false, true, NULL, NULL);
	engine_set_cancel(engine, create->session->cancelled);
}

static bool is_named_by_others(const struct create *create)
{
	return create->options->made || create->options->member;
}

/*
 * All members get their names at once, from who leads the set, while the helper still tells whose image
 * this is. A leader that is killed may have given all of them before.
 */
static int end_of_member(struct create *create, const struct json *result, struct error **err)
{
	const struct create_member *member = create->options->member;
	cleanup_error struct error *problem = NULL;
	bool is_whole;

	member->made(member->context, result);
	if (create_await_others(create, CREATE_MADE, &problem) == 0)
		return 0;
	engine_set_cancel(create->session->engine, NULL);
	is_whole = images_set_is_whole(create->session, member->set, NULL);
	engine_set_cancel(create->session->engine, create->session->cancelled);
	if (is_whole)
		return 0;
	error_append(err, STEAL_POINTER(problem));
	return -1;
}

int create_commit(struct create *create, struct json **result, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *config = NULL, *trees = NULL;
	cleanup_free char *image = NULL;
	cleanup_free char *reference = reference_format(&create->reference);
	struct image_facts facts;
	uint64_t bytes = 0;

	progress_phase(create->session->progress, "committing the image");
	trees = result_trees(create, &bytes);
	note_skipped(create);
	facts = (struct image_facts){
		.target = create->subject,
		.image = create->image,
		.options = create->options,
		.plan = &create->plan,
		.identity = &create->identity,
		.done = create->done,
		.consistency = create_consistency(create),
		.prepare = create->prepare_failed ? "failed" : "",
		.environment = &create->environment,
		.omitted = &create->omitted,
		.not_captured = create->plan.not_captured,
		.trees = trees,
		.bytes = bytes,
		.layers = helper_layers(create->helper) + 1,
	};
	config = image_config(&facts);
	image = image_commit(create->session->engine, helper_id(create->helper), config,
			     COMMIT_COMMENT_PREFIX "create", "", err);
	if (!image)
		return error_prefix(err, "cannot commit the snapshot");
	failpoint("create/committed");
	if (session_check(create->session, err) < 0 ||
	    (!is_named_by_others(create) && give_name(create, image, reference, err) < 0)) {
		remove_image(create, image);
		return -1;
	}
	failpoint("create/tagged");
	*result = make_result(create, image, is_named_by_others(create) ? "" : reference,
			      STEAL_POINTER(trees), bytes);
	if (create->options->member && end_of_member(create, *result, err) < 0) {
		remove_image(create, image);
		json_free(STEAL_POINTER(*result));
		return -1;
	}
	if (create->options->made &&
	    create->options->made(create->options->made_context, *result, err) < 0) {
		remove_image(create, image);
		json_free(STEAL_POINTER(*result));
		return -1;
	}
	return 0;
}
