/*
 * Who a snapshot is: its id, what it came from, and the image that its helper is
 * made from.
 */
#ifndef SIDESNAP_SNAPSHOT_IDENTITY_H
#define SIDESNAP_SNAPSHOT_IDENTITY_H

#include "base/json.h"
#include "snapshot/session.h"
#include "snapshot/target.h"

struct identity {
	char *id;      /* 32 hex digits, random */
	char *parent;  /* sidesnap.id, or "" */
	char *lineage; /* 32 hex digits */
	char *base;    /* image id that the helper is made from */
	char *created; /* RFC 3339; set anew at the instant of the state */
};

/* identity_find(session, target, image, identity, err): ${image} is the inspect of the target's image. */
int identity_find(const struct session *session, const struct target *target,
		  const struct json *image, struct identity *identity, struct error **err);

void identity_release(struct identity *identity);

#endif
