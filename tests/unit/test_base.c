/* The base layer: errors, buffers, text, paths, JSON, files. */
#include "test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"

#define assert_text(expected, made)                                                                \
	do {                                                                                       \
		char *made_text = (made);                                                          \
		assert_string_equal(expected, made_text);                                          \
		free(made_text);                                                                   \
	} while (0)

/* ---- errors ---- */

static void test_errors(void **state)
{
	struct error *error = NULL, *other = NULL;

	(void)state;
	assert_int_equal(-1, error_set(&error, ERROR_BUSY, "%s is busy", "x"));
	error_prefix(&error, "cannot %s", "do");
	error_hint(&error, "wait");
	error_hint(&error, "run %s", "y");
	assert_string_equal(error->message, "cannot do: x is busy");
	assert_string_equal(error->hint, "run y");
	error_set_errno(&other, ENOSPC, "cannot write");
	assert_int_equal(other->kind, ERROR_NO_SPACE);
	error_append(&error, other);
	assert_int_equal(error->kind, ERROR_BUSY);
	assert_non_null(strstr(error->message, "x is busy; also: cannot write: No space"));
	error_free(error);
	error = other = NULL;
	error_set(&other, ERROR_USAGE, "only");
	error_append(&error, other);
	assert_string_equal(error->message, "only");
	error_free(error);
	/* Nobody who asks for the reason. */
	assert_int_equal(-1, error_set(NULL, ERROR_FAILED, "x"));
	error_prefix(NULL, "x");
	error_hint(NULL, "x");
	other = NULL;
	error_set(&other, ERROR_USAGE, "lost");
	error_append(NULL, other);
}

/* ---- buffers ---- */

static void test_buffer_cap(void **state)
{
	struct buffer buffer;

	(void)state;
	buffer_init(&buffer, 5);
	assert_string_equal(buffer.data, "");
	assert_int_equal(0, buffer_append(&buffer, "abc", 3));
	assert_int_equal(-1, buffer_append(&buffer, "def", 3));
	assert_true(buffer.failed);
	assert_int_equal(buffer.size, 3);
	assert_int_equal(0, buffer_append(&buffer, "de", 2));
	assert_true(buffer.failed);
	assert_string_equal(buffer.data, "abcde");
	assert_int_equal(-1, buffer_append(&buffer, "", SIZE_MAX));
	buffer_clear(&buffer);
	assert_false(buffer.failed);
	assert_int_equal(0, buffer_printf(&buffer, "%d", 12345));
	assert_int_equal(-1, buffer_printf(&buffer, "%d", 6));
	buffer_consume(&buffer, 2);
	assert_string_equal(buffer.data, "345");
	buffer_consume(&buffer, 99);
	assert_string_equal(buffer.data, "");
	assert_text("", buffer_steal(&buffer));
	assert_int_equal(0, buffer_append_string(&buffer, "again"));
	assert_text("again", buffer_steal(&buffer));
	assert_int_equal(buffer.size, 0);
	buffer_release(&buffer);
}

static void test_buffer_growth(void **state)
{
	struct buffer buffer;

	(void)state;
	buffer_init(&buffer, 100000);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(0, buffer_append_u8(&buffer, (uint8_t)(i * 7)));
	assert_int_equal(-1, buffer_append_u8(&buffer, 0));
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal((uint8_t)buffer.data[i], (uint8_t)(i * 7));
	assert_int_equal(buffer.data[100000], 0);
	buffer_release(&buffer);
}

