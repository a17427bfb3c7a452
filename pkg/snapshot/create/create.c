/*
 * sidesnap create: the snapshot flow. Whatever fails, create_release() leaves the
 * target running as it was, and there is a tag only when everything behind it is whole.
 */
#include "snapshot/create/create.h"

#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/path.h"
#include "driver/driver.h"
#include "snapshot/create/archive_stream.h"
#include "snapshot/create/consolidate.h"
#include "snapshot/create/image_config.h"
#include "snapshot/create/writers.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "tree/manifest.h"

/* A writer that appears while we read makes the create start again, so often. */
#define ATTEMPTS 3

#define GO_PART_MAX (512U << 10)

/* What a stop may take beyond the container's own time-out. */
#define STOP_TIME_MS 60000

/* After a pre-copy that took longer, what the driver prepared is prepared once more. */
#define PREPARED_TOO_LONG_AGO_MS 2000

/* Whether somebody writes who will be frozen or stopped. */
static bool is_precopied(const struct create *create)
{
	return !create->options->live && (create->target.running || create->freeze.ids.count);
}

static void add_strings(struct json *object, const char *key, const struct string_list *list)
{
	struct json *array = json_set_array(object, key);

	for (size_t i = 0; i < list->count; i++)
		json_add_string(array, list->items[i]);
}

static void add_dump(const struct create *create, struct json *job)
{
	const struct plan *plan = &create->plan;
	struct json *dump = json_set_object(job, "dump");

	json_set_string(dump, "file", json_string_or(create->load, "file", "dump"));
	json_set_string(dump, "name", plan->driver.driver->name);
	add_strings(dump, "paths", &plan->dump_paths);
	json_set_bool(dump, "seed", create->dump_seed != NULL);
	json_set_bool(dump, "parent_seed",
		      identity_base_has_dump(&create->identity, plan->dump_paths.items[0]));
}

static struct json *capture_job(const struct create *create)
{
	struct json *job = create_job(create, "capture"), *extra, *list;
	size_t index = 0;

	json_set_string(job, "id", create->identity.id);
	json_set_bool(job, "precopy", is_precopied(create));
	json_set_string(job, "parent", create->identity.parent);
	json_set_string(job, "lineage", create->identity.lineage);
	json_set_string(job, "created", create->identity.created);
	json_set_string(job, "architecture", json_string_or(create->image, "Architecture", ""));
	json_set_string(job, "agent_path", helper_agent_path(create->helper));
	if (create->options->reserve_bytes != UINT64_MAX)
		json_set_int(job, "min_free", (int64_t)create->options->reserve_bytes);
	for (size_t i = 0; i < create->plan.count; i++) {
		struct json *tree = json_first(json_get(job, "trees"));

		if (create->plan.trees[i].dropped)
			continue;
		for (size_t skip = index++; skip; skip--)
			tree = json_next(tree);
		json_set_bool(tree, "seed", create->seeds[i] != NULL);
		json_set_bool(tree, "parent_seed",
			      create->plan.trees[i].kind == TREE_VOLUME &&
				      identity_base_has(&create->identity, &create->plan.trees[i]));
	}
	if (create->load)
		add_dump(create, job);
	extra = json_set_object(job, "extra");
	json_set_string(extra, "stop_signal",
			json_string_or(json_get(create->subject->inspect, "Config"), "StopSignal",
				       "SIGTERM"));
	if (create->load)
		json_set(extra, "load", json_copy(create->load));
	list = json_set_array(extra, "omitted_variables");
	for (size_t i = 0; i < create->omitted.count; i++)
		json_add_string(list, create->omitted.items[i]);
	json_set_string(extra, "driver",
			create->plan.driver.driver ? create->plan.driver.driver->name : "");
	list = json_set_array(extra, "hosts");
	for (size_t i = 0; i < create->plan.driver.hosts.count; i++)
		json_add_string(list, create->plan.driver.hosts.items[i]);
	list = json_set_array(extra, "guards");
	for (size_t i = 0; i < create->plan.driver.guards.count; i++)
		json_add_string(list, create->plan.driver.guards.items[i]);
	return job;
}

static int send_seeds(struct create *create, struct error **err)
{
	size_t index = 0;

	for (size_t i = 0; i < create->plan.count; i++) {
		if (create->plan.trees[i].dropped)
			continue;
		if (create->seeds[i] && seed_send(create->helper, index, create->seeds[i], err) < 0)
			return -1;
		index++;
	}
	return create->dump_seed ? seed_send(create->helper, index, create->dump_seed, err) : 0;
}

