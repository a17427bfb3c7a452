/*
 * A member of a set is captured by a process of its own, beside the others: a create is one
 * thread with one engine connection from its begin to its end. The leader has them wait for one
 * another. One that ends, for whatever reason, leaves its target as it was.
 */
#ifndef SIDESNAP_PROJECT_MEMBER_PROCESS_H
#define SIDESNAP_PROJECT_MEMBER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/json.h"
#include "snapshot/snapshot.h"

enum member_state {
	MEMBER_WAITING, /* not started */
	MEMBER_WORKS,
	MEMBER_AT_STEP, /* it has reached ->step, and waits to be told to go on */
	MEMBER_DONE,
	MEMBER_FAILED,
};

struct member_process {
	enum member_state state;
	enum create_step step; /* the last one that it has reached */
	uint64_t reached_ms;   /* when */
	uint64_t files, bytes; /* read so far */
	struct json *result;   /* of its create, from CREATE_MADE on */
	struct error *problem; /* of one that failed */
	bool disturbed;	       /* it failed, and may not another time */
	bool is_alive_told;    /* it has made progress while frozen, since this was last cleared */
	pid_t pid;	       /* 0: none */
	int from, to;	       /* pipes; -1: closed */
	struct buffer line;    /* of what comes, not whole yet */
};

/* member_process_init(process): Not started. */
void member_process_init(struct member_process *process);

/*
 * member_process_start(process, session, options, err):
 * Begin its create, with ${options} but for their "member", whose "set" and "elsewhere" are taken.
 */
int member_process_start(struct member_process *process, const struct session *session,
			 const struct create_options *options, struct error **err);

/*
 * member_process_read(process, session, name): What it has to say, without waiting: new state. What
 * people are to read is shown as of ${name}.
 */
void member_process_read(struct member_process *process, const struct session *session,
			 const char *name);

/* member_process_tell(process, again): Go on, or from CREATE_PRECOPIED: read again. */
void member_process_tell(struct member_process *process, bool again);

/* member_process_give_up(process): It is to end now, and leave nothing. member_process_end() waits for it. */
void member_process_give_up(struct member_process *process);

/* member_process_end(process): Wait for its end, and free what it has. */
void member_process_end(struct member_process *process);

#endif
