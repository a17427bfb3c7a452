/*
 * The plan of a create: one tree for each volume and each bind that is wanted,
 * a reason for everything else. Mounts are named from the target's inspect, never
 * by VolumesFrom, which would hand the helper the engine's socket.
 */
#include "snapshot/create/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "snapshot/helper/state.h"

void plan_init(struct plan *plan)
{
	memset(plan, 0, sizeof(*plan));
	plan->not_captured = json_new_array();
}

static void plan_tree_release(struct plan_tree *tree)
{
	free(tree->name);
	free(tree->subpath);
	free(tree->folder);
	string_list_release(&tree->paths);
	string_list_release(&tree->excluded);
	string_list_release(&tree->pages);
}

void plan_release(struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		plan_tree_release(&plan->trees[i]);
	free(plan->trees);
	string_list_release(&plan->mounts);
	string_list_release(&plan->included);
	string_list_release(&plan->dump_paths);
	json_free(plan->not_captured);
	driver_match_release(&plan->driver);
	memset(plan, 0, sizeof(*plan));
}

void plan_not_captured(struct plan *plan, const char *path, const char *type, const char *reason)
{
	struct json *item = json_add_object(plan->not_captured);

	json_set_string(item, "path", path);
	json_set_string(item, "type", type);
	json_set_string(item, "reason", reason);
}

char *plan_tree_mount(size_t index)
{
	return memory_printf("/dev/sidesnap/%zu", index);
}

/* Any of ${list} that lies at or under ${path}, or holds it. */
static bool list_touches(const struct string_list *list, const char *path, bool holds)
{
	for (size_t i = 0; i < list->count; i++) {
		if (path_is_at_or_under(list->items[i], path))
			return true;
		if (holds && path_is_at_or_under(path, list->items[i]))
			return true;
	}
	return false;
}

/* A path of the host that would hand a helper a socket or a device. */
static bool bind_is_forbidden(const struct session *session, const char *source)
{
	static const char *const forbidden[] = {"/dev", "/proc", "/sys", "/run", "/var/run"};
	const char *host = engine_host(session->engine);

	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
		if (path_is_at_or_under(source, forbidden[i]) ||
		    path_is_at_or_under(forbidden[i], source))
			return true;
	if (text_has_suffix(source, ".sock"))
		return true;
	return text_has_prefix(host, "unix://") && path_is_at_or_under(host + 7, source);
}

static struct plan_tree *plan_find_tree(struct plan *plan, enum tree_kind kind, const char *name,
					const char *subpath)
{
	for (size_t i = 0; i < plan->count; i++) {
		struct plan_tree *tree = &plan->trees[i];

		if (tree->kind == kind && strcmp(tree->name, name) == 0 &&
		    strcmp(text_or(tree->subpath, ""), text_or(subpath, "")) == 0)
			return tree;
	}
	return NULL;
}

static struct plan_tree *plan_add_tree(struct plan *plan, enum tree_kind kind, const char *name,
				       const char *subpath, const char *path)
{
	struct plan_tree *tree = plan_find_tree(plan, kind, name, subpath);

	if (!tree) {
		plan->trees = memory_array(plan->trees, plan->count + 1, sizeof(*plan->trees));
		tree = &plan->trees[plan->count++];
		memset(tree, 0, sizeof(*tree));
		tree->kind = kind;
		tree->name = memory_strdup(name);
		tree->subpath = memory_strdup(subpath);
	}
	if (!string_list_has(&tree->paths, path))
		string_list_add(&tree->paths, path);
	return tree;
}

/*
 * What podman mounts of an anonymous volume becomes a VOLUME of the committed image, wherever it
 * was mounted: the helper gets the folder behind it instead. NULL: not needed.
 */
static const char *anonymous_folder(const struct session *session, const struct json *mount)
{
	const char *name = json_string_or(mount, "Name", "");
	const char *folder = json_string_or(mount, "Source", "");

	return engine_is_podman(session->engine) && strlen(name) == 64 &&
			       strspn(name, "0123456789abcdef") == 64 && *folder == '/'
		       ? folder
		       : NULL;
}

