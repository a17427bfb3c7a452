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
#include "remote/client_config.h"
#include "snapshot/consolidate.h"
#include "snapshot/doctor.h"
#include "snapshot/doctor_owner.h"
#include "snapshot/heartbeat.h"
#include "snapshot/helper_lock.h"
#include "snapshot/labels.h"
#include "snapshot/journal.h"
#include "snapshot/origin.h"
#include "snapshot/snapshot.h"

/* A helper whose owner was killed a moment ago needs some time to notice. */
#define SETTLE_MS 2000
#define SETTLE_STEP_MS 100
#define SLOW_STEP_NS 999000000L

/* And one that was not started yet counts as alive for a minute (helper_is_alive). */
#define STARTING_MS 62000

/* The repairs must not be cut short: each is small, or leaves its label until it is done. */
static const volatile int never_cancelled;

struct doctor {
	struct session session; /* not cancellable */
	bool dry_run;
	struct json *helpers; /* inspects */
	struct json *actions, *problems, *notes;
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
	struct json *listed = container_listed(doctor->session.engine, id, NULL);
	const char *name = json_string_or(json_first(json_get(listed, "Names")), NULL, "");
	struct error *problem = NULL;

	if (!listed || strcmp(json_string_or(listed, "State", ""), "paused") != 0 ||
	    is_frozen_by_another(doctor, helper, id))
		return;
	if (doctor->dry_run || container_unpause(doctor->session.engine, id, NULL, &problem) == 0)
		act(doctor, "thawed", name + (*name == '/'), "frozen by a create that was killed");
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

/*
 * It was committed, but its creator died before it gave it a name: nobody knows of it. One with a
 * name is a whole snapshot, whoever gave it that.
 */
static void remove_nameless(struct doctor *doctor, const struct json *helper)
{
	CLEANUP(cleanup_json_free) struct json *filters = json_new_object(), *images = NULL;
	cleanup_free char *made = memory_printf(LABEL_ID "=%s", label(helper, LABEL_MAKES));
	struct engine *engine = doctor->session.engine;
	struct error *problem = NULL;

	if (!*label(helper, LABEL_MAKES))
		return;
	json_add_string(json_set_array(filters, "label"), made);
	json_add_string(json_get(filters, "label"), LABEL_ROLE "=snapshot");
	images = image_list(engine, filters, &problem);
	json_for_each(image, images) {
		const char *id = json_string_or(image, "Id", "");
		const char *tag = json_string(json_first(json_get(image, "RepoTags")), NULL);

		if (tag && !strstr(tag, "<none>"))
			continue;
		if (doctor->dry_run || image_remove(engine, id, false, false, NULL, &problem) == 0)
			act(doctor, "removed", id, "image of a create that was killed");
		if (problem)
			break;
	}
	if (problem)
		problem_with(doctor, "cannot remove the image of a create that was killed",
			     problem);
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
	remove_nameless(doctor, helper);
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

/* ---- resets and replaces ---- */

/* Whether a replace is over without having ended. */
static bool is_abandoned(struct doctor *doctor, const struct json *helper,
			 const struct json *journal)
{
	cleanup_free char *text = NULL;

	switch (heartbeat_owner(&doctor->session, helper)) {
	case OWNER_ALIVE:
		return false;
	case OWNER_DEAD:
		return true;
	case OWNER_UNKNOWN:
	default:
		break;
	}
	text = memory_printf("a %s of \"%s\" is at work or was killed, and neither its process nor "
			     "the files of its helper can be seen from here: run doctor where it "
			     "ran",
			     json_string(journal, "operation"),
			     json_string(journal_target(journal), "name"));
	json_add_string(doctor->problems, text);
	return false;
}

static void repair_restore(struct doctor *doctor, const struct json *helper)
{
	struct error *problem = NULL;
	CLEANUP(cleanup_json_free)
	struct json *journal = journal_decode(label(helper, LABEL_JOURNAL), &problem);
	enum journal_outcome outcome = JOURNAL_ROLLED_BACK;
	const char *name, *safety, *operation;
	cleanup_free char *detail = NULL;

	if (!journal) {
		problem_with(doctor, name_of(helper), problem);
		return;
	}
	if (!is_abandoned(doctor, helper, journal))
		return;
	name = json_string(journal_target(journal), "name");
	operation = json_string(journal, "operation");
	safety = text_or(json_string(journal, "safety"), json_string(journal, "snapshot"));
	if (!doctor->dry_run &&
	    journal_take_over(&doctor->session, journal, helper, &outcome, &problem) < 0) {
		cleanup_free char *what = memory_printf(
			"the interrupted %s of \"%s\" is not repaired yet (its container is "
			"%.12s, what its volumes are to hold is in %s)",
			operation, name, json_string(journal_target(journal), "id"), safety);

		problem_with(doctor, what, problem);
		return;
	}
	detail =
		memory_printf("a %s by %s was killed", operation, json_string(journal, "snapshot"));
	act(doctor, outcome == JOURNAL_FINISHED ? "finished" : "rolled back", name, detail);
}

/* ---- consolidations ---- */

static void cleaned(void *context, const char *what, const char *name)
{
	act(context, what, name, "left by a consolidation that was killed");
}

/* Helpers, and images that nothing is built on. */
static void clean_consolidations(struct doctor *doctor)
{
	struct error *problem = NULL;

	if (consolidate_clean(&doctor->session, doctor->dry_run, cleaned, doctor, &problem) < 0)
		problem_with(doctor, "cannot remove what a killed consolidation has left", problem);
}

/* ---- what others might do ---- */

#define PRUNE_FILTER "label!=" LABEL_ROLE "=snapshot"

static bool protects(const struct json *config)
{
	json_for_each(filter, json_get(config, "pruneFilters")) {
		const char *text = json_string_or(filter, NULL, "");

		if (!strcmp(text, PRUNE_FILTER) || !strcmp(text, "label!=" LABEL_ROLE))
			return true;
	}
	return false;
}

/* In a container it would not be the configuration of who prunes. */
static void note_pruning(struct doctor *doctor)
{
	cleanup_free char *own = session_own_container(&doctor->session);
	cleanup_free char *path = own ? NULL : client_config_path();
	CLEANUP(cleanup_json_free)
	struct json *images = path ? origin_images(&doctor->session, NULL) : NULL;
	CLEANUP(cleanup_json_free) struct json *config = NULL;
	cleanup_error struct error *unreadable = NULL;
	cleanup_free char *text = NULL;

	if (!json_count(images))
		return;
	config = client_config_read(path, &unreadable);
	if (unreadable || protects(config))
		return;
	text = memory_printf("\"docker system prune -a\" would remove snapshots; to protect them, "
			     "add \"pruneFilters\": [\"" PRUNE_FILTER "\"] to %s",
			     path);
	json_add_string(doctor->notes, text);
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
	if (*label(helper, LABEL_JOURNAL) || doctor->dry_run ||
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

/* Names that only a reset or replace gives, and no journal that knows them. */
static void report_leftovers(struct doctor *doctor)
{
	CLEANUP(cleanup_json_free)
	struct json *list = container_list(doctor->session.engine, true, NULL, NULL);

	json_for_each(item, list) {
		const char *name = json_string_or(json_first(json_get(item, "Names")), NULL, "");
		cleanup_free char *text = NULL;
		bool known = false;

		name += *name == '/';
		if (!text_has_suffix(name, SUFFIX_OLD) && !text_has_suffix(name, SUFFIX_NEW) &&
		    !text_has_suffix(name, SUFFIX_RESTORING))
			continue;
		json_for_each(helper, doctor->helpers)
			known = known || *label(helper, LABEL_JOURNAL);
		if (known)
			continue;
		text = memory_printf(
			"container \"%s\" was left by a reset or replace whose journal is gone; "
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
	doctor.notes = json_new_array();
	engine_set_cancel(session->engine, &never_cancelled);
	if (find_helpers(&doctor, err) < 0)
		goto out;
	/* First what somebody may be waiting for: frozen containers. */
	json_for_each(helper, doctor.helpers)
		if (!*label(helper, LABEL_JOURNAL) && !consolidate_owns(helper) &&
		    !helper_is_alive(&doctor.session, helper))
			repair_create(&doctor, helper);
	clean_consolidations(&doctor);
	json_for_each(helper, doctor.helpers)
		if (*label(helper, LABEL_JOURNAL))
			repair_restore(&doctor, helper);
	report_leftovers(&doctor);
	note_pruning(&doctor);
	*result = json_new_object();
	json_set(*result, "actions", STEAL_POINTER(doctor.actions));
	json_set(*result, "problems", STEAL_POINTER(doctor.problems));
	json_set(*result, "notes", STEAL_POINTER(doctor.notes));
	json_set_bool(*result, "dry_run", dry_run);
	outcome = 0;
out:
	engine_set_cancel(session->engine, session->cancelled);
	json_free(doctor.helpers);
	json_free(doctor.actions);
	json_free(doctor.problems);
	json_free(doctor.notes);
	return outcome;
}