static void test_cursor(void **state)
{
	struct buffer buffer;
	struct cursor cursor;

	(void)state;
	buffer_init(&buffer, 100);
	buffer_append_u8(&buffer, 0xfe);
	buffer_append_u16(&buffer, 0xfedc);
	buffer_append_u32(&buffer, 0xfedcba98);
	buffer_append_u64(&buffer, 0xfedcba9876543210);
	assert_memory_equal(buffer.data, "\xfe\xdc\xfe\x98\xba\xdc\xfe\x10\x32\x54\x76\x98", 12);
	cursor_init(&cursor, buffer.data, buffer.size);
	assert_int_equal(cursor_u8(&cursor), 0xfe);
	assert_int_equal(cursor_u16(&cursor), 0xfedc);
	assert_int_equal(cursor_u32(&cursor), 0xfedcba98);
	assert_int_equal(cursor_left(&cursor), 8);
	assert_true(cursor_u64(&cursor) == 0xfedcba9876543210);
	assert_int_equal(cursor_left(&cursor), 0);
	assert_non_null(cursor_bytes(&cursor, 0));
	assert_false(cursor.failed);
	/* Past the end: zeros from then on, also for what would fit. */
	cursor_init(&cursor, buffer.data, 3);
	assert_int_equal(cursor_u32(&cursor), 0);
	assert_true(cursor.failed);
	assert_int_equal(cursor_u8(&cursor), 0);
	assert_null(cursor_bytes(&cursor, 1));
	assert_int_equal(cursor_left(&cursor), 0);
	cursor_init(&cursor, buffer.data, 3);
	assert_null(cursor_bytes(&cursor, SIZE_MAX));
	buffer_release(&buffer);
}

/* ---- text ---- */

static void test_string_list(void **state)
{
	struct string_list list;

	(void)state;
	string_list_init(&list);
	assert_text("", string_list_join(&list, ","));
	string_list_split(&list, ",b,,a,", ',');
	string_list_add(&list, "c");
	assert_int_equal(list.count, 3);
	assert_null(list.items[3]);
	string_list_sort(&list);
	assert_text("a, b, c", string_list_join(&list, ", "));
	assert_true(string_list_has(&list, "b"));
	assert_false(string_list_has(&list, ""));
	string_list_release(&list);
	assert_int_equal(list.count, 0);
}

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		bool valid;
		uint64_t value;
	} sizes[] = {
		{"0", true, 0},
		{"512", true, 512},
		{"64k", true, 65536},
		{"64KB", true, 65536},
		{"10M", true, 10485760},
		{"2GiB", true, 2147483648},
		{"1.5g", true, 1610612736},
		{"1t", true, 1099511627776},
		{"5b", true, 5},
		{"", false, 0},
		{"-1", false, 0},
		{"k", false, 0},
		{"1x", false, 0},
		{"1kk", false, 0},
		{"0x10", false, 0},
		{"1e30", false, 0},
		{"99999p", false, 0},
		{" 1", false, 0},
		{"1 ", false, 0},
	};
	uint64_t value = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		if (text_parse_size(sizes[i].text, &value) != sizes[i].valid ||
		    (sizes[i].valid && value != sizes[i].value))
			fail_msg("size \"%s\" gave %llu", sizes[i].text, (unsigned long long)value);
	}
	assert_true(text_parse_uint("18446744073709551615", UINT64_MAX, &value));
	assert_true(value == UINT64_MAX);
	assert_false(text_parse_uint("18446744073709551616", UINT64_MAX, &value));
	assert_false(text_parse_uint("256", 255, &value));
	assert_true(text_parse_uint("255", 255, &value));
	assert_false(text_parse_uint("", 255, &value));
	assert_false(text_parse_uint("+1", 255, &value));
	assert_text("0 B", text_format_size(0));
	assert_text("1023 B", text_format_size(1023));
	assert_text("1.0 KiB", text_format_size(1024));
	assert_text("1.4 GiB", text_format_size(1503238553));
	assert_text("10 MiB", text_format_size(10u << 20));
	assert_text("1.0 MiB", text_format_size((1u << 20) - 1));
	assert_text("16 EiB", text_format_size(UINT64_MAX));
}

static void test_hex(void **state)
{
	uint8_t bytes[3];
	char *a = text_random_hex(16), *b = text_random_hex(16);

	(void)state;
	assert_text("00ff7f", text_hex("\x00\xff\x7f", 3));
	assert_true(text_unhex("00fF7f", bytes, 3));
	assert_memory_equal(bytes, "\x00\xff\x7f", 3);
	assert_false(text_unhex("00ff7", bytes, 3));
	assert_false(text_unhex("00ff7f0", bytes, 3));
	assert_false(text_unhex("00ff7g", bytes, 3));
	assert_int_equal(strlen(a), 32);
	assert_string_not_equal(a, b);
	free(a);
	free(b);
}

