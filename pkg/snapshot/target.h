/*
 * TARGET on the command line: a container's name or id, or a compose service of
 * the project that applies. And REF: a snapshot.
 */
#ifndef SIDESNAP_SNAPSHOT_TARGET_H
#define SIDESNAP_SNAPSHOT_TARGET_H

#include <stdbool.h>

#include "base/json.h"
#include "snapshot/session.h"

struct target {
	struct json *inspect; /* container inspect */
	const char *id;	      /* 64 hex digits; borrowed from inspect, as all below */
	const char *name;     /* without '/' */
	const char *image_id; /* sha256:... that it was made from */
	const char *project;  /* compose, or NULL */
	const char *service;  /* compose, or NULL */
	bool running;	      /* also true when paused */
	bool paused;
};

/*
 * target_find(session, name, target, err):
 * By exact name, id or unique id prefix, then by compose service. ERROR_NOT_FOUND with
 * the nearest names as hint; ERROR_USAGE when two containers fit.
 */
int target_find(const struct session *session, const char *name, struct target *target,
		struct error **err);

/* target_refresh(session, target, err): Inspect anew. */
int target_refresh(const struct session *session, struct target *target, struct error **err);

void target_release(struct target *target);

/*
 * snapshot_inspect(session, reference, err):
 * The image's inspect, when it is a snapshot that we understand. ERROR_NOT_FOUND,
 * ERROR_USAGE (an image, but no snapshot), ERROR_UNSUPPORTED (newer format). REF may also
 * be a sidesnap.id or a unique prefix of it (8 digits or more). To be freed.
 */
struct json *snapshot_inspect(const struct session *session, const char *reference,
			      struct error **err);

/* snapshot_label(inspect, label): Its value, "" when absent. Borrowed. */
const char *snapshot_label(const struct json *inspect, const char *label);

#endif
