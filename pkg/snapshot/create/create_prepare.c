/*
 * The first part of a create: what is to be captured, from whom, under which name,
 * and every reason to refuse, while nothing has been touched.
 */
#include "snapshot/create/create.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "snapshot/create/archive_stream.h"
#include "snapshot/create/create_repair.h"
#include "snapshot/create/image_config.h"
#include "snapshot/create/writers.h"
#include "snapshot/helper/command.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/helper/state.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "tree/own/own.h"

void create_init(struct create *create, struct session *session,
		 const struct create_options *options)
{
	memset(create, 0, sizeof(*create));
	create->session = session;
	create->options = options;
	create->started_ms = clock_monotonic_ms();
	create->subject = &create->target;
	plan_init(&create->plan);
	freeze_init(&create->freeze, session);
	create->freeze.is_led = options->member != NULL;
}

/* The target runs again, whatever happened. */
static void start_again(struct create *create)
{
	cleanup_error struct error *problem = NULL;
	struct session *session = create->session;

	if (!create->stopped_by_us)
		return;
	engine_set_cancel(session->engine, NULL);
	if (container_start(session->engine, create->target.id, &problem) < 0)
		progress_warn(session->progress,
			      "cannot start container \"%s\" again: %s; run \"docker start %s\"",
			      create->target.name, problem->message, create->target.name);
	else
		create->stopped_by_us = false;
	engine_set_cancel(session->engine, session->cancelled);
}

void create_release(struct create *create)
{
	cleanup_error struct error *problem = NULL;

	preparation_abandon(STEAL_POINTER(create->preparation));
	if (freeze_end(&create->freeze, &problem) < 0)
		progress_warn(create->session->progress, "%s", problem->message);
	start_again(create);
	create->session->heartbeat = NULL;
	/* What is still to be repaired stands in its labels. */
	if (create->freeze.frozen.count || create->stopped_by_us)
		helper_abandon(create->helper);
	else
		helper_free(create->helper);
	freeze_release(&create->freeze);
	for (size_t i = 0; create->seeds && i < create->plan.count; i++)
		json_free(create->seeds[i]);
	free(create->seeds);
	json_free(create->done);
	json_free(create->release);
	string_list_release(&create->environment);
	string_list_release(&create->omitted);
	string_list_release(&create->hidden);
	string_list_release(&create->unfreezable);
	reference_release(&create->reference);
	identity_release(&create->identity);
	plan_release(&create->plan);
	json_free(create->image);
	json_free(create->load);
	json_free(create->dump_seed);
	if (create->moved.inspect)
		target_release(&create->moved);
	target_release(&create->target);
}

static bool has_variable(const struct target *target, const char *name)
{
	size_t length = strlen(name);

	json_for_each(item, json_path(target->inspect, "Config", "Env")) {
		const char *variable = json_string_or(item, NULL, "");

		if (strncmp(variable, name, length) == 0 && variable[length] == '=')
			return true;
	}
	return false;
}

static int check_options(const struct create *create, struct error **err)
{
	const struct create_options *options = create->options;

	for (size_t i = 0; i < options->with_environment.count; i++)
		if (!has_variable(&create->target, options->with_environment.items[i]))
			return error_set(err, ERROR_USAGE,
					 "--with-env: container \"%s\" has no variable \"%s\"",
					 create->target.name, options->with_environment.items[i]);

	if (image_config_check_text("title", options->title, TITLE_MAX, err) < 0)
		return error_hint(err, "it is a line in a list; \"sidesnap describe REF --notes "
				       "TEXT\" adds long texts later");
	if (options->stopped && options->live)
		return error_set(err, ERROR_USAGE, "--stopped and --live exclude each other");
	if (options->stopped && create->target.running &&
	    json_bool(json_get(create->target.inspect, "HostConfig"), "AutoRemove")) {
		error_set(err, ERROR_REFUSED,
			  "container \"%s\" was started with --rm: stopping it would delete it",
			  create->target.name);
		return error_hint(err, "leave --stopped out: it is then frozen for the copy");
	}
	if (options->stopped && create->target.paused) {
		error_set(err, ERROR_REFUSED, "container \"%s\" is paused", create->target.name);
		return error_hint(err, "leave --stopped out: a paused container can be captured "
				       "as it is");
	}
	if (!options->stopped && create->target.restarting) {
		error_set(err, ERROR_REFUSED,
			  "container \"%s\" keeps ending and being restarted: there is no "
			  "process to freeze",
			  create->target.name);
		return error_hint(err,
				  "add --stopped, which stops it for the copy; or stop it "
				  "first: docker stop %s",
				  create->target.name);
	}
	return 0;
}

