/*
 * Which container a person means. Names, ids and services share one argument, so a
 * word that fits two containers is refused rather than guessed.
 */
#include "snapshot/target.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/path.h"
#include "snapshot/labels.h"
#include "snapshot/reference.h"
#include "tree/manifest.h"
#include "ui/options.h"

#define ID_LENGTH 64
#define PREFIX_MIN 4
#define NAMES_IN_HINT 4

const char *target_entry_name(const struct json *entry)
{
	json_for_each(item, json_get(entry, "Names")) {
		const char *name = json_string(item, NULL);

		if (!name)
			continue;
		name += name[0] == '/';
		/* Links give a container further names, "other/alias". */
		if (!strchr(name, '/'))
			return name;
	}
	return "";
}

static const char *entry_label(const struct json *entry, const char *label)
{
	return json_string_or(json_get(entry, "Labels"), label, "");
}

static bool is_hexadecimal(const char *text)
{
	return strspn(text, "0123456789abcdef") == strlen(text);
}

static bool is_service(const struct json *entry, const char *service, const char *project)
{
	return !strcmp(entry_label(entry, COMPOSE_SERVICE), service) &&
	       strcasecmp(entry_label(entry, COMPOSE_ONEOFF), "true") != 0 &&
	       (!project || !strcmp(entry_label(entry, COMPOSE_PROJECT), project));
}

static bool is_prefix(const struct json *entry, const char *prefix)
{
	return text_has_prefix(json_string_or(entry, "Id", ""), prefix);
}

/* Containers that fit, as "NAME (project P)" for messages. */
struct fitting {
	const struct json *first;
	struct string_list names;
};

static void add_fitting(struct fitting *fitting, const struct json *entry)
{
	const char *project = entry_label(entry, COMPOSE_PROJECT);
	cleanup_free char *shown =
		*project ? memory_printf("\"%s\" (project %s)", target_entry_name(entry), project)
			 : memory_printf("\"%s\"", target_entry_name(entry));

	if (!fitting->first)
		fitting->first = entry;
	string_list_add(&fitting->names, shown);
}

static int ambiguous(const char *name, const char *what, const struct fitting *fitting,
		     struct error **err)
{
	cleanup_free char *names = string_list_join(&fitting->names, ", ");

	error_set(err, ERROR_USAGE, "\"%s\" is ambiguous: %s: %s", name, what, names);
	return error_hint(err, "give the name or id of the container%s",
			  strstr(names, "(project ") ? ", or a project with -p" : "");
}

static void add_candidate(const char **list, size_t *count, size_t capacity, const char *name)
{
	for (size_t i = 0; i < *count; i++)
		if (!strcmp(list[i], name))
			return;
	if (*name && *count < capacity)
		list[(*count)++] = name;
}

/* Those that may have been meant, the nearest first, then those that hold the word; NULL: none. */
static char *near_names(const char *name, const char *const *list, size_t count)
{
	CLEANUP(string_list_release) struct string_list near;

	string_list_init(&near);
	for (size_t distance = 1; distance <= strlen(name) + 1; distance++)
		for (size_t i = 0; i < count && near.count < NAMES_IN_HINT; i++)
			if (distance <= options_limit(name, list[i]) &&
			    options_distance(name, list[i]) == distance)
				string_list_add(&near, list[i]);
	for (size_t i = 0; i < count && near.count < NAMES_IN_HINT; i++)
		if (strlen(name) > 1 && strstr(list[i], name) && !string_list_has(&near, list[i]))
			string_list_add(&near, list[i]);
	return near.count ? string_list_join(&near, ", ") : NULL;
}

static int not_found(const struct json *containers, const char *name, const char *project,
		     struct error **err)
{
	size_t capacity = json_count(containers) * 2 + 1, count = 0;
	cleanup_free const char **list = memory_array(NULL, capacity, sizeof(*list));
	cleanup_free char *near = NULL;

