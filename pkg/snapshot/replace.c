/*
 * sidesnap replace: the container, made again from a snapshot's image with its
 * volumes in the snapshot's state. The journal exists before the first change and
 * goes last; in between every failure, and doctor after a crash, goes back by it.
 */
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/text.h"
#include "driver/driver.h"
#include "snapshot/command.h"
#include "snapshot/helper.h"
#include "snapshot/helper_lock.h"
#include "snapshot/labels.h"
#include "snapshot/recreate.h"
#include "snapshot/replace_others.h"
#include "snapshot/replace_restore.h"
#include "snapshot/replace_undo.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

#define READY_TIMEOUT_MS 600000

/* Going back must not be interrupted. */
static const volatile int never_cancelled;

struct replace {
	struct session *session;
	const struct replace_options *options;
	struct target target;
	struct json *snapshot; /* inspect of the snapshot's image */
	const char *image;     /* its id; borrowed */
	struct restore_plan plan;
	struct json *undo;     /* the journal */
	char *safety;	       /* reference */
	struct helper *helper; /* holds the journal */
	char **new_ids;	       /* of undo's containers, NULL where none was made */
	struct json *restored; /* the agent's answer */
	uint64_t started_ms;
};

static void release(struct replace *replace)
{
	size_t count = json_count(json_get(replace->undo, "containers"));

	for (size_t i = 0; replace->new_ids && i < count; i++)
		free(replace->new_ids[i]);
	free(replace->new_ids);
	helper_free(replace->helper);
	target_release(&replace->target);
	json_free(replace->snapshot);
	restore_plan_release(&replace->plan);
	json_free(replace->undo);
	free(replace->safety);
	json_free(replace->restored);
}

/* ---- before anything is touched ---- */

static int check_target(const struct replace *replace, struct error **err)
{
	const struct target *target = &replace->target;
	cleanup_free char *own = session_own_container(replace->session);

	if (own && strcmp(own, target->id) == 0)
		return error_set(err, ERROR_REFUSED, "\"%s\" is sidesnap's own container",
				 target->name);
	if (helper_is_ours(target->inspect))
		return error_set(err, ERROR_REFUSED, "\"%s\" is a helper of sidesnap",
				 target->name);
	if (text_has_suffix(target->name, SUFFIX_OLD) ||
	    text_has_suffix(target->name, SUFFIX_NEW)) {
		error_set(err, ERROR_BUSY, "\"%s\" belongs to a replace that was interrupted",
			  target->name);
		return error_hint(err, "run \"sidesnap doctor\"");
	}
	if (target->paused) {
		error_set(err, ERROR_REFUSED, "\"%s\" is paused", target->name);
		return error_hint(err, "unpause it first: docker unpause %s", target->name);
	}
	if (json_bool(json_get(target->inspect, "HostConfig"), "AutoRemove")) {
		error_set(
			err, ERROR_REFUSED,
			"\"%s\" was started with --rm: stopped, it and its anonymous volumes would "
			"be gone, and there would be no way back",
			target->name);
		return error_hint(err, "boot the snapshot beside it: sidesnap run %s",
				  replace->options->reference);
	}
	return 0;
}

/*
 * What a snapshot says of its trees is not to be trusted, and a bind mount may be the
 * machine's own /etc: nobody overwrites a folder of the machine without being told.
 */
static int confirm_binds(const struct replace *replace, struct error **err)
{
	cleanup_free char *list = NULL, *question = NULL;
	struct string_list folders = {0};

	json_for_each(place, replace->plan.places) {
		cleanup_free char *text = NULL;

		if (!json_get(place, "source"))
			continue;
		text = memory_printf("%s (mounted at %s)", json_string_or(place, "source", ""),
				     json_string_or(place, "path", ""));
		string_list_add(&folders, text);
	}
	if (!folders.count)
		return 0;
	list = string_list_join(&folders, ", ");
	string_list_release(&folders);
	question = memory_printf("replacing \"%s\" overwrites on the engine's machine: %s; go on?",
				 replace->target.name, list);
	return session_confirm(replace->session, question, err);
}

