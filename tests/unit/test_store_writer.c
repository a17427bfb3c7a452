/* Round trips, deduplication, order, many packs, and what the totals say. */
#include "test_store_support.h"

#include "store/queue.h"

/* BLAKE3 of the pack that make_pack(0, 600000) makes: a raw frame, so that zstd has no part in it. */
#define GOLDEN_PACK "6c55a15074b0dc04160ee3db0de87c6bcade48a490532b0d0d59584ab808210c"

struct stream {
	uint8_t *data;
	size_t size;
	enum chunking chunking;
	uint32_t block_size;
};

static struct store_writer *open_writer(struct directory *directory, struct collector *collector,
					const struct store *known, unsigned workers,
					uint64_t pack_size)
{
	struct store_writer_options options = {
		.directory_fd = directory->fd,
		.known = known,
		.workers = workers,
		.pack_size_max = pack_size,
		.sink = collect,
		.sink_context = collector,
	};
	struct error *error = NULL;
	struct store_writer *writer = store_writer_open(&options, &error);

	if (!writer)
		fail_msg("%s", error->message);
	return writer;
}

static void finish(struct store_writer *writer, struct pack_info **packs, size_t *count)
{
	struct error *error = NULL;

	must(store_writer_finish(writer, packs, count, &error), &error);
	store_writer_free(writer);
}

/* Put a stream in pieces of odd sizes through the buffer. */
static void feed(struct store_writer *writer, uint64_t cookie, const struct stream *stream,
		 uint64_t *random)
{
	struct error *error = NULL;
	size_t offset = 0;

	must(store_writer_begin(writer, cookie, stream->chunking, stream->block_size, &error),
	     &error);
	while (offset < stream->size) {
		size_t space, count = next_random(random) % 300000;
		uint8_t *buffer = store_writer_space(writer, &space, &error);

		assert_non_null(buffer);
		assert_true(space >= BATCH_SPACE_MIN);
		if (count > space)
			count = space;
		if (count > stream->size - offset)
			count = stream->size - offset;
		memcpy(buffer, stream->data + offset, count);
		must(store_writer_commit(writer, count, &error), &error);
		offset += count;
	}
	must(store_writer_end(writer, &error), &error);
}

static void make_stream(struct stream *stream, uint64_t number, uint64_t *random)
{
	static const size_t edges[] = {0,	1,	 16383,	  16384,   16385,   65535,
				       65536,	65537,	 262143,  262144,  262145,  1048575,
				       1048576, 1048577, 1310719, 1376256, 1376257, 3000000};
	size_t pick = next_random(random) % 40;

	stream->size = pick < 18 ? edges[pick] : next_random(random) % 100000;
	stream->data = memory_alloc(stream->size + 1);
	if (next_random(random) % 2)
		fill_random(stream->data, stream->size, number);
	else
		fill_text(stream->data, stream->size, number);
	if (next_random(random) % 8 == 0)
		memset(stream->data, 0, stream->size);
	stream->chunking = next_random(random) % 2 ? CHUNKING_CONTENT : CHUNKING_FIXED;
	stream->block_size = 512U << next_random(random) % 10;
}

