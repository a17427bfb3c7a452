/*
 * Processes of their own session beside a command, which know of its death by the end of a
 * pipe: the watchdog and the heartbeat. Each is this program again, by a hidden verb.
 */
#ifndef SIDESNAP_SNAPSHOT_COMPANION_H
#define SIDESNAP_SNAPSHOT_COMPANION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"
#include "engine/engine.h"

struct companion {
	pid_t process; /* 0: none */
	int pipe;      /* to its stdin; -1: closed */
	int answer;    /* from its stdout; -1: it has answered */
};

/*
 * companion_start(companion, verb, engine, setup, err):
 * Start ${verb} on the same engine, with ${setup} (an object; "request" and "host" are added to
 * it) as its first line. Does not wait for it: companion_await() does. On failure there is
 * none, and *err says so.
 */
int companion_start(struct companion *companion, const char *verb, const struct engine *engine,
		    struct json *setup, struct error **err);

/*
 * companion_await(companion, engine, err):
 * Until it answers (companion_answer()), so reaches the engine. After a failure it is still to
 * be ended.
 */
int companion_await(struct companion *companion, const struct engine *engine, struct error **err);

/* companion_tell(companion, line): -1 with errno when it is gone. */
int companion_tell(const struct companion *companion, const char *line);

/* companion_end(companion): Close its pipe and wait for its end. */
void companion_end(struct companion *companion);

/* ---- in the process itself ---- */

/*
 * companion_open(setup):
 * The engine that the first line names, and that line in *setup; NULL where it cannot be reached
 * (or is another one now, since contexts can be changed). Both to be freed.
 */
struct engine *companion_open(struct json **setup);

/* companion_answer(): Tell the owner that all is ready; -1 when it does not listen. */
int companion_answer(void);

/*
 * companion_read(line, size, timeout_ms, ended):
 * The next line, without its end; false at the end of the pipe (then *ended) or after the
 * time-out (-1: none).
 */
bool companion_read(char *line, size_t size, int timeout_ms, bool *ended);

#endif
