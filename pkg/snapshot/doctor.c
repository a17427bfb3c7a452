/*
 * sidesnap doctor: repairs what a killed run left, from the labels of its helpers.
 * What is not in such a label was not done by us and is left alone: above all a
 * container that a person paused.
 */
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/text.h"
#include "driver/driver.h"
#include "snapshot/doctor.h"
#include "snapshot/doctor_owner.h"
#include "snapshot/helper_lock.h"
#include "snapshot/labels.h"
#include "snapshot/replace_undo.h"
#include "snapshot/snapshot.h"

/* A helper whose owner was killed a moment ago needs some time to notice. */
#define SETTLE_MS 2000
#define SETTLE_STEP_MS 100
#define SLOW_STEP_NS 999000000L

/* And one that was not started yet counts as alive for a minute (helper_is_alive). */
#define STARTING_MS 62000

/* Where its owner cannot be looked at, a journal of this age is taken for abandoned. */
#define ABANDONED_SECONDS 600

/* The repairs must not be cut short: each is small, or leaves its label until it is done. */
static const volatile int never_cancelled;

struct doctor {
	struct session session; /* not cancellable */
	bool dry_run;
	struct json *helpers; /* inspects */
	struct json *actions, *problems;
};

static const char *label(const struct json *helper, const char *name)
{
	return json_string_or(json_path(helper, "Config", "Labels"), name, "");
}

static const char *name_of(const struct json *inspect)
{
	const char *name = json_string_or(inspect, "Name", "");

	return name + (*name == '/');
}

static void act(struct doctor *doctor, const char *what, const char *container, const char *detail)
{
	struct json *action = json_add_object(doctor->actions);

	json_set_string(action, "what", what);
	json_set_string(action, "container", container);
	json_set_string(action, "detail", detail);
}

static void problem_with(struct doctor *doctor, const char *text, struct error *problem)
{
	cleanup_free char *line =
		memory_printf("%s%s%s", text, problem ? ": " : "", problem ? problem->message : "");

	json_add_string(doctor->problems, line);
	error_free(problem);
}

static bool is_running(const struct json *inspect)
{
	return json_bool(json_get(inspect, "State"), "Running");
}

/* ---- creates ---- */

/* A live create has frozen it as well: that one thaws it. */
static bool is_frozen_by_another(const struct doctor *doctor, const struct json *helper,
				 const char *id)
{
	json_for_each(other, doctor->helpers) {
		if (other != helper && helper_is_alive(&doctor->session, other) &&
		    strstr(label(other, LABEL_FREEZES), id))
			return true;
	}
	return false;
}

static void thaw(struct doctor *doctor, const struct json *helper, const char *id)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = container_inspect(doctor->session.engine, id, NULL);
	struct error *problem = NULL;

	if (!inspect || !json_bool(json_get(inspect, "State"), "Paused") ||
	    is_frozen_by_another(doctor, helper, id))
		return;
	if (doctor->dry_run || container_unpause(doctor->session.engine, id, NULL, &problem) == 0)
		act(doctor, "thawed", name_of(inspect), "frozen by a create that was killed");
	else
		problem_with(doctor, "cannot thaw a container that a killed create had frozen",
			     problem);
}

/* Run again even if the watchdog did already: once too often does no harm, not at all does. */
static void run_release(struct doctor *doctor, const struct json *helper)
{
	const char *text = label(helper, LABEL_RELEASE), *id = label(helper, LABEL_TARGET);
	size_t size = 0;
	cleanup_free uint8_t *bytes = *text ? text_unbase64(text, &size) : NULL;
	CLEANUP(cleanup_json_free) struct json *release = NULL, *inspect = NULL;
	struct error *problem = NULL;

	release = bytes ? json_parse((const char *)bytes, size, NULL) : NULL;
	inspect = *id ? container_inspect(doctor->session.engine, id, NULL) : NULL;
	if (!release || !inspect || !is_running(inspect))
		return;
	if (doctor->dry_run ||
	    driver_run_release(doctor->session.engine, id, release, &problem) == 0)
		act(doctor, "released", name_of(inspect),
		    "the database was prepared for a create that was killed");
	else
		problem_with(doctor, "a database stays as it was prepared for a snapshot", problem);
}

