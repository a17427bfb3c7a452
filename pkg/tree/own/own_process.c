/*
 * Which process shows the target's root. Process ids mean nothing where the target
 * shares the host's or another container's, so a process counts only when the kernel
 * says to which container it belongs.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/io.h"
#include "base/memory.h"
#include "tree/own/own.h"

#define ID_DIGITS 64
#define PROC_FILE_MAX (8U << 20)

/* The last run of exactly 64 hexadecimal digits: containers may nest, the innermost counts. */
static const char *last_id(const char *text, size_t size)
{
	size_t run = 0;
	const char *found = NULL;

	for (size_t i = 0; i <= size; i++) {
		if (i < size && isxdigit((unsigned char)text[i])) {
			run++;
			continue;
		}
		if (run == ID_DIGITS)
			found = text + i - ID_DIGITS;
		run = 0;
	}
	return found;
}

static bool read_proc_file(int process_fd, const char *name, struct buffer *buffer)
{
	cleanup_error struct error *ignored = NULL;

	buffer_clear(buffer);
	return io_read_file(process_fd, name, buffer, &ignored) == 0;
}

/* 1 it is this container, 0 another, -1 the cgroups name none. */
static int cgroup_says(int process_fd, const char *container, struct buffer *buffer)
{
	int result = -1;

	if (!read_proc_file(process_fd, "cgroup", buffer))
		return -1;
	for (const char *line = buffer->data; *line;) {
		size_t size = strcspn(line, "\n");
		const char *id = last_id(line, size);

		if (id) {
			if (strncmp(id, container, ID_DIGITS) != 0)
				return 0;
			result = 1;
		}
		line += size + (line[size] == '\n');
	}
	return result;
}

/* The Nth field, separated by blanks, of a line; its length in *size. */
static const char *field(const char *line, size_t line_size, unsigned index, size_t *size)
{
	const char *end = line + line_size;

	while (line < end) {
		*size = strcspn(line, " \n");
		if (!index--)
			return line;
		line += *size + 1;
	}
	return NULL;
}

/* What follows " - overlay SOURCE " in a line of mountinfo; NULL: another type. To be freed. */
static char *overlay_options(const char *line, size_t size)
{
	cleanup_free char *text = memory_strndup(line, size);
	const char *type = strstr(text, " - overlay ");
	const char *options = type ? strchr(type + strlen(" - overlay "), ' ') : NULL;

	return options ? memory_strdup(options + 1) : NULL;
}

/*
 * mountinfo: field 3 is the root within the source, 4 the mount point. Without a mount
 * at "/" the process sits in a chroot. Of the files that an engine mounts only hostname
 * is looked at: with a shared network the others may be another container's.
 */
static void read_mounts(int process_fd, const char *container, struct buffer *buffer,
			bool *is_rooted, bool *is_named, char **overlay)
{
	*is_rooted = *is_named = false;
	if (!read_proc_file(process_fd, "mountinfo", buffer))
		return;
	for (const char *line = buffer->data; *line;) {
		size_t size = strcspn(line, "\n"), root_size = 0, point_size = 0;
		const char *root = field(line, size, 3, &root_size);
		const char *point = field(line, size, 4, &point_size);

		if (root && point && point_size == 1 && *point == '/') {
			*is_rooted = true;
			if (overlay) {
				free(*overlay);
				*overlay = overlay_options(line, size);
			}
		}
		if (root && point && point_size == strlen("/etc/hostname") &&
		    strncmp(point, "/etc/hostname", point_size) == 0) {
			const char *id = last_id(root, root_size);

			*is_named = id && strncmp(id, container, ID_DIGITS) == 0;
		}
		line += size + (line[size] == '\n');
	}
}

static bool is_proven(int process_fd, const char *container, struct buffer *buffer, char **overlay)
{
	bool is_rooted, is_named;
	int cgroup = cgroup_says(process_fd, container, buffer);

	if (cgroup == 0)
		return false;
	read_mounts(process_fd, container, buffer, &is_rooted, &is_named, overlay);
	return is_rooted && (cgroup == 1 || is_named);
}

/* Start time in clock ticks, field 22 of stat, behind the name in parentheses; 0: gone. */
static uint64_t start_time(int process_fd, struct buffer *buffer)
{
	const char *text, *value;
	size_t size = 0;

	if (!read_proc_file(process_fd, "stat", buffer))
		return 0;
	text = strrchr(buffer->data, ')');
	value = text ? field(text, strlen(text), 20, &size) : NULL;
	return value ? strtoull(value, NULL, 10) : 0;
}

struct choice {
	int root_fd;
	char *overlay;
	bool is_first; /* process 1 */
	uint64_t start;
};

static void consider(const char *proc, const char *pid, const char *container,
		     struct buffer *buffer, struct choice *choice, unsigned *proven)
{
	cleanup_free char *path = memory_printf("%s/%s", proc, pid);
	cleanup_fd int process_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int root_fd = -1;
	cleanup_free char *overlay = NULL;
	bool is_first = strcmp(pid, "1") == 0;
	uint64_t start;

	if (process_fd < 0 || !is_proven(process_fd, container, buffer, NULL))
		return;
	start = start_time(process_fd, buffer);
	/* The directory of a process that ended gives ESRCH, also when its id is in use again. */
	root_fd = openat(process_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0 || !start || !is_proven(process_fd, container, buffer, &overlay))
		return;
	++*proven;
	if (choice->root_fd >= 0 && !is_first && (choice->is_first || choice->start <= start))
		return;
	if (choice->root_fd >= 0)
		close(choice->root_fd);
	free(choice->overlay);
	choice->root_fd = STEAL_FD(root_fd);
	choice->overlay = STEAL_POINTER(overlay);
	choice->is_first = is_first;
	choice->start = start;
}

uint64_t own_source(const char *container)
{
	cleanup_free char *digits = memory_strndup(container, 16);

	return strlen(digits) == 16 ? strtoull(digits, NULL, 16) : 0;
}

int own_find_root(const char *proc, const char *container, struct own_root *root,
		  struct error **err)
{
	struct choice choice = {.root_fd = -1};
	struct buffer buffer;
	struct dirent *entry;
	DIR *directory;

	*root = (struct own_root){.fd = -1};
	if (strlen(container) != ID_DIGITS || last_id(container, ID_DIGITS) != container)
		return error_set(err, ERROR_USAGE, "\"%s\" is no full container id", container);
	directory = opendir(proc);
	if (!directory)
		return error_set_errno(err, errno, "cannot list \"%s\"", proc);
	buffer_init(&buffer, PROC_FILE_MAX);
	while ((entry = readdir(directory))) {
		if (isdigit((unsigned char)entry->d_name[0]))
			consider(proc, entry->d_name, container, &buffer, &choice, &root->proven);
	}
	buffer_release(&buffer);
	closedir(directory);
	root->fd = choice.root_fd;
	root->overlay = choice.overlay;
	return 0;
}
