/*
 * Whether a member of a stack is what another waits for, and waiting until it is.
 */
#ifndef SIDESNAP_PROJECT_READY_H
#define SIDESNAP_PROJECT_READY_H

#include "driver/driver.h"
#include "project/stack.h"

/* What is known of one member while a stack is started. */
struct readiness {
	bool started;		   /* by us, in this run */
	uint64_t started_ms;	   /* when, by clock_monotonic_ms() */
	bool is_detected;	   /* match is filled */
	struct driver_match match; /* its driver */
};

void readiness_release(struct readiness *readiness);

/* stack_state(member): State.Status, "running", "exited", ...; borrowed. */
const char *stack_state(const struct stack_member *member);

/* stack_is_running(member): It runs, is not paused, and does not wait for its next try. */
bool stack_is_running(const struct stack_member *member);

/* stack_has_completed(member): It ended with 0. */
bool stack_has_completed(const struct stack_member *member);

/*
 * stack_wait(session, member, readiness, condition, deadline_ms, err):
 * Until the condition is met, by ${deadline_ms} of clock_monotonic_ms(). STACK_STARTED waits for
 * nothing. A member without a health check is healthy when its driver says so, or has stayed up for
 * two seconds. ERROR_FAILED with the last lines of its log.
 */
int stack_wait(const struct session *session, struct stack_member *member,
	       struct readiness *readiness, enum stack_condition condition, uint64_t deadline_ms,
	       struct error **err);

/*
 * stack_wait_ready(session, member, readiness, deadline_ms, err):
 * Until it can be used: its health check, else its driver, else two seconds. One without either that
 * ended with 0, and is not to be restarted, has done what it is for.
 */
int stack_wait_ready(const struct session *session, struct stack_member *member,
		     struct readiness *readiness, uint64_t deadline_ms, struct error **err);

/* stack_add_log(session, member, err): The last lines of its log behind the message of *err. Returns -1. */
int stack_add_log(const struct session *session, const struct stack_member *member,
		  struct error **err);

#endif
