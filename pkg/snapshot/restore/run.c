/*
 * sidesnap run: a snapshot as a new container, until it can be used. What was
 * made for it goes again when it cannot.
 */
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/text.h"
#include "driver/driver.h"
#include "snapshot/labels.h"
#include "snapshot/restore/finish.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

#define READY_TIMEOUT_MS 600000

static const volatile int never_cancelled;

/* The named volumes that the body mounts and that are not there yet: the engine will make them. */
static void find_new_volumes(const struct session *session, const struct json *body,
			     struct string_list *names)
{
	struct string_list all;

	string_list_init(&all);
	string_list_init(names);
	json_for_each(bind, json_path(body, "HostConfig", "Binds")) {
		const char *text = json_string_or(bind, NULL, "");
		cleanup_free char *source = memory_strndup(text, strcspn(text, ":"));

		if (*source && *source != '/')
			string_list_add(&all, source);
	}
	json_for_each(mount, json_path(body, "HostConfig", "Mounts"))
		if (strcmp(json_string_or(mount, "Type", ""), "volume") == 0 &&
		    *json_string_or(mount, "Source", ""))
			string_list_add(&all, json_string(mount, "Source"));
	for (size_t i = 0; i < all.count; i++) {
		cleanup_error struct error *problem = NULL;
		CLEANUP(cleanup_json_free)
		struct json *volume = volume_inspect(session->engine, all.items[i], &problem);

		if (!volume && problem->kind == ERROR_NOT_FOUND &&
		    !string_list_has(names, all.items[i]))
			string_list_add(names, all.items[i]);
	}
	string_list_release(&all);
}

static struct json *make_body(const struct run_options *options, const struct json *snapshot)
{
	struct json *body = options->container ? json_copy(options->container) : json_new_object();
	struct json *host = json_get(body, "HostConfig");

	/* By its id where REF was a sidesnap.id: the engine does not know those. */
	json_set_string(body, "Image",
			json_has_string(json_get(snapshot, "RepoTags"), options->reference) ||
					strchr(options->reference, ':')
				? options->reference
				: json_string_or(snapshot, "Id", ""));
	if (!json_is_object(host))
		host = json_set_object(body, "HostConfig");
	if (options->remove_on_exit)
		json_set_bool(host, "AutoRemove", true);
	return body;
}

static int start_and_wait(const struct session *session, const struct run_options *options,
			  const struct json *snapshot, const char *id, struct driver_match *match,
			  struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *inspect = NULL;
	uint64_t otherwise_ms = snapshot_has_dump(snapshot) ? LOAD_TIMEOUT_MS : READY_TIMEOUT_MS;
	uint64_t timeout_ms = options->timeout_ms ? options->timeout_ms : otherwise_ms;

	if (failpoint_error("run/created", err) < 0)
		return -1;
	progress_phase(session->progress, "starting %s", options->reference);
	if (container_start(session->engine, id, err) < 0)
		return error_prefix(err, "cannot start the container");
	inspect = container_inspect(session->engine, id, err);
	if (!inspect || driver_detect(session->engine, inspect, snapshot, match, err) < 0)
		return -1;
	progress_phase(session->progress, "waiting until it is ready");
	if (driver_wait_ready(session->engine, id, match, timeout_ms, session->cancelled, err) < 0)
		return -1;
	return failpoint_error("run/ready", err);
}

static void set_address(struct json *result, const struct json *inspect)
{
	const char *address = "";

	json_for_each(network, json_path(inspect, "NetworkSettings", "Networks")) {
		if (*address)
			break;
		address = json_string_or(network, "IPAddress", "");
		if (!*address)
			address = json_string_or(network, "GlobalIPv6Address", "");
	}
	json_set_string(result, "address", address);
}

/* What a person most likely types next. */
static void set_next(struct json *result, const struct session *session, const char *id,
		     const char *name, const struct driver_match *match)
{
	struct string_list words;
	cleanup_free char *client = NULL, *text = NULL;

	driver_client(session->engine, id, match, &words);
	client = string_list_join(&words, " ");
	text = *client ? memory_printf("docker exec -it %s %s", name, client)
		       : memory_printf("docker logs %s", name);
	string_list_release(&words);
	json_set_string(result, "next", text);
}

static struct json *make_result(const struct session *session, const struct run_options *options,
				const char *id, const struct driver_match *match,
				struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = container_inspect(session->engine, id, err);
	const struct json *ports = json_path(inspect, "NetworkSettings", "Ports");
	const char *name = json_string_or(inspect, "Name", "");
	struct json *result;

	if (!inspect)
		return NULL;
	name += *name == '/';
	result = json_new_object();
	json_set_string(result, "container", id);
	json_set_string(result, "name", name);
	set_address(result, inspect);
	json_set(result, "ports", json_is_object(ports) ? json_copy(ports) : json_new_object());
	json_set_bool(result, "ready", true);
	json_set_string(result, "reference", options->reference);
	json_set_string(result, "driver", match->driver ? match->driver->name : "");
	set_next(result, session, id, name, match);
	return result;
}

static void clean_up(const struct session *session, const char *id,
		     const struct string_list *volumes)
{
	cleanup_error struct error *problem = NULL;

	engine_set_cancel(session->engine, &never_cancelled);
	if (container_remove(session->engine, id, true, true, &problem) < 0)
		progress_warn(session->progress, "cannot remove container %.12s: %s", id,
			      problem->message);
	/* One that somebody else has begun to use meanwhile stays: the engine refuses. */
	for (size_t i = 0; i < volumes->count; i++)
		volume_remove(session->engine, volumes->items[i], false, NULL);
	engine_set_cancel(session->engine, session->cancelled);
}

int snapshot_run(struct session *session, const struct run_options *options, struct json **result,
		 struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *snapshot = snapshot_inspect(session, options->reference, err);
	CLEANUP(cleanup_json_free) struct json *body = NULL;
	struct driver_match match = {0};
	struct string_list volumes;
	cleanup_free char *id = NULL;
	int outcome = -1;

	if (!snapshot)
		return -1;
	if (finish_check(options->finish, snapshot_label(snapshot, LABEL_DRIVER), err) < 0)
		return -1;
	body = make_body(options, snapshot);
	find_new_volumes(session, body, &volumes);
	id = container_create(session->engine, options->name, body, err);
	if (!id) {
		error_prefix(err, "cannot create a container from %s", options->reference);
		goto out;
	}
	if (start_and_wait(session, options, snapshot, id, &match, err) == 0) {
		*result = make_result(session, options, id, &match, err);
		outcome = *result ? 0 : -1;
	}
	if (outcome < 0) {
		error_prefix(err, "%s did not run", options->reference);
		clean_up(session, id, &volumes);
	} else if (finish_run(session, id, snapshot, options->finish, err) < 0) {
		/* The container stays: it has the data, and a person decides. */
		json_free(STEAL_POINTER(*result));
		error_prefix(err, "\"%s\"", options->name ? options->name : id);
		outcome = -1;
	}
out:
	driver_match_release(&match);
	string_list_release(&volumes);
	return outcome;
}
