/*
 * The journal of a replace, and what can be done with it. It is the label
 * sidesnap.undo of the restore helper, written before the first change, and holds all
 * that is needed to go back (or, once the old container is gone, to finish).
 *
 * {"version":1, "image":"sha256:..." of the snapshot, "snapshot":REF, "safety":REF,
 *  "containers":[{"role":"target"|"follower"|"user", "id":OLD ID, "name", "image":"sha256:..." that
 *                 the new one is made from, "restart":{RestartPolicy}, "running":true}]}
 *
 * The target is first. A follower lives in a namespace of the target and is made again
 * as well; a user of the same volumes is only stopped and started.
 */
#ifndef SIDESNAP_SNAPSHOT_REPLACE_UNDO_H
#define SIDESNAP_SNAPSHOT_REPLACE_UNDO_H

#include "base/json.h"
#include "snapshot/session.h"

/* While it is replaced a container has this behind its name; its successor that, until it takes over. */
#define SUFFIX_OLD ".sidesnap-replaced"
#define SUFFIX_NEW ".sidesnap-new"

#define ROLE_TARGET "target"
#define ROLE_FOLLOWER "follower"
#define ROLE_USER "user"

/* undo_encode(undo): The label's text, to be freed. */
char *undo_encode(const struct json *undo);

/* undo_decode(text, err): Checked in every member; to be freed. ERROR_DAMAGED. */
struct json *undo_decode(const char *text, struct error **err);

/* undo_container(role, inspect, image): One of "containers" as the container is now. */
struct json *undo_container(const char *role, const struct json *inspect, const char *image);

/* undo_suffixed(container, suffix): Its name with a suffix, to be freed. */
char *undo_suffixed(const struct json *container, const char *suffix);

/* undo_target(undo): The first of its containers. */
const struct json *undo_target(const struct json *undo);

enum undo_outcome {
	UNDO_ROLLED_BACK, /* as before the replace */
	UNDO_FINISHED,	  /* the old container was gone already: the new one stays */
};

/*
 * undo_run(session, undo, helper, outcome, err):
 * Roll back, or finish where the old container was removed already; then remove the
 * helper ${helper} (its inspect or only {"Id"}), the journal, unless something failed. Looks at
 * what is there and may be run again. The engine must not be set to be cancelled.
 */
int undo_run(const struct session *session, const struct json *undo, const struct json *helper,
	     enum undo_outcome *outcome, struct error **err);

/* undo_stop_all(session, undo, err): Stop what uses the volumes: users first, the target last. */
int undo_stop_all(const struct session *session, const struct json *undo, struct error **err);

/*
 * undo_set_restart(session, id, policy, err):
 * Change a container's restart policy (NULL: to "no"), where it differs.
 */
int undo_set_restart(const struct session *session, const char *id, const struct json *policy,
		     struct error **err);

/* undo_find_new(session, container): Inspect of what was made in place of it, or NULL; to be freed. */
struct json *undo_find_new(const struct session *session, const struct json *container);

#endif
