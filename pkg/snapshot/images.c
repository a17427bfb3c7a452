/*
 * Everything that a list shows comes from labels: no image is opened for it, and it is
 * the same after a push and a pull.
 */
#include "snapshot/images.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "snapshot/labels.h"

/* A label longer than this is not parsed: the engine's own limits are above it. */
#define LABEL_JSON_MAX (1U << 20)

struct json *images_label_json(const struct json *labels, const char *label)
{
	const char *text = json_string_or(labels, label, "");
	size_t size = strnlen(text, LABEL_JSON_MAX + 1);

	return size && size <= LABEL_JSON_MAX ? json_parse(text, size, NULL) : NULL;
}

static void set_label(struct json *object, const char *key, const struct json *labels,
		      const char *label)
{
	json_set_string(object, key, json_string_or(labels, label, ""));
}

static void set_number(struct json *object, const char *key, const struct json *labels,
		       const char *label)
{
	uint64_t value;

	if (text_parse_uint(json_string_or(labels, label, ""), (uint64_t)1 << 53, &value))
		json_set_int(object, key, (int64_t)value);
	else
		json_set(object, key, json_new_null());
}

struct json *images_entry(const struct json *labels, const struct json *references,
			  const char *image)
{
	struct json *entry = json_new_object(), *list = json_set_array(entry, "references"),
		    *source;

	json_for_each(item, references) {
		const char *reference = json_string(item, NULL);

		if (reference && !strstr(reference, "<none>"))
			json_add_string(list, reference);
	}
	set_label(entry, "id", labels, LABEL_ID);
	json_set_string(entry, "image", image ? image : "");
	set_label(entry, "created", labels, LABEL_CREATED);
	set_label(entry, "title", labels, LABEL_TITLE);
	set_label(entry, "kind", labels, LABEL_KIND);
	set_label(entry, "consistency", labels, LABEL_CONSISTENCY);
	set_label(entry, "driver", labels, LABEL_DRIVER);
	set_label(entry, "parent", labels, LABEL_PARENT);
	set_label(entry, "lineage", labels, LABEL_LINEAGE);
	set_number(entry, "bytes", labels, LABEL_BYTES);
	set_number(entry, "stored", labels, LABEL_STORED);
	source = json_set_object(entry, "source");
	set_label(source, "container", labels, LABEL_CONTAINER);
	set_label(source, "id", labels, LABEL_CONTAINER_ID);
	set_label(source, "image", labels, LABEL_IMAGE);
	set_label(source, "project", labels, LABEL_PROJECT);
	set_label(source, "service", labels, LABEL_SERVICE);
	return entry;
}

struct dated {
	struct timespec time;
	const struct json *entry;
};

static int newest_first(const void *a, const void *b)
{
	const struct dated *left = a, *right = b;

	if (left->time.tv_sec != right->time.tv_sec)
		return left->time.tv_sec < right->time.tv_sec ? 1 : -1;
	if (left->time.tv_nsec != right->time.tv_nsec)
		return left->time.tv_nsec < right->time.tv_nsec ? 1 : -1;
	return strcmp(json_string_or(left->entry, "id", ""),
		      json_string_or(right->entry, "id", ""));
}

static struct json *sorted(const struct json *entries)
{
	size_t count = json_count(entries), index = 0;
	cleanup_free struct dated *list = memory_array(NULL, count + 1, sizeof(*list));
	struct json *result = json_new_array();

	json_for_each(entry, entries) {
		list[index] = (struct dated){.entry = entry};
		/* One without a valid time is the oldest. */
		clock_parse(json_string_or(entry, "created", ""), &list[index].time);
		index++;
	}
	qsort(list, count, sizeof(*list), newest_first);
	for (size_t i = 0; i < count; i++)
		json_add(result, json_copy(list[i].entry));
	return result;
}

struct json *images_list(const struct session *session, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *filters = json_new_object(), *images = NULL;
	CLEANUP(cleanup_json_free) struct json *entries = json_new_array();

	json_add_string(json_set_array(filters, "label"), LABEL_ROLE "=snapshot");
	images = image_list(session->engine, filters, err);
	if (!images) {
		error_prefix(err, "cannot list images");
		return NULL;
	}
	json_for_each(image, images) {
		struct json *entry =
			images_entry(json_get(image, "Labels"), json_get(image, "RepoTags"),
				     json_string(image, "Id"));

		json_set_int(entry, "size", json_int(image, "Size"));
		json_add(entries, entry);
	}
	return sorted(entries);
}

static bool equal(const char *a, const char *b)
{
	return a && b && *a && !strcmp(a, b);
}

bool images_is_of(const struct json *entry, const struct image_source *source)
{
	const struct json *of = json_get(entry, "source");
	const char *service = json_string_or(of, "service", "");

	if (equal(source->id, json_string(of, "id")) ||
	    equal(source->lineage, json_string(entry, "lineage")))
		return true;
	if (source->service && *source->service)
		return equal(source->service, service) &&
		       equal(source->project, json_string(of, "project"));
	return !*service && equal(source->name, json_string(of, "container"));
}

struct json *images_used_by(const struct json *containers, const char *image)
{
	struct json *names = json_new_array();

	json_for_each(entry, containers)
		if (equal(image, json_string(entry, "ImageID")) &&
		    strcmp(json_string_or(json_get(entry, "Labels"), LABEL_ROLE, ""), "helper"))
			json_add_string(names, target_entry_name(entry));
	return names;
}
