/*
 * openat2 and statx as raw system calls: musl 1.2.3 knows neither openat2 nor the
 * mount id in statx.
 */
#include "tree/beneath.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/failpoint.h"

#define STATUS_WANTED 0x17ffU /* the basic ones and the mount id (0x1000) */
#define STATUS_MOUNT_ID 0x1000U

struct statx_time {
	int64_t seconds;
	uint32_t nanoseconds;
	int32_t reserved;
};

/* The kernel's struct statx, as linux/stat.h has it. */
struct statx_answer {
	uint32_t mask, block_size;
	uint64_t attributes;
	uint32_t links, uid, gid;
	uint16_t mode, spare0;
	uint64_t inode, size, blocks, attributes_mask;
	struct statx_time atime, btime, ctime, mtime;
	uint32_t node_major, node_minor, device_major, device_minor;
	uint64_t mount;
	uint64_t spare[13];
};
static_assert(sizeof(struct statx_answer) == 256, "as the kernel has it");

int beneath_open(int directory_fd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV,
	};
	long fd;

	/* RESOLVE_BENEATH gives EAGAIN when something was renamed meanwhile */
	for (int tries = 0; tries < 100; tries++) {
		fd = syscall(SYS_openat2, directory_fd, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return (int)fd;
}

int beneath_open_own(int directory_fd, const char *name)
{
	int fd = beneath_open(directory_fd, name, O_RDONLY | O_DIRECTORY, 0), path_fd;
	char proc[40];

	if (fd >= 0 || errno != EACCES)
		return fd;
	path_fd = beneath_open(directory_fd, name, O_PATH | O_DIRECTORY, 0);
	if (path_fd < 0)
		return -1;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", path_fd);
	if (chmod(proc, 0700) == 0)
		fd = beneath_open(directory_fd, name, O_RDONLY | O_DIRECTORY, 0);
	else
		errno = EACCES;
	close(path_fd);
	return fd;
}

int beneath_status(int directory_fd, const char *name, struct file_status *status)
{
	struct statx_answer answer;
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH;

	if (syscall(SYS_statx, directory_fd, name, flags, STATUS_WANTED, &answer) < 0)
		return -1;
	if (!(answer.mask & STATUS_MOUNT_ID)) {
		errno = ENOSYS;
		return -1;
	}
	status->mode = answer.mode;
	status->uid = answer.uid;
	status->gid = answer.gid;
	status->links = answer.links;
	status->size = answer.size;
	status->blocks = answer.blocks;
	status->device = makedev(answer.device_major, answer.device_minor);
	status->inode = answer.inode;
	status->mount = answer.mount;
	status->node = makedev(answer.node_major, answer.node_minor);
	status->mtime.tv_sec = (time_t)answer.mtime.seconds;
	status->mtime.tv_nsec = (long)answer.mtime.nanoseconds;
	status->ctime.tv_sec = (time_t)answer.ctime.seconds;
	status->ctime.tv_nsec = (long)answer.ctime.nanoseconds;
#ifdef SIDESNAP_FAILPOINTS
	{
		cleanup_error struct error *armed = NULL;

		/* as on a file system that has no room for more */
		if (failpoint_error("tree/whole-seconds", &armed) < 0)
			status->mtime.tv_nsec = status->ctime.tv_nsec = 0;
	}
#endif
	return 0;
}

int beneath_check(struct error **err)
{
	struct file_status status;
	int fd = beneath_open(AT_FDCWD, ".", O_PATH | O_DIRECTORY, 0);

	if (fd >= 0)
		close(fd);
	if ((fd < 0 && (errno == ENOSYS || errno == EPERM)) ||
	    (beneath_status(AT_FDCWD, ".", &status) < 0 && errno == ENOSYS)) {
		error_set(
			err, ERROR_UNSUPPORTED,
			"this kernel (or the engine's seccomp profile) lacks openat2 or mount ids in "
			"statx, without which no tree is safely walked");
		return error_hint(err, "use Linux 5.8 or newer and a current engine");
	}
	return 0;
}