static void round_trip(unsigned workers, uint64_t seed, uint64_t pack_size)
{
	enum { STREAMS = 150 };
	struct stream streams[STREAMS];
	struct directory directory;
	struct collector collector;
	struct store_verify_totals verified;
	struct store_writer_totals totals;
	struct store_writer *writer;
	struct pack_info *packs;
	struct store *store;
	struct error *error = NULL;
	uint64_t random = seed, raw = 0, stored = 0;
	size_t count;

	directory_make(&directory);
	collector_init(&collector, STREAMS);
	writer = open_writer(&directory, &collector, NULL, workers, pack_size);
	for (uint64_t i = 0; i < STREAMS; i++) {
		make_stream(&streams[i], seed * 1000 + i, &random);
		feed(writer, i, &streams[i], &random);
		raw += streams[i].size;
		if (i == 70) {
			must(store_writer_flush(writer, &error), &error);
			assert_int_equal(collector.current, 71);
		}
	}
	must(store_writer_finish(writer, &packs, &count, &error), &error);
	store_writer_totals(writer, &totals);
	store_writer_free(writer);
	assert_int_equal(directory_packs(&directory), count);
	assert_int_equal(totals.raw_bytes, raw);
	assert_true(totals.new_bytes < totals.raw_bytes);
	store = store_open(directory.fd, packs, count, 3 << 20, &error);
	assert_non_null(store);
	for (uint64_t i = 0; i < STREAMS; i++)
		check_stream(store, &collector.streams[i], streams[i].data, streams[i].size);
	must(store_verify(store, workers, NULL, NULL, &verified, &error), &error);
	for (size_t i = 0; i < count; i++)
		stored += packs[i].size;
	assert_int_equal(verified.packs, count);
	assert_int_equal(verified.chunks, totals.new_chunks);
	assert_int_equal(verified.raw_bytes, totals.new_bytes);
	assert_int_equal(verified.stored_bytes, totals.stored_bytes);
	assert_int_equal(stored, totals.stored_bytes);
	assert_true(pack_size ? count > 3 : count == 1);
	store_free(store);
	free(packs);
	for (size_t i = 0; i < STREAMS; i++)
		free(streams[i].data);
	collector_release(&collector);
	directory_remove(&directory);
}

static void test_random_streams_come_back(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++)
		for (unsigned workers = 1; workers <= 4; workers++)
			round_trip(workers, seed, 0);
}

static void test_streams_over_many_packs_come_back(void **state)
{
	(void)state;
	round_trip(1, 11, 1 << 20);
	round_trip(4, 12, 1 << 20);
	round_trip(3, 13, 1); /* a pack a frame */
}

/* What catalogs are made of is had from a registry without the data: it comes first in an archive. */
static void test_catalogs_have_packs_of_their_own(void **state)
{
	enum { STREAMS = 40 };
	struct stream streams[STREAMS];
	struct directory directory;
	struct collector collector;
	struct store_writer *writer;
	struct pack_info *packs;
	struct error *error = NULL;
	uint64_t random = 5;
	size_t count, catalogs = 0;

	(void)state;
	directory_make(&directory);
	collector_init(&collector, STREAMS);
	writer = open_writer(&directory, &collector, NULL, 3, 0);
	for (uint64_t i = 0; i < STREAMS; i++) {
		make_stream(&streams[i], 100 + i, &random);
		if (i % 2)
			streams[i].chunking = CHUNKING_FINE;
		feed(writer, i, &streams[i], &random);
	}
	finish(writer, &packs, &count);
	assert_int_equal(count, 2);
	for (size_t i = 0; i < count; i++) {
		bool is_catalog = packs[i].name[0] == PACK_PREFIX_CATALOG;
		struct store *store = store_open(directory.fd, &packs[i], 1, 0, &error);

		assert_non_null(store);
		catalogs += is_catalog;
		assert_true(is_catalog || packs[i].name[0] == PACK_PREFIX_DATA);
		for (uint64_t j = 1; j < STREAMS && is_catalog; j += 2)
			check_stream(store, &collector.streams[j], streams[j].data,
				     streams[j].size);
		store_free(store);
	}
	assert_int_equal(catalogs, 1);
	for (size_t i = 0; i < STREAMS; i++)
		free(streams[i].data);
	free(packs);
	collector_release(&collector);
	directory_remove(&directory);
}

static void test_more_packs_than_wait_for_their_fsync(void **state)
{
	size_t size = 50 << 20, count;
	uint8_t *data = memory_alloc(size);
	struct directory directory;
	struct collector collector;
	struct store_writer *writer;
	struct pack_info *packs;
	struct error *error = NULL;
	struct store *store;

	(void)state;
	directory_make(&directory);
	collector_init(&collector, 1);
	fill_random(data, size, 3);
	writer = open_writer(&directory, &collector, NULL, 2, 1);
	must(store_writer_put(writer, 0, CHUNKING_CONTENT, 0, data, size, &error), &error);
	finish(writer, &packs, &count);
	assert_true(count > 33);
	store = store_open(directory.fd, packs, count, 0, &error);
	assert_non_null(store);
	check_stream(store, &collector.streams[0], data, size);
	store_free(store);
	free(packs);
	free(data);
	collector_release(&collector);
	directory_remove(&directory);
}

