/*
 * Freezing: all containers that could write what is captured, for as short as
 * possible, never without a watchdog, never two creates over the same containers.
 */
#ifndef SIDESNAP_SNAPSHOT_FREEZE_H
#define SIDESNAP_SNAPSHOT_FREEZE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/text.h"
#include "snapshot/helper/helper.h"
#include "snapshot/helper/watchdog.h"
#include "snapshot/session.h"

struct freeze {
	const struct session *session;
	struct string_list ids;	   /* to freeze */
	struct string_list frozen; /* frozen by us and not thawed yet */
	struct string_list paused; /* by a person, as it seems: they must stay so while we read */
	struct watchdog *watchdog;
	const char *release_target; /* container whose driver wants a release; borrowed */
	const struct json *release; /* its commands; borrowed */
	bool release_due;	    /* the driver's prepare has run */
	bool is_led;	/* somebody else freezes and thaws the ids, for several at once */
	bool disturbed; /* somebody paused or thawed one: worth another attempt */
	uint64_t started_ms, duration_ms;
};

/* freeze_init(freeze, session): Nothing to freeze yet. */
void freeze_init(struct freeze *freeze, const struct session *session);

/*
 * freeze_release(freeze):
 * Thaws what is frozen; frees. What cannot be thawed is left to the watchdog, which tries for
 * a minute more and is waited for.
 */
void freeze_release(struct freeze *freeze);

/*
 * freeze_arm(freeze, helper, starts, err):
 * Start the watchdog where there is none yet; freeze_await_watchdog() has to come before the
 * driver prepares anything that must be released, and before anything is stopped or frozen.
 * ${helper}: id of our helper, ${starts}: container to start again, or NULL.
 */
int freeze_arm(struct freeze *freeze, const char *helper, const char *starts, struct error **err);

/* freeze_await_watchdog(freeze, err): Until it watches. */
int freeze_await_watchdog(struct freeze *freeze, struct error **err);

/*
 * freeze_wait_turn(freeze, own_helper, err):
 * While an older live helper's list of containers to be frozen overlaps with ours, wait:
 * else one create takes the other's freeze for a person's pause.
 */
int freeze_wait_turn(struct freeze *freeze, const char *own_helper, struct error **err);

/* freeze_begin(freeze, own_helper, err): Pause all; on failure everything is thawed again. */
int freeze_begin(struct freeze *freeze, const char *own_helper, struct error **err);

/*
 * freeze_check(freeze, own_helper, err):
 * After the last byte was read: everything that was frozen or paused still is, and was all the
 * time. ERROR_BUSY when somebody thawed one.
 */
int freeze_check(struct freeze *freeze, const char *own_helper, struct error **err);

/*
 * freeze_end(freeze, err):
 * Thaw all, run the driver's release, stop the clock. Goes on after a failure; what could
 * not be thawed stays in the list of what is frozen, for another attempt.
 */
int freeze_end(struct freeze *freeze, struct error **err);

#endif
