/*
 * Parent, lineage and base. All of it is read from labels, so it survives push,
 * pull and retagging.
 */
#include "snapshot/create/identity.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "snapshot/create/consolidate.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/origin.h"

/* So many are looked at: that not even one of them fits has a reason that the others share. */
#define BASE_TRIES 16

void identity_release(struct identity *identity)
{
	free(identity->id);
	free(identity->parent);
	free(identity->ancestors);
	free(identity->lineage);
	free(identity->base);
	free(identity->created);
	json_free(identity->base_trees);
	json_free(identity->images);
	memset(identity, 0, sizeof(*identity));
}

static bool label_is(const struct json *labels, const char *label, const char *value)
{
	return value && *value && strcmp(json_string_or(labels, label, ""), value) == 0;
}

/* Snapshots of the same source, each an entry of GET /images/json. */
static const struct json *newest(const struct json *images,
				 bool (*fits)(const struct json *labels, const struct target *),
				 const struct target *target)
{
	const struct json *best = NULL;

	json_for_each(image, images) {
		const struct json *labels = json_get(image, "Labels");
		const char *created = json_string_or(labels, LABEL_CREATED, "");

		if (!fits(labels, target))
			continue;
		/* RFC 3339 in UTC with milliseconds sorts as text. */
		if (!best || strcmp(created, json_string_or(json_get(best, "Labels"), LABEL_CREATED,
							    "")) > 0)
			best = image;
	}
	return best;
}

static bool same_container(const struct json *labels, const struct target *target)
{
	return label_is(labels, LABEL_CONTAINER_ID, target->id);
}

static bool same_service(const struct json *labels, const struct target *target)
{
	return label_is(labels, LABEL_PROJECT, target->project) &&
	       label_is(labels, LABEL_SERVICE, target->service);
}

static bool has_variable(const struct string_list *environment, const char *variable)
{
	size_t length = strcspn(variable, "=");

	for (size_t i = 0; i < environment->count; i++)
		if (strncmp(environment->items[i], variable, length) == 0 &&
		    environment->items[i][length] == '=')
			return true;
	return false;
}

static bool is_volume(const struct identity_facts *facts, const char *path)
{
	const struct plan *plan = facts->plan;

	if (json_get(json_path(facts->target->inspect, "Config", "Volumes"), path))
		return true;
	for (size_t i = 0; i < plan->count; i++)
		if (string_list_has(&plan->trees[i].paths, path))
			return true;
	return string_list_has(&plan->dump_paths, path);
}

/* Whether the snapshot left ${path} out as well. */
static bool left_out(const struct json *not_captured, const char *path)
{
	json_for_each(item, not_captured)
		if (strcmp(json_string_or(item, "path", ""), path) == 0)
			return true;
	return false;
}

/* Podman puts them into every container, and with a commit into the image; TERM up to version 4. */
static bool is_of_podman(const char *variable)
{
	return strcmp(variable, "container=podman") == 0 || strcmp(variable, "TERM=xterm") == 0;
}

bool identity_holds_more(const struct json *snapshot, const struct identity_facts *facts)
{
	const struct json *config = json_get(snapshot, "Config");
	const char *text = json_string_or(json_get(config, "Labels"), LABEL_NOT_CAPTURED, "[]");
	CLEANUP(cleanup_json_free) struct json *not_captured = json_parse(text, strlen(text), NULL);

	json_for_each(variable, json_get(config, "Env")) {
		const char *name = json_string_or(variable, NULL, "");

		if (!is_of_podman(name) && !has_variable(facts->environment, name))
			return true;
	}
	json_for_each(port, json_get(config, "ExposedPorts"))
		if (!json_get(json_path(facts->target->inspect, "Config", "ExposedPorts"),
			      json_key(port)))
			return true;
	json_for_each(volume, json_get(config, "Volumes"))
		if (!is_volume(facts, json_key(volume)))
			return true;
	json_for_each(item, facts->plan->not_captured)
		if (!left_out(not_captured, json_string_or(item, "path", "")))
			return true;
	return false;
}

/*
 * A snapshot is the image that its container came from, and more on top; but when that
 * image is a long chain itself, what it is made of was put on the image below.
 */
