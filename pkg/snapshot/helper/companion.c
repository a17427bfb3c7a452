/*
 * What outlives the death of a command, or tells of its life, cannot be a part of it: so
 * it is a process of its own, started by exec, since a fork alone would keep what the
 * command has open.
 */
#include "snapshot/helper/companion.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/memory.h"

#define SETUP_MAX (1U << 20)
#define SETUP_TIMEOUT_MS 30000

/* ---- the owner's side ---- */

static void run_child(const char *verb, int input, int answer)
{
	char *arguments[] = {(char *)(uintptr_t) "sidesnap", (char *)(uintptr_t)verb, NULL};
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

static void close_both(int ends[2])
{
	for (int i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
}

int companion_start(struct companion *companion, const char *verb, const struct engine *engine,
		    struct json *setup, struct error **err)
{
	cleanup_free char *line = NULL;
	int input[2] = {-1, -1}, answer[2] = {-1, -1};

	*companion = (struct companion){.pipe = -1, .answer = -1};
	json_set_string(setup, "request", engine_requested_host(engine));
	json_set_string(setup, "host", engine_host(engine));
	line = json_print(setup, false);
	if (pipe2(input, O_CLOEXEC) < 0 || pipe2(answer, O_CLOEXEC) < 0 ||
	    (companion->process = fork()) < 0) {
		error_set_errno(err, errno, "cannot start a process");
		companion->process = 0;
		goto fail;
	}
	if (companion->process == 0)
		run_child(verb, input[0], answer[1]);
	close(input[0]);
	close(answer[1]);
	input[0] = answer[1] = -1;
	companion->pipe = STEAL_FD(input[1]);
	companion->answer = STEAL_FD(answer[0]);
	if (companion_tell(companion, line) == 0)
		return 0;
	error_set_errno(err, errno, "it ended at once");
fail:
	close_both(input);
	close_both(answer);
	companion_end(companion);
	return -1;
}

int companion_await(struct companion *companion, const struct engine *engine, struct error **err)
{
	cleanup_fd int answer = STEAL_FD(companion->answer);
	char ready = 0;

	if (answer < 0 || (io_read_full(answer, &ready, 1) == 1 && ready == '+'))
		return 0;
	return error_set(err, ERROR_FAILED, "it does not reach the engine at %s",
			 engine_host(engine));
}

int companion_tell(const struct companion *companion, const char *line)
{
	cleanup_free char *text = memory_printf("%s\n", line);

	return io_write_full(companion->pipe, text, strlen(text));
}

void companion_end(struct companion *companion)
{
	if (companion->pipe >= 0)
		close(companion->pipe);
	if (companion->answer >= 0)
		close(companion->answer);
	companion->pipe = companion->answer = -1;
	if (companion->process > 0)
		while (waitpid(companion->process, NULL, 0) < 0 && errno == EINTR)
			continue;
	companion->process = 0;
}

/* ---- the process ---- */

struct engine *companion_open(struct json **setup)
{
	cleanup_free char *line = memory_zalloc(SETUP_MAX);
	struct engine *engine;
	bool ended;

	*setup = NULL;
	signal(SIGTERM, SIG_IGN);
	if (!companion_read(line, SETUP_MAX, SETUP_TIMEOUT_MS, &ended))
		return NULL;
	*setup = json_parse(line, strlen(line), NULL);
	engine = engine_open(json_string(*setup, "request"), NULL);
	/* The context in use may have been changed meanwhile. */
	if (!engine || strcmp(engine_host(engine), json_string_or(*setup, "host", "")) == 0)
		return engine;
	engine_free(engine);
	return NULL;
}

int companion_answer(void)
{
	return io_write_full(STDOUT_FILENO, "+", 1);
}

bool companion_read(char *line, size_t size, int timeout_ms, bool *ended)
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
