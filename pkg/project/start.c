/*
 * Starting, stopping and starting anew the containers of a stack that exist already, in the order that
 * their dependencies ask for. What is as it should be is left alone, so that doing it again costs nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "project/project.h"
#include "project/ready.h"
#include "project/stack.h"
#include "snapshot/restore/journal.h"

#define READY_TIMEOUT_MS 600000

/* One call, with what was done to each member. */
struct work {
	struct session *session;
	const struct stack_options *options;
	struct stack stack;
	bool *chosen;
	struct readiness *readiness;
	const char **actions; /* NULL: nothing yet */
	struct json *notes;
	uint64_t began_ms;
};

static void work_release(struct work *work)
{
	for (size_t i = 0; work->readiness && i < work->stack.count; i++)
		readiness_release(&work->readiness[i]);
	free(work->readiness);
	free(work->chosen);
	free(work->actions);
	json_free(work->notes);
	stack_release(&work->stack);
}

static void add_note(struct work *work, char *text)
{
	cleanup_free char *owned = text;

	json_add_string(work->notes, owned);
	progress_note(work->session->progress, "%s", owned);
}

static int work_open(struct work *work, struct session *session,
		     const struct stack_options *options, struct error **err)
{
	size_t size;

	*work = (struct work){.session = session, .options = options};
	work->began_ms = clock_monotonic_ms();
	if (stack_find(session, false, &work->stack, err) < 0)
		return -1;
	size = work->stack.count + 1;
	work->chosen = memory_zalloc(size * sizeof(*work->chosen));
	work->readiness = memory_zalloc(size * sizeof(*work->readiness));
	work->actions = memory_zalloc(size * sizeof(*work->actions));
	work->notes = json_new_array();
	if (stack_check_order(&work->stack, err) < 0)
		return -1;
	return stack_choose(&work->stack, options->services, work->chosen, err);
}

/* For the person; what is not known matters only where something waits for it. */
static void add_stack_notes(struct work *work)
{
	for (size_t i = 0; i < work->stack.notes.count; i++)
		add_note(work, memory_strdup(work->stack.notes.items[i]));
	for (size_t i = 0; i < work->stack.count; i++) {
		const struct stack_member *member = &work->stack.members[i];

		for (size_t k = 0; work->chosen[i] && k < member->missing.count; k++)
			add_note(work, memory_printf("\"%s\" depends on %s, which has no container",
						     member->name, member->missing.items[k]));
	}
}

static struct json *make_result(struct work *work, bool tells_state)
{
	struct json *result = json_new_object(), *list;

	json_set_string(result, "project", work->stack.project);
	list = json_set_array(result, "services");
	for (size_t i = 0; i < work->stack.count; i++) {
		const struct stack_member *member = &work->stack.members[i];
		struct json *entry;

		if (!work->chosen[i])
			continue;
		entry = json_add_object(list);
		json_set_string(entry, "service", member->service);
		json_set_string(entry, "name", member->name);
		json_set_string(entry, "action", work->actions[i] ? work->actions[i] : "none");
		if (tells_state)
			json_set_string(entry, "state",
					stack_has_completed(member) ? "completed" : "ready");
	}
	json_set(result, "notes", STEAL_POINTER(work->notes));
	json_set_int(result, "duration_ms", (int64_t)(clock_monotonic_ms() - work->began_ms));
	return result;
}

/* ---- start ---- */

/* Somebody waits for its end, and it came to a good one. */
static bool is_done(const struct work *work, size_t index)
{
	for (size_t i = 0; i < work->stack.count; i++) {
		const struct stack_member *member = &work->stack.members[i];

		for (size_t k = 0; k < member->dependency_count; k++)
			if (member->dependencies[k].member == index &&
			    member->dependencies[k].condition == STACK_COMPLETED)
				return stack_has_completed(&work->stack.members[index]);
	}
	return false;
}

static int check_startable(const struct stack_member *member, struct error **err)
{
	if (strcmp(stack_state(member), "paused") == 0) {
		error_set(err, ERROR_REFUSED, "container \"%s\" is paused", member->name);
		return error_hint(err,
				  "if no create works on it, \"sidesnap doctor\" thaws what a "
				  "killed one left, \"docker unpause %s\" what a person paused",
				  member->name);
	}
	if (text_has_suffix(member->name, SUFFIX_RESTORING)) {
		error_set(err, ERROR_BUSY, "a reset works on \"%s\", or was killed there",
			  member->name);
		return error_hint(err, "wait for it, or run \"sidesnap doctor\"");
	}
	return 0;
}

static int start_one(struct work *work, size_t index, struct error **err)
{
	struct stack_member *member = &work->stack.members[index];

	if (member->is_own || stack_is_running(member) ||
	    strcmp(stack_state(member), "restarting") == 0 || is_done(work, index))
		return 0;
	if (check_startable(member, err) < 0)
		return -1;
	progress_phase(work->session->progress, "starting %s", member->name);
	if (container_start(work->session->engine, member->id, err) < 0)
		return error_prefix(err, "cannot start container \"%s\"", member->name);
	if (!work->actions[index])
		work->actions[index] = "started";
	work->readiness[index].started = true;
	work->readiness[index].started_ms = clock_monotonic_ms();
	failpoint("project/started");
	return stack_refresh(work->session, member, err);
}

