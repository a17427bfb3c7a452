/* Damaged and hostile packs: nothing wrong is ever taken for right, nothing crashes. */
#include "test_store_support.h"

#include <pthread.h>
#include <stdatomic.h>

#include "store/reader_private.h"

/* Open, verify and read all: 0 where everything is as it was. */
static int read_all(struct directory *directory, const struct made_pack *made, struct error **error)
{
	struct store *store = store_open(directory->fd, &made->info, 1, 0, error);
	struct chunk chunk;
	int result;

	if (!store)
		return -1;
	result = store_verify(store, 1, NULL, NULL, NULL, error);
	for (size_t i = 0; result == 0 && i < made->ref_count; i++) {
		result = store_get(store, &made->refs[i], &chunk, error);
		if (result == 0)
			store_put_back(store, &chunk);
	}
	store_free(store);
	return result;
}

static void must_be_damaged(struct directory *directory, const struct made_pack *made)
{
	struct error *error = NULL;

	if (read_all(directory, made, &error) == 0)
		fail_msg("damage was not found");
	assert_non_null(error);
	assert_true(error->kind == ERROR_DAMAGED || error->kind == ERROR_UNSUPPORTED);
	error_free(error);
}

static void flip(struct directory *directory, struct made_pack *made, size_t offset, uint8_t mask)
{
	made->bytes[offset] ^= mask;
	write_pack(directory, made->info.name, made->bytes, made->size);
	must_be_damaged(directory, made);
	made->bytes[offset] ^= mask;
}

static void flip_every_byte(size_t text, size_t noise)
{
	struct directory directory;
	struct made_pack made;
	struct error *error = NULL;

	directory_make(&directory);
	make_pack(&directory, &made, text, noise);
	must(read_all(&directory, &made, &error), &error);
	for (size_t i = 0; i < made.size; i++) {
		flip(&directory, &made, i, (uint8_t)(1U << i % 8));
		flip(&directory, &made, i, 0xff);
	}
	free(made.bytes);
	directory_remove(&directory);
}

static void test_every_flipped_byte_is_found(void **state)
{
	(void)state;
	flip_every_byte(3000, 0);
	flip_every_byte(0, 300);
	flip_every_byte(2000, 100);
}

/* Two frames: the bytes around their border, the whole footer, a sample of the rest. */
static void test_flips_in_a_larger_pack_are_found(void **state)
{
	struct directory directory;
	struct made_pack made;
	size_t footer;
	uint64_t random = 77;

	(void)state;
	directory_make(&directory);
	make_pack(&directory, &made, 800000, 900000);
	footer = (size_t)format_get_u64(made.bytes + made.size - PACK_TRAILER_SIZE);
	assert_int_equal(format_get_u32(made.bytes + made.size - PACK_TRAILER_SIZE + 8), 2);
	for (size_t i = footer - 20; i < made.size; i++)
		flip(&directory, &made, i, 0x10);
	for (size_t i = 0; i < 100; i++)
		flip(&directory, &made, next_random(&random) % made.size, 0x02);
	free(made.bytes);
	directory_remove(&directory);
}

static void test_every_truncation_is_found(void **state)
{
	struct directory directory;
	struct made_pack made;

	(void)state;
	directory_make(&directory);
	make_pack(&directory, &made, 2000, 50);
	for (size_t size = 0; size < made.size; size++) {
		uint64_t right = made.info.size;

		write_pack(&directory, made.info.name, made.bytes, size);
		must_be_damaged(&directory, &made);
		/* A manifest that is wrong in the same way. */
		made.info.size = size;
		must_be_damaged(&directory, &made);
		made.info.size = right;
	}
	made.bytes = memory_array(made.bytes, made.size + 1, 1);
	made.bytes[made.size] = 0;
	write_pack(&directory, made.info.name, made.bytes, made.size + 1);
	must_be_damaged(&directory, &made);
	made.info.size++;
	must_be_damaged(&directory, &made);
	free(made.bytes);
	directory_remove(&directory);
}

/* A file that gets shorter after the open: an error, no signal. */
static void test_truncation_under_an_open_store_is_an_error(void **state)
{
	struct directory directory;
	struct made_pack made;
	struct error *error = NULL;
	struct chunk chunk;
	struct store *store;

	(void)state;
	directory_make(&directory);
	make_pack(&directory, &made, 50000, 5000);
	store = store_open(directory.fd, &made.info, 1, 0, &error);
	assert_non_null(store);
	write_pack(&directory, made.info.name, made.bytes, 100);
	for (size_t i = 0; i < made.ref_count; i++) {
		assert_true(store_has(store, &made.refs[i].id));
		assert_int_equal(store_get(store, &made.refs[i], &chunk, &error), -1);
		assert_int_equal(error->kind, ERROR_DAMAGED);
		error_free(error);
		error = NULL;
	}
	store_free(store);
	free(made.bytes);
	directory_remove(&directory);
}

