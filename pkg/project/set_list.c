/*
 * What is known of sets, from labels: their own, and those of the snapshots that are here. A member is told by
 * its sidesnap.id, since another image may have taken its name.
 */
#include <string.h>

#include "base/memory.h"
#include "project/set.h"
#include "snapshot/helper/image_file.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/reference.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"
#include "tree/manifest.h"

#define DEFINITION_MAX (64U << 20)
#define ID_LEAST 8

static const struct json *snapshot_of(const struct json *snapshots, const char *id)
{
	const struct json *found = NULL;

	/* An image that is derived from a snapshot has its labels: the one with a name is meant. */
	json_for_each(entry, snapshots)
		if (*id && strcmp(json_string_or(entry, "id", ""), id) == 0 &&
		    (!found || !json_count(json_get(found, "references"))))
			found = entry;
	return found;
}

static void add_members(struct json *entry, const struct json *labels, const struct json *snapshots)
{
	static const char *const kept[] = {"name", "container", "id", "driver", "consistency"};
	CLEANUP(cleanup_json_free) struct json *known = images_label_json(labels, LABEL_MEMBERS);
	struct json *list = json_set_array(entry, "members");
	bool pinned = json_count(known) > 0;

	json_for_each(member, known) {
		struct json *item = json_add_object(list);
		const struct json *here;

		for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
			json_set_string(item, kept[i], json_string_or(member, kept[i], ""));
		here = snapshot_of(snapshots, json_string(item, "id"));
		if (here)
			json_set(item, "references", json_copy(json_get(here, "references")));
		else
			json_set_array(item, "references");
		pinned = pinned && json_bool(here, "pinned");
	}
	json_set_bool(entry, "pinned", pinned);
}

static struct json *sets_of(struct session *session, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *filters = json_new_object(), *images = NULL;
	CLEANUP(cleanup_json_free) struct json *snapshots = images_list(session, err);
	CLEANUP(cleanup_json_free) struct json *sets = json_new_array();

	json_add_string(json_set_array(filters, "label"), LABEL_ROLE "=set");
	images = snapshots ? image_list(session->engine, filters, err) : NULL;
	if (!images)
		return NULL;
	json_for_each(image, images) {
		const struct json *labels = json_get(image, "Labels");
		CLEANUP(cleanup_json_free)
		struct json *known =
			images_entry(labels, json_get(image, "RepoTags"), json_string(image, "Id"));
		static const char *const kept[] = {"references", "id",	  "image",  "created",
						   "title",	 "bytes", "stored", "consistency"};
		struct json *entry = json_add_object(sets);

		for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
			json_set(entry, kept[i], json_copy(json_get(known, kept[i])));
		json_set_string(entry, "project", json_string_or(labels, LABEL_PROJECT, ""));
		json_set_int(entry, "size", json_int(image, "Size"));
		add_members(entry, labels, snapshots);
	}
	return images_sorted(sets);
}

int set_list(struct session *session, struct json **result, struct error **err)
{
	*result = sets_of(session, err);
	return *result ? 0 : -1;
}

static bool is_meant(const struct json *entry, const char *reference, const char *image)
{
	const char *id = json_string_or(entry, "id", "");

	return (image && strcmp(json_string_or(entry, "image", ""), image) == 0) ||
	       (strlen(reference) >= ID_LEAST && text_has_prefix(id, reference));
}

struct json *set_find(struct session *session, const char *reference, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = *reference ? image_inspect(session->engine, reference, NULL) : NULL;
	CLEANUP(cleanup_json_free) struct json *sets = sets_of(session, err);
	const struct json *found = NULL;

	json_for_each(entry, sets) {
		if (!is_meant(entry, reference, json_string(inspect, "Id")))
			continue;
		if (found && strcmp(json_string(found, "id"), json_string(entry, "id")) != 0) {
			error_set(err, ERROR_USAGE,
				  "\"%s\" is ambiguous: several sets' ids begin so", reference);
			return NULL;
		}
		found = entry;
	}
	return json_copy(found);
}

static struct json *read_definition(const struct session *session, const char *image,
				    struct error **err)
{
	CLEANUP(cleanup_helper_free) struct helper *helper = image_file_helper(session, image, err);
	CLEANUP(buffer_release) struct buffer text;

