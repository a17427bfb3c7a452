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
#include "snapshot/origin.h"
#include "snapshot/reference.h"

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

bool images_is_pinned(const struct json *labels)
{
	return *json_string_or(labels, LABEL_PINNED, "") != '\0';
}

size_t images_tag_count(const struct json *image)
{
	size_t count = 0;

	json_for_each(item, json_get(image, "RepoTags"))
		if (!strstr(json_string_or(item, NULL, "<none>"), "<none>"))
			count++;
	return count;
}

struct json *images_whole_sets(const struct session *session, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *filters = json_new_object(), *images = NULL;
	struct json *ids;

	json_add_string(json_set_array(filters, "label"), LABEL_ROLE "=set");
	images = image_list(session->engine, filters, err);
	if (!images)
		return NULL;
	ids = json_new_array();
	json_for_each(image, images)
		if (images_tag_count(image))
			json_add_string(ids,
					json_string_or(json_get(image, "Labels"), LABEL_ID, ""));
	return ids;
}

bool images_set_is_whole(const struct session *session, const char *id, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *ids = images_whole_sets(session, err);

	return json_has_string(ids, id);
}

static bool is_with(const char *name, const char *added, const char *shorter)
{
	return text_has_prefix(name, added) && !strcmp(name + strlen(added), shorter);
}

/* podman puts a host before short names, docker leaves its own out. */
static bool is_short_for(const char *tag, const char *full)
{
	static const char *const hosts[] = {"docker.io/library/", "docker.io/"};

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		if (is_with(full, hosts[i], tag) || is_with(tag, hosts[i], full))
			return true;
	return is_with(tag, "localhost/", full);
}

const char *images_tag_named(const struct json *inspect, const char *text)
{
	CLEANUP(reference_release) struct reference reference = {0};
	cleanup_free char *full = NULL;
	const char *found = NULL;

	if (reference_parse(text, &reference, NULL) < 0)
		return NULL;
	full = reference_format(&reference);
	json_for_each(item, json_get(inspect, "RepoTags")) {
		const char *tag = json_string_or(item, NULL, "");

		if (!strcmp(tag, full))
			return tag;
		if (is_short_for(tag, full))
			found = tag;
	}
	return found;
}

int images_check_move(const struct json *inspect, const char *name, struct error **err)
{
	if (images_tag_count(inspect) > 1 ||
	    !images_is_pinned(json_path(inspect, "Config", "Labels")))
		return 0;
	error_set(err, ERROR_REFUSED, "\"%s\" is the last name of a pinned snapshot", name);
	return error_hint(err, "give that another one first: sidesnap tag %s NEW", name);
}

/* Of a snapshot made before there was that label, the parent is all that is known. */
static void set_ancestors(struct json *entry, const struct json *labels)
{
	CLEANUP(string_list_release) struct string_list ids;
	struct json *list = json_set_array(entry, "ancestors");
	const char *parent = json_string_or(labels, LABEL_PARENT, "");

	string_list_init(&ids);
	string_list_add(&ids, parent);
	string_list_split(&ids, json_string_or(labels, LABEL_ANCESTORS, ""), ',');
	for (size_t i = 0; i < ids.count && i < ANCESTORS_MAX && *parent; i++)
		json_add_string(list, ids.items[i]);
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
	set_label(entry, "notes", labels, LABEL_NOTES);
	json_set_bool(entry, "pinned", images_is_pinned(labels));
	set_label(entry, "kind", labels, LABEL_KIND);
	set_label(entry, "operation", labels, LABEL_OPERATION);
	set_label(entry, "consistency", labels, LABEL_CONSISTENCY);
	set_label(entry, "prepare", labels, LABEL_PREPARE);
	set_label(entry, "driver", labels, LABEL_DRIVER);
	set_label(entry, "parent", labels, LABEL_PARENT);
	set_ancestors(entry, labels);
	set_label(entry, "lineage", labels, LABEL_LINEAGE);
	set_label(entry, "set", labels, LABEL_SET);
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

struct json *images_sorted(const struct json *entries)
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

struct json *images_entries(const struct json *images)
{
	CLEANUP(cleanup_json_free) struct json *entries = json_new_array();

	json_for_each(image, images) {
		struct json *entry =
			images_entry(json_get(image, "Labels"), json_get(image, "RepoTags"),
				     json_string(image, "Id"));

		json_set_int(entry, "size", json_int(image, "Size"));
		json_set_int(entry, "committed", json_int(image, "Created"));
		json_add(entries, entry);
	}
	return images_sorted(entries);
}

struct json *images_list(const struct session *session, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *images = origin_images(session, err);

	return images ? images_entries(images) : NULL;
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

static bool says_so(const struct json *entry, const struct session *session, const char *name)
{
	const struct json *source = json_get(entry, "source");

	if (!strcmp(json_string_or(source, "container", ""), name))
		return true;
	return !strcmp(json_string_or(source, "service", ""), name) &&
	       (!session->project ||
		!strcmp(json_string_or(source, "project", ""), session->project));
}

struct json *images_of(const struct session *session, const struct json *entries, const char *name,
		       struct error **err)
{
	CLEANUP(target_release) struct target target;
	struct error *problem = NULL;
	struct json *result = json_new_array();
	int status = target_find(session, name, &target, &problem);
	const struct json *labels = json_path(target.inspect, "Config", "Labels");
	struct image_source source = {
		.id = target.id,
		.name = target.name,
		.project = target.project,
		.service = target.service,
		.lineage = json_string(labels, LABEL_LINEAGE),
	};

	json_for_each(entry, entries)
		if (status == 0 ? images_is_of(entry, &source) : says_so(entry, session, name))
			json_add(result, json_copy(entry));
	/* An ambiguous name is worth an error even where snapshots match. */
	if (status < 0 && (problem->kind != ERROR_NOT_FOUND || !json_count(result))) {
		json_free(result);
		if (err)
			*err = problem;
		else
			error_free(problem);
		return NULL;
	}
	error_free(problem);
	return result;
}

struct json *images_used_by(const struct json *containers, const char *image, const char *id)
{
	struct json *names = json_new_array();

	json_for_each(entry, containers) {
		const struct json *labels = json_get(entry, "Labels");

		/* Once the snapshot was described, the label is all that tells of the image before. */
		if ((equal(image, json_string(entry, "ImageID")) ||
		     equal(id, json_string(labels, LABEL_ID))) &&
		    strcmp(json_string_or(labels, LABEL_ROLE, ""), "helper") != 0)
			json_add_string(names, target_entry_name(entry));
	}
	return names;
}

bool images_stands_on(const struct json *image, const struct json *below)
{
	const struct json *layer = json_first(json_path(image, "RootFS", "Layers"));

	json_for_each(other, json_path(below, "RootFS", "Layers")) {
		if (!layer || !json_equal(layer, other))
			return false;
		layer = json_next(layer);
	}
	return true;
}
