/*
 * sidesnap debug: a container again, with another program, to look at what it sees. It has what the target
 * has but what can be there only once: its name, its ports, its addresses and its names in networks.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/path.h"
#include "project/interactive.h"
#include "project/project.h"
#include "snapshot/helper/helper.h"
#include "snapshot/restore/recreate.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

#define AGENT_PATH "/.sidesnap/agent"

struct debugging {
	struct session *session;
	const struct debug_options *options;
	struct target target;
	struct json *image; /* inspect of the target's */
	char *program;
	bool snapshot;
	struct interactive *interactive;
};

static void debugging_release(struct debugging *debugging)
{
	interactive_free(debugging->interactive);
	json_free(debugging->image);
	free(debugging->program);
	target_release(&debugging->target);
}

/* ---- which program ---- */

/* Looked for in a container that is never started: what is in the image is not asked. */
static int find_shell(struct debugging *debugging, struct error **err)
{
	static const char *const shells[] = {"/bin/bash",   "/bin/sh",	       "/usr/bin/bash",
					     "/usr/bin/sh", "/bin/ash",	       "/bin/busybox",
					     "/busybox/sh", "/busybox/busybox"};
	const struct helper_specification specification = {
		.image = debugging->target.image_id, .purpose = "measure", .empty = true};
	CLEANUP(cleanup_helper_free)
	struct helper *helper = helper_create(debugging->session, &specification, err);

	if (!helper)
		return error_prefix(err, "cannot look into the image of \"%s\"",
				    debugging->target.name);
	for (size_t i = 0; !debugging->program && i < sizeof(shells) / sizeof(shells[0]); i++) {
		CLEANUP(cleanup_json_free)
		struct json *found = container_archive_stat(debugging->session->engine,
							    helper_id(helper), shells[i], NULL);

		if (found)
			debugging->program = memory_strdup(shells[i]);
	}
	if (debugging->program)
		return helper_close(STEAL_POINTER(helper), err);
	error_set(err, ERROR_UNSUPPORTED, "no shell is in the image of \"%s\"",
		  debugging->target.name);
	return error_hint(err,
			  "name a program that is in it: sidesnap debug %s --entrypoint "
			  "/path/to/it; its files are shown by sidesnap create and sidesnap cp",
			  debugging->target.name);
}

/* ---- its volumes ---- */

static bool has_writable_mounts(const struct json *inspect)
{
	json_for_each(mount, json_get(inspect, "Mounts"))
		if (json_bool(mount, "RW") &&
		    strcmp(json_string_or(mount, "Type", "volume"), "tmpfs") != 0)
			return true;
	return false;
}

/* Whether it is done on a snapshot. */
static int decide(struct debugging *debugging, struct error **err)
{
	struct session *session = debugging->session;
	const struct target *target = &debugging->target;
	cleanup_error struct error *answer = NULL;

	debugging->snapshot = debugging->options->snapshot;
	if (debugging->snapshot || session->assume_yes || !has_writable_mounts(target->inspect))
		return 0;
	if (session->interactive) {
		cleanup_free char *question = memory_printf(
			"\"%s\" has volumes that can be written to. Work on a snapshot of them, "
			"so that they stay as they are?",
			target->name);

		if (session_confirm(session, question, &answer) == 0) {
			debugging->snapshot = true;
			return 0;
		}
		if (answer->kind != ERROR_REFUSED) {
			error_append(err, STEAL_POINTER(answer));
			return -1;
		}
	}
	if (!target->running)
		return 0;
	error_set(err, ERROR_REFUSED,
		  "\"%s\" runs, and a copy of it would write to the same volumes", target->name);
	return error_hint(err,
			  "work on a snapshot of them with --snapshot, stop it first, or share "
			  "them with --yes");
}

/* ---- the copy ---- */

/* What can be there only once. */
static void drop_unique(struct recreation *recreation)
{
	static const char *const members[] = {"MacAddress", "IPAMConfig", "Aliases"};
	struct json *host = json_get(recreation->body, "HostConfig");

	json_remove(host, "PortBindings");
	json_remove(host, "PublishAllPorts");
	json_remove(host, "AutoRemove");
	json_remove(recreation->body, "MacAddress");
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		json_for_each(endpoint,
			      json_path(recreation->body, "NetworkingConfig", "EndpointsConfig"))
			json_remove(endpoint, members[i]);
		json_for_each(item, recreation->connect)
			json_remove(json_get(item, "endpoint"), members[i]);
	}
}