static bool is_made_from(const struct json *snapshot, const struct json *image)
{
	return images_stands_on(snapshot, image) || consolidate_is_deep(image);
}

/*
 * An image built from a snapshot has its labels, and files that the container never had. What
 * tells it from the snapshot are more layers; not every engine keeps the comment of a commit.
 */
static bool is_built_upon(const struct session *session, const struct json *images,
			  const struct json *candidate, const struct json *inspect)
{
	const struct json *labels = json_get(candidate, "Labels");
	size_t layers = json_count(json_path(inspect, "RootFS", "Layers"));
	uint64_t committed;
	bool result = false;

	if (text_has_prefix(json_string_or(inspect, "Comment", ""), COMMIT_COMMENT_PREFIX))
		return false;
	if (text_parse_uint(json_string_or(labels, LABEL_LAYERS, ""), UINT32_MAX, &committed))
		return layers > committed;
	/* It is of an older sidesnap: all that can be done is to compare it with the others. */
	json_for_each(other, images) {
		CLEANUP(cleanup_json_free) struct json *below = NULL;
		const char *id = json_string_or(json_get(other, "Labels"), LABEL_ID, "");

		if (result || other == candidate || !label_is(labels, LABEL_ID, id))
			continue;
		below = image_inspect(session->engine, json_string_or(other, "Id", ""), NULL);
		result = below && images_stands_on(inspect, below) &&
			 json_count(json_path(below, "RootFS", "Layers")) < layers;
	}
	return result;
}

static bool is_base(const struct session *session, const struct json *images,
		    const struct json *candidate, const struct identity_facts *facts)
{
	CLEANUP(cleanup_json_free) struct json *inspect = NULL;
	uint64_t format = 0;

	inspect = image_inspect(session->engine, json_string(candidate, "Id"), NULL);
	return inspect && !is_built_upon(session, images, candidate, inspect) &&
	       text_parse_uint(
		       json_string_or(json_path(inspect, "Config", "Labels"), LABEL_FORMAT, ""),
		       MANIFEST_FORMAT, &format) &&
	       format && is_made_from(inspect, facts->image) &&
	       !identity_holds_more(inspect, facts);
}

/* The snapshot's tree that a tree of the plan is compared with; NULL: all of it would be stored. */
static const struct json *tree_like(const struct json *trees, const struct plan_tree *tree)
{
	const char *kind = tree->kind == TREE_VOLUME ? "volume" : "bind";

	json_for_each(known, trees)
		if (strcmp(json_string_or(known, "kind", ""), kind) == 0 &&
		    strcmp(json_string_or(known, "name", ""), tree->name) == 0 &&
		    json_has_string(json_get(known, "paths"), tree->paths.items[0]))
			return known;
	return NULL;
}

static const struct json *find_dump(const struct json *trees)
{
	json_for_each(tree, trees)
		if (strcmp(json_string_or(tree, "kind", ""), tree_kind_name(TREE_DUMP)) == 0)
			return tree;
	return NULL;
}

bool identity_same_kind(const struct json *labels, const struct identity_facts *facts)
{
	CLEANUP(cleanup_json_free) struct json *trees = images_label_json(labels, LABEL_TREES);
	const struct driver *driver = facts->plan->driver.driver;

	if ((find_dump(trees) != NULL) != (facts->plan->dump_paths.count > 0))
		return false;
	return !find_dump(trees) ||
	       (strcmp(json_string_or(labels, LABEL_DATABASE, ""), text_or(facts->database, "")) ==
			0 &&
		strcmp(json_string_or(labels, LABEL_DRIVER, ""), driver ? driver->name : "") == 0);
}

bool identity_base_has_dump(const struct identity *identity, const char *path)
{
	const struct json *dump = find_dump(identity->base_trees);

	return strcmp(json_string_or(json_first(json_get(dump, "paths")), NULL, ""), path) == 0;
}

bool identity_base_has(const struct identity *identity, const struct plan_tree *tree)
{
	return tree_like(identity->base_trees, tree) != NULL;
}

