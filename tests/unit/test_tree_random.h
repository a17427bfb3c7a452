/*
 * Random trees with everything that a file system can hold, and random changes to them.
 */
#ifndef TEST_TREE_RANDOM_H
#define TEST_TREE_RANDOM_H

#include "test_tree_support.h"

/* A POSIX ACL as the kernel stores it: owner, one user, group, mask, others. */
static void random_acl(uint8_t acl[44], uint64_t *random)
{
	static const uint16_t tags[] = {1, 2, 4, 16, 32};

	memset(acl, 0, 44);
	acl[0] = 2;
	for (size_t i = 0; i < 5; i++) {
		uint8_t *entry = acl + 4 + 8 * i;

		entry[0] = (uint8_t)tags[i];
		entry[2] = (uint8_t)(next_random(random) % 8);
		memset(entry + 4, 0xff, 4);
		if (tags[i] == 2) {
			entry[4] = 0xe8;
			entry[5] = 3;
			entry[6] = entry[7] = 0;
		}
	}
}

static void random_attributes(int fd, bool is_directory, uint64_t *random)
{
	uint8_t value[400], acl[44];

	for (size_t i = next_random(random) % 4; i; i--) {
		char name[64];
		size_t size = next_random(random) % 10 ? next_random(random) % 60 : sizeof(value);

		snprintf(name, sizeof(name), "user.test.%llu",
			 (unsigned long long)(next_random(random) % 50));
		for (size_t j = 0; j < size; j++)
			value[j] = (uint8_t)next_random(random);
		assert_int_equal(fsetxattr(fd, name, value, size, 0), 0);
	}
	random_acl(acl, random);
	if (next_random(random) % 8 == 0)
		assert_int_equal(fsetxattr(fd, "system.posix_acl_access", acl, 44, 0), 0);
	if (is_directory && next_random(random) % 4 == 0)
		assert_int_equal(fsetxattr(fd, "system.posix_acl_default", acl, 44, 0), 0);
}

static void random_name(char name[256], uint64_t *random)
{
	size_t size = next_random(random) % 12 ? 1 + next_random(random) % 12
					       : 1 + next_random(random) % 255;

	for (size_t i = 0; i < size; i++) {
		name[i] = (char)(1 + next_random(random) % 255);
		if (name[i] == '/')
			name[i] = '-';
	}
	name[size] = '\0';
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		name[0] = 'x';
}

static void random_bytes(int fd, size_t size, off_t at, uint64_t *random)
{
	cleanup_free uint8_t *data = memory_alloc(size + 1);
	bool repeats = next_random(random) % 2;

	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(repeats ? i / 1000 : next_random(random));
	assert_int_equal(io_pwrite_full(fd, data, size, (uint64_t)at), 0);
}

static void random_file(int parent, const char *name, uint64_t *random)
{
	static const size_t sizes[] = {0,     1,      100,    4096,   8192,
				       70000, 300000, 524288, 524289, 3000001};
	int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t size = sizes[next_random(random) % (sizeof(sizes) / sizeof(sizes[0]))];

	assert_true(fd >= 0);
	if (next_random(random) % 5) {
		random_bytes(fd, size, 0, random);
	} else {
		/* data somewhere, holes around it */
		off_t at = 0;

		for (size_t i = next_random(random) % 4; i; i--) {
			at += (off_t)(next_random(random) % 9 * 16384);
			random_bytes(fd, next_random(random) % 50000, at, random);
			at += 65536;
		}
		assert_int_equal(ftruncate(fd, at + (off_t)(next_random(random) % 3 * 1234567)), 0);
	}
	random_attributes(fd, false, random);
	close(fd);
}

