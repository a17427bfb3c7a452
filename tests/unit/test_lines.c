/*
 * Lines of tools made into records: as they are printed, cut at every byte, and as nobody should
 * print them.
 */
#include "test_support.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "driver/lines.h"

static const char etcd[] =
	"{\"lines\":[{\"line\":\"^\\\"Key\\\" : (.*)$\",\"as\":\"quoted\",\"begins\":true},"
	"{\"line\":\"^\\\"Value\\\" : (.*)$\",\"as\":\"quoted\"},{\"line\":\"^\\\"Lease\\\" : (.*)$\"}]}";
static const char json[] = "{\"lines\":[{\"line\":\"^  \\\\[$\",\"begins\":true},"
			   "{\"line\":\"^   (.*[^,]),?$\",\"as\":\"quoted\"}]}";
static const char ldif[] = "{\"folded\":true,\"each\":true,\"ignore\":\"^entryCSN:\",\"lines\":["
			   "{\"line\":\"^(pin)::? (.*)$\",\"secret\":true},"
			   "{\"line\":\"^dn: (.*)$\",\"begins\":true},"
			   "{\"line\":\"^dn:: (.*)$\",\"as\":\"base64\",\"begins\":true},"
			   "{\"line\":\"^([A-Za-z0-9;.-]+):: (.*)$\",\"as\":\"base64\"},"
			   "{\"line\":\"^([A-Za-z0-9;.-]+): ?(.*)$\"}]}";

/* The records of an output that comes ${piece} bytes at a time. */
static int convert(const char *format, const char *text, size_t size, size_t piece,
		   struct buffer *records, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *definition = json_parse(format, strlen(format), NULL);
	CLEANUP(cleanup_lines_free) struct lines *lines = NULL;

	assert_non_null(definition);
	lines = lines_new(definition);
	for (size_t at = 0; at < size;) {
		size_t most = size - at < piece ? size - at : piece;
		char *part = memory_alloc(most); /* so that reading behind it is seen */
		ssize_t taken;

		memcpy(part, text + at, most);
		taken = lines_take(lines, part, most, records, err);
		free(part);
		if (taken < 0)
			return -1;
		assert_true((size_t)taken <= most);
		at += (size_t)taken;
	}
	return lines_end(lines, records, err);
}

static void gives(const char *format, const char *text, const char *expected)
{
	CLEANUP(buffer_release) struct buffer records;

	buffer_init(&records, 1U << 20);
	for (size_t piece = 1; piece <= strlen(text) + 1; piece++) {
		struct error *error = NULL;

		buffer_clear(&records);
		if (convert(format, text, strlen(text), piece, &records, &error) < 0)
			fail_msg("%s", error->message);
		assert_string_equal(records.data, expected);
	}
}

static void fails_with(const char *format, const char *text, size_t size, const char *message)
{
	CLEANUP(buffer_release) struct buffer records;
	struct error *error = NULL;

	buffer_init(&records, 1U << 20);
	assert_int_equal(convert(format, text, size, 65536, &records, &error), -1);
	assert_int_equal(error->kind, ERROR_FAILED);
	assert_string_equal(error->message, message);
	error_free(error);
}

static void fails(const char *format, const char *text, const char *message)
{
	fails_with(format, text, strlen(text), message);
}

static void test_names_and_values(void **state)
{
	(void)state;
	gives(etcd, "", "");
	gives(etcd, "\"Revision\" : 7\n\"Value\" : \"before any\"\n\"More\" : false\n", "");
	gives(etcd,
	      "\"ClusterID\" : 1\n\"Key\" : \"\"\n\"Value\" : \"first\"\n\"Lease\" : 0\n\"Key\" : \"a\\tb\"\n\"Version\" : 1\n\"Value\" : \"x\\ny\\\\\"\n\"Lease\" : "
	      "0\n\"Key\" : \"ä \\u200b\\\"\"\n\"Value\" : \"\"\n\"Lease\" : -5\n\"More\" : "
	      "false\n",
	      "\tfirst\t0\na\\tb\tx\\ny\\\\\t0\nä \u200b\"\t\t-5\n");
}

static void test_every_byte(void **state)
{
	static const char text[] = "\"Key\" : \"\\a\\b\\f\\r\\v\\x00\\xff\\'\\/\\U0001f600\"\n";
	static const char expected[] = "\a\b\f\r\v\0\xff'/\xf0\x9f\x98\x80\n";
	CLEANUP(buffer_release) struct buffer records;

	(void)state;
	buffer_init(&records, 1000);
	assert_int_equal(convert(etcd, text, sizeof(text) - 1, 7, &records, NULL), 0);
	assert_int_equal(records.size, sizeof(expected) - 1);
	assert_memory_equal(records.data, expected, sizeof(expected) - 1);
}

static void test_json_with_a_line_a_value(void **state)
{
	(void)state;
	gives(json,
	      "{\n \"values\": [\n  [\n   1700000000000000001,\n   \"a,\",\n   null,\n   \"null\",\n   "
	      "\"\\ud83d\\ude00\\u00e4\"\n  ],\n  [\n   -1.5e300,\n   \"\",\n   true\n  ]\n ]\n}\n",
	      "1700000000000000001\ta,\t\\N\tnull\t😀ä\n-1.5e300\t\ttrue\n");
}

