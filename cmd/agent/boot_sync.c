/*
 * A server that loads faster without syncing leaves that to boot. It may have written elsewhere than
 * in the places that a snapshot fills: its log in a volume of its own, a tablespace that the image's
 * initialisation made. So every file system that the container sees is written out.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "boot.h"

#define MOUNTS_LIMIT (16U << 20)
#define POINT_FIELD 4 /* of a line of mountinfo: proc(5) */

static bool is_octal(const char *digits)
{
	return strspn(digits, "01234567") >= 3;
}

/* Blanks and the like are "\040" there. */
static void unescape(char *path)
{
	char *to = path;

	for (const char *from = path; *from; to++) {
		if (*from == '\\' && is_octal(from + 1)) {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* No server keeps its data in a mounted file; and to open one may do something, where it is a device. */
static int sync_mount(const char *path, struct error **err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || syncfs(fd) == 0)
		return 0;
	return error_set_errno(err, errno, "cannot sync \"%s\"", path);
}

int boot_sync(struct error **err)
{
	struct buffer text;
	char *rest, *line;
	int result;

	buffer_init(&text, MOUNTS_LIMIT);
	result = io_read_file(AT_FDCWD, "/proc/self/mountinfo", &text, err);
	rest = text.data;
	while (result == 0 && (line = strsep(&rest, "\n"))) {
		char *point = NULL;

		for (int i = 0; i <= POINT_FIELD; i++)
			point = strsep(&line, " ");
		if (!point)
			continue;
		unescape(point);
		result = sync_mount(point, err);
	}
	buffer_release(&text);
	return result < 0 ? error_prefix(err, "what was loaded is not on the disk") : 0;
}
