/*
 * sidesnap tree, sidesnap log: the history that labels tell, and which containers stand
 * where in it now.
 */
#include "snapshot/history/lineage.h"

#include <string.h>

#include "base/memory.h"
#include "snapshot/helper/state.h"
#include "snapshot/history/history.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/origin.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

#define RECORD_TRIES 4

struct lineage {
	struct session *session;
	struct json *images;	 /* as origin_images() has them */
	struct json *entries;	 /* as images_list() */
	struct json *containers; /* the engine's list */
	struct json *current;	 /* {container's id: sidesnap.id that its data came from} */
	struct history *history;
};

static void lineage_release(struct lineage *lineage)
{
	history_free(lineage->history);
	json_free(lineage->images);
	json_free(lineage->entries);
	json_free(lineage->containers);
	json_free(lineage->current);
}

static const struct json *record_of(const struct json *records, const char *container)
{
	json_for_each(record, records)
		if (strcmp(json_string_or(record, "container", ""), container) == 0)
			return record;
	return NULL;
}

/* Where the data of a container, an entry of the engine's list, came from last; or NULL. */
static const struct json *current_of(const struct lineage *lineage, const struct json *container,
				     const struct json *records)
{
	CLEANUP(cleanup_json_free) struct json *inspect = json_new_object();
	const struct json *labels = json_get(container, "Labels");
	struct timespec time = {.tv_sec = json_int(container, "Created")};
	cleanup_free char *created = clock_format(time);
	struct target target = {
		.inspect = inspect,
		.id = json_string_or(container, "Id", ""),
		.image_id = json_string_or(container, "ImageID", ""),
	};

	json_set_string(inspect, "Created", created);
	json_set(json_set_object(inspect, "Config"), "Labels",
		 labels ? json_copy(labels) : json_new_object());
	return origin_find(lineage->images, &target, record_of(records, target.id), true);
}

/*
 * What resets have noted, read by way of any image; one that was tampered with may be none for that.
 * NULL without an error: there is no image.
 */
static struct json *find_records(const struct lineage *lineage, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	int tries = 0;

	json_for_each(entry, lineage->entries) {
		struct json *records;

		if (tries++ == RECORD_TRIES || session_check(lineage->session, NULL) < 0)
			break;
		error_free(STEAL_POINTER(problem));
		records = state_records(lineage->session, json_string_or(entry, "image", ""),
					&problem);
		if (records)
			return records;
	}
	if (problem)
		error_append(err, STEAL_POINTER(problem));
	return NULL;
}

/* Without what resets have noted the rest is still worth showing, unless ${strict}. */
static int find_current(struct lineage *lineage, bool strict, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	CLEANUP(cleanup_json_free) struct json *records = find_records(lineage, &problem);

	if (problem && strict) {
		error_append(err, STEAL_POINTER(problem));
		return error_prefix(err, "what resets have noted cannot be read");
	}
	if (session_check(lineage->session, err) < 0)
		return -1;
	if (problem)
		progress_warn(lineage->session->progress,
			      "what resets have noted cannot be read, so containers may be shown "
			      "elsewhere than they are: %s",
			      problem->message);
	lineage->current = json_new_object();
	json_for_each(container, lineage->containers) {
		const char *role = json_string_or(json_get(container, "Labels"), LABEL_ROLE, "");
		const struct json *from;

		if (strcmp(role, "helper") == 0 || strcmp(role, "scratch") == 0)
			continue;
		from = current_of(lineage, container, records);
		if (from)
			json_set_string(lineage->current, json_string(container, "Id"),
					json_string_or(json_get(from, "Labels"), LABEL_ID, ""));
	}
	return 0;
}

static int lineage_open(struct lineage *lineage, struct session *session, bool strict,
			struct error **err)
{
	*lineage = (struct lineage){.session = session};
	lineage->images = origin_images(session, err);
	if (!lineage->images)
		return -1;
	lineage->entries = images_entries(lineage->images);
	lineage->containers = container_list(session->engine, true, NULL, err);
	if (!lineage->containers)
		return error_prefix(err, "cannot list containers");
	if (find_current(lineage, strict, err) < 0)
		return -1;
	lineage->history = history_new(lineage->entries);
	return session_check(session, err);
}

static void add_once(struct json *list, const char *name)
{
	if (!json_has_string(list, name))
		json_add_string(list, name);
}

