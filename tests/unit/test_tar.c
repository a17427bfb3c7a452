/* Tar archives: what is written is read back, what is damaged is refused. */
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/memory.h"
#include "base/tar.h"

struct memory_source {
	const char *data;
	size_t size, position, piece;
	bool fails;
};

static ssize_t memory_source_read(void *context, void *data, size_t size, struct error **err)
{
	struct memory_source *source = context;
	size_t left = source->size - source->position;

	if (!left && source->fails)
		return error_set(err, ERROR_ENGINE, "the source broke");
	if (size > source->piece)
		size = source->piece;
	if (size > left)
		size = left;
	memcpy(data, source->data + source->position, size);
	source->position += size;
	return (ssize_t)size;
}

/* Members as lines of text, content behind. */
static int describe(void *context, const struct tar_entry *entry, struct error **err)
{
	struct buffer *text = context;

	(void)err;
	buffer_printf(text, "%s %o %u:%u %llu %lld.%09ld", entry->path, entry->mode, entry->uid,
		      entry->gid, (unsigned long long)entry->size, (long long)entry->mtime.tv_sec,
		      entry->mtime.tv_nsec);
	if (entry->link)
		buffer_printf(text, " -> %s", entry->link);
	if (entry->hardlink)
		buffer_printf(text, " = %s", entry->hardlink);
	if (S_ISCHR(entry->mode))
		buffer_printf(text, " dev %u,%u", major(entry->device), minor(entry->device));
	for (size_t i = 0; i < entry->attribute_count; i++) {
		buffer_printf(text, " %s=", entry->attributes[i].name);
		for (size_t j = 0; j < entry->attributes[i].size; j++)
			buffer_printf(text, "%02x",
				      ((const unsigned char *)entry->attributes[i].value)[j]);
	}
	buffer_append_string(text, "\n");
	return 0;
}

static int describe_data(void *context, const void *data, size_t size, struct error **err)
{
	(void)err;
	if (memchr(data, 0, size))
		buffer_printf(context, "[%zu]\n", size);
	else
		buffer_append(context, data, size);
	return 0;
}

static const struct tar_callbacks describing = {describe, describe_data};

static int read_text(const void *data, size_t size, size_t piece, struct buffer *text,
		     struct error **err)
{
	struct memory_source source = {data, size, 0, piece, false};

	buffer_clear(text);
	return tar_read(memory_source_read, &source, &describing, text, err);
}

static void expect_damaged(const void *data, size_t size, const char *part)
{
	struct error *error = NULL;
	struct buffer text;

	buffer_init(&text, 1u << 20);
	assert_int_equal(-1, read_text(data, size, 65536, &text, &error));
	assert_int_equal(error->kind, ERROR_DAMAGED);
	if (!strstr(error->message, part))
		fail_msg("\"%s\" lacks \"%s\"", error->message, part);
	error_free(error);
	buffer_release(&text);
}

static void make_plain(struct buffer *archive)
{
	struct tar_entry directory = {.path = "d", .mode = S_IFDIR | 0700, .uid = 5, .gid = 6};
	struct tar_entry file = {
		.path = "d/f", .mode = S_IFREG | 04755, .size = 5, .mtime = {1700000000, 999}};
	struct tar_entry empty = {.path = "e", .mode = S_IFREG | 0644, .uid = 07777777};

	assert_int_equal(0, tar_append_plain(archive, &directory, NULL, NULL));
	assert_int_equal(0, tar_append_plain(archive, &file, "hello", NULL));
	assert_int_equal(0, tar_append_plain(archive, &empty, NULL, NULL));
	assert_int_equal(0, tar_finish_plain(archive, NULL));
}

