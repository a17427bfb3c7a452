/*
 * Whether a service can be used yet. A driver asks the server itself; without one
 * the image's health check or a process that stays up must do.
 */
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "driver/command.h"
#include "driver/driver.h"

/*
 * No engine can end a command: one that has not answered by then runs on in the container, and so does the
 * next. So each that was too slow gives the next one twice the time, else a slow machine is kept slow by them.
 */
#define PROBE_TIMEOUT_MS 5000
#define PROBE_TIMEOUT_MAX_MS 80000

#define STAYED_UP_MS 2000
#define RESTARTS_MAX 3
#define LOG_LINES 20

/* The restore at a first start runs under this name until it becomes the service. */
#define BOOT_PROGRAM "/.sidesnap/agent"
#define BOOT_COMMAND BOOT_PROGRAM " boot"

static int probe(struct engine *engine, const char *id, const struct driver_match *match,
		 uint64_t timeout_ms, bool *ready, struct error **err)
{
	const struct json *definition = match->driver ? match->driver->definition : NULL;
	const struct json *commands = json_path(definition, "ready", "any");
	struct values values;
	struct buffer output;
	size_t asked = 0;

	*ready = false;
	if (!commands)
		return error_set(err, ERROR_UNSUPPORTED, "the driver has no probe");
	if (values_open(&values, engine, id, definition, err) < 0)
		return -1;
	values_borrow(&values, match->lender);
	buffer_init(&output, 65536);
	json_for_each(command, commands) {
		cleanup_error struct error *problem = NULL;
		enum command_result result =
			command_run(&values, command, timeout_ms, &output, &problem);

		asked += result == COMMAND_OK || result == COMMAND_FAILED;
		*ready = result == COMMAND_OK;
		if (*ready)
			break;
		buffer_clear(&output);
	}
	buffer_release(&output);
	values_release(&values);
	if (!asked)
		return error_set(err, ERROR_UNSUPPORTED, "no tool of %s is in the container",
				 match->driver->name);
	return 0;
}

int driver_ready(struct engine *engine, const char *id, const struct driver_match *match,
		 bool *ready, struct error **err)
{
	return probe(engine, id, match, PROBE_TIMEOUT_MS, ready, err);
}

/* ---- waiting ---- */

struct wait {
	struct engine *engine;
	const char *id;
	const struct driver_match *match;
	bool ask;	      /* the driver's probe is of use */
	uint64_t patience_ms; /* with each of its commands */
	int64_t restarts;     /* at the start of the wait; -1: not known yet */
	uint64_t up_since; /* without a probe: since when nothing speaks against it; 0: not yet */
	char *started;	   /* StartedAt at up_since */
};

static const char *name_of(const struct json *inspect)
{
	const char *name = json_string_or(inspect, "Name", "");

	return *name == '/' ? name + 1 : name;
}

static int ended(const struct wait *wait, const struct json *inspect, const char *what,
		 struct error **err)
{
	struct buffer log;
	size_t size;

	buffer_init(&log, 1U << 20);
	container_logs(wait->engine, wait->id, LOG_LINES, &log, NULL);
	size = log.size;
	while (size && strchr("\r\n ", log.data[size - 1]))
		log.data[--size] = '\0';
	error_set(err, ERROR_FAILED, "container \"%s\" %s (exit code %lld)%s%s", name_of(inspect),
		  what, (long long)json_int(json_get(inspect, "State"), "ExitCode"),
		  size ? "; its last lines:\n" : "", log.data);
	buffer_release(&log);
	return -1;
}

/* Whether the container is still at its restore, and not yet its service. */
static bool is_booting(const struct wait *wait)
{
	CLEANUP(cleanup_json_free) struct json *top = container_top(wait->engine, wait->id, NULL);
	struct string_list processes;
	bool booting = false;

	process_arguments(top, &processes);
	for (size_t i = 0; i < processes.count; i++)
		booting = booting || text_has_prefix(processes.items[i], BOOT_COMMAND);
	string_list_release(&processes);
	return booting;
}

static bool is_of_snapshot(const struct json *inspect)
{
	return text_has_prefix(
		json_string_or(json_first(json_path(inspect, "Config", "Entrypoint")), NULL, ""),
		BOOT_PROGRAM);
}

static int check_health(const struct json *inspect, const char *health, bool *ready,
			struct error **err)
{
	const struct json *last = NULL;
	cleanup_free char *output = NULL;

	*ready = strcmp(health, "healthy") == 0;
	if (strcmp(health, "unhealthy") != 0)
		return 0;
	json_for_each(item, json_path(inspect, "State", "Health", "Log"))
		last = item;
	output = memory_strndup(json_string_or(last, "Output", ""), 400);
	return error_set(err, ERROR_FAILED,
			 "the health check of container \"%s\" says unhealthy%s%s",
			 name_of(inspect), *output ? ": " : "", output);
}

static int check_without_driver(struct wait *wait, const struct json *inspect, bool *ready,
				struct error **err)
{
	const char *health = json_string_or(json_path(inspect, "State", "Health"), "Status", "");
	const char *started = json_string_or(json_get(inspect, "State"), "StartedAt", "");