/* VolumeOptions.Subpath of the mount at ${path}; only in HostConfig.Mounts. */
static const char *mount_subpath(const struct target *target, const char *path)
{
	json_for_each(item, json_path(target->inspect, "HostConfig", "Mounts")) {
		cleanup_free char *destination = path_clean(json_string_or(item, "Target", "/"));

		if (strcmp(destination, path) == 0)
			return json_string(json_get(item, "VolumeOptions"), "Subpath");
	}
	return NULL;
}

static bool bind_is_wanted(const struct plan *plan, const struct create_options *options,
			   const char *path)
{
	const struct string_list *data = &plan->driver.data_directories;

	for (size_t i = 0; i < options->included.count; i++)
		if (path_is_at_or_under(path, options->included.items[i]))
			return true;
	for (size_t i = 0; i < data->count; i++)
		if (path_is_at_or_under(path, data->items[i]) ||
		    path_is_at_or_under(data->items[i], path))
			return true;
	return false;
}

static void plan_bind(const struct session *session, const struct create_options *options,
		      struct plan *plan, const char *source, const char *path)
{
	if (bind_is_forbidden(session, source)) {
		plan_not_captured(plan, path, "bind", "holds sockets or devices of the host");
		return;
	}
	if (bind_is_wanted(plan, options, path)) {
		plan_add_tree(plan, TREE_BIND, source, NULL, path);
		return;
	}
	for (size_t i = 0; i < options->included.count; i++) {
		const char *below = path_below(options->included.items[i], path);
		cleanup_free char *inner = below ? path_join(source, below) : NULL;

		if (inner)
			plan_add_tree(plan, TREE_BIND, inner, NULL, options->included.items[i]);
	}
	if (!list_touches(&options->included, path, false))
		plan_not_captured(plan, path, "bind", "a bind mount; --include it to capture it");
}

/* The member of the set that captures a volume which several have; NULL: this one does. */
static const char *captured_by(const struct create_options *options, const char *name)
{
	return options->member ? json_string(options->member->elsewhere, name) : NULL;
}

static void plan_mount(const struct session *session, const struct target *target,
		       const struct create_options *options, struct plan *plan,
		       const struct json *mount)
{
	const char *type = json_string_or(mount, "Type", "");
	const char *source = json_string_or(mount, "Source", "");
	const char *name = json_string_or(mount, "Name", "");
	cleanup_free char *path = path_clean(json_string_or(mount, "Destination", "/"));

	string_list_add(&plan->mounts, path);
	for (size_t i = 0; i < options->excluded.count; i++) {
		if (!path_is_at_or_under(path, options->excluded.items[i]))
			continue;
		plan_not_captured(plan, path, type, "excluded on request");
		return;
	}
	if (strcmp(type, "volume") == 0 && strcmp(name, STATE_VOLUME) == 0) {
		plan_not_captured(plan, path, type, "sidesnap's own notes");
	} else if (strcmp(type, "volume") == 0 && captured_by(options, name)) {
		cleanup_free char *reason = memory_printf("it is in \"%s\" of the same set",
							  captured_by(options, name));

		plan_not_captured(plan, path, type, reason);
	} else if (strcmp(type, "volume") == 0 && *name) {
		struct plan_tree *tree =
			plan_add_tree(plan, TREE_VOLUME, name, mount_subpath(target, path), path);

		if (!tree->folder && !tree->subpath)
			tree->folder = memory_strdup(anonymous_folder(session, mount));
	} else if (strcmp(type, "bind") == 0) {
		cleanup_free char *clean = path_clean(source);

		plan_bind(session, options, plan, clean, path);
	} else {
		plan_not_captured(plan, path, type, "kept in memory only");
	}
}

/* HostConfig.Tmpfs does not appear among the Mounts. */
static void plan_tmpfs(const struct target *target, struct plan *plan)
{
	json_for_each(item, json_path(target->inspect, "HostConfig", "Tmpfs")) {
		cleanup_free char *path = path_clean(json_key(item));

		if (string_list_has(&plan->mounts, path))
			continue;
		string_list_add(&plan->mounts, path);
		plan_not_captured(plan, path, "tmpfs", "kept in memory only");
	}
}

bool plan_is_logical(const struct create_options *options)
{
	return options->logical || options->database || options->onto;
}

