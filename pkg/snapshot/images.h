/*
 * The snapshots among the engine's images, as list, show and ps report them.
 */
#ifndef SIDESNAP_SNAPSHOT_IMAGES_H
#define SIDESNAP_SNAPSHOT_IMAGES_H

#include <stdbool.h>

#include "base/json.h"
#include "snapshot/session.h"
#include "snapshot/target.h"

/*
 * images_list(session, err):
 * Entries as snapshot_list() has them, newest first, without "containers"; to be freed.
 */
struct json *images_list(const struct session *session, struct error **err);

/*
 * images_entry(labels, references, image):
 * One entry from the labels and names of an image; to be freed. ${references} may hold
 * "<none>:<none>" and be NULL. Labels are whatever an image's author wrote.
 */
struct json *images_entry(const struct json *labels, const struct json *references,
			  const char *image);

/* images_label_json(labels, label): A label that holds JSON, parsed; NULL where it does not. To be freed. */
struct json *images_label_json(const struct json *labels, const char *label);

/*
 * images_is_of(entry, id, name, project, service, lineage):
 * Whether a snapshot is of that container: its id, its compose service (with project), its
 * name (where neither has a service), or the lineage that it runs on. All may be NULL or "".
 */
struct image_source {
	const char *id, *name, *project, *service, *lineage;
};
bool images_is_of(const struct json *entry, const struct image_source *source);

/* images_used_by(containers, image): Names of containers made from it; an array to be freed. */
struct json *images_used_by(const struct json *containers, const char *image);

#endif
