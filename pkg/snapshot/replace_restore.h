/*
 * Restoring a snapshot's trees into the volumes that a container has: which tree
 * goes where, and the helper that does it.
 */
#ifndef SIDESNAP_SNAPSHOT_REPLACE_RESTORE_H
#define SIDESNAP_SNAPSHOT_REPLACE_RESTORE_H

#include "base/json.h"
#include "base/text.h"
#include "snapshot/helper.h"
#include "snapshot/session.h"

struct restore_plan {
	struct json *mounts;	  /* HostConfig.Mounts of the helper */
	struct json *job;	  /* for it */
	struct json *places;	  /* [{"path","volume"|"source"}] in the order of the job's trees */
	struct string_list notes; /* for people: what is not restored, and why */
};

void restore_plan_release(struct restore_plan *plan);

/*
 * restore_plan_make(snapshot, inspect, only, plan, err):
 * ${snapshot}: inspect of the image, ${inspect}: of the container. ${only}: places as in a plan,
 * what else the snapshot has is left alone; NULL: all that the container has. ERROR_DAMAGED for labels that
 * make no sense, ERROR_REFUSED where two trees would go into one volume.
 */
int restore_plan_make(const struct json *snapshot, const struct json *inspect,
		      const struct json *only, struct restore_plan *plan, struct error **err);

/*
 * restore_plan_set_marks(plan, image):
 * The volumes will be marked as ${image}'s (an inspect): a container that was made from it
 * takes them for its own at its start, whatever they were restored from. For going back.
 */
void restore_plan_set_marks(struct restore_plan *plan, const struct json *image);

/* restore_with(helper, plan, answer, err): Run the job in a helper that has the plan's mounts. */
int restore_with(struct helper *helper, const struct restore_plan *plan, struct json **answer,
		 struct error **err);

/*
 * restore_volumes(session, snapshot, inspect, only, err):
 * The whole way back with a helper of its own; ${only} as in restore_plan_make(). What uses
 * the volumes must be stopped already.
 */
int restore_volumes(const struct session *session, const struct json *snapshot,
		    const struct json *inspect, const struct json *only, struct error **err);

#endif