static void test_many_small_streams(void **state)
{
	enum { STREAMS = 50000 };
	struct directory directory;
	struct collector collector;
	struct store_writer *writer;
	struct pack_info *packs;
	struct store *store;
	struct error *error = NULL;
	uint8_t data[48];
	size_t count;

	(void)state;
	directory_make(&directory);
	collector_init(&collector, STREAMS);
	writer = open_writer(&directory, &collector, NULL, 2, 0);
	for (uint64_t i = 0; i < STREAMS; i++) {
		fill_random(data, sizeof(data), i);
		must(store_writer_put(writer, i, i % 2 ? CHUNKING_CONTENT : CHUNKING_FIXED, 8192,
				      data, i % sizeof(data), &error),
		     &error);
	}
	finish(writer, &packs, &count);
	assert_int_equal(count, 1);
	store = store_open(directory.fd, packs, count, 0, &error);
	assert_non_null(store);
	for (uint64_t i = 0; i < STREAMS; i++) {
		fill_random(data, sizeof(data), i);
		check_stream(store, &collector.streams[i], data, i % sizeof(data));
		assert_int_equal(collector.streams[i].count, i % sizeof(data) != 0);
	}
	store_free(store);
	free(packs);
	collector_release(&collector);
	directory_remove(&directory);
}

/* The same bytes from several streams at once, through several workers: stored once. */
static void test_equal_chunks_are_stored_once(void **state)
{
	enum { STREAMS = 64 };
	size_t size = 1 << 20, count;
	uint8_t *data = memory_alloc(size);
	struct directory directory;
	struct collector collector;
	struct store_writer *writer;
	struct store_writer_totals totals;
	struct pack_info *packs;
	struct error *error = NULL;

	(void)state;
	fill_random(data, size, 9);
	for (int round = 0; round < 10; round++) {
		directory_make(&directory);
		collector_init(&collector, STREAMS);
		writer = open_writer(&directory, &collector, NULL, 8, 0);
		for (uint64_t i = 0; i < STREAMS; i++)
			must(store_writer_put(writer, i, CHUNKING_FIXED, 8192, data, size, &error),
			     &error);
		must(store_writer_finish(writer, &packs, &count, &error), &error);
		store_writer_totals(writer, &totals);
		store_writer_free(writer);
		assert_int_equal(totals.raw_bytes, STREAMS * size);
		assert_int_equal(totals.chunks, STREAMS * size / 8192);
		assert_int_equal(totals.new_bytes, size);
		assert_int_equal(totals.new_chunks, size / 8192);
		assert_int_equal(count, 1);
		assert_int_equal(packs[0].raw_size, size);
		assert_int_equal(packs[0].chunks, size / 8192);
		for (uint64_t i = 1; i < STREAMS; i++)
			assert_memory_equal(collector.streams[i].refs, collector.streams[0].refs,
					    collector.streams[0].count * sizeof(struct chunk_ref));
		free(packs);
		collector_release(&collector);
		directory_remove(&directory);
	}
	free(data);
}

static void test_known_chunks_are_not_stored_again(void **state)
{
	size_t size = 6 << 20, count, more;
	uint8_t *data = memory_alloc(size);
	struct directory directory;
	struct collector first, second;
	struct store_writer *writer;
	struct store_writer_totals totals;
	struct pack_info *packs, *added;
	struct error *error = NULL;
	struct store *store;

	(void)state;
	directory_make(&directory);
	collector_init(&first, 1);
	collector_init(&second, 2);
	fill_random(data, size, 10);
	writer = open_writer(&directory, &first, NULL, 2, 0);
	must(store_writer_put(writer, 0, CHUNKING_FIXED, 8192, data, size, &error), &error);
	finish(writer, &packs, &count);
	store = store_open(directory.fd, packs, count, 0, &error);
	assert_non_null(store);
	/* One page changes: one page is stored. */
	data[1234567] ^= 1;
	writer = open_writer(&directory, &second, store, 2, 0);
	must(store_writer_put(writer, 0, CHUNKING_FIXED, 8192, data, size, &error), &error);
	must(store_writer_finish(writer, &added, &more, &error), &error);
	store_writer_totals(writer, &totals);
	assert_int_equal(totals.new_bytes, 8192);
	assert_int_equal(totals.new_chunks, 1);
	assert_int_equal(more, 1);
	store_writer_free(writer);
	store_free(store);
	packs = memory_array(packs, count + more, sizeof(*packs));
	memcpy(packs + count, added, more * sizeof(*packs));
	store = store_open(directory.fd, packs, count + more, 0, &error);
	assert_non_null(store);
	check_stream(store, &second.streams[0], data, size);
	/* Nothing changes: no pack. */
	second.current = 1;
	writer = open_writer(&directory, &second, store, 2, 0);
	must(store_writer_put(writer, 1, CHUNKING_FIXED, 8192, data, size, &error), &error);
	free(added);
	finish(writer, &added, &more);
	assert_int_equal(more, 0);
	assert_int_equal(directory_packs(&directory), 2);
	store_free(store);
	free(packs);
	free(added);
	free(data);
	collector_release(&first);
	collector_release(&second);
	directory_remove(&directory);
}

