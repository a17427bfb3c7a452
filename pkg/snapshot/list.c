/*
 * sidesnap ls. A target that was removed is still known by what its snapshots say of
 * their source: that is when its snapshots are wanted most.
 */
#include <string.h>

#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

static bool says_so(const struct json *entry, const struct session *session, const char *name)
{
	const struct json *source = json_get(entry, "source");

	if (!strcmp(json_string_or(source, "container", ""), name))
		return true;
	return !strcmp(json_string_or(source, "service", ""), name) &&
	       (!session->project ||
		!strcmp(json_string_or(source, "project", ""), session->project));
}

/* Entries that are of ${name}, copied; NULL and *err where there is neither target nor snapshot. */
static struct json *only_of(const struct session *session, const struct json *entries,
			    const char *name, struct error **err)
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

int snapshot_list(struct session *session, const char *target, struct json **result,
		  struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *entries = images_list(session, err);
	CLEANUP(cleanup_json_free) struct json *containers = NULL;

	if (!entries)
		return -1;
	if (target) {
		struct json *some = only_of(session, entries, target, err);

		if (!some)
			return -1;
		json_free(entries);
		entries = some;
	}
	containers = container_list(session->engine, true, NULL, err);
	if (!containers)
		return error_prefix(err, "cannot list containers");
	json_for_each(entry, entries)
		json_set(entry, "containers",
			 images_used_by(containers, json_string(entry, "image")));
	*result = STEAL_POINTER(entries);
	return 0;
}
