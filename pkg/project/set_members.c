/*
 * The members of a set. Those of one compose project go by their services' names, which are the same
 * on another machine; others by their containers'.
 */
#include "project/set_members.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "snapshot/create/writers.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/helper/scratch.h"
#include "snapshot/labels.h"
#include "snapshot/target.h"

static const char *label(const struct json *inspect, const char *name)
{
	return json_string_or(json_path(inspect, "Config", "Labels"), name, "");
}

static void add_member(struct set_members *members, struct json *inspect)
{
	const char *name = json_string_or(inspect, "Name", "/");
	struct set_member *member;

	members->list = memory_array(members->list, members->count + 1, sizeof(*members->list));
	member = &members->list[members->count++];
	*member = (struct set_member){
		.inspect = inspect,
		.id = json_string_or(inspect, "Id", ""),
		.container = name + (*name == '/'),
	};
	member_process_init(&member->process);
}

static bool has_member(const struct set_members *members, const char *id)
{
	for (size_t i = 0; i < members->count; i++)
		if (strcmp(members->list[i].id, id) == 0)
			return true;
	return false;
}

static int find_named(const struct session *session, const struct string_list *names,
		      struct set_members *members, struct error **err)
{
	for (size_t i = 0; i < names->count; i++) {
		CLEANUP(target_release) struct target target = {0};

		if (target_find(session, names->items[i], &target, err) < 0)
			return -1;
		if (!has_member(members, target.id))
			add_member(members, json_copy(target.inspect));
	}
	return 0;
}

/* Of `docker-compose run`: not a part of the project's state. */
static bool is_one_off(const struct json *inspect)
{
	return strcmp(label(inspect, "com.docker.compose.oneoff"), "True") == 0;
}

static int find_listed(const struct session *session, const char *project,
		       struct set_members *members, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *filters = NULL, *list = NULL;

	if (project) {
		cleanup_free char *wanted = memory_printf(COMPOSE_PROJECT "=%s", project);

		filters = json_new_object();
		json_add_string(json_set_array(filters, "label"), wanted);
	}
	list = container_list(session->engine, true, filters, err);
	if (!list)
		return -1;
	json_for_each(item, list) {
		struct json *inspect =
			container_inspect(session->engine, json_string(item, "Id"), NULL);

		/* One that vanished meanwhile is not in the set. */
		if (!inspect || helper_is_ours(inspect) || scratch_is_ours(inspect) ||
		    (project && is_one_off(inspect)))
			json_free(inspect);
		else
			add_member(members, inspect);
	}
	if (members->count)
		return 0;
	if (!project)
		return error_set(err, ERROR_NOT_FOUND, "there are no containers");
	error_set(err, ERROR_NOT_FOUND, "compose project \"%s\" has no containers", project);
	return error_hint(err, "\"sidesnap ps -a\" lists the containers with their projects");
}

/* The project that all are of; NULL: none. */
static const char *common_project(const struct set_members *members)
{
	const char *project =
		members->count ? label(members->list[0].inspect, COMPOSE_PROJECT) : "";

	for (size_t i = 1; i < members->count; i++)
		if (strcmp(label(members->list[i].inspect, COMPOSE_PROJECT), project) != 0)
			return NULL;
	return *project ? project : NULL;
}

static size_t count_of_service(const struct set_members *members, const char *service)
{
	size_t count = 0;

	for (size_t i = 0; i < members->count; i++)
		count += strcmp(label(members->list[i].inspect, COMPOSE_SERVICE), service) == 0;
	return count;
}

static char *member_name(const struct set_members *members, const struct set_member *member)
{
	const char *service = label(member->inspect, COMPOSE_SERVICE);
	const char *number = label(member->inspect, "com.docker.compose.container-number");

	if (!members->project || !*service)
		return memory_strdup(member->container);
	if (count_of_service(members, service) == 1)
		return memory_strdup(service);
	return memory_printf("%s-%s", service, *number ? number : member->container);
}

static int by_name(const void *a, const void *b)
{
	const struct set_member *left = a, *right = b;

	return strcmp(left->name, right->name);
}

/* ---- volumes that several have ---- */

static bool has_subpath(const struct set_member *member, const char *volume)
{
	json_for_each(mount, json_path(member->inspect, "HostConfig", "Mounts"))
		if (strcmp(json_string_or(mount, "Source", ""), volume) == 0 &&
		    *json_string_or(json_get(mount, "VolumeOptions"), "Subpath", ""))
			return true;
	return false;
}

/* How well a member stands for a volume: 2: it writes it, 1: it reads it, 0: it has none of it, or a part. */
static int claim(const struct set_member *member, const char *volume)
{
	int best = 0;

	json_for_each(mount, json_get(member->inspect, "Mounts")) {
		int now;

		if (strcmp(json_string_or(mount, "Type", ""), "volume") != 0 ||
		    strcmp(json_string_or(mount, "Name", ""), volume) != 0)
			continue;
		now = json_bool(mount, "RW") ? 2 : 1;
		best = now > best ? now : best;
	}
	return best && has_subpath(member, volume) ? 0 : best;
}

/* The first of those with the best claim captures it. */
static const struct set_member *holder_of(const struct set_members *members, const char *volume)
{
	const struct set_member *best = NULL;

	for (size_t i = 0; i < members->count; i++)
		if (claim(&members->list[i], volume) > (best ? claim(best, volume) : 0))
			best = &members->list[i];
	return best;
}

static void share_volumes(struct set_members *members)
{
	for (size_t i = 0; i < members->count; i++) {
		struct set_member *member = &members->list[i];

		member->elsewhere = json_new_object();
		json_for_each(mount, json_get(member->inspect, "Mounts")) {
			const char *volume = json_string_or(mount, "Name", "");
			const struct set_member *holder;

			if (!*volume || !claim(member, volume))
				continue;
			holder = holder_of(members, volume);
			if (holder != member)
				json_set_string(member->elsewhere, volume, holder->name);
		}
	}
}

int set_members_find(const struct session *session, const struct set_options *options,
		     struct set_members *members, struct error **err)
{
	*members = (struct set_members){0};
	if (options->targets->count ? find_named(session, options->targets, members, err) < 0
				    : find_listed(session, options->all ? NULL : session->project,
						  members, err) < 0)
		return -1;
	members->project = common_project(members);
	for (size_t i = 0; i < members->count; i++)
		members->list[i].name = member_name(members, &members->list[i]);
	qsort(members->list, members->count, sizeof(*members->list), by_name);
	share_volumes(members);
	members->reasons = writers_never_frozen(session, err);
	if (!members->reasons)
		return -1;
	for (size_t i = 0; i < members->count; i++)
		members->list[i].never_frozen = json_string(members->reasons, members->list[i].id);
	return 0;
}

void set_members_release(struct set_members *members)
{
	for (size_t i = 0; i < members->count; i++) {
		struct set_member *member = &members->list[i];

		member_process_end(&member->process);
		reference_release(&member->reference);
		json_free(member->elsewhere);
		json_free(member->inspect);
		free(member->name);
	}
	free(members->list);
	json_free(members->reasons);
	*members = (struct set_members){0};
}
