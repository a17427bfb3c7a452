/*
 * Restoring a volume under a running container would pull its files away, and a
 * container in a namespace that is gone cannot start again: both are found here,
 * before anything is done.
 */
#include "snapshot/restore/restore_others.h"

#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "snapshot/helper/heartbeat.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/helper/state.h"
#include "snapshot/labels.h"
#include "snapshot/restore/journal.h"

struct search {
	const struct session *session;
	const struct target *target;
	const struct restore_plan *plan;
	struct json *all;		     /* inspects of all other containers */
	struct json *containers;	     /* of the journal */
	bool in_place;			     /* the target stays the same container */
	char *own;			     /* id of the container that we run in, or NULL */
	struct string_list users, followers; /* names, for the question */
};

static const char *id_of(const struct json *inspect)
{
	return json_string_or(inspect, "Id", "");
}

static const char *name_of(const struct json *inspect)
{
	const char *name = json_string_or(inspect, "Name", "");

	return name + (*name == '/');
}

static bool is_listed(const struct search *search, const char *id)
{
	json_for_each(item, search->containers)
		if (strcmp(json_string_or(item, "id", ""), id) == 0)
			return true;
	return false;
}

/* Whether the container lives in a namespace of one that is made again. */
static bool follows(const struct search *search, const struct json *inspect)
{
	static const char *const modes[] = {"NetworkMode", "PidMode", "IpcMode"};

	for (size_t i = 0; i < 3; i++) {
		const char *mode = json_string_or(json_get(inspect, "HostConfig"), modes[i], "");

		if (text_has_prefix(mode, "container:") &&
		    is_listed(search, mode + strlen("container:")))
			return true;
	}
	return false;
}

/* The same by name: such a container only needs another start. */
static bool follows_by_name(const struct search *search, const struct json *inspect)
{
	static const char *const modes[] = {"NetworkMode", "PidMode", "IpcMode"};
	cleanup_free char *wanted = memory_printf("container:%s", search->target->name);

	for (size_t i = 0; i < 3; i++)
		if (strcmp(json_string_or(json_get(inspect, "HostConfig"), modes[i], ""), wanted) ==
		    0)
			return true;
	return false;
}

static bool mounts_overlap(const struct json *mount, const struct json *restored)
{
	const char *source = json_string_or(restored, "Source", "");
	const char *type = json_string_or(mount, "Type", "");
	const char *other = json_string_or(mount, "Source", "");

	/* a helper that has the folder of a volume (plan.c) */
	if (strcmp(type, "bind") == 0 &&
	    strcmp(json_string_or(restored, "Type", ""), "volume") == 0 && strlen(source) == 64)
		return strstr(other, source) != NULL;
	if (strcmp(type, json_string_or(restored, "Type", "")) != 0)
		return false;
	if (strcmp(type, "volume") == 0)
		return strcmp(json_string_or(mount, "Name", ""), source) == 0;
	return path_is_at_or_under(other, source) || path_is_at_or_under(source, other);
}

static bool uses_volumes(const struct search *search, const struct json *inspect)
{
	json_for_each(mount, json_get(inspect, "Mounts"))
		json_for_each(restored, search->plan->mounts)
			/* that one all have */
			if (strcmp(json_string_or(restored, "Target", ""), STATE_MOUNT) != 0 &&
			    mounts_overlap(mount, restored))
				return true;
	return false;
}

/* What is not as it was after a stop and a start. */
static int check_can_stop(const struct search *search, const struct json *inspect, const char *why,
			  struct error **err)
{
	const char *name = name_of(inspect);

	if (search->own && strcmp(search->own, id_of(inspect)) == 0) {
		error_set(err, ERROR_REFUSED, "sidesnap itself runs in \"%s\", which %s", name,
			  why);
		return error_hint(err, "run it from elsewhere: docker run --rm -v "
				       "/var/run/docker.sock:/var/run/docker.sock sidesnap ...");
	}
	if (json_bool(json_get(inspect, "State"), "Paused")) {
		error_set(err, ERROR_REFUSED, "\"%s\", which %s, is paused", name, why);
		return error_hint(err, "unpause it first: docker unpause %s", name);
	}
	if (json_bool(json_get(inspect, "HostConfig"), "AutoRemove")) {
		error_set(err, ERROR_REFUSED,
			  "\"%s\", which %s, was started with --rm and would be gone after a stop",
			  name, why);
		return error_hint(err, "stop it yourself: docker stop %s", name);
	}
	return 0;
}

static int add(struct search *search, const struct json *inspect, const char *role,
	       struct string_list *names)
{
	json_add(search->containers,
		 journal_container(role, inspect, json_string_or(inspect, "Image", "")));
	string_list_add(names, name_of(inspect));
	return 0;
}

/* One more round finds the followers of those that the last one found. */
static int find_followers(struct search *search, struct error **err)
{
	bool found = true;

	while (found) {
		found = false;
		json_for_each(inspect, search->all) {
			if (is_listed(search, id_of(inspect)) || !follows(search, inspect))
				continue;
			/* One that does not run finds the namespace at its next start. */
			if (search->in_place && !json_bool(json_get(inspect, "State"), "Running"))
				continue;
			if (check_can_stop(search, inspect, "lives in a namespace of the target",
					   err) < 0)
				return -1;
			add(search, inspect, search->in_place ? ROLE_USER : ROLE_FOLLOWER,
			    search->in_place ? &search->users : &search->followers);
			found = true;
		}
	}
	return 0;
}

