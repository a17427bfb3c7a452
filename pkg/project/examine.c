/*
 * What is wrong with a stack, and what to do about it. Each check looks at one thing that people find out late: it
 * is told from what the engine knows, and nothing is changed.
 */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "project/project.h"
#include "project/ready.h"
#include "project/stack.h"
#include "snapshot/helper/helper.h"
#include "snapshot/labels.h"
#include "snapshot/restore/recreate.h"

#define RESTARTS_MANY 3
#define RECENT_S 600
#define SKEW_MAX_MS 2000
#define FULL_PERCENT 5
#define FULL_BYTES (64ULL << 20)
#define OUTPUT_MAX 400
#define VOLUMES_MAX 64

struct examination {
	struct session *session;
	struct stack stack;
	struct json *result, *findings;
	struct timespec engine_time;
};

/* ${detail} and ${advice} are freed. ${member} NULL: of the stack or the engine. */
static void report(struct examination *it, const char *kind, const struct stack_member *member,
		   char *detail, char *advice)
{
	struct json *entry = json_add_object(it->findings);
	cleanup_free char *owned_detail = detail, *owned_advice = advice;

	json_set_string(entry, "kind", kind);
	json_set(entry, "service",
		 member && member->service ? json_new_string(member->service) : json_new_null());
	json_set(entry, "name", member ? json_new_string(member->name) : json_new_null());
	json_set_string(entry, "detail", owned_detail);
	json_set_string(entry, "advice", owned_advice);
}

static const struct json *state_of(const struct stack_member *member)
{
	return json_get(member->inspect, "State");
}

static char *look_at(const struct stack_member *member)
{
	return memory_printf("see what it says: sidesnap logs %s --tail 50; look around in a copy: "
			     "sidesnap debug %s",
			     member->name, member->name);
}

/* ---- whether it runs ---- */

static bool is_recent(const struct examination *it, const char *text)
{
	struct timespec time;

	return clock_parse(text, &time) && it->engine_time.tv_sec - time.tv_sec < RECENT_S;
}

/* A person's stop ends most services with one of these, or with 0. */
static bool is_by_signal_to_end(int64_t code)
{
	return code == 0 || code == 130 || code == 143;
}

static void check_memory(struct examination *it, const struct stack_member *member)
{
	int64_t limit = json_int(json_get(member->inspect, "HostConfig"), "Memory");
	cleanup_free char *size = text_format_size((uint64_t)limit);

	if (!json_bool(state_of(member), "OOMKilled"))
		return;
	if (limit > 0)
		report(it, "out_of_memory", member,
		       memory_printf("it was killed for want of memory; its limit is %s", size),
		       memory_strdup("raise mem_limit in the compose file (docker update --memory "
				     "until then), or let it use less"));
	else
		report(it, "out_of_memory", member,
		       memory_strdup("it was killed since the machine had no memory left"),
		       memory_strdup("give the machine more, or the services that use most a "
				     "limit: docker stats"));
}

static void check_ended(struct examination *it, const struct stack_member *member)
{
	const struct json *state = state_of(member);
	const char *reason = json_string_or(state, "Error", "");
	int64_t code = json_int(state, "ExitCode");

	if (strcmp(stack_state(member), "created") == 0)
		report(it, "not_started", member,
		       memory_printf("it was never started%s%s", *reason ? ": " : "", reason),
		       memory_strdup("sidesnap up"));
	else if (*reason)
		report(it, "exited", member, memory_printf("it did not start: %s", reason),
		       memory_strdup("mend that, then: sidesnap up"));
	else if (!is_by_signal_to_end(code) && !json_bool(state, "OOMKilled"))
		report(it, "exited", member,
		       code == 137 ? memory_strdup(
					     "it was killed (exit code 137), by a person, or since "
					     "it did not end in time when it was stopped")
				   : memory_printf("it ended with exit code %" PRId64, code),
		       look_at(member));
}

