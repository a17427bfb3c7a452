/*
 * The front of a layer as a stranger's registry sends it: found whatever the parts are that it comes in,
 * and never more than an error whatever is in it.
 */
#include "test_support.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/gzip.h"
#include "base/memory.h"
#include "base/tar.h"
#include "base/text.h"
#include "snapshot/share/front.h"

#define MUTATIONS 6000

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* ---- archives ---- */

struct member {
	const char *path;
	mode_t mode;
	size_t size; /* of 'x's */
};

static const struct member usual[] = {
	{".sidesnap", S_IFDIR | 0755, 0},
	{".sidesnap/agent", S_IFREG | 0755, 300000},
	{".sidesnap/manifest.json", S_IFREG | 0644, 2000},
	{".sidesnap/packs", S_IFDIR | 0700, 0},
	{".sidesnap/packs/c123.pack", S_IFREG | 0600, 40000},
	{".sidesnap/packs/c456.pack", S_IFREG | 0600, 10},
	{".sidesnap/packs/d123.pack", S_IFREG | 0600, 900000},
	{"etc", S_IFDIR | 0755, 0},
	{"etc/own", S_IFREG | 0644, 5},
};

static void make_tar(struct buffer *tar, const struct member *members, size_t count)
{
	struct tar_entry entries[16] = {0};
	const void *data[16];
	struct error *error = NULL;
	cleanup_free char *text = memory_alloc(1000000);

	memset(text, 'x', 1000000);
	buffer_init(tar, 16 << 20);
	for (size_t i = 0; i < count; i++) {
		entries[i].path = members[i].path;
		entries[i].mode = members[i].mode;
		entries[i].size = members[i].size;
		entries[i].link = S_ISLNK(members[i].mode) ? "/etc/passwd" : NULL;
		data[i] = members[i].size ? text : NULL;
	}
	must(tar_write_all(tar, entries, data, count, &error), &error);
}

static uint32_t crc_of(const uint8_t *data, size_t size)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		crc ^= data[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
	}
	return ~crc;
}

/* As gzip -0 would, in blocks of 32 KiB (RFC 1951, RFC 1952). */
static void make_gzip(struct buffer *gzip, const struct buffer *raw)
{
	static const uint8_t header[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};

	buffer_init(gzip, 16 << 20);
	buffer_append(gzip, header, sizeof(header));
	for (size_t at = 0; at < raw->size; at += 32768) {
		size_t size = raw->size - at < 32768 ? raw->size - at : 32768;

		buffer_append_u8(gzip, at + size == raw->size);
		buffer_append_u16(gzip, (uint16_t)size);
		buffer_append_u16(gzip, (uint16_t)~size);
		buffer_append(gzip, raw->data + at, size);
	}
	buffer_append_u32(gzip, crc_of((const uint8_t *)raw->data, raw->size));
	buffer_append_u32(gzip, (uint32_t)raw->size);
	assert_false(gzip->failed);
}

/* In parts of ${part} bytes; how many were taken in *taken. */
static enum front_end feed(struct front *front, const struct buffer *archive, size_t part,
			   size_t *taken, struct error **err)
{
	enum front_end end = FRONT_MORE;

	for (*taken = 0; end == FRONT_MORE && *taken < archive->size;) {
		size_t size = archive->size - *taken < part ? archive->size - *taken : part;

		*taken += size;
		end = front_feed(front, archive->data + *taken - size, size,
				 *taken == archive->size, err);
	}
	return end;
}

/* ---- tests ---- */

static void test_what_is_found(void **state)
{
	static const size_t parts[] = {1000, 16384, 65536, 100000, 4 << 20};
	struct buffer archives[2];
	struct error *error = NULL;

	(void)state;
	make_tar(&archives[0], usual, sizeof(usual) / sizeof(usual[0]));
	make_gzip(&archives[1], &archives[0]);
	for (size_t i = 0; i < 2 * sizeof(parts) / sizeof(parts[0]); i++) {
		struct front front;
		size_t taken;

		front_init(&front, false);
		assert_int_equal(feed(&front, &archives[i % 2], parts[i / 2], &taken, &error),
				 FRONT_ENOUGH);
		assert_int_equal(front.manifest.data.size, 2000);
		assert_int_equal(front.pack_count, 2);
		assert_string_equal(front.packs[0].name, "c123.pack");
		assert_int_equal(front.packs[0].data.size, 40000);
		assert_int_equal(front.packs[1].data.size, 10);
		assert_true(taken <= 360000 + parts[i / 2]);
		front_release(&front);
		front_init(&front, true);
		assert_int_equal(feed(&front, &archives[i % 2], parts[i / 2], &taken, &error),
				 FRONT_ENOUGH);
		assert_int_equal(front.manifest.data.size, 2000);
		assert_int_equal(front.pack_count, 0);
		assert_true(taken <= 310000 + parts[i / 2]);
		front_release(&front);
	}
	buffer_release(&archives[0]);
	buffer_release(&archives[1]);
}