static void test_plain(void **state)
{
	struct buffer archive, text;

	(void)state;
	buffer_init(&archive, 1u << 20);
	buffer_init(&text, 1u << 20);
	make_plain(&archive);
	assert_int_equal(archive.size, 512 * 6);
	/* No names of users of this machine. */
	assert_string_equal(archive.data + 265, "");
	for (size_t piece = 1; piece < 4096; piece = piece * 3 + 1) {
		assert_int_equal(0, read_text(archive.data, archive.size, piece, &text, NULL));
		assert_string_equal(text.data, "d 40700 5:6 0 0.000000000\n"
					       "d/f 104755 0:0 5 1700000000.000000000\nhello"
					       "e 100644 2097151:0 0 0.000000000\n");
	}
	buffer_release(&archive);
	buffer_release(&text);
}

static void test_plain_limits(void **state)
{
	struct buffer archive;
	struct error *error = NULL;
	char name[120];
	struct tar_entry entry = {.path = name, .mode = S_IFREG | 0644};

	(void)state;
	memset(name, 'n', sizeof(name));
	name[99] = '\0';
	buffer_init(&archive, 1000);
	assert_int_equal(-1, tar_append_plain(&archive, &entry, NULL, &error));
	assert_non_null(strstr(error->message, "does not fit"));
	error_free(error);
	error = NULL;
	entry.path = "link";
	entry.mode = S_IFLNK | 0777;
	assert_int_equal(-1, tar_append_plain(&archive, &entry, NULL, &error));
	error_free(error);
	error = NULL;
	entry.mode = S_IFREG | 0644;
	entry.uid = 07777777 + 1;
	assert_int_equal(-1, tar_append_plain(&archive, &entry, NULL, &error));
	error_free(error);
	error = NULL;
	assert_int_equal(archive.size, 0);
	entry.uid = 0;
	entry.size = sizeof(name);
	assert_int_equal(-1, tar_append_plain(&archive, &entry, name, &error));
	assert_non_null(strstr(error->message, "exceeds 1000 bytes"));
	error_free(error);
	buffer_release(&archive);
}

static void test_all_kinds(void **state)
{
	static const unsigned char capability[20] = {1, 0, 0, 2, 0xff, 0, '\n', '=', 0, 9};
	const struct tar_attribute attributes[] = {{"security.capability", capability, 20},
						   {"user.x", "v", 1}};
	char long_name[256];
	const struct tar_entry entries[] = {
		{.path = "file",
		 .mode = S_IFREG | 0640,
		 .uid = 3000000,
		 .gid = 4,
		 .size = 3,
		 .mtime = {1700000000, 123456789},
		 .attributes = attributes,
		 .attribute_count = 2},
		{.path = "hard", .mode = S_IFREG | 0640, .hardlink = "file"},
		{.path = "soft", .mode = S_IFLNK | 0777, .link = "/file"},
		{.path = "dev", .mode = S_IFCHR | 0600, .device = makedev(1, 300)},
		{.path = "pipe", .mode = S_IFIFO | 0600},
		{.path = "non\xff\xfe", .mode = S_IFDIR | 01777},
		{.path = "caf\xc3\xa9", .mode = S_IFLNK | 0777, .link = "\xe9"},
		{.path = long_name, .mode = S_IFREG | 0600, .size = 2},
	};
	const void *data[] = {"abc", NULL, NULL, NULL, NULL, NULL, NULL, "xy"};
	struct buffer archive, text;
	cleanup_free char *expected = NULL;

	(void)state;
	memset(long_name, 'n', 255);
	long_name[255] = '\0';
	buffer_init(&archive, 1u << 20);
	buffer_init(&text, 1u << 20);
	assert_int_equal(0, tar_write_all(&archive, entries, data, 8, NULL));
	assert_int_equal(0, read_text(archive.data, archive.size, 65536, &text, NULL));
	expected = memory_printf("file 100640 3000000:4 3 1700000000.123456789 security.capability="
				 "01000002ff000a3d0009%020d user.x=76\nabc"
				 "hard 100640 0:0 0 0.000000000 = file\n"
				 "soft 120777 0:0 0 0.000000000 -> /file\n"
				 "dev 20600 0:0 0 0.000000000 dev 1,300\n"
				 "pipe 10600 0:0 0 0.000000000\n"
				 "non\xff\xfe 41777 0:0 0 0.000000000\n"
				 "caf\xc3\xa9 120777 0:0 0 0.000000000 -> \xe9\n"
				 "%s 100600 0:0 2 0.000000000\nxy",
				 0, long_name);
	assert_string_equal(text.data, expected);
	assert_null(memmem(archive.data, archive.size, "LIBARCHIVE", 10));
	buffer_release(&archive);
	buffer_release(&text);
}