/* A snapshot of which the container has no volume is most likely that of another service. */
static int confirm_stranger(const struct replace *replace, struct error **err)
{
	const char *text = snapshot_label(replace->snapshot, LABEL_TREES);
	CLEANUP(cleanup_json_free) struct json *trees = json_parse(text, strlen(text), NULL);
	cleanup_free char *question = NULL;

	if (!json_count(trees) || json_count(replace->plan.places))
		return 0;
	question = memory_printf(
		"%s is a snapshot of \"%s\" and has none of the volumes of \"%s\": "
		"replacing makes the latter run what the former ran; go on?",
		replace->options->reference, snapshot_label(replace->snapshot, LABEL_CONTAINER),
		replace->target.name);
	return session_confirm(replace->session, question, err);
}

static int find_all(struct replace *replace, struct error **err)
{
	struct session *session = replace->session;
	cleanup_free char *question = NULL;
	struct json *containers;

	replace->snapshot = snapshot_inspect(session, replace->options->reference, err);
	if (!replace->snapshot)
		return -1;
	replace->image = json_string_or(replace->snapshot, "Id", "");
	if (target_find(session, replace->options->target, &replace->target, err) < 0 ||
	    check_target(replace, err) < 0 ||
	    restore_plan_make(replace->snapshot, replace->target.inspect, NULL, &replace->plan,
			      err) < 0)
		return -1;
	replace->undo = json_new_object();
	json_set_int(replace->undo, "version", 1);
	json_set_string(replace->undo, "image", replace->image);
	json_set_string(replace->undo, "snapshot", replace->options->reference);
	json_set(replace->undo, "places", json_copy(replace->plan.places));
	containers = json_set_array(replace->undo, "containers");
	json_add(containers, undo_container(ROLE_TARGET, replace->target.inspect, replace->image));
	if (replace_find_others(session, &replace->target, &replace->plan, containers, &question,
				err) < 0)
		return -1;
	for (size_t i = 0; i < replace->plan.notes.count; i++)
		progress_note(session->progress, "%s", replace->plan.notes.items[i]);
	replace->new_ids = memory_zalloc(json_count(containers) * sizeof(char *));
	if (confirm_binds(replace, err) < 0 || confirm_stranger(replace, err) < 0)
		return -1;
	return question ? session_confirm(session, question, err) : 0;
}

/* Whether the safety snapshot has everything that is going to be overwritten. */
static int check_safety(const struct replace *replace, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *image = snapshot_inspect(replace->session, replace->safety, err);
	struct restore_plan back;
	int result;

	if (!image)
		return -1;
	result =
		restore_plan_make(image, replace->target.inspect, replace->plan.places, &back, err);
	if (result == 0 && json_count(back.places) != json_count(replace->plan.places))
		result = error_set(err, ERROR_REFUSED,
				   "the safety snapshot %s lacks some of what the restore would "
				   "overwrite; nothing was changed",
				   replace->safety);
	restore_plan_release(&back);
	return result;
}

static bool is_restarting(const struct replace *replace, const char *id)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = container_inspect(replace->session->engine, id, NULL);

	return json_bool(json_get(inspect, "State"), "Restarting");
}

/* Whether the target ended since we looked at it, and is made to run by the engine. */
static bool was_restarted(const struct replace *replace)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect =
		container_inspect(replace->session->engine, replace->target.id, NULL);
	const struct json *now = json_get(inspect, "State");
	const struct json *before = json_get(replace->target.inspect, "State");

	/* An engine that is gone has restarted nothing. */
	if (!inspect)
		return false;
	return json_bool(now, "Restarting") || strcmp(json_string_or(now, "StartedAt", ""),
						      json_string_or(before, "StartedAt", "")) != 0;
}

/*
 * A service that ends again and again has no process that could be frozen, and is what
 * people want to put back most: it is stopped for the copy.
 */
static int create_safety(const struct replace *replace, struct create_options *options,
			 struct json **result, struct error **err)
{
	cleanup_error struct error *problem = NULL;

