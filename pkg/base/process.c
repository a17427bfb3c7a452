/*
 * posix_spawn() rather than fork(): the caller may have threads. Input lies in a memfd, so that
 * nothing must be written while output is read, and a program that reads none of it does no harm.
 */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

#define TURN_MS 100

extern char **environ;

static int open_input(const struct process *process, struct error **err)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	if (fd < 0)
		return error_set_errno(err, errno, "cannot hand input to \"%s\"",
				       process->arguments[0]);
	if (io_write_full(fd, process->input, process->input_size) < 0 ||
	    lseek(fd, 0, SEEK_SET) != 0) {
		error_set_errno(err, errno, "cannot hand input to \"%s\"", process->arguments[0]);
		close(fd);
		return -1;
	}
	return fd;
}

static int spawn(const struct process *process, const int fds[3], pid_t *child)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t defaults;
	int result;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	for (int i = 0; i < 3; i++)
		posix_spawn_file_actions_adddup2(&actions, fds[i], i);
	/* What we ignore it would ignore as well. */
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	result = posix_spawnp(child, process->arguments[0], &actions, &attributes,
			      (char *const *)(uintptr_t)process->arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return result;
}

/* Take what is there; false at its end. */
static bool take(int fd, struct buffer *buffer)
{
	char block[4096];
	ssize_t count = read(fd, block, sizeof(block));

	if (count > 0 && buffer)
		buffer_append(buffer, block, (size_t)count);
	return count > 0 || (count < 0 && (errno == EINTR || errno == EAGAIN));
}

/* Until both streams have ended. */
static int collect(const struct process *process, int output, int errors, struct error **err)
{
	struct pollfd items[2] = {{output, POLLIN, 0}, {errors, POLLIN, 0}};
	uint64_t start = clock_monotonic_ms();

	while (items[0].fd >= 0 || items[1].fd >= 0) {
		if (process->cancel && *process->cancel)
			return error_set(err, ERROR_CANCELLED, "interrupted");
		if (clock_monotonic_ms() - start > process->timeout_ms)
			return error_set(err, ERROR_FAILED, "\"%s\" has not ended within %llu s",
					 process->arguments[0],
					 (unsigned long long)process->timeout_ms / 1000);
		if (poll(items, 2, TURN_MS) <= 0)
			continue;
		if (items[0].revents && !take(output, process->output))
			items[0].fd = -1;
		if (items[1].revents && !take(errors, process->errors))
			items[1].fd = -1;
	}
	return 0;
}

static int wait_for(pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int process_run(struct process *process, struct error **err)
{
	cleanup_fd int input = open_input(process, err);
	cleanup_fd int output = -1, output_end = -1, errors = -1, errors_end = -1;
	int pair[2], result;
	pid_t child;

	if (input < 0)
		return -1;
	if (pipe2(pair, O_CLOEXEC) == 0) {
		output = pair[0];
		output_end = pair[1];
	}
	if (output >= 0 && pipe2(pair, O_CLOEXEC) == 0) {
		errors = pair[0];
		errors_end = pair[1];
	}
	if (errors < 0)
		return error_set_errno(err, errno, "cannot run \"%s\"", process->arguments[0]);
	result = spawn(process, (const int[]){input, output_end, errors_end}, &child);
	if (result == ENOENT)
		return error_set(err, ERROR_NOT_FOUND, "there is no program \"%s\"",
				 process->arguments[0]);
	if (result)
		return error_set_errno(err, result, "cannot run \"%s\"", process->arguments[0]);
	close(STEAL_FD(output_end));
	close(STEAL_FD(errors_end));
	result = collect(process, output, errors, err);
	if (result < 0)
		kill(child, SIGKILL);
	process->exit_code = wait_for(child);
	return result;
}
