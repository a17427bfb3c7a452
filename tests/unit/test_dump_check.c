/* What tells a whole dump from a piece of one, and a failed statement from a harmless message. */
#include "test_support.h"

#include <string.h>

#include "base/complaint.h"
#include "base/memory.h"
#include "base/template.h"
#include "driver/dump_check.h"

static struct driver *driver_with(const char *dump)
{
	cleanup_free char *text = memory_printf(
		"{\"name\":\"x\",\"detect\":{},\"data\":[],\"access\":{\"ways\":[{}],\"version\":{"
		"\"arguments\":[\"v\"]}},\"dump\":{\"file\":\"d\",\"server\":{\"arguments\":[\"d\"]}%s}}",
		dump);
	struct error *error = NULL;
	struct driver *driver = driver_parse("x.json", text, strlen(text), &error);

	if (!driver)
		fail_msg("%s", error->message);
	return driver;
}

/* In pieces of ${step} bytes; the message, or NULL, and whether it is empty. */
static char *judged(const char *dump, const char *data, size_t size, size_t step, bool *empty)
{
	CLEANUP(cleanup_driver_free) struct driver *driver = driver_with(dump);
	struct error *error = NULL;
	struct dump_check *check = dump_check_new(driver, DUMP_OF_EITHER, &error);
	char *message = NULL;

	assert_non_null(check);
	for (size_t i = 0; i < size; i += step)
		dump_check_take(check, data + i, size - i < step ? size - i : step);
	if (dump_check_end(check, &error) < 0) {
		message = memory_strdup(error->message);
		error_free(error);
	}
	*empty = dump_check_is_empty(check);
	dump_check_free(check);
	return message;
}

static void expect(const char *dump, const char *data, size_t size, const char *message, bool empty)
{
	static const size_t steps[] = {1, 7, 4096, 1000000};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		bool is_empty;
		cleanup_free char *got = judged(dump, data, size, steps[i], &is_empty);

		if (!message)
			assert_null(got);
		else
			assert_string_equal(text_or(got, ""), message);
		assert_int_equal(is_empty, empty);
	}
}

#define ENDS                                                                                       \
	",\"starts\":\"^-- dump\",\"complete\":\"-- done\\n$\",\"holds\":\"^CREATE (TABLE|VIEW) \""

static void test_ends(void **state)
{
	static const char whole[] = "-- dump\nCREATE TABLE a\n-- done\n";
	static const char empty[] = "-- dump\n -- CREATE TABLE a\n-- done\n";
	cleanup_free char *large = memory_zalloc(300000);

	(void)state;
	expect(ENDS, whole, strlen(whole), NULL, false);
	expect(ENDS, whole, strlen(whole) - 1, "it is not whole: its end is missing", false);
	expect(ENDS, whole + 1, strlen(whole) - 1, "it does not begin as such a dump does", false);
	expect(ENDS, "", 0, "it does not begin as such a dump does", true);
	expect(ENDS, empty, strlen(empty), NULL, true);
	/* Far behind, beside a line that is longer than what is kept of one. */
	memset(large, 'x', 300000);
	memcpy(large, "-- dump\n", 8);
	memcpy(large + 200000, "\nCREATE VIEW v", 14);
	memcpy(large + 300000 - 9, "\n-- done\n", 9);
	expect(ENDS, large, 300000, NULL, false);
	/* The end of an inner part, further from the end than 4 KiB. */
	memset(large + 300000 - 9, 'x', 9);
	memcpy(large + 295000, "\n-- done\n", 9);
	expect(ENDS, large, 300000, "it is not whole: its end is missing", false);
}

static void test_binary(void **state)
{
	static const char dump[] =
		",\"starts\":\"^RDB\",\"complete\":\"END .{2}$\",\"empty_size\":9";
	static const char data[] = "RDB\0\0\0\0END\0\1\2";

	(void)state;
	expect(dump, data, sizeof(data) - 1, NULL, false);
	expect(dump, "RDBEND\0\1\2", 9, NULL, true);
	expect(dump, "RDBEND\0\1", 8, "it is not whole: its end is missing", true);
}

static void test_lines_that_must_be_there(void **state)
{
	static const char dump[] =
		",\"requires\":[{\"pattern\":\"^USERS\",\"problem\":\"no users\"},"
		"{\"pattern\":\"grants$\",\"problem\":\"no grants\"}]";

	(void)state;
	expect(dump, "USERS\nthe grants", 16, NULL, false);
	expect(dump, "the grants\nUSERS", 16, NULL, false);
	expect(dump, "xUSERS\nthe grants\n", 18, "it is not whole: no users", false);
	expect(dump, "USERS\nthe grants.\n", 18, "it is not whole: no grants", false);
}