static void test_base64(void **state)
{
	static const char *const pairs[][2] = {
		{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
	};
	static const char *const bad[] = {"Z", "Zm9vY", "Zm 9", "Zm9v\n", "Zm=v", "====="};
	uint8_t *back;
	size_t size;

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		assert_text(pairs[i][1], text_base64(pairs[i][0], strlen(pairs[i][0]), false));
		back = text_unbase64(pairs[i][1], &size);
		assert_int_equal(size, strlen(pairs[i][0]));
		assert_string_equal(back, pairs[i][0]);
		free(back);
	}
	assert_text("+/+/", text_base64("\xfb\xff\xbf", 3, false));
	assert_text("-_-_", text_base64("\xfb\xff\xbf", 3, true));
	back = text_unbase64("-_+/Zg", &size);
	assert_int_equal(size, 4);
	assert_memory_equal(back,
			    "\xfb\xff\xbf"
			    "f",
			    4);
	free(back);
	for (size_t i = 0; i + 1 < sizeof(bad) / sizeof(*bad); i++)
		if (text_unbase64(bad[i], &size))
			fail_msg("\"%s\" was taken for base64", bad[i]);
}

static void test_match(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool matches;
	} cases[] = {
		{"abc", "abc", true},
		{"abc", "abcd", false},
		{"a*", "abc", true},
		{"a*", "a/b", false},
		{"a*c", "abbc", true},
		{"a**", "a/b/c", true},
		{"**/x", "x", true},
		{"**/x", "a/b/x", true},
		{"**/x", "a/bx", false},
		{"a/**/x", "a/x", true},
		{"a/**/x", "a/b/c/x", true},
		{"a?c", "abc", true},
		{"a?c", "a/c", false},
		{"a?", "a", false},
		{"[a-c]x", "bx", true},
		{"[!a-c]x", "bx", false},
		{"[!a-c]x", "dx", true},
		{"[!a]x", "/x", false},
		{"[]]", "]", true},
		{"[", "[", false},
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (text_match(cases[i].pattern, cases[i].path) != cases[i].matches)
			fail_msg("\"%s\" against \"%s\"", cases[i].pattern, cases[i].path);
}

static void test_affixes(void **state)
{
	(void)state;
	assert_true(text_has_prefix("abc", "ab"));
	assert_false(text_has_prefix("a", "ab"));
	assert_true(text_has_suffix("abc", "bc"));
	assert_false(text_has_suffix("c", "bc"));
	assert_string_equal(text_or("", "b"), "b");
	assert_string_equal(text_or(NULL, "b"), "b");
	assert_string_equal(text_or("a", "b"), "a");
}

/* ---- time ---- */

static void test_utf8(void **state)
{
	(void)state;
	assert_true(text_is_utf8("") && text_is_utf8("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x98"));
	assert_false(text_is_utf8("\xff") || text_is_utf8("\xc3") || text_is_utf8("\xe2\x82"));
	assert_false(text_is_utf8("\xc0\xaf") || text_is_utf8("\xe0\x80\xaf"));
	assert_false(text_is_utf8("\xed\xa0\x80") || text_is_utf8("\xf4\x90\x80\x80"));
}

static void test_clock(void **state)
{
	static const struct {
		const char *text;
		bool valid;
		long long seconds;
		long nanoseconds;
	} cases[] = {
		{"1970-01-01T00:00:00Z", true, 0, 0},
		{"2026-01-31T13:15:00.123Z", true, 1769865300, 123000000},
		{"2023-11-14T22:13:20.123456789Z", true, 1700000000, 123456789},
		{"2023-11-14T23:13:20.5+01:00", true, 1700000000, 500000000},
		{"2023-11-14T16:43:20-05:30", true, 1700000000, 0},
		{"2024-02-29T00:00:00Z", true, 1709164800, 0},
		{"2023-11-14 22:13:20Z", false, 0, 0},
		{"2023-11-14T22:13:20", false, 0, 0},
		{"2023-13-14T22:13:20Z", false, 0, 0},
		{"2023-11-14T22:13:20.Z", false, 0, 0},
		{"2023-11-14T22:13:20Zulu", false, 0, 0},
		{"2023-11-14T22:13:20+01:00x", false, 0, 0},
		{"2023-11-14T22:13:20+1:00", false, 0, 0},
		{"", false, 0, 0},
	};
	struct timespec time = {1769865300, 123999999};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct timespec parsed = {0, 0};

		if (clock_parse(cases[i].text, &parsed) != cases[i].valid)
			fail_msg("\"%s\"", cases[i].text);
		if (cases[i].valid &&
		    (parsed.tv_sec != cases[i].seconds || parsed.tv_nsec != cases[i].nanoseconds))
			fail_msg("\"%s\" gave %lld.%09ld", cases[i].text, (long long)parsed.tv_sec,
				 parsed.tv_nsec);
	}
	assert_text("2026-01-31T13:15:00.123Z", clock_format(time));
	assert_text("20260131T131500.123Z", clock_format_tag(time));
	assert_text("just now", clock_format_age(0));
	assert_text("5 minutes ago", clock_format_age(310));
	assert_text("3 days ago", clock_format_age(3 * 86400 + 5));
	assert_text("14 ms", clock_format_duration(14));
	assert_text("1.3 s", clock_format_duration(1300));
	assert_text("2 min 5 s", clock_format_duration(125000));
}