/* Whether a tree holds data of the database, or lies in it; such paths of it are noted. */
static bool take_data_paths(struct plan *plan, const struct plan_tree *tree)
{
	const struct string_list *data = &plan->driver.data_directories;
	bool found = false;

	for (size_t p = 0; p < tree->paths.count; p++) {
		const char *path = tree->paths.items[p];

		for (size_t d = 0; d < data->count; d++) {
			if (!path_is_at_or_under(data->items[d], path) &&
			    !path_is_at_or_under(path, data->items[d]))
				continue;
			if (!string_list_has(&plan->dump_paths, path))
				string_list_add(&plan->dump_paths, path);
			found = true;
		}
	}
	return found;
}

/* What the dump stands for is not captured as files. */
static void plan_take_out_data(const struct create_options *options, struct plan *plan)
{
	const struct string_list *data = &plan->driver.data_directories;
	size_t kept = 0;

	for (size_t i = 0; i < plan->count; i++) {
		bool is_taken = take_data_paths(plan, &plan->trees[i]);

		if (!is_taken && !options->masked) {
			plan->trees[kept++] = plan->trees[i];
			continue;
		}
		/* Statements mask what is in the database, nothing else. */
		for (size_t p = 0; !is_taken && p < plan->trees[i].paths.count; p++)
			plan_not_captured(plan, plan->trees[i].paths.items[p],
					  tree_kind_name(plan->trees[i].kind),
					  "a masked snapshot holds nothing but the database");
		plan_tree_release(&plan->trees[i]);
	}
	plan->count = kept;
	/* in the container's own layer */
	for (size_t d = 0; d < data->count; d++) {
		bool is_held = false;

		for (size_t i = 0; i < plan->dump_paths.count; i++)
			is_held |= path_is_at_or_under(data->items[d], plan->dump_paths.items[i]);
		if (!is_held)
			string_list_add(&plan->dump_paths, data->items[d]);
	}
}

/* Excludes, and the driver's page-structured files, as paths relative to each tree. */
static void plan_details(const struct create_options *options, struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		struct plan_tree *tree = &plan->trees[i];

		for (size_t p = 0; p < tree->paths.count; p++) {
			const char *path = tree->paths.items[p];

			for (size_t e = 0; e < options->excluded.count; e++) {
				const char *below = path_below(options->excluded.items[e], path);

				if (below && *below && !string_list_has(&tree->excluded, below))
					string_list_add(&tree->excluded, below);
			}
			for (size_t d = 0; d < plan->driver.data_directories.count; d++) {
				const char *data = plan->driver.data_directories.items[d];
				const char *below = path_below(data, path);

				/* A tree inside the data directory: globs that start there. */
				if (!below && !path_is_at_or_under(path, data))
					continue;
				tree->page_block = plan->driver.page_block;
				tree->page_size = plan->driver.page_size;
				tree->has_direct_io =
					json_bool(plan->driver.driver->definition, "direct_io");
				for (size_t g = 0; g < plan->driver.pages.count; g++) {
					cleanup_free char *glob =
						below && *below
							? path_join(below,
								    plan->driver.pages.items[g])
							: memory_strdup(
								  plan->driver.pages.items[g]);

					if (!string_list_has(&tree->pages, glob))
						string_list_add(&tree->pages, glob);
				}
			}
		}
	}
}

/* An --include that no bind answers is either captured anyway or impossible: say which. */
static int plan_check_included(const struct target *target, const struct create_options *options,
			       const struct plan *plan, struct error **err)
{
	for (size_t i = 0; i < options->included.count; i++) {
		const char *path = options->included.items[i];

		json_for_each(item, plan->not_captured) {
			const char *where = json_string(item, "path");

			if (strcmp(json_string(item, "reason"), "excluded on request") == 0 ||
			    !path_is_at_or_under(path, where))
				continue;
			return error_set(err, ERROR_USAGE,
					 "cannot include \"%s\" of container \"%s\": it is on a %s "
					 "mount that is never captured (%s)",
					 path, target->name, json_string(item, "type"),
					 json_string(item, "reason"));
		}
	}
	return 0;
}

/* What was left out of a mount or of the container's own files, as it was asked for. */
static void plan_excluded(const struct create_options *options, struct plan *plan)
{
	for (size_t i = 0; i < options->excluded.count; i++) {
		const char *path = options->excluded.items[i];
		bool known = false;

		json_for_each(item, plan->not_captured)
			known = known || strcmp(json_string_or(item, "path", ""), path) == 0;
		if (!known)
			plan_not_captured(plan, path, "path", "excluded on request");
	}
}

