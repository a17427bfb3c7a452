/*
 * Prune's rules against a table of cases: which snapshots stay, and why. The order in which they
 * are given must not matter.
 */
#include "test_support.h"

#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "snapshot/keep.h"

#define ITEMS_MAX 24

/*
 * ${snapshots}: "TIME[flags]", separated by blanks; TIME is "2026-01-31T13:15" or shorter; flags are
 * p pinned, u in use, s safety, and "=TAG" at the end. ${kept}: for each, in the same order, the
 * first letters of its reasons, "-" for none.
 */
struct keep_case {
	const char *what;
	struct keep_rules rules;
	const char *tags; /* separated by blanks */
	const char *snapshots;
	const char *kept;
};

static const struct keep_case cases[] = {
	{"the last two", {.last = 2}, "", "2026-01-01 2026-01-02 2026-01-03", "- last last"},
	{"fewer than wanted", {.last = 5}, "", "2026-01-01 2026-01-02", "last last"},
	{"nothing at all", {.last = 5}, "", "", ""},
	{"the newest of an hour",
	 {.hourly = 2},
	 "",
	 "2026-01-01T10:00 2026-01-01T10:59 2026-01-01T11:00 2026-01-01T11:30 2026-01-01T09:59",
	 "- hourly - hourly -"},
	{"hours without a snapshot count for nothing",
	 {.hourly = 2},
	 "",
	 "2026-01-01T10:00 2026-01-05T10:00 2025-01-01T10:00",
	 "hourly hourly -"},
	{"the newest of a day, which ends at midnight in UTC",
	 {.daily = 3},
	 "",
	 "2026-01-01T23:59 2026-01-02T00:00 2026-01-02T23:59 2026-01-03T00:01 2026-01-01T12:00",
	 "daily - daily daily -"},
	{"a time of another zone is its instant in UTC",
	 {.daily = 5},
	 "",
	 "2026-01-02T00:30+01:00 2026-01-01T12:00",
	 "daily -"},
	/* 2026-01-05 is a Monday */
	{"weeks begin on Monday",
	 {.weekly = 2},
	 "",
	 "2026-01-04T23:59 2026-01-05T00:00 2026-01-11T23:59 2026-01-12T00:00",
	 "- - weekly weekly"},
	{"a week over the end of a year is one",
	 {.weekly = 3},
	 "",
	 "2025-12-29 2025-12-31 2026-01-01 2026-01-04 2025-12-28",
	 "- - - weekly weekly"},
	{"months",
	 {.monthly = 2},
	 "",
	 "2026-01-01 2026-01-31 2026-02-01 2025-12-31 2025-02-01",
	 "- monthly monthly - -"},
	{"the same month of two years",
	 {.monthly = 3},
	 "",
	 "2026-02-01 2025-02-01 2024-02-01 2023-02-01",
	 "monthly monthly monthly -"},
	{"years",
	 {.yearly = 2},
	 "",
	 "2024-12-31 2025-01-01 2025-12-31 2026-01-01",
	 "- - yearly yearly"},
	{"leap days",
	 {.daily = 3, .yearly = 1},
	 "",
	 "2024-02-28 2024-02-29 2024-03-01 2024-02-27",
	 "daily daily daily,yearly -"},
	{"before 1970",
	 {.daily = 2},
	 "",
	 "1969-12-31T23:59 1969-12-31T00:00 1970-01-01T00:00 1969-12-30",
	 "daily - daily -"},
	{"rules are independent: each looks at all",
	 {.last = 1, .daily = 2, .weekly = 2},
	 "",
	 "2026-01-12T10:00 2026-01-12T09:00 2026-01-11 2026-01-10 2026-01-04",
	 "last,daily,weekly - daily,weekly - -"},
	{"seven days of one a day, four weeks",
	 {.daily = 3, .weekly = 3},
	 "",
	 "2026-01-14 2026-01-13 2026-01-12 2026-01-11 2026-01-10 2026-01-05 2026-01-04 2026-01-03 2025-12-28",
	 "daily,weekly daily daily weekly - - weekly - -"},
	{"within is counted from the newest",
	 {.within_s = 2 * 86400},
	 "",
	 "2020-01-01T12:00 2020-01-03T12:00 2020-01-01T11:59 2020-01-02",
	 "within within - within"},
	{"a time that has not come yet is no measure",
	 {.within_s = 86400},
	 "",
	 "2099-01-01 2026-06-01 2026-05-31 2026-05-30",
	 "within within within -"},
	{"all in the future", {.within_s = 86400}, "", "2099-01-01 2098-01-01", "within within"},
	{"a tag alone",
	 {.last = 1},
	 "release-*",
	 "2026-01-01=db:release-1 2026-01-02=db:daily 2026-01-03=db:x 2026-01-04=release-db:y",
	 "tag - - last"},
	{"a whole reference",
	 {.last = 1},
	 "team/*:v? x:*",
	 "2026-01-01=team/db:v1 2026-01-02=db:v1 2026-01-03=a.example/team/db:v1 2026-01-04=x:y "
	 "2026-01-05=z:z",
	 "tag - - tag last"},
	{"what an engine puts before a name",
	 {.last = 1},
	 "db:v? t/*:v1",
	 "2026-01-01=docker.io/library/db:v1 2026-01-02=localhost/db:v2 2026-01-03=db:v3 "
	 "2026-01-04=a.example/db:v4 2026-01-05=docker.io/t/db:v1 2026-01-06=docker.io/x/db:v1 2026-01-07",
	 "tag tag tag - tag - last"},
	{"a registry's port is no tag",
	 {.last = 1},
	 "5000*",
	 "2026-01-01=a.example:5000/db 2026-01-02=db:5000 2026-01-03=db:1",
	 "- tag last"},
	{"pinned and used ones stay, and fill the places of rules",
	 {.daily = 1},
	 "",
	 "2026-01-01p 2026-01-02u 2026-01-03pu 2025-12-31",
	 "pinned in-use daily,pinned,in-use -"},
	{"safety snapshots stay, and fill none",
	 {.last = 1, .daily = 1},
	 "safe",
	 "2026-01-01s=a:safe 2026-01-02 2026-01-03s 2026-01-01",
	 "safety last,daily safety -"},
	{"one of the lineage stays",
	 {0},
	 "none",
	 "2026-01-01 2026-01-03 2026-01-02s",
	 "- only safety"},
	{"unless it may go",
	 {.all_may_go = true},
	 "none",
	 "2026-01-01 2026-01-03 2026-01-02s",
	 "- - safety"},
	{"one that is pinned is one",
	 {0},
	 "none",
	 "2026-01-01p 2026-01-03 2026-01-02",
	 "pinned - -"},
	{"whose time makes no sense stays, and fills no place",
	 {.last = 1},
	 "",
	 "never 2026-01-01 2026-01-02 13",
	 "undated - last undated"},
};