/* ---- paths ---- */

static void test_paths(void **state)
{
	static const char *const cleaned[][2] = {
		{"/", "/"},	      {"", "/"},	{"a", "/a"},
		{"//a///b/", "/a/b"}, {"/./a/.", "/a"}, {"/a/../b", "/b"},
		{"/../../a", "/a"},   {"/a/..", "/"},	{"/..a/.b", "/..a/.b"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cleaned) / sizeof(*cleaned); i++)
		assert_text(cleaned[i][1], path_clean(cleaned[i][0]));
	assert_text("/a/b", path_join("/a/", "/b"));
	assert_text("/b", path_join("/", "b"));
	assert_string_equal(path_below("/a/b", "/a"), "b");
	assert_string_equal(path_below("/a", "/a"), "");
	assert_string_equal(path_below("/a", "/"), "a");
	assert_null(path_below("/ab", "/a"));
	assert_null(path_below("/", "/a"));
	assert_true(path_is_at_or_under("/a/b/c", "/a/b"));
	assert_false(path_is_at_or_under("/a/bc", "/a/b"));
}

static void test_safe_paths(void **state)
{
	static const char *const good[] = {"a", "a/b", "...", "a/..b", ".a", "\xff\n"};
	static const char *const bad[] = {"",  "/",  "/a",  "a/",     "a//b",
					  ".", "..", "a/.", "a/../b", "../a"};
	char path[5000];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (!path_is_safe_relative(good[i], strlen(good[i])))
			fail_msg("\"%s\" is safe", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (path_is_safe_relative(bad[i], strlen(bad[i])))
			fail_msg("\"%s\" is not safe", bad[i]);
	assert_false(path_is_safe_relative("a\0b", 3));
	memset(path, 'a', sizeof(path));
	assert_true(path_is_safe_relative(path, 255));
	assert_false(path_is_safe_relative(path, 256));
	for (size_t i = 200; i < sizeof(path); i += 201)
		path[i] = '/';
	assert_true(path_is_safe_relative(path, 4095));
	assert_false(path_is_safe_relative(path, 4096));
}

static void test_path_order(void **state)
{
	/* A directory is followed at once by what is in it. */
	static const char *const order[] = {"",	   "a",	  "a/b", "a/b/c", "a/z", "a\x01",
					    "a b", "a-b", "a.b", "ab",	  "b",	 "\xff"};
	size_t count = sizeof(order) / sizeof(*order);

	(void)state;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < count; j++) {
			int result = path_compare(order[i], order[j]);

			if ((result > 0) - (result < 0) != (i > j) - (i < j))
				fail_msg("\"%s\" against \"%s\"", order[i], order[j]);
		}
}

/* ---- JSON ---- */

static struct json *parse(const char *text)
{
	return json_parse(text, strlen(text), NULL);
}

