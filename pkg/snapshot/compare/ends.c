/* What two words of a person mean that are to be compared. */
#include "snapshot/compare/ends.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "snapshot/labels.h"
#include "snapshot/origin.h"
#include "snapshot/helper/state.h"

void end_release(struct end *end)
{
	free(end->name);
	json_free(end->image);
	target_release(&end->target);
}

const char *end_image(const struct end *end)
{
	return json_string_or(end->image, "Id", "");
}

/* Names of containers come first, as with TARGET everywhere: a tag is never one. */
static int find_end(const struct session *session, const char *word, struct end *end,
		    struct error **err)
{
	cleanup_error struct error *no_target = NULL, *no_snapshot = NULL;

	if (target_find(session, word, &end->target, &no_target) == 0) {
		end->name = memory_strdup(end->target.name);
		return 0;
	}
	if (no_target->kind != ERROR_NOT_FOUND) {
		error_append(err, STEAL_POINTER(no_target));
		return -1;
	}
	end->image = snapshot_inspect(session, word, &no_snapshot);
	if (end->image) {
		end->name = memory_strdup(word);
		return 0;
	}
	if (no_snapshot->kind != ERROR_NOT_FOUND) {
		error_append(err, STEAL_POINTER(no_snapshot));
		return -1;
	}
	error_set(err, ERROR_NOT_FOUND, "no container and no snapshot \"%s\"", word);
	return error_hint(err, "%s",
			  text_or(strpbrk(word, ":/") ? no_snapshot->hint : no_target->hint,
				  "\"sidesnap ls\" lists the snapshots"));
}

static const struct json *record_of(const struct json *records, const char *container)
{
	json_for_each(record, records)
		if (strcmp(json_string_or(record, "container", ""), container) == 0)
			return record;
	return NULL;
}

/* What the data of a container came from last. */
static int find_origin(const struct session *session, const struct target *target, struct end *end,
		       struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *images = origin_images(session, err);
	CLEANUP(cleanup_json_free) struct json *records = NULL;
	const struct json *entry;

	if (!images)
		return -1;
	records = state_records(session, target->image_id, err);
	if (!records)
		return error_prefix(err, "cannot read what the last resets have noted");
	entry = origin_find(images, target, record_of(records, target->id), true);
	if (!entry) {
		error_set(err, ERROR_NOT_FOUND,
			  "no snapshot is known that the data of \"%s\" came from, or that was "
			  "made of it",
			  target->name);
		return error_hint(err,
				  "name one: sidesnap diff REF %s; or make the first: "
				  "sidesnap create %s",
				  target->name, target->name);
	}
	end->name = memory_strdup(origin_reference(entry));
	end->image = snapshot_inspect(session, json_string_or(entry, "Id", ""), err);
	return end->image ? 0 : -1;
}

/* The snapshot that another one came from. */
static int find_parent(const struct session *session, const struct end *child, struct end *end,
		       struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *images = NULL;
	const char *parent = snapshot_label(child->image, LABEL_PARENT);

	if (!*parent) {
		error_set(err, ERROR_USAGE, "snapshot \"%s\" has no parent to compare it with",
			  child->name);
		return error_hint(err, "name the other one: sidesnap diff REF %s", child->name);
	}
	images = origin_images(session, err);
	if (!images)
		return -1;
	json_for_each(entry, images) {
		const char *id = json_string_or(json_get(entry, "Labels"), LABEL_ID, "");

		if (strcmp(id, parent) != 0)
			continue;
		end->name = memory_strdup(origin_reference(entry));
		end->image = snapshot_inspect(session, json_string_or(entry, "Id", ""), err);
		return end->image ? 0 : -1;
	}
	error_set(err, ERROR_NOT_FOUND, "the parent of \"%s\" (%s) is not here", child->name,
		  parent);
	return error_hint(err, "name another one: sidesnap diff REF %s", child->name);
}

int ends_find(const struct session *session, const char *from, const char *to, struct end *a,
	      struct end *b, struct error **err)
{
	if (find_end(session, to ? to : from, b, err) < 0)
		return -1;
	if (!to)
		return b->image ? find_parent(session, b, a, err)
				: find_origin(session, &b->target, a, err);
	if (find_end(session, from, a, err) < 0)
		return -1;
	if (a->image || b->image)
		return 0;
	error_set(err, ERROR_USAGE, "\"%s\" and \"%s\" are both containers", a->name, b->name);
	return error_hint(err, "make a snapshot of one of them first: sidesnap create %s", a->name);
}

void end_describe(const struct end *end, struct json *object)
{
	const struct json *labels = json_path(end->image, "Config", "Labels");

	if (!end->image) {
		json_set_string(object, "container", end->target.name);
		json_set_string(object, "container_id", end->target.id);
		json_set_string(object, "state", end->target.running ? "live" : "stopped");
		return;
	}
	json_set_string(object, "reference", end->name);
	json_set_string(object, "id", json_string_or(labels, LABEL_ID, ""));
	json_set_string(object, "image", end_image(end));
	json_set_string(object, "created", json_string_or(labels, LABEL_CREATED, ""));
	json_set_string(object, "title", json_string_or(labels, LABEL_TITLE, ""));
}
