/*
 * Three witnesses, each with a time: the record of the last reset, the snapshots' labels,
 * and the image that the container was made from. All are compared as RFC 3339 in UTC
 * with milliseconds, which sorts as text.
 */
#include "snapshot/origin.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "snapshot/labels.h"

struct origin {
	const struct json *entry;
	char *at;
	bool safeties;
};

struct json *origin_images(const struct session *session, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *filters = json_new_object();
	struct json *images;

	json_add_string(json_set_array(filters, "label"), LABEL_ROLE "=snapshot");
	images = image_list(session->engine, filters, err);
	if (!images)
		error_prefix(err, "cannot list images");
	return images;
}

static const char *label(const struct json *entry, const char *name)
{
	return json_string_or(json_get(entry, "Labels"), name, "");
}

static const char *first_tag(const struct json *entry)
{
	const char *tag = json_string_or(json_first(json_get(entry, "RepoTags")), NULL, "");

	return strstr(tag, "<none>") ? "" : tag;
}

const char *origin_reference(const struct json *entry)
{
	return text_or(first_tag(entry), json_string_or(entry, "Id", ""));
}

static void consider(struct origin *origin, const struct json *entry, const char *time)
{
	cleanup_free char *at = NULL;
	struct timespec parsed;
	int order;

	if (!entry || (!origin->safeties && strcmp(label(entry, LABEL_KIND), "safety") == 0))
		return;
	at = clock_parse(time, &parsed) ? clock_format(parsed) : memory_strdup("");
	order = origin->entry ? strcmp(at, origin->at) : 1;
	/* An image derived from a snapshot has its labels as well: the one with a tag is meant. */
	if (order < 0 || (order == 0 && (*first_tag(origin->entry) || !*first_tag(entry))))
		return;
	free(origin->at);
	origin->at = STEAL_POINTER(at);
	origin->entry = entry;
}

static const struct json *find(const struct json *images, const char *image)
{
	json_for_each(entry, images)
		if (strcmp(json_string_or(entry, "Id", ""), image) == 0)
			return entry;
	return NULL;
}

/*
 * The snapshot that the container was made from: its image, or what has become of that when it was
 * described, which makes a new image; the container has inherited the id that both have.
 */
static bool is_image_of(const struct json *entry, const struct target *target, bool listed)
{
	const struct json *labels = json_path(target->inspect, "Config", "Labels");
	const char *id = json_string_or(labels, LABEL_ID, "");

	if (listed)
		return strcmp(json_string_or(entry, "Id", ""), target->image_id) == 0;
	return *id && strcmp(label(entry, LABEL_ID), id) == 0;
}

const struct json *origin_find(const struct json *images, const struct target *target,
			       const struct json *record, bool safeties)
{
	struct origin origin = {.safeties = safeties};
	bool listed = find(images, target->image_id) != NULL;

	json_for_each(entry, images) {
		if (strcmp(label(entry, LABEL_CONTAINER_ID), target->id) == 0)
			consider(&origin, entry, label(entry, LABEL_CREATED));
		if (is_image_of(entry, target, listed))
			consider(&origin, entry, json_string_or(target->inspect, "Created", ""));
		if (record &&
		    strcmp(label(entry, LABEL_ID), json_string_or(record, "snapshot", "")) == 0)
			consider(&origin, entry, json_string_or(record, "at", ""));
	}
	free(origin.at);
	return origin.entry;
}
