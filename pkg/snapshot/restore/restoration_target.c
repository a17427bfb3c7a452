/*
 * The target of a reset or replace. What was killed before is brought to its end first,
 * so that whoever runs the same again need not know of doctor.
 */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "snapshot/helper/heartbeat.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/labels.h"
#include "snapshot/restore/journal.h"
#include "snapshot/restore/restoration.h"

/* Going back must not be interrupted. */
static const volatile int never_cancelled;

static bool is_reset(const struct restoration *restoration)
{
	return strcmp(restoration->operation, "reset") == 0;
}

static bool is_aside(const char *name)
{
	return text_has_suffix(name, SUFFIX_OLD) || text_has_suffix(name, SUFFIX_NEW) ||
	       text_has_suffix(name, SUFFIX_RESTORING);
}

static int check_target(const struct restoration *restoration, struct error **err)
{
	const struct target *target = &restoration->target;
	cleanup_free char *own = session_own_container(restoration->session);

	if (own && strcmp(own, target->id) == 0)
		return error_set(err, ERROR_REFUSED, "\"%s\" is sidesnap's own container",
				 target->name);
	if (helper_is_ours(target->inspect))
		return error_set(err, ERROR_REFUSED, "\"%s\" is a helper of sidesnap",
				 target->name);
	if (is_aside(target->name)) {
		error_set(err, ERROR_BUSY,
			  "\"%s\" belongs to a reset or replace that was interrupted",
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
				  text_or(restoration->options->reference, "REF"));
	}
	return 0;
}

/*
 * Without a safety snapshot, and with the snapshot gone or damaged, no data that is whole can be
 * had for it any more but from another snapshot: the one that is asked for now.
 */
static bool can_take_over(const struct restoration *restoration, const struct json *journal,
			  const struct error *problem)
{
	return is_reset(restoration) && strcmp(restoration->verb, "reset") == 0 &&
	       restoration->options->reference && journal_is_reset(journal) &&
	       !*json_string(journal, "safety") &&
	       (problem->kind == ERROR_NOT_FOUND || problem->kind == ERROR_DAMAGED);
}

static int not_ended(struct restoration *restoration, const struct json *journal,
		     const struct json *helper, struct error *problem, struct error **err)
{
	const char *name = json_string(journal_target(journal), "name");

	if (can_take_over(restoration, journal, problem)) {
		progress_warn(restoration->session->progress,
			      "%s; its volumes are reset to %s instead, and no safety snapshot is "
			      "made of what they hold now",
			      problem->message, restoration->options->reference);
		error_free(problem);
		restoration->taken_over = json_copy(journal);
		restoration->superseded = memory_strdup(json_string_or(helper, "Id", ""));
		return 0;
	}
	error_append(err, problem);
	error_prefix(err, "an interrupted %s of \"%s\" cannot be brought to an end",
		     json_string(journal, "operation"), name);
	return journal_is_reset(journal) && !*json_string(journal, "safety")
		       ? error_hint(err,
				    "another snapshot can take its place: sidesnap reset %s REF",
				    name)
		       : -1;
}

static int repair_one(struct restoration *restoration, const struct json *journal,
		      const struct json *helper, struct error **err)
{
	const char *name = json_string(journal_target(journal), "name");
	const char *operation = json_string(journal, "operation");
	struct session careful = *restoration->session;
	struct error *problem = NULL;
	enum journal_outcome outcome;
	int result;

	if (heartbeat_owner(restoration->session, helper) != OWNER_DEAD) {
		error_set(err, ERROR_BUSY, "a %s of \"%s\" is under way since %s", operation, name,
			  json_string_or(helper, "Created", "some time"));
		return error_hint(err, "wait for it, then try again");
	}
	progress_note(careful.progress, "bringing an interrupted %s of \"%s\" to an end", operation,
		      name);
	careful.cancelled = &never_cancelled;
	engine_set_cancel(careful.engine, &never_cancelled);
	result = journal_take_over(&careful, journal, helper, &outcome, &problem);
	engine_set_cancel(careful.engine, restoration->session->cancelled);
	return result < 0 ? not_ended(restoration, journal, helper, problem, err) : 0;
}

/* What was killed before is ended first: run again, it converges. */
static int repair(struct restoration *restoration, bool *repaired, struct error **err)
{
	const char *wanted = restoration->options->target;
	const char *id = text_or(restoration->target.id, "");
	CLEANUP(cleanup_json_free) struct json *helpers = helper_list(restoration->session, err);

	*repaired = false;
	if (!helpers)
		return -1;
	json_for_each(helper, helpers) {
		const char *label =
			json_string_or(json_path(helper, "Config", "Labels"), LABEL_JOURNAL, "");
		CLEANUP(cleanup_json_free)
		struct json *journal = *label ? journal_decode(label, NULL) : NULL;
		const struct json *container = journal ? journal_target(journal) : NULL;

		if (!container || (strcmp(json_string(container, "id"), id) != 0 &&
				   strcmp(json_string(container, "name"), wanted) != 0))
			continue;
		if (repair_one(restoration, journal, helper, err) < 0)
			return -1;
		*repaired = true;
	}
	return 0;
}

/* As it was before the reset that is taken over: that has stopped it and given it another name. */
static int find_taken_over(struct restoration *restoration, struct error **err)
{
	const struct json *container = journal_target(restoration->taken_over);
	struct target *target = &restoration->target;
	cleanup_free char *name = memory_printf("/%s", json_string(container, "name"));

	if (target_find(restoration->session, json_string(container, "id"), target, err) < 0)
		return -1;
	json_set_string(target->inspect, "Name", name);
	target->name = json_string(target->inspect, "Name") + 1;
	json_set(json_get(target->inspect, "HostConfig"), "RestartPolicy",
		 json_copy(json_get(container, "restart")));
	return 0;
}

int restoration_find_target(struct restoration *restoration, struct error **err)
{
	struct session *session = restoration->session;
	const char *name = restoration->options->target;
	cleanup_error struct error *problem = NULL;
	bool repaired;

	progress_phase(session->progress, "looking at the container");
	if (target_find(session, name, &restoration->target, &problem) < 0 &&
	    problem->kind != ERROR_NOT_FOUND) {
		error_append(err, STEAL_POINTER(problem));
		return -1;
	}
	if (repair(restoration, &repaired, err) < 0)
		return -1;
	if (repaired) {
		target_release(&restoration->target);
		if ((restoration->taken_over
			     ? find_taken_over(restoration, err)
			     : target_find(session, name, &restoration->target, err)) < 0)
			return -1;
	} else if (problem) {
		error_append(err, STEAL_POINTER(problem));
		return -1;
	}
	return check_target(restoration, err);
}