/* The tag: a valid one, and not taken unless --force. */
static int choose_reference(struct create *create, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *taken = NULL;
	cleanup_error struct error *problem = NULL;
	cleanup_free char *text = NULL;

	if (!create->options->reference || create->options->member) {
		reference_default(create->target.name, clock_now(), &create->reference);
		return 0;
	}
	if (reference_parse(create->options->reference, &create->reference, err) < 0)
		return -1;
	text = reference_format(&create->reference);
	taken = image_inspect(create->session->engine, text, &problem);
	if (!taken && problem->kind != ERROR_NOT_FOUND) {
		error_append(err, STEAL_POINTER(problem));
		return -1;
	}
	if (taken && !create->options->force) {
		error_set(err, ERROR_EXISTS, "\"%s\" exists already", text);
		return error_hint(err, "choose another tag, or use --force to move it");
	}
	return taken ? images_check_move(taken, text, err) : 0;
}

/* Engine and agent put these into every container; a mount hides what lies below it. */
static void find_hidden(struct create *create)
{
	own_add_hidden(&create->hidden);
	for (size_t i = 0; i < create->plan.mounts.count; i++)
		if (!string_list_has(&create->plan.included, create->plan.mounts.items[i]))
			string_list_add(&create->hidden, create->plan.mounts.items[i]);
	string_list_add_all(&create->hidden, &create->plan.dump_paths);
	string_list_add_all(&create->hidden, &create->options->excluded);
}

/* Whether there are no files whose instant would matter. */
static bool reads_no_files(const struct create *create)
{
	return !create->plan.count &&
	       (strcmp(create->own_source, "none") == 0 ||
		(plan_is_logical(create->options) &&
		 json_bool(json_get(create->target.inspect, "HostConfig"), "ReadonlyRootfs")));
}

static int find_writers(struct create *create, struct error **err)
{
	cleanup_free char *who = NULL;

	if (writers_find(create->session, &create->target, &create->plan, &create->freeze.ids,
			 &create->unfreezable, &create->freeze.paused, err) < 0)
		return -1;
	create->freezes_nothing = create->options->live || reads_no_files(create);
	if (create->freezes_nothing) {
		string_list_release(&create->freeze.ids);
		string_list_release(&create->freeze.paused);
		return 0;
	}
	if (create->options->stopped && create->target.running && create->freeze.ids.count &&
	    strcmp(create->freeze.ids.items[0], create->target.id) == 0) {
		free(create->freeze.ids.items[0]);
		memmove(create->freeze.ids.items, create->freeze.ids.items + 1,
			create->freeze.ids.count * sizeof(char *));
		create->freeze.ids.count--;
	}
	if (!create->unfreezable.count)
		return 0;
	who = string_list_join(&create->unfreezable, ", ");
	error_set(err, ERROR_REFUSED,
		  "cannot freeze what can write the data of container \"%s\": %s",
		  create->target.name, who);
	return error_hint(err, "mount the volume read-only there, stop that container, or use "
			       "--live for a snapshot that is not of one instant");
}

