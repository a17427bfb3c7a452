/*
 * Whether the times of a file prove anything. A store through a shared mapping changes
 * mtime only where the page was clean before; so a file is written back between the stat
 * that is recorded and the read, and only file systems are believed of which it is known
 * that a page is made clean by that, and that the times are then kept.
 * Private to pkg/tree.
 */
#ifndef SIDESNAP_TREE_WRITE_BACK_H
#define SIDESNAP_TREE_WRITE_BACK_H

#include <stdbool.h>

#include "tree/beneath.h"

enum write_back_kind {
	WRITE_BACK_NONE,  /* never trust: tmpfs, FUSE, network and overlay file systems, unknown */
	WRITE_BACK_RANGE, /* sync_file_range() */
	WRITE_BACK_SYNC,  /* fdatasync(): compresses, or copies on write, in threads of its own */
	WRITE_BACK_FILE,  /* fsync(): of a file system that was tried, whatever it is */
	WRITE_BACK_DONE,  /* nothing: all of that file system was written back */
};

/* write_back_kind(fd): What the file system of ${fd} (O_PATH will do) allows. */
enum write_back_kind write_back_kind(int fd);

/*
 * write_back(fd, kind): Have all dirty pages of a file made clean. To be called after the
 * stat and before the first byte is read; waits also for a write() that had begun before
 * that stat, whose bytes come after the times it set. False: its times prove nothing.
 */
bool write_back(int fd, enum write_back_kind kind);

/*
 * is_hot(status, looked): Whether a later change could leave the times as they are, because
 * it comes in the same tick of the clock, or belongs to a page fault that was under way.
 * ${looked} is CLOCK_REALTIME_COARSE from before the stat.
 */
bool is_hot(const struct file_status *status, const struct timespec *looked);

/*
 * is_hot_directly(status, looked): The same where files are written past the page cache (O_DIRECT), mostly by
 * asynchronous calls: the times are set when a write is handed over, and nothing that a reader can do waits
 * for its end, so that a read may still find what was there before. On a busy disk that takes a while.
 */
bool is_hot_directly(const struct file_status *status, const struct timespec *looked);

#endif
