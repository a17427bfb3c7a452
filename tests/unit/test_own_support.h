/*
 * For the tests of own files, marks and boots: directories that go away, files in them,
 * a store to put catalogs into.
 */
#ifndef TEST_OWN_SUPPORT_H
#define TEST_OWN_SUPPORT_H

#include "test_support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"
#include "tree/capture/capture.h"
#include "tree/manifest.h"
#include "tree/own/own.h"
#include "tree/own/seed.h"

static UNUSED int remove_one(const char *path, const struct stat *status, int type,
			     struct FTW *position)
{
	(void)status;
	(void)type;
	(void)position;
	return remove(path);
}

static UNUSED char *make_directory(void)
{
	char *path = memory_strdup("/tmp/sidesnap-test-XXXXXX");

	assert_non_null(mkdtemp(path));
	return path;
}

static UNUSED void remove_directory(char *path)
{
	nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS);
	free(path);
}

static UNUSED int open_root(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static UNUSED void put_file(int root, const char *path, const char *text)
{
	int fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_write_full(fd, text, strlen(text)), 0);
	close(fd);
}

static UNUSED void put_directory(int root, const char *path)
{
	assert_int_equal(mkdirat(root, path, 0755), 0);
}

static UNUSED void assert_file(int root, const char *path, const char *text)
{
	struct buffer buffer;
	struct error *err = NULL;

	buffer_init(&buffer, 1U << 20);
	if (io_read_file(root, path, &buffer, &err) < 0)
		fail_msg("%s: %s", path, err->message);
	assert_string_equal(buffer.data, text);
	buffer_release(&buffer);
}

static UNUSED void assert_absent(int root, const char *path)
{
	struct stat status;

	assert_int_equal(fstatat(root, path, &status, AT_SYMLINK_NOFOLLOW), -1);
}

/* What a capture writes can be read at once. */
struct scratch_store {
	char *path;
	int fd;
	struct capture *capture;
	struct pack_info *packs;
	size_t pack_count;
	struct store *store;
};

static UNUSED void scratch_store_begin(struct scratch_store *scratch)
{
	struct capture_options options = {.workers = 1};
	struct error *err = NULL;

	memset(scratch, 0, sizeof(*scratch));
	scratch->path = make_directory();
	scratch->fd = open_root(scratch->path);
	options.store_fd = scratch->fd;
	scratch->capture = capture_open(&options, &err);
	must(scratch->capture ? 0 : -1, &err);
}

static UNUSED void scratch_store_finish(struct scratch_store *scratch)
{
	struct store_writer_totals totals;
	struct error *err = NULL;

	must(capture_finish(scratch->capture, &scratch->packs, &scratch->pack_count, &totals, &err),
	     &err);
	scratch->store = store_open(scratch->fd, scratch->packs, scratch->pack_count, 0, &err);
	must(scratch->store ? 0 : -1, &err);
}

static UNUSED void scratch_store_release(struct scratch_store *scratch)
{
	store_free(scratch->store);
	capture_free(scratch->capture);
	free(scratch->packs);
	close(scratch->fd);
	remove_directory(scratch->path);
}

#endif