static void start_again(struct doctor *doctor, const char *id)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = *id ? container_inspect(doctor->session.engine, id, NULL) : NULL;
	struct error *problem = NULL;

	if (!inspect || is_running(inspect))
		return;
	if (doctor->dry_run || container_start(doctor->session.engine, id, &problem) == 0)
		act(doctor, "started", name_of(inspect), "stopped by a create that was killed");
	else
		problem_with(doctor, "cannot start a container that a killed create had stopped",
			     problem);
}

static void remove_helper(struct doctor *doctor, const struct json *helper)
{
	struct error *problem = NULL;

	if (doctor->dry_run || container_remove(doctor->session.engine, json_string(helper, "Id"),
						true, true, &problem) == 0)
		act(doctor, "removed", name_of(helper), "helper of a run that was killed");
	else
		problem_with(doctor, "cannot remove an orphaned helper", problem);
}

static void repair_create(struct doctor *doctor, const struct json *helper)
{
	struct string_list frozen;
	size_t problems = json_count(doctor->problems);

	string_list_init(&frozen);
	string_list_split(&frozen, label(helper, LABEL_FREEZES), ',');
	for (size_t i = 0; i < frozen.count; i++)
		thaw(doctor, helper, frozen.items[i]);
	string_list_release(&frozen);
	run_release(doctor, helper);
	start_again(doctor, label(helper, LABEL_STARTS));
	/* Its labels are needed as long as something is left to do. */
	if (json_count(doctor->problems) == problems)
		remove_helper(doctor, helper);
}

int doctor_repair_create(const struct session *session, const struct json *helper,
			 struct error **err)
{
	struct doctor doctor = {.session = *session};
	CLEANUP(cleanup_json_free) struct json *helpers = helper_list(session, err);
	CLEANUP(cleanup_json_free) struct json *actions = json_new_array();
	CLEANUP(cleanup_json_free) struct json *problems = json_new_array();

	if (!helpers)
		return -1;
	doctor.session.cancelled = &never_cancelled;
	doctor.helpers = helpers;
	doctor.actions = actions;
	doctor.problems = problems;
	repair_create(&doctor, helper);
	if (!json_count(problems))
		return 0;
	return error_set(err, ERROR_FAILED, "%s", json_string_or(json_first(problems), NULL, ""));
}

/* ---- replaces ---- */

static bool is_old(const struct doctor *doctor, const struct json *helper)
{
	CLEANUP(cleanup_json_free) struct json *info = engine_info(doctor->session.engine, NULL);
	struct timespec created, now;

	if (!clock_parse(json_string_or(info, "SystemTime", ""), &now))
		now = clock_now();
	return clock_parse(json_string_or(helper, "Created", ""), &created) &&
	       now.tv_sec - created.tv_sec > ABANDONED_SECONDS;
}

/* Whether a replace is over without having ended. */
static bool is_abandoned(struct doctor *doctor, const struct json *helper, const struct json *undo)
{
	const char *name = json_string(undo_target(undo), "name");
	cleanup_free char *text = NULL;

	switch (owner_state(&doctor->session, label(helper, LABEL_OWNER))) {
	case OWNER_ALIVE:
		return false;
	case OWNER_DEAD:
		return true;
	case OWNER_UNKNOWN:
	default:
		break;
	}
	if (is_running(helper))
		return false;
	if (is_old(doctor, helper))
		return true;
	text = memory_printf(
		"a replace of \"%s\" is at work or was killed within the last %d "
		"minutes, and its process cannot be seen from here: run doctor where it "
		"ran, or later",
		name, ABANDONED_SECONDS / 60);
	json_add_string(doctor->problems, text);
	return false;
}

static void repair_replace(struct doctor *doctor, const struct json *helper)
{
	struct error *problem = NULL;
	CLEANUP(cleanup_json_free)
	struct json *undo = undo_decode(label(helper, LABEL_UNDO), &problem);
	enum undo_outcome outcome = UNDO_ROLLED_BACK;
	cleanup_free char *detail = NULL;
	const char *name;

	if (!undo) {
		problem_with(doctor, name_of(helper), problem);
		return;
	}
	if (!is_abandoned(doctor, helper, undo))
		return;
	name = json_string(undo_target(undo), "name");
	if (!doctor->dry_run && undo_run(&doctor->session, undo, helper, &outcome, &problem) < 0) {
		cleanup_free char *what = memory_printf(
			"the interrupted replace of \"%s\" is not repaired yet (its old container is "
			"%.12s, the state of its volumes is in %s)",
			name, json_string(undo_target(undo), "id"), json_string(undo, "safety"));

		problem_with(doctor, what, problem);
		return;
	}
	detail = memory_printf("a replace by %s was killed; the state before it is also in %s",
			       json_string(undo, "snapshot"), json_string(undo, "safety"));
	act(doctor, outcome == UNDO_FINISHED ? "finished" : "rolled back", name, detail);
}