static void test_write_cap(void **state)
{
	const struct tar_entry entry = {.path = "f", .mode = S_IFREG | 0644, .size = 1};
	const void *data[] = {"x"};
	struct error *error = NULL;
	struct buffer archive;

	(void)state;
	buffer_init(&archive, 600);
	assert_int_equal(-1, tar_write_all(&archive, &entry, data, 1, &error));
	assert_non_null(strstr(error->message, "exceeds 600 bytes"));
	error_free(error);
	buffer_release(&archive);
}

static void test_missing_end(void **state)
{
	struct buffer archive, text;

	(void)state;
	buffer_init(&archive, 1u << 20);
	buffer_init(&text, 1u << 20);
	make_plain(&archive);
	expect_damaged("", 0, "is empty");
	/* Cut anywhere: between members, in the end, in a header, in content. */
	for (size_t size = 1; size < archive.size; size += 127)
		expect_damaged(archive.data, size, "");
	for (size_t size = 512; size < archive.size; size += 512)
		expect_damaged(archive.data, size, "");
	/* Zeros of a file's content are not taken for the end. */
	buffer_clear(&archive);
	{
		static const char zeros[4096];
		struct tar_entry entry = {.path = "z", .mode = S_IFREG | 0600, .size = 4096};

		assert_int_equal(0, tar_append_plain(&archive, &entry, zeros, NULL));
		expect_damaged(archive.data, archive.size, "breaks off");
	}
	/* An archive of nothing, and padding behind the end, are well. */
	buffer_clear(&archive);
	assert_int_equal(0, tar_finish_plain(&archive, NULL));
	assert_int_equal(0, read_text(archive.data, archive.size, 100, &text, NULL));
	buffer_clear(&archive);
	make_plain(&archive);
	for (int i = 0; i < 14; i++) {
		static const char zeros[512];

		buffer_append(&archive, zeros, sizeof(zeros));
	}
	assert_int_equal(0, read_text(archive.data, archive.size, 777, &text, NULL));
	buffer_release(&archive);
	buffer_release(&text);
}

static void test_damage(void **state)
{
	struct buffer archive;

	(void)state;
	buffer_init(&archive, 1u << 20);
	make_plain(&archive);
	archive.data[512 + 3] ^= 1;
	expect_damaged(archive.data, archive.size, "damaged");
	memset(archive.data, 'g', archive.size);
	expect_damaged(archive.data, archive.size, "damaged");
	buffer_release(&archive);
}

/* docker 20.10 leaves the file's type in the header's mode. */
static void test_type_bits_in_the_mode(void **state)
{
	struct buffer archive, text;
	unsigned sum = 0;

	(void)state;
	buffer_init(&archive, 1u << 20);
	buffer_init(&text, 1u << 20);
	make_plain(&archive);
	memcpy(archive.data + 512 + 100, "0104640", 8);
	memset(archive.data + 512 + 148, ' ', 8);
	for (size_t i = 512; i < 1024; i++)
		sum += (unsigned char)archive.data[i];
	snprintf(archive.data + 512 + 148, 8, "%06o", sum);
	assert_int_equal(0, read_text(archive.data, archive.size, 65536, &text, NULL));
	assert_non_null(strstr(text.data, "d/f 104640 "));
	buffer_release(&archive);
	buffer_release(&text);
}

static int refuse_data(void *context, const void *data, size_t size, struct error **err)
{
	(void)context;
	(void)data;
	(void)size;
	return error_set(err, ERROR_NO_SPACE, "no room");
}