	options->stopped = replace->target.restarting;
	if (snapshot_create(replace->session, options, result, &problem) == 0)
		return 0;
	if (!options->stopped && session_check(replace->session, NULL) == 0 &&
	    was_restarted(replace)) {
		options->stopped = true;
		return snapshot_create(replace->session, options, result, err);
	}
	error_append(err, STEAL_POINTER(problem));
	return -1;
}

/*
 * The way back. It is taken of the running container; what is written after it and
 * before the stop is given up with the rest of the old state.
 */
static int take_safety(struct replace *replace, struct error **err)
{
	cleanup_free char *title =
		memory_printf("before replace by %s", replace->options->reference);
	CLEANUP(cleanup_json_free) struct json *image = NULL, *result = NULL;
	struct create_options options = {.target = replace->target.name,
					 .title = title,
					 .safety = true,
					 .reserve_bytes = UINT64_MAX};
	int outcome;

	image = image_inspect(replace->session->engine, replace->target.image_id, NULL);
	/* A bind mount is captured only on request, but it would be overwritten all the same. */
	json_for_each(place, replace->plan.places)
		if (json_get(place, "source"))
			string_list_add(&options.included, json_string_or(place, "path", ""));
	/* Its data is what counts: a password on its command line must not prevent the way back. */
	if (image && command_check(&replace->target, image, &options, NULL) < 0)
		options.image_command = true;
	outcome = create_safety(replace, &options, &result, err);
	string_list_release(&options.included);
	if (outcome < 0)
		return error_prefix(err, "cannot take the safety snapshot");
	replace->safety = memory_strdup(json_string(result, "reference"));
	json_set_string(replace->undo, "safety", replace->safety);
	progress_note(replace->session->progress, "safety snapshot: %s", replace->safety);
	return check_safety(replace, err);
}

/* The helper that will restore carries the journal: it is there before the first change. */
static int write_journal(struct replace *replace, struct error **err)
{
	struct helper_specification specification = {.image = replace->image,
						     .purpose = "restore",
						     .target_id = replace->target.id,
						     .target = replace->target.inspect,
						     .mounts = replace->plan.mounts,
						     .write_volumes = true};
	cleanup_free char *label = NULL;

	label = undo_encode(replace->undo);
	specification.undo = label;
	replace->helper = helper_create(replace->session, &specification, err);
	return replace->helper ? 0 : -1;
}

/* ---- the change ---- */

static bool is_user(const struct json *container)
{
	return strcmp(json_string_or(container, "role", ""), ROLE_USER) == 0;
}

/*
 * Nothing may start on half the data: not by the engine's restart, not by a person who
 * knows the name.
 */
static int set_aside(struct replace *replace, struct error **err)
{
	json_for_each(container, json_get(replace->undo, "containers")) {
		const char *id = json_string(container, "id");
		cleanup_free char *name = undo_suffixed(container, SUFFIX_OLD);

		if (undo_set_restart(replace->session, id, NULL, err) < 0 ||
		    failpoint_error("replace/policy", err) < 0)
			return -1;
		if (is_user(container))
			continue;
		/* The engine cannot rename what waits for its next try. */
		if (is_restarting(replace, id) &&
		    container_stop(replace->session->engine, id, -1, err) < 0)
			return error_prefix(err, "cannot stop \"%s\"",
					    json_string(container, "name"));
		if (container_rename(replace->session->engine, id, name, err) < 0)
			return error_prefix(err, "cannot rename \"%s\" to \"%s\"",
					    json_string(container, "name"), name);
	}
	return failpoint_error("replace/renamed", err);
}

/* The inspect that the new one is made from: stopped, but with the policy and the image it had. */
static struct json *inspect_as_it_was(const struct replace *replace, const struct json *container,
				      struct error **err)
{
	struct json *inspect =
		container_inspect(replace->session->engine, json_string(container, "id"), err);
	struct json *host = json_get(inspect, "HostConfig");
	struct json *from;

