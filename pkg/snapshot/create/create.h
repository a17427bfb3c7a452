/*
 * A create in progress: what its steps share. Private to create*.c.
 */
#ifndef SIDESNAP_SNAPSHOT_CREATE_H
#define SIDESNAP_SNAPSHOT_CREATE_H

#include <stdbool.h>

#include "snapshot/create/consolidate.h"
#include "snapshot/create/freeze.h"
#include "snapshot/create/identity.h"
#include "snapshot/create/plan.h"
#include "snapshot/create/preparation.h"
#include "snapshot/helper/helper.h"
#include "snapshot/reference.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

struct create {
	struct session *session;
	const struct create_options *options;
	struct target target;
	struct target moved; /* with --onto: the target as if it were made from that image */
	const struct target *subject; /* of both the one that the snapshot is of */
	struct json *image;	      /* inspect of its image */
	struct json *load;	      /* what a boot needs to load the dump; NULL: there is none */
	struct json *dump_seed;	      /* of the first path that it fills; NULL: none */
	uint64_t dump_bytes;
	struct plan plan;
	struct identity identity;
	struct reference reference;
	struct string_list environment, omitted;
	struct string_list hidden; /* paths that own files never have */
	struct string_list unfreezable;
	struct freeze freeze;
	struct json *release;		     /* of the driver */
	struct consolidation *consolidation; /* of the base; NULL: it is none. Borrowed */
	struct helper *helper;
	struct preparation *preparation; /* the driver's, under way; NULL: none */
	struct json **seeds;		 /* one a tree of the plan, NULL: none */
	struct json *done;		 /* the agent's result */
	const char *own_source; /* of own files: "process" (/proc/PID/root), "stream", "none" */
	bool freezes_nothing;	/* by a wish, or since there are no files to be read */
	bool stopped_by_us;
	bool prepare_failed; /* and a person has said that this does not matter */
	bool disturbed;	     /* somebody thawed, or began to write: worth another attempt */
	uint64_t started_ms;
};

/* create_init(create, session, options), create_release(create): release undoes all that was done to the target. */
void create_init(struct create *create, struct session *session,
		 const struct create_options *options);
void create_release(struct create *create);

/*
 * create_prepare(create, capture, err):
 * Everything that can be known and refused before a helper exists. ${capture}: not only a
 * look, so what an interrupted create has left is repaired first.
 */
int create_prepare(struct create *create, bool capture, struct error **err);

/* create_job(create, operation): The job for the agent, without what only a capture has; to be freed. */
struct json *create_job(const struct create *create, const char *operation);

/* create_prepare_is_due(create): Whether the driver has a server to talk to. */
bool create_prepare_is_due(const struct create *create);

/* create_container_names(create, ids): Names of containers, for people; to be freed. */
struct json *create_container_names(const struct create *create, const struct string_list *ids);

/* create_will_stop(create): Whether a running target is stopped or killed, so that who finds it so must start it. */
bool create_will_stop(const struct create *create);

/* create_consistency(create): The label: never more than is true. */
const char *create_consistency(const struct create *create);

/* create_helper(create, purpose, err): Create it, sort out binds that are single files, collect the seeds. */
int create_helper(struct create *create, const char *purpose, struct error **err);

/* create_capture(create, err): From the start of the helper to its DONE; thawed and started again in all cases. */
int create_capture(struct create *create, struct error **err);

/*
 * create_await_others(create, step, err):
 * Of a member of a set: until all are as far. Nothing to wait for otherwise. As create_member.wait().
 */
int create_await_others(struct create *create, enum create_step step, struct error **err);

/* ---- create_logical.c ---- */

/*
 * create_move_onto(create, err): With --onto, instead of the target's own image: create->image and
 * what the target were if it had been made from it.
 */
int create_move_onto(struct create *create, struct error **err);

/* create_check_logical(create, err): The plan is made: whether there is a server to be dumped. */
int create_check_logical(struct create *create, struct error **err);

/* create_dump(create, err): READY has come: the dump, from the server into the helper, to its proven end. */
int create_dump(struct create *create, struct error **err);

/* ---- create_commit.c ---- */

/* create_commit(create, result, err): Commit, tag, result. */
int create_commit(struct create *create, struct json **result, struct error **err);

#endif
