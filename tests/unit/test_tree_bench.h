/*
 * A directory "source" that changes, snapshots of it one over the other, and what they
 * restore in "target". A fixture: each test gets a bench of its own as its state.
 */
#ifndef TEST_TREE_BENCH_H
#define TEST_TREE_BENCH_H

#include "test_tree_support.h"

#include "tree/write_back.h"

#define BENCH_SNAPSHOTS 8

struct bench {
	struct scratch scratch;
	int fd; /* of its "source" */
	uint64_t random;
	bool is_trusted;	  /* its file system's times prove something */
	struct string_list pages; /* globs; none at first */
	uint32_t page_size;	  /* of those; 0 at first */
	struct snapshot snapshots[BENCH_SNAPSHOTS];
	size_t count;
};

static UNUSED struct bench *bench_new(const char *parent)
{
	struct bench *bench = memory_zalloc(sizeof(*bench));

	scratch_make(&bench->scratch, parent);
	bench->fd = make_directory(bench->scratch.fd, "source");
	bench->random = 0x1234567;
	bench->is_trusted = write_back_kind(bench->fd) != WRITE_BACK_NONE;
	string_list_init(&bench->pages);
	return bench;
}

static UNUSED void bench_free(struct bench *bench)
{
	for (size_t i = 0; i < bench->count; i++)
		snapshot_release(&bench->snapshots[i]);
	string_list_release(&bench->pages);
	close(bench->fd);
	scratch_remove(&bench->scratch);
	free(bench);
}

/* On a disk, or tests of what times prove are of no use. */
static UNUSED int bench_setup(void **state)
{
	*state = bench_new("/var/tmp");
	return 0;
}

static UNUSED int bench_teardown(void **state)
{
	bench_free(*state);
	return 0;
}

/* An entry of a group's table. */
#define bench_test(test) cmocka_unit_test_setup_teardown(test, bench_setup, bench_teardown)

static UNUSED struct tree_source bench_source(const struct bench *bench)
{
	return (struct tree_source){
		.root_fd = bench->fd, .pages = &bench->pages, .page_size = bench->page_size};
}

/* One that the bench releases at its end. */
static UNUSED struct snapshot *bench_snapshot(struct bench *bench)
{
	assert_true(bench->count < BENCH_SNAPSHOTS);
	return &bench->snapshots[bench->count++];
}

/* "source" as it is, over the snapshot before (NULL: none); ${pass} may be NULL. */
static UNUSED struct snapshot *take_over(struct bench *bench, const char *store_name,
					 const struct snapshot *before, struct capture_pass *pass)
{
	struct snapshot *snapshot = bench_snapshot(bench);

	snapshot_take_over(snapshot, bench->scratch.fd, store_name, bench_source(bench), before,
			   pass);
	return snapshot;
}

static UNUSED void assert_restores(const struct bench *bench, const struct snapshot *snapshot)
{
	snapshot_restore(snapshot, bench->scratch.fd);
	assert_same_tree(bench->scratch.fd, "source", "target");
}

static UNUSED void noise(struct bench *bench, uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)next_random(&bench->random);
}

static UNUSED void make_noise(struct bench *bench, const char *name, size_t size)
{
	cleanup_free uint8_t *data = memory_alloc(size + 1);

	noise(bench, data, size);
	make_file(bench->fd, name, data, size);
}

#endif