static void check_runs(struct examination *it, const struct stack_member *member)
{
	const struct json *state = state_of(member);
	int64_t restarts = json_int(member->inspect, "RestartCount");

	check_memory(it, member);
	if (strcmp(stack_state(member), "restarting") == 0 ||
	    (restarts >= RESTARTS_MANY && stack_is_running(member) &&
	     is_recent(it, json_string_or(state, "StartedAt", "")))) {
		report(it, "restarting", member,
		       memory_printf("it keeps ending and is restarted: %" PRId64
				     " times so far, last with exit code %" PRId64,
				     restarts, json_int(state, "ExitCode")),
		       look_at(member));
		return;
	}
	if (strcmp(stack_state(member), "exited") == 0 ||
	    strcmp(stack_state(member), "created") == 0 || strcmp(stack_state(member), "dead") == 0)
		check_ended(it, member);
}

static void check_health(struct examination *it, const struct stack_member *member)
{
	const struct json *health = json_get(state_of(member), "Health"), *last = NULL;
	cleanup_free char *output = NULL;

	if (!stack_is_running(member) ||
	    strcmp(json_string_or(health, "Status", ""), "unhealthy") != 0)
		return;
	json_for_each(item, json_get(health, "Log"))
		last = item;
	output = memory_strndup(json_string_or(last, "Output", ""), OUTPUT_MAX);
	output[strcspn(output, "\r\n")] = '\0';
	report(it, "unhealthy", member,
	       memory_printf("its health check fails, %" PRId64
			     " times in a row, the last with exit code %" PRId64 "%s%s",
			     json_int(health, "FailingStreak"), json_int(last, "ExitCode"),
			     *output ? ": " : "", output),
	       look_at(member));
}

/* ---- what it needs ---- */

static const char *unmet(const struct stack_member *other, enum stack_condition condition)
{
	const char *health = json_string_or(json_get(state_of(other), "Health"), "Status", "");

	if (condition == STACK_COMPLETED)
		return stack_has_completed(other)		   ? NULL
		       : stack_is_running(other)		   ? "is still at its work"
		       : strcmp(stack_state(other), "exited") == 0 ? "failed"
								   : "did not run";
	if (!stack_is_running(other))
		return strcmp(stack_state(other), "paused") == 0 ? "is paused" : "does not run";
	return condition == STACK_HEALTHY && *health && strcmp(health, "healthy") != 0 &&
			       strcmp(health, "none") != 0
		       ? "is not healthy"
		       : NULL;
}

static void check_dependencies(struct examination *it, const struct stack_member *member)
{
	if (!stack_is_running(member))
		return;
	for (size_t i = 0; i < member->dependency_count; i++) {
		const struct stack_dependency *on = &member->dependencies[i];
		const struct stack_member *other = &it->stack.members[on->member];
		const char *what = unmet(other, on->condition);

		if (what)
			report(it, "dependency", member,
			       memory_printf("it depends on \"%s\" (%s), which %s", other->name,
					     stack_condition_name(on->condition), what),
			       memory_printf("sidesnap up %s",
					     text_or(other->service, other->name)));
	}
	for (size_t i = 0; i < member->missing.count; i++)
		report(it, "dependency", member,
		       memory_printf("it depends on service %s, which has no container",
				     member->missing.items[i]),
		       memory_printf("docker-compose up -d %s", member->missing.items[i]));
}

static void check_namespaces(struct examination *it, const struct stack_member *member)
{
	static const char *const modes[] = {"NetworkMode", "PidMode", "IpcMode"};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		const char *mode =
			json_string_or(json_get(member->inspect, "HostConfig"), modes[i], "");
		cleanup_error struct error *problem = NULL;
		CLEANUP(cleanup_json_free) struct json *other = NULL;

		if (!text_has_prefix(mode, "container:"))
			continue;
		other = container_inspect(it->session->engine, mode + strlen("container:"),
					  &problem);
		if (!other && problem->kind == ERROR_NOT_FOUND)
			report(it, "namespace", member,
			       memory_printf("it is to live in the namespaces (%s) of a container "
					     "that is gone",
					     modes[i]),
			       memory_printf(
				       "make it anew: docker-compose up -d --force-recreate %s",
				       text_or(member->service, member->name)));
	}
}