/* What is of one database need not be what a server's dump is, and counts instead. */
static void test_either_kind(void **state)
{
	static const char dump[] = ",\"complete\":\"all$\",\"database\":{\"arguments\":[\"d\"],"
				   "\"complete\":\"one$\"}";

	(void)state;
	expect(dump, "x all", 5, NULL, false);
	expect(dump, "x one", 5, NULL, false);
	expect(dump, "x two", 5, "it is not whole: its end is missing", false);
}

/* The kind of the error of a dump of one database, and what it says; "": it is right. */
static void expect_name(const char *names, const char *data, const char *database, const char *says)
{
	cleanup_free char *dump = memory_printf(",\"database\":{\"arguments\":[\"d\"]%s}", names);
	CLEANUP(cleanup_driver_free) struct driver *driver = driver_with(dump);
	cleanup_error struct error *error = NULL;
	CLEANUP(cleanup_dump_check_free)
	struct dump_check *check = dump_check_new(driver, DUMP_OF_DATABASE, &error);

	assert_non_null(check);
	dump_check_take(check, data, strlen(data));
	if (!*says) {
		assert_int_equal(dump_check_database(check, database, &error), 0);
		return;
	}
	assert_int_equal(dump_check_database(check, database, &error), -1);
	assert_int_equal(error->kind, ERROR_USAGE);
	assert_non_null(strstr(error->message, says));
}

#define NAMES ",\"names\":\"\\nUSE (`([^`]|``)*`|[a-z]+);\""

static void test_the_name_in_it(void **state)
{
	(void)state;
	expect_name(NAMES, "x\nUSE `shop`;\n", "shop", "");
	expect_name(NAMES, "x\nUSE shop;\n", "shop", "");
	expect_name(NAMES, "x\nUSE `other ``gr\303\266\303\237e`;\n", "other `gr\303\266\303\237e",
		    "");
	expect_name(NAMES, "x\nUSE `sho`;\n", "shop", "of database \"sho\"");
	expect_name(NAMES, "x\nUSE ``;\nUSE `shop`;\n", "shop", "of database \"\"");
	expect_name(NAMES, "x\nUSE `Shop`;\n", "shop", "would replace that one, not \"shop\"");
	expect_name(NAMES, "CREATE TABLE x\n", "shop", "does not say of which database");
	expect_name(NAMES, "", "shop", "does not say of which database");
	expect_name("", "x\nUSE `sho`;\n", "shop", "");
}

static void complain(const char *out, const char *err, size_t step, const char *expected)
{
	struct complaint complaint;

	assert_int_equal(complaint_init(&complaint, "^(ERROR|FATAL): ", "^ERROR: harmless", NULL),
			 0);
	for (size_t i = 0; i < strlen(out) || i < strlen(err); i += step) {
		if (i < strlen(out))
			complaint_take(&complaint, 1, out + i,
				       strlen(out + i) < step ? strlen(out + i) : step);
		if (i < strlen(err))
			complaint_take(&complaint, 2, err + i,
				       strlen(err + i) < step ? strlen(err + i) : step);
	}
	complaint_end(&complaint);
	if (expected)
		assert_string_equal(text_or(complaint.first, "(none)"), expected);
	else
		assert_null(complaint.first);
	complaint_release(&complaint);
}

static void test_complaints(void **state)
{
	(void)state;
	for (size_t step = 1; step < 40; step += 3) {
		complain("1 row\n", "NOTICE: x\n", step, NULL);
		complain("a\n", "ERROR: harmless one\nno ERROR: x\n", step, NULL);
		complain("a\n", "x\nERROR: no such table\r\nERROR: other\n", step,
			 "ERROR: no such table");
		/* Of either stream, without mixing their lines, and without an end. */
		complain("FATAL: gone", "ERR", step, "FATAL: gone");
		complain("ERR", "OR: x\n", step, NULL);
	}
}

static char *find(void *context, const char *name)
{
	(void)context;
	return strcmp(name, "a") == 0 ? memory_strdup("<${b}>")
				      : (strcmp(name, "b") == 0 ? memory_strdup("") : NULL);
}

static void test_templates(void **state)
{
	cleanup_free char *text = template_expand("$ ${a}${b}$a {b} $", 100, find, NULL);
	cleanup_free char *absent = template_expand("x ${c}", 100, find, NULL);
	cleanup_free char *long_one = template_expand("${a}${a}", 9, find, NULL);

	(void)state;
	assert_string_equal(text, "$ <${b}>$a {b} $");
	assert_null(absent);
	assert_null(long_one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_lines_that_must_be_there),
		cmocka_unit_test(test_either_kind),
		cmocka_unit_test(test_the_name_in_it),
		cmocka_unit_test(test_complaints),
		cmocka_unit_test(test_templates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
