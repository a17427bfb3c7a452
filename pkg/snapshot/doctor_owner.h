/*
 * Whose journal it is: so that doctor rolls back what a dead process left, and
 * leaves one that is at work alone.
 */
#ifndef SIDESNAP_SNAPSHOT_DOCTOR_OWNER_H
#define SIDESNAP_SNAPSHOT_DOCTOR_OWNER_H

#include "base/json.h"
#include "snapshot/session.h"

enum owner_state {
	OWNER_ALIVE,
	OWNER_DEAD,
	OWNER_UNKNOWN, /* it is (or was) where we cannot look */
};

/*
 * owner_describe(session):
 * This process: {"boot","namespace","pid","start","container","container_started"}; to be freed.
 * ${session} may be NULL: then without the container that it runs in.
 */
struct json *owner_describe(const struct session *session);

/* owner_state(session, owner): What became of the process that described itself so. */
enum owner_state owner_state(const struct session *session, const struct json *owner);

#endif
