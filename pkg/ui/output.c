/*
 * stderr may be a pipe that nobody reads or a terminal that is stopped with ^S.
 * O_NONBLOCK on the descriptor itself would change it for every process that shares
 * it, so it is opened once more through /proc, or asked before each write.
 */
#include "ui/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/text.h"

#define PENDING_MAX (64U << 10)
#define WAIT_MS 100
#define LAST_WAIT_MS 1000
/* What a pipe or a terminal that says "writable" takes without blocking. */
#define SAFE_WRITE 256

void output_init(struct output *output, int fd)
{
	cleanup_free char *path = memory_printf("/proc/self/fd/%d", fd);
	struct stat status;

	*output = (struct output){.fd = fd};
	buffer_init(&output->pending, PENDING_MAX);
	/* A regular file never blocks, and a new description would start at its beginning. */
	if (fstat(fd, &status) < 0 || (!S_ISCHR(status.st_mode) && !S_ISFIFO(status.st_mode)))
		return;
	fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return;
	output->fd = fd;
	output->owned = true;
}

/* Bytes written without waiting; 0 when it would block; -1 when nobody will ever read. */
static ssize_t write_some(struct output *output, const void *data, size_t size)
{
	struct pollfd ready = {.fd = output->fd, .events = POLLOUT};
	ssize_t count;

	if (poll(&ready, 1, 0) < 1)
		return 0;
	if (!output->owned && size > SAFE_WRITE)
		size = SAFE_WRITE;
	count = send(output->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (count < 0 && errno == ENOTSOCK)
		count = write(output->fd, data, size);
	if (count >= 0)
		return count;
	return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

/* Empty what is pending, waiting until ${deadline} of the monotonic clock at most. */
static bool flush_pending(struct output *output, uint64_t deadline)
{
	while (output->pending.size) {
		ssize_t count = write_some(output, output->pending.data, output->pending.size);
		struct pollfd ready = {.fd = output->fd, .events = POLLOUT};
		uint64_t now = clock_monotonic_ms();

		if (count < 0) {
			buffer_clear(&output->pending);
			return true;
		}
		if (count > 0) {
			buffer_consume(&output->pending, (size_t)count);
			output->stalled = false;
			continue;
		}
		if (now >= deadline)
			return false;
		poll(&ready, 1, (int)(deadline - now));
	}
	return true;
}

bool output_offer(struct output *output, const void *data, size_t size)
{
	ssize_t count;

	if (!flush_pending(output, 0))
		return false;
	count = write_some(output, data, size);
	if (count <= 0)
		return count < 0;
	/* A line must not end in its middle: its rest goes before anything else. */
	if ((size_t)count < size)
		buffer_append(&output->pending, (const char *)data + count, size - (size_t)count);
	return true;
}

void output_keep(struct output *output, const void *data, size_t size)
{
	uint64_t deadline = output->stalled ? 0 : clock_monotonic_ms() + WAIT_MS;

	buffer_append(&output->pending, data, size);
	if (!flush_pending(output, deadline))
		output->stalled = true;
}

void output_release(struct output *output)
{
	flush_pending(output, clock_monotonic_ms() + (output->stalled ? WAIT_MS : LAST_WAIT_MS));
	buffer_release(&output->pending);
	if (output->owned)
		close(output->fd);
	output->fd = -1;
}