/* The files are captured all the same where a person has said so, and the snapshot says that they were not prepared. */
static int prepare_failed(struct create *create, struct error *problem, struct error **err)
{
	const char *driver = create->plan.driver.driver->name;

	if (!create->options->ignore_prepare || session_check(create->session, NULL) < 0) {
		error_append(err, problem);
		return error_prefix(err, "cannot prepare %s in container \"%s\"", driver,
				    create->target.name);
	}
	create->prepare_failed = true;
	progress_warn(create->session->progress,
		      "%s in container \"%s\" is captured unprepared: %s", driver,
		      create->target.name, problem->message);
	error_free(problem);
	return 0;
}

static int run_prepare(struct create *create, struct error **err)
{
	const struct driver_match *driver = &create->plan.driver;
	struct error *problem = NULL;
	int result;

	if (!create_prepare_is_due(create))
		return 0;
	progress_phase(create->session->progress, "preparing %s", driver->driver->name);
	create->freeze.release_due = create->release != NULL;
	if (create->preparation)
		result = preparation_finish(STEAL_POINTER(create->preparation), &problem);
	else
		result = driver_prepare(create->session->engine, create->target.id, driver,
					&problem);
	if (result < 0 && prepare_failed(create, problem, err) < 0)
		return -1;
	failpoint("create/prepared");
	return session_check(create->session, err);
}

static int stop_target(struct create *create, struct error **err)
{
	int64_t timeout_s = json_int(json_get(create->target.inspect, "Config"), "StopTimeout");

	if (!create->options->stopped || !create->target.running)
		return 0;
	progress_phase(create->session->progress, "stopping \"%s\"", create->target.name);
	create->stopped_by_us = true;
	watchdog_expect(create->freeze.watchdog,
			STOP_TIME_MS + (timeout_s > 0 ? (uint64_t)timeout_s * 1000 : 0));
	if (container_stop(create->session->engine, create->target.id, -1, err) < 0)
		return error_prefix(err, "cannot stop container \"%s\"", create->target.name);
	watchdog_expect(create->freeze.watchdog, 0);
	failpoint("create/stopped");
	return 0;
}

/*
 * What the snapshot does not have must not be written any more: killed while it is frozen, the
 * target executes nothing from here on. (podman thaws it first; then there is an instant.) The
 * helper lives in its process namespace and dies with it, so it has to be done before.
 */
static int end_target(struct create *create, struct error **err)
{
	if (!create->options->leave_stopped || create->options->stopped || !create->target.running)
		return 0;
	progress_phase(create->session->progress, "writing");
	if (helper_wait(create->helper, WIRE_DONE, &create->done, err) < 0)
		return -1;
	if (freeze_check(&create->freeze, helper_id(create->helper), err) < 0) {
		create->disturbed = create->freeze.disturbed;
		return -1;
	}
	create->stopped_by_us = true;
	/* What the driver had it lock ends with it. */
	create->freeze.release_due = false;
	if (container_kill(create->session->engine, create->target.id, "KILL", err) < 0)
		return error_prefix(err, "cannot kill container \"%s\"", create->target.name);
	failpoint("create/killed");
	return 0;
}

/* /changes as [[path, kind]...] without what is hidden. */
static struct json *find_changes(struct create *create, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *found = container_changes(create->session->engine, create->target.id, err);
	struct json *changes;

	if (!found)
		return NULL;
	changes = json_new_array();
	json_for_each(item, found) {
		struct json *pair = json_add(changes, json_new_array());

		json_add_string(pair, json_string_or(item, "Path", "/"));
		json_add(pair, json_new_int(json_int(item, "Kind")));
	}
	return changes;
}

/* GO, in parts where a message cannot hold all: JSON may need six bytes for one of a path. */
static int send_go(const struct create *create, const struct json *changes, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *go = json_new_object();
	struct json *part = json_set_array(go, "changes");
	size_t size = 0;

	json_set_string(go, "created", create->identity.created);
	json_for_each(change, changes) {
		if (size > GO_PART_MAX) {
			json_set_bool(go, "more", true);
			if (helper_send(create->helper, WIRE_GO, go, err) < 0)
				return -1;
			json_free(STEAL_POINTER(go));
			go = json_new_object();
			part = json_set_array(go, "changes");
			size = 0;
		}
		json_add(part, json_copy(change));
		size += strlen(json_string_or(json_first(change), NULL, "")) + 16;
	}
	return helper_send(create->helper, WIRE_GO, go, err);
}

