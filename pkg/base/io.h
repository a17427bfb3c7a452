/*
 * Whole reads and writes over file descriptors, restarted after signals and
 * short transfers.
 */
#ifndef SIDESNAP_BASE_IO_H
#define SIDESNAP_BASE_IO_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/error.h"

/*
 * io_read_full(fd, data, size):
 * Read until ${size} bytes or the end of file. Returns the number of bytes read
 * or -1 with errno set.
 */
ssize_t io_read_full(int fd, void *data, size_t size);

/* io_pread_full(fd, data, size, offset): The same at an offset. */
ssize_t io_pread_full(int fd, void *data, size_t size, uint64_t offset);

/* io_write_full(fd, data, size): Write all of it. Returns 0 or -1 with errno set. */
int io_write_full(int fd, const void *data, size_t size);

/* io_pwrite_full(fd, data, size, offset): The same at an offset. */
int io_pwrite_full(int fd, const void *data, size_t size, uint64_t offset);

/*
 * io_read_file(directory_fd, path, buffer, err):
 * Append the file's content to ${buffer}; more than the buffer's limit is an error.
 * ${directory_fd} may be AT_FDCWD. A missing file is ERROR_NOT_FOUND.
 */
int io_read_file(int directory_fd, const char *path, struct buffer *buffer, struct error **err);

/*
 * io_write_file_atomic(directory_fd, path, data, size, mode, err):
 * Write to a temporary neighbour, fsync it, rename it over ${path}, fsync the
 * directory. A crash leaves the old or the new file, whole.
 */
int io_write_file_atomic(int directory_fd, const char *path, const void *data, size_t size,
			 mode_t mode, struct error **err);

/*
 * io_open_spool(err):
 * A file without a name for what is too much for memory; gone when it is closed, or we are. In
 * memory where there is no place for files. NULL on failure.
 */
FILE *io_open_spool(struct error **err);

/* io_set_nonblocking(fd, on): Returns 0 or -1 with errno set. */
int io_set_nonblocking(int fd, int on);

#endif