static void check_image(struct examination *it, const struct stack_member *member)
{
	const char *id = json_string_or(member->inspect, "Image", "");
	const char *name = json_string_or(json_get(member->inspect, "Config"), "Image", "");
	cleanup_error struct error *problem = NULL;
	CLEANUP(cleanup_json_free)
	struct json *image = image_inspect(it->session->engine, id, &problem), *named = NULL;

	if (!image && problem->kind == ERROR_NOT_FOUND) {
		report(it, "image_gone", member,
		       memory_printf(
			       "its image %s is not on this engine any more: it cannot be made "
			       "anew from it",
			       name),
		       memory_strdup("pull or build it again, then docker-compose up -d"));
		return;
	}
	if (text_has_prefix(name, "sha256:"))
		return;
	named = image_inspect(it->session->engine, name, NULL);
	if (named && strcmp(json_string_or(named, "Id", ""), id) != 0)
		report(it, "image_outdated", member,
		       memory_printf(
			       "%s is another image by now than the one that it was made from",
			       name),
		       memory_printf("make it anew when that suits: docker-compose up -d %s",
				     text_or(member->service, member->name)));
}

/* ---- the machine ---- */

static void check_clock(struct examination *it)
{
	uint64_t before = clock_monotonic_ms(), took;
	CLEANUP(cleanup_json_free) struct json *info = engine_info(it->session->engine, NULL);
	struct timespec now = clock_now();
	int64_t skew;

	took = clock_monotonic_ms() - before;
	if (!clock_parse(json_string_or(info, "SystemTime", ""), &it->engine_time)) {
		it->engine_time = now;
		return;
	}
	skew = (int64_t)(it->engine_time.tv_sec - now.tv_sec) * 1000 +
	       (it->engine_time.tv_nsec - now.tv_nsec) / 1000000;
	/* It was read at some instant while we waited. */
	skew += skew < 0 ? (skew + (int64_t)took > 0 ? -skew : (int64_t)took) : 0;
	if (skew > SKEW_MAX_MS || skew < -SKEW_MAX_MS) {
		cleanup_free char *shown =
			clock_format_duration((uint64_t)(skew < 0 ? -skew : skew));

		report(it, "clock", NULL,
		       memory_printf("the engine's clock is %s %s ours", shown,
				     skew < 0 ? "behind" : "ahead of"),
		       memory_strdup("set both by NTP: tokens, certificates and replication depend "
				     "on it"));
	}
}

/* Each volume once, with one of those that use it. */
struct volumes {
	const struct stack_member *members[VOLUMES_MAX];
	const char *names[VOLUMES_MAX];
	size_t count;
};

static void add_volumes(const struct stack_member *member, struct volumes *volumes,
			struct json *mounts, struct json *spaces)
{
	json_for_each(mount, json_get(member->inspect, "Mounts")) {
		const char *name = json_string_or(mount, "Name", "");
		cleanup_free char *target = memory_printf("/dev/sidesnap/%zu", volumes->count);
		struct json *made;
		bool known = strcmp(json_string_or(mount, "Type", ""), "volume") != 0 || !*name;

		for (size_t i = 0; i < volumes->count; i++)
			known = known || strcmp(volumes->names[i], name) == 0;
		if (known || volumes->count == VOLUMES_MAX)
			continue;
		made = recreate_helper_mount(member->inspect, mount, target);
		json_set_bool(made, "ReadOnly", true);
		json_add(mounts, made);
		json_add_string(spaces, target);
		volumes->names[volumes->count] = name;
		volumes->members[volumes->count++] = member;
	}
}

