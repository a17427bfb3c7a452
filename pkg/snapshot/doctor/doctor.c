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
#include "snapshot/create/consolidate.h"
#include "snapshot/create/create_repair.h"
#include "snapshot/helper/heartbeat.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/helper/owner.h"
#include "snapshot/labels.h"
#include "snapshot/origin.h"
#include "snapshot/restore/journal.h"
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
	struct repair repair;
	struct json *notes;
};

static const char *label(const struct json *helper, const char *name)
{
	return json_string_or(json_path(helper, "Config", "Labels"), name, "");
}

static bool is_running(const struct json *inspect)
{
	return json_bool(json_get(inspect, "State"), "Running");
}

/* ---- resets and replaces ---- */

/* Whether a replace is over without having ended. */
static bool is_abandoned(struct doctor *doctor, const struct json *helper,
			 const struct json *journal)
{
	cleanup_free char *text = NULL;

	switch (heartbeat_owner(&doctor->repair.session, helper)) {
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
	json_add_string(doctor->repair.problems, text);
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
		repair_problem(&doctor->repair, repair_name(helper), problem);
		return;
	}
	if (!is_abandoned(doctor, helper, journal))
		return;
	name = json_string(journal_target(journal), "name");
	operation = json_string(journal, "operation");
	safety = text_or(json_string(journal, "safety"), json_string(journal, "snapshot"));
	if (!doctor->repair.dry_run &&
	    journal_take_over(&doctor->repair.session, journal, helper, &outcome, &problem) < 0) {
		cleanup_free char *what = memory_printf(
			"the interrupted %s of \"%s\" is not repaired yet (its container is "
			"%.12s, what its volumes are to hold is in %s)",
			operation, name, json_string(journal_target(journal), "id"), safety);

		repair_problem(&doctor->repair, what, problem);
		return;
	}
	detail =
		memory_printf("a %s by %s was killed", operation, json_string(journal, "snapshot"));
	repair_act(&doctor->repair, outcome == JOURNAL_FINISHED ? "finished" : "rolled back", name,
		   detail);
}

/* ---- consolidations, and images without a name ---- */

static void cleaned(void *context, const char *what, const char *name)
{
	repair_act(context, what, name, "left by a run that was killed");
}

/* Helpers, and images that nothing is built on. */
static void clean_consolidations(struct doctor *doctor)
{
	struct error *problem = NULL;

	if (consolidate_clean(&doctor->repair.session, doctor->repair.dry_run, cleaned,
			      &doctor->repair, &problem) < 0)
		repair_problem(&doctor->repair, "cannot remove what a killed run has left",
			       problem);
}

/* ---- what others might do ---- */

#define PRUNE_FILTER "label!=" LABEL_ROLE

static bool protects(const struct json *config)
{
	json_for_each(filter, json_get(config, "pruneFilters")) {
		const char *text = json_string_or(filter, NULL, "");

		/* Not "...=snapshot": the images of sets would go. */
		if (!strcmp(text, PRUNE_FILTER))
			return true;
	}
	return false;
}

/* In a container it would not be the configuration of who prunes. */
static void note_pruning(struct doctor *doctor)
{
	cleanup_free char *own = session_own_container(&doctor->repair.session);
	cleanup_free char *path = own ? NULL : client_config_path();
	CLEANUP(cleanup_json_free)
	struct json *images = path ? origin_images(&doctor->repair.session, NULL) : NULL;
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
	if (owner_state(&doctor->repair.session, label(helper, LABEL_OWNER)) != OWNER_UNKNOWN)
		return 0;
	if (is_running(helper))
		return SETTLE_MS;
	if (*label(helper, LABEL_JOURNAL) || doctor->repair.dry_run ||
	    !helper_is_alive(&doctor->repair.session, helper))
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

		json_free(doctor->repair.helpers);
		doctor->repair.helpers = helper_list(&doctor->repair.session, err);
		if (!doctor->repair.helpers)
			return -1;
		json_for_each(helper, doctor->repair.helpers)
			wait = wait || waited < (uint64_t)patience(doctor, helper);
		if (!wait)
			return 0;
		if (waited > SETTLE_MS && pause.tv_nsec < SLOW_STEP_NS) {
			progress_phase(doctor->repair.session.progress,
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
	struct json *list = container_list(doctor->repair.session.engine, true, NULL, NULL);

	json_for_each(item, list) {
		const char *name = json_string_or(json_first(json_get(item, "Names")), NULL, "");
		cleanup_free char *text = NULL;
		bool known = false;

		name += *name == '/';
		if (!text_has_suffix(name, SUFFIX_OLD) && !text_has_suffix(name, SUFFIX_NEW) &&
		    !text_has_suffix(name, SUFFIX_RESTORING))
			continue;
		json_for_each(helper, doctor->repair.helpers)
			known = known || *label(helper, LABEL_JOURNAL);
		if (known)
			continue;
		text = memory_printf(
			"container \"%s\" was left by a reset or replace whose journal is gone; "
			"look at it, then rename or remove it",
			name);
		json_add_string(doctor->repair.problems, text);
	}
}

int snapshot_doctor(struct session *session, bool dry_run, struct json **result, struct error **err)
{
	struct doctor doctor = {.repair = {.session = *session, .dry_run = dry_run}};
	int outcome = -1;

	doctor.repair.session.cancelled = &never_cancelled;
	doctor.repair.actions = json_new_array();
	doctor.repair.problems = json_new_array();
	doctor.notes = json_new_array();
	engine_set_cancel(session->engine, &never_cancelled);
	if (find_helpers(&doctor, err) < 0)
		goto out;
	/* First what somebody may be waiting for: frozen containers. */
	json_for_each(helper, doctor.repair.helpers)
		if (!*label(helper, LABEL_JOURNAL) && !consolidate_owns(helper) &&
		    !helper_is_alive(&doctor.repair.session, helper))
			repair_create(&doctor.repair, helper);
	repair_scratch(&doctor.repair);
	clean_consolidations(&doctor);
	json_for_each(helper, doctor.repair.helpers)
		if (*label(helper, LABEL_JOURNAL))
			repair_restore(&doctor, helper);
	report_leftovers(&doctor);
	note_pruning(&doctor);
	*result = json_new_object();
	json_set(*result, "actions", STEAL_POINTER(doctor.repair.actions));
	json_set(*result, "problems", STEAL_POINTER(doctor.repair.problems));
	json_set(*result, "notes", STEAL_POINTER(doctor.notes));
	json_set_bool(*result, "dry_run", dry_run);
	outcome = 0;
out:
	engine_set_cancel(session->engine, session->cancelled);
	json_free(doctor.repair.helpers);
	json_free(doctor.repair.actions);
	json_free(doctor.repair.problems);
	json_free(doctor.notes);
	return outcome;
}
