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

static bool is_base(const struct session *session, const struct json *candidate,
		    const struct target *target)
{
	CLEANUP(cleanup_json_free) struct json *inspect = NULL;

	if (!candidate ||
	    !label_is(json_get(candidate, "Labels"), LABEL_IMAGE_ID, target->image_id))
		return false;
	inspect = image_inspect(session->engine, json_string(candidate, "Id"), NULL);
	return inspect && json_count(json_path(inspect, "RootFS", "Layers")) < BASE_LAYERS_MAX &&
	       strcmp(json_string_or(json_path(inspect, "Config", "Labels"), LABEL_FORMAT, ""),
		      "1") == 0;
}

int identity_find(const struct session *session, const struct target *target,
		  const struct json *image, struct identity *identity, struct error **err)
{
	const struct json *image_labels = json_path(image, "Config", "Labels");
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
	identity->base = memory_strdup(is_base(session, last, target) ? json_string(last, "Id")
								      : target->image_id);
	return 0;
}
