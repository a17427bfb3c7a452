/*
 * What doctor does, for others that meet the same leftovers.
 */
#ifndef SIDESNAP_SNAPSHOT_DOCTOR_H
#define SIDESNAP_SNAPSHOT_DOCTOR_H

#include "base/json.h"
#include "snapshot/session.h"

/*
 * doctor_repair_create(session, helper, err):
 * Undo what a create has left, whose helper (an inspect) is not alive: thaw, release, start,
 * and remove the helper. -1 when something of it did not work; the helper stays then.
 */
int doctor_repair_create(const struct session *session, const struct json *helper,
			 struct error **err);

#endif
