/* Beside, not elsewhere: rename does not cross file systems. */
#include "base/part_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"

struct part_file {
	char *path, *part, *directory;
	int fd;
	bool is_done;
};

/* Where it really is: through links, also one that leads to nothing yet. */
static char *resolve(const char *path, struct error **err)
{
	char *real = realpath(path, NULL);
	struct stat status;

	if (!real)
		return memory_strdup(path);
	if (stat(real, &status) < 0 || S_ISREG(status.st_mode))
		return real;
	free(real);
	error_set(err, ERROR_USAGE, "%s is there already, and is no file", path);
	return NULL;
}

struct part_file *part_file_open(const char *path, struct error **err)
{
	CLEANUP(cleanup_part_file_free)
	struct part_file *file = memory_zalloc(sizeof(*file));
	cleanup_free char *random = text_random_hex(4);
	const char *slash;

	file->fd = -1;
	file->path = resolve(path, err);
	if (!file->path)
		return NULL;
	slash = strrchr(file->path, '/');
	file->directory = slash == file->path ? memory_strdup("/")
			  : slash ? memory_strndup(file->path, (size_t)(slash - file->path))
				  : memory_strdup(".");
	file->part = memory_printf("%s.%s.part", file->path, random);
	file->fd = open(file->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file->fd < 0) {
		error_set_errno(err, errno, "cannot create %s", file->path);
		free(STEAL_POINTER(file->part));
		return NULL;
	}
	return STEAL_POINTER(file);
}

int part_file_write(struct part_file *file, const void *data, size_t size, struct error **err)
{
	if (io_write_full(file->fd, data, size) < 0)
		return error_set_errno(err, errno, "cannot write %s", file->path);
	return 0;
}

int part_file_finish(struct part_file *file, struct error **err)
{
	cleanup_fd int directory = -1;

	if (fsync(file->fd) < 0)
		return error_set_errno(err, errno, "cannot write %s", file->path);
	if (rename(file->part, file->path) < 0)
		return error_set_errno(err, errno, "cannot rename %s to %s", file->part,
				       file->path);
	file->is_done = true;
	directory = open(file->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0 || fsync(directory) < 0)
		return error_set_errno(err, errno, "cannot sync %s", file->directory);
	return 0;
}

void part_file_free(struct part_file *file)
{
	if (!file)
		return;
	if (file->part && !file->is_done)
		unlink(file->part);
	if (file->fd >= 0)
		close(file->fd);
	free(file->path);
	free(file->part);
	free(file->directory);
	free(file);
}
