/* Hashes and boundaries: both are fixed for ever, or no stored chunk is found again. */
#include "test_store_support.h"

#include "store/chunker.h"

/* BLAKE3 of the chunk sizes of eight megabytes of fill_random(), as u32. */
#define GOLDEN_BOUNDARIES "0fda52f32af8c4a69cb302984514b69e92160fe115459e761e7a66d4c8be3646"

static size_t cut_all(const uint8_t *data, size_t size, size_t step, uint32_t *sizes)
{
	struct chunker chunker;
	size_t start = 0, known = 0, count = 0;

	chunker_init(&chunker);
	while (start < size) {
		size_t length = chunker_next(&chunker, data + start, known - start);

		if (!length && known < size) {
			known = known + step < size ? known + step : size;
			continue;
		}
		if (!length) {
			length = size - start;
			chunker_reset(&chunker, 0);
		}
		sizes[count++] = (uint32_t)length;
		start += length;
	}
	return count;
}

static void test_hash_vectors(void **state)
{
	struct hash hash, other;
	char text[HASH_HEX_SIZE];
	struct hasher *hasher = hasher_new();

	(void)state;
	hash_data(&hash, "", 0);
	hash_format(&hash, text);
	assert_string_equal(text,
			    "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
	hash_data(&hash, "abc", 3);
	hash_format(&hash, text);
	assert_string_equal(text,
			    "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
	assert_true(hash_parse(text, &other));
	assert_true(hash_equal(&hash, &other));
	assert_false(hash_parse("6437b3", &other));
	text[63] = 'g';
	assert_false(hash_parse(text, &other));
	for (int round = 0; round < 2; round++) {
		hasher_update(hasher, "a", 1);
		hasher_update(hasher, "bc", 2);
		hasher_finish(hasher, &other);
		assert_true(hash_equal(&hash, &other));
	}
	hasher_free(hasher);
}

/* If this fails, the formula of FORMAT.md does not hold any more. */
static void test_boundaries_never_change(void **state)
{
	size_t size = 8 << 20, count;
	uint8_t *data = memory_alloc(size);
	uint32_t *sizes = memory_alloc(1024 * sizeof(*sizes));
	char text[HASH_HEX_SIZE];
	struct hasher *hasher = hasher_new();
	struct hash hash;

	(void)state;
	fill_random(data, size, 1);
	count = cut_all(data, size, size, sizes);
	for (size_t i = 0; i < count; i++) {
		uint8_t bytes[4];

		format_put_u32(bytes, sizes[i]);
		hasher_update(hasher, bytes, 4);
	}
	hasher_finish(hasher, &hash);
	hasher_free(hasher);
	hash_format(&hash, text);
	assert_string_equal(text, GOLDEN_BOUNDARIES);
	assert_true(count > 80 && count < 160);
	free(sizes);
	free(data);
}

static void test_boundaries_do_not_depend_on_how_bytes_arrive(void **state)
{
	static const size_t steps[] = {1, 63, 4096, 16384, 16385, 65536, 100001, 1 << 20};
	size_t size = 2 << 20;
	uint8_t *data = memory_alloc(size);
	uint32_t *sizes = memory_alloc(1024 * sizeof(*sizes));
	uint32_t *others = memory_alloc(1024 * sizeof(*others));
	size_t count;

	(void)state;
	fill_random(data, size, 2);
	memset(data + (1 << 20), 0, 600000);
	count = cut_all(data, size, size, sizes);
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		assert_int_equal(cut_all(data, size, steps[i], others), count);
		assert_memory_equal(sizes, others, count * sizeof(*sizes));
	}
	free(sizes);
	free(others);
	free(data);
}

static void test_sizes_keep_to_their_limits(void **state)
{
	size_t size = 64 << 20, total = 0;
	uint8_t *data = memory_alloc(size);
	uint32_t *sizes = memory_alloc(8192 * sizeof(*sizes));
	size_t count;

	(void)state;
	fill_random(data, size, 3);
	memset(data + (60 << 20), 'x', 4 << 20);
	count = cut_all(data, size, size, sizes);
	for (size_t i = 0; i < count; i++) {
		assert_true(sizes[i] <= CHUNK_SIZE_MAX);
		assert_true(i == count - 1 || sizes[i] >= CHUNK_SIZE_MIN);
		total += sizes[i];
	}
	assert_int_equal(total, size);
	/* The normal size is about the mean. */
	assert_in_range(size / count, 50 << 10, 100 << 10);
	free(sizes);
	free(data);
}

static void test_an_insertion_changes_few_chunks(void **state)
{
	size_t size = 16 << 20;
	uint8_t *data = memory_alloc(size + 1);
	uint32_t *before = memory_alloc(4096 * sizeof(*before));
	uint32_t *after = memory_alloc(4096 * sizeof(*after));
	size_t count, other, same = 0;

	(void)state;
	fill_random(data, size, 4);
	count = cut_all(data, size, size, before);
	memmove(data + 1, data, size);
	data[0] = 7;
	other = cut_all(data, size + 1, size + 1, after);
	while (same < count && same < other && before[count - 1 - same] == after[other - 1 - same])
		same++;
	assert_true(count - same <= 3);
	free(before);
	free(after);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_vectors),
		cmocka_unit_test(test_boundaries_never_change),
		cmocka_unit_test(test_boundaries_do_not_depend_on_how_bytes_arrive),
		cmocka_unit_test(test_sizes_keep_to_their_limits),
		cmocka_unit_test(test_an_insertion_changes_few_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