	if (!inspect)
		return NULL;
	json_set(host, "RestartPolicy", json_copy(json_get(container, "restart")));
	if (!json_is_array(json_get(host, "VolumesFrom")))
		return inspect;
	from = json_new_array();
	/* The mounts of containers that are gone can only be had by the volumes' names. */
	json_for_each(item, json_get(host, "VolumesFrom")) {
		const char *text = json_string_or(item, NULL, "");
		cleanup_free char *name = memory_strndup(text, strcspn(text, ":"));
		CLEANUP(cleanup_json_free)
		struct json *other = container_inspect(replace->session->engine, name, NULL);

		if (other)
			json_add_string(from, text);
	}
	json_set(host, "VolumesFrom", from);
	return inspect;
}

/* A tag may have moved on since: then the image's id. To be freed. */
static char *image_of(const struct replace *replace, const struct json *inspect)
{
	const char *id = json_string_or(inspect, "Image", "");
	const char *name = json_string_or(json_get(inspect, "Config"), "Image", "");
	CLEANUP(cleanup_json_free)
	struct json *image = *name ? image_inspect(replace->session->engine, name, NULL) : NULL;

	return memory_strdup(strcmp(json_string_or(image, "Id", ""), id) == 0 ? name : id);
}

/* The snapshot as it was named, where the name means it by itself (a sidesnap.id does not). */
static char *snapshot_name(const struct replace *replace)
{
	CLEANUP(cleanup_json_free)
	struct json *image =
		image_inspect(replace->session->engine, replace->options->reference, NULL);

	return memory_strdup(strcmp(json_string_or(image, "Id", ""), replace->image) == 0
				     ? replace->options->reference
				     : replace->image);
}

static int join_networks(const struct replace *replace, const char *id,
			 const struct recreation *recreation, struct error **err)
{
	json_for_each(item, recreation->connect) {
		const char *network = json_string(item, "network");

		if (network_connect(replace->session->engine, network, id,
				    json_get(item, "endpoint"), err) < 0)
			return error_prefix(err, "cannot connect it to network \"%s\"", network);
	}
	if (recreation->disconnect &&
	    network_disconnect(replace->session->engine, recreation->disconnect, id, false, err) <
		    0)
		return error_prefix(err, "cannot take it off network \"%s\"",
				    recreation->disconnect);
	return 0;
}

/* Make the new one of the journal's container ${index}, under its preliminary name. */
static int make_one(struct replace *replace, const struct json *container, size_t index,
		    const char *const *old_ids, struct error **err)
{
	bool is_target = index == 0;
	cleanup_free char *name = undo_suffixed(container, SUFFIX_NEW), *image = NULL;
	CLEANUP(cleanup_json_free)
	struct json *inspect = inspect_as_it_was(replace, container, err);
	CLEANUP(cleanup_json_free) struct json *old_image = NULL;
	struct recreate_source source = {.inspect = inspect, .boot = is_target, .old_ids = old_ids};
	struct recreation recreation;
	int result;

	if (!inspect)
		return -1;
	old_image =
		image_inspect(replace->session->engine, json_string_or(inspect, "Image", ""), NULL);
	image = is_target ? snapshot_name(replace) : image_of(replace, inspect);
	source.old_image = old_image;
	source.image = image;
	source.new_ids = (const char *const *)replace->new_ids;
	source.id_count = index;
	recreate(&source, &recreation);
	replace->new_ids[index] =
		container_create(replace->session->engine, name, recreation.body, err);
	result = replace->new_ids[index]
			 ? join_networks(replace, replace->new_ids[index], &recreation, err)
			 : -1;
	if (result < 0)
		error_prefix(err, "cannot make \"%s\" again", json_string(container, "name"));
	recreation_release(&recreation);
	return result;
}

/* Containers in the order of the journal: a follower comes behind whom it follows, a user last. */
static int make_all(struct replace *replace, struct error **err)
{
	const struct json *containers = json_get(replace->undo, "containers");
	cleanup_free const char **old_ids =
		memory_array(NULL, json_count(containers), sizeof(*old_ids));
	size_t index = 0;

	json_for_each(container, containers) {
		old_ids[index] = json_string(container, "id");
		if (is_user(container))
			break;
		if (make_one(replace, container, index, old_ids, err) < 0)
			return -1;
		index++;
	}
	return failpoint_error("replace/created", err);
}