/* What READY has in further parts: own files of the parent. */
static int receive_own_paths(struct create *create, struct json *ready, struct error **err)
{
	bool more = json_bool(ready, "more");

	while (more) {
		CLEANUP(cleanup_json_free) struct json *part = NULL;

		if (helper_wait(create->helper, WIRE_READY, &part, err) < 0)
			return -1;
		json_for_each(path, json_get(part, "own_paths"))
			json_add(json_get(ready, "own_paths"), json_copy(path));
		more = json_bool(part, "more");
	}
	return 0;
}

static void keep_watch(void *context)
{
	struct create *create = context;

	watchdog_alive(create->freeze.watchdog);
}

static void beat(void *context)
{
	struct create *create = context;

	keep_watch(create);
	if (create->options->member)
		create->options->member->alive(create->options->member->context);
}

int create_await_others(struct create *create, enum create_step step, struct error **err)
{
	const struct create_member *member = create->options->member;

	return member ? member->wait(member->context, step, keep_watch, create, err) : 0;
}

static int freeze(struct create *create, struct error **err)
{
	int result;

	if (create->options->member)
		return create_await_others(create, CREATE_READY, err);
	result = freeze_begin(&create->freeze, helper_id(create->helper), err);
	create->disturbed = result < 0 && create->freeze.disturbed;
	return result;
}

/* From the freeze to the last byte read. */
static int read_frozen(struct create *create, const struct json *ready, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *changes = NULL;

	if (stop_target(create, err) < 0 ||
	    (!create->options->member &&
	     freeze_wait_turn(&create->freeze, helper_id(create->helper), err) < 0))
		return -1;
	progress_phase(create->session->progress,
		       create->freeze.ids.count ? "reading (%zu container%s frozen)" : "reading",
		       create->freeze.ids.count, create->freeze.ids.count == 1 ? "" : "s");
	if (freeze(create, err) < 0)
		return -1;
	failpoint("create/frozen");
	if (!create->load) {
		free(create->identity.created);
		create->identity.created = clock_format(clock_now());
	}
	/* On an overlay file system the agent finds them by itself, and in a tenth of the time. */
	changes = json_bool(ready, "changes") ? find_changes(create, err) : json_new_array();
	if (!changes)
		return -1;
	if (send_go(create, changes, err) < 0)
		return -1;
	if (strcmp(create->own_source, "stream") == 0 &&
	    own_send(create->session, create->helper, &create->target, changes,
		     json_get(ready, "own_paths"), &create->hidden, err) < 0)
		return -1;
	if (helper_wait(create->helper, WIRE_CAPTURED, NULL, err) < 0)
		return -1;
	failpoint("create/captured");
	if (freeze_check(&create->freeze, helper_id(create->helper), err) < 0) {
		create->disturbed = create->freeze.disturbed;
		return -1;
	}
	return 0;
}

/* One that is not frozen by us, or was made to run again meanwhile, has written. */
static int check_target_still(struct create *create, struct error **err)
{
	const char *before =
		json_string_or(json_get(create->target.inspect, "State"), "StartedAt", "");
	CLEANUP(cleanup_json_free)
	struct json *now = container_inspect(create->session->engine, create->target.id, NULL);

	if (!now || strcmp(json_string_or(json_get(now, "State"), "StartedAt", ""), before) == 0)
		return 0;
	create->disturbed = true;
	error_set(err, ERROR_BUSY, "container \"%s\" was started while it was being read",
		  create->target.name);
	return error_hint(err, "nothing was kept; try again");
}

static bool is_known_writer(const struct create *create, const char *id)
{
	return string_list_has(&create->freeze.ids, id) || strcmp(create->target.id, id) == 0;
}

/* Whether somebody who can write began to run and was not frozen. */
static int check_no_new_writer(struct create *create, struct error **err)
{
	struct string_list now = {0}, unfreezable = {0};
	const char *who = NULL;
	int result = 0;

	if (create->freezes_nothing)
		return 0;
	if (check_target_still(create, err) < 0)
		return -1;
	if (writers_find(create->session, &create->target, &create->plan, &now, &unfreezable, NULL,
			 err) < 0)
		result = -1;
	for (size_t i = 0; i < now.count && !who; i++)
		if (!is_known_writer(create, now.items[i]))
			who = now.items[i];
	if (!who && unfreezable.count)
		who = unfreezable.items[0];
	if (result == 0 && who) {
		error_set(err, ERROR_BUSY,
			  "container %s began to write the same data while it was read", who);
		result = error_hint(err, "try again");
		create->disturbed = true;
	}
	string_list_release(&now);
	string_list_release(&unfreezable);
	return result;
}

