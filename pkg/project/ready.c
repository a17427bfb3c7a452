/*
 * Waiting for members of a stack. A health check is asked first, since its author said what healthy means,
 * then the driver, and one that has neither must stay up.
 */
#include "project/ready.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"

#define LOG_LINES 20
#define LOG_MAX (64U << 10)
#define OUTPUT_MAX 400
#define STAYED_UP_MS 2000
#define RESTARTS_MAX 3
#define PAUSE_FIRST_MS 20
#define PAUSE_LAST_MS 400

void readiness_release(struct readiness *readiness)
{
	if (readiness->is_detected)
		driver_match_release(&readiness->match);
	*readiness = (struct readiness){0};
}

const char *stack_state(const struct stack_member *member)
{
	return json_string_or(json_get(member->inspect, "State"), "Status", "");
}

bool stack_is_running(const struct stack_member *member)
{
	return strcmp(stack_state(member), "running") == 0;
}

bool stack_has_completed(const struct stack_member *member)
{
	return strcmp(stack_state(member), "exited") == 0 &&
	       json_int(json_get(member->inspect, "State"), "ExitCode") == 0;
}

int stack_add_log(const struct session *session, const struct stack_member *member,
		  struct error **err)
{
	CLEANUP(buffer_release) struct buffer log;
	char *message;

	if (!err || !*err || strstr((*err)->message, "its last lines:"))
		return -1;
	buffer_init(&log, LOG_MAX);
	container_logs(session->engine, member->id, LOG_LINES, &log, NULL);
	while (log.size && strchr("\r\n ", log.data[log.size - 1]))
		log.data[--log.size] = '\0';
	if (!log.size)
		return -1;
	message = memory_printf("%s; its last lines:\n%s", (*err)->message, log.data);
	free((*err)->message);
	(*err)->message = message;
	return -1;
}

static const char *health_of(const struct stack_member *member)
{
	const char *health =
		json_string_or(json_path(member->inspect, "State", "Health"), "Status", "");

	return strcmp(health, "none") == 0 ? "" : health;
}

static int is_unhealthy(const struct stack_member *member, struct error **err)
{
	const struct json *last = NULL;
	cleanup_free char *output = NULL;

	json_for_each(item, json_path(member->inspect, "State", "Health", "Log"))
		last = item;
	output = memory_strndup(json_string_or(last, "Output", ""), OUTPUT_MAX);
	return error_set(err, ERROR_FAILED,
			 "the health check of container \"%s\" says unhealthy%s%s", member->name,
			 *output ? ": " : "", output);
}

static int has_ended(const struct stack_member *member, const char *what, struct error **err)
{
	return error_set(err, ERROR_FAILED, "container \"%s\" %s (exit code %lld)", member->name,
			 what, (long long)json_int(json_get(member->inspect, "State"), "ExitCode"));
}

struct wait {
	const struct session *session;
	struct stack_member *member;
	struct readiness *readiness;
	uint64_t deadline_ms;
	int64_t restarts; /* at the start of the wait */
};

/* One look, anew: 1 it is so, 0 not yet, -1 it never will. */
typedef int look_function(struct wait *wait, struct error **err);

/* What has come to an end without being asked to. */
static int check_runs(const struct wait *wait, struct error **err)
{
	const struct stack_member *member = wait->member;

	if (json_int(member->inspect, "RestartCount") - wait->restarts >= RESTARTS_MAX)
		return has_ended(member, "keeps ending and being restarted", err);
	if (strcmp(stack_state(member), "exited") == 0 || strcmp(stack_state(member), "dead") == 0)
		return has_ended(member, "ended before it was ready", err);
	if (strcmp(stack_state(member), "paused") == 0)
		return error_set(err, ERROR_FAILED, "container \"%s\" was paused meanwhile",
				 member->name);
	return 0;
}

static int look_health(struct wait *wait, struct error **err)
{
	const char *health = health_of(wait->member);

	if (check_runs(wait, err) < 0)
		return -1;
	if (strcmp(health, "unhealthy") == 0)
		return is_unhealthy(wait->member, err);
	return strcmp(health, "healthy") == 0;
}

static int look_completed(struct wait *wait, struct error **err)
{
	const struct stack_member *member = wait->member;

	if (stack_has_completed(member))
		return 1;
	if (strcmp(stack_state(member), "exited") == 0 || strcmp(stack_state(member), "dead") == 0)
		return has_ended(member, "failed", err);
	return 0;
}