static int await_dependencies(struct work *work, size_t index, uint64_t deadline_ms,
			      struct error **err)
{
	const struct stack_member *member = &work->stack.members[index];

	for (size_t k = 0; k < member->dependency_count; k++) {
		const struct stack_dependency *on = &member->dependencies[k];
		struct stack_member *other = &work->stack.members[on->member];
		/* Where nobody told what to wait for, it must be of use. */
		enum stack_condition condition =
			member->source == STACK_SETTINGS && on->condition == STACK_STARTED
				? STACK_HEALTHY
				: on->condition;

		if (other->is_own)
			continue;
		progress_phase(work->session->progress, "waiting for %s", other->name);
		if (stack_wait(work->session, other, &work->readiness[on->member], condition,
			       deadline_ms, err) < 0)
			return error_prefix(err, "\"%s\" waits for \"%s\"", member->name,
					    other->name);
	}
	return 0;
}

static int start_all(struct work *work, struct error **err)
{
	uint64_t timeout_ms =
		work->options->timeout_ms ? work->options->timeout_ms : READY_TIMEOUT_MS;
	uint64_t deadline_ms = clock_monotonic_ms() + timeout_ms;

	for (size_t i = 0; i < work->stack.count; i++) {
		const struct stack_member *member = &work->stack.members[i];

		if (!work->chosen[i])
			continue;
		/* What runs has no need of what it once waited for. */
		if (!member->is_own && !stack_is_running(member) && !is_done(work, i) &&
		    await_dependencies(work, i, deadline_ms, err) < 0)
			return -1;
		if (start_one(work, i, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < work->stack.count; i++) {
		struct stack_member *member = &work->stack.members[i];

		if (!work->chosen[i] || member->is_own || is_done(work, i))
			continue;
		progress_phase(work->session->progress, "waiting for %s", member->name);
		if (stack_wait_ready(work->session, member, &work->readiness[i], deadline_ms, err) <
		    0)
			return -1;
	}
	return 0;
}

int project_start(struct session *session, const struct stack_options *options,
		  struct json **result, struct error **err)
{
	CLEANUP(work_release) struct work work;

	if (work_open(&work, session, options, err) < 0)
		return -1;
	stack_add_dependencies(&work.stack, work.chosen);
	add_stack_notes(&work);
	if (start_all(&work, err) < 0)
		return -1;
	*result = make_result(&work, true);
	return 0;
}

/* ---- stop ---- */

static bool has_stopped(const struct stack_member *member)
{
	return strcmp(stack_state(member), "exited") == 0 ||
	       strcmp(stack_state(member), "created") == 0 ||
	       strcmp(stack_state(member), "dead") == 0;
}

/* Whole seconds, and never less than was asked for. */
static int grace_s(const struct stack_options *options)
{
	return options->has_timeout ? (int)((options->timeout_ms + 999) / 1000) : -1;
}

static int stop_all(struct work *work, int grace, const char *action, struct error **err)
{
	for (size_t i = work->stack.count; i-- > 0;) {
		struct stack_member *member = &work->stack.members[i];

		if (!work->chosen[i])
			continue;
		if (member->is_own) {
			work->actions[i] = "skipped";
			add_note(work, memory_printf("\"%s\" runs this command: it is left alone",
						     member->name));
			continue;
		}
		if (has_stopped(member))
			continue;
		if (session_check(work->session, err) < 0)
			return -1;
		progress_phase(work->session->progress, "stopping %s", member->name);
		if (container_stop(work->session->engine, member->id, grace, err) < 0)
			return error_prefix(err, "cannot stop container \"%s\"", member->name);
		work->actions[i] = action;
		failpoint("project/stopped");
		if (stack_refresh(work->session, member, err) < 0)
			return -1;
	}
	return 0;
}

int project_stop(struct session *session, const struct stack_options *options, struct json **result,
		 struct error **err)
{
	CLEANUP(work_release) struct work work;

	if (work_open(&work, session, options, err) < 0 ||
	    stop_all(&work, grace_s(options), "stopped", err) < 0)
		return -1;
	*result = make_result(&work, false);
	return 0;
}

/* ---- restart ---- */

/* A container in the namespaces of one that is started anew has lost them until it is, too. */
static void add_sharing(struct work *work)
{
	for (size_t i = 0; i < work->stack.count; i++) {
		const struct stack_member *member = &work->stack.members[i];

		for (size_t k = 0; k < member->dependency_count; k++)
			if (member->dependencies[k].shares &&
			    work->chosen[member->dependencies[k].member] && !has_stopped(member))
				work->chosen[i] = true;
	}
}

int project_restart(struct session *session, const struct stack_options *options,
		    struct json **result, struct error **err)
{
	CLEANUP(work_release) struct work work;

	if (work_open(&work, session, options, err) < 0)
		return -1;
	add_sharing(&work);
	if (stop_all(&work, -1, "restarted", err) < 0) {
		error_hint(err, "\"sidesnap up\" starts what was stopped already");
		return -1;
	}
	stack_add_dependencies(&work.stack, work.chosen);
	add_stack_notes(&work);
	if (start_all(&work, err) < 0)
		return -1;
	*result = make_result(&work, true);
	return 0;
}