static int restore(struct replace *replace, struct error **err)
{
	if (json_count(replace->plan.mounts) == 0)
		return 0;
	progress_phase(replace->session->progress,
		       json_count(replace->plan.mounts) == 1 ? "restoring %zu volume"
							     : "restoring %zu volumes",
		       json_count(replace->plan.mounts));
	if (restore_with(replace->helper, &replace->plan, &replace->restored, err) < 0)
		return error_prefix(err, "cannot restore the volumes");
	return failpoint_error("replace/restored", err);
}

static int take_names(struct replace *replace, struct error **err)
{
	size_t index = 0;

	json_for_each(container, json_get(replace->undo, "containers")) {
		const char *id = replace->new_ids[index++], *name = json_string(container, "name");

		if (id && container_rename(replace->session->engine, id, name, err) < 0)
			return error_prefix(err, "cannot give the new container the name \"%s\"",
					    name);
	}
	return failpoint_error("replace/named", err);
}

static bool must_run(const struct replace *replace, const struct json *container)
{
	return json_bool(container, "running") &&
	       (!replace->options->no_start || is_user(container));
}

static int start_all(struct replace *replace, struct error **err)
{
	size_t index = 0;

	json_for_each(container, json_get(replace->undo, "containers")) {
		const char *id = text_or(replace->new_ids[index++], json_string(container, "id"));
		const char *name = json_string(container, "name");

		if (is_user(container) &&
		    undo_set_restart(replace->session, id, json_get(container, "restart"), err) < 0)
			return -1;
		if (!must_run(replace, container))
			continue;
		progress_phase(replace->session->progress, "starting %s", name);
		if (container_start(replace->session->engine, id, err) < 0)
			return error_prefix(err, "cannot start \"%s\"", name);
	}
	return failpoint_error("replace/started", err);
}

static int wait_ready(struct replace *replace, bool *ready, struct error **err)
{
	const struct json *container = undo_target(replace->undo);
	CLEANUP(cleanup_json_free) struct json *inspect = NULL;
	struct driver_match match;
	uint64_t timeout_ms =
		replace->options->timeout_ms ? replace->options->timeout_ms : READY_TIMEOUT_MS;
	int result;

	*ready = false;
	if (!must_run(replace, container))
		return 0;
	inspect = container_inspect(replace->session->engine, replace->new_ids[0], err);
	if (!inspect ||
	    driver_detect(replace->session->engine, inspect, replace->snapshot, &match, err) < 0)
		return -1;
	progress_phase(replace->session->progress, "waiting until %s is ready",
		       json_string(container, "name"));
	result = driver_wait_ready(replace->session->engine, replace->new_ids[0], &match,
				   timeout_ms, replace->session->cancelled, err);
	driver_match_release(&match);
	*ready = result == 0;
	return result < 0 ? -1 : failpoint_error("replace/ready", err);
}

static int change(struct replace *replace, bool *ready, struct error **err)
{
	const struct session *session = replace->session;

	if (failpoint_error("replace/journal", err) < 0 || set_aside(replace, err) < 0)
		return -1;
	progress_phase(session->progress, "stopping %s", replace->target.name);
	if (undo_stop_all(session, replace->undo, err) < 0 ||
	    failpoint_error("replace/stopped", err) < 0 || session_check(session, err) < 0 ||
	    make_all(replace, err) < 0 || restore(replace, err) < 0 ||
	    take_names(replace, err) < 0 || start_all(replace, err) < 0 ||
	    wait_ready(replace, ready, err) < 0)
		return -1;
	return session_check(session, err);
}

/* ---- the end, either way ---- */