static bool restarts_by_itself(const struct stack_member *member)
{
	const char *policy = json_string_or(
		json_path(member->inspect, "HostConfig", "RestartPolicy"), "Name", "");

	return strcmp(policy, "always") == 0 || strcmp(policy, "unless-stopped") == 0;
}

static int look_stays_up(struct wait *wait, struct error **err)
{
	if (stack_has_completed(wait->member) && !restarts_by_itself(wait->member))
		return 1;
	if (check_runs(wait, err) < 0)
		return -1;
	if (!stack_is_running(wait->member))
		return 0;
	return !wait->readiness->started ||
	       clock_monotonic_ms() - wait->readiness->started_ms >= STAYED_UP_MS;
}

static int wait_for(struct wait *wait, look_function *look, struct error **err)
{
	unsigned pause_ms = PAUSE_FIRST_MS;
	int result = 0;

	wait->restarts = json_int(wait->member->inspect, "RestartCount");
	for (;;) {
		struct timespec pause = {0, (long)pause_ms * 1000000L};

		if (stack_refresh(wait->session, wait->member, err) < 0)
			return -1;
		result = look(wait, err);
		if (result != 0)
			break;
		if (session_check(wait->session, err) < 0)
			return -1;
		if (clock_monotonic_ms() >= wait->deadline_ms) {
			error_set(err, ERROR_FAILED, "\"%s\" was not ready in time",
				  wait->member->name);
			error_hint(err,
				   "give it more with --timeout, or see what it does: "
				   "sidesnap logs %s",
				   wait->member->name);
			result = -1;
			break;
		}
		nanosleep(&pause, NULL);
		pause_ms = pause_ms < PAUSE_LAST_MS ? pause_ms * 2 : PAUSE_LAST_MS;
	}
	return result < 0 ? stack_add_log(wait->session, wait->member, err) : 0;
}

/* Whether the driver can tell; -1: *err. */
static int detect(const struct wait *wait, struct error **err)
{
	struct readiness *readiness = wait->readiness;
	CLEANUP(cleanup_json_free) struct json *image = NULL;

	if (!readiness->is_detected) {
		image = image_inspect(wait->session->engine,
				      json_string_or(wait->member->inspect, "Image", ""), NULL);
		if (driver_detect(wait->session->engine, wait->member->inspect, image,
				  &readiness->match, err) < 0)
			return error_prefix(err, "container \"%s\"", wait->member->name);
		readiness->is_detected = true;
	}
	return readiness->match.driver &&
	       json_get(readiness->match.driver->definition, "ready") != NULL;
}

static int wait_for_driver(const struct wait *wait, struct error **err)
{
	uint64_t now = clock_monotonic_ms();

	if (driver_wait_ready(wait->session->engine, wait->member->id, &wait->readiness->match,
			      wait->deadline_ms > now ? wait->deadline_ms - now : 0,
			      wait->session->cancelled, err) == 0)
		return stack_refresh(wait->session, wait->member, err);
	error_prefix(err, "\"%s\"", wait->member->name);
	return err && *err && (*err)->kind == ERROR_FAILED
		       ? stack_add_log(wait->session, wait->member, err)
		       : -1;
}

int stack_wait_ready(const struct session *session, struct stack_member *member,
		     struct readiness *readiness, uint64_t deadline_ms, struct error **err)
{
	struct wait wait = {
		.session = session,
		.member = member,
		.readiness = readiness,
		.deadline_ms = deadline_ms,
	};
	int asks;

	if (*health_of(member))
		return wait_for(&wait, look_health, err);
	asks = detect(&wait, err);
	if (asks < 0)
		return -1;
	return asks ? wait_for_driver(&wait, err) : wait_for(&wait, look_stays_up, err);
}

int stack_wait(const struct session *session, struct stack_member *member,
	       struct readiness *readiness, enum stack_condition condition, uint64_t deadline_ms,
	       struct error **err)
{
	struct wait wait = {
		.session = session,
		.member = member,
		.readiness = readiness,
		.deadline_ms = deadline_ms,
	};

	if (condition == STACK_STARTED)
		return 0;
	if (condition == STACK_COMPLETED)
		return wait_for(&wait, look_completed, err);
	return stack_wait_ready(session, member, readiness, deadline_ms, err);
}