/* ---- all ---- */

/*
 * How long to look again for a helper whose owner cannot be seen from here. One that runs
 * ends by itself soon after its owner's death; of one that was never started only its age
 * tells, and waiting is the only way to be sure.
 */
static int patience(const struct doctor *doctor, const struct json *helper)
{
	if (owner_state(&doctor->session, label(helper, LABEL_OWNER)) != OWNER_UNKNOWN)
		return 0;
	if (is_running(helper))
		return SETTLE_MS;
	if (*label(helper, LABEL_UNDO) || doctor->dry_run ||
	    !helper_is_alive(&doctor->session, helper))
		return 0;
	return STARTING_MS;
}

/* The helpers that there are, once those whose owner died just now count as dead. */
static int find_helpers(struct doctor *doctor, struct error **err)
{
	uint64_t start = clock_monotonic_ms();
	struct timespec pause = {0, SETTLE_STEP_MS * 1000000L};

	for (;;) {
		uint64_t waited = clock_monotonic_ms() - start;
		bool wait = false;

		json_free(doctor->helpers);
		doctor->helpers = helper_list(&doctor->session, err);
		if (!doctor->helpers)
			return -1;
		json_for_each(helper, doctor->helpers)
			wait = wait || waited < (uint64_t)patience(doctor, helper);
		if (!wait)
			return 0;
		if (waited > SETTLE_MS && pause.tv_nsec < SLOW_STEP_NS) {
			progress_phase(doctor->session.progress,
				       "waiting: a helper was created less than a minute ago");
			pause.tv_nsec = SLOW_STEP_NS;
		}
		nanosleep(&pause, NULL);
	}
}

/* Names that only a replace gives, and no journal that knows them. */
static void report_leftovers(struct doctor *doctor)
{
	CLEANUP(cleanup_json_free)
	struct json *list = container_list(doctor->session.engine, true, NULL, NULL);

	json_for_each(item, list) {
		const char *name = json_string_or(json_first(json_get(item, "Names")), NULL, "");
		cleanup_free char *text = NULL;
		bool known = false;

		name += *name == '/';
		if (!text_has_suffix(name, SUFFIX_OLD) && !text_has_suffix(name, SUFFIX_NEW))
			continue;
		json_for_each(helper, doctor->helpers)
			known = known || *label(helper, LABEL_UNDO);
		if (known)
			continue;
		text = memory_printf(
			"container \"%s\" was left by a replace whose journal is gone; "
			"look at it, then rename or remove it",
			name);
		json_add_string(doctor->problems, text);
	}
}

int snapshot_doctor(struct session *session, bool dry_run, struct json **result, struct error **err)
{
	struct doctor doctor = {.session = *session, .dry_run = dry_run};
	int outcome = -1;

	doctor.session.cancelled = &never_cancelled;
	doctor.actions = json_new_array();
	doctor.problems = json_new_array();
	engine_set_cancel(session->engine, &never_cancelled);
	if (find_helpers(&doctor, err) < 0)
		goto out;
	/* First what somebody may be waiting for: frozen containers. */
	json_for_each(helper, doctor.helpers)
		if (!*label(helper, LABEL_UNDO) && !helper_is_alive(&doctor.session, helper))
			repair_create(&doctor, helper);
	json_for_each(helper, doctor.helpers)
		if (*label(helper, LABEL_UNDO))
			repair_replace(&doctor, helper);
	report_leftovers(&doctor);
	*result = json_new_object();
	json_set(*result, "actions", STEAL_POINTER(doctor.actions));
	json_set(*result, "problems", STEAL_POINTER(doctor.problems));
	json_set_bool(*result, "dry_run", dry_run);
	outcome = 0;
out:
	engine_set_cancel(session->engine, session->cancelled);
	json_free(doctor.helpers);
	json_free(doctor.actions);
	json_free(doctor.problems);
	return outcome;
}
