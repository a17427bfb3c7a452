/* A writer that fails, or is given up, at any point: the first error, no hang, no file left. */
#include "test_store_support.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#define DATA_SIZE (12U << 20)

static uint8_t *data;

struct permit {
	size_t calls, refuse_at; /* 0: never */
	uint64_t bytes;
};

static int permit(void *context, uint64_t bytes, struct error **err)
{
	struct permit *permit = context;

	permit->bytes += bytes;
	if (permit->refuse_at && ++permit->calls >= permit->refuse_at)
		return error_set(err, ERROR_NO_SPACE, "the reserve of free space is reached");
	return 0;
}

static struct store_writer *open_writer(struct directory *directory, struct collector *collector,
					struct permit *space, unsigned workers, uint64_t pack_size)
{
	struct store_writer_options options = {
		.directory_fd = directory->fd,
		.workers = workers,
		.pack_size_max = pack_size,
		.sink = collect,
		.sink_context = collector,
		.permit = permit,
		.permit_context = space,
	};
	struct error *error = NULL;
	struct store_writer *writer = store_writer_open(&options, &error);

	if (!writer)
		fail_msg("%s", error->message);
	return writer;
}

/* Everything there is to do; 0 when all went well. */
static int run(struct store_writer *writer, struct error **err)
{
	struct pack_info *packs;
	size_t count;

	if (store_writer_put(writer, 0, CHUNKING_CONTENT, 0, data, DATA_SIZE / 2, err) < 0)
		return -1;
	for (uint64_t i = 1; i < 500; i++)
		if (store_writer_put(writer, i, CHUNKING_FIXED, 8192,
				     data + DATA_SIZE / 2 + i * 8192, 8192, err) < 0)
			return -1;
	if (store_writer_finish(writer, &packs, &count, err) < 0)
		return -1;
	free(packs);
	return 0;
}

/* The failure must come once, be told again by every later call, and leave nothing. */
static bool fails_cleanly(size_t permit_at, size_t sink_at, unsigned workers, uint64_t pack_size)
{
	struct permit space = {.refuse_at = permit_at};
	struct directory directory;
	struct collector collector;
	struct store_writer *writer;
	struct error *error = NULL, *again = NULL;
	struct pack_info *packs;
	size_t count;
	int result;

	directory_make(&directory);
	collector_init(&collector, 500);
	collector.fail_after = sink_at;
	writer = open_writer(&directory, &collector, &space, workers, pack_size);
	result = run(writer, &error);
	if (result < 0) {
		assert_int_equal(error->kind, permit_at ? ERROR_NO_SPACE : ERROR_BUSY);
		assert_int_equal(store_writer_flush(writer, &again), -1);
		assert_int_equal(again->kind, error->kind);
		assert_string_equal(again->message, error->message);
		assert_int_equal(store_writer_put(writer, 9, CHUNKING_CONTENT, 0, "x", 1, NULL),
				 -1);
		assert_int_equal(store_writer_finish(writer, &packs, &count, NULL), -1);
		error_free(again);
		error_free(error);
	} else {
		assert_true(space.bytes > DATA_SIZE / 2);
	}
	store_writer_free(writer);
	assert_int_equal(directory_packs(&directory) == 0, result < 0);
	collector_release(&collector);
	directory_remove(&directory);
	return result < 0;
}

static void test_refused_permit(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 3; workers += 2) {
		for (uint64_t pack_size = 0; pack_size <= 1; pack_size++) {
			size_t at = 1;

			while (fails_cleanly(at, 0, workers, pack_size))
				at++;
			assert_true(at > 8);
		}
	}
}

static void test_failing_sink(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 3; workers += 2) {
		assert_true(fails_cleanly(0, 1, workers, 0));
		assert_true(fails_cleanly(0, 2, workers, 0));
		assert_true(fails_cleanly(0, 100, workers, 0));
		assert_true(fails_cleanly(0, 490, workers, 0));
		assert_false(fails_cleanly(0, 100000, workers, 0));
	}
}

