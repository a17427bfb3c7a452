/*
 * A create that is killed with SIGKILL cannot thaw anything. So before it freezes
 * it starts this process, which holds one end of a pipe: its end tells of the
 * owner's death, its silence of an owner that hangs (stopped, or blocked).
 *
 * Lines on the pipe: one JSON object first, then "watch ID", "alive", "expect MS", "dismiss".
 */
#include "snapshot/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"
#include "driver/driver.h"

/* An owner that says nothing for so long hangs; progress comes every 100 ms or so. */
#define SILENCE_MS 30000

struct watchdog {
	pid_t process;
	int pipe;
};

/* ---- the owner's side ---- */

static int send_line(const struct watchdog *watchdog, const char *line)
{
	cleanup_free char *text = memory_printf("%s\n", line);

	return io_write_full(watchdog->pipe, text, strlen(text));
}

static void run_child(int input, int answer)
{
	char *arguments[] = {(char *)(uintptr_t) "sidesnap", (char *)(uintptr_t) "__watchdog",
			     NULL};
	int null = open("/dev/null", O_RDWR);

	setsid();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (dup2(input, STDIN_FILENO) < 0 || dup2(answer, STDOUT_FILENO) < 0)
		_exit(127);
	/* Not the owner's stderr: whoever reads that must see its end when the owner ends. */
	if (null >= 0)
		dup2(null, STDERR_FILENO);
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	execv("/proc/self/exe", arguments);
	_exit(127);
}

struct watchdog *watchdog_start(const struct engine *engine, const char *helper,
				const struct json *release, const char *starts, struct error **err)
{
	struct watchdog *watchdog = memory_zalloc(sizeof(*watchdog));
	CLEANUP(cleanup_json_free) struct json *setup = json_new_object();
	cleanup_free char *line = NULL;
	int input[2] = {-1, -1}, answer[2] = {-1, -1};
	char ready = 0;

	watchdog->pipe = -1;
	json_set_string(setup, "request", engine_requested_host(engine));
	json_set_string(setup, "host", engine_host(engine));
	json_set_string(setup, "helper", helper);
	json_set_string(setup, "starts", starts);
	if (release)
		json_set(setup, "release", json_copy(release));
	line = json_print(setup, false);
	if (pipe2(input, O_CLOEXEC) < 0 || pipe2(answer, O_CLOEXEC) < 0 ||
	    (watchdog->process = fork()) < 0) {
		error_set_errno(err, errno, "cannot start the watchdog");
		goto fail;
	}
	if (watchdog->process == 0)
		run_child(input[0], answer[1]);
	close(input[0]);
	close(answer[1]);
	input[0] = answer[1] = -1;
	watchdog->pipe = STEAL_FD(input[1]);
	if (send_line(watchdog, line) < 0 || io_read_full(answer[0], &ready, 1) != 1 ||
	    ready != '+') {
		error_set(err, ERROR_FAILED,
			  "cannot start the watchdog: it does not reach the "
			  "engine at %s",
			  engine_host(engine));
		goto fail;
	}
	close(answer[0]);
	return watchdog;
fail:
	for (int i = 0; i < 2; i++) {
		if (input[i] >= 0)
			close(input[i]);
		if (answer[i] >= 0)
			close(answer[i]);
	}
	watchdog_dismiss(watchdog);
	return NULL;
}

int watchdog_watch(struct watchdog *watchdog, const char *id, struct error **err)
{
	cleanup_free char *line = memory_printf("watch %s", id);

	if (send_line(watchdog, line) < 0)
		return error_set_errno(err, errno, "the watchdog is gone");
	return 0;
}

void watchdog_alive(struct watchdog *watchdog)
{
	if (watchdog)
		send_line(watchdog, "alive");
}

void watchdog_expect(struct watchdog *watchdog, uint64_t silence_ms)
{
	cleanup_free char *line = memory_printf("expect %llu", (unsigned long long)silence_ms);

	if (watchdog)
		send_line(watchdog, line);
}

void watchdog_dismiss(struct watchdog *watchdog)
{
	if (watchdog && watchdog->pipe >= 0)
		send_line(watchdog, "dismiss");
	watchdog_abandon(watchdog);
}

