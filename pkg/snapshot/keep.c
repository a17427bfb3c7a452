/*
 * The rules of prune. Numbers of hours, days and so on since 1970 make "the same day" a
 * comparison, whatever the order in which the snapshots come.
 */
#include "snapshot/keep.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define HOUR_S 3600
#define DAY_S ((int64_t)24 * HOUR_S)

/* 1970-01-01 was a Thursday, so that the Monday before it is three days earlier. */
#define DAYS_SINCE_MONDAY 3

/* Longer ones are typing errors, and sums of them cannot overflow. */
#define WITHIN_MAX ((uint64_t)10000 * 365 * DAY_S)

struct dated {
	struct keep_item *item;
	struct timespec time;
	bool is_dated;
};

static int newest_first(const void *a, const void *b)
{
	const struct dated *left = a, *right = b;

	if (left->is_dated != right->is_dated)
		return left->is_dated ? -1 : 1;
	if (left->time.tv_sec != right->time.tv_sec)
		return left->time.tv_sec > right->time.tv_sec ? -1 : 1;
	if (left->time.tv_nsec != right->time.tv_nsec)
		return left->time.tv_nsec > right->time.tv_nsec ? -1 : 1;
	return strcmp(left->item->id, right->item->id);
}

static int64_t floor_divide(int64_t value, int64_t by)
{
	return value / by - (value % by < 0);
}

/* ---- periods ---- */

static int64_t hour_of(time_t time)
{
	return floor_divide(time, HOUR_S);
}

static int64_t day_of(time_t time)
{
	return floor_divide(time, DAY_S);
}

static int64_t week_of(time_t time)
{
	return floor_divide(day_of(time) + DAYS_SINCE_MONDAY, 7);
}

static int64_t year_of(time_t time)
{
	struct tm parts;

	return gmtime_r(&time, &parts) ? parts.tm_year : 0;
}

static int64_t month_of(time_t time)
{
	struct tm parts;

	return gmtime_r(&time, &parts) ? parts.tm_year * INT64_C(12) + parts.tm_mon : 0;
}

/* The newest of each of the last ${wanted} periods; ${list} is newest first. */
static void keep_periods(struct dated *list, size_t count, uint64_t wanted,
			 int64_t (*period)(time_t), enum keep_reason reason)
{
	int64_t last = 0;
	bool is_first = true;

	for (size_t i = 0; i < count && wanted; i++) {
		int64_t number = period(list[i].time.tv_sec);

		if (!is_first && number == last)
			continue;
		list[i].item->reasons |= reason;
		last = number;
		is_first = false;
		wanted--;
	}
}

/* ---- other rules ---- */

static void keep_within(struct dated *list, size_t count, uint64_t within_s, struct timespec now)
{
	struct timespec from = now;

	for (size_t i = 0; i < count; i++) {
		if (list[i].time.tv_sec <= now.tv_sec) {
			from = list[i].time;
			break;
		}
	}
	for (size_t i = 0; within_s && i < count; i++)
		if (list[i].time.tv_sec >= from.tv_sec - (int64_t)within_s)
			list[i].item->reasons |= KEEP_WITHIN;
}

bool keep_matches(const char *pattern, const char *reference)
{
	/* What podman puts before a short name, docker leaves out. */
	static const char *const added[] = {"", "docker.io/library/", "docker.io/", "localhost/"};
	const char *colon = strrchr(reference, ':');

	for (size_t i = 0; i < sizeof(added) / sizeof(added[0]) && strpbrk(pattern, ":/"); i++)
		if (text_has_prefix(reference, added[i]) &&
		    text_match(pattern, reference + strlen(added[i])))
			return true;
	if (strpbrk(pattern, ":/"))
		return false;
	/* "registry:5000/name" has no tag */
	return colon && !strchr(colon, '/') && text_match(pattern, colon + 1);
}

