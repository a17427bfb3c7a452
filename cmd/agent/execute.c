/*
 * No shell may be there, so its search and its two exit codes are done here.
 */
#include "execute.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

extern char **environ;

static int execute_at(const char *path, char **arguments)
{
	struct stat status;

	if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
		errno = EISDIR;
		return -1;
	}
	return execve(path, arguments, environ);
}

static int failed(const char *command, int number)
{
	bool is_missing = number == ENOENT || number == ENOTDIR;

	fprintf(stderr, "sidesnap: cannot run \"%s\": %s\n", command,
		is_missing ? "not found" : strerror(number));
	return is_missing ? 127 : 126;
}

int execute_quietly(char **arguments)
{
	const char *command = arguments[0], *next = getenv("PATH");
	int number = ENOENT;

	if (!*command || strchr(command, '/')) {
		execute_at(command, arguments);
		return errno;
	}
	if (!next || !*next)
		next = DEFAULT_PATH;
	for (bool is_last = false; !is_last;) {
		size_t size = strcspn(next, ":");
		cleanup_free char *path = size ? memory_printf("%.*s/%s", (int)size, next, command)
					       : memory_strdup(command);

		execute_at(path, arguments);
		/* A shell goes on after one that it may not run, and remembers. */
		if (errno == EACCES || errno == EISDIR)
			number = EACCES;
		else if (errno != ENOENT && errno != ENOTDIR)
			return errno;
		is_last = !next[size];
		next += size + 1;
	}
	return number;
}

bool execute_finds(const char *command)
{
	const char *next = getenv("PATH");

	if (strchr(command, '/'))
		return access(command, X_OK) == 0;
	if (!next || !*next)
		next = DEFAULT_PATH;
	for (bool is_last = false; *command && !is_last;) {
		size_t size = strcspn(next, ":");
		cleanup_free char *path =
			memory_printf("%.*s/%s", (int)size, size ? next : "", command);

		if (access(path, X_OK) == 0)
			return true;
		is_last = !next[size];
		next += size + 1;
	}
	return false;
}

int execute_command(char **arguments)
{
	return failed(arguments[0], execute_quietly(arguments));
}