static void parse_item(struct keep_item *item, const char *word, char *created, size_t size)
{
	size_t length = strcspn(word, "pus=");
	const char *flags = word + length, *tag = strchr(word, '=');
	struct json *references = json_new_array();

	/* "never" has no flag letters in it but "13" is as good; dates get what they lack. */
	if (length == strlen("2026-01-01"))
		snprintf(created, size, "%.*sT00:00:00Z", (int)length, word);
	else if (length == strlen("2026-01-01T00:00"))
		snprintf(created, size, "%.*s:00Z", (int)length, word);
	else if (length == strlen("2026-01-01T00:00+00:00"))
		snprintf(created, size, "%.16s:00%.6s", word, word + 16);
	else
		snprintf(created, size, "%.*s", (int)length, word);
	if (tag)
		json_add_string(references, tag + 1);
	*item = (struct keep_item){
		.id = word,
		.created = created,
		.references = references,
	};
	for (; *flags && flags != tag; flags++) {
		item->is_pinned |= *flags == 'p';
		item->is_in_use |= *flags == 'u';
		item->is_safety |= *flags == 's';
	}
}

static char *reasons_of(const struct keep_item *item)
{
	CLEANUP(cleanup_json_free) struct json *names = keep_reason_names(item->reasons);
	struct buffer text;

	if (!item->reasons)
		return memory_strdup("-");
	buffer_init(&text, 1024);
	json_for_each(name, names)
		buffer_printf(&text, "%s%s", text.size ? "," : "", json_string(name, NULL));
	return buffer_steal(&text);
}