static int arm(struct create *create, struct error **err)
{
	return freeze_arm(&create->freeze, helper_id(create->helper),
			  create_will_stop(create) ? create->target.id : NULL, err);
}

/*
 * The watchdog takes a while to come up, as the helper does. One that would release or start
 * something when we die comes when that is due: before, it would do what nobody wants.
 */
static int arm_early(struct create *create, struct error **err)
{
	return create->freeze.release || create_will_stop(create) ? 0 : arm(create, err);
}

/* What was prepared and pre-copied is old by now: once more, of what has changed. */
static int read_again(struct create *create, struct error **err)
{
	if (!create->release && run_prepare(create, err) < 0)
		return -1;
	if (!is_precopied(create))
		return 0;
	progress_phase(create->session->progress, "pre-copying");
	if (helper_send(create->helper, WIRE_AGAIN, NULL, err) < 0)
		return -1;
	return helper_wait(create->helper, WIRE_READY, NULL, err);
}

/*
 * The driver's prepare (begun when the helper was made) and the pre-copy. A checkpoint rewrites what it flushes, so it comes
 * first: after the pre-copy, all that would be read again. Only when the pre-copy took long,
 * so that what was prepared is old, there is another, and a pass over what it wrote. A
 * prepare that has a release locks something: it is never held during the pre-copy.
 * Figures: docs/operations.md, "What a create costs".
 */
static int prepare_and_precopy(struct create *create, const struct json *job, struct json **ready,
			       struct error **err)
{
	uint64_t began;

	if (arm_early(create, err) < 0 || helper_open(create->helper, err) < 0)
		return -1;
	if (!create->release && run_prepare(create, err) < 0)
		return -1;
	began = clock_monotonic_ms();
	progress_phase(create->session->progress,
		       is_precopied(create) ? "pre-copying" : "starting to read");
	if (helper_start(create->helper, job, ready, err) < 0 ||
	    receive_own_paths(create, *ready, err) < 0 || send_seeds(create, err) < 0)
		return -1;
	if (create->release || !create_prepare_is_due(create) ||
	    clock_monotonic_ms() - began < PREPARED_TOO_LONG_AGO_MS)
		return 0;
	return read_again(create, err);
}

/* A member that waits for others gets old: what it has is brought up to date before the freeze. */
static int await_freeze(struct create *create, struct error **err)
{
	int again;

	while ((again = create_await_others(create, CREATE_PRECOPIED, err)) > 0)
		if (read_again(create, err) < 0)
			return -1;
	return again;
}

int create_capture(struct create *create, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *job = capture_job(create), *ready = NULL;
	cleanup_error struct error *thaw_problem = NULL;
	int result;

	progress_phase(create->session->progress, "starting the helper");
	create->freeze.release = create_prepare_is_due(create) ? create->release : NULL;
	create->freeze.release_target = create->target.id;
	/* Before a prepare that must be released: that is done as well when we die. */
	if (prepare_and_precopy(create, job, &ready, err) < 0 ||
	    (create->load && create_dump(create, err) < 0) || await_freeze(create, err) < 0 ||
	    arm(create, err) < 0 || freeze_await_watchdog(&create->freeze, err) < 0 ||
	    (create->release && run_prepare(create, err) < 0))
		return -1;
	failpoint("create/precopied");
	create->session->heartbeat = beat;
	create->session->heartbeat_context = create;
	result = read_frozen(create, ready, err);
	if (result == 0)
		result = end_target(create, err);
	if (result == 0)
		result = create_await_others(create, CREATE_CAPTURED, err);
	create->session->heartbeat = NULL;
	if (freeze_end(&create->freeze, &thaw_problem) < 0) {
		error_append(err, STEAL_POINTER(thaw_problem));
		result = -1;
	}
	failpoint("create/thawed");
	if (result < 0 || check_no_new_writer(create, err) < 0)
		return -1;
	if (create->stopped_by_us && !create->options->leave_stopped) {
		if (container_start(create->session->engine, create->target.id, err) < 0)
			return error_prefix(err, "cannot start container \"%s\" again",
					    create->target.name);
		create->stopped_by_us = false;
	}
	watchdog_dismiss(STEAL_POINTER(create->freeze.watchdog));
	if (create->done)
		return 0;
	progress_phase(create->session->progress, "writing");
	return helper_wait(create->helper, WIRE_DONE, &create->done, err);
}

/* The base as it is, or what is left when it cannot be consolidated: all is read anew. */
static void begin_anew(struct create *create, const struct error *problem)
{
	progress_warn(create->session->progress, "%s; starting anew from the image of \"%s\"%s%s",
		      problem->message, create->target.name, problem->hint ? ": " : "",
		      problem->hint ? problem->hint : "");
	free(create->identity.base);
	create->identity.base = memory_strdup(create->subject->image_id);
	json_free(STEAL_POINTER(create->identity.base_trees));
}

