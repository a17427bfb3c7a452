/*
 * Opening and examining what lies below a directory without ever leaving it: openat2
 * and statx by their numbers, since not every libc has them in full. Private to pkg/tree.
 */
#ifndef SIDESNAP_TREE_BENEATH_H
#define SIDESNAP_TREE_BENEATH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"

struct file_status {
	mode_t mode;
	uid_t uid;
	gid_t gid;
	uint32_t links;
	uint64_t size, blocks; /* blocks of 512 bytes */
	uint64_t device, inode, mount;
	dev_t node; /* of device nodes */
	struct timespec mtime, ctime;
};

/*
 * beneath_open(directory_fd, path, flags, mode):
 * openat2() that follows no link of any kind, climbs nowhere and enters no other
 * mount (EXDEV). Returns an fd (O_CLOEXEC) or -1 with errno.
 */
int beneath_open(int directory_fd, const char *path, int flags, mode_t mode);

/*
 * beneath_open_own(directory_fd, name):
 * A directory to be listed and changed; one's own that denies this is made to allow it
 * (its mode is set again later, or it is deleted). As beneath_open().
 */
int beneath_open_own(int directory_fd, const char *name);

/* beneath_check(err): Whether this kernel has all that is needed; ERROR_UNSUPPORTED. */
int beneath_check(struct error **err);

/* beneath_status(directory_fd, name, status): Without following; "" is the fd itself. 0 or -1, errno. */
int beneath_status(int directory_fd, const char *name, struct file_status *status);

#endif