void watchdog_abandon(struct watchdog *watchdog)
{
	if (!watchdog)
		return;
	if (watchdog->pipe >= 0)
		close(watchdog->pipe);
	if (watchdog->process > 0)
		while (waitpid(watchdog->process, NULL, 0) < 0 && errno == EINTR)
			continue;
	free(watchdog);
}

/* ---- the process ---- */

struct watch {
	struct engine *engine;
	struct json *setup;
	struct string_list ids;
};

/* Thaw one, again and again for a minute: an engine that restarts comes back. */
static bool thaw(struct watch *watch, const char *id)
{
	for (int attempt = 0; attempt < 60; attempt++) {
		cleanup_error struct error *problem = NULL;

		if (container_unpause(watch->engine, id, NULL, &problem) == 0 ||
		    problem->kind == ERROR_NOT_FOUND)
			return true;
		sleep(1);
	}
	return false;
}

static void rescue(struct watch *watch, bool owner_is_dead)
{
	const char *starts = json_string(watch->setup, "starts");
	const char *helper = json_string(watch->setup, "helper");
	bool done = true;

	for (size_t i = 0; i < watch->ids.count; i++)
		done &= thaw(watch, watch->ids.items[i]);
	json_for_each(release, json_get(watch->setup, "release"))
		done &= driver_run_release(watch->engine, json_key(release), release, NULL) == 0;
	if (starts)
		done &= container_start(watch->engine, starts, NULL) == 0;
	/* Else its labels tell doctor what is left to do. */
	if (helper && done && owner_is_dead)
		container_remove(watch->engine, helper, true, true, NULL);
}

/*
 * One line into ${line} (without its end); false at the end of the pipe or after the time-out,
 * *ended tells which.
 */
static bool read_line(char *line, size_t size, int timeout_ms, bool *ended)
{
	size_t length = 0;

	*ended = false;
	for (;;) {
		struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
		int ready = poll(&input, 1, timeout_ms);

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return false;
		*ended = read(STDIN_FILENO, &line[length], 1) != 1;
		if (*ended)
			return false;
		if (line[length] == '\n') {
			line[length] = '\0';
			return true;
		}
		if (++length == size)
			return false;
	}
}

static int silence_ms(void)
{
	const char *text = getenv("SIDESNAP_SILENCE_MS");
	uint64_t value;

	return text && text_parse_uint(text, 3600000, &value) ? (int)value : SILENCE_MS;
}

int watchdog_main(void)
{
	static char line[1 << 20];
	struct watch watch = {0};
	/* Nothing is frozen or stopped yet: until then only the end of the pipe counts. */
	int timeout_ms = -1;
	bool ended;
	CLEANUP(cleanup_json_free) struct json *setup = NULL;
	CLEANUP(cleanup_engine_free) struct engine *engine = NULL;

	signal(SIGTERM, SIG_IGN);
	if (!read_line(line, sizeof(line), SILENCE_MS, &ended))
		return ERROR_FAILED;
	setup = watch.setup = json_parse(line, strlen(line), NULL);
	engine = watch.engine = engine_open(json_string(setup, "request"), NULL);
	/* The context in use may have been changed meanwhile. */
	if (!engine || strcmp(engine_host(engine), json_string_or(setup, "host", "")) != 0)
		return ERROR_ENGINE;
	if (io_write_full(STDOUT_FILENO, "+", 1) < 0)
		return ERROR_FAILED;
	while (read_line(line, sizeof(line), timeout_ms, &ended)) {
		uint64_t expected = 0;

		if (strcmp(line, "dismiss") == 0)
			return 0;
		if (text_has_prefix(line, "watch ")) {
			string_list_add(&watch.ids, line + strlen("watch "));
			timeout_ms = silence_ms();
		}
		if (text_has_prefix(line, "expect ") &&
		    text_parse_uint(line + strlen("expect "), INT_MAX, &expected))
			timeout_ms = expected ? (int)expected : silence_ms();
	}
	rescue(&watch, ended);
	string_list_release(&watch.ids);
	return ERROR_FAILED;
}
