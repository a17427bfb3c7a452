/*
 * What reaches a terminal: escaped, clipped, aligned, and never at the price of time.
 */
#include "test_support.h"

#include <fcntl.h>
#include <string.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "ui/escape.h"
#include "ui/output.h"
#include "ui/progress.h"
#include "ui/table.h"

static void text_is_made_harmless(void **state)
{
	static const char *const cases[][2] = {
		{"plain", "plain"},
		{"Gr\xc3\xbc\xc3\x9f"
		 "e \xe6\x97\xa5",
		 "Gr\xc3\xbc\xc3\x9f"
		 "e \xe6\x97\xa5"},
		{"\033[2Jx", "\\x1b[2Jx"},
		{"a\rb\nc\td\x7f", "a\\x0db\\x0ac\\x09d\\x7f"},
		{"\xc2\x9b"
		 "31m",
		 "\\xc2\\x9b31m"}, /* C1 CSI */
		{"a\xe2\x80\xae"
		 "b",
		 "a\\xe2\\x80\\xaeb"}, /* right-to-left override */
		{"a\xe2\x81\xa6"
		 "b",
		 "a\\xe2\\x81\\xa6b"}, /* isolate */
		{"\xef\xbb\xbf"
		 "x",
		 "\\xef\\xbb\\xbfx"},			      /* byte order mark */
		{"\xff\xfe", "\\xff\\xfe"},		      /* no UTF-8 */
		{"\xc0\xaf", "\\xc0\\xaf"},		      /* overlong */
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"},	      /* surrogate */
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* above Unicode */
		{"\xe2\x80", "\\xe2\\x80"},		      /* cut */
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cleanup_free char *escaped = escape_text(cases[i][0]);

		assert_string_equal(escaped, cases[i][1]);
	}
}

static void lines_keep_their_ends_only(void **state)
{
	cleanup_free char *escaped = escape_lines("a\n\tb\033\r\n");

	(void)state;
	assert_string_equal(escaped, "a\n b\\x1b\\x0d\n");
}

static void nothing_passes_that_a_terminal_obeys(void **state)
{
	(void)state;
	for (unsigned first = 1; first < 256; first++)
		for (unsigned second = 0; second < 256; second++) {
			char text[4] = {(char)first, (char)second, 'x', 0};
			cleanup_free char *escaped = escape_text(text);

			for (const char *c = escaped; *c; c++) {
				assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
				if ((unsigned char)*c == 0xc2)
					assert_true((unsigned char)c[1] >= 0xa0);
			}
		}
}

static void width_counts_columns(void **state)
{
	cleanup_free char *clipped = escape_clip("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 5);
	cleanup_free char *whole = escape_clip("abcdef", 6), *cut = escape_clip("abcdefgh", 6);
	cleanup_free char *tiny = escape_clip("abcdefgh", 2), *none = escape_clip("abc", 0);

	(void)state;
	assert_int_equal(escape_width("e\xcc\x81x"), 2);
	assert_int_equal(escape_width("\xe6\x97\xa5"), 2);
	assert_string_equal(whole, "abcdef");
	assert_string_equal(cut, "abc...");
	assert_string_equal(clipped, "\xe6\x97\xa5...");
	assert_string_equal(tiny, "a.");
	assert_string_equal(none, "");
}

static char *printed(const struct table *table, size_t width)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	table_print(table, file, width);
	fclose(file);
	return text;
}

static void tables_are_aligned_and_clipped(void **state)
{
	CLEANUP(cleanup_table_free) struct table *table = table_new();
	cleanup_free char *wide = NULL, *narrow = NULL;

	(void)state;
	table_column(table, "NAME", TABLE_LEFT);
	table_column(table, "SIZE", TABLE_RIGHT);
	table_column(table, "TITLE", TABLE_FLEXIBLE);
	table_cell(table, "db");
	table_cell(table, "1 MiB");
	table_cell(table, "before the long migration");
	table_cell(table, "cache-1");
	table_cellf(table, "%d B", 9);
	table_cell(table, "\033]0;x");
	assert_int_equal(table_rows(table), 2);
	wide = printed(table, 0);
	assert_string_equal(wide, "NAME      SIZE  TITLE\n"
				  "db       1 MiB  before the long migration\n"
				  "cache-1    9 B  \\x1b]0;x\n");
	narrow = printed(table, 30);
	assert_string_equal(narrow, "NAME      SIZE  TITLE\n"
				    "db       1 MiB  before the ...\n"
				    "cache-1    9 B  \\x1b]0;x\n");
}

