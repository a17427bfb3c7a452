/*
 * Which files are compared page by page: those that a driver names, and SQLite's, wherever they are.
 */
#include "test_tree_support.h"

#include "tree/capture/page_layout.h"

#define FILE_SIZE (8U << 20)

static const uint8_t magic[16] = "SQLite format 3";

static struct page_layout layout_of(int directory, const char *name, struct string_list *pages,
				    uint32_t block, uint32_t page)
{
	struct tree_source source = {.pages = pages, .page_block = block, .page_size = page};
	struct scan_item item = {.path = name, .fd = openat(directory, name, O_RDONLY | O_CLOEXEC)};
	struct page_layout layout;

	assert_true(item.fd >= 0);
	item.status.size = (uint64_t)lseek(item.fd, 0, SEEK_END);
	layout = page_layout_of(&source, &item);
	close(item.fd);
	return layout;
}

static void make_database(int directory, const char *name, unsigned page, size_t size)
{
	cleanup_free uint8_t *data = memory_alloc(size);
	uint64_t random = 42;

	for (size_t i = 0; i + 8 <= size; i += 8) {
		uint64_t value = next_random(&random);

		memcpy(data + i, &value, 8);
	}
	memcpy(data, magic, sizeof(magic));
	data[16] = (uint8_t)(page >> 8);
	data[17] = (uint8_t)page;
	make_file(directory, name, data, size);
}

static void assert_layout(struct page_layout layout, uint32_t block, uint32_t page)
{
	assert_int_equal(layout.block, block);
	assert_int_equal(layout.page, page);
}

static void test_sqlite(void **state)
{
	struct scratch scratch;

	(void)state;
	scratch_make(&scratch, "/var/tmp");
	make_database(scratch.fd, "usual", 4096, FILE_SIZE);
	assert_layout(layout_of(scratch.fd, "usual", NULL, 0, 0), 32768, 4096);
	make_database(scratch.fd, "smallest", 512, FILE_SIZE);
	assert_layout(layout_of(scratch.fd, "smallest", NULL, 0, 0), 32768, 4096);
	make_database(scratch.fd, "large", 16384, FILE_SIZE);
	assert_layout(layout_of(scratch.fd, "large", NULL, 0, 0), 32768, 16384);
	make_database(scratch.fd, "largest", 1, FILE_SIZE);
	assert_layout(layout_of(scratch.fd, "largest", NULL, 0, 0), 65536, 65536);
	scratch_remove(&scratch);
}

/* What is in a volume is anybody's: a header that says nonsense makes a file like any other. */
static void test_what_is_none(void **state)
{
	static const unsigned nonsense[] = {0, 2, 256, 511, 4095, 4097, 0xffff};
	struct scratch scratch;
	char name[32];

	(void)state;
	scratch_make(&scratch, "/var/tmp");
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		snprintf(name, sizeof(name), "bad%zu", i);
		make_database(scratch.fd, name, nonsense[i], FILE_SIZE);
		assert_layout(layout_of(scratch.fd, name, NULL, 0, 0), 0, 0);
	}
	make_text_file(scratch.fd, "short", "SQLite format 3");
	assert_layout(layout_of(scratch.fd, "short", NULL, 0, 0), 0, 0);
	make_database(scratch.fd, "one block", 4096, 32768);
	assert_layout(layout_of(scratch.fd, "one block", NULL, 0, 0), 0, 0);
	make_text_file(scratch.fd, "empty", "");
	assert_layout(layout_of(scratch.fd, "empty", NULL, 0, 0), 0, 0);
	scratch_remove(&scratch);
}

/* Where a driver names a file its sizes count, whatever the file begins with. */
static void test_named_files(void **state)
{
	struct scratch scratch;
	struct string_list pages;

	(void)state;
	scratch_make(&scratch, "/var/tmp");
	string_list_init(&pages);
	string_list_add(&pages, "n*");
	make_database(scratch.fd, "named", 4096, FILE_SIZE);
	make_text_file(scratch.fd, "none", "text");
	make_database(scratch.fd, "other", 4096, FILE_SIZE);
	assert_layout(layout_of(scratch.fd, "named", &pages, 16384, 8192), 16384, 8192);
	assert_layout(layout_of(scratch.fd, "none", &pages, 16384, 8192), 16384, 8192);
	assert_layout(layout_of(scratch.fd, "none", &pages, 0, 0), 32768, 0);
	assert_layout(layout_of(scratch.fd, "none", &pages, 16384, 12288), 16384, 0);
	assert_layout(layout_of(scratch.fd, "other", &pages, 16384, 8192), 32768, 4096);
	string_list_release(&pages);
	scratch_remove(&scratch);
}

/* ---- what a change costs ----------------------------------------------------------------------- */

static void take(struct snapshot *last, struct scratch *scratch, int fd,
		 struct store_writer_totals *totals)
{
	const struct snapshot *before = last->store ? last : NULL;
	struct snapshot next;
	struct capture_pass pass;
	struct capture *capture;

	snapshot_begin(&next, scratch->fd, "store");
	capture = snapshot_capture(&next, before);
	snapshot_capture_tree(&next, capture, (struct tree_source){.root_fd = fd}, before, NULL,
			      &pass);
	snapshot_end(&next, capture, before, totals);
	snapshot_release(last);
	*last = next;
}

static void change(int directory, const char *name, uint64_t at, const void *data, size_t size)
{
	int fd = openat(directory, name, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(io_pwrite_full(fd, data, size, at), 0);
	close(fd);
}

static void test_a_page_costs_a_page(void **state)
{
	static const uint64_t places[] = {3, 700, 701, 1999};
	struct snapshot last = {.store_fd = -1};
	struct store_writer_totals totals;
	struct scratch scratch;
	int fd;

	(void)state;
	scratch_make(&scratch, "/var/tmp");
	manifest_init(&last.manifest);
	fd = make_directory(scratch.fd, "source");
	make_database(fd, "app.db", 4096, FILE_SIZE);
	take(&last, &scratch, fd, &totals);
	assert_in_range(totals.new_bytes, FILE_SIZE, FILE_SIZE + 65536);
	for (size_t i = 0; i < 4; i++)
		change(fd, "app.db", places[i] * 4096 + 100, "changed", 7);
	take(&last, &scratch, fd, &totals);
	/* and the hashes of all 2048; cut by content it would be 64 KiB a page */
	assert_in_range(totals.new_bytes, 4 * 4096, 4 * 4096 + 40000);
	snapshot_restore(&last, scratch.fd);
	assert_same_tree(scratch.fd, "source", "target");
	/* from now on it is no database, then one of other pages, then one again */
	change(fd, "app.db", 0, "no", 2);
	take(&last, &scratch, fd, &totals);
	snapshot_restore(&last, scratch.fd);
	assert_same_tree(scratch.fd, "source", "target");
	change(fd, "app.db", 0, "SQLite format 3\0\x40", 18);
	take(&last, &scratch, fd, &totals);
	snapshot_restore(&last, scratch.fd);
	assert_same_tree(scratch.fd, "source", "target");
	change(fd, "app.db", 16, "\x10", 2);
	take(&last, &scratch, fd, &totals);
	snapshot_restore(&last, scratch.fd);
	assert_same_tree(scratch.fd, "source", "target");
	snapshot_release(&last);
	close(fd);
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sqlite),
		cmocka_unit_test(test_what_is_none),
		cmocka_unit_test(test_named_files),
		cmocka_unit_test(test_a_page_costs_a_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
