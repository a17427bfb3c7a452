/*
 * Going back. Everything here is judged by what the engine shows, not by how far a
 * replace says it came: it may have been killed between any two calls.
 */
#include "snapshot/restore/journal.h"

#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/text.h"
#include "snapshot/helper/heartbeat.h"
#include "snapshot/labels.h"
#include "snapshot/restore/restore_plan.h"
#include "snapshot/target.h"

#define JOURNAL_VERSION 1
#define CONTAINERS_MAX 1000

/* ---- the label ---- */

char *journal_encode(const struct json *journal)
{
	cleanup_free char *text = json_print(journal, false);

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

static bool is_sound(const struct json *journal)
{
	const struct json *containers = json_get(journal, "containers");
	const char *operation = json_string_or(journal, "operation", "");
	bool first = true;

	if (json_int(journal, "version") != JOURNAL_VERSION ||
	    (strcmp(operation, "reset") != 0 && strcmp(operation, "replace") != 0) ||
	    !json_is_string(json_get(journal, "image")) ||
	    !json_is_array(json_get(journal, "places")) ||
	    !json_is_string(json_get(journal, "snapshot")) ||
	    !json_is_string(json_get(journal, "safety")) || !json_is_array(containers) ||
	    json_count(containers) == 0 || json_count(containers) > CONTAINERS_MAX)
		return false;
	json_for_each(item, containers) {
		if (!container_is_sound(item, first))
			return false;
		first = false;
	}
	return true;
}

struct json *journal_decode(const char *text, struct error **err)
{
	size_t size = 0;
	cleanup_free uint8_t *bytes = text_unbase64(text, &size);
	CLEANUP(cleanup_json_free) struct json *journal = NULL;

	journal = bytes ? json_parse((const char *)bytes, size, NULL) : NULL;
	if (!journal || !is_sound(journal)) {
		error_set(err, ERROR_DAMAGED,
			  "label " LABEL_JOURNAL " is no journal of a reset or "
			  "replace that this sidesnap understands");
		return NULL;
	}
	return STEAL_POINTER(journal);
}

static const char *plain_name(const struct json *inspect)
{
	const char *name = json_string_or(inspect, "Name", "");

	return name + (*name == '/');
}

struct json *journal_container(const char *role, const struct json *inspect, const char *image)
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

char *journal_suffixed(const struct json *container, const char *suffix)
{
	return memory_printf("%s%s", json_string_or(container, "name", ""), suffix);
}

const struct json *journal_target(const struct json *journal)
{
	return json_first(json_get(journal, "containers"));
}

bool journal_is_reset(const struct json *journal)
{
	return strcmp(json_string_or(journal, "operation", ""), "reset") == 0;
}

const char *journal_suffix(const struct json *journal)
{
	return journal_is_reset(journal) ? SUFFIX_RESTORING : SUFFIX_OLD;
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

int journal_set_restart(const struct session *session, const char *id, const struct json *policy,
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

struct json *journal_find_new(const struct session *session, const struct json *container)
{
	static const char *const suffixes[] = {SUFFIX_NEW, ""};

	for (size_t i = 0; i < 2; i++) {
		cleanup_free char *name = journal_suffixed(container, suffixes[i]);
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

/* ${timeout_s}: -1 is the container's own, 0 kills. */
static int stop(const struct session *session, const char *id, int timeout_s, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *inspect = NULL, *now = NULL;
	cleanup_error struct error *problem = NULL;
	int result;

	inspect = look(session, id, &problem);
	if (problem) {
		error_append(err, STEAL_POINTER(problem));
		return -1;
	}
	if (!inspect || !is_running(inspect))
		return 0;
	progress_detail(session->progress, "stopping %s", plain_name(inspect));
	/* What waits for its next try cannot be killed, only be kept from it. */
	result = timeout_s == 0 && !json_bool(json_get(inspect, "State"), "Restarting")
			 ? container_kill(session->engine, id, "KILL", &problem)
			 : container_stop(session->engine, id, timeout_s, &problem);
	if (result == 0)
		return 0;
	/* It may have ended between the two calls. */
	now = look(session, id, NULL);
	if (now && !is_running(now))
		return 0;
	error_append(err, STEAL_POINTER(problem));
	return error_prefix(err, "cannot stop \"%s\"", plain_name(inspect));
}

int journal_stop_all(const struct session *session, const struct json *journal, struct error **err)
{
	static const char *const roles[] = {ROLE_USER, ROLE_FOLLOWER, ROLE_TARGET};

	for (size_t role = 0; role < 3; role++) {
		json_for_each(container, json_get(journal, "containers")) {
			if (!has_role(container, roles[role]))
				continue;
			if (stop(session, json_string(container, "id"), role == 2 ? 0 : -1, err) <
			    0)
				return -1;
		}
	}
	return 0;
}

int journal_give_name(const struct session *session, const char *id, const char *name,
		      struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = container_inspect(session->engine, id, err);

	if (!inspect)
		return -1;
	if (strcmp(plain_name(inspect), name) == 0)
		return 0;
	if (container_rename(session->engine, id, name, err) < 0)
		return error_prefix(err, "cannot rename \"%s\" to \"%s\"", plain_name(inspect),
				    name);
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
 * Whether a byte of the volumes may have changed: see the rule in the header. A container
 * that was only created counts: engines fill empty volumes with the image's content then.
 */
static int volumes_are_touched(const struct session *session, const struct json *journal,
			       const char *helper_id, const struct json *old, bool *touched,
			       struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *helper = NULL, *made = NULL;
	cleanup_free char *aside =
		journal_suffixed(journal_target(journal), journal_suffix(journal));
	struct error *problem = NULL;

	helper = look(session, helper_id, &problem);
	if (problem) {
		error_append(err, problem);
		return -1;
	}
	made = journal_is_reset(journal) ? NULL
					 : journal_find_new(session, journal_target(journal));
	/* Of a helper that somebody has removed nothing can be told, so the worst is assumed. */
	*touched = made || (strcmp(plain_name(old), aside) == 0 &&
			    (!helper || was_started(helper) || json_bool(journal, "half")));
	return 0;
}

static int stop_new(const struct session *session, const struct json *journal, struct error **err)
{
	json_for_each(container, json_get(journal, "containers")) {
		CLEANUP(cleanup_json_free) struct json *made = NULL;

		if (has_role(container, ROLE_USER) || journal_is_reset(journal))
			continue;
		made = journal_find_new(session, container);
		/* Its state is given up: no need to be polite. */
		if (made && stop(session, json_string(made, "Id"), 0, err) < 0)
			return -1;
	}
	return 0;
}

static int remove_new(const struct session *session, const struct json *journal, struct error **err)
{
	json_for_each(container, json_get(journal, "containers")) {
		for (;;) {
			CLEANUP(cleanup_json_free) struct json *made = NULL;

			made = has_role(container, ROLE_USER) || journal_is_reset(journal)
				       ? NULL
				       : journal_find_new(session, container);
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

int journal_put_back(const struct session *session, const struct json *container, bool start,
		     struct error **err)
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
	if (journal_set_restart(session, id, json_get(container, "restart"), err) < 0)
		return -1;
	if (start && !is_running(inspect)) {
		progress_detail(session->progress, "starting %s", name);
		if (container_start(session->engine, id, err) < 0)
			return error_prefix(err, "cannot start \"%s\" again", name);
	}
	return 0;
}

/* All of one role; goes on after a failure. */
static void put_back_all(const struct session *session, const struct json *journal,
			 const char *role, struct error **problems)
{
	json_for_each(container, json_get(journal, "containers")) {
		struct error *problem = NULL;

		if (has_role(container, role) &&
		    journal_put_back(session, container, json_bool(container, "running"),
				     &problem) < 0)
			error_append(problems, problem);
	}
}

/* To the state before, where that was kept; else to the snapshot's, which is as whole. */
static int make_volumes_whole(const struct session *session, const struct json *journal,
			      const struct json *old, struct error **err)
{
	const char *safety = json_string(journal, "safety");
	const char *name = json_string(journal_target(journal), "name");
	CLEANUP(cleanup_json_free) struct json *image = NULL;

	progress_phase(session->progress, *safety ? "restoring the volumes from the safety snapshot"
						  : "bringing the restore to its end");
	image = snapshot_inspect(session, *safety ? safety : json_string(journal, "image"), err);
	if (image && restore_volumes(session, image, old, journal, err) == 0)
		return 0;
	error_prefix(err, "cannot restore the volumes of \"%s\" from %s", name,
		     *safety ? safety : json_string(journal, "snapshot"));
	return -1;
}

static int roll_back(const struct session *session, const struct json *journal,
		     const char *helper_id, const struct json *old, enum journal_outcome *outcome,
		     struct error **err)
{
	struct error *problems = NULL;
	bool touched = false;

	/* Until the volumes are right nothing may use them, and the journal must stay. */
	if (stop(session, helper_id, 0, err) < 0 ||
	    volumes_are_touched(session, journal, helper_id, old, &touched, err) < 0 ||
	    stop_new(session, journal, err) < 0)
		return -1;
	if (touched) {
		if (journal_stop_all(session, journal, err) < 0 ||
		    failpoint_error("rollback/stopped", err) < 0 ||
		    make_volumes_whole(session, journal, old, err) < 0 ||
		    failpoint_error("rollback/restored", err) < 0)
			return -1;
		if (!*json_string(journal, "safety"))
			*outcome = JOURNAL_FINISHED;
	}
	if (remove_new(session, journal, err) < 0)
		return -1;
	put_back_all(session, journal, ROLE_TARGET, &problems);
	if (!problems)
		put_back_all(session, journal, ROLE_FOLLOWER, &problems);
	put_back_all(session, journal, ROLE_USER, &problems);
	error_append(err, problems);
	return problems ? -1 : 0;
}

/* ---- finishing ---- */

/* The old target is gone, so its successor runs: remove the old followers, start the rest. */
static void finish_follower(const struct session *session, const struct json *container,
			    struct error **problems)
{
	const char *name = json_string(container, "name"), *id = json_string(container, "id");
	CLEANUP(cleanup_json_free) struct json *made = journal_find_new(session, container);
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

static void finish(const struct session *session, const struct json *journal,
		   struct error **problems)
{
	json_for_each(container, json_get(journal, "containers")) {
		CLEANUP(cleanup_json_free) struct json *made = NULL;
		struct error *problem = NULL;

		if (has_role(container, ROLE_USER)) {
			if (journal_put_back(session, container, json_bool(container, "running"),
					     &problem) < 0)
				error_append(problems, problem);
			continue;
		}
		if (journal_is_reset(journal))
			continue;
		if (has_role(container, ROLE_FOLLOWER))
			finish_follower(session, container, problems);
		made = journal_find_new(session, container);
		if (made && strcmp(plain_name(made), json_string(container, "name")) != 0 &&
		    container_rename(session->engine, json_string(made, "Id"),
				     json_string(container, "name"), &problem) < 0)
			error_append(problems, problem);
	}
}

int journal_go_back(const struct session *session, const struct json *journal,
		    const struct json *helper, enum journal_outcome *outcome, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *old = NULL;
	const char *helper_id = json_string_or(helper, "Id", "");
	struct error *problems = NULL;

	old = look(session, json_string(journal_target(journal), "id"), &problems);
	if (problems) {
		error_append(err, problems);
		return -1;
	}
	*outcome = old ? JOURNAL_ROLLED_BACK : JOURNAL_FINISHED;
	if (old)
		roll_back(session, journal, helper_id, old, outcome, &problems);
	else
		finish(session, journal, &problems);
	if (!problems)
		container_remove(session->engine, helper_id, true, true, &problems);
	error_append(err, problems);
	return problems ? -1 : 0;
}

int journal_take_over(const struct session *session, const struct json *journal,
		      const struct json *helper, enum journal_outcome *outcome, struct error **err)
{
	const char *nonce = json_string_or(json_path(helper, "Config", "Labels"), LABEL_NONCE, "");
	cleanup_free char *folder = memory_printf("/%s", nonce);
	CLEANUP(cleanup_heartbeat_stop)
	struct heartbeat *heartbeat =
		heartbeat_start(session, json_string_or(helper, "Id", ""), folder, true, err);

	return heartbeat ? journal_go_back(session, journal, helper, outcome, err) : -1;
}