static void test_json_reading(void **state)
{
	struct json *json = parse(" {\"a\":{\"b\":[1,\"x\",true,null]},\"n\":-5,\"big\":1e300,"
				  "\"f\":1.5,\"s\":\"\\u00e9\\n\"} \n");
	uint64_t value = 77;
	size_t count = 0;

	(void)state;
	assert_non_null(json);
	json_for_each(item, json_path(json, "a", "b"))
		count++;
	assert_int_equal(count, 4);
	assert_int_equal(json_count(json_path(json, "a", "b")), 4);
	assert_string_equal(json_key(json_first(json)), "a");
	assert_null(json_path(json, "a", "none", "b"));
	assert_null(json_path(json, "n", "b"));
	assert_null(json_string(NULL, "x"));
	assert_null(json_string(json, "n"));
	assert_string_equal(json_string(json, "s"), "\xc3\xa9\n");
	assert_string_equal(json_string_or(json, "none", "d"), "d");
	assert_int_equal(json_int(json, "n"), -5);
	assert_int_equal(json_int(json, "s"), 0);
	assert_true(json_int(json, "big") == 9007199254740992);
	assert_true(json_bool(json_next(json_next(json_first(json_path(json, "a", "b")))), NULL));
	assert_true(json_has_string(json_path(json, "a", "b"), "x"));
	assert_false(json_uint_checked(json, "n", 100, &value));
	assert_false(json_uint_checked(json, "f", 100, &value));
	assert_false(json_uint_checked(json, "big", UINT64_MAX, &value));
	assert_false(json_uint_checked(json, "none", 100, &value));
	assert_int_equal(value, 77);
	json_set_int(json, "u", 100);
	assert_true(json_uint_checked(json, "u", 100, &value));
	assert_int_equal(value, 100);
	assert_false(json_uint_checked(json, "u", 99, &value));
	json_free(json);
}

static void test_json_refusals(void **state)
{
	static const char *const bad[] = {"",	   "{",	  "[1,]", "{\"a\":1}x",
					  "{} {}", "\"a", "nul",  "{a:1}"};
	struct error *error = NULL;
	char *deep = memory_alloc(200001);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (parse(bad[i]))
			fail_msg("\"%s\" was taken for JSON", bad[i]);
	assert_null(json_parse("{\"a\":1,\n  x}", 12, &error));
	assert_non_null(strstr(error->message, "line 2, column "));
	error_free(error);
	/* Text that is not NUL-terminated: not a byte more is read. */
	assert_null(json_parse("[1", 1, NULL));
	memset(deep, '[', 200000);
	assert_null(json_parse(deep, 200000, NULL));
	free(deep);
}

static void test_json_building(void **state)
{
	struct json *json = json_new_object(), *copy;

	(void)state;
	json_set_string(json, "s", "a\"b");
	json_set_string(json, "s", "again");
	json_set_bool(json, "t", true);
	json_set_string(json, "null", NULL);
	json_add_string(json_set_array(json, "l"), "x");
	json_set_int(json_add_object(json_get(json, "l")), "i", 999999999999999);
	assert_text(
		"{\"s\":\"again\",\"t\":true,\"null\":null,\"l\":[\"x\",{\"i\":999999999999999}]}",
		json_print(json, false));
	copy = json_copy(json);
	assert_true(json_equal(json, copy));
	json_remove(copy, "t");
	json_remove(copy, "t");
	assert_false(json_equal(json, copy));
	assert_true(json_is_null(json_get(json, "null")) && json_is_null(NULL));
	assert_null(json_copy(NULL));
	assert_true(json_equal(NULL, NULL));
	assert_false(json_equal(json, NULL));
	json_free(copy);
	json_free(json);
}

/* Names of files need not be text; a NUL is in none. */
static void test_json_bytes(void **state)
{
	struct json *json = json_new_object();

	(void)state;
	json_set_bytes(json, "plain", "caf\xc3\xa9");
	json_set_bytes(json, "other", "caf\xe9");
	json_set_string(json, "bad64", "AAA");
	json_set_string(json, "none64", "!");
	assert_text(
		"{\"plain\":\"caf\xc3\xa9\",\"other64\":\"Y2Fm6Q==\",\"bad64\":\"AAA\",\"none64\":"
		"\"!\"}",
		json_print(json, false));
	assert_text("caf\xc3\xa9", json_bytes(json, "plain"));
	assert_text("caf\xe9", json_bytes(json, "other"));
	assert_null(json_bytes(json, "bad"));
	assert_null(json_bytes(json, "none"));
	assert_null(json_bytes(json, "absent"));
	json_free(json);
}