/* A reset or replace that is under way, or was cut off, owns the container. */
static int check_no_restore(struct create *create, struct error **err)
{
	cleanup_free char *name = helper_lock_name(create->target.id, "restore");
	CLEANUP(cleanup_json_free) struct json *holder = NULL;

	if (create->options->safety)
		return 0;
	holder = container_inspect(create->session->engine, name, NULL);
	if (!holder || !helper_is_ours(holder))
		return 0;
	error_set(err, ERROR_BUSY,
		  "container \"%s\" is being restored, or a restore of it was "
		  "interrupted",
		  create->target.name);
	return error_hint(err, "wait for it, or run \"sidesnap doctor\"");
}

/*
 * A create that was killed together with its watchdog may have left the target frozen or
 * stopped. It must not be taken for a person's doing.
 */
static int repair_interrupted(struct create *create, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *helpers = helper_list(create->session, err);
	bool repaired = false;

	if (!helpers)
		return -1;
	json_for_each(helper, helpers) {
		const struct json *labels = json_path(helper, "Config", "Labels");

		const char *purpose = json_string_or(labels, LABEL_PURPOSE, "");

		if ((strcmp(purpose, "create") != 0 && strcmp(purpose, "set") != 0) ||
		    (strcmp(json_string_or(labels, LABEL_TARGET, ""), create->target.id) != 0 &&
		     !strstr(json_string_or(labels, LABEL_FREEZES, ""), create->target.id)) ||
		    helper_is_alive(create->session, helper))
			continue;
		progress_note(create->session->progress,
			      "repairing what an interrupted create has left of \"%s\"",
			      create->target.name);
		if (repair_create_alone(create->session, helper, err) < 0)
			return -1;
		repaired = true;
	}
	return repaired ? target_refresh(create->session, &create->target, err) : 0;
}

static int prepare_logical(struct create *create, struct error **err)
{
	create->own_source =
		create->target.running && !create->options->stopped ? "process" : "stream";
	if (!plan_is_logical(create->options))
		return 0;
	if (create_check_logical(create, err) < 0)
		return -1;
	return create->options->onto ? create_move_onto(create, err) : 0;
}

int create_prepare(struct create *create, bool capture, struct error **err)
{
	struct session *session = create->session;
	struct identity_facts facts;

	progress_phase(session->progress, create->options->safety ? "taking a safety snapshot"
								  : "looking at the container");
	if (target_find(session, create->options->target, &create->target, err) < 0 ||
	    (capture && repair_interrupted(create, err) < 0) || check_options(create, err) < 0 ||
	    check_no_restore(create, err) < 0)
		return -1;
	create->image = image_inspect(session->engine, create->target.image_id, err);
	if (!create->image) {
		error_prefix(err, "cannot inspect the image of container \"%s\"",
			     create->target.name);
		return error_hint(err,
				  "the image was deleted under the container; tag or pull it "
				  "again (%s)",
				  create->target.image_id);
	}
	if (command_check(&create->target, create->image, create->options, err) < 0 ||
	    choose_reference(create, err) < 0 ||
	    plan_make(session, &create->target, create->image, create->options, &create->plan,
		      err) < 0 ||
	    prepare_logical(create, err) < 0 || find_writers(create, err) < 0)
		return -1;
	command_environment(create->subject, create->image, create->options, &create->plan.driver,
			    &create->environment, &create->omitted);
	facts = (struct identity_facts){create->subject,
					create->image,
					&create->plan,
					&create->environment,
					create->options->database,
					create->options->masked != NULL};
	return identity_find(session, &facts, &create->identity, err);
}

bool create_prepare_is_due(const struct create *create)
{
	return create->plan.driver.driver && create->target.running && !create->target.paused &&
	       !create->options->stopped && !plan_is_logical(create->options);
}

/*
 * As early as the lock allows: what it writes has cooled down when the pre-copy comes. A prepare
 * that must be released locks something, which has to be as short as possible.
 */
static int begin_prepare(void *context, struct error **err)
{
	struct create *create = context;

	if (create->release || !create_prepare_is_due(create))
		return 0;
	create->preparation =
		preparation_start(create->session, create->target.id, &create->plan.driver, err);
	return create->preparation ? 0 : -1;
}