size_t identity_missing_trees(const struct json *labels, const struct plan *plan)
{
	CLEANUP(cleanup_json_free) struct json *trees = images_label_json(labels, LABEL_TREES);
	size_t missing = 0;

	for (size_t i = 0; i < plan->count; i++)
		missing += tree_like(trees, &plan->trees[i]) == NULL;
	return missing;
}

struct candidate {
	const struct json *image; /* an entry of GET /images/json */
	const char *created;
	size_t missing; /* trees that it does not have */
};

/* What makes the smaller layer comes first, then the newer. */
static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->missing != y->missing)
		return x->missing < y->missing ? -1 : 1;
	return strcmp(y->created, x->created);
}

/*
 * The newest snapshot is not always the one to build on: a volume may have been excluded
 * from it, or be excluded now. NULL: none fits.
 */
static const struct json *choose_base(const struct session *session, const struct json *images,
				      const struct identity_facts *facts)
{
	cleanup_free struct candidate *list =
		memory_array(NULL, json_count(images) + 1, sizeof(*list));
	size_t count = 0;

	json_for_each(image, images) {
		const struct json *labels = json_get(image, "Labels");

		if (!same_container(labels, facts->target) ||
		    !label_is(labels, LABEL_IMAGE_ID, facts->target->image_id) ||
		    !identity_same_kind(labels, facts))
			continue;
		list[count].image = image;
		list[count].created = json_string_or(labels, LABEL_CREATED, "");
		list[count++].missing = identity_missing_trees(labels, facts->plan);
	}
	qsort(list, count, sizeof(*list), compare_candidates);
	for (size_t i = 0; i < count && i < BASE_TRIES; i++)
		if (is_base(session, images, list[i].image, facts))
			return list[i].image;
	return NULL;
}

/* The snapshot with these labels (NULL: none) is the parent. */
static void set_parent(struct identity *identity, const struct json *labels)
{
	CLEANUP(string_list_release) struct string_list ids, kept;

	string_list_init(&ids);
	string_list_init(&kept);
	string_list_split(&ids, json_string_or(labels, LABEL_PARENT, ""), ',');
	if (ids.count)
		string_list_split(&ids, json_string_or(labels, LABEL_ANCESTORS, ""), ',');
	for (size_t i = 0; i < ids.count && i < ANCESTORS_MAX - 1; i++)
		string_list_add(&kept, ids.items[i]);
	free(identity->parent);
	free(identity->ancestors);
	identity->parent = memory_strdup(json_string_or(labels, LABEL_ID, ""));
	identity->ancestors = string_list_join(&kept, ",");
}

void identity_settle_parent(struct identity *identity, const struct target *target,
			    const struct json *record)
{
	const struct json *from = origin_find(identity->images, target, record, true);

	if (from)
		set_parent(identity, json_get(from, "Labels"));
}

int identity_find(const struct session *session, const struct identity_facts *facts,
		  struct identity *identity, struct error **err)
{
	const struct target *target = facts->target;
	const struct json *image_labels = json_path(facts->image, "Config", "Labels");
	const struct json *last, *sibling, *labels, *base, *images;
	bool from_snapshot = label_is(image_labels, LABEL_ROLE, "snapshot");

	images = identity->images = origin_images(session, err);
	if (!images)
		return -1;
	last = facts->is_apart ? NULL : newest(images, same_container, target);
	sibling = facts->is_apart ? NULL : newest(images, same_service, target);
	identity->id = text_random_hex(16);
	identity->created = clock_format(clock_now());
	labels = last ? json_get(last, "Labels") : from_snapshot ? image_labels : NULL;
	/* The image may be in no list any more, and say all the same what the container came from. */
	set_parent(identity, labels);
	if (!labels && sibling)
		labels = json_get(sibling, "Labels");
	identity->lineage = memory_strdup(json_string(labels, LABEL_LINEAGE));
	if (!identity->lineage || !*identity->lineage) {
		free(identity->lineage);
		identity->lineage = text_random_hex(16);
	}
	base = facts->is_apart ? NULL : choose_base(session, images, facts);
	identity->base = memory_strdup(base ? json_string(base, "Id") : target->image_id);
	identity->base_trees = images_label_json(json_get(base, "Labels"), LABEL_TREES);
	return 0;
}
