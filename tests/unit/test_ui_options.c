/*
 * Command lines: what is accepted, and what a person is told of the rest.
 */
#include "test_support.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ui/options.h"

static const struct option global[] = {
	{.name = "project", .letter = 'p', .type = OPTION_TEXT, .value = "P", .help = "h"},
	{.name = "quiet", .letter = 'q', .help = "h"},
	{0},
};
static const struct option own[] = {
	{.name = "publish",
	 .letter = 'p',
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "P",
	 .help = "h"},
	{.name = "force", .letter = 'f', .help = "h"},
	{.name = "memory", .letter = 'm', .type = OPTION_SIZE, .value = "S", .help = "h"},
	{.name = "timeout", .type = OPTION_SECONDS, .value = "T", .help = "h"},
	{.name = "count", .type = OPTION_NUMBER, .value = "N", .help = "h"},
	{.name = "include", .type = OPTION_PATH, .value = "PATH", .help = "h"},
	{0},
};

static struct options_grammar grammar = {.verb = "run", .own = own, .global = global};

/* Parse words separated by single spaces, which live until the next call. */
static int parse_words(struct options *options, const struct options_grammar *with,
		       const char *line, struct error **err)
{
	static char text[256];
	char *words[32], *rest = text, *word;
	int count = 0;

	assert_true(strlen(line) < sizeof(text));
	memcpy(text, line, strlen(line) + 1);
	while (*rest && (word = strsep(&rest, " "))) {
		words[count++] = word;
		if (!rest)
			break;
	}
	options_init(options);
	return options_parse(options, with, count, words, NULL, err);
}

static void all_forms_of_a_value(void **state)
{
	static const char *const lines[] = {"--memory 2GiB", "--memory=2GiB", "-m 2GiB",
					    "-m2GiB",	     "-m=2GiB",	      "-qfm 2GiB"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct options options;

		assert_int_equal(parse_words(&options, &grammar, lines[i], NULL), 0);
		assert_int_equal(options_size(&options, "memory", 1), (uint64_t)2 << 30);
		assert_int_equal(options.arguments.count, 0);
		options_release(&options);
	}
}

static void own_letters_hide_global_ones(void **state)
{
	CLEANUP(options_release) struct options options;
	CLEANUP(string_list_release) struct string_list ports;

	(void)state;
	string_list_init(&ports);
	assert_int_equal(parse_words(&options, &grammar, "-p 1:1 --project x -p 2:2 -q", NULL), 0);
	options_list(&options, "publish", &ports);
	assert_int_equal(ports.count, 2);
	assert_string_equal(ports.items[1], "2:2");
	assert_string_equal(options_text(&options, "project"), "x");
	assert_true(options_has(&options, "quiet"));
	assert_false(options_has(&options, "force"));
}

static void a_command_is_left_alone(void **state)
{
	struct options_grammar command = grammar;
	struct options options;

	(void)state;
	command.takes_command = true;
	assert_int_equal(parse_words(&options, &command, "-f ref -q sh -c --force -m", NULL), 0);
	assert_int_equal(options.arguments.count, 5);
	assert_string_equal(options.arguments.items[2], "-c");
	assert_true(options_has(&options, "quiet"));
	options_release(&options);
	assert_int_equal(parse_words(&options, &command, "ref -- -c x", NULL), 0);
	assert_int_equal(options.arguments.count, 3);
	assert_string_equal(options.arguments.items[1], "-c");
	options_release(&options);
}

static void what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *line, *message, *hint;
	} cases[] = {
		{"--froce", "unknown option --froce for run", "did you mean --force?"},
		{"--forc=1", "unknown option --forc for run", "did you mean --force?"},
		{"-z", "unknown option -z for run", "--help"},
		{"--memory", "--memory needs a value", "--memory S"},
		{"-fm", "--memory needs a value", ""},
		{"--memory=much", "--memory: \"much\" is no size", ""},
		{"--timeout=soon", "--timeout: \"soon\" is no duration", ""},
		{"--count=-1", "--count: \"-1\" is no whole number", ""},
		{"--include=x", "no absolute path", ""},
		{"--force=1", "--force takes no value", ""},
		{"-m 1k -m 2k", "--memory was given twice", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CLEANUP(options_release) struct options options;
		cleanup_error struct error *err = NULL;

		assert_int_equal(parse_words(&options, &grammar, cases[i].line, &err), -1);
		assert_int_equal(err->kind, ERROR_USAGE);
		if (!strstr(err->message, cases[i].message) ||
		    !strstr(err->hint ? err->hint : "", cases[i].hint))
			fail_msg("%s: %s (%s)", cases[i].line, err->message, err->hint);
	}
}

static void durations_have_units(void **state)
{
	static const struct {
		const char *line;
		uint64_t milliseconds;
	} cases[] = {
		{"--timeout 90", 90000},   {"--timeout 90s", 90000}, {"--timeout 5m", 300000},
		{"--timeout 2h", 7200000}, {"--timeout 5ms", 5},     {"-f", 7},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CLEANUP(options_release) struct options options;

		assert_int_equal(parse_words(&options, &grammar, cases[i].line, NULL), 0);
		assert_int_equal(options_milliseconds(&options, "timeout", 7),
				 cases[i].milliseconds);
	}
}

static void distances(void **state)
{
	static const char *const words[] = {"create", "replace", "verify"};

	(void)state;
	assert_int_equal(options_distance("", "abc"), 3);
	assert_int_equal(options_distance("abc", "abc"), 0);
	assert_int_equal(options_distance("ABC", "abc"), 0);
	assert_int_equal(options_distance("kitten", "sitting"), 3);
	assert_int_equal(options_distance("cretae", "create"), 1);
	assert_string_equal(options_nearest("creat", words, 3), "create");
	assert_null(options_nearest("zzz", words, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_forms_of_a_value),
		cmocka_unit_test(own_letters_hide_global_ones),
		cmocka_unit_test(a_command_is_left_alone),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(distances),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
