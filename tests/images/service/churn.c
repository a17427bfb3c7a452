/*
 * A writer that never rests for long: random changes of every kind below a directory, in
 * bursts, at a walk, and with breaks in which files cool down. It goes on with whatever it
 * finds, as a service does that was started on restored data.
 */
#define _GNU_SOURCE
#include "churn.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define SIZE_MAX_FILE 150000
#define MAPPED_SIZE (64 << 10)
#define PAGE 8192

static uint64_t state;
static uint8_t *mapped[2];

static size_t below(size_t limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (size_t)((state >> 16) % limit);
}

static const char *const names[] = {
	" ",   "-rf", "a\nb", "\xff\xfe", "..x", "*",	"\x01\x7f\x1b[31m", "a-b", "a.b",
	"a",   "a0",  "\xc3", "\\",	  "%s%n", "one", "two", "three", "four",
	"five", "six", "seven", "eight", "nine", "ten",
};

#define NAMES (sizeof(names) / sizeof(names[0]))

/* Below the present directory; may be there or not, or lead through what is no directory. */
static const char *random_path(void)
{
	static char paths[4][600];
	static unsigned turn;
	char *path = paths[turn++ % 4], longest[256];
	const char *name = names[below(NAMES)];

	memset(longest, 'n', 255);
	longest[255] = '\0';
	if (below(40) == 0)
		name = longest;
	switch (below(3)) {
	case 0:
		snprintf(path, 600, "%s", name);
		break;
	case 1:
		snprintf(path, 600, "d%zu/%s", below(3), name);
		break;
	default:
		snprintf(path, 600, "d%zu/a/%s", below(3), name);
	}
	return path;
}

static void put_noise(int fd, off_t at, size_t size)
{
	static uint8_t data[SIZE_MAX_FILE + 8];

	if (size > SIZE_MAX_FILE)
		size = SIZE_MAX_FILE;
	for (size_t i = 0; i < size; i += 8) {
		uint64_t word = state + below(1000000000);

		memcpy(data + i, &word, 8);
	}
	if (pwrite(fd, data, size, at) < 0)
		perror("pwrite");
}

/* ---- one change ------------------------------------------------------------------------------- */

static void change_bytes(int fd, const struct stat *status)
{
	off_t size = status->st_size, at = size > 0 ? (off_t)below((size_t)size) : 0;
	int unused = 0;

	switch (below(8)) {
	case 0:
	case 1:
		put_noise(fd, at, 1 + below(5000));
		break;
	case 2:
		put_noise(fd, at / PAGE * PAGE, PAGE);
		break;
	case 3:
		unused = ftruncate(fd, (off_t)below(SIZE_MAX_FILE));
		break;
	case 4:
		unused = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at / 4096 * 4096,
				   4096 * (off_t)(1 + below(10)));
		break;
	case 5: /* the same size, all else */
		put_noise(fd, 0, (size_t)size);
		break;
	case 6: /* far away: a hole */
		put_noise(fd, (off_t)below(4 << 20), 1 + below(3000));
		break;
	default:
		put_noise(fd, size, 1 + below(3000));
	}
	if (below(3) == 0) {
		const struct timespec times[2] = { status->st_atim, status->st_mtim };

		unused = futimens(fd, times);
	}
	(void)unused;
}

static void change_attributes(const char *path)
{
	/* user::rw-, user:N:r--, group::r--, mask::rw-, other::--- */
	uint8_t acl[] = { 2, 0, 0, 0, 1,  0, 6, 0, 255, 255, 255, 255, 2,  0, 4, 0, 7, 0, 0, 0, 4, 0,
			  4, 0, 255, 255, 255, 255, 16, 0, 6, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255 };
	char value[300];
	int unused;

	memset(value, 'a' + (int)below(26), sizeof(value));
	acl[16] = (uint8_t)below(200);
	switch (below(4)) {
	case 0:
		unused = lsetxattr(path, "user.one", value, below(sizeof(value)), 0);
		break;
	case 1:
		unused = lremovexattr(path, "user.one");
		break;
	case 2:
		unused = lsetxattr(path, "system.posix_acl_access", acl, sizeof(acl), 0);
		break;
	default:
		unused = lremovexattr(path, "system.posix_acl_access");
	}
	(void)unused;
}

