/*
 * Which snapshot a container's data came from: the one it was last reset to, the last
 * that was made of it, or the one it was booted from, whichever is latest.
 */
#ifndef SIDESNAP_SNAPSHOT_ORIGIN_H
#define SIDESNAP_SNAPSHOT_ORIGIN_H

#include <stdbool.h>

#include "base/json.h"
#include "snapshot/session.h"
#include "snapshot/target.h"

/* origin_images(session, err): The entries of GET /images/json that are snapshots; to be freed. */
struct json *origin_images(const struct session *session, struct error **err);

/*
 * origin_find(images, target, record, safeties):
 * The entry of ${images}, or NULL. ${record}: as state_record() gives it, may be NULL; one of a
 * snapshot that is not there any more says nothing. ${safeties}: safety snapshots count as well.
 */
const struct json *origin_find(const struct json *images, const struct target *target,
			       const struct json *record, bool safeties);

/* origin_reference(entry): How people name it: its first tag, else its id. Borrowed. */
const char *origin_reference(const struct json *entry);

#endif