static void random_metadata(int parent, const char *name, mode_t type, uint64_t *random)
{
	struct timespec times[2] = {{0, UTIME_OMIT},
				    {(time_t)(next_random(random) % 4000000000U),
				     (long)(next_random(random) % 1000000000U)}};

	assert_int_equal(fchownat(parent, name, (uid_t)(next_random(random) % 70000),
				  (gid_t)(next_random(random) % 70000), AT_SYMLINK_NOFOLLOW),
			 0);
	if (!S_ISLNK(type))
		assert_int_equal(fchmodat(parent, name, (mode_t)(next_random(random) & 07777), 0),
				 0);
	assert_int_equal(utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

struct maker {
	uint64_t random;
	int root_fd;
	char *some_file; /* to link to */
};

static void random_directory(struct maker *maker, int fd, const char *path, unsigned depth);

static void random_entry(struct maker *maker, int parent, const char *name, const char *path,
			 unsigned depth)
{
	uint64_t *random = &maker->random;
	mode_t type = S_IFREG;
	int fd;

	switch (next_random(random) % 12) {
	case 0:
	case 1:
	case 2:
		if (!depth)
			return;
		assert_int_equal(mkdirat(parent, name, 0700), 0);
		fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		random_directory(maker, fd, path, depth - 1);
		random_attributes(fd, true, random);
		close(fd);
		type = S_IFDIR;
		break;
	case 3:
		assert_int_equal(symlinkat(path, parent, name), 0);
		type = S_IFLNK;
		break;
	case 4:
		type = next_random(random) % 2 ? S_IFIFO : S_IFCHR;
		assert_int_equal(mknodat(parent, name, type | 0600, makedev(7, 1048575)), 0);
		break;
	case 5:
		if (maker->some_file &&
		    linkat(maker->root_fd, maker->some_file, parent, name, 0) == 0)
			return;
		/* fallthrough */
	default:
		random_file(parent, name, random);
		if (next_random(random) % 4 == 0) {
			free(maker->some_file);
			maker->some_file = memory_strdup(path);
		}
	}
	random_metadata(parent, name, type, random);
}

static void random_directory(struct maker *maker, int fd, const char *path, unsigned depth)
{
	for (size_t i = next_random(&maker->random) % 9; i; i--) {
		char name[256];
		cleanup_free char *below = NULL;

		random_name(name, &maker->random);
		if (faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		below = *path ? memory_printf("%s/%s", path, name) : memory_strdup(name);
		random_entry(maker, fd, name, below, depth);
	}
}

static UNUSED void random_tree(int parent, const char *name, uint64_t seed)
{
	struct maker maker = {.random = seed * 0x9e3779b97f4a7c15ULL + 1};

	maker.root_fd = make_directory(parent, name);
	for (int i = 0; i < 3; i++)
		random_directory(&maker, maker.root_fd, "", 4);
	random_attributes(maker.root_fd, true, &maker.random);
	random_metadata(parent, name, S_IFDIR, &maker.random);
	free(maker.some_file);
	close(maker.root_fd);
}

/* ---- random changes ------------------------------------------------------------------------- */

static void change_content(int parent, const char *name, uint64_t *random)
{
	struct stat status;
	int fd = openat(parent, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	off_t at;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &status), 0);
	at = (off_t)(next_random(random) % (uint64_t)(status.st_size + 1));
	switch (next_random(random) % 5) {
	case 0:
		assert_int_equal(ftruncate(fd, at), 0);
		break;
	case 1:
		assert_int_equal(ftruncate(fd, status.st_size + (1 + at % 3) * 65536), 0);
		break;
	case 2:
		/* a capture overlooks holes that are smaller than a block of attributes */
		if (status.st_size >= 131072)
			assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
						   at - at % 65536, 65536),
					 0);
		break;
	default:
		random_bytes(fd, 1 + next_random(random) % 20000, at, random);
		/* as if nothing had happened */
		if (next_random(random) % 2) {
			const struct timespec times[2] = {status.st_atim, status.st_mtim};

			assert_int_equal(futimens(fd, times), 0);
		}
	}
	close(fd);
}

static void change_one(struct maker *maker, int parent, const char *name, const char *path);

static void change_directory(struct maker *maker, int fd, const char *path)
{
	struct string_list names;
	DIR *directory = fdopendir(dup(fd));

	assert_non_null(directory);
	rewinddir(directory);
	sorted_names(directory, &names);
	closedir(directory);
	for (size_t i = 0; i < names.count; i++) {
		cleanup_free char *below = *path ? memory_printf("%s/%s", path, names.items[i])
						 : memory_strdup(names.items[i]);

		change_one(maker, fd, names.items[i], below);
	}
	string_list_release(&names);
	if (next_random(&maker->random) % 6 == 0)
		random_directory(maker, fd, path, 1);
}

static void change_kind(struct maker *maker, int parent, const char *name, const char *path,
			bool is_directory)
{
	if (is_directory) {
		cleanup_free char *below =
			memory_printf("/proc/%d/fd/%d/%s", getpid(), parent, name);

		remove_all(below);
	} else {
		assert_int_equal(unlinkat(parent, name, 0), 0);
	}
	if (next_random(&maker->random) % 3)
		random_entry(maker, parent, name, path, 2);
}

static void change_one(struct maker *maker, int parent, const char *name, const char *path)
{
	uint64_t *random = &maker->random;
	struct stat status;
	int fd;

	assert_int_equal(fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW), 0);
	if (S_ISDIR(status.st_mode)) {
		fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(fd >= 0);
		change_directory(maker, fd, path);
		if (next_random(random) % 8 == 0)
			random_attributes(fd, true, random);
		close(fd);
	}
	switch (next_random(random) % 14) {
	case 0:
		random_metadata(parent, name, status.st_mode & S_IFMT, random);
		break;
	case 1:
		change_kind(maker, parent, name, path, S_ISDIR(status.st_mode));
		break;
	case 2:
	case 3:
	case 4:
		if (S_ISREG(status.st_mode))
			change_content(parent, name, random);
		break;
	case 5:
		if (!S_ISDIR(status.st_mode)) {
			free(maker->some_file);
			maker->some_file = memory_strdup(path);
		}
		break;
	case 6:
		/* another name of an earlier file takes its place */
		if (maker->some_file && !S_ISDIR(status.st_mode) &&
		    strcmp(maker->some_file, path) != 0 &&
		    faccessat(maker->root_fd, maker->some_file, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
			assert_int_equal(unlinkat(parent, name, 0), 0);
			(void)!linkat(maker->root_fd, maker->some_file, parent, name, 0);
		}
		break;
	case 7:
		/* the same bytes, another file */
		if (S_ISREG(status.st_mode)) {
			char data[4096];
			ssize_t size;

			fd = openat(parent, name, O_RDONLY | O_CLOEXEC);
			size = io_pread_full(fd, data, sizeof(data), 0);
			close(fd);
			assert_int_equal(unlinkat(parent, name, 0), 0);
			make_file(parent, name, data, size > 0 ? (size_t)size : 0);
		}
		break;
	default:
		break;
	}
}

static UNUSED void change_tree(int parent, const char *name, uint64_t seed)
{
	struct maker maker = {.random = seed * 0x9e3779b97f4a7c15ULL + 1};

	maker.root_fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(maker.root_fd >= 0);
	change_directory(&maker, maker.root_fd, "");
	free(maker.some_file);
	close(maker.root_fd);
}

#endif