static bool has_tag(const struct keep_item *item, const struct string_list *patterns)
{
	json_for_each(reference, item->references)
		for (size_t i = 0; i < patterns->count; i++)
			if (keep_matches(patterns->items[i], json_string_or(reference, NULL, "")))
				return true;
	return false;
}

static void keep_always(struct keep_item *item)
{
	item->reasons = (item->is_pinned ? KEEP_PINNED : 0) | (item->is_in_use ? KEEP_IN_USE : 0) |
			(item->is_safety ? KEEP_SAFETY : 0) | (item->is_member ? KEEP_SET : 0);
}

/* The newest stays where the lineage would be left with nothing that a person made. */
static void keep_one(struct dated *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].item->reasons)
			return;
	if (count)
		list[0].item->reasons |= KEEP_ONLY;
}

bool keep_has_rule(const struct keep_rules *rules)
{
	return rules->last || rules->hourly || rules->daily || rules->weekly || rules->monthly ||
	       rules->yearly || rules->within_s || rules->tags.count;
}

void keep_apply(const struct keep_rules *rules, struct keep_item *items, size_t count,
		struct timespec now)
{
	cleanup_free struct dated *list = memory_array(NULL, count + 1, sizeof(*list));
	size_t used = 0, dated = 0;

	for (size_t i = 0; i < count; i++) {
		struct dated *next = &list[used];

		keep_always(&items[i]);
		if (items[i].is_safety)
			continue;
		*next = (struct dated){.item = &items[i]};
		next->is_dated = clock_parse(text_or(items[i].created, ""), &next->time);
		if (!next->is_dated)
			items[i].reasons |= KEEP_UNDATED;
		if (has_tag(&items[i], &rules->tags))
			items[i].reasons |= KEEP_TAG;
		dated += next->is_dated;
		used++;
	}
	qsort(list, used, sizeof(*list), newest_first);
	for (size_t i = 0; i < dated && i < rules->last; i++)
		list[i].item->reasons |= KEEP_LAST;
	keep_periods(list, dated, rules->hourly, hour_of, KEEP_HOURLY);
	keep_periods(list, dated, rules->daily, day_of, KEEP_DAILY);
	keep_periods(list, dated, rules->weekly, week_of, KEEP_WEEKLY);
	keep_periods(list, dated, rules->monthly, month_of, KEEP_MONTHLY);
	keep_periods(list, dated, rules->yearly, year_of, KEEP_YEARLY);
	keep_within(list, dated, rules->within_s, now);
	if (!rules->all_may_go)
		keep_one(list, used);
}

/* ---- words ---- */

static uint64_t unit_of(char letter)
{
	switch (letter) {
	case 'h':
		return HOUR_S;
	case 'd':
		return (uint64_t)DAY_S;
	case 'w':
		return 7 * (uint64_t)DAY_S;
	case 'y':
		return 365 * (uint64_t)DAY_S;
	default:
		return 0;
	}
}

bool keep_parse_within(const char *text, uint64_t *seconds)
{
	uint64_t sum = 0;

	while (*text) {
		size_t digits = strspn(text, "0123456789");
		cleanup_free char *number = memory_strndup(text, digits);
		uint64_t unit = unit_of(text[digits]), value;

		if (!unit || !text_parse_uint(number, WITHIN_MAX / unit, &value))
			return false;
		sum += value * unit;
		if (sum > WITHIN_MAX)
			return false;
		text += digits + 1;
	}
	*seconds = sum;
	return sum > 0;
}

struct json *keep_reason_names(unsigned reasons)
{
	/* In the order of enum keep_reason. */
	static const char *const names[] = {"last",   "hourly",	 "daily", "weekly",  "monthly",
					    "yearly", "within",	 "tag",	  "pinned",  "in-use",
					    "safety", "undated", "only",  "unknown", "set"};
	struct json *list = json_new_array();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (reasons & 1U << i)
			json_add_string(list, names[i]);
	return list;
}