/* The file cannot grow beyond a limit: what a full disk does, without one. */
static void test_failing_write(void **state)
{
	struct rlimit before, limit;
	static const rlim_t limits[] = {0, 10, 16, 1000, 1 << 20, 5 << 20, 10400000};

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		struct permit space = {0};
		struct directory directory;
		struct collector collector;
		struct store_writer *writer;
		struct error *error = NULL;
		int result;

		directory_make(&directory);
		collector_init(&collector, 500);
		writer = open_writer(&directory, &collector, &space, 2, 0);
		limit = before;
		limit.rlim_cur = limits[i];
		setrlimit(RLIMIT_FSIZE, &limit);
		result = run(writer, &error);
		setrlimit(RLIMIT_FSIZE, &before);
		assert_int_equal(result, -1);
		assert_non_null(strstr(error->message, strerror(EFBIG)));
		error_free(error);
		store_writer_free(writer);
		assert_int_equal(directory_packs(&directory), 0);
		collector_release(&collector);
		directory_remove(&directory);
	}
}

static void give_up(int step, unsigned workers)
{
	struct permit space = {0};
	struct directory directory;
	struct collector collector;
	struct store_writer *writer;
	struct error *error = NULL;
	uint8_t *space_given = NULL;
	size_t size;

	directory_make(&directory);
	collector_init(&collector, 8);
	writer = open_writer(&directory, &collector, &space, workers, 1 << 20);
	if (step > 0)
		must(store_writer_begin(writer, 0, CHUNKING_CONTENT, 0, &error), &error);
	if (step > 1) {
		space_given = store_writer_space(writer, &size, &error);
		assert_non_null(space_given);
		memcpy(space_given, data, 70000);
	}
	if (step > 2)
		must(store_writer_commit(writer, 70000, &error), &error);
	if (step > 3)
		must(store_writer_end(writer, &error), &error);
	for (int i = 4; i < step; i++)
		must(store_writer_put(writer, (uint64_t)i - 3, CHUNKING_CONTENT, 0,
				      data + i * 1000000, 1U << (14 + i), &error),
		     &error);
	store_writer_free(writer);
	assert_int_equal(directory_packs(&directory), 0);
	collector_release(&collector);
	directory_remove(&directory);
}

static void test_given_up_at_any_step(void **state)
{
	(void)state;
	for (int step = 0; step < 10; step++)
		for (unsigned workers = 1; workers <= 4; workers++)
			give_up(step, workers);
}

static void refuse_open(struct directory *directory, enum error_kind kind)
{
	struct store_writer_options options = {.directory_fd = directory->fd, .sink = collect};
	struct error *error = NULL;

	assert_null(store_writer_open(&options, &error));
	assert_int_equal(error->kind, kind);
	error_free(error);
}

static void test_directories_that_are_not_ours(void **state)
{
	struct store_writer_options options = {.sink = collect, .compression_level = 1000000};
	struct directory directory;
	struct error *error = NULL;
	struct store_writer *writer;

	(void)state;
	directory_make(&directory);
	assert_int_equal(symlinkat("/tmp", directory.fd, "packs"), 0);
	refuse_open(&directory, ERROR_REFUSED);
	assert_int_equal(unlinkat(directory.fd, "packs", 0), 0);
	close(openat(directory.fd, "packs", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	refuse_open(&directory, ERROR_REFUSED);
	assert_int_equal(unlinkat(directory.fd, "packs", 0), 0);
	assert_int_equal(mkdirat(directory.fd, "packs", 0700), 0);
	assert_int_equal(fchmodat(directory.fd, "packs", 0777, 0), 0);
	refuse_open(&directory, ERROR_REFUSED);
	assert_int_equal(fchmodat(directory.fd, "packs", 0700, 0), 0);
	if (geteuid() == 0) {
		assert_int_equal(fchownat(directory.fd, "packs", 12345, 0, 0), 0);
		refuse_open(&directory, ERROR_REFUSED);
		assert_int_equal(fchownat(directory.fd, "packs", 0, 0, 0), 0);
	}
	/* zstd takes any level for its nearest; what matters is that nothing breaks. */
	options.directory_fd = directory.fd;
	writer = store_writer_open(&options, &error);
	error_free(error);
	store_writer_free(writer);
	options.directory_fd = -1;
	assert_null(store_writer_open(&options, NULL));
	directory_remove(&directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused_permit),
		cmocka_unit_test(test_failing_sink),
		cmocka_unit_test(test_failing_write),
		cmocka_unit_test(test_given_up_at_any_step),
		cmocka_unit_test(test_directories_that_are_not_ours),
	};
	int result;

	alarm(300); /* a deadlock is a failure, too */
	data = memory_alloc(DATA_SIZE);
	fill_random(data, DATA_SIZE, 8);
	result = cmocka_run_group_tests(tests, NULL, NULL);
	free(data);
	return result;
}
