/*
 * Who we are and who is asking: the container that sidesnap runs in must never be
 * frozen by it, and its compose project is where services are looked up.
 */
#include "snapshot/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/io.h"
#include "base/memory.h"

#define MOUNTINFO_MAX (4U << 20)
#define ID_LENGTH 64

int session_check(const struct session *session, struct error **err)
{
	if (session->cancelled && *session->cancelled)
		return error_set(err, ERROR_CANCELLED, "interrupted");
	return 0;
}

/* The 64 digits that stand between two slashes in ${path}, or NULL. */
static const char *find_id(const char *path)
{
	for (const char *part = path; (part = strchr(part, '/')); part++)
		if (strspn(part + 1, "0123456789abcdef") == ID_LENGTH && part[1 + ID_LENGTH] == '/')
			return part + 1;
	return NULL;
}

char *session_parse_mountinfo(char *text)
{
	/* Engines mount these three files of a container from a folder named by its id. */
	static const char *const files[] = {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"};
	char *rest = text, *line;

	while ((line = strsep(&rest, "\n"))) {
		/* 36 35 98:0 ROOT MOUNT_POINT options... */
		const char *id = NULL, *point = NULL;
		char *field;

		for (int i = 0; i < 5 && (field = strsep(&line, " ")); i++) {
			if (i == 3)
				id = find_id(field);
			if (i == 4)
				point = field;
		}
		for (size_t i = 0; id && point && i < sizeof(files) / sizeof(files[0]); i++)
			if (!strcmp(point, files[i]))
				return memory_strndup(id, ID_LENGTH);
	}
	return NULL;
}

char *session_own_container(const struct session *session)
{
	CLEANUP(buffer_release) struct buffer text;
	cleanup_free char *id = NULL;
	CLEANUP(cleanup_json_free) struct json *inspect = NULL;

	buffer_init(&text, MOUNTINFO_MAX);
	if (io_read_file(AT_FDCWD, "/proc/self/mountinfo", &text, NULL) < 0)
		return NULL;
	id = session_parse_mountinfo(text.data);
	if (!id)
		return NULL;
	/* Another engine's container is outside of this one. */
	inspect = container_inspect(session->engine, id, NULL);
	if (!inspect || strcmp(json_string_or(inspect, "Id", ""), id) != 0)
		return NULL;
	return STEAL_POINTER(id);
}

/* One line from stdin; -1 with errno EINTR when a signal came. */
static ssize_t read_line(char *line, size_t size)
{
	size_t used = 0;
	ssize_t count;

	do {
		count = read(STDIN_FILENO, line + used, 1);
		if (count < 0)
			return -1;
		used += (size_t)count;
	} while (count > 0 && line[used - 1] != '\n' && used + 1 < size);
	line[used] = 0;
	return (ssize_t)used;
}

int session_confirm(const struct session *session, const char *question, struct error **err)
{
	char line[64];
	ssize_t count;

	if (session->assume_yes)
		return 0;
	if (!session->interactive) {
		error_set(err, ERROR_REFUSED, "not confirmed: %s", question);
		return error_hint(err, "there is no terminal to ask on; add --yes to agree");
	}
	fprintf(stderr, "%s [y/N] ", question);
	fflush(stderr);
	count = read_line(line, sizeof(line));
	if (count < 0 && errno == EINTR && session_check(session, err) < 0)
		return -1;
	if (count > 0 && (line[0] == 'y' || line[0] == 'Y'))
		return 0;
	return error_set(err, ERROR_REFUSED,
			 "nothing was done: the question was not answered by yes");
}
