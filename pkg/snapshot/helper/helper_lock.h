/*
 * The name of a helper is the lock of its target; telling helpers from containers
 * that only look like one; finding those that are there.
 */
#ifndef SIDESNAP_SNAPSHOT_HELPER_LOCK_H
#define SIDESNAP_SNAPSHOT_HELPER_LOCK_H

#include <stdbool.h>

#include "base/json.h"
#include "snapshot/session.h"

/*
 * helper_lock_name(target_id, purpose):
 * "sidesnap-<12 digits of the target>-<purpose>"; random digits where ${target_id} is NULL.
 * To be freed.
 */
char *helper_lock_name(const char *target_id, const char *purpose);

/*
 * helper_is_ours(inspect):
 * Whether a container is a helper: role label, form of the name, and the nonce both in
 * its label and as the folder of its entrypoint. Labels alone prove nothing, since a
 * container inherits those of its image.
 */
bool helper_is_ours(const struct json *inspect);

/*
 * helper_is_alive(session, inspect):
 * Running (its owner's stream is open, else it would have ended) or not started yet, while the
 * process that its label names lives. Where that cannot be seen, one that was not started
 * counts as alive for a minute by the engine's clock.
 */
bool helper_is_alive(const struct session *session, const struct json *inspect);

/*
 * helper_lock_break(session, name, err):
 * The name is taken: remove a dead helper by id. ERROR_BUSY when it is alive; ERROR_EXISTS
 * when it is no helper of ours.
 */
int helper_lock_break(const struct session *session, const char *name, struct error **err);

/* helper_list(session, err): Inspects of all helpers, dead or alive, oldest first; an array to be freed. */
struct json *helper_list(const struct session *session, struct error **err);

#endif
