/*
 * When a health check is due is told by the last one's end and the interval; that one has
 * begun by the log having no newer entry.
 */
#include "snapshot/helper/probe.h"

#include <string.h>
#include <unistd.h>

#include "base/memory.h"

#define NS_PER_S 1000000000LL
#define DEFAULT_INTERVAL_NS (30 * NS_PER_S)
#define BEFORE_NS (NS_PER_S / 5) /* a pause takes 20 ms on an idle machine */
#define AFTER_NS NS_PER_S	 /* its command runs by then, and can be frozen */
#define WAIT_MAX_MS 3000
#define WAIT_STEP_US 10000

static long long to_ns(const struct timespec *time)
{
	return (long long)time->tv_sec * NS_PER_S + time->tv_nsec;
}

/* The last check's entry in the log; NULL where none has ended yet. */
static const struct json *last_entry(const struct json *inspect)
{
	const struct json *last = NULL;

	json_for_each(entry, json_path(inspect, "State", "Health", "Log"))
		last = entry;
	return last;
}

static long long interval_ns(const struct json *inspect)
{
	const struct json *check = json_path(inspect, "Config", "Healthcheck");
	const char *status = json_string_or(json_path(inspect, "State", "Health"), "Status", "");
	int64_t interval = json_int(check, "Interval"), first = json_int(check, "StartInterval");

	if (first > 0 && strcmp(status, "starting") == 0)
		return first;
	return interval > 0 ? interval : DEFAULT_INTERVAL_NS;
}

static bool is_checked(const struct json *inspect)
{
	const struct json *health = json_path(inspect, "State", "Health");

	return health && strcmp(json_string_or(health, "Status", "none"), "none") != 0;
}

bool probe_is_near(const struct json *inspect, const struct timespec *now)
{
	const char *since = json_string_or(last_entry(inspect), "End", NULL);
	struct timespec time;
	long long left_ns;

	if (!is_checked(inspect))
		return false;
	if (!since)
		since = json_string_or(json_get(inspect, "State"), "StartedAt", "");
	if (!clock_parse(since, &time))
		return false;
	left_ns = to_ns(&time) + interval_ns(inspect) - to_ns(now);
	return left_ns < BEFORE_NS && left_ns > -AFTER_NS;
}

/* The engine's clock before ours, ns. */
static long long clock_offset_ns(const struct session *session)
{
	CLEANUP(cleanup_json_free) struct json *info = engine_info(session->engine, NULL);
	struct timespec theirs, ours = clock_now();

	return clock_parse(json_string_or(info, "SystemTime", ""), &theirs)
		       ? to_ns(&theirs) - to_ns(&ours)
		       : 0;
}

/* Wait until one container's next check has ended or is far enough away. */
static void wait_for_one(const struct session *session, const char *id, uint64_t until_ms)
{
	cleanup_free char *first = NULL;
	long long offset_ns = 0;

	for (bool again = false;; again = true) {
		CLEANUP(cleanup_json_free)
		struct json *inspect = container_inspect(session->engine, id, NULL);
		const char *end = json_string_or(last_entry(inspect), "End", "");
		struct timespec now;
		long long now_ns;

		if (!inspect || !is_checked(inspect))
			return;
		if (!again) {
			offset_ns = clock_offset_ns(session);
			first = memory_strdup(end);
		}
		now = clock_now();
		now_ns = to_ns(&now) + offset_ns;
		now.tv_sec = (time_t)(now_ns / NS_PER_S);
		now.tv_nsec = (long)(now_ns % NS_PER_S);
		/* one that has just ended is the best moment there is */
		if (!probe_is_near(inspect, &now) || strcmp(first, end) != 0 ||
		    clock_monotonic_ms() > until_ms || *session->cancelled)
			return;
		usleep(WAIT_STEP_US);
	}
}

/*
 * It is said to run before the runtime is asked, and has a process when that has answered (moby,
 * daemon/exec.go, ContainerExecStart()).
 */
bool probe_exec_is_starting(const struct json *exec)
{
	return json_bool(exec, "Running") && json_is_number(json_get(exec, "Pid")) &&
	       json_int(exec, "Pid") == 0;
}

static bool has_starting_exec(const struct session *session, const char *container)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = container_inspect(session->engine, container, NULL);

	json_for_each(id, json_get(inspect, "ExecIDs")) {
		CLEANUP(cleanup_json_free)
		struct json *exec = container_exec_inspect(session->engine,
							   json_string_or(id, NULL, "-"), NULL);

		if (probe_exec_is_starting(exec))
			return true;
	}
	return false;
}

/* Until none of them has one, all looked at in one go. */
static void wait_for_execs(const struct session *session, const struct string_list *ids,
			   uint64_t until_ms)
{
	bool found = true;

	while (found && clock_monotonic_ms() < until_ms && !*session->cancelled) {
		found = false;
		for (size_t i = 0; i < ids->count && !found; i++)
			found = has_starting_exec(session, ids->items[i]);
		if (found)
			usleep(WAIT_STEP_US);
	}
}

void probe_wait(const struct session *session, const struct string_list *ids)
{
	uint64_t until_ms = clock_monotonic_ms() + WAIT_MAX_MS;

	for (size_t i = 0; i < ids->count; i++)
		wait_for_one(session, ids->items[i], until_ms);
	wait_for_execs(session, ids, until_ms);
}