/* Give a changed pack the hashes it needs, as an attacker who makes the manifest would. */
static void seal(struct made_pack *made, bool frames)
{
	uint8_t *trailer = made->bytes + made->size - PACK_TRAILER_SIZE;
	uint64_t footer = format_get_u64(trailer);
	uint32_t count = format_get_u32(trailer + 8);

	made->info.chunks = format_get_u32(trailer + 12);
	made->info.raw_size = format_get_u64(trailer + 16);
	if (footer > made->size - PACK_TRAILER_SIZE)
		return;
	for (uint32_t i = 0; frames && i < count; i++) {
		struct frame_record record;
		uint8_t *bytes = made->bytes + footer + (uint64_t)i * PACK_FRAME_SIZE;

		if (bytes + PACK_FRAME_SIZE > trailer)
			break;
		frame_record_get(bytes, &record);
		if (record.offset > made->size || record.stored_size > made->size - record.offset)
			continue;
		hash_data(&record.hash, made->bytes + record.offset, record.stored_size);
		frame_record_put(bytes, &record);
	}
	hash_data(&made->info.footer, made->bytes + footer, made->size - (size_t)footer);
}

static void test_hostile_packs_do_no_harm(void **state)
{
	struct directory directory;
	struct made_pack made, changed;
	uint64_t random = 4711;
	size_t accepted = 0, footer;

	(void)state;
	directory_make(&directory);
	make_pack(&directory, &made, 3000, 700);
	footer = (size_t)format_get_u64(made.bytes + made.size - PACK_TRAILER_SIZE);
	changed = made;
	changed.bytes = memory_alloc(made.size);
	for (int round = 0; round < 10000; round++) {
		struct error *error = NULL;
		size_t changes = 1 + next_random(&random) % 4;

		memcpy(changed.bytes, made.bytes, made.size);
		changed.info = made.info;
		while (changes--) {
			/* Half of them in the tables, where the numbers are. */
			size_t offset =
				next_random(&random) % 2
					? footer + next_random(&random) % (made.size - footer)
					: next_random(&random) % made.size;

			changed.bytes[offset] = (uint8_t)(next_random(&random) >> 20);
			if (next_random(&random) % 4 == 0)
				changed.bytes[offset] = next_random(&random) % 2 ? 0xff : 0;
		}
		if (round % 8)
			seal(&changed, round % 4 != 0);
		write_pack(&directory, made.info.name, changed.bytes, changed.size);
		if (read_all(&directory, &changed, &error) == 0) {
			/* Only what still gives the right bytes under the right ids. */
			assert_null(error);
			accepted++;
		} else {
			assert_non_null(error);
			assert_true(error->kind != ERROR_FAILED);
		}
		error_free(error);
	}
	/* A byte that got its own value, or one of the few bits that zstd ignores. */
	assert_true(accepted < 300);
	free(made.bytes);
	free(changed.bytes);
	directory_remove(&directory);
}

/* The same field by field, so that each check is met. */
static void refuse_field(struct directory *directory, const struct made_pack *made, size_t offset,
			 uint32_t value)
{
	struct made_pack changed = *made;

	changed.bytes = memory_alloc(made->size);
	memcpy(changed.bytes, made->bytes, made->size);
	format_put_u32(changed.bytes + offset, value);
	seal(&changed, false);
	write_pack(directory, made->info.name, changed.bytes, changed.size);
	must_be_damaged(directory, &changed);
	free(changed.bytes);
}

static void test_every_field_of_the_footer_is_checked(void **state)
{
	static const uint32_t values[] = {0,	   1,	       2,	   7,	      1 << 20,
					  1 << 24, 0x7fffffff, 0x80000000, UINT32_MAX};
	struct directory directory;
	struct made_pack made;
	size_t footer;

	(void)state;
	directory_make(&directory);
	make_pack(&directory, &made, 3000, 700);
	footer = (size_t)format_get_u64(made.bytes + made.size - PACK_TRAILER_SIZE);
	for (size_t offset = footer; offset < made.size; offset += 4) {
		for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
			if (format_get_u32(made.bytes + offset) != values[i])
				refuse_field(&directory, &made, offset, values[i]);
		}
	}
	free(made.bytes);
	directory_remove(&directory);
}