/* "containers" and "current" of one snapshot as history_describe() has it. */
static void add_containers(const struct lineage *lineage, struct json *snapshot)
{
	const char *id = json_string_or(snapshot, "id", "");
	struct json *users = json_set_array(snapshot, "containers");
	struct json *current = json_set_array(snapshot, "current");

	json_for_each(image, json_get(snapshot, "images")) {
		CLEANUP(cleanup_json_free)
		struct json *names =
			images_used_by(lineage->containers, json_string(image, NULL), id);

		json_for_each(name, names)
			add_once(users, json_string(name, NULL));
	}
	json_for_each(container, lineage->containers) {
		const char *of =
			json_string_or(lineage->current, json_string_or(container, "Id", ""), "");

		if (*id && strcmp(of, id) == 0)
			add_once(current, target_entry_name(container));
	}
}

static bool has_lineage(const struct json *entries, const char *lineage)
{
	json_for_each(entry, entries)
		if (strcmp(json_string_or(entry, "lineage", ""), lineage) == 0)
			return true;
	return false;
}

struct json *lineage_tree(struct session *session, const char *target, bool strict,
			  struct error **err)
{
	CLEANUP(lineage_release) struct lineage lineage;
	CLEANUP(cleanup_json_free) struct json *wanted = NULL, *all = NULL;
	struct json *list;

	if (lineage_open(&lineage, session, strict, err) < 0)
		return NULL;
	if (target) {
		wanted = images_of(session, lineage.entries, target, err);
		if (!wanted)
			return NULL;
	}
	all = history_tree(lineage.history);
	list = json_new_array();
	json_for_each(item, all) {
		struct json *kept;

		if (wanted && !has_lineage(wanted, json_string_or(item, "lineage", "")))
			continue;
		kept = json_add(list, json_copy(item));
		json_for_each(snapshot, json_get(kept, "snapshots"))
			add_containers(&lineage, snapshot);
	}
	return list;
}

int snapshot_tree(struct session *session, const char *target, struct json **result,
		  struct error **err)
{
	*result = lineage_tree(session, target, false, err);
	return *result ? 0 : -1;
}

/* ---- log ---- */

static const struct history_node *node_of(const struct lineage *lineage, const struct json *entry)
{
	const struct history_node *node =
		history_find(lineage->history, json_string_or(entry, "id", ""));

	return node ? node
		    : history_find_image(lineage->history, json_string_or(entry, "image", ""));
}

/* Of a target: where its data came from last, else its newest; *err unless it is found. */
static const struct history_node *find_of_target(const struct lineage *lineage, const char *name,
						 struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *entries = images_of(lineage->session, lineage->entries, name, err);
	CLEANUP(target_release) struct target target = {0};
	const struct history_node *node = NULL;

	if (!entries)
		return NULL;
	if (target_find(lineage->session, name, &target, NULL) == 0)
		node = history_find(lineage->history,
				    json_string_or(lineage->current, target.id, ""));
	if (!node && json_count(entries))
		node = node_of(lineage, json_first(entries));
	if (!node) {
		error_set(err, ERROR_NOT_FOUND, "\"%s\" has no snapshot", name);
		error_hint(err, "make the first: sidesnap create %s", name);
	}
	return node;
}

/* Of a snapshot, also by the id of an image that is in no list since it was described. */
static const struct history_node *find_of_reference(const struct lineage *lineage, const char *name,
						    struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = snapshot_inspect(lineage->session, name, err);
	const struct history_node *node;

	if (!inspect)
		return NULL;
	node = history_find(lineage->history, snapshot_label(inspect, LABEL_ID));
	if (!node)
		node = history_find_image(lineage->history, json_string_or(inspect, "Id", ""));
	if (!node)
		error_set(err, ERROR_NOT_FOUND, "snapshot \"%s\" is in no list of the engine",
			  name);
	return node;
}

static const struct history_node *find_start(const struct lineage *lineage, const char *name,
					     struct error **err)
{
	cleanup_error struct error *no_target = NULL, *no_snapshot = NULL;
	const struct history_node *node = find_of_target(lineage, name, &no_target);

	if (node)
		return node;
	node = find_of_reference(lineage, name, &no_snapshot);
	if (node)
		return node;
	/* What it says of names that are nearly right is worth more than that there is no image. */
	if (no_snapshot->kind == ERROR_NOT_FOUND && !strpbrk(name, ":/"))
		error_append(err, STEAL_POINTER(no_target));
	else
		error_append(err, STEAL_POINTER(no_snapshot));
	return NULL;
}

int snapshot_log(struct session *session, const char *name, struct json **result,
		 struct error **err)
{
	CLEANUP(lineage_release) struct lineage lineage;
	const struct history_node *node = NULL;

	if (lineage_open(&lineage, session, false, err) < 0)
		return -1;
	if (name) {
		node = find_start(&lineage, name, err);
		if (!node)
			return -1;
	} else if (json_count(lineage.entries)) {
		node = node_of(&lineage, json_first(lineage.entries));
	}
	*result = history_log(node);
	json_for_each(snapshot, *result)
		add_containers(&lineage, snapshot);
	return 0;
}
