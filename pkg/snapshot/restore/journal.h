/*
 * The journal of a reset or replace, and what can be done with it. It is the label
 * sidesnap.journal of the restore helper, written before the first change, and holds all
 * that is needed to go back (or, without a safety snapshot, to finish).
 *
 * {"version":1, "operation":"reset"|"replace", "image":"sha256:..." of the snapshot,
 *  "snapshot":REF, "safety":REF or "", "places":[{"path","volume"|"source"}],
 *  "containers":[{"role":"target"|"follower"|"user", "id":OLD ID, "name", "image":"sha256:..." that
 *                 the new one is made from, "restart":{RestartPolicy}, "running":true}],
 *  "half":true where the volumes were half restored already when it was written}
 *
 * The target is first. A follower lives in a namespace of the target and is made again
 * as well (by replace); a user of the same volumes is only stopped and started.
 *
 * The rule by which everybody can tell how far it came: the helper is told to change the
 * volumes only after the target has its other name, and the target gets its own name back
 * only when the volumes are whole.
 */
#ifndef SIDESNAP_SNAPSHOT_JOURNAL_H
#define SIDESNAP_SNAPSHOT_JOURNAL_H

#include <stdbool.h>

#include "base/json.h"
#include "snapshot/session.h"

/* While it is reset or replaced a container has this behind its name; its successor that, until it takes over. */
#define SUFFIX_RESTORING ".sidesnap-restoring"
#define SUFFIX_OLD ".sidesnap-replaced"
#define SUFFIX_NEW ".sidesnap-new"

#define ROLE_TARGET "target"
#define ROLE_FOLLOWER "follower"
#define ROLE_USER "user"

/* journal_encode(journal): The label's text, to be freed. */
char *journal_encode(const struct json *journal);

/* journal_decode(text, err): Checked in every member; to be freed. ERROR_DAMAGED. */
struct json *journal_decode(const char *text, struct error **err);

/* journal_container(role, inspect, image): One of "containers" as the container is now. */
struct json *journal_container(const char *role, const struct json *inspect, const char *image);

/* journal_suffixed(container, suffix): Its name with a suffix, to be freed. */
char *journal_suffixed(const struct json *container, const char *suffix);

/* journal_target(journal): The first of its containers. */
const struct json *journal_target(const struct json *journal);

/* journal_suffix(journal): What its target has behind its name while the volumes are changed. */
const char *journal_suffix(const struct json *journal);

/* journal_is_reset(journal): Whether the target stays the same container. */
bool journal_is_reset(const struct json *journal);

enum journal_outcome {
	JOURNAL_ROLLED_BACK, /* as before */
	JOURNAL_FINISHED,    /* the old container was gone already: the new one stays; or, without
				a safety snapshot, the data is the snapshot's */
};

/*
 * journal_go_back(session, journal, helper, outcome, err):
 * Roll back, or finish where the old container was removed already or there is no safety
 * snapshot; then remove the helper ${helper} (its inspect or only {"Id"}), the journal, unless
 * something failed. Looks at what is there and may be run again. The engine must not be set
 * to be cancelled.
 */
int journal_go_back(const struct session *session, const struct json *journal,
		    const struct json *helper, enum journal_outcome *outcome, struct error **err);

/*
 * journal_take_over(session, journal, helper, outcome, err):
 * The same for what another process has left (${helper} is an inspect), which everybody who asks
 * is told as long as it lasts.
 */
int journal_take_over(const struct session *session, const struct json *journal,
		      const struct json *helper, enum journal_outcome *outcome, struct error **err);

/*
 * journal_stop_all(session, journal, err):
 * Stop what uses the volumes: users first, the target last. That one is killed: its state
 * is in the safety snapshot, or given up.
 */
int journal_stop_all(const struct session *session, const struct json *journal, struct error **err);

/*
 * journal_set_restart(session, id, policy, err):
 * Change a container's restart policy (NULL: to "no"), where it differs.
 */
int journal_set_restart(const struct session *session, const char *id, const struct json *policy,
			struct error **err);

/* journal_give_name(session, id, name, err): Rename a container, unless it has that name already. */
int journal_give_name(const struct session *session, const char *id, const char *name,
		      struct error **err);

/* journal_put_back(session, container, start, err): Name and policy as noted; and running, with ${start}. */
int journal_put_back(const struct session *session, const struct json *container, bool start,
		     struct error **err);

/* journal_find_new(session, container): Inspect of what was made in place of it, or NULL; to be freed. */
struct json *journal_find_new(const struct session *session, const struct json *container);

#endif
