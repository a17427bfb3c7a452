/*
 * Where a container's data came from: three witnesses that may contradict each other, of
 * which the latest is right, and one that is a snapshot's no more is none.
 */
#include "test_support.h"

#include <string.h>

#include "base/memory.h"
#include "snapshot/origin.h"

#define IMAGE(id, tag, snapshot, container, kind, created)                                         \
	"{\"Id\":\"" id "\",\"RepoTags\":[\"" tag "\"],\"Labels\":{\"sidesnap.id\":\"" snapshot    \
	"\",\"sidesnap.source.id\":\"" container "\",\"sidesnap.kind\":\"" kind                    \
	"\",\"sidesnap.created\":\"" created "\"}}"

/*
 * The reference that is found for container "db", made on ${made} from ${image}, of which it has
 * inherited the id ${inherited}.
 */
static void expect_inherited(const char *images, const char *image, const char *inherited,
			     const char *made, const char *record, bool safeties,
			     const char *expected)
{
	CLEANUP(cleanup_json_free) struct json *list = parsed(images);
	CLEANUP(cleanup_json_free) struct json *inspect = json_new_object();
	CLEANUP(cleanup_json_free) struct json *noted = record ? parsed(record) : NULL;
	struct target target = {.inspect = inspect, .id = "db", .image_id = image};
	const struct json *found;

	json_set_string(inspect, "Created", made);
	json_set_string(json_set_object(json_set_object(inspect, "Config"), "Labels"),
			"sidesnap.id", inherited);
	found = origin_find(list, &target, noted, safeties);
	if (!expected) {
		assert_null(found);
		return;
	}
	assert_non_null(found);
	assert_string_equal(origin_reference(found), expected);
}

static void expect(const char *images, const char *image, const char *made, const char *record,
		   bool safeties, const char *expected)
{
	expect_inherited(images, image, "", made, record, safeties, expected);
}

#define FIRST IMAGE("sha256:1", "a:1", "one", "db", "user", "2026-01-01T00:00:00.000Z")
#define SECOND IMAGE("sha256:2", "a:2", "two", "db", "user", "2026-01-02T00:00:00.000Z")
#define SAFETY IMAGE("sha256:3", "a:3", "three", "db", "safety", "2026-01-03T00:00:00.000Z")
#define OTHERS IMAGE("sha256:4", "a:4", "four", "web", "user", "2026-01-04T00:00:00.000Z")
#define BARE IMAGE("sha256:5", "<none>:<none>", "one", "db", "user", "2026-01-01T00:00:00.000Z")

#define RECORD(snapshot, at)                                                                       \
	"{\"container\":\"db\",\"snapshot\":\"" snapshot "\",\"at\":\"" at "\"}"

static void test_nothing_is_known(void **state)
{
	(void)state;
	expect("[]", "sha256:0", "2026-01-01T00:00:00Z", NULL, true, NULL);
	expect("[" OTHERS "]", "sha256:0", "2026-01-01T00:00:00Z", NULL, true, NULL);
	expect("[" SAFETY "]", "sha256:0", "2026-01-01T00:00:00Z", NULL, false, NULL);
	expect("[]", "sha256:0", "", RECORD("one", "2026-01-09T00:00:00Z"), true, NULL);
}

static void test_the_last_that_was_created(void **state)
{
	(void)state;
	expect("[" FIRST "," SECOND "," SAFETY "," OTHERS "]", "sha256:0", "2026-01-01T00:00:00Z",
	       NULL, false, "a:2");
	expect("[" SAFETY "," SECOND "," FIRST "]", "sha256:0", "2026-01-01T00:00:00Z", NULL, true,
	       "a:3");
}

static void test_what_it_was_booted_from(void **state)
{
	(void)state;
	/* Nanoseconds, another zone: compared as times, not as they are written. */
	expect("[" FIRST "," OTHERS "]", "sha256:4", "2026-01-01T00:00:00.001000001Z", NULL, false,
	       "a:4");
	expect("[" SECOND "," OTHERS "]", "sha256:4", "2026-01-02T00:30:00+01:00", NULL, false,
	       "a:2");
}

static void test_what_it_was_booted_from_and_described_since(void **state)
{
	(void)state;
	expect_inherited("[" FIRST "," OTHERS "]", "sha256:9", "four", "2026-01-05T00:00:00Z", NULL,
			 false, "a:4");
	expect_inherited("[" FIRST "," OTHERS "]", "sha256:9", "nine", "2026-01-05T00:00:00Z", NULL,
			 false, "a:1");
	/* As long as the image is there it is what counts: the label can be of any age. */
	expect_inherited("[" SECOND "," OTHERS "]", "sha256:2", "four", "2026-01-05T00:00:00Z",
			 NULL, false, "a:2");
}

static void test_what_it_was_reset_to(void **state)
{
	(void)state;
	expect("[" FIRST "," SECOND "]", "sha256:0", "2026-01-01T00:00:00Z",
	       RECORD("one", "2026-01-03T00:00:00.000Z"), false, "a:1");
	/* A create after it is later. */
	expect("[" FIRST "," SECOND "]", "sha256:0", "2026-01-01T00:00:00Z",
	       RECORD("one", "2026-01-01T12:00:00.000Z"), false, "a:2");
	/* One that was pulled and is of another container. */
	expect("[" FIRST "," OTHERS "]", "sha256:0", "2026-01-01T00:00:00Z",
	       RECORD("four", "2026-01-03T00:00:00.000Z"), false, "a:4");
	/* Removed since: then the others are asked. */
	expect("[" FIRST "," SECOND "]", "sha256:0", "2026-01-01T00:00:00Z",
	       RECORD("gone", "2026-01-09T00:00:00.000Z"), false, "a:2");
	/* After an undo the safety snapshot is where it came from, but no default. */
	expect("[" FIRST "," SAFETY "]", "sha256:0", "2026-01-01T00:00:00Z",
	       RECORD("three", "2026-01-09T00:00:00.000Z"), false, "a:1");
	expect("[" FIRST "," SAFETY "]", "sha256:0", "2026-01-01T00:00:00Z",
	       RECORD("three", "2026-01-09T00:00:00.000Z"), true, "a:3");
}

static void test_one_with_a_tag_is_preferred(void **state)
{
	(void)state;
	expect("[" BARE "," FIRST "]", "sha256:0", "", NULL, false, "a:1");
	expect("[" FIRST "," BARE "]", "sha256:0", "", NULL, false, "a:1");
	expect("[" BARE "]", "sha256:0", "", NULL, false, "sha256:5");
}

static void test_times_that_are_none(void **state)
{
	(void)state;
	expect("[" FIRST "," SECOND "]", "sha256:0", "rubbish", RECORD("one", "rubbish"), false,
	       "a:2");
	expect("[" IMAGE("sha256:6", "a:6", "six", "db", "user", "?") "]", "sha256:0", "", NULL,
	       false, "a:6");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_known),
		cmocka_unit_test(test_the_last_that_was_created),
		cmocka_unit_test(test_what_it_was_booted_from),
		cmocka_unit_test(test_what_it_was_booted_from_and_described_since),
		cmocka_unit_test(test_what_it_was_reset_to),
		cmocka_unit_test(test_one_with_a_tag_is_preferred),
		cmocka_unit_test(test_times_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