static int plan_check_paths(const struct string_list *list, const char *option, struct error **err)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i][0] != '/')
			return error_set(err, ERROR_USAGE,
					 "%s takes an absolute path in the container, not \"%s\"",
					 option, list->items[i]);
	return 0;
}

/* Whether a mount lies beside the data directories: it may hold data as well, which costs a command to find out. */
static bool has_other_mounts(const struct target *target, const struct plan *plan)
{
	json_for_each(mount, json_get(target->inspect, "Mounts")) {
		cleanup_free char *path = path_clean(json_string_or(mount, "Destination", "/"));

		if (!list_touches(&plan->driver.data_directories, path, true))
			return true;
	}
	return false;
}

int plan_make(const struct session *session, const struct target *target, const struct json *image,
	      const struct create_options *options, struct plan *plan, struct error **err)
{
	if (plan_check_paths(&options->included, "--include", err) < 0 ||
	    plan_check_paths(&options->excluded, "--exclude", err) < 0)
		return -1;
	if (driver_detect(session->engine, target->inspect, image, &plan->driver, err) < 0 ||
	    driver_check_refusal(&plan->driver, target->name, err) < 0)
		return -1;
	if (plan->driver.doubt)
		progress_warn(session->progress,
			      "a driver cannot be used: %s; \"%s\" is captured "
			      "without one",
			      plan->driver.doubt, target->name);
	if (json_bool(json_get(target->inspect, "State"), "Running") &&
	    !json_bool(json_get(target->inspect, "State"), "Paused") &&
	    has_other_mounts(target, plan))
		driver_find_more_data(session->engine, target->id, &plan->driver);
	json_for_each(mount, json_get(target->inspect, "Mounts"))
		plan_mount(session, target, options, plan, mount);
	plan_tmpfs(target, plan);
	if (plan_is_logical(options))
		plan_take_out_data(options, plan);
	plan_excluded(options, plan);
	plan_details(options, plan);
	return plan_check_included(target, options, plan, err);
}

struct json *plan_helper_mounts(const struct plan *plan, bool read_only)
{
	struct json *mounts = json_new_array();

	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_tree *tree = &plan->trees[i];
		cleanup_free char *path = plan_tree_mount(i);
		struct json *mount = json_add_object(mounts), *options;
		bool volume = tree->kind == TREE_VOLUME && !tree->folder;

		json_set_string(mount, "Type", volume ? "volume" : "bind");
		json_set_string(mount, "Source", text_or(tree->folder, tree->name));
		json_set_string(mount, "Target", path);
		json_set_bool(mount, "ReadOnly", read_only);
		options = json_set_object(mount, volume ? "VolumeOptions" : "BindOptions");
		if (volume)
			json_set_bool(options, "NoCopy", true);
		else
			json_set_bool(options, "NonRecursive", true);
		if (volume && tree->subpath)
			json_set_string(options, "Subpath", tree->subpath);
	}
	return mounts;
}

static void set_strings(struct json *object, const char *key, const struct string_list *list)
{
	struct json *array = json_set_array(object, key);

	for (size_t i = 0; i < list->count; i++)
		json_add_string(array, list->items[i]);
}

struct json *plan_add_description(struct json *trees, const struct plan_tree *tree)
{
	struct json *item = json_add_object(trees);

	json_set_string(item, "kind", tree->kind == TREE_VOLUME ? "volume" : "bind");
	json_set_string(item, "name", tree->name);
	set_strings(item, "paths", &tree->paths);
	return item;
}

struct json *plan_job_trees(const struct plan *plan, const struct create_options *options)
{
	struct json *trees = json_new_array();

	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_tree *tree = &plan->trees[i];
		cleanup_free char *mount = plan_tree_mount(i);
		struct json *item;

		if (tree->dropped)
			continue;
		item = plan_add_description(trees, tree);
		json_set_string(item, "mount", mount);
		set_strings(item, "pages", &tree->pages);
		json_set_int(item, "page_block", tree->page_block);
		json_set_int(item, "page_size", tree->page_size);
		set_strings(item, "excluded", &tree->excluded);
		json_set_bool(item, "direct_io", tree->has_direct_io);
		json_set_bool(item, "allow_overlay", options->allow_overlay_volume);
		json_set_bool(item, "seed", false);
	}
	return trees;
}