static void test_wrong_manifest_entries_are_refused(void **state)
{
	static const char *const names[] = {
		"",
		".pack",
		"../packs/00.pack",
		"00",
		"ZZ.pack",
		"00.pack/",
		"/etc/passwd",
		"00000000000000000000000000000000000000000000000000000000000000000.pack"};
	struct directory directory;
	struct made_pack made;
	struct pack_info right;

	(void)state;
	directory_make(&directory);
	make_pack(&directory, &made, 3000, 0);
	right = made.info;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		memset(made.info.name, 0, sizeof(made.info.name));
		snprintf(made.info.name, sizeof(made.info.name), "%s", names[i]);
		must_be_damaged(&directory, &made);
	}
	memset(made.info.name, 'a', sizeof(made.info.name));
	must_be_damaged(&directory, &made);
	made.info = right;
	made.info.chunks++;
	must_be_damaged(&directory, &made);
	made.info = right;
	made.info.raw_size--;
	must_be_damaged(&directory, &made);
	made.info = right;
	made.info.footer.bytes[5] ^= 1;
	must_be_damaged(&directory, &made);
	free(made.bytes);
	directory_remove(&directory);
}

static void expect_kind(struct directory *directory, const struct pack_info *info,
			enum error_kind kind)
{
	struct error *error = NULL;

	assert_null(store_open(directory->fd, info, 1, 0, &error));
	assert_int_equal(error->kind, kind);
	error_free(error);
}

static void test_what_is_no_pack_file_is_refused(void **state)
{
	struct directory directory;
	struct made_pack made;
	char path[120], real[120];

	(void)state;
	directory_make(&directory);
	make_pack(&directory, &made, 3000, 0);
	snprintf(path, sizeof(path), "packs/%s", made.info.name);
	snprintf(real, sizeof(real), "packs/%s", "00.pack");
	assert_int_equal(renameat(directory.fd, path, directory.fd, real), 0);
	expect_kind(&directory, &made.info, ERROR_NOT_FOUND);
	assert_int_equal(symlinkat("00.pack", directory.fd, path), 0);
	expect_kind(&directory, &made.info, ERROR_DAMAGED);
	assert_int_equal(unlinkat(directory.fd, path, 0), 0);
	assert_int_equal(mkfifoat(directory.fd, path, 0600), 0);
	expect_kind(&directory, &made.info, ERROR_DAMAGED);
	assert_int_equal(unlinkat(directory.fd, path, 0), 0);
	assert_int_equal(renameat(directory.fd, real, directory.fd, path), 0);
	/* A newer version is told apart from damage. */
	made.bytes[8]++;
	write_pack(&directory, made.info.name, made.bytes, made.size);
	expect_kind(&directory, &made.info, ERROR_UNSUPPORTED);
	/* packs/ behind a symbolic link. */
	assert_int_equal(renameat(directory.fd, "packs", directory.fd, "elsewhere"), 0);
	expect_kind(&directory, &made.info, ERROR_NOT_FOUND);
	assert_int_equal(symlinkat("elsewhere", directory.fd, "packs"), 0);
	expect_kind(&directory, &made.info, ERROR_DAMAGED);
	assert_int_equal(unlinkat(directory.fd, "packs", 0), 0);
	assert_int_equal(renameat(directory.fd, "elsewhere", directory.fd, "packs"), 0);
	free(made.bytes);
	directory_remove(&directory);
}

static void test_references_that_do_not_fit_are_refused(void **state)
{
	struct directory directory;
	struct made_pack made;
	struct error *error = NULL;
	struct chunk chunk;
	struct chunk_ref ref;
	struct store *store;

	(void)state;
	directory_make(&directory);
	make_pack(&directory, &made, 3000, 500);
	store = store_open(directory.fd, &made.info, 1, 0, &error);
	assert_non_null(store);
	ref = made.refs[0];
	ref.size++;
	assert_int_equal(store_get(store, &ref, &chunk, &error), -1);
	assert_int_equal(error->kind, ERROR_DAMAGED);
	error_free(error);
	error = NULL;
	ref = made.refs[0];
	ref.id.bytes[31] ^= 1;
	assert_false(store_has(store, &ref.id));
	assert_int_equal(store_get(store, &ref, &chunk, &error), -1);
	assert_int_equal(error->kind, ERROR_DAMAGED);
	error_free(error);
	store_free(store);
	free(made.bytes);
	directory_remove(&directory);
}

/* ---- many threads over one cache ------------------------------------------------------------ */

struct shared_read {
	struct store *store;
	const struct stream_refs *stream;
	const uint8_t *data;
	pthread_barrier_t barrier;
	void *frame; /* that all threads must get for chunk 0 */
	atomic_uint different;
};

