/*
 * The common course of reset and replace. Until the target has its other name nothing
 * is changed that would not be as before by itself or by one call; from then on
 * only the journal tells the way, to us as to doctor.
 */
#include "snapshot/restore/restoration.h"

#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/text.h"
#include "snapshot/helper/heartbeat.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/helper/state.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/reference.h"
#include "snapshot/restore/journal.h"
#include "snapshot/restore/recreate.h"
#include "snapshot/restore/restore_others.h"
#include "snapshot/restore/finish.h"
#include "snapshot/restore/safety.h"

#define READY_TIMEOUT_MS 600000

/* Below that it is read sooner than a helper is started. */
#define BOOT_STATE_WORTH (256U << 20)
#define BOOT_STATE_MAX (64U << 20)

/* Going back must not be interrupted. */
static const volatile int never_cancelled;

void restoration_init(struct restoration *restoration, struct session *session,
		      const struct restore_options *options, const char *operation,
		      const char *verb)
{
	memset(restoration, 0, sizeof(*restoration));
	restoration->session = session;
	restoration->options = options;
	restoration->operation = operation;
	restoration->verb = verb;
	restoration->started_ms = clock_monotonic_ms();
}

void restoration_release(struct restoration *restoration)
{
	helper_free(restoration->helper);
	heartbeat_stop(restoration->heartbeat);
	target_release(&restoration->target);
	json_free(restoration->snapshot);
	json_free(restoration->own_image);
	free(restoration->reference);
	restore_plan_release(&restoration->plan);
	driver_match_release(&restoration->driver);
	json_free(restoration->journal);
	json_free(restoration->taken_over);
	free(restoration->superseded);
	free(restoration->safety);
	free(restoration->question);
	json_free(restoration->taken);
	json_free(restoration->restored);
	memset(restoration, 0, sizeof(*restoration));
}

static bool is_reset(const struct restoration *restoration)
{
	return strcmp(restoration->operation, "reset") == 0;
}

/* ---- the snapshot, and questions ---- */

/*
 * What a snapshot says of its trees is not to be trusted, and a bind mount may be the
 * machine's own /etc: nobody overwrites a folder of the machine without being told.
 */
