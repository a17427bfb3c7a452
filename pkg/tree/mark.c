/*
 * Text of a mark: "1 restoring|restored HASH[ replaced]\n". It is read from volumes
 * that others write, so anything else counts as no mark.
 */
#include "tree/mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

#define MARK_TEXT_MAX 128

static bool parse_mark(const char *text, size_t size, struct mark *mark)
{
	char copy[MARK_TEXT_MAX + 1], digits[HASH_HEX_SIZE];
	const char *rest;

	if (size == 0 || size > MARK_TEXT_MAX || memchr(text, '\0', size))
		return false;
	memcpy(copy, text, size);
	copy[size] = '\0';
	if (copy[size - 1] == '\n')
		copy[size - 1] = '\0';
	if (text_has_prefix(copy, "1 restoring "))
		mark->state = MARK_RESTORING;
	else if (text_has_prefix(copy, "1 restored "))
		mark->state = MARK_RESTORED;
	else
		return false;
	rest = copy +
	       (mark->state == MARK_RESTORING ? strlen("1 restoring ") : strlen("1 restored "));
	if (strlen(rest) < HASH_HEX_SIZE - 1)
		return false;
	memcpy(digits, rest, HASH_HEX_SIZE - 1);
	digits[HASH_HEX_SIZE - 1] = '\0';
	rest += HASH_HEX_SIZE - 1;
	mark->replaced = strcmp(rest, " replaced") == 0;
	return hash_parse(digits, &mark->tree) && (mark->replaced || *rest == '\0');
}

static size_t print_mark(const struct mark *mark, char text[MARK_TEXT_MAX])
{
	char digits[HASH_HEX_SIZE];

	hash_format(&mark->tree, digits);
	return (size_t)snprintf(text, MARK_TEXT_MAX, "1 %s %s%s\n",
				mark->state == MARK_RESTORING ? "restoring" : "restored", digits,
				mark->replaced ? " replaced" : "");
}

static ssize_t read_mark_file(int root_fd, char *text, size_t size)
{
	cleanup_fd int fd =
		openat(root_fd, MARK_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		return -1;
	return io_read_full(fd, text, size);
}

void mark_read(int root_fd, struct mark *mark)
{
	char text[MARK_TEXT_MAX + 1];
	ssize_t size = fgetxattr(root_fd, MARK_ATTRIBUTE, text, sizeof(text));

	if (size <= 0)
		size = read_mark_file(root_fd, text, sizeof(text));
	if (size <= 0 || !parse_mark(text, (size_t)size, mark))
		memset(mark, 0, sizeof(*mark));
}

static int remove_mark_file(int root_fd, struct error **err)
{
	if (unlinkat(root_fd, MARK_FILE, 0) < 0 && errno != ENOENT && errno != EROFS)
		return error_set_errno(err, errno, "cannot remove \"" MARK_FILE "\"");
	return 0;
}

/* The directory's own times belong to the tree; a dot file that comes or goes must not change them. */
static void put_times_back(int root_fd, const struct stat *before)
{
	struct timespec times[2] = {before->st_atim, before->st_mtim};

	(void)futimens(root_fd, times);
}

int mark_write(int root_fd, const struct mark *mark, struct error **err)
{
	char text[MARK_TEXT_MAX];
	size_t size = mark->state == MARK_NONE ? 0 : print_mark(mark, text);
	struct stat status;

	if (fstat(root_fd, &status) < 0)
		return error_set_errno(err, errno, "cannot examine the volume");
	if (!size) {
		if (fremovexattr(root_fd, MARK_ATTRIBUTE) < 0 && errno != ENODATA &&
		    errno != ENOTSUP && errno != EPERM && errno != EACCES)
			return error_set_errno(err, errno, "cannot remove the volume's mark");
		if (remove_mark_file(root_fd, err) < 0)
			return -1;
	} else if (fsetxattr(root_fd, MARK_ATTRIBUTE, text, size, 0) == 0) {
		if (remove_mark_file(root_fd, err) < 0)
			return -1;
	} else {
		int number = errno;

		if (number == EROFS || number == ENOSPC || number == EDQUOT)
			return error_set_errno(err, number, "cannot mark the volume");
		/* An older attribute would be read before the file. */
		(void)fremovexattr(root_fd, MARK_ATTRIBUTE);
		if (io_write_file_atomic(root_fd, MARK_FILE, text, size, 0644, err) < 0)
			return error_prefix(err, "cannot mark the volume");
	}
	put_times_back(root_fd, &status);
	if (fsync(root_fd) < 0 && errno != EINVAL && errno != EROFS)
		return error_set_errno(err, errno, "cannot sync the volume's mark");
	return 0;
}

int mark_write_attribute(int root_fd, const struct mark *mark, struct error **err)
{
	char text[MARK_TEXT_MAX];
	size_t size = print_mark(mark, text);
	int number = 0;

	if (remove_mark_file(root_fd, err) < 0)
		return -1;
	if (fsetxattr(root_fd, MARK_ATTRIBUTE, text, size, 0) < 0)
		number = errno;
	if (number == EROFS || number == ENOSPC || number == EDQUOT)
		return error_set_errno(err, number, "cannot mark the volume");
	if (number)
		(void)fremovexattr(root_fd, MARK_ATTRIBUTE);
	if (fsync(root_fd) < 0 && errno != EINVAL && errno != EROFS)
		return error_set_errno(err, errno, "cannot sync the volume's mark");
	return number ? 1 : 0;
}

int mark_lock(int root_fd, unsigned wait_ms, struct error **err)
{
	const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	uint64_t end = clock_monotonic_ms() + wait_ms;

	while (flock(root_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return 0;
		if (clock_monotonic_ms() >= end)
			return error_set(err, ERROR_BUSY,
					 "another container is restoring this volume");
		nanosleep(&pause, NULL);
	}
	return 0;
}
