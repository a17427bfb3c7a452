/*
 * A server that keeps its data under the name of its host (rabbit@mq1) finds them in a container
 * with another name only when that name still leads to itself. The engine writes /etc/hosts anew at
 * every start, so this is looked at each time.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "boot.h"

#define HOSTS_PATH "/etc/hosts"
#define HOSTS_LIMIT (1U << 20)
#define NAME_MAX_SIZE 253

/* The manifest is not to be trusted: a name adds one word to the file. */
static bool is_host_name(const char *name)
{
	size_t size = strlen(name);

	for (size_t i = 0; i < size; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-._", name[i]))
			return false;
	return size > 0 && size <= NAME_MAX_SIZE;
}

/* Whether a line gives an address to this name. */
static bool text_has(const char *text, const char *name)
{
	size_t size = strlen(name);

	while (*text) {
		size_t end = strcspn(text, "#\n");
		size_t word = strspn(text, " \t"), length;
		bool is_address = true;

		for (; word < end; word += length + strspn(text + word + length, " \t")) {
			length = strcspn(text + word, " \t\r#\n");
			if (!is_address && length == size &&
			    strncasecmp(text + word, name, size) == 0)
				return true;
			is_address = false;
			if (!length)
				break;
		}
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	return false;
}

static int append(int fd, const char *name, bool ends_line, struct error **err)
{
	cleanup_free char *line = memory_printf("%s127.0.0.1\t%s\n", ends_line ? "" : "\n", name);

	if (io_write_full(fd, line, strlen(line)) < 0)
		return error_set_errno(err, errno, "cannot write \"" HOSTS_PATH "\"");
	return 0;
}

static int add_name(const char *name, struct error **err)
{
	cleanup_fd int fd = -1;
	CLEANUP(buffer_release) struct buffer text;
	struct stat status;

	buffer_init(&text, HOSTS_LIMIT);
	if (io_read_file(AT_FDCWD, HOSTS_PATH, &text, err) < 0)
		return -1;
	if (text_has(text.data, name))
		return 0;
	fd = open(HOSTS_PATH, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) < 0)
		return error_set_errno(err, errno, "cannot open \"" HOSTS_PATH "\"");
	if (!S_ISREG(status.st_mode))
		return error_set(err, ERROR_FAILED, "\"" HOSTS_PATH "\" is no file");
	return append(fd, name, !text.size || text.data[text.size - 1] == '\n', err);
}

void boot_add_hosts(const struct boot *boot)
{
	json_for_each(item, json_get(boot->manifest.extra, "hosts")) {
		const char *name = json_string_or(item, NULL, "");
		struct error *err = NULL;

		if (!is_host_name(name) || add_name(name, &err) == 0)
			continue;
		fprintf(stderr,
			"sidesnap: the service keeps its data under the host name \"%s\", which "
			"leads nowhere here (%s); start the container with --hostname %s\n",
			name, err->message, name);
		error_free(err);
	}
}
