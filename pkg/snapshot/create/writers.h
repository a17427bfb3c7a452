/*
 * Who else could write what is captured: the containers that hold a writable
 * mount of a captured volume, and those that must never be frozen.
 */
#ifndef SIDESNAP_SNAPSHOT_WRITERS_H
#define SIDESNAP_SNAPSHOT_WRITERS_H

#include "base/json.h"
#include "base/text.h"
#include "snapshot/create/plan.h"
#include "snapshot/session.h"
#include "snapshot/target.h"

/*
 * writers_find(session, target, plan, freezable, unfreezable, paused, err):
 * The running containers, other than the target, with a writable mount of one of
 * the plan's trees. Ids go to ${freezable}, or "NAME (reason)" to ${unfreezable} when the
 * container is sidesnap's own, leads to the engine, takes another's logs, or has the
 * label sidesnap.freeze=false. The target itself is put first into one of them when it runs
 * and nobody has paused it. Containers paused by a person are in neither: they write nothing
 * as long as they are paused. Their ids go to ${paused}, which may be NULL.
 */
int writers_find(const struct session *session, const struct target *target,
		 const struct plan *plan, struct string_list *freezable,
		 struct string_list *unfreezable, struct string_list *paused, struct error **err);

/*
 * writers_never_frozen(session, err):
 * The running containers that may never be frozen: {ID: reason}, to be freed.
 */
struct json *writers_never_frozen(const struct session *session, struct error **err);

#endif
