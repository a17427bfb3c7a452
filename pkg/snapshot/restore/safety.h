/*
 * Safety snapshots: the way back that a reset or replace makes before it changes
 * anything. The last three of a container are kept.
 */
#ifndef SIDESNAP_SNAPSHOT_SAFETY_H
#define SIDESNAP_SNAPSHOT_SAFETY_H

#include "base/json.h"
#include "snapshot/session.h"
#include "snapshot/target.h"

struct safety_request {
	const struct target *target;
	const char *reference; /* that it gets */
	const char *title;
	const char *operation;	   /* "reset", "replace" or "load": what follows */
	const struct json *places; /* of the restore plan: what it must hold; NULL: not known */
	bool goes_on;		   /* the target runs on afterwards */
};

/*
 * safety_take(session, request, result, err):
 * Snapshot the target as it is at the end of the copy, and end it there and then: what runs is
 * killed while it is frozen, so nothing can be written that the snapshot does not have. On failure
 * it runs again; with goes_on it runs on in any case. *result as of snapshot_create(). ERROR_REFUSED where the snapshot would lack
 * something of the places.
 */
int safety_take(struct session *session, const struct safety_request *request, struct json **result,
		struct error **err);

/*
 * safety_newest(session, target, skipped, err):
 * The newest safety snapshot of that container, as an entry of images_list(); to be freed.
 * ${skipped}: the sidesnap.id of one that does not count, or NULL. ERROR_NOT_FOUND: none.
 */
struct json *safety_newest(const struct session *session, const struct target *target,
			   const char *skipped, struct error **err);

/*
 * safety_prune(session, target, kept):
 * Remove the container's safety snapshots beyond the last three; those of the references in ${kept}
 * and those that a container uses stay. A failure is a warning.
 */
void safety_prune(const struct session *session, const struct target *target,
		  const struct json *kept);

#endif
