/*
 * sidesnap rm. All that is named is checked before anything is removed, so that a
 * command either does what it says or nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "snapshot/history/room.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

struct removal {
	char *image; /* the engine's id */
	char *id;    /* sidesnap.id */
	char *set;   /* that of the set which it is a member of; "" none */
	bool pinned;
	struct string_list tags; /* to remove; none: the image itself, by its id */
	size_t tag_count;	 /* that the image has in all */
};

struct removals {
	struct removal *list;
	size_t count;
};

static void removals_release(struct removals *removals)
{
	for (size_t i = 0; i < removals->count; i++) {
		free(removals->list[i].image);
		free(removals->list[i].id);
		free(removals->list[i].set);
		string_list_release(&removals->list[i].tags);
	}
	free(removals->list);
}

static struct removal *removal_of(struct removals *removals, const struct json *inspect)
{
	const char *image = json_string_or(inspect, "Id", "");
	struct removal *removal;

	for (size_t i = 0; i < removals->count; i++)
		if (!strcmp(removals->list[i].image, image))
			return &removals->list[i];
	removals->list = memory_array(removals->list, removals->count + 1, sizeof(*removals->list));
	removal = &removals->list[removals->count++];
	*removal = (struct removal){
		.image = memory_strdup(image),
		.id = memory_strdup(snapshot_label(inspect, LABEL_ID)),
		.set = memory_strdup(snapshot_label(inspect, LABEL_SET)),
		.pinned = images_is_pinned(json_path(inspect, "Config", "Labels")),
		.tag_count = images_tag_count(inspect),
	};
	string_list_init(&removal->tags);
	return removal;
}

static int plan_one(const struct session *session, struct removals *removals, const char *reference,
		    bool force, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = snapshot_inspect(session, reference, err);
	const char *tag;
	struct removal *removal;

	if (!inspect)
		return -1;
	tag = images_tag_named(inspect, reference);
	removal = removal_of(removals, inspect);
	if (tag) {
		if (!string_list_has(&removal->tags, tag))
			string_list_add(&removal->tags, tag);
		return 0;
	}
	if (removal->tag_count > 1 && !force) {
		CLEANUP(string_list_release) struct string_list tags;
		cleanup_free char *names = NULL;

		string_list_init(&tags);
		json_for_each(item, json_get(inspect, "RepoTags"))
			string_list_add(&tags, json_string_or(item, NULL, ""));
		names = string_list_join(&tags, ", ");
		error_set(err, ERROR_REFUSED, "\"%s\" has several tags: %s", reference, names);
		return error_hint(err, "name the tags to remove, or add --force to remove all");
	}
	json_for_each(item, json_get(inspect, "RepoTags")) {
		const char *name = json_string_or(item, NULL, "<none>");

		if (!strstr(name, "<none>") && !string_list_has(&removal->tags, name))
			string_list_add(&removal->tags, name);
	}
	return 0;
}

static const char *name_of(const struct removal *removal)
{
	return removal->tags.count ? removal->tags.items[0] : removal->image;
}

/* With its last tag an image goes; that must not be one that is pinned or that a container runs on. */
static int check_removal(const struct removal *removal, const struct json *containers,
			 const struct json *sets, bool force, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *users = images_used_by(containers, removal->image, removal->id);
	CLEANUP(string_list_release) struct string_list names;
	cleanup_free char *joined = NULL;

	string_list_init(&names);
	if (force || removal->tags.count < removal->tag_count)
		return 0;
	if (removal->pinned) {
		error_set(err, ERROR_REFUSED, "snapshot \"%s\" is pinned", name_of(removal));
		return error_hint(err, "sidesnap unpin %s, or add --force", name_of(removal));
	}
	if (json_has_string(sets, removal->set)) {
		error_set(err, ERROR_REFUSED, "snapshot \"%s\" is a member of the set %.12s",
			  name_of(removal), removal->set);
		return error_hint(err,
				  "\"sidesnap ls --sets\" lists the sets; rm of a set takes its "
				  "members, --force this one alone");
	}
	if (!json_count(users))
		return 0;
	json_for_each(item, users)
		string_list_add(&names, json_string(item, NULL));
	joined = string_list_join(&names, ", ");
	error_set(err, ERROR_REFUSED, "snapshot \"%s\" is used by container %s", name_of(removal),
		  joined);
	return error_hint(err,
			  "remove the container first, or add --force to remove the name alone");
}

static int remove_one(const struct session *session, const char *name, bool force,
		      struct json *removed, int64_t *deleted, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *answer = NULL;
	bool image = false;

	if (session_check(session, err) < 0)
		return -1;
	if (image_remove(session->engine, name, force, true, &answer, err) < 0)
		return error_prefix(err, "cannot remove \"%s\"", name);
	json_for_each(item, answer)
		image = image || json_get(item, "Deleted");
	*deleted += image;
	json_add_string(removed, name);
	progress_note(session->progress, "%s: %s", name,
		      image ? "the tag and the image are removed; its data stays where later "
			      "snapshots are built on it"
			    : "the tag is removed; the image stays");
	return 0;
}

static int remove_all(const struct session *session, const struct removals *removals, bool force,
		      struct json *result, struct error **err)
{
	struct json *removed = json_set_array(result, "removed");
	int64_t deleted = 0;

	for (size_t i = 0; i < removals->count; i++) {
		const struct removal *removal = &removals->list[i];

		for (size_t j = 0; j < removal->tags.count; j++)
			if (remove_one(session, removal->tags.items[j], force, removed, &deleted,
				       err) < 0)
				return -1;
		if (!removal->tags.count &&
		    remove_one(session, removal->image, force, removed, &deleted, err) < 0)
			return -1;
	}
	json_set_int(result, "deleted_images", deleted);
	return 0;
}

int snapshot_remove(struct session *session, const struct remove_options *options,
		    struct json **result, struct error **err)
{
	const struct string_list *references = options->references;
	bool force = options->force;
	CLEANUP(removals_release) struct removals removals = {0};
	CLEANUP(cleanup_json_free) struct json *containers = NULL, *report = json_new_object();
	CLEANUP(cleanup_json_free) struct json *sets = NULL;
	CLEANUP(cleanup_room_free) struct room *room = NULL;

	for (size_t i = 0; i < references->count; i++)
		if (plan_one(session, &removals, references->items[i], force, err) < 0)
			return -1;
	containers = container_list(session->engine, true, NULL, err);
	if (!containers)
		return error_prefix(err, "cannot list containers");
	sets = options->with_set ? json_new_array() : images_whole_sets(session, err);
	if (!sets)
		return error_prefix(err, "cannot list the sets");
	for (size_t i = 0; i < removals.count; i++)
		if (check_removal(&removals.list[i], containers, sets, force, err) < 0)
			return -1;
	room = room_open(session, err);
	if (!room || remove_all(session, &removals, force, report, err) < 0 ||
	    room_update(room, session, err) < 0)
		return -1;
	json_set_int(report, "freed_bytes", room_freed(room));
	*result = STEAL_POINTER(report);
	return 0;
}