	if (*health && strcmp(health, "none") != 0)
		return check_health(inspect, health, ready, err);
	if (!wait->up_since || strcmp(text_or(wait->started, ""), started) != 0 ||
	    is_booting(wait)) {
		free(wait->started);
		wait->started = memory_strdup(started);
		wait->up_since = clock_monotonic_ms();
		return 0;
	}
	*ready = clock_monotonic_ms() - wait->up_since >= STAYED_UP_MS;
	return 0;
}

static int ask(struct wait *wait, bool *ready, struct error **err)
{
	uint64_t began = clock_monotonic_ms();
	int result = probe(wait->engine, wait->id, wait->match, wait->patience_ms, ready, err);

	if (clock_monotonic_ms() - began >= wait->patience_ms &&
	    wait->patience_ms < PROBE_TIMEOUT_MAX_MS)
		wait->patience_ms *= 2;
	return result;
}

static int check(struct wait *wait, bool *ready, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = container_inspect(wait->engine, wait->id, err);
	const struct json *state = json_get(inspect, "State");
	cleanup_error struct error *problem = NULL;

	*ready = false;
	if (!inspect) {
		if (err && *err && (*err)->kind == ERROR_NOT_FOUND)
			error_prefix(err, "the container ended and was removed");
		return -1;
	}
	if (wait->restarts < 0)
		wait->restarts = json_int(inspect, "RestartCount");
	if (json_int(inspect, "RestartCount") - wait->restarts >= RESTARTS_MAX)
		return ended(wait, inspect, "keeps ending and being restarted", err);
	if (json_bool(state, "Restarting"))
		return 0;
	if (!json_bool(state, "Running"))
		return ended(wait, inspect, "ended before it was ready", err);
	/* The server that a boot loads a dump into answers, too. */
	if (is_of_snapshot(inspect) && is_booting(wait))
		return 0;
	if (wait->ask) {
		if (ask(wait, ready, &problem) == 0)
			return 0;
		wait->ask = problem->kind != ERROR_UNSUPPORTED;
		/* It may have ended between the two calls: the next round tells. */
		return problem->kind == ERROR_ENGINE || problem->kind == ERROR_CANCELLED
			       ? (error_append(err, STEAL_POINTER(problem)), -1)
			       : 0;
	}
	return check_without_driver(wait, inspect, ready, err);
}

int driver_wait_ready(struct engine *engine, const char *id, const struct driver_match *match,
		      uint64_t timeout_ms, const volatile int *cancelled, struct error **err)
{
	struct wait wait = {.engine = engine,
			    .id = id,
			    .match = match,
			    .restarts = -1,
			    .patience_ms = PROBE_TIMEOUT_MS};
	uint64_t start = clock_monotonic_ms(), pause_ms = 20;
	bool ready = false;
	int result = 0;

	wait.ask = match->driver && json_get(match->driver->definition, "ready");
	while (result == 0) {
		result = check(&wait, &ready, err);
		if (result < 0 || ready)
			break;
		if (cancelled && *cancelled) {
			result = error_set(err, ERROR_CANCELLED, "interrupted");
		} else if (clock_monotonic_ms() - start >= timeout_ms) {
			cleanup_free char *waited = clock_format_duration(timeout_ms);

			error_set(err, ERROR_FAILED, "the service was not ready after %s", waited);
			result = error_hint(err, "look at its log: docker logs %.12s", id);
		} else {
			struct timespec pause = {0, (long)pause_ms * 1000000L};

			nanosleep(&pause, NULL);
			pause_ms = pause_ms < 400 ? pause_ms * 2 : 400;
		}
	}
	free(wait.started);
	return result;
}

void driver_client(struct engine *engine, const char *id, const struct driver_match *match,
		   struct string_list *arguments)
{
	const struct json *definition = match->driver ? match->driver->definition : NULL;
	struct values values;

	string_list_init(arguments);
	if (!json_path(definition, "client", "arguments") ||
	    values_open(&values, engine, id, definition, NULL) < 0)
		return;
	json_for_each(item, json_path(definition, "client", "arguments")) {
		cleanup_free char *word = values_expand(&values, json_string_or(item, NULL, ""));

		if (word)
			string_list_add(arguments, word);
	}
	values_release(&values);
}

int driver_shell(struct engine *engine, const char *id, const struct driver_match *match,
		 struct string_list *arguments, struct string_list *environment, struct error **err)
{
	const struct json *commands =
		match->driver ? json_path(match->driver->definition, "client", "shell", "any")
			      : NULL;
	struct values values;
	bool found = false;

	if (!commands)
		return error_set(err, ERROR_UNSUPPORTED, "%s%sno client is known",
				 match->driver ? match->driver->name : "",
				 match->driver ? ": " : "no driver fits, so ");
	if (values_open(&values, engine, id, match->driver->definition, err) < 0)
		return -1;
	values_borrow(&values, match->lender);
	json_for_each(command, commands) {
		if (!command_needs_are_there(&values, command) ||
		    !command_expand_arguments(&values, command, arguments))
			continue;
		command_expand_environment(&values, command, environment);
		found = true;
		break;
	}
	values_release(&values);
	return found ? 0
		     : error_set(err, ERROR_UNSUPPORTED, "%s: what its client needs is not known",
				 match->driver->name);
}