	json_for_each(entry, containers) {
		add_candidate(list, &count, capacity, target_entry_name(entry));
		if (!project || !strcmp(entry_label(entry, COMPOSE_PROJECT), project))
			add_candidate(list, &count, capacity, entry_label(entry, COMPOSE_SERVICE));
	}
	near = near_names(name, list, count);
	if (project)
		error_set(err, ERROR_NOT_FOUND,
			  "no container \"%s\", and no service of that name in project %s", name,
			  project);
	else
		error_set(err, ERROR_NOT_FOUND, "no container or compose service \"%s\"", name);
	if (near)
		return error_hint(err, "did you mean %s?", near);
	if (strpbrk(name, ":/"))
		return error_hint(err, "that looks like the name of a snapshot; \"sidesnap ps "
				       "--all\" lists the containers");
	return error_hint(err, "\"sidesnap ps --all\" lists what is there");
}

/* The service: in *entry; 0 none or one, -1 ambiguous. */
static int choose_service(const struct json *containers, const char *name, const char *project,
			  const struct json **entry, struct error **err)
{
	struct fitting fitting = {0};
	int result = 0;

	string_list_init(&fitting.names);
	json_for_each(item, containers)
		if (is_service(item, name, project))
			add_fitting(&fitting, item);
	if (fitting.names.count > 1)
		result = ambiguous(name, "several containers run a service of that name", &fitting,
				   err);
	*entry = fitting.first;
	string_list_release(&fitting.names);
	return result;
}

static int choose_prefix(const struct json *containers, const char *name, const struct json **entry,
			 struct error **err)
{
	struct fitting fitting = {0};
	int result = 0;

	*entry = NULL;
	if (strlen(name) < PREFIX_MIN || !is_hexadecimal(name))
		return 0;
	string_list_init(&fitting.names);
	json_for_each(item, containers)
		if (is_prefix(item, name))
			add_fitting(&fitting, item);
	if (fitting.names.count > 1)
		result = ambiguous(name, "several containers' ids begin so", &fitting, err);
	*entry = fitting.first;
	string_list_release(&fitting.names);
	return result;
}

static const struct json *find_named(const struct json *containers, const char *name)
{
	json_for_each(entry, containers)
		if (!strcmp(target_entry_name(entry), name) ||
		    (strlen(name) == ID_LENGTH && is_prefix(entry, name)))
			return entry;
	return NULL;
}

const struct json *target_choose(const struct json *containers, const char *name,
				 const char *project, bool explicit_project, struct error **err)
{
	const char *bare = name + (name[0] == '/');
	const struct json *named = find_named(containers, bare), *service = NULL, *prefix = NULL;

	/* A name is exact: services of other projects do not make it ambiguous. */
	if ((!named || project) && choose_service(containers, bare, project, &service, err) < 0)
		return NULL;
	if (named && service && named != service && !explicit_project) {
		struct fitting both = {0};

		string_list_init(&both.names);
		add_fitting(&both, named);
		add_fitting(&both, service);
		ambiguous(name, "a container is called so, and so is a service", &both, err);
		string_list_release(&both.names);
		return NULL;
	}
	if (service)
		return service;
	if (named)
		return named;
	if (choose_prefix(containers, bare, &prefix, err) < 0)
		return NULL;
	if (!prefix)
		not_found(containers, bare, project, err);
	return prefix;
}

/* The compose project of the container that we run in, or NULL; to be freed. */
static char *own_project(const struct session *session, const struct json *containers)
{
	cleanup_free char *own = session_own_container(session);

	if (!own)
		return NULL;
	json_for_each(entry, containers)
		if (is_prefix(entry, own)) {
			const char *project = entry_label(entry, COMPOSE_PROJECT);

			return *project ? memory_strdup(project) : NULL;
		}
	return NULL;
}

