/* Records as bytes, and the rules that a sequence of them must keep. */
#include "test_tree_support.h"

#include "tree/record.h"

static const struct content two_contents[] = {
	{.kind = CONTENT_CHUNK, .length = 5, .chunk = {.id = {{1, 2, 3}}, .size = 5}},
	{.kind = CONTENT_HOLE, .length = 4096},
};

static struct catalog_entry regular(const char *path)
{
	return (struct catalog_entry){
		.path = path,
		.mode = S_IFREG | 04751,
		.uid = 70,
		.gid = 71,
		.size = 4101,
		.mtime = {1700000000, 123456789},
		.fingerprint = {.device = 0x801, .inode = 42, .ctime = {1700000001, 5}},
		.contents = two_contents,
		.content_count = 2,
	};
}

static struct catalog_entry directory(const char *path)
{
	return (struct catalog_entry){.path = path, .mode = S_IFDIR | 0755};
}

static struct catalog_entry of_mode(const char *path, mode_t mode)
{
	return (struct catalog_entry){.path = path, .mode = mode, .link = "x"};
}

/* The bytes that FORMAT.md shows; when this fails, the format changed. */
static void test_golden(void **state)
{
	static const char expected[] =
		"89000000"
		"00000000"
		"e9890000"
		"46000000"
		"47000000"
		"00f1536500000000"
		"15cd5b07"
		"0108000000000000"
		"2a00000000000000"
		"01f1536500000000"
		"05000000"
		"18"
		"0300"
		"612f6200"
		"0100"
		"06"
		"757365722e6100"
		"02000000"
		"6869"
		"0510000000000000"
		"02000000"
		"01"
		"05000000"
		"0102030000000000000000000000000000000000000000000000000000000000"
		"00"
		"0010000000000000";
	static const struct attribute attribute = {"user.a", "hi", 2};
	struct catalog_entry entry = regular("a/b");
	cleanup_free char *hex = NULL;
	struct buffer buffer;

	(void)state;
	buffer_init(&buffer, 1000);
	entry.attributes = &attribute;
	entry.attribute_count = 1;
	assert_int_equal(catalog_encode(&buffer, &entry), 0);
	hex = text_hex(buffer.data, buffer.size);
	assert_string_equal(hex, expected);
	buffer_release(&buffer);
}

static void hash_of(const struct catalog_entry *entry, struct hash *hash)
{
	struct hasher *hasher = hasher_new();

	catalog_hash_update(hasher, entry);
	hasher_finish(hasher, hash);
	hasher_free(hasher);
}

static void test_hash_leaves_the_source_out(void **state)
{
	struct catalog_entry entry = regular("a");
	static const struct content cut[] = {
		{.kind = CONTENT_CHUNK, .length = 2, .chunk = {.id = {{1, 2, 3}}, .size = 5}},
		{.kind = CONTENT_CHUNK,
		 .length = 3,
		 .offset = 2,
		 .chunk = {.id = {{1, 2, 3}}, .size = 5}},
		{.kind = CONTENT_HOLE, .length = 96},
		{.kind = CONTENT_HOLE, .length = 4000},
	};
	struct hash before, after;

	(void)state;
	hash_of(&entry, &before);
	memset(&entry.fingerprint, 7, sizeof(entry.fingerprint));
	entry.fingerprint.ctime.tv_nsec = 7;
	entry.flags = ENTRY_HOT | ENTRY_LINKED;
	entry.contents = cut;
	entry.content_count = 4;
	hash_of(&entry, &after);
	assert_true(hash_equal(&before, &after));
	entry.mtime.tv_nsec++;
	hash_of(&entry, &after);
	assert_false(hash_equal(&before, &after));
}

static void test_caps(void **state)
{
	struct catalog_entry entry = directory("");
	struct attribute attribute = {"user.a", NULL, RECORD_ATTRIBUTE_SIZE_MAX + 1};
	cleanup_free char *path = memory_zalloc(RECORD_PATH_MAX + 2), *value = NULL;
	struct buffer buffer;

	(void)state;
	buffer_init(&buffer, 4U << 20);
	memset(path, 'x', RECORD_PATH_MAX + 1);
	entry.path = path;
	assert_int_equal(catalog_encode(&buffer, &entry), -1);
	entry = of_mode("l", S_IFLNK | 0777);
	entry.link = path;
	assert_int_equal(catalog_encode(&buffer, &entry), -1);
	value = memory_zalloc(attribute.size);
	attribute.value = value;
	entry = directory("d");
	entry.attributes = &attribute;
	entry.attribute_count = 1;
	assert_int_equal(catalog_encode(&buffer, &entry), -1);
	/* nothing of a refused record is left */
	assert_int_equal(buffer.size, 0);
	attribute.size--;
	assert_int_equal(catalog_encode(&buffer, &entry), 0);
	buffer_release(&buffer);
}