/* An engine written in Go takes no exponent where it wants an integer. */
static void test_json_large_integers(void **state)
{
	static const char text[] = "[9007199254740991,-1000000000000000,1.5,1e+300]";
	struct json *json = json_parse(text, strlen(text), NULL);

	(void)state;
	assert_text(text, json_print(json, false));
	assert_text(text, json_print(json, false));
	json_free(json);
}

/* ---- files ---- */

static void test_files(void **state)
{
	char directory[] = "/tmp/test-base-XXXXXX";
	struct error *error = NULL;
	struct buffer buffer;
	struct stat before, after;
	int fd;

	(void)state;
	buffer_init(&buffer, 10);
	assert_non_null(mkdtemp(directory));
	fd = open(directory, O_RDONLY | O_DIRECTORY);
	assert_int_equal(-1, io_read_file(fd, "f", &buffer, &error));
	assert_int_equal(error->kind, ERROR_NOT_FOUND);
	error_free(error);
	error = NULL;
	assert_int_equal(0, io_write_file_atomic(fd, "f", "0123456789", 10, 0640, NULL));
	assert_int_equal(0, fstatat(fd, "f", &before, 0));
	assert_int_equal(before.st_mode & 0777, 0640);
	assert_int_equal(0, io_read_file(fd, "f", &buffer, NULL));
	assert_string_equal(buffer.data, "0123456789");
	/* A new file takes the name; who has the old one open keeps it whole. */
	assert_int_equal(0, io_write_file_atomic(fd, "f", "0123456789a", 11, 0640, NULL));
	assert_int_equal(0, fstatat(fd, "f", &after, 0));
	assert_int_not_equal(before.st_ino, after.st_ino);
	buffer_clear(&buffer);
	assert_int_equal(-1, io_read_file(fd, "f", &buffer, &error));
	assert_non_null(strstr(error->message, "larger than 10 bytes"));
	error_free(error);
	error = NULL;
	/* A failure leaves nothing behind: the name is a directory here. */
	assert_int_equal(0, mkdirat(fd, "d", 0700));
	assert_int_equal(-1, io_write_file_atomic(fd, "d", "x", 1, 0600, &error));
	error_free(error);
	assert_int_equal(0, unlinkat(fd, "d", AT_REMOVEDIR));
	assert_int_equal(0, unlinkat(fd, "f", 0));
	close(fd);
	assert_int_equal(0, rmdir(directory));
	buffer_release(&buffer);
}

static void test_transfers(void **state)
{
	char block[16];
	int pipes[2];

	(void)state;
	assert_int_equal(0, pipe(pipes));
	assert_int_equal(0, io_write_full(pipes[1], "abc", 3));
	close(pipes[1]);
	/* Less than asked for at the end of the file only. */
	assert_int_equal(3, io_read_full(pipes[0], block, sizeof(block)));
	assert_int_equal(0, io_read_full(pipes[0], block, sizeof(block)));
	assert_int_equal(0, io_set_nonblocking(pipes[0], 1));
	assert_true(fcntl(pipes[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(0, io_set_nonblocking(pipes[0], 0));
	assert_false(fcntl(pipes[0], F_GETFL) & O_NONBLOCK);
	close(pipes[0]);
	assert_int_equal(-1, io_read_full(-1, block, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),	      cmocka_unit_test(test_buffer_cap),
		cmocka_unit_test(test_buffer_growth), cmocka_unit_test(test_cursor),
		cmocka_unit_test(test_string_list),   cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_hex),	      cmocka_unit_test(test_base64),
		cmocka_unit_test(test_match),	      cmocka_unit_test(test_affixes),
		cmocka_unit_test(test_utf8),	      cmocka_unit_test(test_clock),
		cmocka_unit_test(test_paths),	      cmocka_unit_test(test_safe_paths),
		cmocka_unit_test(test_path_order),    cmocka_unit_test(test_json_reading),
		cmocka_unit_test(test_json_refusals), cmocka_unit_test(test_json_building),
		cmocka_unit_test(test_json_bytes),    cmocka_unit_test(test_json_large_integers),
		cmocka_unit_test(test_files),	      cmocka_unit_test(test_transfers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