/* A pipe that is full and that nobody reads, as fd 2; *reader is its other end. */
static int stall_stderr(int *reader)
{
	int saved = dup(STDERR_FILENO), ends[2];
	char block[4096] = {0};

	assert_int_equal(pipe(ends), 0);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	while (write(ends[1], block, sizeof(block)) > 0)
		;
	fcntl(ends[1], F_SETFL, 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	*reader = ends[0];
	return saved;
}

static void a_stalled_reader_costs_no_time(void **state)
{
	int reader, saved = stall_stderr(&reader);
	uint64_t began = clock_monotonic_ms(), took;
	struct progress *progress = progress_new(VERBOSITY_VERBOSE);

	(void)state;
	for (int i = 0; i < 2000; i++) {
		progress_phase(progress, "reading volume %d", i);
		progress_update(progress, (uint64_t)i, (uint64_t)i << 20, 0);
		progress_warn(progress,
			      "a warning that is longer than what a pipe's last bytes hold");
		progress_detail(progress, "detail %d", i);
	}
	progress_free(progress);
	took = clock_monotonic_ms() - began;
	/* The flags that other processes see are as they were. */
	assert_int_equal(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(reader);
	assert_true(took < 1000);
}

static void a_warning_waits_for_a_slow_reader(void **state)
{
	int reader, saved = stall_stderr(&reader);
	struct progress *progress = progress_new(VERBOSITY_QUIET);
	static char text[1 << 20];
	size_t size = 0;
	ssize_t count;

	(void)state;
	progress_warn(progress, "first");
	progress_note(progress, "not when quiet");
	fcntl(reader, F_SETFL, O_NONBLOCK);
	while ((count = read(reader, text, sizeof(text))) > 0)
		;
	progress_warn(progress, "second");
	progress_free(progress);
	dup2(saved, STDERR_FILENO);
	close(saved);
	while ((count = read(reader, text + size, sizeof(text) - 1 - size)) > 0)
		size += (size_t)count;
	text[size] = 0;
	close(reader);
	assert_string_equal(text, "warning: first\nwarning: second\n");
}

static void a_phase_that_goes_on_is_said_once(void **state)
{
	int ends[2], saved = dup(STDERR_FILENO);
	struct progress *progress;
	char text[256] = "";

	(void)state;
	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	progress = progress_new(VERBOSITY_NORMAL);
	progress_phase(progress, "looking at %s", "it");
	progress_note(progress, "a note");
	progress_phase(progress, "looking at %s", "it");
	progress_phase(progress, "writing");
	progress_phase(progress, "looking at %s", "it");
	progress_free(progress);
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
	close(ends[0]);
	assert_string_equal(text, "looking at it\na note\nwriting\nlooking at it\n");
}

static void a_closed_reader_is_no_failure(void **state)
{
	struct output output;
	int ends[2];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(ends), 0);
	output_init(&output, ends[1]);
	close(ends[0]);
	output_keep(&output, "x\n", 2);
	assert_true(output_offer(&output, "y\n", 2));
	output_release(&output);
	close(ends[1]);
}

static void files_are_appended_to(void **state)
{
	char path[] = "/tmp/test-ui-XXXXXX", text[64] = "";
	int fd = mkstemp(path);
	struct output output;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "before\n", 7), 7);
	output_init(&output, fd);
	output_keep(&output, "one\n", 4);
	output_offer(&output, "two\n", 4);
	output_release(&output);
	assert_int_equal(pread(fd, text, sizeof(text) - 1, 0), 15);
	assert_string_equal(text, "before\none\ntwo\n");
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_made_harmless),
		cmocka_unit_test(lines_keep_their_ends_only),
		cmocka_unit_test(nothing_passes_that_a_terminal_obeys),
		cmocka_unit_test(width_counts_columns),
		cmocka_unit_test(tables_are_aligned_and_clipped),
		cmocka_unit_test(a_stalled_reader_costs_no_time),
		cmocka_unit_test(a_warning_waits_for_a_slow_reader),
		cmocka_unit_test(a_phase_that_goes_on_is_said_once),
		cmocka_unit_test(a_closed_reader_is_no_failure),
		cmocka_unit_test(files_are_appended_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
