/*
 * What can be done with a stack: as snapshot/snapshot.h, every function reports its result as the JSON
 * that --json prints (shapes: docs/reference.md), to be freed by the caller.
 */
#ifndef SIDESNAP_PROJECT_PROJECT_H
#define SIDESNAP_PROJECT_PROJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/text.h"
#include "snapshot/session.h"

/* ---- start.c, stop.c ---- */

struct stack_options {
	const struct string_list *services; /* names of services or containers; none: all */
	uint64_t
		timeout_ms; /* start: until all are ready, 0: 10 minutes; stop: of each, until it is killed */
	bool has_timeout; /* stop: else the container's own */
};

/*
 * project_start(session, options, result, err):
 * Start those and what they depend on, in order, each when its conditions are met; 0 when all are ready.
 * {"project","services":[{"service","name","action":"started"|"none","state":"ready"|"completed"}],"notes":[TEXT],
 *  "duration_ms"}
 */
int project_start(struct session *session, const struct stack_options *options,
		  struct json **result, struct error **err);

/*
 * project_stop(session, options, result, err): In reverse order; our own container is left alone.
 * {"project","services":[{"service","name","action":"stopped"|"none"|"skipped"}],"notes":[TEXT],"duration_ms"}
 */
int project_stop(struct session *session, const struct stack_options *options, struct json **result,
		 struct error **err);

/*
 * project_restart(session, options, result, err):
 * Stop those, and those that live in their namespaces, then start. As project_start(), with the action
 * "restarted".
 */
int project_restart(struct session *session, const struct stack_options *options,
		    struct json **result, struct error **err);

/* ---- logs.c ---- */

/* One line of one container's log; untrusted. Borrowed during the call. */
struct project_log_line {
	const char *
		time; /* RFC 3339 with nine digits, by the engine's clock; "" where it is not known */
	const char *project, *service; /* NULL where it has none */
	const char *name;	       /* of the container */
	int stream;		       /* 1 stdout, 2 stderr */
	const char *text;	       /* without the line end; a NUL in it is a blank */
};

struct project_logs_options {
	const struct string_list *names; /* services or containers; none: all of the project */
	const char *since, *until;	 /* "10m" ago, or RFC 3339; NULL: none */
	uint64_t tail;			 /* last lines of each container; LOG_TAIL_ALL */
	const char *pattern; /* extended regular expression that a text must fit; NULL */
	bool follow;
	int (*line)(void *context, const struct project_log_line *line, struct error **err);
	/* Nothing more is there at the moment: what was written may be shown. */
	int (*idle)(void *context, struct error **err);
	void *context;
};

/*
 * project_logs(session, options, err):
 * Their lines in the order of their times. While it follows, a container that ends, is started again, or is
 * made anew by compose is followed on, and one that is new in the project is taken in; it ends when none runs any more,
 * or a person interrupts, which is no failure then. Lines that come later than 200 ms after younger ones
 * of others are not waited for.
 */
int project_logs(struct session *session, const struct project_logs_options *options,
		 struct error **err);

/* ---- shell.c ---- */

struct shell_options {
	const char *target;
	const struct string_list *arguments; /* behind the client's own */
	const char *terminal;		     /* "TERM=...", or NULL */
};

/*
 * project_shell(session, options, exit_code, err):
 * The client of the target's database, with our standard streams; *exit_code is the client's.
 * ERROR_UNSUPPORTED: no driver, or it names no client for that, or the image has none.
 */
int project_shell(struct session *session, const struct shell_options *options, int *exit_code,
		  struct error **err);

/* ---- debug.c ---- */

struct debug_options {
	const char *target;
	const char *entrypoint;		     /* NULL: a shell that is in the image */
	const struct string_list *arguments; /* of the entrypoint */
	bool snapshot;			     /* on a snapshot of its volumes */
	const char *terminal;		     /* "TERM=...", or NULL */
};

/*
 * project_debug(session, options, exit_code, err):
 * A copy of the target with another program and our standard streams, until that ends; *exit_code is its.
 * ERROR_REFUSED: the target runs, and its volumes would be mounted writable, without --yes.
 */
int project_debug(struct session *session, const struct debug_options *options, int *exit_code,
		  struct error **err);

/* ---- examine.c ---- */

/*
 * project_examine(session, result, err): doctor -p. Nothing is changed.
 * {"project","findings":[{"kind","service","name","detail","advice"}],"notes":[TEXT]}; kinds: "restarting",
 * "exited","not_started","out_of_memory","unhealthy","dependency","namespace","image_gone",
 * "image_outdated","volume_full","clock","cycle".
 */
int project_examine(struct session *session, struct json **result, struct error **err);

#endif
