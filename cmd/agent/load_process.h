/*
 * Children of boot while it loads a dump: the server, and the tools that talk to it. Boot may
 * be the container's first process, whose orphans are its own and which gets the container's
 * signals.
 */
#ifndef SIDESNAP_AGENT_LOAD_PROCESS_H
#define SIDESNAP_AGENT_LOAD_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "privilege.h"

struct load_process {
	pid_t pid; /* 0: none */
	bool has_ended;
	int status; /* as waitpid() has it */
};

struct load_program {
	char **arguments;		   /* program, found by PATH, and words */
	char **environment;		   /* all of it */
	const char *user;		   /* name or number [":" group]; NULL: as boot itself */
	int input, output, errors;	   /* what become its 0, 1 and 2 */
	bool leads;			   /* a session of its own, ended with all that is in it */
	const struct privilege *privilege; /* whose rights it must not have */
};

/*
 * load_process_open(stop_signal), load_process_close():
 * Signals that stop the container are noted from here on, not obeyed; and as they were. One
 * load at a time in a process.
 */
void load_process_open(int stop_signal);
void load_process_close(void);

/* load_process_signal(): The number of the last signal that would have ended boot; 0: none came. */
int load_process_signal(void);

/*
 * load_process_start(process, program, err):
 * ERROR_NOT_FOUND: no such program or user; ERROR_REFUSED: it may not be run, or not as
 * that user.
 */
int load_process_start(struct load_process *process, const struct load_program *program,
		       struct error **err);

/* load_process_look(process): Collect what has ended; whether this one has. */
bool load_process_look(struct load_process *process);

/* load_process_kill(process): With its session where it leads one; returns when it has ended. */
void load_process_kill(struct load_process *process);

/* load_process_describe(process): "exit code 3", "signal 9 (Killed)"; to be freed. */
char *load_process_describe(const struct load_process *process);

#endif
