/*
 * The two states that a comparison is of, as a person names them.
 */
#ifndef SIDESNAP_SNAPSHOT_ENDS_H
#define SIDESNAP_SNAPSHOT_ENDS_H

#include "base/json.h"
#include "snapshot/session.h"
#include "snapshot/target.h"

struct end {
	char *name;	      /* for people */
	struct json *image;   /* inspect of a snapshot; NULL: a container */
	struct target target; /* of a container */
};

/*
 * ends_find(session, from, to, a, b, err):
 * ${from} and ${to} are words of a person: a snapshot, or a container; at most one of them a
 * container. ${to} NULL: ${from} against what it came from, which then stands first. ${a} and
 * ${b} are zero before, and to be released in any case. ERROR_NOT_FOUND, ERROR_USAGE (two
 * containers; no parent).
 */
int ends_find(const struct session *session, const char *from, const char *to, struct end *a,
	      struct end *b, struct error **err);
void end_release(struct end *end);

/* end_image(end): The id of a snapshot's image, "" of a container; borrowed. */
const char *end_image(const struct end *end);

/*
 * end_describe(end, object): {"reference","id","image","created","title"} of a snapshot,
 * {"container","container_id","state":"live"|"stopped"} of a container.
 */
void end_describe(const struct end *end, struct json *object);

#endif