struct json *create_container_names(const struct create *create, const struct string_list *ids)
{
	struct json *names = json_new_array();

	for (size_t i = 0; i < ids->count; i++) {
		CLEANUP(cleanup_json_free)
		struct json *inspect =
			container_inspect(create->session->engine, ids->items[i], NULL);
		const char *name = json_string_or(inspect, "Name", ids->items[i]);

		json_add_string(names, name + (*name == '/'));
	}
	return names;
}

bool create_will_stop(const struct create *create)
{
	return (create->options->stopped || create->options->leave_stopped) &&
	       create->target.running;
}

const char *create_consistency(const struct create *create)
{
	if (create->options->live && (create->plan.count || !plan_is_logical(create->options)))
		return "live";
	if (plan_is_logical(create->options))
		return "logical";
	if (!create->target.running || create->options->stopped)
		return "stopped";
	return "frozen";
}

/* What stays the same for measure and capture. */
struct json *create_job(const struct create *create, const char *operation)
{
	struct json *job = json_new_object(), *own, *list;

	json_set_string(job, "operation", operation);
	json_set_string(job, "container", create->target.id);
#ifdef SIDESNAP_FAILPOINTS
	if (getenv("SIDESNAP_FAILPOINT"))
		json_set_string(job, "failpoint", getenv("SIDESNAP_FAILPOINT"));
#endif
	json_set(job, "trees", plan_job_trees(&create->plan, create->options));
	own = json_set_object(job, "own");
	json_set_string(own, "source", create->own_source);
	json_set_array(own, "changes");
	list = json_set_array(own, "mounts");
	for (size_t i = 0; i < create->hidden.count; i++)
		json_add_string(list, create->hidden.items[i]);
	list = json_set_array(own, "included");
	for (size_t i = 0; i < create->plan.included.count; i++)
		json_add_string(list, create->plan.included.items[i]);
	return job;
}

/* A bind of a single file cannot be a tree: it becomes an own file. */
static int sort_out_files(struct create *create, struct error **err)
{
	for (size_t i = 0; i < create->plan.count; i++) {
		struct plan_tree *tree = &create->plan.trees[i];
		cleanup_free char *mount = plan_tree_mount(i);
		CLEANUP(cleanup_json_free) struct json *stat = NULL;
		uint64_t mode = 0;

		if (tree->kind != TREE_BIND)
			continue;
		stat = container_archive_stat(create->session->engine, helper_id(create->helper),
					      mount, err);
		if (!stat)
			return error_prefix(err, "cannot look at bind mount \"%s\"",
					    tree->paths.items[0]);
		json_uint_checked(stat, "mode", UINT32_MAX, &mode);
		if (mode & 1ULL << 31)
			continue;
		tree->dropped = true;
		/* os.ModeType of Go: anything but a regular file. */
		if (mode & 0x8f280000ULL)
			plan_not_captured(&create->plan, tree->paths.items[0], "bind",
					  "neither a directory nor a regular file");
		else
			string_list_add_all(&create->plan.included, &tree->paths);
	}
	return 0;
}

static bool is_changed(const struct json *changes, const char *path)
{
	json_for_each(change, changes)
		if (strcmp(json_string_or(change, "Path", ""), path) == 0)
			return json_int(change, "Kind") != 2;
	return false;
}

/*
 * An --include that is on no mount is captured anyway when it was changed, and in the image
 * when it was not: so all that can be wrong with it is that there is no such path.
 */