static void *read_shared(void *argument)
{
	struct shared_read *shared = argument;
	struct error *error = NULL;
	uint64_t random = (uint64_t)(uintptr_t)&random | 1;
	struct chunk chunk;
	void *first;

	pthread_barrier_wait(&shared->barrier);
	if (store_get(shared->store, &shared->stream->refs[0], &chunk, &error) < 0)
		return error;
	first = __sync_val_compare_and_swap(&shared->frame, NULL, chunk.frame);
	if (first && first != chunk.frame)
		shared->different++;
	pthread_barrier_wait(&shared->barrier);
	store_put_back(shared->store, &chunk);
	for (int i = 0; i < 400; i++) {
		size_t number = next_random(&random) % shared->stream->count;

		if (store_get(shared->store, &shared->stream->refs[number], &chunk, &error) < 0)
			return error;
		if (memcmp(chunk.data, shared->data + number * 65536, chunk.size) != 0)
			shared->different++;
		store_put_back(shared->store, &chunk);
	}
	return NULL;
}

static void test_threads_share_frames(void **state)
{
	enum { THREADS = 8 };
	size_t size = 24 << 20, count;
	uint8_t *data = memory_alloc(size);
	struct directory directory;
	struct collector collector;
	struct store_writer_options options = {.sink = collect, .sink_context = &collector};
	struct shared_read shared = {.data = data};
	struct store_writer *writer;
	struct pack_info *packs;
	struct error *error = NULL;
	pthread_t threads[THREADS];

	(void)state;
	directory_make(&directory);
	collector_init(&collector, 1);
	fill_text(data, size, 4);
	options.directory_fd = directory.fd;
	writer = store_writer_open(&options, &error);
	assert_non_null(writer);
	must(store_writer_put(writer, 0, CHUNKING_FIXED, 65536, data, size, &error), &error);
	must(store_writer_finish(writer, &packs, &count, &error), &error);
	store_writer_free(writer);
	shared.stream = &collector.streams[0];
	shared.store = store_open(directory.fd, packs, count, 5 << 20, &error);
	assert_non_null(shared.store);
	pthread_barrier_init(&shared.barrier, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_shared, &shared), 0);
	for (int i = 0; i < THREADS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(shared.different, 0);
	assert_true(shared.store->cache.size <= 5 << 20);
	pthread_barrier_destroy(&shared.barrier);
	store_free(shared.store);
	free(packs);
	free(data);
	collector_release(&collector);
	directory_remove(&directory);
}

/* One hundred packs, the largest not first: all chunks are found, strangers are not. */
static void test_many_packs(void **state)
{
	enum { PACKS = 100 };
	struct directory directory;
	struct pack_info infos[PACKS];
	struct chunk_ref refs[PACKS];
	struct error *error = NULL;
	struct store *store;
	struct store_verify_totals totals;

	(void)state;
	directory_make(&directory);
	for (size_t i = 0; i < PACKS; i++) {
		struct made_pack made;

		make_pack(&directory, &made, 1000 + i, 2000 * i);
		infos[i] = made.info;
		refs[i] = made.refs[0];
		free(made.bytes);
	}
	store = store_open(directory.fd, infos, PACKS, 0, &error);
	assert_non_null(store);
	for (size_t i = 0; i < PACKS; i++) {
		struct chunk chunk;
		uint8_t expected[1000 + PACKS];

		fill_text(expected, 1000 + i, 5);
		must(store_get(store, &refs[i], &chunk, &error), &error);
		assert_memory_equal(chunk.data, expected, chunk.size);
		store_put_back(store, &chunk);
		refs[i].id.bytes[0] ^= 0x55;
		assert_false(store_has(store, &refs[i].id));
	}
	must(store_verify(store, 2, NULL, NULL, &totals, &error), &error);
	assert_int_equal(totals.packs, PACKS);
	store_free(store);
	directory_remove(&directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_flipped_byte_is_found),
		cmocka_unit_test(test_flips_in_a_larger_pack_are_found),
		cmocka_unit_test(test_every_truncation_is_found),
		cmocka_unit_test(test_truncation_under_an_open_store_is_an_error),
		cmocka_unit_test(test_hostile_packs_do_no_harm),
		cmocka_unit_test(test_every_field_of_the_footer_is_checked),
		cmocka_unit_test(test_wrong_manifest_entries_are_refused),
		cmocka_unit_test(test_what_is_no_pack_file_is_refused),
		cmocka_unit_test(test_references_that_do_not_fit_are_refused),
		cmocka_unit_test(test_threads_share_frames),
		cmocka_unit_test(test_many_packs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
