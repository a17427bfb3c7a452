/*
 * Where the values of a driver come from, and patterns that fit bytes rather than characters.
 */
#include "test_support.h"

#include <regex.h>

#include "base/memory.h"
#include "driver/driver.h"
#include "driver/line_search.h"
#include "driver/values.h"

static char *value_of(const char *inspect_text, const char *value)
{
	cleanup_free char *text = memory_printf(
		"{\"detect\": {\"commands\": [\"redis-server\"]}, \"values\": {\"it\": %s}}",
		value);
	CLEANUP(cleanup_json_free)
	struct json *inspect = json_parse(inspect_text, strlen(inspect_text), NULL);
	CLEANUP(cleanup_json_free) struct json *definition = json_parse(text, strlen(text), NULL);
	struct values values;
	char *found;

	assert_non_null(inspect);
	assert_non_null(definition);
	values_from(&values, inspect, NULL, definition);
	found = values_get(&values, "it");
	values_release(&values);
	return found;
}

static void assert_value(const char *command, const char *value, const char *expected)
{
	cleanup_free char *inspect = memory_printf(
		"{\"Config\": {\"Entrypoint\": [\"entry.sh\"], \"Cmd\": %s}}", command);
	cleanup_free char *found = value_of(inspect, value);

	if (!expected)
		assert_null(found);
	else
		assert_string_equal(found, expected);
}

static void test_words(void **state)
{
	static const char *const value =
		"{\"options\": [\"--config\"], \"words\": [\"**.conf\"], \"default\": \"none\"}";

	(void)state;
	assert_value("[\"redis-server\", \"/etc/a.conf\", \"b.conf\"]", value, "/etc/a.conf");
	assert_value("[\"redis-server\", \"--save\", \"\"]", value, "none");
	/* an option says it better; the server's own name is none of its words */
	assert_value("[\"redis-server\", \"a.conf\", \"--config\", \"c\"]", value, "c");
	assert_value("[\"/x.conf/redis-server\"]", "{\"words\": [\"**redis-server\"]}", NULL);
}

static bool fits(const char *pattern, const char *text)
{
	regex_t regex;
	bool result;

	assert_int_equal(pattern_compile(&regex, pattern, REG_NOSUB), 0);
	result = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return result;
}

static void test_patterns_of_bytes(void **state)
{
	(void)state;
	/* ÿ stands for one byte, and is not two */
	assert_true(fits("^\u00ff.{2}$", "\xff"
					 "ab"));
	assert_false(fits("^\u00ff.{2}$", "\xc3\xbf"
					  "ab"));
	assert_true(fits("\u00fe.{1,2}\u00fb", "a\xfe\x03\xfb\x01"));
	assert_false(fits("\u00fe.{1,2}\u00fb", "a\xfe\x03\x04\x05\xfb"));
	assert_true(fits("[\u00a0-\u00ff]$", "a\xa0"));
	assert_false(fits("[\u00a0-\u00ff]$", "a\x7f"));
	/* beyond that a character is its bytes in UTF-8 */
	assert_true(fits("^\u20ac$", "\xe2\x82\xac"));
}

static void test_lines_of_bytes(void **state)
{
	static const char data[] = "REDIS0010\n\xfe\0\xfb\x01\n";
	struct line_search search;
	int key, other;

	(void)state;
	line_search_init(&search);
	key = line_search_add(&search, "^\u00fe.\u00fb", NULL, NULL);
	other = line_search_add(&search, "^\u00fd", NULL, NULL);
	assert_true(key >= 0 && other >= 0);
	for (size_t i = 0; i < sizeof(data) - 1; i++)
		line_search_take(&search, data + i, 1);
	line_search_end(&search);
	assert_true(search.patterns[key].found);
	assert_false(search.patterns[other].found);
	line_search_release(&search);
}

static void refused(const char *value, const char *problem)
{
	cleanup_free char *text = memory_printf(
		"{\"name\": \"x\", \"detect\": {}, \"data\": [], \"values\": {\"it\": %s}}", value);
	struct error *error = NULL;

	assert_null(driver_parse("x.json", text, strlen(text), &error));
	assert_non_null(strstr(error->message, problem));
	error_free(error);
}

static void test_lines_have_one_of_two(void **state)
{
	(void)state;
	refused("{\"lines\": [{\"file\": \"/a\"}]}", "must have one of \"line\" and \"pattern\"");
	refused("{\"lines\": [{\"file\": \"/a\", \"line\": 1, \"pattern\": \"(a)\"}]}",
		"must have one of \"line\" and \"pattern\"");
	refused("{\"lines\": [{\"file\": \"/a\", \"pattern\": \"(\"}]}",
		"must be an extended regular expression");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_patterns_of_bytes),
		cmocka_unit_test(test_lines_of_bytes),
		cmocka_unit_test(test_lines_have_one_of_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