static int roll_back(struct replace *replace, struct error **err)
{
	struct session careful = *replace->session;
	CLEANUP(cleanup_json_free) struct json *helper = json_new_object();
	cleanup_error struct error *problem = NULL;
	enum undo_outcome outcome;

	careful.cancelled = &never_cancelled;
	engine_set_cancel(careful.engine, &never_cancelled);
	progress_phase(careful.progress, "rolling back");
	json_set_string(helper, "Id", helper_id(replace->helper));
	if (undo_run(&careful, replace->undo, helper, &outcome, &problem) == 0) {
		error_prefix(err, "\"%s\" was not replaced, all is as it was before",
			     replace->target.name);
	} else {
		error_append(err, STEAL_POINTER(problem));
		error_prefix(err,
			     "\"%s\" was not replaced, and rolling back did not come to its end",
			     replace->target.name);
		error_hint(err,
			   "its old container is \"%s" SUFFIX_OLD
			   "\" (%.12s) unless it has its name "
			   "again, the state of its volumes is in %s; \"sidesnap doctor\" goes on",
			   replace->target.name, replace->target.id, replace->safety);
		/* The journal must stay for doctor. */
		helper_abandon(STEAL_POINTER(replace->helper));
	}
	engine_set_cancel(careful.engine, replace->session->cancelled);
	return -1;
}

/* From here on there is no way back, so nothing is an error that ends it. */
static void remove_old(struct replace *replace)
{
	const struct session *session = replace->session;

	engine_set_cancel(session->engine, &never_cancelled);
	json_for_each(container, json_get(replace->undo, "containers")) {
		cleanup_error struct error *problem = NULL;

		/* Without its volumes: anonymous ones are the new one's now. */
		if (!is_user(container) &&
		    container_remove(session->engine, json_string(container, "id"), false, true,
				     &problem) < 0)
			progress_warn(
				session->progress,
				"cannot remove the old container %.12s: %s; \"sidesnap doctor\" "
				"goes on",
				json_string(container, "id"), problem->message);
		failpoint("replace/removed");
	}
	engine_set_cancel(session->engine, session->cancelled);
}

static struct json *make_result(const struct replace *replace, bool ready)
{
	const struct json *containers = json_get(replace->undo, "containers");
	struct json *result = json_new_object(), *stopped, *again, *notes;
	struct json *answer = json_first(json_get(replace->restored, "trees"));

	json_set_string(result, "container", replace->new_ids[0]);
	json_set_string(result, "name", replace->target.name);
	json_set_string(result, "reference", replace->options->reference);
	json_set_string(result, "safety", replace->safety);
	stopped = json_set_array(result, "restored");
	json_for_each(place, replace->plan.places) {
		struct json *item = json_add(stopped, json_copy(place));

		json_set_int(item, "files", json_int(answer, "files"));
		json_set_int(item, "bytes", json_int(answer, "bytes"));
		json_set_int(item, "removed", json_int(answer, "removed"));
		answer = answer ? json_next(answer) : NULL;
	}
	stopped = json_set_array(result, "restarted");
	again = json_set_array(result, "recreated");
	json_for_each(container, containers) {
		if (container == json_first(containers))
			continue;
		json_add_string(is_user(container) ? stopped : again,
				json_string(container, "name"));
	}
	notes = json_set_array(result, "notes");
	for (size_t i = 0; i < replace->plan.notes.count; i++)
		json_add_string(notes, replace->plan.notes.items[i]);
	json_set_bool(result, "ready", ready);
	json_set_int(result, "duration_ms", (int64_t)(clock_monotonic_ms() - replace->started_ms));
	return result;
}

int snapshot_replace(struct session *session, const struct replace_options *options,
		     struct json **result, struct error **err)
{
	struct replace replace = {
		.session = session, .options = options, .started_ms = clock_monotonic_ms()};
	bool ready = false;
	int outcome = -1;

	if (find_all(&replace, err) < 0 || take_safety(&replace, err) < 0 ||
	    failpoint_error("replace/safety", err) < 0 || session_check(session, err) < 0 ||
	    write_journal(&replace, err) < 0)
		goto out;
	if (change(&replace, &ready, err) < 0) {
		roll_back(&replace, err);
		goto out;
	}
	remove_old(&replace);
	*result = make_result(&replace, ready);
	outcome = 0;
	/* The journal goes last; if it cannot, doctor finishes it. */
out:
	release(&replace);
	return outcome;
}
