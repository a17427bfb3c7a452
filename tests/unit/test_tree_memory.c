/*
 * Captures that find no memory: each allocation whose size comes from the input fails once.
 * The capture then says so, or what it has written is right.
 */
#include "test_tree_bench.h"

#include <stdatomic.h>

static atomic_long countdown; /* of allocations until one fails; 0: none does */

static void *failing_realloc(void *old, size_t size)
{
	if (atomic_load(&countdown) && atomic_fetch_sub(&countdown, 1) == 1)
		return NULL;
	return realloc(old, size);
}

/* In the place of the library's own. */
#define realloc failing_realloc
#include "base/buffer.c"
#include "tree/sequence.c"
#undef realloc

#define PAGE 8192U
#define BLOCK (32U << 10)

static int capture_source(struct bench *bench, const struct snapshot *before,
			  struct snapshot *snapshot, struct error **err)
{
	struct tree_source source = bench_source(bench);
	struct capture *capture = snapshot_capture(snapshot, before);
	struct manifest *manifest = &snapshot->manifest;
	int result;

	source.earlier = snapshot_files(before, NULL);
	result = capture_tree(capture, &source, manifest->trees, NULL, err);
	if (result == 0)
		result =
			capture_finish(capture, &manifest->packs, &manifest->pack_count, NULL, err);
	earlier_free(source.earlier);
	capture_free(capture);
	return result;
}

static void assert_right(struct bench *bench, struct snapshot *snapshot,
			 const struct snapshot *before)
{
	struct manifest *manifest = &snapshot->manifest;
	struct error *error = NULL;

	manifest_add_packs(manifest, before->manifest.packs, before->manifest.pack_count);
	snapshot->store = manifest_store(manifest, snapshot->store_fd, &error);
	assert_non_null(snapshot->store);
	assert_restores(bench, snapshot);
}

/*
 * ${first} is of a while ago, the file has changed twice since: blocks are known as wholes,
 * others by pages, and there are new ones.
 */
static struct snapshot *make_history(struct bench *bench)
{
	cleanup_free uint8_t *first = memory_alloc(BLOCK), *second = memory_alloc(BLOCK);
	int fd;

	string_list_add(&bench->pages, "paged");
	bench->page_size = PAGE;
	make_noise(bench, "paged", 20 * BLOCK);
	make_noise(bench, "plain", 100000);
	fd = openat(bench->fd, "paged", O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, first, BLOCK, 0), BLOCK);
	take_over(bench, "store", NULL, NULL);
	noise(bench, second, BLOCK);
	assert_int_equal(pwrite(fd, second, BLOCK, 0), BLOCK);
	take_over(bench, "store", &bench->snapshots[0], NULL);
	assert_int_equal(pwrite(fd, first, BLOCK, 0), BLOCK);
	assert_int_equal(pwrite(fd, second, PAGE, 5 * BLOCK + PAGE), PAGE);
	assert_int_equal(ftruncate(fd, 22 * BLOCK), 0);
	close(fd);
	assert_int_equal(symlinkat("plain", bench->fd, "link"), 0);
	fd = openat(bench->fd, "plain", O_RDONLY | O_CLOEXEC);
	(void)fsetxattr(fd, "user.test", second, 1000, 0);
	close(fd);
	return &bench->snapshots[1];
}

static void test_each_allocation_fails_once(void **state)
{
	struct bench *bench = *state;
	struct snapshot *before = make_history(bench);
	bool has_failed = true;
	long at;

	for (at = 1; has_failed; at++) {
		struct error *error = NULL;
		struct snapshot next;
		int result;

		snapshot_begin(&next, bench->scratch.fd, "store");
		atomic_store(&countdown, at);
		result = capture_source(bench, before, &next, &error);
		has_failed = atomic_exchange(&countdown, 0) <= 0;
		if (result == 0)
			assert_right(bench, &next, before);
		else
			assert_non_null(error);
		error_free(error);
		snapshot_release(&next);
	}
	print_message("%ld allocations\n", at - 2);
	assert_true(at > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		bench_test(test_each_allocation_fails_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