/*
 * An image takes only so many layers: a long chain is made a short one before the next is put
 * on it. ${known}: what an earlier attempt has made, else what this one makes.
 */
static int shorten_chain(struct create *create, struct consolidation **known, struct error **err)
{
	const struct session *session = create->session;
	const struct consolidate_options options = {
		.image = create->identity.base,
		.target_id = create->target.id,
		.reserve_bytes = create->options->reserve_bytes,
		.is_base = true,
	};
	cleanup_error struct error *problem = NULL;
	CLEANUP(cleanup_json_free)
	struct json *base = image_inspect(session->engine, create->identity.base, err);

	if (!base)
		return -1;
	if (!consolidate_is_due(session, base))
		return 0;
	if (*known && strcmp(consolidation_source(*known), create->identity.base) != 0)
		consolidation_free(STEAL_POINTER(*known));
	if (!*known)
		*known = snapshot_consolidate(session, &options, &problem);
	if (*known) {
		create->consolidation = *known;
		free(create->identity.base);
		create->identity.base = memory_strdup(consolidation_image(*known));
		return 0;
	}
	/* The snapshot is damaged, or what it stands on is gone: its target has all that is needed. */
	if ((problem->kind == ERROR_DAMAGED || problem->kind == ERROR_NOT_FOUND) &&
	    json_count(json_path(create->image, "RootFS", "Layers")) < CONSOLIDATE_LAYERS_MOST) {
		begin_anew(create, problem);
		return 0;
	}
	error_append(err, STEAL_POINTER(problem));
	return -1;
}

/* A service that ends again and again can do so at any step: what failed then is not the reason. */
static void explain_restart(const struct create *create, struct error *problem)
{
	CLEANUP(cleanup_json_free) struct json *now = NULL;
	const struct json *state, *before = json_get(create->target.inspect, "State");

	if (problem->kind != ERROR_FAILED || !create->target.running || create->stopped_by_us)
		return;
	now = container_inspect(create->session->engine, create->target.id, NULL);
	state = json_get(now, "State");
	if (!now || (!json_bool(state, "Restarting") &&
		     strcmp(json_string_or(state, "StartedAt", ""),
			    json_string_or(before, "StartedAt", "")) == 0))
		return;
	problem->kind = ERROR_REFUSED;
	error_prefix(&problem, "container \"%s\" ended and was restarted meanwhile",
		     create->target.name);
	error_hint(&problem,
		   "if it keeps ending, add --stopped, which stops it for the copy, or stop it "
		   "first: docker stop %s",
		   create->target.name);
}

static int create_once(struct session *session, const struct create_options *options,
		       struct consolidation **consolidation, bool *again, struct json **result,
		       struct error **err)
{
	struct create create;
	int outcome = -1;

	create_init(&create, session, options);
	if (create_prepare(&create, true, err) == 0 &&
	    shorten_chain(&create, consolidation, err) == 0 &&
	    create_helper(&create, "create", err) == 0 && create_capture(&create, err) == 0)
		outcome = create_commit(&create, result, err);
	if (outcome == 0 && options->leave_stopped)
		create.stopped_by_us = false;
	*again = create.disturbed;
	if (outcome < 0 && err && *err)
		explain_restart(&create, *err);
	create_release(&create);
	return outcome;
}

int snapshot_create(struct session *session, const struct create_options *options,
		    struct json **result, struct error **err)
{
	/* Freed last: what is built on it must be there, or be gone. */
	CLEANUP(cleanup_consolidation_free) struct consolidation *consolidation = NULL;

	for (int attempt = options->member ? ATTEMPTS : 1;; attempt++) {
		cleanup_error struct error *problem = NULL;
		bool again = false;

		if (create_once(session, options, &consolidation, &again, result, &problem) == 0)
			return 0;
		/* Thawed by somebody, or a new writer: what was read is not of one instant. */
		if (again && attempt < ATTEMPTS && session_check(session, NULL) == 0) {
			progress_warn(session->progress, "%s; starting again", problem->message);
			continue;
		}
		if (again && options->member)
			options->member->disturbed(options->member->context);
		error_append(err, STEAL_POINTER(problem));
		/* Of one that is a step of something else nobody wants to hear, nor of the id. */
		if (options->made)
			return -1;
		return error_prefix(err, "no snapshot of \"%s\" was made", options->target);
	}
}