static int confirm_binds(const struct restoration *restoration, struct error **err)
{
	cleanup_free char *list = NULL, *question = NULL;
	struct string_list folders = {0};

	json_for_each(place, restoration->plan.places) {
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
	question = memory_printf("%s \"%s\" overwrites on the engine's machine: %s; go on?",
				 is_reset(restoration) ? "resetting" : "replacing",
				 restoration->target.name, list);
	return session_confirm(restoration->session, question, err);
}

static bool is_of_target(const struct restoration *restoration)
{
	const struct target *target = &restoration->target;
	const struct json *labels = json_path(restoration->snapshot, "Config", "Labels");
	CLEANUP(cleanup_json_free)
	struct json *entry = images_entry(labels, NULL, restoration->image);
	struct image_source source = {
		.id = target->id,
		.name = target->name,
		.project = target->project,
		.service = target->service,
		.lineage =
			json_string(json_path(target->inspect, "Config", "Labels"), LABEL_LINEAGE),
	};

	return images_is_of(entry, &source);
}

/*
 * A snapshot of which the container has no volume is most likely that of another service.
 * A reset keeps the container, so there the other service's data is what it would run on.
 */
static int confirm_stranger(const struct restoration *restoration, struct error **err)
{
	const char *name = restoration->target.name;
	const char *other = snapshot_label(restoration->snapshot, LABEL_CONTAINER);
	const char *text = snapshot_label(restoration->snapshot, LABEL_TREES);
	CLEANUP(cleanup_json_free) struct json *trees = json_parse(text, strlen(text), NULL);
	cleanup_free char *question = NULL;

	if (is_reset(restoration) && json_count(restoration->plan.places) == 0) {
		error_set(err, ERROR_REFUSED,
			  "\"%s\" has none of the volumes that %s, a snapshot of \"%s\", holds: "
			  "there is nothing to reset",
			  name, restoration->reference, other);
		return error_hint(err,
				  "sidesnap replace makes it what the snapshot was; sidesnap run "
				  "boots the snapshot beside it");
	}
	if (is_reset(restoration) ? is_of_target(restoration)
				  : !json_count(trees) || json_count(restoration->plan.places))
		return 0;
	question = is_reset(restoration)
			   ? memory_printf("%s is a snapshot of \"%s\": its data overwrites that "
					   "of \"%s\"; go on?",
					   restoration->reference, other, name)
			   : memory_printf("%s is a snapshot of \"%s\" and has none of the volumes "
					   "of \"%s\": replacing makes the latter run what the "
					   "former ran; go on?",
					   restoration->reference, other, name);
	return session_confirm(restoration->session, question, err);
}

/* Whom the other one has stopped starts with this one, if nobody has started it since. */
static void continue_journal(const struct restoration *restoration, struct json *journal)
{
	const struct json *before = restoration->taken_over;
	struct json *containers = json_get(journal, "containers");
	const struct json *target = journal_target(before);

	json_set_bool(journal, "half", true);
	json_for_each(guard, json_get(before, "guards"))
		if (!json_has_string(json_get(journal, "guards"), json_string_or(guard, NULL, "")))
			json_add_string(json_get(journal, "guards"),
					json_string_or(guard, NULL, ""));
	json_set_bool(json_first(containers), "running", json_bool(target, "running"));
	json_for_each(container, json_get(before, "containers"))
		if (container != target)
			json_add(containers, json_copy(container));
}

static void start_journal(struct restoration *restoration)
{
	struct json *journal = restoration->journal = json_new_object(), *guards;
	struct json *containers;

	json_set_int(journal, "version", 1);
	json_set_string(journal, "operation", restoration->operation);
	json_set_string(journal, "image", restoration->image);
	json_set_string(journal, "snapshot", restoration->reference);
	json_set_string(journal, "safety", "");
	json_set(journal, "places", json_copy(restoration->plan.places));
	guards = json_set_array(journal, "guards");
	for (size_t i = 0; i < restoration->driver.guards.count; i++)
		json_add_string(guards, restoration->driver.guards.items[i]);
	containers = json_set_array(journal, "containers");
	json_add(containers,
		 journal_container(ROLE_TARGET, restoration->target.inspect, restoration->image));
	if (restoration->taken_over)
		continue_journal(restoration, journal);
}

/* There are no files to reset to: only a server can make of a dump what it stands for. */
static int refuse_dump(const struct restoration *restoration, struct error **err)
{
	const char *name = restoration->target.name, *reference = restoration->reference;
	cleanup_free char *dump = snapshot_dump_path(restoration->snapshot);

	error_set(err, ERROR_REFUSED,
		  "%s is a logical snapshot: it holds a dump, which cannot be reset to in place",
		  reference);
	return error_hint(
		err,
		"sidesnap replace %s %s makes the container anew and loads it; sidesnap "
		"run %s boots it beside; sidesnap cat %s:%s | sidesnap load %s loads it into "
		"the running server",
		name, reference, reference, reference, dump, name);
}

int restoration_choose(struct restoration *restoration, const char *reference, struct error **err)
{
	struct session *session = restoration->session;
	const struct target *target = &restoration->target;
	const struct json *image;

	restoration->snapshot = snapshot_inspect(session, reference, err);
	if (!restoration->snapshot)
		return -1;
	restoration->reference = memory_strdup(reference);
	restoration->image = json_string_or(restoration->snapshot, "Id", "");
	if (is_reset(restoration) && snapshot_has_dump(restoration->snapshot))
		return refuse_dump(restoration, err);
	image = restoration->own_image = image_inspect(session->engine, target->image_id, NULL);
	if (restore_plan_make(restoration->snapshot, target->inspect, NULL, is_reset(restoration),
			      &restoration->plan, err) < 0 ||
	    driver_detect(session->engine, target->inspect, image, &restoration->driver, err) < 0 ||
	    finish_check(restoration->options->finish,
			 restoration->driver.driver ? restoration->driver.driver->name : NULL,
			 err) < 0)
		return -1;
	/* Its container takes the volumes for its own at its start, whatever they were made of. */
	if (is_reset(restoration))
		restore_plan_set_marks(&restoration->plan, image);
	start_journal(restoration);
	return restore_find_others(session, target, &restoration->plan, restoration->journal,
				   &restoration->question, err);
}

void restoration_forget_choice(struct restoration *restoration)
{
	helper_free(STEAL_POINTER(restoration->helper));
	heartbeat_stop(STEAL_POINTER(restoration->heartbeat));
	json_free(STEAL_POINTER(restoration->snapshot));
	json_free(STEAL_POINTER(restoration->own_image));
	free(STEAL_POINTER(restoration->reference));
	restore_plan_release(&restoration->plan);
	driver_match_release(&restoration->driver);
	memset(&restoration->driver, 0, sizeof(restoration->driver));
	json_free(STEAL_POINTER(restoration->journal));
	free(STEAL_POINTER(restoration->safety));
	free(STEAL_POINTER(restoration->question));
}

int restoration_ask(struct restoration *restoration, struct error **err)
{
	struct session *session = restoration->session;

	for (size_t i = 0; i < restoration->plan.notes.count; i++)
		progress_note(session->progress, "%s", restoration->plan.notes.items[i]);
	if (confirm_stranger(restoration, err) < 0 || confirm_binds(restoration, err) < 0)
		return -1;
	return restoration->question ? session_confirm(session, restoration->question, err) : 0;
}

/* ---- what boot knows ---- */

/*
 * A container that was booted from a snapshot has noted in its own files what the restore left in
 * its volumes. They can be had only when it is stopped, so it stands still for longer; that is
 * worth it only where nothing else is known, and where much would have to be read.
 */
static bool needs_boot_state(const struct restoration *restoration)
{
	uint64_t bytes = 0;

	if (!is_reset(restoration) ||
	    !text_parse_uint(snapshot_label(restoration->snapshot, LABEL_BYTES), UINT64_MAX,
			     &bytes) ||
	    bytes < BOOT_STATE_WORTH ||
	    strcmp(snapshot_label(restoration->own_image, LABEL_ROLE), "snapshot") != 0)
		return false;
	json_for_each(tree, json_get(restoration->plan.job, "trees"))
		if (state_has_volume(restoration->session, helper_id(restoration->helper),
				     json_string(json_get(tree, "volume"), "name")))
			return false;
	return true;
}

static int take_archive(void *context, const void *data, size_t size, struct error **err)
{
	if (buffer_append(context, data, size) == 0)
		return 0;
	return error_set(err, ERROR_FAILED, "it is too large");
}

/* From one container to the other, without a look at it: the agent believes only what files prove. */
static void take_boot_state(struct restoration *restoration)
{
	struct engine *engine = restoration->session->engine;
	cleanup_free char *folder = helper_folder(restoration->helper);
	cleanup_free char *place = NULL;
	cleanup_error struct error *problem = NULL;
	CLEANUP(buffer_release) struct buffer archive;

	place = memory_printf("%s/state", folder);
	buffer_init(&archive, BOOT_STATE_MAX);
	if (container_archive_get(engine, restoration->target.id, "/.sidesnap/state", take_archive,
				  &archive, &problem) == 0 &&
	    container_archive_put_buffer(engine, helper_id(restoration->helper), folder, &archive,
					 &problem) == 0)
		json_set_string(restoration->plan.job, "boot_state", place);
	else
		progress_detail(restoration->session->progress,
				"what boot knows of the volumes is not used: %s", problem->message);
}

/* ---- the journal and the helper ---- */

/*
 * The name of the helper is a lock: the one whose reset is taken over gives it away, and goes when
 * there is another journal.
 */
static int make_way(const struct restoration *restoration, struct error **err)
{
	cleanup_free char *name = helper_lock_name(NULL, "restore");

	return restoration->superseded ? container_rename(restoration->session->engine,
							  restoration->superseded, name, err)
				       : 0;
}

/* Nothing is changed yet, so nothing is to be taken back. */
static int check_alone(struct restoration *restoration, struct error **err)
{
	cleanup_error struct error *problem = NULL;

	if (restore_check_alone(restoration->session, &restoration->target, &restoration->plan,
				err) < 0) {
		helper_free(STEAL_POINTER(restoration->helper));
		return -1;
	}
	if (restoration->superseded &&
	    container_remove(restoration->session->engine, restoration->superseded, true, true,
			     &problem) < 0)
		progress_warn(restoration->session->progress,
			      "cannot remove the helper of the interrupted reset: %s",
			      problem->message);
	return 0;
}

/*
 * The helper that will restore carries the journal: it is there before the first change. The
 * safety snapshot's name stands in it before there is one: until the target has its other name,
 * nobody goes back to it.
 */
int restoration_make_helper(struct restoration *restoration, struct error **err)
{
	struct restore_plan *plan = &restoration->plan;
	struct helper_specification specification = {.image = restoration->image,
						     .purpose = "restore",
						     .target_id = restoration->target.id,
						     .target = restoration->target.inspect,
						     .write_volumes = true};
	cleanup_free char *label = NULL, *folder = NULL;

	if (!restoration->options->no_safety && !restoration->taken_over) {
		struct reference reference = {0};

		reference_default(restoration->target.name, clock_now(), &reference);
		restoration->safety = reference_format(&reference);
		reference_release(&reference);
		json_set_string(restoration->journal, "safety", restoration->safety);
	}
	restore_plan_set_guards(plan, json_get(restoration->journal, "guards"));
	if (is_reset(restoration))
		restore_plan_set_record(plan, restoration->target.id, restoration->snapshot,
					restoration->reference, restoration->verb);
	if (json_count(plan->places))
		restore_plan_use_state(restoration->session, plan);
	specification.mounts = plan->mounts;
	label = journal_encode(restoration->journal);
	specification.journal = label;
	if (make_way(restoration, err) < 0)
		return -1;
	restoration->helper = helper_create(restoration->session, &specification, err);
	if (!restoration->helper)
		return -1;
	folder = helper_folder(restoration->helper);
	restoration->heartbeat = heartbeat_start(
		restoration->session, helper_id(restoration->helper), folder, false, err);
	if (!restoration->heartbeat || check_alone(restoration, err) < 0)
		return -1;
	restoration->takes_boot_state = needs_boot_state(restoration);
	return failpoint_error("restore/journal", err);
}

/* ---- stopping ---- */

/*
 * The way back, taken of the running container, and its end. What others write to the same
 * volumes until they are stopped is given up with the rest of the old state.
 */
static int take_safety(struct restoration *restoration, struct error **err)
{
	cleanup_free char *title =
		memory_printf("before %s by %s", restoration->verb, restoration->reference);
	struct safety_request request = {.target = &restoration->target,
					 .reference = restoration->safety,
					 .title = title,
					 .operation = restoration->operation,
					 .places = restoration->plan.places};
	uint64_t began = clock_monotonic_ms();

	if (!restoration->safety)
		return 0;
	if (safety_take(restoration->session, &request, &restoration->taken, err) < 0)
		return -1;
	restoration->safety_ms = clock_monotonic_ms() - began;
	progress_note(restoration->session->progress, "safety snapshot: %s", restoration->safety);
	return failpoint_error("restore/safety", err);
}

static bool is_user(const struct json *container)
{
	return strcmp(json_string_or(container, "role", ""), ROLE_USER) == 0;
}

static int forbid_restarts(const struct restoration *restoration, struct error **err)
{
	json_for_each(container, json_get(restoration->journal, "containers"))
		if (journal_set_restart(restoration->session, json_string(container, "id"), NULL,
					err) < 0)
			return -1;
	return failpoint_error("restore/policy", err);
}

static int take_names(const struct restoration *restoration, struct error **err)
{
	json_for_each(container, json_get(restoration->journal, "containers")) {
		cleanup_free char *name =
			journal_suffixed(container, journal_suffix(restoration->journal));

		if (!is_user(container) &&
		    journal_give_name(restoration->session, json_string(container, "id"), name,
				      err) < 0)
			return -1;
	}
	return failpoint_error("restore/renamed", err);
}

int restoration_set_aside(struct restoration *restoration, struct error **err)
{
	const struct session *session = restoration->session;

	progress_phase(session->progress, "stopping %s", restoration->target.name);
	if (journal_stop_all(session, restoration->journal, err) < 0 ||
	    failpoint_error("restore/stopped", err) < 0 || take_names(restoration, err) < 0)
		return -1;
	/* Now that nobody finds it by its name: somebody may have started it just before. */
	return journal_stop_all(session, restoration->journal, err);
}

static int begin(struct restoration *restoration, struct error **err)
{
	if (json_count(restoration->plan.places) == 0)
		return 0;
	progress_phase(restoration->session->progress, "checking the snapshot");
	return helper_open(restoration->helper, err) < 0
		       ? -1
		       : restore_begin(restoration->helper, &restoration->plan, err);
}

int restoration_halt(struct restoration *restoration, struct error **err)
{
	struct session *session = restoration->session;

	/* All that can be wrong with the snapshot is found out while the target runs. */
	if (!restoration->takes_boot_state && begin(restoration, err) < 0)
		return -1;
	if (failpoint_error("restore/ready", err) < 0 || session_check(session, err) < 0 ||
	    forbid_restarts(restoration, err) < 0 || take_safety(restoration, err) < 0 ||
	    session_check(session, err) < 0)
		return -1;
	restoration->stopping_ms = clock_monotonic_ms();
	if (restoration_set_aside(restoration, err) < 0)
		return -1;
	if (!restoration->takes_boot_state)
		return 0;
	take_boot_state(restoration);
	return begin(restoration, err);
}

/* ---- restoring ---- */

int restoration_restore(struct restoration *restoration, struct error **err)
{
	const struct session *session = restoration->session;
	size_t count = json_count(restoration->plan.places);

	restoration->going_ms = restoration->whole_ms = clock_monotonic_ms();
	if (!count)
		return 0;
	progress_phase(session->progress,
		       count == 1 ? "restoring %zu volume" : "restoring %zu volumes", count);
	if (restore_finish(restoration->helper, &restoration->restored, err) < 0)
		return error_prefix(err, "cannot restore the volumes");
	restoration->whole_ms = clock_monotonic_ms();
	return failpoint_error("restore/restored", err);
}

bool restoration_starts(const struct restoration *restoration, const struct json *container)
{
	return json_bool(container, "running") &&
	       (!restoration->options->no_start || is_user(container));
}

int restoration_start_users(struct restoration *restoration, struct error **err)
{
	json_for_each(container, json_get(restoration->journal, "containers"))
		if (is_user(container) &&
		    journal_put_back(restoration->session, container,
				     json_bool(container, "running"), err) < 0)
			return -1;
	return failpoint_error("restore/users", err);
}

int restoration_wait_ready(struct restoration *restoration, const char *id, struct error **err)
{
	struct session *session = restoration->session;
	const struct driver_match *match = &restoration->driver;
	struct driver_match found = {0};
	uint64_t otherwise_ms =
		snapshot_has_dump(restoration->snapshot) ? LOAD_TIMEOUT_MS : READY_TIMEOUT_MS;
	uint64_t timeout_ms =
		restoration->options->timeout_ms ? restoration->options->timeout_ms : otherwise_ms;
	int result;

	if (!restoration_starts(restoration, journal_target(restoration->journal)))
		return 0;
	progress_phase(session->progress, "waiting until %s is ready", restoration->target.name);
	/* Of a container that did not run, or that was made anew, its processes tell only now. */
	if (!restoration->target.running || strcmp(id, restoration->target.id) != 0) {
		CLEANUP(cleanup_json_free)
		struct json *inspect = container_inspect(session->engine, id, err);

		if (!inspect ||
		    driver_detect(session->engine, inspect, restoration->snapshot, &found, err) < 0)
			return -1;
		match = &found;
	}
	result = driver_wait_ready(session->engine, id, match, timeout_ms, session->cancelled, err);
	driver_match_release(&found);
	restoration->is_ready = result == 0;
	restoration->ready_ms = clock_monotonic_ms();
	return result < 0 ? -1 : failpoint_error("restore/is-ready", err);
}

int restoration_finish(const struct restoration *restoration, const char *id, struct error **err)
{
	const char *name = restoration->target.name;

	if (!restoration->is_ready) {
		if (restoration->options->finish)
			progress_warn(restoration->session->progress,
				      "\"%s\" was not started: %s was not run", name,
				      restoration->options->finish);
		return 0;
	}
	if (finish_run(restoration->session, id, restoration->snapshot,
		       restoration->options->finish, err) == 0)
		return 0;
	error_prefix(err, "\"%s\"", name);
	return restoration->safety
		       ? error_hint(err, "to return to the state before: sidesnap undo %s", name)
		       : -1;
}

/* ---- the end, either way ---- */

int restoration_fail(struct restoration *restoration, struct error **err)
{
	struct session careful = *restoration->session;
	CLEANUP(cleanup_json_free) struct json *helper = json_new_object();
	const char *name = restoration->target.name;
	const char *done = is_reset(restoration) ? "reset" : "replaced";
	cleanup_error struct error *problem = NULL;
	enum journal_outcome outcome;

	if (!restoration->helper)
		return -1;
	careful.cancelled = &never_cancelled;
	engine_set_cancel(careful.engine, &never_cancelled);
	progress_phase(careful.progress, restoration->safety ? "rolling back" : "cleaning up");
	json_set_string(helper, "Id", helper_id(restoration->helper));
	if (journal_go_back(&careful, restoration->journal, helper, &outcome, &problem) < 0) {
		error_append(err, STEAL_POINTER(problem));
		error_prefix(err, "\"%s\" was not %s, and %s did not come to its end", name, done,
			     restoration->safety ? "rolling back" : "bringing it to an end");
		error_hint(err,
			   "the container is \"%s%s\" (%.12s) unless it has its name again, what "
			   "its volumes are to hold is in %s; \"sidesnap doctor\" goes on",
			   name, journal_suffix(restoration->journal), restoration->target.id,
			   text_or(restoration->safety, restoration->reference));
		/* The journal must stay for doctor. */
		helper_abandon(STEAL_POINTER(restoration->helper));
	} else if (outcome == JOURNAL_ROLLED_BACK) {
		error_prefix(err, "\"%s\" was not %s, all is as it was before", name, done);
	} else {
		error_prefix(err,
			     "there is no safety snapshot to go back to, so the data of \"%s\" is "
			     "that of %s now",
			     name, restoration->reference);
	}
	engine_set_cancel(careful.engine, restoration->session->cancelled);
	return -1;
}

/* One item of the answer for each place that was restored, and the sums. */
static void add_restored(const struct restoration *restoration, struct json *result)
{
	static const char *const sums[] = {"written_bytes", "read_bytes", "kept_files", "removed"};
	struct json *list = json_set_array(result, "restored");
	struct json *answer = json_first(json_get(restoration->restored, "trees"));
	int64_t totals[4] = {0};

	json_for_each(place, restoration->plan.places) {
		struct json *item = json_add(list, json_copy(place));

		json_for_each(number, answer)
			json_set(item, json_key(number), json_copy(number));
		for (size_t i = 0; i < 4; i++)
			totals[i] += json_int(answer, sums[i]);
		answer = answer ? json_next(answer) : NULL;
	}
	for (size_t i = 0; i < 4; i++)
		json_set_int(result, i == 3 ? "removed_files" : sums[i], totals[i]);
}

struct json *restoration_result(const struct restoration *restoration, const char *id)
{
	const struct json *containers = json_get(restoration->journal, "containers");
	uint64_t now = clock_monotonic_ms();
	struct json *result = json_new_object(), *stopped, *again, *notes;

	json_set_string(result, "container", id);
	json_set_string(result, "name", restoration->target.name);
	json_set_string(result, "operation", restoration->operation);
	json_set_string(result, "reference", restoration->reference);
	json_set_string(result, "safety", text_or(restoration->safety, ""));
	add_restored(restoration, result);
	stopped = json_set_array(result, "restarted");
	again = json_set_array(result, "recreated");
	json_for_each(container, containers) {
		if (container == json_first(containers))
			continue;
		json_add_string(is_user(container) ? stopped : again,
				json_string(container, "name"));
	}
	notes = json_set_array(result, "notes");
	for (size_t i = 0; i < restoration->plan.notes.count; i++)
		json_add_string(notes, restoration->plan.notes.items[i]);
	json_set_bool(result, "ready", restoration->is_ready);
	json_set_int(result, "safety_ms", (int64_t)restoration->safety_ms);
	json_set_int(result, "stop_ms",
		     (int64_t)(restoration->going_ms - restoration->stopping_ms));
	json_set_int(result, "restore_ms",
		     (int64_t)(restoration->whole_ms - restoration->going_ms));
	json_set_int(result, "ready_ms",
		     (int64_t)(restoration->ready_ms ? restoration->ready_ms - restoration->whole_ms
						     : 0));
	json_set_int(result, "duration_ms", (int64_t)(now - restoration->started_ms));
	return result;
}

void restoration_prune(const struct restoration *restoration)
{
	CLEANUP(cleanup_json_free) struct json *kept = json_new_array();

	if (!restoration->safety)
		return;
	json_add_string(kept, restoration->safety);
	json_add_string(kept, restoration->reference);
	safety_prune(restoration->session, &restoration->target, kept);
}