static bool is_captured(const struct json *made, const char *path)
{
	cleanup_free char *clean = path_clean(path);

	json_for_each(tree, json_get(made, "trees"))
		if (json_has_string(json_get(tree, "paths"), clean))
			return true;
	return false;
}

/* What is in the snapshot is restored into new volumes; of the rest nothing is written to. */
static void replace_mounts(const struct json *inspect, const struct json *made, struct json *host)
{
	struct json *binds = json_new_array();

	json_remove(host, "VolumesFrom");
	json_remove(host, "Mounts");
	json_for_each(mount, json_get(inspect, "Mounts")) {
		const char *type = json_string_or(mount, "Type", "volume");
		const char *path = json_string_or(mount, "Destination", "/");
		const char *from =
			json_string_or(mount, strcmp(type, "volume") == 0 ? "Name" : "Source", "");
		cleanup_free char *bind = memory_printf("%s:%s:ro", from, path);

		if (strcmp(type, "tmpfs") != 0 && *from && !is_captured(made, path))
			json_add_string(binds, bind);
	}
	json_set(host, "Binds", binds);
}

static void set_program(const struct debugging *debugging, struct json *body, bool boots)
{
	const struct debug_options *options = debugging->options;
	struct json *list = json_set_array(body, "Entrypoint");

	if (boots) {
		json_add_string(list, AGENT_PATH);
		json_add_string(list, "boot");
		json_add_string(list, "--");
	}
	json_add_string(list, debugging->program);
	if (text_has_suffix(debugging->program, "/busybox") && !options->entrypoint)
		json_add_string(list, "sh");
	list = json_set_array(body, "Cmd");
	for (size_t i = 0; i < options->arguments->count; i++)
		json_add_string(list, options->arguments->items[i]);
	if (options->terminal)
		json_add_string(json_get(body, "Env"), options->terminal);
}

/* ${made}: the result of the create, or NULL: of the target itself. */
static int create_copy(struct debugging *debugging, const struct json *image,
		       const struct json *made, struct error **err)
{
	const struct recreate_source source = {
		.inspect = debugging->target.inspect,
		.old_image = debugging->image,
		.image = json_string_or(image, "Id", ""),
	};
	CLEANUP(recreation_release) struct recreation recreation = {0};

	recreate(&source, &recreation);
	drop_unique(&recreation);
	if (made)
		replace_mounts(debugging->target.inspect, made,
			       json_get(recreation.body, "HostConfig"));
	set_program(debugging, recreation.body, made != NULL);
	debugging->interactive =
		interactive_new(debugging->session, image, json_string(made, "id"));
	return interactive_create(debugging->interactive, recreation.body, recreation.connect, err);
}

static int take_snapshot(void *context, const struct json *made, struct error **err)
{
	struct debugging *debugging = context;
	CLEANUP(cleanup_json_free)
	struct json *image =
		image_inspect(debugging->session->engine, json_string_or(made, "image", ""), err);

	if (!image)
		return -1;
	failpoint("debug/made");
	return create_copy(debugging, image, made, err);
}

static int prepare(struct debugging *debugging, struct error **err)
{
	const struct create_options options = {
		.target = debugging->target.id,
		.reserve_bytes = UINT64_MAX,
		.made = take_snapshot,
		.made_context = debugging,
	};
	CLEANUP(cleanup_json_free) struct json *made = NULL;

	if (!debugging->snapshot)
		return create_copy(debugging, debugging->image, NULL, err);
	return snapshot_create(debugging->session, &options, &made, err);
}

static int open_target(struct debugging *debugging, struct error **err)
{
	const struct debug_options *options = debugging->options;

	if (target_find(debugging->session, options->target, &debugging->target, err) < 0)
		return -1;
	debugging->image =
		image_inspect(debugging->session->engine, debugging->target.image_id, err);
	if (!debugging->image)
		return error_prefix(err, "the image of \"%s\"", debugging->target.name);
	if (!options->entrypoint)
		return find_shell(debugging, err);
	debugging->program = memory_strdup(options->entrypoint);
	return 0;
}

int project_debug(struct session *session, const struct debug_options *options, int *exit_code,
		  struct error **err)
{
	CLEANUP(debugging_release)
	struct debugging debugging = {.session = session, .options = options};

	if (open_target(&debugging, err) < 0 || decide(&debugging, err) < 0 ||
	    prepare(&debugging, err) < 0)
		return -1;
	if (interactive_run(debugging.interactive, exit_code, err) == 0)
		return 0;
	if (err && *err && (*err)->kind == ERROR_UNSUPPORTED)
		error_hint(err, "name a program that is in the image, with its path: --entrypoint");
	return -1;
}
