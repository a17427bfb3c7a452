/*
 * The rules by which a fingerprint is trusted. Every one of them was paid for by somebody
 * with a backup that missed a change.
 */
#include "tree/write_back.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/failpoint.h"

#define MAGIC_EXT4 0xef53UL
#define MAGIC_XFS 0x58465342UL
#define MAGIC_BTRFS 0x9123683eUL
#define MAGIC_F2FS 0xf2f52010UL

/*
 * Times come from a clock that ticks every 1 to 10 ms: 20 ms would do for what follows one
 * another. A page fault sets mtime before it makes the page writable, and may wait for the
 * journal in between; so much longer is not believed either.
 */
#define HOT_NS (100 * 1000 * 1000LL)
/* Where inodes have no room for more (ext4 with 128 bytes each), times are whole seconds. */
#define HOT_SECONDS_NS (HOT_NS + 1000 * 1000 * 1000LL)

/* Longer than a disk takes that is not about to be given up; age_ns() tells up to two seconds. */
#define DIRECT_NS (1500 * 1000 * 1000LL)

enum write_back_kind write_back_kind(int fd)
{
	struct statfs status;

	if (fstatfs(fd, &status) < 0)
		return WRITE_BACK_NONE;
	switch ((unsigned long)status.f_type & 0xffffffffUL) {
	case MAGIC_EXT4:
	case MAGIC_XFS:
	case MAGIC_F2FS:
		return WRITE_BACK_RANGE;
	case MAGIC_BTRFS:
		return WRITE_BACK_SYNC;
	default:
		return WRITE_BACK_NONE;
	}
}

bool write_back(int fd, enum write_back_kind kind)
{
	const unsigned all =
		SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;

	if (kind == WRITE_BACK_NONE)
		return false;
#ifdef SIDESNAP_FAILPOINTS
	{
		cleanup_error struct error *armed = NULL;

		/* leave it out and say that it was done: the tests must notice */
		if (failpoint_error("tree/write-back", &armed) < 0)
			return true;
	}
#endif
	/* takes the inode's lock, which write() holds from setting the times to its last byte */
	if (lseek(fd, 0, SEEK_DATA) < 0 && errno != ENXIO && errno != EINVAL)
		return false;
	if (kind == WRITE_BACK_RANGE)
		return sync_file_range(fd, 0, 0, all) == 0;
	if (kind == WRITE_BACK_SYNC)
		return fdatasync(fd) == 0;
	return kind == WRITE_BACK_DONE || fsync(fd) == 0;
}

/* How long before ${now} it was, in ns; far away: two seconds, or minus two. */
static long long age_ns(const struct timespec *time, const struct timespec *now)
{
	if (time->tv_sec < now->tv_sec - 1)
		return 2000000000LL;
	if (time->tv_sec > now->tv_sec + 1)
		return -2000000000LL;
	return (long long)(now->tv_sec - time->tv_sec) * 1000000000LL +
	       (now->tv_nsec - time->tv_nsec);
}

static bool is_within(const struct file_status *status, const struct timespec *looked,
		      long long hot_ns)
{
	long long modified = age_ns(&status->mtime, looked);

	/*
	 * Anybody may set mtime to the future; a ctime there means a clock that was set back,
	 * and that can come by again.
	 */
	return (modified < hot_ns && modified > -hot_ns) || age_ns(&status->ctime, looked) < hot_ns;
}

bool is_hot(const struct file_status *status, const struct timespec *looked)
{
	return is_within(status, looked, status->ctime.tv_nsec ? HOT_NS : HOT_SECONDS_NS);
}

bool is_hot_directly(const struct file_status *status, const struct timespec *looked)
{
	return is_within(status, looked, DIRECT_NS);
}
