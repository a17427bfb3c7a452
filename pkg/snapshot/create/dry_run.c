/*
 * create --dry-run: the plan, with sizes measured by a helper that only scans. The
 * target is neither prepared nor frozen, and no image is made.
 */
#include <string.h>

#include "base/memory.h"
#include "snapshot/create/create.h"

/* A job is one message, in which JSON may need six bytes for one of a path. */
#define CHANGES_MAX (512U << 10)

static struct json *plan_trees(const struct create *create, const struct json *measured,
			       uint64_t *total)
{
	struct json *trees = json_new_array();
	const struct json *sizes = json_first(json_get(measured, "trees"));

	for (size_t i = 0; i < create->plan.count; i++) {
		const struct plan_tree *tree = &create->plan.trees[i];
		struct json *item;

		if (tree->dropped)
			continue;
		item = plan_add_description(trees, tree);
		json_set_int(item, "files", json_int(sizes, "files"));
		json_set_int(item, "bytes", json_int(sizes, "bytes"));
		*total += (uint64_t)json_int(sizes, "allocated_bytes");
		sizes = sizes ? json_next(sizes) : NULL;
	}
	return trees;
}

static bool would_consolidate(const struct create *create)
{
	CLEANUP(cleanup_json_free)
	struct json *base = image_inspect(create->session->engine, create->identity.base, NULL);

	return base && consolidate_is_due(create->session, base);
}

/* How large it will be is known to nobody before it is made. */
static struct json *describe_dump(const struct create *create)
{
	struct json *dump, *paths;

	if (!create->load)
		return json_new_null();
	dump = json_new_object();
	json_set_string(dump, "file", json_string_or(create->load, "file", "dump"));
	json_set(dump, "database", json_new_string(create->options->database));
	paths = json_set_array(dump, "paths");
	for (size_t i = 0; i < create->plan.dump_paths.count; i++)
		json_add_string(paths, create->plan.dump_paths.items[i]);
	return dump;
}

static struct json *make_result(struct create *create, const struct json *measured)
{
	struct json *result = json_new_object(), *list;
	cleanup_free char *reference = reference_format(&create->reference);
	struct json *own = json_get(measured, "own");
	uint64_t total = 0;

	json_set_string(result, "target", create->target.name);
	json_set_string(result, "base", create->identity.base);
	json_set_bool(result, "would_consolidate", would_consolidate(create));
	json_set_string(result, "driver",
			create->plan.driver.driver ? create->plan.driver.driver->name : "");
	json_set_string(result, "consistency", create_consistency(create));
	json_set_string(result, "reference", reference);
	json_set(result, "would_freeze", create_container_names(create, &create->freeze.ids));
	json_set(result, "trees", plan_trees(create, measured, &total));
	json_set(result, "own", json_is_object(own) ? json_copy(own) : json_new_object());
	json_set(result, "dump", describe_dump(create));
	/* What is written is compressed; commit then needs the same again while it copies. */
	json_set_int(result, "space_needed", (int64_t)(total + (uint64_t)json_int(own, "bytes")));
	json_set_int(result, "space_free", json_int(measured, "free"));
	json_set(result, "not_captured", json_copy(create->plan.not_captured));
	list = json_set_array(result, "omitted_variables");
	for (size_t i = 0; i < create->omitted.count; i++)
		json_add_string(list, create->omitted.items[i]);
	return result;
}

/* The own files as /changes has them now. */
static int add_changes(struct create *create, struct json *job, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *found = container_changes(create->session->engine, create->target.id, err);
	struct json *changes = json_set_array(json_get(job, "own"), "changes");
	size_t size = 0;

	if (!found)
		return -1;
	json_for_each(item, found) {
		const char *path = json_string_or(item, "Path", "/");
		struct json *pair;

		size += strlen(path) + 16;
		if (size > CHANGES_MAX) {
			progress_note(
				create->session->progress,
				"the container changed very many files of its own: their size is "
				"that of the first ones");
			break;
		}
		pair = json_add(changes, json_new_array());
		json_add_string(pair, path);
		json_add(pair, json_new_int(json_int(item, "Kind")));
	}
	return 0;
}

int snapshot_plan(struct session *session, const struct create_options *options,
		  struct json **result, struct error **err)
{
	struct create create;
	CLEANUP(cleanup_json_free) struct json *job = NULL, *measured = NULL;
	int outcome = -1;

	create_init(&create, session, options);
	if (create_prepare(&create, false, err) < 0 || create_helper(&create, "measure", err) < 0)
		goto out;
	job = create_job(&create, "measure");
	if (options->reserve_bytes != UINT64_MAX)
		json_set_int(job, "min_free", (int64_t)options->reserve_bytes);
	progress_phase(session->progress, "measuring");
	if (add_changes(&create, job, err) < 0 || helper_start(create.helper, job, NULL, err) < 0 ||
	    helper_wait(create.helper, WIRE_DONE, &measured, err) < 0)
		goto out;
	*result = make_result(&create, measured);
	outcome = 0;
out:
	create_release(&create);
	return outcome;
}