	buffer_init(&text, DEFINITION_MAX);
	if (!helper ||
	    image_file_read(session, helper, STORE_DIRECTORY "/set.json", &text, err) < 0)
		return NULL;
	return json_parse(text.data, text.size, err);
}

int set_show(struct session *session, const char *reference, struct json **result,
	     struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *entry = set_find(session, reference, err);
	struct json *definition;

	if (!entry)
		return -1;
	definition = read_definition(session, json_string_or(entry, "image", ""), err);
	if (!definition)
		return error_prefix(err, "cannot read the set \"%s\"", reference);
	json_set(entry, "definition", definition);
	*result = STEAL_POINTER(entry);
	return 0;
}

int set_pin_members(struct session *session, const struct json *set, enum describe_pin pin,
		    struct json **result, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *report = json_new_object();
	struct json *list;

	json_set(report, "references", json_copy(json_get(set, "references")));
	json_set_string(report, "id", json_string(set, "id"));
	json_set_bool(report, "pinned", pin == DESCRIBE_PIN);
	list = json_set_array(report, "members");
	json_for_each(member, json_get(set, "members")) {
		struct describe_options options = {
			.reference = json_string(json_first(json_get(member, "references")), NULL),
			.pin = pin,
		};
		struct json *one = NULL;

		if (!options.reference)
			continue;
		if (snapshot_describe(session, &options, &one, err) < 0)
			return -1;
		json_add(list, one);
	}
	*result = STEAL_POINTER(report);
	return 0;
}

/* ---- rm ---- */

/* The set's own name, and of each member the name that goes with it, where that is still the member. */
static void expand(const struct json *set, const char *reference, struct string_list *members,
		   struct string_list *names)
{
	json_for_each(name, json_get(set, "references")) {
		const char *text = json_string_or(name, NULL, "");
		CLEANUP(reference_release) struct reference given = {0};
		cleanup_free char *full = NULL;

		if (reference_parse(reference, &given, NULL) == 0)
			full = reference_format(&given);
		/* By an id all names are meant. */
		if (full && json_has_string(json_get(set, "references"), full) &&
		    strcmp(full, text) != 0)
			continue;
		string_list_add(names, text);
		json_for_each(member, json_get(set, "members")) {
			cleanup_free char *own =
				memory_printf("%s-%s", text, json_string_or(member, "name", ""));

			if (json_has_string(json_get(member, "references"), own))
				string_list_add(members, own);
		}
	}
}

static int remove_names(struct session *session, const struct string_list *names,
			struct json *result, struct error **err)
{
	for (size_t i = 0; i < names->count; i++) {
		CLEANUP(cleanup_json_free) struct json *answer = NULL;

		if (image_remove(session->engine, names->items[i], false, true, &answer, err) < 0)
			return error_prefix(err, "cannot remove \"%s\"", names->items[i]);
		json_add_string(json_get(result, "removed"), names->items[i]);
		json_for_each(item, answer)
			if (json_get(item, "Deleted")) {
				json_set_int(result, "deleted_images",
					     json_int(result, "deleted_images") + 1);
				break;
			}
	}
	return 0;
}

int set_remove(struct session *session, const struct string_list *references, bool force,
	       struct json **result, struct error **err)
{
	CLEANUP(string_list_release) struct string_list snapshots, names;
	struct remove_options options = {.references = &snapshots, .force = force};

	string_list_init(&snapshots);
	string_list_init(&names);
	for (size_t i = 0; i < references->count; i++) {
		struct error *problem = NULL;
		CLEANUP(cleanup_json_free)
		struct json *set = set_find(session, references->items[i], &problem);

		if (problem) {
			error_append(err, problem);
			return -1;
		}
		if (set)
			expand(set, references->items[i], &snapshots, &names);
		else
			string_list_add(&snapshots, references->items[i]);
	}
	options.with_set = names.count > 0;
	if (snapshot_remove(session, &options, result, err) < 0)
		return -1;
	if (remove_names(session, &names, *result, err) == 0)
		return 0;
	json_free(STEAL_POINTER(*result));
	return -1;
}