/* 0 when the whole catalog is read, -1 and ERROR_DAMAGED. */
static int read_all(struct raw_catalogs *raw, size_t i)
{
	struct error *error = NULL;
	struct catalog_reader *reader = catalog_open(raw->store, &raw->roots[i], &error);
	struct catalog_entry entry;
	int result = -1;

	if (reader)
		while ((result = catalog_next(reader, &entry, &error)) > 0)
			assert_true(strlen(entry.path) <= RECORD_PATH_MAX);
	if (result < 0) {
		assert_non_null(error);
		if (error->kind != ERROR_DAMAGED)
			fail_msg("kind %d: %s", (int)error->kind, error->message);
		error_free(error);
	}
	catalog_close(reader);
	return result;
}

static int read_entries(const struct catalog_entry *entries, size_t count, uint32_t flags)
{
	struct scratch scratch;
	struct raw_catalogs raw;
	struct buffer stream;
	int result;

	scratch_make(&scratch, "/dev/shm");
	raw_open(&raw, scratch.fd, 1);
	buffer_init(&stream, 1U << 20);
	encode_catalog(&stream, entries, count, flags);
	raw_add(&raw, stream.data, stream.size);
	raw_finish(&raw);
	result = read_all(&raw, 0);
	buffer_release(&stream);
	raw_release(&raw);
	scratch_remove(&scratch);
	return result;
}

#define READ(flags, ...)                                                                           \
	read_entries((const struct catalog_entry[]){__VA_ARGS__},                                  \
		     sizeof((struct catalog_entry[]){__VA_ARGS__}) / sizeof(struct catalog_entry), \
		     flags)
#define ROOT directory("")

static struct catalog_entry linked(const char *path)
{
	struct catalog_entry entry = regular(path);

	entry.flags = ENTRY_LINKED;
	return entry;
}

static struct catalog_entry hardlink_to(const char *path, const char *target)
{
	struct catalog_entry entry = regular(path);

	entry.hardlink = target;
	return entry;
}

static void test_sequences(void **state)
{
	(void)state;
	assert_int_equal(READ(0, ROOT), 0);
	assert_int_equal(READ(0, ROOT, directory("a"), regular("a/b"), regular("a-b")), 0);
	assert_int_equal(READ(0, ROOT, linked("a"), hardlink_to("b", "a")), 0);
	/* the root is missing, twice, or none */
	assert_int_equal(READ(0, directory("a")), -1);
	assert_int_equal(READ(0, ROOT, ROOT), -1);
	assert_int_equal(READ(0, of_mode("", S_IFLNK | 0777)), -1);
	/* order */
	assert_int_equal(READ(0, ROOT, regular("b"), regular("a")), -1);
	assert_int_equal(READ(0, ROOT, regular("a"), regular("a")), -1);
	assert_int_equal(READ(0, ROOT, directory("a"), regular("a-b"), regular("a/b")), -1);
	/* parents */
	assert_int_equal(READ(0, ROOT, regular("a/b")), -1);
	assert_int_equal(READ(CATALOG_PARTIAL, ROOT, regular("a/b")), 0);
	assert_int_equal(READ(0, ROOT, of_mode("a", S_IFLNK | 0777), regular("a/b")), -1);
	assert_int_equal(READ(CATALOG_PARTIAL, ROOT, of_mode("a", S_IFLNK | 0777), regular("a/b")),
			 -1);
	assert_int_equal(READ(0, ROOT, regular("a"), regular("a/b")), -1);
	assert_int_equal(
		READ(0, ROOT, directory("a"), directory("a/b"), regular("a/b/c"), regular("a/c/d")),
		-1);
	/* hard links: forward, to nothing, to a directory, to another type, to the unmarked */
	assert_int_equal(READ(0, ROOT, hardlink_to("a", "b"), linked("b")), -1);
	assert_int_equal(READ(0, ROOT, linked("a"), hardlink_to("c", "b")), -1);
	assert_int_equal(READ(0, ROOT, directory("a"), hardlink_to("b", "a")), -1);
	assert_int_equal(READ(0, ROOT, of_mode("a", S_IFIFO | 0600), hardlink_to("b", "a")), -1);
	assert_int_equal(READ(0, ROOT, regular("a"), hardlink_to("b", "a")), -1);
	assert_int_equal(READ(0, ROOT, linked("a"), hardlink_to("b", "../a")), -1);
	/* flags from the future */
	assert_int_equal(READ(2, ROOT), -1);
}

