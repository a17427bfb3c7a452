/*
 * What reset and replace have in common: finding out, asking, the journal, the way
 * back, setting aside, restoring, and going back. Private to reset.c and replace.c.
 */
#ifndef SIDESNAP_SNAPSHOT_RESTORATION_H
#define SIDESNAP_SNAPSHOT_RESTORATION_H

#include <stdbool.h>

#include "base/json.h"
#include "driver/driver.h"
#include "snapshot/helper/helper.h"
#include "snapshot/restore/restore_plan.h"
#include "snapshot/session.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

struct restoration {
	struct session *session;
	const struct restore_options *options;
	const char *operation; /* "reset" or "replace" */
	const char *verb;      /* what a person asked for: also "undo" */
	struct target target;
	struct json *snapshot;	/* inspect of the snapshot's image */
	const char *image;	/* its id; borrowed */
	struct json *own_image; /* inspect of the target's own; may be NULL */
	char *reference;	/* as it was given, or found */
	struct restore_plan plan;
	struct driver_match driver; /* of the target */
	struct json *journal;
	struct json *taken_over; /* journal of a killed reset that cannot be ended; may be NULL */
	char *superseded;	 /* the helper that holds it */
	char *safety;		 /* reference; NULL: none */
	struct json *taken;	 /* what create says of it */
	struct helper *helper;	 /* holds the journal */
	struct heartbeat *heartbeat; /* shows others that the journal is in use */
	struct json *restored;	     /* the agent's answer */
	char *question;		     /* about the others that it concerns; NULL: there are none */
	bool takes_boot_state;	     /* what boot knows of the volumes is all that is known */
	bool was_started, is_ready;
	uint64_t started_ms, stopping_ms, going_ms, whole_ms, ready_ms; /* when */
	uint64_t safety_ms;						/* how long */
};

void restoration_init(struct restoration *restoration, struct session *session,
		      const struct restore_options *options, const char *operation,
		      const char *verb);
void restoration_release(struct restoration *restoration);

/*
 * restoration_find_target(restoration, err):
 * The target, once what an interrupted reset or replace has left of it is repaired.
 * ERROR_REFUSED for one that cannot be stopped and started.
 */
int restoration_find_target(struct restoration *restoration, struct error **err);

/* restoration_choose(restoration, reference, err): The snapshot, and all that follows from it. */
int restoration_choose(struct restoration *restoration, const char *reference, struct error **err);

/* restoration_forget_choice(restoration): For another choice; a helper that was made for it goes. */
void restoration_forget_choice(struct restoration *restoration);

/* restoration_ask(restoration, err): All that a person must agree to; ERROR_REFUSED. */
int restoration_ask(struct restoration *restoration, struct error **err);

/*
 * restoration_make_helper(restoration, err):
 * The helper with the journal; not started yet. Everything that happened from here on is taken
 * back by restoration_fail().
 */
int restoration_make_helper(struct restoration *restoration, struct error **err);

/*
 * restoration_halt(restoration, err):
 * The helper has checked everything; the safety snapshot; all that use the volumes are stopped
 * and cannot be started by mistake.
 */
int restoration_halt(struct restoration *restoration, struct error **err);

/* restoration_set_aside(restoration, err): Only the last part of it: stopped, under another name. */
int restoration_set_aside(struct restoration *restoration, struct error **err);

/* restoration_restore(restoration, err): The volumes become the snapshot's. */
int restoration_restore(struct restoration *restoration, struct error **err);

/* restoration_starts(restoration, container): Whether one of the journal's containers is to run at the end. */
bool restoration_starts(const struct restoration *restoration, const struct json *container);

/* restoration_start_users(restoration, err): Policy back and started. */
int restoration_start_users(struct restoration *restoration, struct error **err);

/* restoration_wait_ready(restoration, id, err): Until the driver says that ${id} is. */
int restoration_wait_ready(struct restoration *restoration, const char *id, struct error **err);

/*
 * restoration_finish(restoration, id, err):
 * When all else is done: what follows a restore in ${id} (finish.h). -1 with ERROR_UNFINISHED; nothing is
 * taken back. Of a container that does not run: 0.
 */
int restoration_finish(const struct restoration *restoration, const char *id, struct error **err);

/* restoration_fail(restoration, err): Go back by the journal, and say so. Returns -1. */
int restoration_fail(struct restoration *restoration, struct error **err);

/* restoration_result(restoration, id): What reset and replace both tell; to be freed. */
struct json *restoration_result(const struct restoration *restoration, const char *id);

/*
 * restoration_reset(session, options, verb, result, err), restoration_replace(): The whole of them, for
 * ${verb}: "reset", "replace" or "undo".
 */
int restoration_reset(struct session *session, const struct restore_options *options,
		      const char *verb, struct json **result, struct error **err);
int restoration_replace(struct session *session, const struct restore_options *options,
			const char *verb, struct json **result, struct error **err);

/* restoration_prune(restoration): After success: safety snapshots beyond the last three go. */
void restoration_prune(const struct restoration *restoration);

#endif
