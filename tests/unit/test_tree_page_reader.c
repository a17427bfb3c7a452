/*
 * A range of a file by several threads: the same windows and hashes as by one, in order, and
 * an end where the file ends or cannot be read.
 */
#include "test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "tree/capture/page_reader.h"

#define PAGE 8192U
#define BLOCK 32768U
#define SIZE (5U << 20)

static const uint8_t key[PAGE_HASH_KEY_SIZE] = {1, 2, 3};

struct range {
	struct page_reader *reader;
	struct page_hasher *hasher;
	uint8_t *data; /* what the file has */
	size_t size;
	int fd;
};

static void range_make(struct range *range, size_t size)
{
	char path[] = "/tmp/sidesnap-test-XXXXXX";
	uint64_t random = 88172645463325252ULL;

	range->reader = page_reader_new();
	range->hasher = page_hasher_new(key, PAGE);
	range->data = memory_alloc(size + 8);
	range->size = size;
	range->fd = mkstemp(path);
	assert_true(range->fd >= 0);
	unlink(path);
	for (size_t i = 0; i < size; i += 8) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		memcpy(range->data + i, &random, 8);
	}
	assert_int_equal(io_pwrite_full(range->fd, range->data, size, 0), 0);
}

static void range_remove(struct range *range)
{
	page_reader_free(range->reader);
	page_hasher_free(range->hasher);
	free(range->data);
	close(range->fd);
}

static void begin(struct range *range, uint64_t from, uint64_t to, uint32_t block)
{
	const struct page_range wanted = {.fd = range->fd,
					  .from = from,
					  .to = to,
					  .block = block,
					  .page = PAGE,
					  .hasher = range->hasher};

	page_reader_begin(range->reader, &wanted);
}

/* Its bytes are the file's from ${at} on, and it has the hashes of its whole pages alone. */
static void assert_window(const struct range *range, const struct page_window *window, uint64_t at)
{
	uint64_t end = window->at + window->size;

	assert_true(window->at == at);
	assert_true(window->size > 0 && window->size <= PAGE_WINDOW_SIZE && end <= range->size);
	assert_memory_equal(window->data, range->data + at, window->size);
	for (uint64_t page = at / PAGE * PAGE; page < end; page += PAGE) {
		const uint8_t *hash = page_window_hash(window, PAGE, page);
		uint8_t expected[PAGE_HASH_SIZE];

		if (page < at || page + PAGE > end) {
			assert_null(hash);
			continue;
		}
		page_hasher_run(range->hasher, range->data + page, expected);
		assert_non_null(hash);
		assert_memory_equal(hash, expected, PAGE_HASH_SIZE);
	}
	assert_null(page_window_hash(window, PAGE, at / PAGE * PAGE + 1));
}

static void assert_range(struct range *range, uint64_t from, uint64_t to, uint32_t block)
{
	struct page_window window;
	uint64_t at = from, end = to < range->size ? to : range->size;
	int got;

	begin(range, from, to, block);
	while ((got = page_reader_next(range->reader, &window)) > 0) {
		assert_window(range, &window, at);
		at += window.size;
		assert_true(at == end || at % block == 0);
	}
	assert_int_equal(got, 0);
	assert_true(at == (from < end ? end : from));
	assert_int_equal(page_reader_next(range->reader, &window), 0);
	page_reader_end(range->reader);
}

static void test_ranges(void **state)
{
	struct range range;

	(void)state;
	range_make(&range, SIZE + 5000);
	for (int i = 0; i < 20; i++) {
		assert_range(&range, 0, SIZE + 5000, BLOCK);
		assert_range(&range, 0, SIZE, 3 * BLOCK);
		assert_range(&range, 100, SIZE + 77, PAGE);
		assert_range(&range, 3 * PAGE + 1, SIZE, BLOCK);
	}
	assert_range(&range, 5, 6, BLOCK);
	assert_range(&range, BLOCK, BLOCK, BLOCK);
	range_remove(&range);
}

static void test_the_file_is_shorter(void **state)
{
	struct range range;

	(void)state;
	range_make(&range, SIZE + 5000);
	for (int i = 0; i < 20; i++) {
		assert_range(&range, 0, 4 * SIZE, BLOCK);
		assert_range(&range, BLOCK, SIZE + 5001, BLOCK);
	}
	assert_range(&range, SIZE + 5000, 2 * SIZE, BLOCK);
	assert_range(&range, 2 * SIZE, 4 * SIZE, BLOCK);
	range_remove(&range);
}

/* What was begun is ended in the middle, as after a failure of the caller's. */
static void test_given_up(void **state)
{
	struct range range;
	struct page_window window;

	(void)state;
	range_make(&range, SIZE);
	for (int i = 0; i < 50; i++) {
		begin(&range, 0, SIZE, BLOCK);
		for (int k = 0; k < i % 4; k++)
			assert_int_equal(page_reader_next(range.reader, &window), 1);
		page_reader_end(range.reader);
	}
	assert_range(&range, 0, SIZE, BLOCK);
	begin(&range, 0, SIZE, BLOCK);
	range_remove(&range);
}

static void test_unreadable(void **state)
{
	struct range range;
	struct page_window window;
	int fd;

	(void)state;
	range_make(&range, SIZE);
	fd = range.fd;
	range.fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	begin(&range, 0, SIZE, BLOCK);
	assert_int_equal(page_reader_next(range.reader, &window), -1);
	assert_int_equal(errno, EISDIR);
	page_reader_end(range.reader);
	close(range.fd);
	range.fd = fd;
	assert_range(&range, 0, SIZE, BLOCK);
	range_remove(&range);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_the_file_is_shorter),
		cmocka_unit_test(test_given_up),
		cmocka_unit_test(test_unreadable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
