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
	bool restarting; /* it ended and the engine waits before the next try; also running */
};

/*
 * target_find(session, name, target, err):
 * By exact name or id, then by compose service (of -p, else of the project that our own
 * container belongs to, else one that is unique over all projects), then by a unique prefix
 * of the id, 4 digits or more: a service called "db" must not lose to an id that begins so.
 * ERROR_NOT_FOUND with the nearest names as hint; ERROR_USAGE when two containers fit.
 */
int target_find(const struct session *session, const char *name, struct target *target,
		struct error **err);

/*
 * target_choose(containers, name, project, explicit_project, err):
 * The same choice from a list of containers as the engine gives it; the chosen one's entry,
 * borrowed. ${explicit_project}: asked for by -p, so that its services come before names.
 */
const struct json *target_choose(const struct json *containers, const char *name,
				 const char *project, bool explicit_project, struct error **err);

/* target_entry_name(entry): The name in a list's entry, without '/'; "" when it has none. Borrowed. */
const char *target_entry_name(const struct json *entry);

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

/* snapshot_has_dump(inspect): Whether its database is in it as a dump, which its first boot loads. */
bool snapshot_has_dump(const struct json *inspect);

/* snapshot_dump_path(inspect): Where cat and cp find it; to be freed, NULL: it has none. */
char *snapshot_dump_path(const struct json *inspect);

/* How long such a boot may take until it is given up, unless a person says otherwise. */
#define LOAD_TIMEOUT_MS (2U * 60 * 60 * 1000)

#endif
