/*
 * Freezing and thawing. What was frozen by us is told from what a person paused
 * by looking before: a container that is paused already is left as it is.
 */
#include "snapshot/create/freeze.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "driver/driver.h"
#include "snapshot/create/pause_all.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/helper/probe.h"
#include "snapshot/labels.h"

/* An older create may still be committing gigabytes. */
#define TURN_TIMEOUT_MS (30ULL * 60 * 1000)

void freeze_init(struct freeze *freeze, const struct session *session)
{
	memset(freeze, 0, sizeof(*freeze));
	freeze->session = session;
}

void freeze_release(struct freeze *freeze)
{
	cleanup_error struct error *problem = NULL;

	if (freeze_end(freeze, &problem) < 0)
		progress_warn(freeze->session->progress, "%s", problem->message);
	if (freeze->frozen.count)
		watchdog_abandon(STEAL_POINTER(freeze->watchdog));
	else
		watchdog_dismiss(STEAL_POINTER(freeze->watchdog));
	string_list_release(&freeze->ids);
	string_list_release(&freeze->paused);
	string_list_release(&freeze->frozen);
}

int freeze_arm(struct freeze *freeze, const char *helper, const char *starts, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *release = NULL;
	bool freezes = freeze->ids.count && !freeze->is_led;

	if (freeze->watchdog || (!freezes && !starts && !freeze->release))
		return 0;
	if (freeze->release) {
		release = json_new_object();
		json_set(release, freeze->release_target, json_copy(freeze->release));
	}
	freeze->watchdog = watchdog_start(freeze->session->engine, helper, release, starts, err);
	return freeze->watchdog ? 0 : -1;
}

int freeze_await_watchdog(struct freeze *freeze, struct error **err)
{
	return freeze->watchdog ? watchdog_await(freeze->watchdog, freeze->session->engine, err)
				: 0;
}

/* Whether a helper's label names one of ours. */
static bool overlaps(const struct freeze *freeze, const struct json *helper)
{
	const char *label =
		json_string_or(json_path(helper, "Config", "Labels"), LABEL_FREEZES, "");
	struct string_list ids = {0};
	bool found = false;

	string_list_split(&ids, label, ',');
	for (size_t i = 0; i < ids.count && !found; i++)
		found = string_list_has(&freeze->ids, ids.items[i]) ||
			string_list_has(&freeze->paused, ids.items[i]);
	string_list_release(&ids);
	return found;
}

/* The first live helper before ours that overlaps; its name in *name. False: none. */
static bool someone_is_first(const struct freeze *freeze, const char *own_helper,
			     const struct json *helpers, char **name)
{
	json_for_each(helper, helpers) {
		if (strcmp(json_string_or(helper, "Id", ""), own_helper) == 0)
			return false;
		if (!overlaps(freeze, helper) || !helper_is_alive(freeze->session, helper))
			continue;
		*name = memory_strdup(json_string_or(helper, "Name", "?"));
		return true;
	}
	return false;
}

int freeze_wait_turn(struct freeze *freeze, const char *own_helper, struct error **err)
{
	uint64_t until = clock_monotonic_ms() + TURN_TIMEOUT_MS;
	bool told = false;

	if (!freeze->ids.count && !freeze->paused.count)
		return 0;
	for (;;) {
		cleanup_free char *name = NULL;
		CLEANUP(cleanup_json_free)
		struct json *helpers = helper_list(freeze->session, err);

		if (!helpers)
			return -1;
		if (!someone_is_first(freeze, own_helper, helpers, &name))
			return 0;
		if (!told)
			progress_note(freeze->session->progress,
				      "waiting: another create freezes the same containers first");
		told = true;
		if (clock_monotonic_ms() > until)
			return error_set(err, ERROR_BUSY,
					 "helper \"%s\" of another create has not ended", name);
		if (session_check(freeze->session, err) < 0)
			return -1;
		usleep(200000);
		watchdog_alive(freeze->watchdog);
	}
}

/* What was paused already when we came is not ours to thaw. */
static int paused_by_another(struct freeze *freeze, const char *id, struct error **err)
{
	freeze->disturbed = true;
	error_set(err, ERROR_BUSY, "container %.12s was paused by somebody else meanwhile", id);
	return error_hint(err,
			  "try again; if nobody means it to be paused, run "
			  "\"docker unpause %.12s\"",
			  id);
}

static int freeze_all(struct freeze *freeze, struct error **err)
{
	size_t count = freeze->ids.count;
	cleanup_free struct pause_task *tasks = memory_zalloc((count + 1) * sizeof(*tasks));
	int result = 0;

	for (size_t i = 0; i < count; i++) {
		/* Told before, so that a kill between the two calls leaves nothing frozen. */
		if (watchdog_watch(freeze->watchdog, freeze->ids.items[i], err) < 0)
			return -1;
		tasks[i].id = freeze->ids.items[i];
	}
	pause_all(freeze->session->engine, freeze->session->cancelled, tasks, count, false);
	for (size_t i = 0; i < count; i++) {
		const char *id = tasks[i].id;
		bool is_other = tasks[i].result == 0 && !tasks[i].changed;

		/* One that could not be paused may be all the same, in a moment. */
		if (!is_other)
			string_list_add(&freeze->frozen, id);
		if (tasks[i].result < 0)
			error_prefix(&tasks[i].problem, "cannot freeze container %.12s", id);
		else if (is_other)
			paused_by_another(freeze, id, &tasks[i].problem);
		if (tasks[i].problem)
			result = -1;
		error_append(err, tasks[i].problem);
	}
	failpoint("freeze/paused");
	return result;
}

