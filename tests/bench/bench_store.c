/*
 * How fast the store is, apart from everything around it: not a test.
 *
 *   bench_store [DIRECTORY [FILE]]
 *
 * Without FILE the data is made up: rows that shrink about as a database's do.
 * Prints megabytes (10^6 bytes) a second of raw data.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"
#include "store/format.h"
#include "store/reader.h"
#include "store/writer.h"

static struct chunk_ref *refs;
static size_t ref_count, ref_capacity;

static int keep(void *context, uint64_t cookie, const struct chunk_ref *more, size_t count,
		bool last, struct error **err)
{
	(void)context, (void)cookie, (void)last, (void)err;
	if (ref_count + count > ref_capacity) {
		ref_capacity = (ref_count + count) * 2;
		refs = memory_array(refs, ref_capacity, sizeof(*refs));
	}
	if (count)
		memcpy(refs + ref_count, more, count * sizeof(*refs));
	ref_count += count;
	return 0;
}

static void die(struct error *error)
{
	fprintf(stderr, "bench_store: %s\n", error ? error->message : "failed");
	exit(1);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Pages of rows: a header, increasing numbers, a filler, as pgbench_accounts has them. */
static uint8_t *make_rows(size_t size)
{
	uint8_t *data = memory_alloc(size);
	uint64_t state = 42;
	uint32_t row = 0;

	memset(data, ' ', size);
	for (size_t page = 0; page + 8192 <= size; page += 8192) {
		memset(data + page, 0, 280);
		format_put_u64(data + page, next_random(&state) & 0xffffffffff);
		for (uint32_t i = 0; i < 61; i++) {
			uint8_t *tuple = data + page + 280 + (size_t)i * 129;

			format_put_u32(data + page + 24 + (size_t)i * 4,
				       (8064 - i * 128) | 0xf2 << 16);
			memset(tuple, 0, 40);
			format_put_u32(tuple, 0x2e7);
			format_put_u32(tuple + 12, (uint32_t)(page >> 13));
			format_put_u32(tuple + 16, i << 16 | 4);
			format_put_u32(tuple + 24, ++row);
			format_put_u32(tuple + 28, row / 100000 + 1);
			format_put_u32(tuple + 32, (uint32_t)next_random(&state) % 5000);
		}
	}
	return data;
}

static uint8_t *read_data(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	uint8_t *data;

	if (fd < 0 || fstat(fd, &status) < 0 || status.st_size == 0) {
		fprintf(stderr, "bench_store: cannot read %s\n", path);
		exit(1);
	}
	*size = (size_t)status.st_size;
	data = memory_alloc(*size);
	if (io_read_full(fd, data, *size) != (ssize_t)*size)
		exit(1);
	close(fd);
	return data;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

struct case_of {
	const char *name;
	enum chunking chunking;
	uint32_t block_size;
	size_t stream_size; /* 0: one stream */
	unsigned workers;
};

static struct store_writer *open_writer(int directory, const struct store *known, unsigned workers)
{
	struct store_writer_options options = {
		.directory_fd = directory, .known = known, .workers = workers, .sink = keep};
	struct error *error = NULL;
	struct store_writer *writer = store_writer_open(&options, &error);

	if (!writer)
		die(error);
	return writer;
}

static void put_all(struct store_writer *writer, const struct case_of *what, const uint8_t *data,
		    size_t size)
{
	size_t step = what->stream_size ? what->stream_size : size;
	struct error *error = NULL;

	ref_count = 0;
	for (size_t offset = 0; offset < size; offset += step)
		if (store_writer_put(writer, offset, what->chunking, what->block_size,
				     data + offset, size - offset < step ? size - offset : step,
				     &error) < 0)
			die(error);
	if (store_writer_flush(writer, &error) < 0)
		die(error);
}

static void get_all(struct store *store, size_t size, const char *name)
{
	struct error *error = NULL;
	double start = now();
	uint64_t sum = 0;

	for (size_t i = 0; i < ref_count; i++) {
		struct chunk chunk;

		if (store_get(store, &refs[i], &chunk, &error) < 0)
			die(error);
		sum += chunk.data[0] + chunk.size;
		store_put_back(store, &chunk);
	}
	printf("  get %s%7.0f MB/s (sum %llu)\n", name, (double)size / 1e6 / (now() - start),
	       (unsigned long long)sum);
}

static void measure(int directory, const struct case_of *what, const uint8_t *data, size_t size)
{
	struct store_writer_totals totals;
	struct store_verify_totals verified;
	struct pack_info *packs, *none;
	struct error *error = NULL;
	struct store_writer *writer;
	struct store *store;
	size_t count, nothing;
	double start = now(), fed, finished;

	writer = open_writer(directory, NULL, what->workers);
	put_all(writer, what, data, size);
	fed = now();
	store_writer_totals(writer, &totals);
	if (store_writer_finish(writer, &packs, &count, &error) < 0)
		die(error);
	finished = now();
	store_writer_free(writer);
	printf("%s, %u workers\n  put%8.0f MB/s, %.0f k chunks/s, finish %.0f ms, %.1f%% stored\n",
	       what->name, what->workers, (double)size / 1e6 / (fed - start),
	       (double)totals.chunks / 1e3 / (fed - start), (finished - fed) * 1e3,
	       (double)totals.stored_bytes * 100 / (double)size);
	store = store_open(directory, packs, count, 0, &error);
	if (!store)
		die(error);
	start = now();
	writer = open_writer(directory, store, what->workers);
	put_all(writer, what, data, size);
	if (store_writer_finish(writer, &none, &nothing, &error) < 0)
		die(error);
	printf("  known%6.0f MB/s\n", (double)size / 1e6 / (now() - start));
	store_writer_free(writer);
	free(none);
	get_all(store, size, "  ");
	start = now();
	if (store_verify(store, what->workers, NULL, NULL, &verified, &error) < 0)
		die(error);
	printf("  verify%5.0f MB/s\n", (double)verified.raw_bytes / 1e6 / (now() - start));
	store_free(store);
	for (size_t i = 0; i < count; i++) {
		char *path = memory_printf("packs/%s", packs[i].name);

		unlinkat(directory, path, 0);
		free(path);
	}
	free(packs);
}

int main(int argc, char **argv)
{
	static const struct case_of cases[] = {
		{"one stream, content-defined", CHUNKING_CONTENT, 0, 0, 1},
		{"one stream, content-defined", CHUNKING_CONTENT, 0, 0, 2},
		{"one stream, blocks of 8 KiB", CHUNKING_FIXED, 8192, 0, 1},
		{"one stream, blocks of 8 KiB", CHUNKING_FIXED, 8192, 0, 2},
		{"streams of 4 KiB", CHUNKING_CONTENT, 0, 4096, 2},
		{"streams of 100 bytes", CHUNKING_CONTENT, 0, 100, 2},
	};
	const char *path = argc > 1 ? argv[1] : "/tmp";
	char *own = memory_printf("%s/bench_store.XXXXXX", path);
	size_t size = 256U << 20;
	uint8_t *data = argc > 2 ? read_data(argv[2], &size) : make_rows(size);
	int directory;

	if (!mkdtemp(own) || (directory = open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		fprintf(stderr, "bench_store: cannot make a directory in %s\n", path);
		return 1;
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		measure(directory, &cases[i], data, cases[i].stream_size == 100 ? size / 8 : size);
	unlinkat(directory, "packs", AT_REMOVEDIR);
	close(directory);
	rmdir(own);
	free(own);
	free(data);
	free(refs);
	return 0;
}
