/*
 * Which snapshots of one lineage stay: the rules of prune, as a function of what their labels
 * say, the rules and the time. No engine is asked.
 *
 * A snapshot stays when any rule wants it; each rule looks at all of them, as restic's do. "N daily"
 * keeps the newest one of each of the last N days that have any: a day without a snapshot counts
 * for nothing. Hours, days, months and years are those of UTC, weeks begin on Monday in UTC, so that
 * a plan is the same on every machine and in every container.
 */
#ifndef SIDESNAP_SNAPSHOT_KEEP_H
#define SIDESNAP_SNAPSHOT_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/json.h"
#include "base/text.h"

enum keep_reason {
	KEEP_LAST = 1 << 0,
	KEEP_HOURLY = 1 << 1,
	KEEP_DAILY = 1 << 2,
	KEEP_WEEKLY = 1 << 3,
	KEEP_MONTHLY = 1 << 4,
	KEEP_YEARLY = 1 << 5,
	KEEP_WITHIN = 1 << 6,
	KEEP_TAG = 1 << 7,
	/* Those that no rule has to ask for. */
	KEEP_PINNED = 1 << 8,
	KEEP_IN_USE = 1 << 9,  /* a container runs on it, or has its data */
	KEEP_SAFETY = 1 << 10, /* of a reset or replace: they have a rule of their own */
	KEEP_UNDATED = 1 << 11,
	KEEP_ONLY = 1 << 12,	/* else the lineage would be gone */
	KEEP_UNKNOWN = 1 << 13, /* said by prune: its labels name no lineage, or no id */
	KEEP_SET = 1 << 14,	/* a member of a set, which would not be whole any more */
};

struct keep_rules {
	uint64_t last, hourly, daily, weekly, monthly, yearly; /* how many; 0: no such rule */
	uint64_t within_s;	 /* at most so much older than the newest; 0: no such rule */
	struct string_list tags; /* patterns, as keep_matches() */
	bool all_may_go;	 /* a lineage need not keep one */
};

struct keep_item {
	const char *id;		       /* only to order those of the same instant; borrowed */
	const char *created;	       /* sidesnap.created; borrowed */
	const struct json *references; /* its names; borrowed, may be NULL */
	bool is_pinned, is_in_use, is_safety, is_member;
	unsigned reasons; /* result: enum keep_reason; 0: it goes */
};

/* keep_has_rule(rules): Whether there is one at all; without one everything would go. */
bool keep_has_rule(const struct keep_rules *rules);

/*
 * keep_apply(rules, items, count, now):
 * Set the reasons of the snapshots of one lineage, in any order. Safety snapshots fill no place of
 * any rule. One that says a time after ${now} is not what "within" is counted from.
 */
void keep_apply(const struct keep_rules *rules, struct keep_item *items, size_t count,
		struct timespec now);

/*
 * keep_matches(pattern, reference):
 * A shell pattern (text_match()) over the whole reference, with or without the "docker.io/library/",
 * "docker.io/" or "localhost/" that some engines put before names; or where it has neither ':' nor
 * '/' over the tag alone.
 */
bool keep_matches(const char *pattern, const char *reference);

/*
 * keep_parse_within(text, seconds): "36h", "30d", "2w", "1y6w": hours, days, weeks, years of 365 days.
 * Minutes and months are not understood: "m" means the one here and the other elsewhere.
 */
bool keep_parse_within(const char *text, uint64_t *seconds);

/* keep_reason_names(reasons): ["last","daily",...]; to be freed. */
struct json *keep_reason_names(unsigned reasons);

#endif