static void test_ldif(void **state)
{
	(void)state;
	gives(ldif,
	      "dn: cn=a\ncn: a\nentryCSN: 2026\n 0101\nsn:: w6QKeA==\ndescription: long\n er\n  one\n"
	      "empty:\n\n# remark\ndn:: Y249\n w6Q=\ncn;lang-de: b\\c",
	      "cn=a\\tcn\\ta\\t\tcn=a\tcn\ta\n"
	      "cn=a\\tsn\\tä\\\\nx\\t\tcn=a\tsn\tä\\nx\n"
	      "cn=a\\tdescription\\tlonger one\\t\tcn=a\tdescription\tlonger one\n"
	      "cn=a\\tempty\\t\\t\tcn=a\tempty\t\n"
	      "cn=ä\\tcn;lang-de\\tb\\\\\\\\c\\t\tcn=ä\tcn;lang-de\tb\\\\c\n");
}

/* Whether it is another one can be seen, and nothing else of it. */
static void test_secrets(void **state)
{
	CLEANUP(buffer_release) struct buffer one, other;

	(void)state;
	buffer_init(&one, 1000);
	buffer_init(&other, 1000);
	assert_int_equal(convert(ldif, "dn: a\npin:: Nzc=\n", 17, 100, &one, NULL), 0);
	assert_int_equal(convert(ldif, "dn: a\npin:: Nzg=\n", 17, 100, &other, NULL), 0);
	assert_non_null(strstr(one.data, "\ta\tpin\tone with fingerprint "));
	assert_null(strstr(one.data, "Nzc"));
	assert_string_not_equal(one.data, other.data);
}

/* Two long values that differ at their ends only are told apart. */
static void test_long_values_differ_by_content(void **state)
{
	CLEANUP(buffer_release) struct buffer text, records;
	const char *first, *second;

	(void)state;
	buffer_init(&text, 1U << 20);
	buffer_init(&records, 1U << 20);
	buffer_append_string(&text, "dn: cn=a\n");
	for (int i = 0; i < 2; i++) {
		buffer_append_string(&text, "photo: ");
		for (int j = 0; j < 30000; j++)
			buffer_append(&text, "x", 1);
		buffer_append(&text, i ? "1\n" : "2\n", 2);
	}
	assert_int_equal(convert(ldif, text.data, text.size, 1000, &records, NULL), 0);
	first = records.data;
	second = strchr(first, '\n') + 1;
	assert_true(strcspn(first, "\t") < 4300);
	assert_int_equal(strcspn(first, "\t"), strcspn(second, "\t"));
	assert_memory_not_equal(first, second, strcspn(first, "\t"));
}

static void test_what_is_no_such_output(void **state)
{
	static const char nul[] = "\"Key\" : \"a\0b\"\n";
	CLEANUP(buffer_release) struct buffer text;

	(void)state;
	fails(etcd, "\"Key\" : \"\\q\"\n",
	      "a quoted text has a backslash before what means nothing");
	fails(etcd, "\"Key\" : \"\\\"", "a quoted text has a backslash before what means nothing");
	fails(etcd, "\"Key\" : \"\\x0\"",
	      "a quoted text has a backslash before what means nothing");
	fails(etcd, "\"Key\" : \"\\U00110000\"",
	      "a quoted text has a backslash before what means nothing");
	fails(ldif, "dn:: *\n", "a value is no base64");
	fails_with(etcd, nul, sizeof(nul) - 1, "a line of the output holds a NUL");
	buffer_init(&text, LINES_LINE_MAX + 100);
	buffer_reserve(&text, LINES_LINE_MAX + 10);
	memset(text.data, 'x', LINES_LINE_MAX + 10);
	fails_with(etcd, text.data, LINES_LINE_MAX + 10,
		   "a line of the output is longer than 64 MiB");
}

/* A record that never ends: many lines of fields, none of which begins another one. */
static void test_a_record_has_a_limit(void **state)
{
	CLEANUP(cleanup_json_free) struct json *definition = json_parse(json, strlen(json), NULL);
	CLEANUP(cleanup_lines_free) struct lines *lines = lines_new(definition);
	CLEANUP(buffer_release) struct buffer records, line;
	struct error *error = NULL;
	ssize_t taken = 0;

	(void)state;
	buffer_init(&records, 1U << 20);
	buffer_init(&line, 3U << 20);
	buffer_append_string(&line, "  [\n   \"");
	for (size_t i = 0; i < 1U << 20; i++)
		buffer_append(&line, "x", 1);
	buffer_append_string(&line, "\"\n");
	for (int round = 0; taken >= 0 && round < 300; round++) {
		/* only the first one begins it */
		for (size_t at = round ? 4 : 0; at < line.size && taken >= 0;
		     at += taken > 0 ? (size_t)taken : 0)
			taken = lines_take(lines, line.data + at, line.size - at, &records, &error);
	}
	assert_int_equal(taken, -1);
	assert_string_equal(error->message, "a record is too large");
	assert_int_equal(records.size, 0);
	error_free(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_and_values),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_json_with_a_line_a_value),
		cmocka_unit_test(test_ldif),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_long_values_differ_by_content),
		cmocka_unit_test(test_what_is_no_such_output),
		cmocka_unit_test(test_a_record_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