static void test_bad_paths(void **state)
{
	static const char *const paths[] = {"/a", "..",	 "../a", "a/..", "a/../b",
					    ".",  "./a", "a/",	 "a//b", "a/./b"};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (READ(CATALOG_PARTIAL, ROOT, regular(paths[i])) == 0)
			fail_msg("\"%s\" was accepted", paths[i]);
	}
}

static void test_bad_records(void **state)
{
	static const struct content overlapping[] = {
		{.kind = CONTENT_CHUNK, .length = 6, .chunk = {.size = 5}}};
	static const struct content huge[] = {
		{.kind = CONTENT_CHUNK, .length = 1U << 30, .chunk = {.size = 1U << 30}}};
	static const struct content overflow[] = {
		{.kind = CONTENT_HOLE, .length = UINT64_MAX},
		{.kind = CONTENT_CHUNK, .length = 4102, .chunk = {.size = 4102}}};
	static const struct attribute twice[] = {{"user.a", "", 0}, {"user.a", "", 0}};
	static const struct attribute foreign[] = {{"trusted.overlay.opaque", "y", 1}};
	struct catalog_entry entry;

	(void)state;
	assert_int_equal(READ(0, ROOT, of_mode("s", S_IFSOCK | 0777)), -1);
	assert_int_equal(READ(0, ROOT, of_mode("s", 0777)), -1);
	assert_int_equal(READ(0, ROOT, of_mode("s", S_IFIFO | 0200000)), -1);
	entry = regular("a");
	entry.size = 4101;
	entry.content_count = 1;
	/* the encoder writes the size it is told, not the sum */
	assert_int_equal(READ(0, ROOT, entry), -1);
	entry = regular("a");
	entry.contents = overlapping;
	entry.content_count = 1;
	entry.size = 6;
	assert_int_equal(READ(0, ROOT, entry), -1);
	entry.contents = huge;
	entry.size = 1U << 30;
	assert_int_equal(READ(0, ROOT, entry), -1);
	entry.contents = overflow;
	entry.content_count = 2;
	entry.size = 4101;
	assert_int_equal(READ(0, ROOT, entry), -1);
	entry = regular("a");
	entry.attributes = twice;
	entry.attribute_count = 2;
	assert_int_equal(READ(0, ROOT, entry), -1);
	entry.attributes = foreign;
	entry.attribute_count = 1;
	assert_int_equal(READ(0, ROOT, entry), -1);
	entry = regular("a");
	entry.uid = UINT32_MAX;
	assert_int_equal(READ(0, ROOT, entry), -1);
	entry = regular("a");
	entry.mtime.tv_nsec = 1000000000;
	assert_int_equal(READ(0, ROOT, entry), -1);
	entry = regular("a");
	entry.flags = 8;
	assert_int_equal(READ(0, ROOT, entry), -1);
	entry = of_mode("l", S_IFLNK | 0777);
	entry.link = "";
	assert_int_equal(READ(0, ROOT, entry), -1);
}

static void test_framing(void **state)
{
	struct catalog_entry entries[] = {ROOT, regular("a")};
	struct scratch scratch;
	struct raw_catalogs raw;
	struct buffer stream;
	size_t whole;

	(void)state;
	scratch_make(&scratch, "/dev/shm");
	raw_open(&raw, scratch.fd, 300);
	buffer_init(&stream, 1U << 20);
	encode_catalog(&stream, entries, 2, 0);
	whole = raw_add(&raw, stream.data, stream.size);
	/* every truncation, and something behind the end */
	for (size_t size = 1; size < stream.size; size++)
		raw_add(&raw, stream.data, size);
	buffer_append_u8(&stream, 0);
	raw_add(&raw, stream.data, stream.size);
	/* a record that promises a gigabyte */
	buffer_clear(&stream);
	buffer_append(&stream, CATALOG_MAGIC, CATALOG_MAGIC_SIZE);
	buffer_append_u32(&stream, 0);
	buffer_append_u32(&stream, RECORD_SIZE_MAX);
	raw_add(&raw, stream.data, stream.size);
	raw_finish(&raw);
	assert_int_equal(read_all(&raw, whole), 0);
	for (size_t i = whole + 1; i < raw.count; i++)
		assert_int_equal(read_all(&raw, i), -1);
	buffer_release(&stream);
	raw_release(&raw);
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),	  cmocka_unit_test(test_hash_leaves_the_source_out),
		cmocka_unit_test(test_caps),	  cmocka_unit_test(test_sequences),
		cmocka_unit_test(test_bad_paths), cmocka_unit_test(test_bad_records),
		cmocka_unit_test(test_framing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
