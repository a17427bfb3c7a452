/* When a container is about to be checked. */
#include "test_support.h"

#include <stdio.h>

#include "base/json.h"
#include "snapshot/helper/probe.h"

#define SECOND "000000000" /* behind a number */

/* At 12:00:00 and so many ms, UTC. */
static bool is_near_at(const char *text, long ms)
{
	CLEANUP(cleanup_json_free) struct json *inspect = json_parse(text, strlen(text), NULL);
	struct timespec now;

	assert_non_null(inspect);
	assert_true(clock_parse("2026-01-31T12:00:00Z", &now));
	now.tv_sec += ms / 1000;
	now.tv_nsec = ms % 1000 * 1000000;
	return probe_is_near(inspect, &now);
}

static void test_what_is_not_checked_is_never_near(void **state)
{
	(void)state;
	assert_false(is_near_at("{\"State\":{}}", 0));
	assert_false(is_near_at("{\"State\":{\"Health\":{\"Status\":\"none\"}}}", 0));
	assert_false(is_near_at("{\"State\":{\"Health\":{\"Status\":\"healthy\",\"Log\":[{\"End\":"
				"\"never\"}]}}}",
				0));
}

static void test_near_is_around_the_interval_after_the_last(void **state)
{
	static const char text[] =
		"{\"State\":{\"StartedAt\":\"2026-01-31T11:00:00Z\",\"Health\":{\"Status\":"
		"\"healthy\",\"Log\":[{\"End\":\"2026-01-31T11:59:00Z\"},"
		"{\"End\":\"2026-01-31T13:00:00+01:00\"}]}},"
		"\"Config\":{\"Healthcheck\":{\"Interval\":5" SECOND "}}}";

	(void)state;
	assert_false(is_near_at(text, 4500));
	assert_true(is_near_at(text, 4900));
	assert_true(is_near_at(text, 5000));
	assert_true(is_near_at(text, 5900));
	/* it takes long: it runs by now */
	assert_false(is_near_at(text, 6100));
}

static void test_the_first_check_counts_from_the_start(void **state)
{
	static const char fresh[] =
		"{\"State\":{\"StartedAt\":\"2026-01-31T12:00:00Z\",\"Health\":{\"Status\":"
		"\"starting\",\"Log\":[]}},\"Config\":{\"Healthcheck\":{}}}";
	static const char eager[] =
		"{\"State\":{\"StartedAt\":\"2026-01-31T12:00:00Z\",\"Health\":{\"Status\":"
		"\"starting\"}},\"Config\":{\"Healthcheck\":{\"StartInterval\":2" SECOND
		",\"Interval\":60" SECOND "}}}";

	(void)state;
	assert_false(is_near_at(fresh, 10000));
	assert_true(is_near_at(fresh, 30000));
	assert_false(is_near_at(eager, 1000));
	assert_true(is_near_at(eager, 2100));
}

static bool is_starting(const char *text)
{
	CLEANUP(cleanup_json_free) struct json *exec = json_parse(text, strlen(text), NULL);

	assert_non_null(exec);
	return probe_exec_is_starting(exec);
}

static void test_a_command_starts_until_it_has_a_process(void **state)
{
	(void)state;
	assert_true(is_starting("{\"Running\":true,\"Pid\":0}"));
	assert_false(is_starting("{\"Running\":true,\"Pid\":7}"));
	assert_false(is_starting("{\"Running\":false,\"Pid\":0,\"ExitCode\":null}"));
	assert_false(is_starting("{\"Running\":true}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_not_checked_is_never_near),
		cmocka_unit_test(test_near_is_around_the_interval_after_the_last),
		cmocka_unit_test(test_the_first_check_counts_from_the_start),
		cmocka_unit_test(test_a_command_starts_until_it_has_a_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