static void test_data_that_does_not_shrink_is_stored_raw(void **state)
{
	struct directory directory;
	struct made_pack made;
	struct frame_record frame;

	(void)state;
	directory_make(&directory);
	make_pack(&directory, &made, 0, 300000);
	frame_record_get(made.bytes + PACK_HEADER_SIZE + 300000, &frame);
	assert_int_equal(frame.flags, 0);
	assert_int_equal(frame.stored_size, 300000);
	free(made.bytes);
	make_pack(&directory, &made, 300000, 0);
	assert_true(made.size < 200000);
	free(made.bytes);
	directory_remove(&directory);
}

/* All bytes of a small pack; fails whenever the format changes. */
static void test_format_never_changes(void **state)
{
	struct directory directory;
	struct made_pack made;
	struct hash hash;
	char text[HASH_HEX_SIZE];

	(void)state;
	directory_make(&directory);
	make_pack(&directory, &made, 0, 600000);
	hash_data(&hash, made.bytes, made.size);
	hash_format(&hash, text);
	assert_int_equal(made.size, 16 + 600000 + 52 + 3 * 44 + 40);
	assert_string_equal(text, GOLDEN_PACK);
	free(made.bytes);
	directory_remove(&directory);
}

static void test_misuse_is_refused(void **state)
{
	struct directory directory;
	struct collector collector;
	struct store_writer *writer;
	struct error *error = NULL;
	struct pack_info *packs;
	size_t size;

	(void)state;
	directory_make(&directory);
	collector_init(&collector, 4);
	writer = open_writer(&directory, &collector, NULL, 1, 0);
	assert_null(store_writer_space(writer, &size, &error));
	error_free(error);
	error = NULL;
	assert_int_equal(store_writer_begin(writer, 0, CHUNKING_FIXED, 100, &error), -1);
	assert_int_equal(error->kind, ERROR_USAGE);
	error_free(error);
	error = NULL;
	must(store_writer_begin(writer, 0, CHUNKING_CONTENT, 0, &error), &error);
	assert_int_equal(store_writer_begin(writer, 1, CHUNKING_CONTENT, 0, NULL), -1);
	assert_non_null(store_writer_space(writer, &size, &error));
	assert_int_equal(store_writer_commit(writer, size + 1, NULL), -1);
	assert_int_equal(store_writer_finish(writer, &packs, &size, NULL), -1);
	store_writer_free(writer);
	collector_release(&collector);
	directory_remove(&directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_streams_come_back),
		cmocka_unit_test(test_streams_over_many_packs_come_back),
		cmocka_unit_test(test_catalogs_have_packs_of_their_own),
		cmocka_unit_test(test_more_packs_than_wait_for_their_fsync),
		cmocka_unit_test(test_many_small_streams),
		cmocka_unit_test(test_equal_chunks_are_stored_once),
		cmocka_unit_test(test_known_chunks_are_not_stored_again),
		cmocka_unit_test(test_data_that_does_not_shrink_is_stored_raw),
		cmocka_unit_test(test_format_never_changes),
		cmocka_unit_test(test_misuse_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
