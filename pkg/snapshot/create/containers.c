/*
 * sidesnap ps: what there is to snapshot, what is known of it, and when that was last
 * done.
 */
#include <string.h>

#include "driver/driver.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/helper/state.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/helper/scratch.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

static void add_volumes(struct json *entry, const struct json *inspect)
{
	struct json *volumes = json_set_array(entry, "volumes");

	json_for_each(mount, json_get(inspect, "Mounts")) {
		const char *type = json_string_or(mount, "Type", "volume");
		struct json *volume;

		if (strcmp(json_string_or(mount, "Name", ""), STATE_VOLUME) == 0)
			continue;
		volume = json_add_object(volumes);

		json_set_string(volume, "name",
				!strcmp(type, "volume") ? json_string_or(mount, "Name", "")
							: json_string_or(mount, "Source", ""));
		json_set_string(volume, "path", json_string_or(mount, "Destination", ""));
		json_set_string(volume, "type", type);
	}
}

/* What the driver is; a failure to find out is a warning, not the end of the list. */
static void add_driver(const struct session *session, struct json *entry,
		       const struct json *inspect, const struct json *image)
{
	cleanup_error struct error *problem = NULL;
	struct driver_match match = {0};

	if (driver_detect(session->engine, inspect, image, &match, &problem) < 0) {
		progress_warn(session->progress, "cannot tell the driver of \"%s\": %s",
			      json_string_or(entry, "name", "?"), problem->message);
		json_set(entry, "driver", json_new_null());
	} else {
		json_set(entry, "driver",
			 match.driver ? json_new_string(match.driver->name) : json_new_null());
	}
	driver_match_release(&match);
}

static void add_last_snapshot(struct json *entry, const struct json *inspect,
			      const struct json *snapshots)
{
	const struct json *labels = json_path(inspect, "Config", "Labels");
	struct image_source source = {
		.id = json_string(entry, "id"),
		.name = json_string(entry, "name"),
		.project = json_string(entry, "project"),
		.service = json_string(entry, "service"),
		.lineage = json_string(labels, LABEL_LINEAGE),
	};

	json_for_each(snapshot, snapshots) {
		const struct json *reference = json_first(json_get(snapshot, "references"));
		struct json *last;

		if (!images_is_of(snapshot, &source))
			continue;
		last = json_set_object(entry, "last_snapshot");
		json_set_string(last, "reference",
				reference ? json_string(reference, NULL)
					  : json_string(snapshot, "id"));
		json_set_string(last, "created", json_string(snapshot, "created"));
		return;
	}
	json_set(entry, "last_snapshot", json_new_null());
}

static void set_or_null(struct json *entry, const char *key, const char *value)
{
	json_set(entry, key, json_new_string(value && *value ? value : NULL));
}

static void add_container(const struct session *session, struct json *result,
			  const struct json *inspect, const struct json *image,
			  const struct json *snapshots)
{
	const struct json *labels = json_path(inspect, "Config", "Labels");
	const char *name = json_string_or(inspect, "Name", "");
	struct json *entry = json_add_object(result);

	json_set_string(entry, "name", name + (name[0] == '/'));
	json_set_string(entry, "id", json_string(inspect, "Id"));
	json_set_string(entry, "state", json_string(json_get(inspect, "State"), "Status"));
	json_set_string(entry, "image", json_string(json_get(inspect, "Config"), "Image"));
	add_driver(session, entry, inspect, image);
	set_or_null(entry, "project", json_string(labels, COMPOSE_PROJECT));
	set_or_null(entry, "service", json_string(labels, COMPOSE_SERVICE));
	add_volumes(entry, inspect);
	add_last_snapshot(entry, inspect, snapshots);
}

/* The inspect of an image, asked for once; kept in ${cache} (which owns it). May be NULL. */
static const struct json *cached_image(const struct session *session, struct json *cache,
				       const char *id)
{
	const struct json *image = json_get(cache, id);
	struct json *fresh;

	if (image)
		return json_is_null(image) ? NULL : image;
	/* An image may have been removed by force from under its container. */
	fresh = image_inspect(session->engine, id, NULL);
	json_set(cache, id, fresh ? fresh : json_new_null());
	return fresh;
}

int snapshot_containers(struct session *session, bool all, struct json **result, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *containers = NULL, *snapshots = NULL;
	CLEANUP(cleanup_json_free) struct json *list = json_new_array();
	CLEANUP(cleanup_json_free) struct json *cache = json_new_object();

	containers = container_list(session->engine, all, NULL, err);
	if (!containers)
		return error_prefix(err, "cannot list containers");
	snapshots = images_list(session, err);
	if (!snapshots)
		return -1;
	json_for_each(item, containers) {
		struct error *problem = NULL;
		CLEANUP(cleanup_json_free)
		struct json *inspect = container_inspect(session->engine,
							 json_string_or(item, "Id", ""), &problem);

		if (session_check(session, err) < 0) {
			error_free(problem);
			return -1;
		}
		if (!inspect && problem->kind == ERROR_NOT_FOUND) {
			error_free(problem);
			continue;
		}
		if (!inspect) {
			error_append(err, problem);
			return error_prefix(err, "cannot inspect container \"%s\"",
					    target_entry_name(item));
		}
		if (!helper_is_ours(inspect) && !scratch_is_ours(inspect))
			add_container(
				session, list, inspect,
				cached_image(session, cache, json_string_or(inspect, "Image", "")),
				snapshots);
	}
	*result = STEAL_POINTER(list);
	return 0;
}