/* The answer of a helper that has them mounted, to be freed; NULL: *err. */
static struct json *ask_spaces(const struct examination *it, const char *image,
			       const struct json *mounts, struct json *spaces, struct error **err)
{
	const struct helper_specification specification = {
		.image = image, .purpose = "measure", .mounts = mounts};
	CLEANUP(cleanup_helper_free)
	struct helper *helper = helper_create(it->session, &specification, err);
	CLEANUP(cleanup_json_free) struct json *job = json_new_object(), *done = NULL;

	if (!helper)
		return NULL;
	json_set_string(job, "operation", "measure");
	json_set_array(job, "trees");
	json_set_int(job, "min_free", 0);
	json_set(job, "spaces", json_copy(spaces));
	if (helper_start(helper, job, NULL, err) < 0 ||
	    helper_wait(helper, WIRE_DONE, &done, err) < 0 ||
	    helper_close(STEAL_POINTER(helper), err) < 0)
		return NULL;
	return STEAL_POINTER(done);
}

static bool is_nearly(uint64_t left, uint64_t size, uint64_t least)
{
	return size && (left < size / 100 * FULL_PERCENT || left < least);
}

static void check_space(struct examination *it, const struct stack_member *member,
			const char *volume, const struct json *space)
{
	uint64_t size = (uint64_t)json_int(space, "size"), left = (uint64_t)json_int(space, "free");
	uint64_t files = (uint64_t)json_int(space, "files");
	uint64_t free_files = (uint64_t)json_int(space, "free_files");
	cleanup_free char *total = text_format_size(size), *rest = text_format_size(left);
	static const char advice[] =
		"make room: sidesnap prune, docker system df; or give the file "
		"system more";

	if (is_nearly(left, size, FULL_BYTES))
		report(it, "volume_full", member,
		       memory_printf("the file system of volume %s has %s left of %s", volume, rest,
				     total),
		       memory_strdup(advice));
	else if (is_nearly(free_files, files, 1000))
		report(it, "volume_full", member,
		       memory_printf("the file system of volume %s has room for %" PRIu64
				     " more files only",
				     volume, free_files),
		       memory_strdup("remove files that nobody needs: many small ones fill it"));
}

static void check_volumes(struct examination *it)
{
	CLEANUP(cleanup_json_free)
	struct json *mounts = json_new_array(), *spaces = json_new_array(), *done = NULL;
	cleanup_error struct error *problem = NULL;
	struct volumes volumes = {.count = 0};
	size_t index = 0;

	for (size_t i = 0; i < it->stack.count; i++)
		add_volumes(&it->stack.members[i], &volumes, mounts, spaces);
	if (!volumes.count)
		return;
	done = ask_spaces(it, json_string_or(volumes.members[0]->inspect, "Image", ""), mounts,
			  spaces, &problem);
	if (!done) {
		cleanup_free char *note = memory_printf(
			"how full the volumes are could not be told: %s", problem->message);

		json_add_string(json_get(it->result, "notes"), note);
		return;
	}
	json_for_each(space, json_get(done, "spaces")) {
		if (index < volumes.count)
			check_space(it, volumes.members[index], volumes.names[index], space);
		index++;
	}
}

int project_examine(struct session *session, struct json **result, struct error **err)
{
	struct examination it = {.session = session};
	CLEANUP(cleanup_json_free) struct json *made = json_new_object();

	if (stack_find(session, false, &it.stack, err) < 0)
		return -1;
	it.result = made;
	json_set_string(made, "project", it.stack.project);
	it.findings = json_set_array(made, "findings");
	json_set_array(made, "notes");
	check_clock(&it);
	if (it.stack.cycle)
		report(&it, "cycle", NULL,
		       memory_printf("services depend on one another in a circle: %s",
				     it.stack.cycle),
		       memory_strdup("take one of these dependencies out of the compose file"));
	for (size_t i = 0; i < it.stack.count; i++) {
		const struct stack_member *member = &it.stack.members[i];

		check_runs(&it, member);
		check_health(&it, member);
		check_dependencies(&it, member);
		check_namespaces(&it, member);
		check_image(&it, member);
	}
	check_volumes(&it);
	for (size_t i = 0; i < it.stack.notes.count; i++)
		json_add_string(json_get(made, "notes"), it.stack.notes.items[i]);
	stack_release(&it.stack);
	if (session_check(session, err) < 0)
		return -1;
	*result = STEAL_POINTER(made);
	return 0;
}
