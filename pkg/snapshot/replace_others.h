/* Whom a replace touches besides its target. */
#ifndef SIDESNAP_SNAPSHOT_REPLACE_OTHERS_H
#define SIDESNAP_SNAPSHOT_REPLACE_OTHERS_H

#include "base/json.h"
#include "snapshot/replace_restore.h"
#include "snapshot/session.h"
#include "snapshot/target.h"

/*
 * replace_find_others(session, target, plan, containers, question, err):
 * Append to the journal's ${containers} those whose network, pid or ipc namespace is the
 * target's (followers, also of followers, running or not) and those that run and use one of the
 * plan's volumes (users). *question: what to ask a person, NULL when there are none; to be freed.
 * ERROR_REFUSED for what cannot be stopped and started again (paused, --rm, sidesnap itself);
 * ERROR_BUSY when another sidesnap reads one of the volumes.
 */
int replace_find_others(const struct session *session, const struct target *target,
			const struct restore_plan *plan, struct json *containers, char **question,
			struct error **err);

#endif