/* Rotated by ${turn}, to see that the order is nothing. */
static void check_case(const struct keep_case *test, size_t turn, const struct timespec *now)
{
	CLEANUP(string_list_release) struct string_list words, kept;
	struct keep_rules rules = test->rules;
	struct keep_item items[ITEMS_MAX];
	char created[ITEMS_MAX][40];

	string_list_init(&words);
	string_list_init(&kept);
	string_list_init(&rules.tags);
	string_list_split(&words, test->snapshots, ' ');
	string_list_split(&kept, test->kept, ' ');
	string_list_split(&rules.tags, test->tags, ' ');
	assert_true(words.count <= ITEMS_MAX);
	assert_int_equal(words.count, kept.count);
	for (size_t i = 0; i < words.count; i++) {
		size_t at = (i + turn) % words.count;

		parse_item(&items[at], words.items[i], created[at], sizeof(created[at]));
	}
	keep_apply(&rules, items, words.count, *now);
	for (size_t i = 0; i < words.count; i++) {
		struct keep_item *item = &items[(i + turn) % words.count];
		cleanup_free char *reasons = reasons_of(item);

		if (strcmp(reasons, kept.items[i]) != 0)
			fail_msg("%s: \"%s\" is kept for \"%s\", not for \"%s\"", test->what,
				 words.items[i], reasons, kept.items[i]);
		json_free((struct json *)item->references);
	}
	string_list_release(&rules.tags);
}

static void test_cases(void **state)
{
	struct timespec now;

	(void)state;
	assert_true(clock_parse("2026-06-01T12:00:00Z", &now));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t turn = 0; turn < 5; turn++)
			check_case(&cases[i], turn, &now);
}

static void test_same_instant(void **state)
{
	struct keep_item items[] = {{.id = "b", .created = "2026-01-01T00:00:00Z"},
				    {.id = "a", .created = "2026-01-01T00:00:00Z"},
				    {.id = "c", .created = "2026-01-01T00:00:00Z"}};
	struct keep_rules rules = {.last = 1};

	(void)state;
	keep_apply(&rules, items, 3, (struct timespec){0});
	assert_int_equal(items[0].reasons, 0);
	assert_int_equal(items[1].reasons, KEEP_LAST);
	assert_int_equal(items[2].reasons, 0);
}

static void test_rules(void **state)
{
	struct keep_rules rules = {.all_may_go = true};
	uint64_t *const counts[] = {&rules.last,    &rules.hourly, &rules.daily,   &rules.weekly,
				    &rules.monthly, &rules.yearly, &rules.within_s};

	(void)state;
	assert_false(keep_has_rule(&rules));
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		*counts[i] = 1;
		assert_true(keep_has_rule(&rules));
		*counts[i] = 0;
	}
	string_list_init(&rules.tags);
	string_list_add(&rules.tags, "x");
	assert_true(keep_has_rule(&rules));
	string_list_release(&rules.tags);
}

static void test_within(void **state)
{
	static const struct {
		const char *text;
		uint64_t seconds; /* 0: refused */
	} words[] = {
		{"1h", 3600},	   {"36h", 129600},
		{"30d", 2592000},  {"2w", 1209600},
		{"1y", 31536000},  {"1y2w3d4h", 31536000 + 1209600 + 3 * 86400 + 4 * 3600},
		{"", 0},	   {"0d", 0},
		{"7", 0},	   {"d", 0},
		{"6m", 0},	   {"90s", 0},
		{"1d ", 0},	   {"-1d", 0},
		{"1.5d", 0},	   {"99999y", 0},
		{"9999y9999y", 0}, {"18446744073709551616h", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		uint64_t seconds = 0;
		bool is_valid = keep_parse_within(words[i].text, &seconds);

		if (is_valid != (words[i].seconds > 0) || (is_valid && seconds != words[i].seconds))
			fail_msg("\"%s\" is %llu seconds", words[i].text,
				 (unsigned long long)seconds);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_same_instant),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_within),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