static void expect(const struct member *members, size_t count, enum front_end wanted,
		   enum error_kind kind)
{
	struct error *error = NULL;
	struct buffer archive;
	struct front front;
	enum front_end end;
	size_t taken;

	make_tar(&archive, members, count);
	front_init(&front, false);
	end = feed(&front, &archive, 1 << 20, &taken, &error);
	assert_int_equal(end, wanted);
	if (end == FRONT_FAILED)
		must_fail(-1, &error, kind);
	front_release(&front);
	buffer_release(&archive);
}

static void test_what_is_no_front_of_ours(void **state)
{
	static const struct member nothing[] = {{"bin", S_IFDIR | 0755, 0}};
	static const struct member link[] = {{".sidesnap/manifest.json", S_IFLNK | 0777, 0}};
	static const struct member folder[] = {{".sidesnap/packs/c1.pack", S_IFDIR | 0755, 0}};
	static const struct member twice[] = {{".sidesnap/manifest.json", S_IFREG | 0644, 5},
					      {".sidesnap/manifest.json", S_IFREG | 0644, 5}};
	static const struct member climbs[] = {{".sidesnap/packs/c/../../../x.pack", S_IFREG, 5},
					       {"../.sidesnap/manifest.json", S_IFREG, 5}};
	struct front front;
	struct error *error = NULL;
	struct buffer zeros;
	size_t taken;

	(void)state;
	expect(nothing, 1, FRONT_ENOUGH, 0);
	expect(link, 1, FRONT_FAILED, ERROR_DAMAGED);
	expect(folder, 1, FRONT_FAILED, ERROR_DAMAGED);
	expect(twice, 2, FRONT_FAILED, ERROR_DAMAGED);
	expect(climbs, 2, FRONT_ENOUGH, 0);
	buffer_init(&zeros, 1024);
	buffer_append(&zeros, "no archive at all, whatever it says of itself", 45);
	front_init(&front, false);
	assert_int_equal(feed(&front, &zeros, 1024, &taken, &error), FRONT_FAILED);
	must_fail(-1, &error, ERROR_DAMAGED);
	front_release(&front);
	buffer_clear(&zeros);
	buffer_append(&zeros, "\x28\xb5\x2f\xfd....", 8);
	front_init(&front, false);
	assert_int_equal(feed(&front, &zeros, 1024, &taken, &error), FRONT_FAILED);
	must_fail(-1, &error, ERROR_UNSUPPORTED);
	front_release(&front);
	buffer_release(&zeros);
}

/* Whatever is changed in it, it is an error or a front, within its limits. */
static void test_mutations(void **state)
{
	struct buffer archives[2];
	uint64_t random = 77;

	(void)state;
	make_tar(&archives[0], usual + 2, 5);
	make_gzip(&archives[1], &archives[0]);
	for (size_t i = 0; i < MUTATIONS; i++) {
		const struct buffer *good = &archives[i % 2];
		struct error *error = NULL;
		struct buffer bad;
		struct front front;
		size_t taken;

		buffer_init(&bad, good->size);
		/* the beginning is where the headers are */
		buffer_append(&bad, good->data, i % 4 ? 60000 : 4000);
		for (uint64_t n = next_random(&random) % 6; n-- > 0;)
			bad.data[next_random(&random) % (i % 3 ? 2048 : bad.size)] =
				(char)next_random(&random);
		front_init(&front, i % 5 == 0);
		if (feed(&front, &bad, 1 + next_random(&random) % bad.size, &taken, &error) ==
		    FRONT_FAILED)
			assert_non_null(error);
		else
			assert_null(error);
		assert_true(front.pack_count <= 64);
		error_free(error);
		front_release(&front);
		buffer_release(&bad);
	}
	buffer_release(&archives[0]);
	buffer_release(&archives[1]);
}

/* Zeros as zlib compresses them: each further byte of 0 stands for a thousand. */
static void test_a_bomb(void **state)
{
	struct gunzip *gunzip = gunzip_new();
	struct error *error = NULL;
	struct buffer output;
	static const uint8_t begin[] = {0x1f, 0x8b, 8,	  0,	0,    0,    0,	  0,
					0,    3,    0xec, 0xc1, 0x01, 0x01, 0x00, 0x00,
					0x00, 0x80, 0x90, 0xfe, 0xaf, 0xee, 0x08, 0x0a};
	cleanup_free uint8_t *zeros = memory_zalloc(1 << 20);
	int result;

	(void)state;
	buffer_init(&output, 1 << 20);
	result = gunzip_feed(gunzip, begin, sizeof(begin), &output, &error);
	for (size_t i = 0; result == 0 && i < 64; i++)
		result = gunzip_feed(gunzip, zeros, 1 << 20, &output, &error);
	assert_int_equal(result, -1);
	assert_true(output.size <= 1 << 20);
	error_free(error);
	gunzip_free(gunzip);
	buffer_release(&output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_found),
		cmocka_unit_test(test_what_is_no_front_of_ours),
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_a_bomb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