static void change_metadata(const char *path)
{
	const struct timespec times[2] = {
		{ .tv_sec = 1 },
		{ .tv_sec = (time_t)below(4) * 1000000000 - 500000000, .tv_nsec = (long)below(1000000000) },
	};
	int unused = 0;

	switch (below(4)) {
	case 0:
		unused = fchmodat(AT_FDCWD, path, (mode_t)below(010000), 0);
		break;
	case 1:
		unused = lchown(path, (uid_t)below(5), (gid_t)below(5));
		break;
	case 2:
		unused = utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
		break;
	default:
		change_attributes(path);
	}
	(void)unused;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status;
	(void)kind;
	(void)where;
	return remove(path);
}

static void make_something(const char *path)
{
	struct stat status;
	int fd, unused = 0;

	switch (below(8)) {
	case 0:
		unused = mkdir(path, (mode_t)below(010000));
		break;
	case 1:
		unused = symlink(random_path(), path);
		break;
	case 2: /* of a driver that nobody has */
		unused = mknod(path, (below(2) ? S_IFIFO : S_IFCHR) | 0640, makedev(4000, 1 + below(9)));
		break;
	default:
		if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode))
			break;
		fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
		if (fd < 0)
			break;
		put_noise(fd, 0, below(below(3) ? 3000 : SIZE_MAX_FILE));
		close(fd);
	}
	(void)unused;
}

/* Files that stay mapped, now and then renamed over by another that is mapped instead. */
static void store_mapped(void)
{
	unsigned which = (unsigned)below(2);
	char name[16], new[24];
	int fd;

	if (mapped[which] && below(200)) {
		mapped[which][below(MAPPED_SIZE)] = (uint8_t)below(256);
		return;
	}
	snprintf(name, sizeof(name), "mapped-%u", which);
	snprintf(new, sizeof(new), "%s.new", name);
	fd = open(new, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	put_noise(fd, 0, MAPPED_SIZE);
	if (rename(new, name) == 0) {
		if (mapped[which])
			munmap(mapped[which], MAPPED_SIZE);
		mapped[which] = mmap(NULL, MAPPED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (mapped[which] == MAP_FAILED)
			mapped[which] = NULL;
	}
	close(fd);
}

static void change_once(void)
{
	const char *path = random_path();
	struct stat status;
	int fd, unused = 0;

	switch (below(14)) {
	case 0:
		unused = rename(path, random_path());
		break;
	case 1:
		unused = link(path, random_path());
		break;
	case 2: /* and perhaps another type at once */
		nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
		if (below(2))
			make_something(path);
		break;
	case 3:
	case 4:
		make_something(path);
		break;
	case 5:
	case 6:
		change_metadata(path);
		break;
	case 7:
	case 8:
	case 9:
		store_mapped();
		break;
	default:
		if (lstat(path, &status) < 0 || !S_ISREG(status.st_mode))
			break;
		fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			break;
		change_bytes(fd, &status);
		close(fd);
	}
	(void)unused;
}

int churn(const char *directory, const char *seed)
{
	if (chdir(directory) < 0) {
		perror(directory);
		return 1;
	}
	state = strtoull(seed, NULL, 10) * 0x9e3779b97f4a7c15ULL | 1;
	for (int i = 0; i < 3; i++)
		mkdir((char[]){ 'd', (char)('0' + i), 0 }, 0755);
	for (int i = 0; i < 300; i++)
		change_once();
	for (;;) {
		useconds_t pause_us = below(2) ? 0 : 2000;

		for (size_t i = 20 + below(200); i > 0; i--) {
			change_once();
			if (pause_us)
				usleep(pause_us);
		}
		usleep((useconds_t)below(300000));
	}
}