static int check_included(struct create *create, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *changes = NULL;
	struct engine *engine = create->session->engine;

	for (size_t i = 0; i < create->options->included.count; i++) {
		const char *path = create->options->included.items[i];
		cleanup_error struct error *problem = NULL;
		CLEANUP(cleanup_json_free) struct json *stat = NULL;
		bool mounted = false;

		for (size_t m = 0; m < create->plan.mounts.count && !mounted; m++)
			mounted = path_is_at_or_under(path, create->plan.mounts.items[m]) ||
				  path_is_at_or_under(create->plan.mounts.items[m], path);
		if (mounted)
			continue;
		stat = container_archive_stat(engine, helper_id(create->helper), path, &problem);
		if (!stat && !changes)
			changes = container_changes(engine, create->target.id, NULL);
		if (!stat && !is_changed(changes, path))
			return error_set(err, ERROR_USAGE,
					 "cannot include \"%s\": container \"%s\" has no such path",
					 path, create->target.name);
		progress_note(create->session->progress,
			      "\"%s\" is on no mount: it is captured anyway", path);
	}
	return 0;
}

/* What the container was last reset to is noted in a volume, and read before the helper runs. */
static void settle_parent(struct create *create)
{
	CLEANUP(cleanup_json_free)
	struct json *record =
		state_record(create->session, helper_id(create->helper), create->target.id);

	identity_settle_parent(&create->identity, &create->target, record);
}

int create_helper(struct create *create, const char *purpose, struct error **err)
{
	bool capture = strcmp(purpose, "create") == 0;
	cleanup_free char *freezes = string_list_join(&create->freeze.ids, ",");
	CLEANUP(cleanup_json_free) struct json *mounts = NULL;
	cleanup_free char *release = NULL;
	struct json *state;
	struct helper_specification specification = {
		.image = create->identity.base,
		.purpose = purpose,
		.target_id = create->target.id,
		.target = create->target.inspect,
		.join_processes = strcmp(create->own_source, "process") == 0,
		/* Those of a set are in the label of the helper of who leads it. */
		.freezes = capture && !create->options->member ? freezes : "",
		.set = create->options->member ? create->options->member->set : "",
		.makes = capture ? create->identity.id : "",
		.made = capture ? begin_prepare : NULL,
		.context = create,
	};

	create->release =
		plan_is_logical(create->options) ? NULL : driver_release_json(&create->plan.driver);
	if (create->release && capture) {
		cleanup_free char *text = json_print(create->release, false);

		release = text_base64(text, strlen(text), true);
		specification.release = release;
	}
	if (capture && create_will_stop(create))
		specification.starts = create->target.id;
	mounts = plan_helper_mounts(&create->plan, true);
	state = capture ? state_mount_existing(create->session) : NULL;
	if (state)
		json_add(mounts, state);
	specification.mounts = mounts;
	create->helper = helper_create(create->session, &specification, err);
	if (!create->helper || sort_out_files(create, err) < 0 || check_included(create, err) < 0)
		return -1;
	if (state)
		settle_parent(create);
	find_hidden(create);
	create->seeds = memory_zalloc((create->plan.count + 1) * sizeof(*create->seeds));
	for (size_t i = 0; capture && i < create->plan.count; i++)
		if (create->plan.trees[i].kind == TREE_VOLUME &&
		    !identity_base_has(&create->identity, &create->plan.trees[i]) &&
		    seed_collect(create->session, helper_id(create->helper),
				 create->plan.trees[i].paths.items[0], &create->seeds[i], err) < 0)
			return -1;
	if (capture && create->plan.dump_paths.count &&
	    !identity_base_has_dump(&create->identity, create->plan.dump_paths.items[0]))
		return seed_collect(create->session, helper_id(create->helper),
				    create->plan.dump_paths.items[0], &create->dump_seed, err);
	return 0;
}

int snapshot_freezes(struct session *session, const struct create_options *options,
		     struct string_list *ids, struct string_list *paused, struct error **err)
{
	struct create create;
	int result;

	create_init(&create, session, options);
	result = create_prepare(&create, true, err);
	string_list_add_all(ids, &create.freeze.ids);
	string_list_add_all(paused, &create.freeze.paused);
	/* Nothing was frozen: there is nothing to thaw. */
	string_list_release(&create.freeze.ids);
	create_release(&create);
	return result;
}
