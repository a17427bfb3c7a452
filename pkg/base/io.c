/*
 * Whole transfers, and files that are either the old or the new one after a
 * crash (rename without fsync of both file and directory is not enough).
 */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"

ssize_t io_read_full(int fd, void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t count = read(fd, (char *)data + done, size - done);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -1;
		if (count == 0)
			break;
		done += (size_t)count;
	}
	return (ssize_t)done;
}

ssize_t io_pread_full(int fd, void *data, size_t size, uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t count = pread(fd, (char *)data + done, size - done, (off_t)(offset + done));

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -1;
		if (count == 0)
			break;
		done += (size_t)count;
	}
	return (ssize_t)done;
}

int io_write_full(int fd, const void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t count = write(fd, (const char *)data + done, size - done);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -1;
		done += (size_t)count;
	}
	return 0;
}

int io_pwrite_full(int fd, const void *data, size_t size, uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t count =
			pwrite(fd, (const char *)data + done, size - done, (off_t)(offset + done));

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -1;
		done += (size_t)count;
	}
	return 0;
}

int io_read_file(int directory_fd, const char *path, struct buffer *buffer, struct error **err)
{
	cleanup_fd int fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char block[16384];
	ssize_t count;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return error_set(err, ERROR_NOT_FOUND, "no file \"%s\"", path);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open \"%s\"", path);
	while ((count = io_read_full(fd, block, sizeof(block))) > 0) {
		if (buffer_append(buffer, block, (size_t)count) < 0)
			return error_set(err, ERROR_FAILED, "\"%s\" is larger than %zu bytes", path,
					 buffer->limit);
	}
	if (count < 0)
		return error_set_errno(err, errno, "cannot read \"%s\"", path);
	return 0;
}

static int sync_directory_of(int directory_fd, const char *path)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *parent =
		slash ? memory_strndup(path, slash == path ? 1 : (size_t)(slash - path))
		      : memory_strdup(".");
	cleanup_fd int fd = openat(directory_fd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -1 : fsync(fd);
}

int io_write_file_atomic(int directory_fd, const char *path, const void *data, size_t size,
			 mode_t mode, struct error **err)
{
	uint64_t nonce = 0;
	cleanup_free char *temporary = NULL;
	cleanup_fd int fd = -1;

	if (getrandom(&nonce, sizeof(nonce), 0) < 0)
		return error_set_errno(err, errno, "cannot get random bytes");
	temporary = memory_printf("%s.tmp-%016llx", path, (unsigned long long)nonce);
	fd = openat(directory_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    mode);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot create \"%s\"", temporary);
	if (io_write_full(fd, data, size) < 0 || fsync(fd) < 0 ||
	    renameat(directory_fd, temporary, directory_fd, path) < 0) {
		error_set_errno(err, errno, "cannot write \"%s\"", path);
		unlinkat(directory_fd, temporary, 0);
		return -1;
	}
	if (sync_directory_of(directory_fd, path) < 0)
		return error_set_errno(err, errno, "cannot sync the directory of \"%s\"", path);
	return 0;
}

FILE *io_open_spool(struct error **err)
{
	FILE *spool = tmpfile();
	int fd;

	if (spool)
		return spool;
	/* a container may have no place for files */
	fd = memfd_create("sidesnap-spool", MFD_CLOEXEC);
	spool = fd < 0 ? NULL : fdopen(fd, "w+");
	if (!spool)
		error_set_errno(err, errno, "cannot make a temporary file");
	return spool;
}

int io_set_nonblocking(int fd, int on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -1;
	return fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}
