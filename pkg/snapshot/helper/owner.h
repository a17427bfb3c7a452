/*
 * Whose helper it is: so that what a dead process left is repaired at once, and what a
 * living one is doing is left alone.
 */
#ifndef SIDESNAP_SNAPSHOT_OWNER_H
#define SIDESNAP_SNAPSHOT_OWNER_H

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

/* owner_label(session): The same as base64url, for the label; to be freed. */
char *owner_label(const struct session *session);

/* owner_state(session, label): What became of the process that described itself so. */
enum owner_state owner_state(const struct session *session, const char *label);

#endif
