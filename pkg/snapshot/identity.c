/*
 * Parent, lineage and base. All of it is read from labels, so it survives push,
 * pull and retagging.
 */
#include "snapshot/identity.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "snapshot/labels.h"

/*
 * An image has at most 125 layers on docker's overlay2. A chain this long is started
 * anew from the target's own image.
 */
#define BASE_LAYERS_MAX 100

void identity_release(struct identity *identity)
{
	free(identity->id);
	free(identity->parent);
	free(identity->lineage);
	free(identity->base);
	free(identity->created);
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
	return false;
}

/* Whether the snapshot left ${path} out as well. */
static bool left_out(const struct json *not_captured, const char *path)
{
	json_for_each(item, not_captured)
		if (strcmp(json_string_or(item, "path", ""), path) == 0)
			return true;
	return false;
}

bool identity_holds_more(const struct json *snapshot, const struct identity_facts *facts)
{
	const struct json *config = json_get(snapshot, "Config");
	const char *text = json_string_or(json_get(config, "Labels"), LABEL_NOT_CAPTURED, "[]");
	CLEANUP(cleanup_json_free) struct json *not_captured = json_parse(text, strlen(text), NULL);

	json_for_each(variable, json_get(config, "Env"))
		if (!has_variable(facts->environment, json_string_or(variable, NULL, "")))
			return true;
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

/* A snapshot is the image that its container came from, and more on top. */
static bool stands_on(const struct json *snapshot, const struct json *image)
{
	const struct json *layer = json_first(json_path(snapshot, "RootFS", "Layers"));

	json_for_each(below, json_path(image, "RootFS", "Layers")) {
		if (!layer || !json_equal(layer, below))
			return false;
		layer = json_next(layer);
	}
	return true;
}

static bool is_base(const struct session *session, const struct json *candidate,
		    const struct identity_facts *facts)
{
	CLEANUP(cleanup_json_free) struct json *inspect = NULL;

	if (!candidate ||
	    !label_is(json_get(candidate, "Labels"), LABEL_IMAGE_ID, facts->target->image_id))
		return false;
	inspect = image_inspect(session->engine, json_string(candidate, "Id"), NULL);
	return inspect && json_count(json_path(inspect, "RootFS", "Layers")) < BASE_LAYERS_MAX &&
	       strcmp(json_string_or(json_path(inspect, "Config", "Labels"), LABEL_FORMAT, ""),
		      "1") == 0 &&
	       stands_on(inspect, facts->image) && !identity_holds_more(inspect, facts);
}

int identity_find(const struct session *session, const struct identity_facts *facts,
		  struct identity *identity, struct error **err)
{
	const struct target *target = facts->target;
	const struct json *image_labels = json_path(facts->image, "Config", "Labels");
	CLEANUP(cleanup_json_free) struct json *filters = json_new_object(), *images = NULL;
	const struct json *last, *sibling, *labels;
	bool from_snapshot = label_is(image_labels, LABEL_ROLE, "snapshot");

	json_add_string(json_set_array(filters, "label"), LABEL_ROLE "=snapshot");
	images = image_list(session->engine, filters, err);
	if (!images)
		return -1;
	last = newest(images, same_container, target);
	sibling = newest(images, same_service, target);
	identity->id = text_random_hex(16);
	identity->created = clock_format(clock_now());
	labels = last ? json_get(last, "Labels") : from_snapshot ? image_labels : NULL;
	identity->parent = memory_strdup(json_string_or(labels, LABEL_ID, ""));
	if (!labels && sibling)
		labels = json_get(sibling, "Labels");
	identity->lineage = memory_strdup(json_string(labels, LABEL_LINEAGE));
	if (!identity->lineage || !*identity->lineage) {
		free(identity->lineage);
		identity->lineage = text_random_hex(16);
	}
	identity->base = memory_strdup(is_base(session, last, facts) ? json_string(last, "Id")
								     : target->image_id);
	return 0;
}
