/*
 * The snapshots among the engine's images, as list, show and ps report them.
 */
#ifndef SIDESNAP_SNAPSHOT_IMAGES_H
#define SIDESNAP_SNAPSHOT_IMAGES_H

#include <stdbool.h>

#include "base/json.h"
#include "snapshot/session.h"
#include "snapshot/target.h"

/* Ids that a snapshot carries of those it came from, its parent among them: 1 KiB of label. */
#define ANCESTORS_MAX 32

/*
 * images_list(session, err), images_entries(images):
 * Entries as snapshot_list() has them, newest first, without "containers"; to be freed.
 * ${images}: as origin_images() gives them.
 */
struct json *images_list(const struct session *session, struct error **err);
struct json *images_entries(const struct json *images);

/* images_sorted(entries): Copies of them, newest first; to be freed. */
struct json *images_sorted(const struct json *entries);

/*
 * images_entry(labels, references, image):
 * One entry from the labels and names of an image; to be freed. ${references} may hold
 * "<none>:<none>" and be NULL. Labels are whatever an image's author wrote.
 */
struct json *images_entry(const struct json *labels, const struct json *references,
			  const char *image);

/* images_is_pinned(labels): Whether the label sidesnap.pinned says so. */
bool images_is_pinned(const struct json *labels);

/* images_tag_count(image): How many tags an image has, an inspect or an entry of a list. */
size_t images_tag_count(const struct json *image);

/*
 * images_tag_named(inspect, text): The tag of an image that ${text} means, borrowed; NULL where it
 * names the image by an id. Engines leave out parts of names that others write.
 */
const char *images_tag_named(const struct json *inspect, const char *text);

/*
 * images_check_move(inspect, name, err): Before ${name} goes from that image to another one:
 * ERROR_REFUSED where it is the last of a pinned snapshot, which any prune could then take.
 */
int images_check_move(const struct json *inspect, const char *name, struct error **err);

/*
 * images_whole_sets(session, err):
 * The sidesnap.ids of the sets that have a name, which they get last, when all their members have theirs;
 * an array to be freed.
 */
struct json *images_whole_sets(const struct session *session, struct error **err);

/* images_set_is_whole(session, id, err): Whether it is one of them. False, with *err, where that cannot be told. */
bool images_set_is_whole(const struct session *session, const char *id, struct error **err);

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

/* images_stands_on(image, below): Whether the layers of one inspect are those of the other, and maybe more. */
bool images_stands_on(const struct json *image, const struct json *below);

/*
 * images_used_by(containers, image, id):
 * Names of containers made from that image, or from another one of the same snapshot (its
 * sidesnap.id, which containers inherit; may be NULL or ""); an array to be freed.
 */
struct json *images_used_by(const struct json *containers, const char *image, const char *id);

/*
 * images_of(session, entries, name, err):
 * The entries that are of a target, copied: of the container or service ${name}, or where there
 * is none any more, by what snapshots say of their source. To be freed. NULL: ERROR_NOT_FOUND
 * (neither target nor snapshot), ERROR_USAGE (ambiguous).
 */
struct json *images_of(const struct session *session, const struct json *entries, const char *name,
		       struct error **err);

#endif
