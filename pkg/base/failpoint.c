/*
 * Tests of what a crash leaves behind need to crash at a chosen step, not at a
 * chosen time. Only compiled into builds that ask for it.
 */
#include "base/failpoint.h"

#ifdef SIDESNAP_FAILPOINTS

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

static const char *given;

void failpoint_set(const char *specification)
{
	given = specification;
}

/* The action armed for ${name}, its length in *size; NULL: none. */
static const char *find_action(const char *name, size_t *size)
{
	const char *next = given ? given : getenv("SIDESNAP_FAILPOINT");
	size_t length = strlen(name);

	while (next && *next) {
		const char *end = strchrnul(next, ',');

		if (strncmp(next, name, length) == 0 && next[length] == '=') {
			*size = (size_t)(end - next) - length - 1;
			return next + length + 1;
		}
		next = *end ? end + 1 : end;
	}
	return NULL;
}

static void wait_seconds(const char *text)
{
	double seconds = strtod(text, NULL);
	struct timespec rest = {.tv_sec = (time_t)seconds};

	rest.tv_nsec = (long)((seconds - (double)rest.tv_sec) * 1e9);
	while (nanosleep(&rest, &rest) < 0 && errno == EINTR)
		;
}

int failpoint_error(const char *name, struct error **err)
{
	size_t size = 0;
	const char *action = find_action(name, &size);

	if (!action)
		return 0;
	if (size == 4 && strncmp(action, "kill", 4) == 0) {
		kill(getpid(), SIGKILL);
		/* The first process of a container is immune to its own signals. */
		_exit(128 + SIGKILL);
	} else if (size == 4 && strncmp(action, "exit", 4) == 0) {
		_exit(99);
	} else if (size == 4 && strncmp(action, "stop", 4) == 0) {
		kill(getpid(), SIGSTOP);
	} else if (text_has_prefix(action, "sleep:")) {
		wait_seconds(action + strlen("sleep:"));
	} else if (size == 5 && strncmp(action, "error", 5) == 0) {
		return error_set(err, ERROR_FAILED, "failpoint \"%s\"", name);
	}
	return 0;
}

void failpoint(const char *name)
{
	failpoint_error(name, NULL);
}

#else

/* ISO C wants a translation unit to hold something. */
typedef int failpoint_unused;

#endif
