/*
 * Blocks packed for a hop: the same bytes come out, what does not shrink is left alone, and what is
 * no packed block is refused, whatever it says of itself.
 */
#include "test_store_support.h"

#include <zstd.h>

#include "store/transit.h"

static uint8_t block[TRANSIT_BLOCK_MAX + 1];

static void fill_rows(size_t size)
{
	for (size_t i = 0; i < size; i++)
		block[i] = (uint8_t) "1\t20\trow of a table\n"[i % 20];
}

static void unpack_fails(const void *packed, size_t size, const char *words)
{
	CLEANUP(cleanup_transit_unpacker_free) struct transit_unpacker *unpacker = NULL;
	struct error *error = NULL;
	const void *out = NULL;

	unpacker = transit_unpacker_new(&error);
	assert_non_null(unpacker);
	assert_int_equal(transit_unpack(unpacker, packed, size, &out, &error), -1);
	assert_int_equal(error->kind, ERROR_FAILED);
	assert_non_null(strstr(error->message, words));
	error_free(error);
}

static void test_blocks_come_back(void **state)
{
	static const size_t sizes[] = {200, 4097, 65536, TRANSIT_BLOCK_MAX - 1, TRANSIT_BLOCK_MAX};
	struct error *error = NULL;
	CLEANUP(cleanup_transit_packer_free)
	struct transit_packer *packer = transit_packer_new(&error);
	CLEANUP(cleanup_transit_unpacker_free)
	struct transit_unpacker *unpacker = transit_unpacker_new(&error);

	(void)state;
	assert_true(packer && unpacker);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const void *packed, *out;
		size_t size;

		fill_rows(sizes[i]);
		size = transit_pack(packer, block, sizes[i], &packed);
		assert_in_range(size, 1, sizes[i] / 2);
		assert_int_equal(transit_unpack(unpacker, packed, size, &out, &error), sizes[i]);
		assert_memory_equal(out, block, sizes[i]);
	}
	fill_rows(sizeof(block));
	assert_int_equal(transit_pack(packer, block, sizeof(block), &(const void *){NULL}), 0);
	assert_int_equal(transit_pack(packer, block, 0, &(const void *){NULL}), 0);
}

static void test_what_does_not_shrink_is_left_alone_for_a_while(void **state)
{
	CLEANUP(cleanup_transit_packer_free)
	struct transit_packer *packer = transit_packer_new(NULL);
	const void *packed;
	unsigned untried = 0;

	(void)state;
	fill_random(block, TRANSIT_BLOCK_MAX, 1);
	assert_int_equal(transit_pack(packer, block, TRANSIT_BLOCK_MAX, &packed), 0);
	fill_rows(TRANSIT_BLOCK_MAX);
	while (!transit_pack(packer, block, TRANSIT_BLOCK_MAX, &packed))
		untried++;
	assert_in_range(untried, 1, 100);
	assert_true(transit_pack(packer, block, TRANSIT_BLOCK_MAX, &packed) > 0);
}

static void test_what_is_none_is_refused(void **state)
{
	CLEANUP(cleanup_transit_packer_free)
	struct transit_packer *packer = transit_packer_new(NULL);
	uint8_t copy[TRANSIT_BLOCK_MAX];
	const void *packed;
	size_t size;

	(void)state;
	fill_rows(TRANSIT_BLOCK_MAX);
	size = transit_pack(packer, block, TRANSIT_BLOCK_MAX, &packed);
	memcpy(copy, packed, size);
	for (size_t cut = 0; cut < size; cut += 1 + size / 50)
		unpack_fails(copy, cut, "packed block");
	/* One behind the other: more than the first says. */
	memcpy(copy + size, copy, size);
	unpack_fails(copy, 2 * size, "packed block");
	unpack_fails("no frame at all", 15, "packed block is none");
	unpack_fails("", 0, "packed block is none");
}

static void test_sizes_are_capped_before_anything_is_unpacked(void **state)
{
	size_t bound = ZSTD_compressBound(sizeof(block));
	cleanup_free uint8_t *packed = memory_alloc(bound);
	ZSTD_CCtx *context = ZSTD_createCCtx();
	size_t size;

	(void)state;
	fill_rows(sizeof(block));
	size = ZSTD_compress2(context, packed, bound, block, sizeof(block));
	unpack_fails(packed, size, "packed block is none");
	/* A bomb says nothing of what it holds. */
	ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
	size = ZSTD_compress2(context, packed, bound, block, 1000);
	unpack_fails(packed, size, "packed block is none");
	size = ZSTD_compress2(context, packed, bound, block, 0);
	unpack_fails(packed, size, "packed block is none");
	ZSTD_freeCCtx(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_come_back),
		cmocka_unit_test(test_what_does_not_shrink_is_left_alone_for_a_while),
		cmocka_unit_test(test_what_is_none_is_refused),
		cmocka_unit_test(test_sizes_are_capped_before_anything_is_unpacked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
