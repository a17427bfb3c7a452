/*
 * A process is told by its number, its start time, its pid namespace and the
 * machine's boot; one in another namespace only by the container it ran in.
 */
#include "snapshot/helper/owner.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"

/* The text of a small file of /proc without its line end; "" where there is none. To be freed. */
static char *read_text(const char *path)
{
	struct buffer text;
	char *result;

	buffer_init(&text, 65536);
	io_read_file(AT_FDCWD, path, &text, NULL);
	result = memory_strndup(text.data, strcspn(text.data, "\n"));
	buffer_release(&text);
	return result;
}

/* Field 22 of /proc/PID/stat, behind the name in brackets; "" where it is gone or a zombie. */
static char *start_time(int64_t pid)
{
	cleanup_free char *path = memory_printf("/proc/%lld/stat", (long long)pid);
	cleanup_free char *text = read_text(path);
	const char *p = strrchr(text, ')');

	if (!p || text_has_prefix(p, ") Z"))
		return memory_strdup("");
	for (int field = 2; p && field < 22; field++) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	return p ? memory_strndup(p, strcspn(p, " ")) : memory_strdup("");
}

static char *pid_namespace(void)
{
	char link[64];
	ssize_t size = readlink("/proc/self/ns/pid", link, sizeof(link) - 1);

	return memory_strndup(link, size > 0 ? (size_t)size : 0);
}

struct json *owner_describe(const struct session *session)
{
	struct json *owner = json_new_object();
	char boot[CLOCK_RUN_SIZE];
	cleanup_free char *space = pid_namespace();
	cleanup_free char *start = start_time(getpid());
	cleanup_free char *container = session ? session_own_container(session) : NULL;
	CLEANUP(cleanup_json_free) struct json *inspect = NULL;

	clock_run(boot);
	inspect = container ? container_inspect(session->engine, container, NULL) : NULL;
	json_set_string(owner, "boot", boot);
	json_set_string(owner, "namespace", space);
	json_set_int(owner, "pid", getpid());
	json_set_string(owner, "start", start);
	json_set_string(owner, "container", text_or(container, ""));
	json_set_string(owner, "container_started",
			json_string_or(json_get(inspect, "State"), "StartedAt", ""));
	return owner;
}

char *owner_label(const struct session *session)
{
	CLEANUP(cleanup_json_free) struct json *owner = owner_describe(session);
	cleanup_free char *text = json_print(owner, false);

	return text_base64(text, strlen(text), true);
}

enum owner_state owner_state(const struct session *session, const char *label)
{
	size_t size = 0;
	cleanup_free uint8_t *bytes = text_unbase64(label, &size);
	CLEANUP(cleanup_json_free)
	struct json *owner = bytes ? json_parse((const char *)bytes, size, NULL) : NULL;
	char boot[CLOCK_RUN_SIZE];
	cleanup_free char *space = pid_namespace();
	const char *container = json_string_or(owner, "container", "");
	cleanup_error struct error *problem = NULL;
	CLEANUP(cleanup_json_free) struct json *inspect = NULL;

	if (clock_run(boot) && *space && strcmp(boot, json_string_or(owner, "boot", "")) == 0 &&
	    strcmp(space, json_string_or(owner, "namespace", "")) == 0) {
		cleanup_free char *start = start_time(json_int(owner, "pid"));

		return *start && strcmp(start, json_string_or(owner, "start", "")) == 0
			       ? OWNER_ALIVE
			       : OWNER_DEAD;
	}
	if (!*container)
		return OWNER_UNKNOWN;
	inspect = container_inspect(session->engine, container, &problem);
	if (!inspect)
		return problem->kind == ERROR_NOT_FOUND ? OWNER_DEAD : OWNER_UNKNOWN;
	if (!json_bool(json_get(inspect, "State"), "Running") ||
	    strcmp(json_string_or(json_get(inspect, "State"), "StartedAt", ""),
		   json_string_or(owner, "container_started", "")) != 0)
		return OWNER_DEAD;
	return OWNER_UNKNOWN;
}
