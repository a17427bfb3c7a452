/*
 * Containers. Engines differ in what they call an error (a second unpause, a
 * name that is taken, stopping what is paused); here they come out alike.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/client.h"

#define PAUSE_ATTEMPTS 10
#define PAUSE_WAIT_MS 200
#define REMOVAL_ATTEMPTS 10
#define REMOVAL_PAUSE_MS 200
#define REMOVAL_WAIT_MS 30000

char *container_path(const struct engine *engine, const char *id, const char *rest)
{
	cleanup_free char *escaped = engine_escape(id);

	return engine_path(engine, "/containers/%s%s", escaped, rest);
}

static int post(struct engine *engine, const char *id, const char *rest, struct error **err)
{
	return engine_call(engine, "POST", container_path(engine, id, rest), NULL, NULL, err);
}

struct json *container_inspect(struct engine *engine, const char *id, struct error **err)
{
	return engine_get(engine, container_path(engine, id, "/json"), err);
}

struct json *container_list(struct engine *engine, bool all, const struct json *filters,
			    struct error **err)
{
	char *path = engine_path(engine, "/containers/json?all=%d", all);

	return engine_get(engine, engine_filters(path, filters), err);
}

struct json *container_listed(struct engine *engine, const char *id, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *filters = json_new_object(), *list = NULL;

	json_add_string(json_set_array(filters, "id"), id);
	list = container_list(engine, true, filters, err);
	if (!list)
		return NULL;
	json_for_each(item, list) {
		if (strcmp(json_string_or(item, "Id", ""), id) == 0)
			return json_copy(item);
	}
	error_set(err, ERROR_NOT_FOUND, "there is no container %.12s", id);
	return NULL;
}

char *container_create(struct engine *engine, const char *name, const struct json *body,
		       struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *answer = NULL;
	cleanup_free char *escaped = name ? engine_escape(name) : NULL;
	char *path = engine_path(engine, "/containers/create%s%s", name ? "?name=" : "",
				 name ? escaped : "");
	const char *id;

	if (engine_make(engine, path, body, &answer, err) < 0)
		return NULL;
	id = json_string(answer, "Id");
	if (!id)
		error_set(err, ERROR_ENGINE, "the engine made a container without an id");
	return memory_strdup(id);
}

int container_start(struct engine *engine, const char *id, struct error **err)
{
	return post(engine, id, "/start", err);
}

/* podman refuses to stop what is paused, and waits in vain when it kills it. */
static int thaw_for_podman(struct engine *engine, const char *id, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *state = NULL;

	if (!engine_is_podman(engine))
		return 0;
	state = container_inspect(engine, id, err);
	if (!state)
		return -1;
	if (!json_bool(json_path(state, "State", "Paused"), NULL))
		return 0;
	return container_unpause(engine, id, NULL, err);
}

int container_stop(struct engine *engine, const char *id, int timeout_s, struct error **err)
{
	cleanup_free char *rest =
		timeout_s < 0 ? memory_strdup("/stop") : memory_printf("/stop?t=%d", timeout_s);

	if (thaw_for_podman(engine, id, err) < 0)
		return -1;
	return post(engine, id, rest, err);
}

int container_kill(struct engine *engine, const char *id, const char *signal, struct error **err)
{
	cleanup_free char *escaped = engine_escape(signal ? signal : "KILL");
	cleanup_free char *rest = memory_printf("/kill?signal=%s", escaped);

	if (thaw_for_podman(engine, id, err) < 0)
		return -1;
	return post(engine, id, rest, err);
}

/* Ask for a pause state; an answer of refusal counts only where the state is not so. */
static int set_paused(struct engine *engine, const char *id, bool paused, bool *changed,
		      struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *listed = NULL;
	cleanup_error struct error *refusal = NULL;
	bool is_paused;

	if (changed)
		*changed = false;
	if (post(engine, id, paused ? "/pause" : "/unpause", &refusal) == 0) {
		if (changed)
			*changed = true;
		return 0;
	}
	if (refusal->http_status && refusal->kind != ERROR_NOT_FOUND) {
		listed = container_listed(engine, id, err);
		if (!listed)
			return -1;
		is_paused = strcmp(json_string_or(listed, "State", ""), "paused") == 0;
		if (is_paused == paused)
			return 0;
	}
	if (err)
		*err = STEAL_POINTER(refusal);
	return -1;
}