static void fill(struct target *target)
{
	const struct json *labels = json_path(target->inspect, "Config", "Labels");
	const struct json *state = json_get(target->inspect, "State");
	const char *name = json_string_or(target->inspect, "Name", "");

	target->id = json_string_or(target->inspect, "Id", "");
	target->name = name + (name[0] == '/');
	target->image_id = json_string_or(target->inspect, "Image", "");
	target->project = json_string(labels, COMPOSE_PROJECT);
	target->service = json_string(labels, COMPOSE_SERVICE);
	target->paused = json_bool(state, "Paused");
	target->restarting = json_bool(state, "Restarting");
	target->running = json_bool(state, "Running") || target->paused || target->restarting;
}

int target_find(const struct session *session, const char *name, struct target *target,
		struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *containers = NULL;
	cleanup_free char *own = NULL;
	const struct json *entry;

	*target = (struct target){0};
	if (!*name)
		return error_set(err, ERROR_USAGE, "the name of a container is empty");
	containers = container_list(session->engine, true, NULL, err);
	if (!containers)
		return error_prefix(err, "cannot list containers");
	if (!session->project)
		own = own_project(session, containers);
	entry = target_choose(containers, name, session->project ? session->project : own,
			      session->project != NULL, err);
	if (!entry)
		return -1;
	target->inspect = container_inspect(session->engine, json_string_or(entry, "Id", ""), err);
	if (!target->inspect)
		return error_prefix(err, "cannot inspect container \"%s\"", name);
	fill(target);
	return 0;
}

int target_refresh(const struct session *session, struct target *target, struct error **err)
{
	struct json *inspect = container_inspect(session->engine, target->id, err);

	if (!inspect)
		return error_prefix(err, "cannot inspect container \"%s\"", target->name);
	json_free(target->inspect);
	target->inspect = inspect;
	fill(target);
	return 0;
}

void target_release(struct target *target)
{
	json_free(target->inspect);
	*target = (struct target){0};
}

const char *snapshot_label(const struct json *inspect, const char *label)
{
	return json_string_or(json_path(inspect, "Config", "Labels"), label, "");
}

char *snapshot_dump_path(const struct json *inspect)
{
	const char *text = snapshot_label(inspect, LABEL_TREES);
	CLEANUP(cleanup_json_free) struct json *trees = json_parse(text, strlen(text), NULL);

	json_for_each(tree, trees)
		if (strcmp(json_string_or(tree, "kind", ""), tree_kind_name(TREE_DUMP)) == 0)
			return path_join(
				json_string_or(json_first(json_get(tree, "paths")), NULL, "/"),
				json_string_or(tree, "file", ""));
	return NULL;
}

bool snapshot_has_dump(const struct json *inspect)
{
	cleanup_free char *path = snapshot_dump_path(inspect);

	return path != NULL;
}

/* Whether an image is a snapshot of a format that we read. */
static int check_snapshot(const struct json *inspect, const char *reference, struct error **err)
{
	const char *format = snapshot_label(inspect, LABEL_FORMAT);
	uint64_t number;

	if (strcmp(snapshot_label(inspect, LABEL_ROLE), "snapshot") != 0) {
		error_set(err, ERROR_USAGE, "image \"%s\" is no snapshot", reference);
		return error_hint(err, "\"sidesnap ls\" lists the snapshots");
	}
	if (!text_parse_uint(format, UINT32_MAX, &number) || number < 1)
		return error_set(err, ERROR_DAMAGED,
				 "snapshot \"%s\" has no valid format version (label %s is \"%s\")",
				 reference, LABEL_FORMAT, format);
	if (number > MANIFEST_FORMAT) {
		error_set(err, ERROR_UNSUPPORTED,
			  "snapshot \"%s\" has format %s, this sidesnap knows %d", reference,
			  format, MANIFEST_FORMAT);
		return error_hint(
			err, "it was made by sidesnap %s; use that version or a newer one",
			text_or(snapshot_label(inspect, LABEL_VERSION), "of a later date"));
	}
	return 0;
}

