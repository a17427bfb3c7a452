/*
 * Two states side by side, so that an agent can compare them: helpers made from two
 * snapshots, or from a snapshot and one that has captured a container as it is now. The
 * agent that compares runs in the first one's or in one made from the same image.
 */
#ifndef SIDESNAP_SNAPSHOT_PAIR_H
#define SIDESNAP_SNAPSHOT_PAIR_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "snapshot/helper/helper.h"
#include "snapshot/session.h"

struct pair;

/*
 * pair_open(session, from, to, err):
 * ${from} and ${to} are words of a person: a snapshot, or a container; at most one of them a
 * container. ${to} NULL: ${from} against what it came from, which then stands first. A running
 * container is read without a freeze. NULL: ERROR_NOT_FOUND, ERROR_USAGE (two containers).
 */
struct pair *pair_open(struct session *session, const char *from, const char *to,
		       struct error **err);
void pair_free(struct pair *pair); /* removes the helpers; NULL ok */
CLEANUP_DEFINE(struct pair, pair_free)

/*
 * pair_describe(pair, result): "from" and "to": {"reference","id","image","created","title"} of a
 * snapshot, {"container","container_id","state":"live"|"stopped"} of a container.
 */
void pair_describe(const struct pair *pair, struct json *result);

/* pair_names(pair, from, to): What to call them; borrowed. */
void pair_names(const struct pair *pair, const char **from, const char **to);

/*
 * pair_start(pair, job, err): Give ${job}, to which "from" and "to" are added, to the agent. Once a
 * pair. What it then finds comes from pair_helper(), or to whom listens there.
 */
int pair_start(struct pair *pair, struct json *job, struct error **err);

/* pair_helper(pair): The one that compares; borrowed. */
struct helper *pair_helper(struct pair *pair);

/* pair_finish(pair, done, err): Wait for the result (*done may be NULL), and end the agent. */
int pair_finish(struct pair *pair, struct json **done, struct error **err);

#endif