/*
 * runc gives up freezing a busy cgroup of version 1 after some attempts ("unable to
 * freeze"), thaws it and fails; a moment later it succeeds.
 */
int container_pause(struct engine *engine, const char *id, bool *changed, struct error **err)
{
	for (int attempt = 1;; attempt++) {
		cleanup_error struct error *problem = NULL;

		if (set_paused(engine, id, true, changed, &problem) == 0)
			return 0;
		if (attempt == PAUSE_ATTEMPTS || problem->http_status != 500 ||
		    !strstr(problem->message, "unable to freeze")) {
			if (err)
				*err = STEAL_POINTER(problem);
			return -1;
		}
		if (transport_pause(engine->transport, PAUSE_WAIT_MS, err) < 0)
			return -1;
	}
}

int container_unpause(struct engine *engine, const char *id, bool *changed, struct error **err)
{
	return set_paused(engine, id, false, changed, err);
}

/* Somebody else's removal is under way: done when the container is gone. */
static int await_removal(struct engine *engine, const char *id, struct error **err)
{
	uint64_t end = clock_monotonic_ms() + REMOVAL_WAIT_MS;

	for (;;) {
		cleanup_error struct error *problem = NULL;
		CLEANUP(cleanup_json_free)
		struct json *inspect = container_inspect(engine, id, &problem);

		if (!inspect && problem->kind == ERROR_NOT_FOUND)
			return 0;
		if (!inspect) {
			if (err)
				*err = STEAL_POINTER(problem);
			return -1;
		}
		if (clock_monotonic_ms() >= end)
			return error_set(err, ERROR_FAILED,
					 "the engine is removing it for %d seconds already",
					 REMOVAL_WAIT_MS / 1000);
		if (transport_pause(engine->transport, 50, err) < 0)
			return -1;
	}
}

/*
 * podman refuses with 500 while a container that has just ended is between two states
 * ("could not be stopped ... container state improper: stopped"); a moment later it does not.
 */
static bool is_between_states(const struct error *problem)
{
	return problem->http_status == 500 && strstr(problem->message, "state improper");
}

int container_remove(struct engine *engine, const char *id, bool volumes, bool force,
		     struct error **err)
{
	cleanup_free char *rest = memory_printf("?v=%d&force=%d", volumes, force);

	for (int attempt = 1;; attempt++) {
		cleanup_error struct error *problem = NULL;

		if (engine_call(engine, "DELETE", container_path(engine, id, rest), NULL, NULL,
				&problem) == 0 ||
		    problem->kind == ERROR_NOT_FOUND)
			return 0;
		if (problem->http_status == 409 && strstr(problem->message, "already in progress"))
			return await_removal(engine, id, err);
		if (attempt == REMOVAL_ATTEMPTS || !is_between_states(problem)) {
			if (err)
				*err = STEAL_POINTER(problem);
			return -1;
		}
		if (transport_pause(engine->transport, REMOVAL_PAUSE_MS, err) < 0)
			return -1;
	}
}

int container_rename(struct engine *engine, const char *id, const char *name, struct error **err)
{
	cleanup_free char *escaped = engine_escape(name);
	cleanup_free char *rest = memory_printf("/rename?name=%s", escaped);

	return post(engine, id, rest, err);
}

int container_update(struct engine *engine, const char *id, const struct json *body,
		     struct error **err)
{
	return engine_call(engine, "POST", container_path(engine, id, "/update"), body, NULL, err);
}

struct json *container_changes(struct engine *engine, const char *id, struct error **err)
{
	struct json *answer = NULL;

	if (engine_call(engine, "GET", container_path(engine, id, "/changes"), NULL, &answer, err) <
	    0)
		return NULL;
	if (json_is_array(answer))
		return answer;
	/* docker says null where nothing has changed */
	json_free(answer);
	return json_new_array();
}

struct json *container_top(struct engine *engine, const char *id, struct error **err)
{
	/* docker runs the host's ps; podman takes column names of its own. */
	const char *columns = engine_is_podman(engine) ? "/top?ps_args=hpid,huser,args"
						       : "/top?ps_args=-eo%20pid,uid,args";

	return engine_get(engine, container_path(engine, id, columns), err);
}

int container_resize(struct engine *engine, const char *id, unsigned columns, unsigned rows,
		     struct error **err)
{
	cleanup_free char *rest = memory_printf("/resize?h=%u&w=%u", rows, columns);

	return post(engine, id, rest, err);
}
