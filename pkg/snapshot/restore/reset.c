/*
 * sidesnap reset: the same container, with its volumes in the state of a snapshot.
 * Made for test loops: whatever can be done before the target stops is done before, and
 * what nobody waits for comes after its start.
 */
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "snapshot/helper/state.h"
#include "snapshot/labels.h"
#include "snapshot/origin.h"
#include "snapshot/restore/journal.h"
#include "snapshot/restore/restoration.h"

/* ---- which snapshot ---- */

static int nothing_known(const struct target *target, struct error **err)
{
	error_set(err, ERROR_NOT_FOUND,
		  "no snapshot is known that the data of \"%s\" came from, or that was made of it",
		  target->name);
	return error_hint(err, "name one: sidesnap reset %s REF; \"sidesnap ls\" lists them",
			  target->name);
}

/* Read by a helper of its own: there is no snapshot yet to make the other one from. */
static struct json *probe_record(const struct restoration *reset)
{
	CLEANUP(cleanup_json_free) struct json *mount = state_mount_existing(reset->session);
	CLEANUP(cleanup_json_free) struct json *mounts = json_new_array();
	struct helper_specification specification = {.image = reset->target.image_id,
						     .purpose = "restore",
						     .target_id = reset->target.id,
						     .mounts = mounts,
						     .empty = true};
	struct helper *helper;
	struct json *record = NULL;

	if (!mount)
		return NULL;
	json_add(mounts, STEAL_POINTER(mount));
	helper = helper_create(reset->session, &specification, NULL);
	if (helper)
		record = state_record(reset->session, helper_id(helper), reset->target.id);
	helper_free(helper);
	return record;
}

/*
 * Where the data came from last. The record of that is in a volume, so a helper must be asked; the
 * one for the likeliest snapshot is made at once, and nearly always that is the one.
 */
static int choose_default(struct restoration *reset, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *images = origin_images(reset->session, err), *record = NULL;
	const struct json *first, *found;

	if (!images)
		return -1;
	first = origin_find(images, &reset->target, NULL, false);
	if (first) {
		if (restoration_choose(reset, origin_reference(first), err) < 0 ||
		    restoration_make_helper(reset, err) < 0)
			return -1;
		record = state_record(reset->session, helper_id(reset->helper), reset->target.id);
	} else {
		record = probe_record(reset);
	}
	found = origin_find(images, &reset->target, record, false);
	if (!found)
		return nothing_known(&reset->target, err);
	if (found != first) {
		restoration_forget_choice(reset);
		if (restoration_choose(reset, origin_reference(found), err) < 0 ||
		    restoration_make_helper(reset, err) < 0)
			return -1;
	}
	progress_note(reset->session->progress, "resetting to %s", reset->reference);
	return restoration_ask(reset, err);
}

static int choose(struct restoration *reset, struct error **err)
{
	if (!reset->options->reference)
		return choose_default(reset, err);
	if (restoration_choose(reset, reset->options->reference, err) < 0 ||
	    restoration_ask(reset, err) < 0)
		return -1;
	return restoration_make_helper(reset, err);
}

/* ---- the course ---- */

/* The volumes are whole: the target has its name and policy again, and runs. */
static int put_back(struct restoration *reset, struct error **err)
{
	const struct json *container = journal_target(reset->journal);
	bool starts = restoration_starts(reset, container);

	if (starts)
		progress_phase(reset->session->progress, "starting %s", reset->target.name);
	if (journal_put_back(reset->session, container, false, err) < 0 ||
	    failpoint_error("reset/named", err) < 0)
		return -1;
	reset->was_started = true;
	if (starts && container_start(reset->session->engine, reset->target.id, err) < 0)
		return error_prefix(err, "cannot start \"%s\"", reset->target.name);
	return failpoint_error("reset/started", err);
}

static int finish(struct restoration *reset, struct error **err)
{
	if (put_back(reset, err) < 0)
		return -1;
	if (restoration_start_users(reset, err) < 0)
		return -1;
	/*
	 * There is no other state to be had, and nobody is stopped any more: the journal may go,
	 * while the service comes up.
	 */
	if (!reset->safety)
		helper_free(STEAL_POINTER(reset->helper));
	if (restoration_wait_ready(reset, reset->target.id, err) < 0)
		return -1;
	return session_check(reset->session, err);
}

/* The container does not come up with the snapshot's data, or a person has changed their mind. */
static int take_back(struct restoration *reset, struct error **err)
{
	struct session *session = reset->session;
	const struct json *container = journal_target(reset->journal);
	cleanup_error struct error *problem = NULL;

	if (!reset->safety) {
		/* What was stopped must not stay so for it; a start that failed is not tried again. */
		if (!reset->was_started)
			journal_put_back(session, container, restoration_starts(reset, container),
					 &problem);
		restoration_start_users(reset, &problem);
		return error_prefix(err,
				    "the data of \"%s\" is that of %s now, and there is no safety "
				    "snapshot to go back to",
				    reset->target.name, reset->reference);
	}
	engine_set_cancel(session->engine, NULL);
	/* First it is set aside again: from there the way back is known to all. */
	json_for_each(item, json_get(reset->journal, "containers"))
		journal_set_restart(session, json_string(item, "id"), NULL, NULL);
	if (restoration_set_aside(reset, &problem) == 0) {
		engine_set_cancel(session->engine, session->cancelled);
		return restoration_fail(reset, err);
	}
	put_back(reset, NULL);
	restoration_start_users(reset, NULL);
	engine_set_cancel(session->engine, session->cancelled);
	error_append(err, STEAL_POINTER(problem));
	error_prefix(err, "\"%s\" has the data of %s, and cannot be taken back", reset->target.name,
		     reset->reference);
	return error_hint(err, "look at it, then: sidesnap undo %s", reset->target.name);
}

int restoration_reset(struct session *session, const struct restore_options *options,
		      const char *verb, struct json **result, struct error **err)
{
	struct restoration reset;
	int outcome = -1;

	restoration_init(&reset, session, options, "reset", verb);
	if (restoration_find_target(&reset, err) < 0 || choose(&reset, err) < 0 ||
	    restoration_halt(&reset, err) < 0 || restoration_restore(&reset, err) < 0) {
		restoration_fail(&reset, err);
		goto out;
	}
	if (finish(&reset, err) < 0) {
		take_back(&reset, err);
		goto out;
	}
	helper_free(STEAL_POINTER(reset.helper));
	restoration_prune(&reset);
	outcome = restoration_finish(&reset, reset.target.id, err);
	if (outcome == 0)
		*result = restoration_result(&reset, reset.target.id);
out:
	restoration_release(&reset);
	return outcome;
}

int snapshot_reset(struct session *session, const struct restore_options *options,
		   struct json **result, struct error **err)
{
	return restoration_reset(session, options, "reset", result, err);
}