static void test_errors_of_both_ends(void **state)
{
	static const struct tar_callbacks refusing = {NULL, refuse_data};
	struct memory_source source = {.piece = 512};
	struct error *error = NULL;
	struct buffer archive, text;

	(void)state;
	buffer_init(&archive, 1u << 20);
	buffer_init(&text, 1u << 20);
	make_plain(&archive);
	source.data = archive.data;
	source.size = archive.size;
	assert_int_equal(-1, tar_read(memory_source_read, &source, &refusing, NULL, &error));
	assert_int_equal(error->kind, ERROR_NO_SPACE);
	assert_string_equal(error->message, "no room");
	error_free(error);
	error = NULL;
	/* A source that breaks is its own error, also where only the end is missing. */
	for (size_t size = 0; size < archive.size; size += 512) {
		source = (struct memory_source){archive.data, size, 0, 100, true};
		buffer_clear(&text);
		assert_int_equal(-1,
				 tar_read(memory_source_read, &source, &describing, &text, &error));
		assert_int_equal(error->kind, ERROR_ENGINE);
		assert_string_equal(error->message, "the source broke");
		error_free(error);
		error = NULL;
	}
	buffer_release(&archive);
	buffer_release(&text);
}

/* A ustar header with its content behind, padded. */
static void append_raw(struct buffer *archive, char type, const char *path, const char *link,
		       const char *content)
{
	char block[512] = {0};
	size_t size = strlen(content);
	unsigned sum = 8 * ' ';

	snprintf(block, 100, "%s", path);
	memcpy(block + 100,
	       "0000777\0"
	       "0000000\0"
	       "0000000",
	       24);
	snprintf(block + 124, 12, "%011o", (unsigned)size);
	memcpy(block + 136, "00000000000", 12);
	block[156] = type;
	snprintf(block + 157, 100, "%s", link);
	memcpy(block + 257,
	       "ustar\0"
	       "00",
	       8);
	for (size_t i = 0; i < sizeof(block); i++)
		sum += (unsigned char)block[i];
	snprintf(block + 148, 8, "%06o", sum);
	buffer_append(archive, block, sizeof(block));
	if (size) {
		memset(block, 0, sizeof(block));
		memcpy(block, content, size);
		buffer_append(archive, block, sizeof(block));
	}
}

/*
 * As Go writes them: what is no ASCII is left out of the ustar header, so that of such a target
 * nothing stays there, and stands in the one of pax.
 */
static void test_links_to_names_without_ascii(void **state)
{
	static const char zeros[1024];
	struct buffer archive, text;

	(void)state;
	for (int type = '1'; type <= '2'; type++) {
		buffer_init(&archive, 1u << 20);
		buffer_init(&text, 1u << 20);
		append_raw(&archive, 'x', "PaxHeaders.0/a", "", "15 linkpath=\xff\xfe\n");
		append_raw(&archive, (char)type, "a", "", "");
		append_raw(&archive, 'x', "PaxHeaders.0/b", "", "15 linkpath=\xc3\xa9\n");
		append_raw(&archive, (char)type, "b", "", "");
		buffer_append(&archive, zeros, sizeof(zeros));
		assert_int_equal(0, read_text(archive.data, archive.size, 512, &text, NULL));
		assert_string_equal(text.data,
				    type == '1' ? "a 100777 0:0 0 0.000000000 = \xff\xfe\n"
						  "b 100777 0:0 0 0.000000000 = \xc3\xa9\n"
						: "a 120777 0:0 0 0.000000000 -> \xff\xfe\n"
						  "b 120777 0:0 0 0.000000000 -> \xc3\xa9\n");
		buffer_release(&archive);
		buffer_release(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_plain_limits),
		cmocka_unit_test(test_all_kinds),
		cmocka_unit_test(test_write_cap),
		cmocka_unit_test(test_missing_end),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_type_bits_in_the_mode),
		cmocka_unit_test(test_links_to_names_without_ascii),
		cmocka_unit_test(test_errors_of_both_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