static int find_users(struct search *search, struct error **err)
{
	json_for_each(inspect, search->all) {
		bool uses = uses_volumes(search, inspect);

		if (is_listed(search, id_of(inspect)) ||
		    !json_bool(json_get(inspect, "State"), "Running") ||
		    (!uses && !follows_by_name(search, inspect)))
			continue;
		if (uses && search->own && strcmp(search->own, id_of(inspect)) == 0) {
			progress_warn(search->session->progress,
				      "sidesnap's own container uses a volume that is restored");
			continue;
		}
		if (check_can_stop(search, inspect,
				   uses ? "uses a volume of the target"
					: "lives in a namespace of the target",
				   err) < 0)
			return -1;
		add(search, inspect, ROLE_USER, &search->users);
	}
	return 0;
}

/* What neither runs nor is a helper that is about to has nothing to do with a reset. */
static bool may_matter(const struct json *entry)
{
	const char *state = json_string_or(entry, "State", "");

	return (strcmp(state, "exited") != 0 && strcmp(state, "dead") != 0 &&
		strcmp(state, "created") != 0) ||
	       *json_string_or(json_get(entry, "Labels"), LABEL_NONCE, "");
}

static const char *journal_label(const struct json *inspect)
{
	return json_string_or(json_path(inspect, "Config", "Labels"), LABEL_JOURNAL, "");
}

/* Whether a helper's journal is that of the target: then its name, the lock, settles it. */
static bool is_of_target(const struct search *search, const struct json *helper)
{
	CLEANUP(cleanup_json_free)
	struct json *journal = journal_decode(journal_label(helper), NULL);

	return journal &&
	       strcmp(json_string(journal_target(journal), "id"), search->target->id) == 0;
}

/* A restore has no running helper any more when the service comes up, or when it is rolled back. */
static bool is_at_work(const struct search *search, const struct json *helper)
{
	return *journal_label(helper) ? heartbeat_owner(search->session, helper) != OWNER_DEAD
				      : helper_is_alive(search->session, helper);
}

/*
 * Another helper that has one of the volumes. Where it was killed its journal says what it will
 * be made: doctor would overwrite what we restore.
 */
static int check_helper(const struct search *search, const struct json *helper, struct error **err)
{
	if (!uses_volumes(search, helper))
		return 0;
	if (is_at_work(search, helper)) {
		error_set(err, ERROR_BUSY,
			  "another sidesnap works on a volume of \"%s\" (helper %s)",
			  search->target->name, name_of(helper));
		return error_hint(err, "wait for it, then try again");
	}
	if (!*journal_label(helper) || is_of_target(search, helper))
		return 0;
	error_set(err, ERROR_BUSY,
		  "a reset or replace of another container with a volume of \"%s\" was interrupted "
		  "(helper %s)",
		  search->target->name, name_of(helper));
	return error_hint(err, "run \"sidesnap doctor\", then try again");
}

int restore_check_alone(const struct session *session, const struct target *target,
			const struct restore_plan *plan, struct error **err)
{
	const struct search search = {.session = session, .target = target, .plan = plan};
	CLEANUP(cleanup_json_free) struct json *filters = json_new_object(), *list = NULL;

	json_add_string(json_set_array(filters, "label"), LABEL_JOURNAL);
	list = container_list(session->engine, true, filters, err);
	if (!list)
		return -1;
	json_for_each(item, list) {
		CLEANUP(cleanup_json_free)
		struct json *helper =
			container_inspect(session->engine, json_string_or(item, "Id", ""), NULL);

		if (helper && helper_is_ours(helper) && !is_of_target(&search, helper) &&
		    check_helper(&search, helper, err) < 0)
			return -1;
	}
	return 0;
}

/* All containers but the target; helpers that read one of the volumes are in the way. */
static int inspect_all(struct search *search, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *list = container_list(search->session->engine, true, NULL, err);

	if (!list)
		return -1;
	search->all = json_new_array();
	json_for_each(item, list) {
		const char *id = json_string_or(item, "Id", "");
		CLEANUP(cleanup_json_free) struct json *inspect = NULL;

		if (strcmp(id, search->target->id) == 0 || (search->in_place && !may_matter(item)))
			continue;
		/* One that is gone meanwhile is no error. */
		inspect = container_inspect(search->session->engine, id, NULL);
		if (!inspect)
			continue;
		if (!helper_is_ours(inspect))
			json_add(search->all, STEAL_POINTER(inspect));
		else if (check_helper(search, inspect, err) < 0)
			return -1;
	}
	return 0;
}

static char *make_question(const struct search *search)
{
	cleanup_free char *users = string_list_join(&search->users, ", ");
	cleanup_free char *followers = string_list_join(&search->followers, ", ");
	cleanup_free char *stops = NULL, *makes = NULL;

	if (!*users && !*followers)
		return NULL;
	stops = *users ? memory_printf("stops and starts %s (same volumes or namespaces)", users)
		       : memory_strdup("");
	makes = *followers ? memory_printf(
				     "makes %s again (in a namespace of the target; files changed "
				     "there outside of volumes are lost)",
				     followers)
			   : memory_strdup("");
	return memory_printf("%s \"%s\" %s%s%s; go on?",
			     search->in_place ? "resetting" : "replacing", search->target->name,
			     stops, *users && *followers ? ", and " : "", makes);
}

int restore_find_others(const struct session *session, const struct target *target,
			const struct restore_plan *plan, const struct json *journal,
			char **question, struct error **err)
{
	struct search search = {.session = session,
				.target = target,
				.plan = plan,
				.containers = json_get(journal, "containers"),
				.in_place = journal_is_reset(journal)};
	int result = -1;

	*question = NULL;
	search.own = session_own_container(session);
	if (inspect_all(&search, err) == 0 && find_followers(&search, err) == 0 &&
	    find_users(&search, err) == 0) {
		*question = make_question(&search);
		result = 0;
	}
	json_free(search.all);
	free(search.own);
	string_list_release(&search.users);
	string_list_release(&search.followers);
	return result;
}
