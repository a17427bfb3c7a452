/*
 * Named places at which a test build can be made to die, wait or fail:
 * SIDESNAP_FAILPOINT="name=kill|exit|error|stop|sleep:SECONDS[,name=...]". Nothing of it
 * is in an ordinary build.
 */
#ifndef SIDESNAP_BASE_FAILPOINT_H
#define SIDESNAP_BASE_FAILPOINT_H

#include "base/error.h"

#ifdef SIDESNAP_FAILPOINTS

/*
 * failpoint_set(specification):
 * Use this text (borrowed until the program ends) in place of the environment's, for
 * processes that have none. NULL returns to the environment.
 */
void failpoint_set(const char *specification);

/*
 * failpoint(name), failpoint_error(name, err):
 * Act when ${name} is armed: "kill" sends SIGKILL to the process, "exit" ends it at
 * once with 99, "sleep:S" waits S seconds (a fraction is allowed) and goes on, "stop" waits
 * for SIGCONT (of use outside of containers only). "error" makes failpoint_error() set ERROR_FAILED and return -1; failpoint() ignores it.
 */
void failpoint(const char *name);
int failpoint_error(const char *name, struct error **err);

#else

#define failpoint_set(specification) ((void)(specification))
#define failpoint(name) ((void)0)
#define failpoint_error(name, err) 0

#endif

#endif
