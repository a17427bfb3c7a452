/*
 * Image references against the grammar of github.com/distribution/reference.
 */
#include "test_support.h"

#include <string.h>

#include "base/cleanup.h"
#include "snapshot/reference.h"

#define DIGITS64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void valid_ones(void **state)
{
	static const char *const cases[][3] = {
		{"demo", "demo", "latest"},
		{"demo:before", "demo", "before"},
		{"demo:_x.Y-z", "demo", "_x.Y-z"},
		{"team/db:1", "team/db", "1"},
		{"a.b_c__d---e:1", "a.b_c__d---e", "1"},
		{"localhost/sidesnap/db:20260131T131500.123Z", "localhost/sidesnap/db",
		 "20260131T131500.123Z"},
		{"registry.example:5000/team/db", "registry.example:5000/team/db", "latest"},
		{"Registry.Example/db:x", "Registry.Example/db", "x"},
		{"LOCAL/db", "LOCAL/db", "latest"},
		{"[::1]:5000/db:x", "[::1]:5000/db", "x"},
		{"0:1", "0", "1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reference reference;
		cleanup_error struct error *err = NULL;

		assert_int_equal(reference_parse(cases[i][0], &reference, &err), 0);
		assert_string_equal(reference.repository, cases[i][1]);
		assert_string_equal(reference.tag, cases[i][2]);
		reference_release(&reference);
	}
}

static void invalid_ones(void **state)
{
	static const char *const cases[][2] = {
		{"", "an empty name at character 1"},
		{"demo:", "an empty tag at character 6"},
		{":x", "an empty name at character 1"},
		{"Demo", "an upper-case letter at character 1"},
		{"team/dB", "an upper-case letter at character 7"},
		{"demo/", "an empty name at character 6"},
		{"a//b", "an empty name at character 3"},
		{"/a", "character 1"},
		{"-a", "must begin with a letter or digit at character 1"},
		{"a-", "must end with a letter or digit"},
		{"a..b", "at character 3"},
		{"a___b", "at character 4"},
		{"a b", "at character 2"},
		{"demo:-x", "a tag must begin"},
		{"demo:a/b", ""},
		{"demo:a b", "at character 7"},
		{"demo@sha256:" DIGITS64, "a digest"},
		{DIGITS64, "taken for an image's id"},
		{"host:port/x", "no port number"},
		{"a.b:/x", "no port number"},
		{"[::1/x", "character"},
		{"h\xc3\xb6st/x", "character"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reference reference = {0};
		cleanup_error struct error *err = NULL;

		assert_int_equal(reference_parse(cases[i][0], &reference, &err), -1);
		assert_int_equal(err->kind, ERROR_USAGE);
		assert_non_null(strstr(err->message, cases[i][1]));
		assert_non_null(err->hint);
	}
}

static void limits(void **state)
{
	char text[400] = "demo:";
	struct reference reference;

	(void)state;
	memset(text + 5, 'x', 128);
	assert_int_equal(reference_parse(text, &reference, NULL), 0);
	reference_release(&reference);
	text[133] = 'x';
	assert_int_equal(reference_parse(text, &reference, NULL), -1);
	memset(text, 'a', 255);
	text[255] = 0;
	assert_int_equal(reference_parse(text, &reference, NULL), 0);
	reference_release(&reference);
	memset(text, 'a', 256);
	text[256] = 0;
	assert_int_equal(reference_parse(text, &reference, NULL), -1);
}

/* Whatever a container is called, its default reference is a valid one. */
static void defaults_are_always_valid(void **state)
{
	static const char *const cases[][2] = {
		{"db", "localhost/sidesnap/db"},
		{"My_DB.1", "localhost/sidesnap/my_db.1"},
		{"demo_db_1", "localhost/sidesnap/demo_db_1"},
		{"a_-b", "localhost/sidesnap/a-b"},
		{"a__b", "localhost/sidesnap/a-b"},
		{"_x_", "localhost/sidesnap/x"},
		{"---", "localhost/sidesnap/container"},
		{"", "localhost/sidesnap/container"},
		{"\xc3\xa4", "localhost/sidesnap/container"},
	};
	struct timespec time = {.tv_sec = 1769865300, .tv_nsec = 123000000};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reference reference, parsed;
		cleanup_free char *text = NULL;

		reference_default(cases[i][0], time, &reference);
		assert_string_equal(reference.repository, cases[i][1]);
		assert_string_equal(reference.tag, "20260131T131500.123Z");
		text = reference_format(&reference);
		assert_int_equal(reference_parse(text, &parsed, NULL), 0);
		reference_release(&parsed);
		reference_release(&reference);
	}
}

static void long_names_are_cut(void **state)
{
	char name[300];
	struct reference reference, parsed;
	cleanup_free char *text = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(name) - 1; i++)
		name[i] = i % 2 ? '-' : 'a';
	name[sizeof(name) - 1] = 0;
	reference_default(name, (struct timespec){0}, &reference);
	text = reference_format(&reference);
	assert_int_equal(reference_parse(text, &parsed, NULL), 0);
	reference_release(&parsed);
	reference_release(&reference);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_ones),
		cmocka_unit_test(invalid_ones),
		cmocka_unit_test(limits),
		cmocka_unit_test(defaults_are_always_valid),
		cmocka_unit_test(long_names_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
