/*
 * The sidecar's main process: it repairs what an earlier life left frozen, then stays,
 * so that `docker-compose exec` finds the command. As the container's first process it
 * also reaps what the commands of an exec leave behind.
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "snapshot/snapshot.h"

#include "verb.h"

#define RETRY_FIRST_S 2
#define RETRY_LAST_S 60

/* An engine gives ten seconds for a stop; the repairs need some of them. */
#define GRACE_MS 5000
#define KILL_MS 1000

static void note_actions(struct command *command, const struct json *result)
{
	json_for_each(action, json_get(result, "actions"))
		progress_note(command->session.progress, "doctor: %s %s: %s",
			      json_string_or(action, "what", "?"),
			      json_string_or(action, "container", ""),
			      json_string_or(action, "detail", ""));
	json_for_each(problem, json_get(result, "problems"))
		progress_warn(command->session.progress, "doctor: %s",
			      json_is_string(problem) ? json_string(problem, NULL)
						      : json_string_or(problem, "what", "?"));
}

static int examine(struct command *command, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *result = NULL;
	int status;

	command->session.engine = engine_open(command->host, err);
	if (!command->session.engine)
		return -1;
	engine_set_cancel(command->session.engine, command->session.cancelled);
	status = snapshot_doctor(&command->session, false, &result, err);
	engine_free(STEAL_POINTER(command->session.engine));
	if (status == 0)
		note_actions(command, result);
	return status;
}

static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* Until a signal that ends us (true) or ${seconds} have passed (0: for ever). */
static bool wait_for_end(const struct command *command, unsigned seconds)
{
	uint64_t until = clock_monotonic_ms() + (uint64_t)seconds * 1000;
	sigset_t waited, before;

	sigemptyset(&waited);
	sigaddset(&waited, SIGCHLD);
	sigaddset(&waited, SIGTERM);
	sigaddset(&waited, SIGINT);
	sigaddset(&waited, SIGHUP);
	/* Blocked from here to the wait, so that none slips in between. */
	sigprocmask(SIG_BLOCK, &waited, &before);
	while (!*command->session.cancelled) {
		uint64_t now = clock_monotonic_ms(), left = seconds ? until - now : 60000;
		struct timespec limit;
		int number;

		reap();
		if (seconds && now >= until)
			break;
		limit.tv_sec = (time_t)(left / 1000);
		limit.tv_nsec = (long)(left % 1000) * 1000000;
		number = sigtimedwait(&waited, NULL, &limit);
		if (number > 0 && number != SIGCHLD) {
			sigprocmask(SIG_SETMASK, &before, NULL);
			return true;
		}
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return *command->session.cancelled != 0;
}

/* Whether all others have ended in time. */
static bool others_end(uint64_t timeout_ms)
{
	uint64_t until = clock_monotonic_ms() + timeout_ms;
	const struct timespec pause = {0, 50000000L};

	for (;;) {
		reap();
		if (kill(-1, 0) < 0)
			return true;
		if (clock_monotonic_ms() > until)
			return false;
		nanosleep(&pause, NULL);
	}
}

/*
 * The end of process 1 kills everything in the container, watchdogs too. Before that the
 * commands of an exec are told, to thaw and clean up, and what they leave is repaired.
 */
static void end_all(struct command *command)
{
	cleanup_error struct error *problem = NULL;

	if (getpid() != 1 || kill(-1, SIGTERM) < 0 || others_end(GRACE_MS))
		return;
	kill(-1, SIGKILL);
	others_end(KILL_MS);
	if (examine(command, &problem) < 0)
		progress_warn(command->session.progress, "doctor: %s", problem->message);
}

int verb_sidecar_run(struct command *command, struct json **result, struct error **err)
{
	unsigned pause = RETRY_FIRST_S;

	(void)result;
	(void)err;
	for (;;) {
		cleanup_error struct error *problem = NULL;

		if (examine(command, &problem) == 0)
			break;
		if (*command->session.cancelled)
			return 0;
		progress_warn(command->session.progress, "doctor: %s%s%s; again in %u s",
			      problem->message, problem->hint ? "; " : "",
			      problem->hint ? problem->hint : "", pause);
		if (wait_for_end(command, pause))
			return 0;
		pause = pause * 2 < RETRY_LAST_S ? pause * 2 : RETRY_LAST_S;
	}
	progress_note(command->session.progress, "sidesnap is ready; use it by exec");
	wait_for_end(command, 0);
	end_all(command);
	return 0;
}