static int check_is_paused(struct freeze *freeze, const char *id, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *listed = container_listed(freeze->session->engine, id, err);
	const char *name;

	if (!listed)
		return -1;
	if (strcmp(json_string_or(listed, "State", ""), "paused") == 0)
		return 0;
	name = json_string_or(json_first(json_get(listed, "Names")), NULL, "/?");
	freeze->disturbed = true;
	error_set(err, ERROR_BUSY, "container \"%s\" was thawed while it was being read",
		  name + (*name == '/'));
	return error_hint(err, "nothing was kept; try again");
}

/*
 * What seemed to be paused by a person may have been another create's freeze, which began
 * before we looked and can end at any time: such a create is still there, or has thawed it.
 */
static int check_paused(struct freeze *freeze, const char *own_helper, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *helpers = NULL;

	if (!freeze->paused.count)
		return 0;
	helpers = helper_list(freeze->session, err);
	if (!helpers)
		return -1;
	json_for_each(helper, helpers) {
		if (strcmp(json_string_or(helper, "Id", ""), own_helper) == 0 ||
		    !overlaps(freeze, helper) || !helper_is_alive(freeze->session, helper))
			continue;
		freeze->disturbed = true;
		return error_set(err, ERROR_BUSY, "another create freezes the same containers");
	}
	for (size_t i = 0; i < freeze->paused.count; i++)
		if (check_is_paused(freeze, freeze->paused.items[i], err) < 0)
			return -1;
	return 0;
}

int freeze_begin(struct freeze *freeze, const char *own_helper, struct error **err)
{
	if (check_paused(freeze, own_helper, err) < 0)
		return -1;
	probe_wait(freeze->session, &freeze->ids);
	freeze->started_ms = clock_monotonic_ms();
	if (freeze_all(freeze, err) < 0) {
		cleanup_error struct error *problem = NULL;

		freeze_end(freeze, &problem);
		return -1;
	}
	return 0;
}

int freeze_check(struct freeze *freeze, const char *own_helper, struct error **err)
{
	const struct string_list *frozen = freeze->is_led ? &freeze->ids : &freeze->frozen;

	for (size_t i = 0; i < frozen->count; i++)
		if (check_is_paused(freeze, frozen->items[i], err) < 0)
			return -1;
	return freeze->is_led ? 0 : check_paused(freeze, own_helper, err);
}

/* ${left} gets those that could not be thawed. */
static int thaw_all(struct freeze *freeze, struct string_list *left, struct error **err)
{
	size_t count = freeze->frozen.count;
	cleanup_free struct pause_task *tasks = memory_zalloc((count + 1) * sizeof(*tasks));
	cleanup_error struct error *forced = NULL;
	int result = 0;

	for (size_t i = 0; i < count; i++)
		tasks[i].id = freeze->frozen.items[i];
	if (failpoint_error("freeze/thaw", &forced) < 0)
		for (size_t i = 0; i < count; i++)
			tasks[i].result =
				error_set(&tasks[i].problem, forced->kind, "%s", forced->message);
	else
		pause_all(freeze->session->engine, NULL, tasks, count, true);
	for (size_t i = 0; i < count; i++) {
		struct error *problem = tasks[i].problem;

		if (tasks[i].result == 0 || problem->kind == ERROR_NOT_FOUND) {
			error_free(problem);
			continue;
		}
		error_prefix(&problem, "cannot thaw container %.12s", tasks[i].id);
		error_hint(&problem, "run \"sidesnap doctor\" or \"docker unpause %.12s\"",
			   tasks[i].id);
		error_append(err, problem);
		string_list_add(left, tasks[i].id);
		result = -1;
	}
	return result;
}

int freeze_end(struct freeze *freeze, struct error **err)
{
	struct engine *engine = freeze->session->engine;
	struct string_list left = {0};
	int result = 0;

	if (!freeze->frozen.count && !freeze->release_due)
		return 0;
	/* A person's Ctrl-C must not stop the thaw. */
	engine_set_cancel(engine, NULL);
	result = thaw_all(freeze, &left, err);
	if (freeze->frozen.count)
		freeze->duration_ms = clock_monotonic_ms() - freeze->started_ms;
	string_list_release(&freeze->frozen);
	freeze->frozen = left;
	if (freeze->release && freeze->release_due &&
	    driver_run_release(engine, freeze->release_target, freeze->release, err) < 0)
		result = error_prefix(err, "the driver's release command failed");
	freeze->release_due = false;
	engine_set_cancel(engine, freeze->session->cancelled);
	return result;
}
