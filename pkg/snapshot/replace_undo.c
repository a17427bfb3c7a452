/*
 * Going back. Everything here is judged by what the engine shows, not by how far a
 * replace says it came: it may have been killed between any two calls.
 */
#include "snapshot/replace_undo.h"

#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/text.h"
#include "snapshot/labels.h"
#include "snapshot/replace_restore.h"
#include "snapshot/target.h"

#define UNDO_VERSION 1
#define CONTAINERS_MAX 1000

/* ---- the label ---- */

char *undo_encode(const struct json *undo)
{
	cleanup_free char *text = json_print(undo, false);

	return text_base64(text, strlen(text), true);
}

static bool is_id(const char *text)
{
	return text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static bool container_is_sound(const struct json *item, bool first)
{
	const char *role = json_string_or(item, "role", "");
	const char *name = json_string_or(item, "name", "");

	if (first != (strcmp(role, ROLE_TARGET) == 0))
		return false;
	if (!first && strcmp(role, ROLE_FOLLOWER) != 0 && strcmp(role, ROLE_USER) != 0)
		return false;
	return is_id(json_string(item, "id")) && *name && !strchr(name, '/') &&
	       json_is_string(json_get(item, "image")) &&
	       json_is_object(json_get(item, "restart")) && json_is_bool(json_get(item, "running"));
}

static bool is_sound(const struct json *undo)
{
	const struct json *containers = json_get(undo, "containers");
	bool first = true;

	if (json_int(undo, "version") != UNDO_VERSION || !json_is_string(json_get(undo, "image")) ||
	    !json_is_string(json_get(undo, "snapshot")) ||
	    !json_is_string(json_get(undo, "safety")) || !json_is_array(containers) ||
	    json_count(containers) == 0 || json_count(containers) > CONTAINERS_MAX)
		return false;
	json_for_each(item, containers) {
		if (!container_is_sound(item, first))
			return false;
		first = false;
	}
	return true;
}

struct json *undo_decode(const char *text, struct error **err)
{
	size_t size = 0;
	cleanup_free uint8_t *bytes = text_unbase64(text, &size);
	CLEANUP(cleanup_json_free) struct json *undo = NULL;

	undo = bytes ? json_parse((const char *)bytes, size, NULL) : NULL;
	if (!undo || !is_sound(undo)) {
		error_set(err, ERROR_DAMAGED,
			  "label " LABEL_UNDO " is no journal of a replace that "
			  "this sidesnap understands");
		return NULL;
	}
	return STEAL_POINTER(undo);
}

static const char *plain_name(const struct json *inspect)
{
	const char *name = json_string_or(inspect, "Name", "");

	return name + (*name == '/');
}

struct json *undo_container(const char *role, const struct json *inspect, const char *image)
{
	const struct json *policy = json_path(inspect, "HostConfig", "RestartPolicy");
	struct json *item = json_new_object();

	json_set_string(item, "role", role);
	json_set_string(item, "id", json_string_or(inspect, "Id", ""));
	json_set_string(item, "name", plain_name(inspect));
	json_set_string(item, "image", image);
	json_set(item, "restart", json_is_object(policy) ? json_copy(policy) : json_new_object());
	json_set_bool(item, "running", json_bool(json_get(inspect, "State"), "Running"));
	return item;
}

char *undo_suffixed(const struct json *container, const char *suffix)
{
	return memory_printf("%s%s", json_string_or(container, "name", ""), suffix);
}

const struct json *undo_target(const struct json *undo)
{
	return json_first(json_get(undo, "containers"));
}

static bool has_role(const struct json *container, const char *role)
{
	return strcmp(json_string_or(container, "role", ""), role) == 0;
}

/* ---- single containers ---- */

/* Its inspect; NULL without an error when it is gone. */
static struct json *look(const struct session *session, const char *id, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	struct json *inspect = container_inspect(session->engine, id, &problem);

	if (!inspect && problem->kind != ERROR_NOT_FOUND)
		error_append(err, STEAL_POINTER(problem));
	return inspect;
}

static bool is_running(const struct json *inspect)
{
	return json_bool(json_get(inspect, "State"), "Running");
}

int undo_set_restart(const struct session *session, const char *id, const struct json *policy,
		     struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = container_inspect(session->engine, id, err);
	CLEANUP(cleanup_json_free) struct json *body = json_new_object();
	const char *is, *wanted = text_or(json_string(policy, "Name"), "no");
	struct json *set;

	if (!inspect)
		return -1;
	is = text_or(json_string(json_path(inspect, "HostConfig", "RestartPolicy"), "Name"), "no");
	if (strcmp(is, wanted) == 0)
		return 0;
	set = json_set_object(body, "RestartPolicy");
	json_set_string(set, "Name", wanted);
	if (json_int(policy, "MaximumRetryCount") > 0)
		json_set_int(set, "MaximumRetryCount", json_int(policy, "MaximumRetryCount"));
	if (container_update(session->engine, id, body, err) < 0)
		return error_prefix(err, "cannot change the restart policy of \"%s\"",
				    plain_name(inspect));
	return 0;
}

struct json *undo_find_new(const struct session *session, const struct json *container)
{
	static const char *const suffixes[] = {SUFFIX_NEW, ""};

	for (size_t i = 0; i < 2; i++) {
		cleanup_free char *name = undo_suffixed(container, suffixes[i]);
		CLEANUP(cleanup_json_free)
		struct json *found = container_inspect(session->engine, name, NULL);

		/* Only one that is made from what the journal says: a name alone can be anybody's. */
		if (found && strcmp(plain_name(found), name) == 0 &&
		    strcmp(json_string_or(found, "Id", ""), json_string(container, "id")) != 0 &&
		    strcmp(json_string_or(found, "Image", ""), json_string(container, "image")) ==
			    0)
			return STEAL_POINTER(found);
	}
	return NULL;
}

static int stop(const struct session *session, const char *id, int timeout_s, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *inspect = NULL;
	struct error *problem = NULL;

	inspect = look(session, id, &problem);
	if (problem) {
		error_append(err, problem);
		return -1;
	}
	if (!inspect || !is_running(inspect))
		return 0;
	progress_detail(session->progress, "stopping %s", plain_name(inspect));
	if (container_stop(session->engine, id, timeout_s, err) < 0)
		return error_prefix(err, "cannot stop \"%s\"", plain_name(inspect));
	return 0;
}

int undo_stop_all(const struct session *session, const struct json *undo, struct error **err)
{
	static const char *const roles[] = {ROLE_USER, ROLE_FOLLOWER, ROLE_TARGET};

	for (size_t role = 0; role < 3; role++) {
		json_for_each(container, json_get(undo, "containers")) {
			if (!has_role(container, roles[role]))
				continue;
			if (stop(session, json_string(container, "id"), -1, err) < 0)
				return -1;
		}
	}
	return 0;
}

/* ---- rolling back ---- */

/* An engine's "never" is the year 1. */
static bool was_started(const struct json *inspect)
{
	const char *started = json_string_or(json_get(inspect, "State"), "StartedAt", "");

	return *started && !text_has_prefix(started, "0001-");
}

/*
 * Whether a byte of the volumes may have changed. A container that was only created
 * counts: engines fill empty volumes with the image's content then.
 */
static int volumes_are_touched(const struct session *session, const struct json *undo,
			       const char *helper_id, bool *touched, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *helper = NULL, *made = NULL;
	struct error *problem = NULL;

	helper = look(session, helper_id, &problem);
	if (problem) {
		error_append(err, problem);
		return -1;
	}
	made = undo_find_new(session, undo_target(undo));
	*touched = (helper && was_started(helper)) || made;
	return 0;
}

static int stop_new(const struct session *session, const struct json *undo, struct error **err)
{
	json_for_each(container, json_get(undo, "containers")) {
		CLEANUP(cleanup_json_free) struct json *made = NULL;

		if (has_role(container, ROLE_USER))
			continue;
		made = undo_find_new(session, container);
		/* Its state is given up: no need to be polite. */
		if (made && stop(session, json_string(made, "Id"), 0, err) < 0)
			return -1;
	}
	return 0;
}

static int remove_new(const struct session *session, const struct json *undo, struct error **err)
{
	json_for_each(container, json_get(undo, "containers")) {
		for (;;) {
			CLEANUP(cleanup_json_free) struct json *made = NULL;

			made = has_role(container, ROLE_USER) ? NULL
							      : undo_find_new(session, container);
			if (!made)
				break;
			/* The old one's volumes are named in it, so only new anonymous ones go along. */
			if (container_remove(session->engine, json_string(made, "Id"), true, true,
					     err) < 0)
				return error_prefix(err, "cannot remove the new container \"%s\"",
						    plain_name(made));
		}
	}
	return 0;
}

static int put_back(const struct session *session, const struct json *container, struct error **err)
{
	const char *id = json_string(container, "id"), *name = json_string(container, "name");
	CLEANUP(cleanup_json_free) struct json *inspect = NULL;
	struct error *problem = NULL;

	inspect = look(session, id, &problem);
	if (problem) {
		error_append(err, problem);
		return -1;
	}
	if (!inspect)
		return has_role(container, ROLE_USER)
			       ? 0
			       : error_set(err, ERROR_NOT_FOUND, "container \"%s\" (%.12s) is gone",
					   name, id);
	if (!has_role(container, ROLE_USER) && strcmp(plain_name(inspect), name) != 0 &&
	    container_rename(session->engine, id, name, err) < 0)
		return error_prefix(err, "cannot give container %.12s its name \"%s\" back", id,
				    name);
	if (undo_set_restart(session, id, json_get(container, "restart"), err) < 0)
		return -1;
	if (json_bool(container, "running") && !is_running(inspect)) {
		progress_detail(session->progress, "starting %s", name);
		if (container_start(session->engine, id, err) < 0)
			return error_prefix(err, "cannot start \"%s\" again", name);
	}
	return 0;
}

/* All of one role; goes on after a failure. */
static void put_back_all(const struct session *session, const struct json *undo, const char *role,
			 struct error **problems)
{
	json_for_each(container, json_get(undo, "containers")) {
		struct error *problem = NULL;

		if (has_role(container, role) && put_back(session, container, &problem) < 0)
			error_append(problems, problem);
	}
}

static int give_volumes_back(const struct session *session, const struct json *undo,
			     const struct json *old, struct error **err)
{
	const char *safety = json_string(undo, "safety");
	CLEANUP(cleanup_json_free) struct json *image = NULL;

	progress_phase(session->progress, "restoring the volumes from the safety snapshot");
	image = snapshot_inspect(session, safety, err);
	if (!image || restore_volumes(session, image, old, json_get(undo, "places"), err) < 0)
		return error_prefix(err, "cannot restore the volumes of \"%s\" from %s",
				    json_string(undo_target(undo), "name"), safety);
	return 0;
}

static int roll_back(const struct session *session, const struct json *undo, const char *helper_id,
		     const struct json *old, struct error **err)
{
	struct error *problems = NULL;
	bool touched = false;

	/* Until the volumes are right nothing may use them, and the journal must stay. */
	if (stop(session, helper_id, 0, err) < 0 ||
	    volumes_are_touched(session, undo, helper_id, &touched, err) < 0 ||
	    stop_new(session, undo, err) < 0)
		return -1;
	if (touched) {
		if (undo_stop_all(session, undo, err) < 0 ||
		    failpoint_error("undo/stopped", err) < 0 ||
		    give_volumes_back(session, undo, old, err) < 0 ||
		    failpoint_error("undo/restored", err) < 0)
			return -1;
	}
	if (remove_new(session, undo, err) < 0)
		return -1;
	put_back_all(session, undo, ROLE_TARGET, &problems);
	if (!problems)
		put_back_all(session, undo, ROLE_FOLLOWER, &problems);
	put_back_all(session, undo, ROLE_USER, &problems);
	error_append(err, problems);
	return problems ? -1 : 0;
}

/* ---- finishing ---- */

/* The old target is gone, so its successor runs: remove the old followers, start the rest. */
static void finish_follower(const struct session *session, const struct json *container,
			    struct error **problems)
{
	const char *name = json_string(container, "name"), *id = json_string(container, "id");
	CLEANUP(cleanup_json_free) struct json *made = undo_find_new(session, container);
	CLEANUP(cleanup_json_free) struct json *old = NULL;
	struct error *problem = NULL;

	old = look(session, id, &problem);
	if (!problem && !old)
		return;
	if (!problem && !made)
		error_set(&problem, ERROR_FAILED,
			  "container \"%s\" lost the container whose namespace it lived in, and "
			  "nothing was made in its place",
			  name);
	else if (!problem)
		container_remove(session->engine, id, false, true, &problem);
	error_append(problems, problem);
}

static void finish(const struct session *session, const struct json *undo, struct error **problems)
{
	json_for_each(container, json_get(undo, "containers")) {
		CLEANUP(cleanup_json_free) struct json *made = NULL;
		struct error *problem = NULL;

		if (has_role(container, ROLE_USER)) {
			if (put_back(session, container, &problem) < 0)
				error_append(problems, problem);
			continue;
		}
		if (has_role(container, ROLE_FOLLOWER))
			finish_follower(session, container, problems);
		made = undo_find_new(session, container);
		if (made && strcmp(plain_name(made), json_string(container, "name")) != 0 &&
		    container_rename(session->engine, json_string(made, "Id"),
				     json_string(container, "name"), &problem) < 0)
			error_append(problems, problem);
	}
}

int undo_run(const struct session *session, const struct json *undo, const struct json *helper,
	     enum undo_outcome *outcome, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *old = NULL;
	const char *helper_id = json_string_or(helper, "Id", "");
	struct error *problems = NULL;

	old = look(session, json_string(undo_target(undo), "id"), &problems);
	if (problems) {
		error_append(err, problems);
		return -1;
	}
	*outcome = old ? UNDO_ROLLED_BACK : UNDO_FINISHED;
	if (old)
		roll_back(session, undo, helper_id, old, &problems);
	else
		finish(session, undo, &problems);
	if (!problems)
		container_remove(session->engine, helper_id, true, true, &problems);
	error_append(err, problems);
	return problems ? -1 : 0;
}