/* The image whose sidesnap.id begins with ${prefix}: its id, to be freed; NULL: none, or *err. */
static char *find_by_id(const struct session *session, const char *prefix, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *filters = json_new_object(), *images = NULL;
	const struct json *found = NULL;

	json_add_string(json_set_array(filters, "label"), LABEL_ROLE "=snapshot");
	images = image_list(session->engine, filters, err);
	if (!images)
		return NULL;
	json_for_each(image, images) {
		const struct json *labels = json_get(image, "Labels");
		const char *id = json_string_or(labels, LABEL_ID, "");

		if (!text_has_prefix(id, prefix))
			continue;
		if (found && strcmp(json_string_or(json_get(found, "Labels"), LABEL_ID, ""), id)) {
			error_set(err, ERROR_USAGE,
				  "\"%s\" is ambiguous: several snapshots' ids "
				  "begin so",
				  prefix);
			error_hint(err, "give more digits, or a tag");
			return NULL;
		}
		/* A derived image carries the labels too: the one with a tag is preferred. */
		if (!found || !json_count(json_get(found, "RepoTags")))
			found = image;
	}
	return found ? memory_strdup(json_string(found, "Id")) : NULL;
}

static bool is_container(const struct session *session, const char *name)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = container_inspect(session->engine, name, NULL);

	return inspect;
}

static int no_snapshot(const struct session *session, const char *name, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *filters = json_new_object(), *images = NULL;
	cleanup_free const char **list = NULL;
	cleanup_free char *near = NULL;
	size_t count = 0, capacity = 0;

	error_set(err, ERROR_NOT_FOUND, "no snapshot \"%s\"", name);
	if (!strpbrk(name, ":/") && is_container(session, name))
		return error_hint(
			err, "that is a container; \"sidesnap ls %s\" lists its snapshots", name);
	json_add_string(json_set_array(filters, "label"), LABEL_ROLE "=snapshot");
	images = image_list(session->engine, filters, NULL);
	json_for_each(image, images)
		capacity += json_count(json_get(image, "RepoTags"));
	list = memory_array(NULL, capacity + 1, sizeof(*list));
	json_for_each(image, images)
		json_for_each(tag, json_get(image, "RepoTags"))
			add_candidate(list, &count, capacity, json_string_or(tag, NULL, ""));
	near = near_names(name, list, count);
	if (near)
		return error_hint(err, "did you mean %s?", near);
	return error_hint(err, "\"sidesnap ls\" lists the snapshots; one in a registry must be "
			       "pulled first, only ls, show and diff read it there: --remote");
}

struct json *snapshot_inspect(const struct session *session, const char *reference,
			      struct error **err)
{
	cleanup_error struct error *first = NULL;
	CLEANUP(cleanup_json_free) struct json *inspect = NULL;
	cleanup_free char *id = NULL;

	if (!*reference) {
		error_set(err, ERROR_USAGE, "the name of a snapshot is empty");
		return NULL;
	}
	inspect = image_inspect(session->engine, reference, &first);
	if (!inspect && first->kind == ERROR_NOT_FOUND) {
		if (strlen(reference) >= 8 && is_hexadecimal(reference)) {
			struct error *second = NULL;

			id = find_by_id(session, reference, &second);
			if (!id && second) {
				if (err)
					*err = second;
				else
					error_free(second);
				return NULL;
			}
		}
		if (!id) {
			no_snapshot(session, reference, err);
			return NULL;
		}
		inspect = image_inspect(session->engine, id, err);
		if (!inspect)
			return NULL;
	} else if (!inspect) {
		struct reference parsed = {0};

		/* Engines answer a malformed name in many ways. */
		if (!strchr(reference, '@') && !is_hexadecimal(reference) &&
		    reference_parse(reference, &parsed, err) < 0)
			return NULL;
		reference_release(&parsed);
		if (err)
			*err = STEAL_POINTER(first);
		error_prefix(err, "cannot inspect image \"%s\"", reference);
		return NULL;
	}
	if (check_snapshot(inspect, reference, err) < 0)
		return NULL;
	return STEAL_POINTER(inspect);
}
