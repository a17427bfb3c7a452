/*
 * The data is whole and the service is up: nothing is taken back when this fails, since nobody could say
 * how much of it was done. It is an error with a number of its own.
 */
#include "snapshot/restore/finish.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "driver/load.h"

#define BLOCK_SIZE 65536

static int open_file(const char *path, struct error **err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? error_set_errno(err, errno, "cannot open %s", path) : fd;
}

int finish_check(const char *path, const char *driver, struct error **err)
{
	CLEANUP(cleanup_driver_free) struct driver *found = NULL;
	cleanup_fd int fd = -1;

	if (!path)
		return 0;
	fd = open_file(path, err);
	if (fd < 0)
		return -1;
	if (!driver || !*driver)
		return error_set(err, ERROR_UNSUPPORTED,
				 "no driver knows the database: %s cannot be run in it", path);
	/* What labels say is known only in the container. */
	if (strcmp(driver, "labels") == 0)
		return 0;
	found = driver_find(driver, err);
	if (!found)
		return -1;
	return json_get(found->definition, "script")
		       ? 0
		       : error_set(err, ERROR_UNSUPPORTED,
				   "the driver \"%s\" runs no statements: it has no \"script\"",
				   driver);
}

static int feed(const struct session *session, struct load *script, int fd, struct error **err)
{
	cleanup_free char *block = memory_alloc(BLOCK_SIZE);

	for (;;) {
		ssize_t count = read(fd, block, BLOCK_SIZE);

		if (count < 0 && errno != EINTR)
			return error_set_errno(err, errno, "cannot read it");
		if (count == 0)
			return driver_load_finish(script, err);
		if (count > 0 && (session_check(session, err) < 0 ||
				  driver_load_write(script, block, (size_t)count, err) < 0))
			return -1;
	}
}

static int run_file(const struct session *session, const char *id, const struct driver_match *match,
		    const char *path, struct error **err)
{
	CLEANUP(cleanup_driver_load_free) struct load *script = NULL;
	cleanup_fd int fd = open_file(path, err);

	if (fd < 0)
		return -1;
	script = driver_script_open(session->engine, id, match, NULL, err);
	if (!script || feed(session, script, fd, err) < 0)
		return error_prefix(err, "%s", path);
	return 0;
}

static int run_all(const struct session *session, const char *id, const struct json *snapshot,
		   const char *path, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = container_inspect(session->engine, id, err);
	struct driver_match match;
	int result;

	if (!inspect || driver_detect(session->engine, inspect, snapshot, &match, err) < 0)
		return -1;
	if (match.driver && json_get(match.driver->definition, "finish"))
		progress_phase(session->progress, "finishing %s", match.driver->name);
	result = driver_finish(session->engine, id, &match, err);
	if (result == 0 && path) {
		progress_phase(session->progress, "running %s", path);
		result = run_file(session, id, &match, path, err);
	}
	driver_match_release(&match);
	return result;
}

int finish_run(const struct session *session, const char *id, const struct json *snapshot,
	       const char *path, struct error **err)
{
	cleanup_error struct error *problem = NULL;

	if (run_all(session, id, snapshot, path, &problem) == 0)
		return 0;
	if (problem->kind != ERROR_CANCELLED)
		problem->kind = ERROR_UNFINISHED;
	error_append(err, STEAL_POINTER(problem));
	return error_prefix(err, "the data is restored and the service runs, but what is to follow "
				 "failed");
}
