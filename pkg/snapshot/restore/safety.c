/*
 * Safety snapshots are told by a label, and whose they are by the container's id, or by
 * its name and service: replace makes a container anew, with another id.
 */
#include "snapshot/restore/safety.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "snapshot/helper/command.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/restore/restore_plan.h"
#include "snapshot/snapshot.h"

#define KEPT 3

/* Whether the safety snapshot has everything that is going to be overwritten. */
static int check(const struct session *session, const struct safety_request *request,
		 struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *image = snapshot_inspect(session, request->reference, err);
	struct restore_plan back;
	int result;

	if (!image)
		return -1;
	result = restore_plan_make(image, request->target->inspect, request->places, true, &back,
				   err);
	if (result == 0 && json_count(back.places) != json_count(request->places))
		result = error_set(err, ERROR_REFUSED,
				   "the safety snapshot %s lacks some of what the restore would "
				   "overwrite; nothing was changed",
				   request->reference);
	restore_plan_release(&back);
	return result;
}

/* Whether the target ended since we looked at it, and is made to run by the engine. */
static bool was_restarted(const struct session *session, const struct target *target)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = container_inspect(session->engine, target->id, NULL);
	const struct json *now = json_get(inspect, "State");
	const struct json *before = json_get(target->inspect, "State");

	/* An engine that is gone has restarted nothing. */
	if (!inspect)
		return false;
	return json_bool(now, "Restarting") || strcmp(json_string_or(now, "StartedAt", ""),
						      json_string_or(before, "StartedAt", "")) != 0;
}

/*
 * A service that ends again and again has no process that could be frozen, and is what
 * people want to put back most: it is stopped for the copy.
 */
static int create(struct session *session, const struct target *target,
		  struct create_options *options, struct json **result, struct error **err)
{
	cleanup_error struct error *problem = NULL;

	options->stopped = target->restarting;
	if (snapshot_create(session, options, result, &problem) == 0)
		return 0;
	if (!options->stopped && session_check(session, NULL) == 0 &&
	    was_restarted(session, target)) {
		options->stopped = true;
		return snapshot_create(session, options, result, err);
	}
	error_append(err, STEAL_POINTER(problem));
	return -1;
}

int safety_take(struct session *session, const struct safety_request *request, struct json **result,
		struct error **err)
{
	const struct target *target = request->target;
	CLEANUP(cleanup_json_free) struct json *image = NULL;
	/* With a project asked for, its services come before names. */
	struct create_options options = {.target = session->project ? target->id : target->name,
					 .reference = request->reference,
					 .title = request->title,
					 .operation = request->operation,
					 .safety = true,
					 .leave_stopped = !request->goes_on,
					 .reserve_bytes = UINT64_MAX};
	int outcome;

	image = image_inspect(session->engine, target->image_id, NULL);
	/* A bind mount is captured only on request, but it would be overwritten all the same. */
	json_for_each(place, request->places)
		if (json_get(place, "source"))
			string_list_add(&options.included, json_string_or(place, "path", ""));
	/* Its data is what counts: a password on its command line must not prevent the way back. */
	if (image && command_check(target, image, &options, NULL) < 0)
		options.image_command = true;
	outcome = create(session, target, &options, result, err);
	string_list_release(&options.included);
	if (outcome < 0)
		return error_prefix(err, "cannot take the safety snapshot");
	return request->places ? check(session, request, err) : 0;
}

/* ---- those that there are ---- */

static bool is_of(const struct json *entry, const struct target *target)
{
	const struct json *source = json_get(entry, "source");

	if (strcmp(json_string_or(entry, "kind", ""), "safety") != 0)
		return false;
	if (strcmp(json_string_or(source, "id", ""), target->id) == 0)
		return true;
	/* Not the lineage: what was booted beside from a snapshot has a history of its own. */
	return strcmp(json_string_or(source, "container", ""), target->name) == 0 &&
	       strcmp(json_string_or(source, "project", ""), text_or(target->project, "")) == 0 &&
	       strcmp(json_string_or(source, "service", ""), text_or(target->service, "")) == 0;
}

struct json *safety_newest(const struct session *session, const struct target *target,
			   const char *skipped, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *images = images_list(session, err);

	if (!images)
		return NULL;
	json_for_each(entry, images)
		if (is_of(entry, target) && json_count(json_get(entry, "references")) &&
		    (!skipped || strcmp(json_string_or(entry, "id", ""), skipped) != 0))
			return json_copy(entry);
	error_set(err, ERROR_NOT_FOUND, "there is nothing to undo: \"%s\" has no safety snapshot",
		  target->name);
	error_hint(err,
		   "reset and replace make one unless --no-safety is given; \"sidesnap ls %s\" "
		   "lists what there is",
		   target->name);
	return NULL;
}

static bool is_kept(const struct json *entry, const struct json *kept)
{
	json_for_each(reference, json_get(entry, "references"))
		if (json_has_string(kept, json_string_or(reference, NULL, "")))
			return true;
	return false;
}

static void forget(const struct session *session, const struct json *entry)
{
	json_for_each(reference, json_get(entry, "references")) {
		const char *name = json_string_or(reference, NULL, "");
		cleanup_error struct error *problem = NULL;

		/* Tags that a person gave it are a person's. */
		if (!text_has_prefix(name, "localhost/sidesnap/"))
			continue;
		if (image_remove(session->engine, name, false, true, NULL, &problem) < 0)
			progress_warn(session->progress,
				      "cannot remove the old safety snapshot %s: %s", name,
				      problem->message);
		else
			progress_detail(session->progress, "removed the old safety snapshot %s",
					name);
	}
}

void safety_prune(const struct session *session, const struct target *target,
		  const struct json *kept)
{
	CLEANUP(cleanup_json_free) struct json *images = images_list(session, NULL);
	CLEANUP(cleanup_json_free)
	struct json *containers = container_list(session->engine, true, NULL, NULL);
	size_t count = 0;

	if (!containers)
		return;
	json_for_each(entry, images) {
		CLEANUP(cleanup_json_free) struct json *users = NULL;

		/* Pinned ones are a person's, and take no place of those that are kept anyway. */
		if (!is_of(entry, target) || json_bool(entry, "pinned") || count++ < KEPT ||
		    is_kept(entry, kept))
			continue;
		users = images_used_by(containers, json_string_or(entry, "image", ""),
				       json_string(entry, "id"));
		if (json_count(users) == 0)
			forget(session, entry);
	}
}
