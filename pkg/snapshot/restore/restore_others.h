/* Whom a reset or replace touches besides its target. */
#ifndef SIDESNAP_SNAPSHOT_RESTORE_OTHERS_H
#define SIDESNAP_SNAPSHOT_RESTORE_OTHERS_H

#include "base/json.h"
#include "snapshot/restore/restore_plan.h"
#include "snapshot/session.h"
#include "snapshot/target.h"

/*
 * restore_find_others(session, target, plan, journal, question, err):
 * Append to the journal's containers those whose network, pid or ipc namespace is the
 * target's, also of each other, and those that run and use one of the plan's volumes. Where
 * the target is made anew the former are followers, running or not; in a reset they are only
 * started again, like the latter (users). *question: what to ask a person, NULL when there are
 * none; to be freed. ERROR_REFUSED for what cannot be stopped and started again (paused, --rm,
 * sidesnap itself); ERROR_BUSY when another sidesnap works on one of the volumes.
 */
int restore_find_others(const struct session *session, const struct target *target,
			const struct restore_plan *plan, const struct json *journal,
			char **question, struct error **err);

/*
 * restore_check_alone(session, target, plan, err):
 * Asked when our own journal can be seen by all: of two that begin at the same time with a volume
 * in common at least one sees the other, before either has changed anything. ERROR_BUSY.
 */
int restore_check_alone(const struct session *session, const struct target *target,
			const struct restore_plan *plan, struct error **err);

#endif
