/*
 * Restoring a snapshot's trees into the volumes that a container has: which tree
 * goes where, and the helper that does it.
 */
#ifndef SIDESNAP_SNAPSHOT_RESTORE_PLAN_H
#define SIDESNAP_SNAPSHOT_RESTORE_PLAN_H

#include "base/json.h"
#include "base/text.h"
#include "snapshot/helper/helper.h"
#include "snapshot/session.h"

struct restore_plan {
	struct json *mounts;	  /* HostConfig.Mounts of the helper */
	struct json *job;	  /* for it */
	struct json *places;	  /* [{"path","volume"|"source"}] in the order of the job's trees */
	struct string_list notes; /* for people: what is not restored, and why */
};

void restore_plan_release(struct restore_plan *plan);

/*
 * restore_plan_make(snapshot, inspect, only, in_place, plan, err):
 * ${snapshot}: inspect of the image, ${inspect}: of the container. ${only}: places as in a plan,
 * what else the snapshot has is left alone; NULL: all that the container has. ${in_place}: the container stays, as far as
 * the notes are concerned. ERROR_DAMAGED for labels that make no sense, ERROR_REFUSED where two trees would go into one volume.
 */
int restore_plan_make(const struct json *snapshot, const struct json *inspect,
		      const struct json *only, bool in_place, struct restore_plan *plan,
		      struct error **err);

/*
 * restore_plan_set_marks(plan, image):
 * The volumes will be marked as ${image}'s (an inspect): a container that was made from it
 * takes them for its own at its start, whatever they were restored from. For reset and going back.
 */
void restore_plan_set_marks(struct restore_plan *plan, const struct json *image);

/*
 * restore_plan_set_guards(plan, guards):
 * Absolute paths in the container without which its service does not start: removed first,
 * written last. An array of strings, or NULL.
 */
void restore_plan_set_guards(struct restore_plan *plan, const struct json *guards);

/* restore_plan_set_record(plan, container, snapshot, reference, operation): What is noted once all is restored. */
void restore_plan_set_record(struct restore_plan *plan, const char *container,
			     const struct json *snapshot, const char *reference,
			     const char *operation);

/*
 * restore_plan_use_state(session, plan):
 * With what is known of the volumes' files: mounts the state volume, and names each volume.
 * Without it all is read; so a failure here is none.
 */
void restore_plan_use_state(const struct session *session, struct restore_plan *plan);

/*
 * restore_begin(helper, plan, err):
 * Give the job to a helper that has the plan's mounts; it has opened and checked everything
 * then, and changed nothing.
 */
int restore_begin(struct helper *helper, const struct restore_plan *plan, struct error **err);

/* restore_finish(helper, answer, err): Let it go on, and wait for its end. */
int restore_finish(struct helper *helper, struct json **answer, struct error **err);

/*
 * restore_volumes(session, snapshot, inspect, journal, err):
 * The places of a journal restored with a helper of its own. What uses the volumes must be
 * stopped already. ${inspect} is the target's.
 */
int restore_volumes(const struct session *session, const struct json *snapshot,
		    const struct json *inspect, const struct json *journal, struct error **err);

#endif
