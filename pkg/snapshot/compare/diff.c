/*
 * sidesnap diff: what differs between two states, as the agent finds it. Differences go by,
 * however many they are; only their totals are kept.
 */
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "snapshot/compare/diff.h"
#include "snapshot/compare/pair.h"

static const char *const counts[] = {"added", "removed",     "changed",	      "metadata",
				     "types", "added_bytes", "removed_bytes", "changed_bytes"};

#define COUNTS (sizeof(counts) / sizeof(counts[0]))

void diff_init(struct diff *diff, const struct diff_sink *sink, struct json *result)
{
	*diff = (struct diff){
		.sink = sink,
		.result = result,
		.trees = json_set_array(result, "trees"),
	};
}

/* Where it is in a container. */
static void make_absolute(struct json *entry, const struct json *tree)
{
	cleanup_free char *top = json_bytes(tree, "path"), *path = json_bytes(entry, "path");
	cleanup_free char *absolute = top && path ? path_join(top, path) : NULL;

	json_remove(entry, "path");
	json_remove(entry, "path64");
	/* of a tree's root the path is "", and so the last slash one too many */
	if (absolute && absolute[1] && text_has_suffix(absolute, "/"))
		absolute[strlen(absolute) - 1] = '\0';
	json_set_bytes(entry, "path", text_or(absolute, "/"));
}

static int take_entries(struct diff *diff, const struct json *entries, struct error **err)
{
	json_for_each(item, entries) {
		CLEANUP(cleanup_json_free) struct json *entry = json_copy(item);

		make_absolute(entry, diff->tree);
		if (diff->sink->entry &&
		    diff->sink->entry(diff->sink->context, diff->tree, entry, err) < 0)
			return -1;
	}
	return 0;
}

static const char *state_of(const struct json *tree, const struct json *totals)
{
	bool was = json_get(tree, "from"), is = json_get(tree, "to");

	for (size_t i = 0; i < COUNTS; i++)
		if (json_int(totals, counts[i]))
			return "changed";
	/* an image without own files is not another container */
	if (strcmp(json_string_or(tree, "kind", ""), "own") == 0 || (was && is))
		return "same";
	return is ? "added" : "removed";
}

int diff_take(void *context, const struct json *found, struct error **err)
{
	struct diff *diff = context;
	const struct json *tree = json_get(found, "tree"), *totals = json_get(found, "totals");

	if (tree) {
		diff->tree = json_add(diff->trees, json_copy(tree));
		return 0;
	}
	if (!diff->tree)
		return error_set(err, ERROR_FAILED, "there are differences of no tree");
	if (!totals)
		return take_entries(diff, json_get(found, "entries"), err);
	json_set_string(diff->tree, "state", state_of(diff->tree, totals));
	for (size_t i = 0; i < COUNTS; i++)
		json_set_int(diff->tree, counts[i], json_int(totals, counts[i]));
	return 0;
}

void diff_sum_up(const struct diff *diff)
{
	struct json *result = diff->result;
	bool is_same = true;

	for (size_t i = 0; i < COUNTS; i++) {
		int64_t sum = 0;

		json_for_each(tree, json_get(result, "trees"))
			sum += json_int(tree, counts[i]);
		json_set_int(result, counts[i], sum);
	}
	json_for_each(tree, json_get(result, "trees"))
		if (strcmp(json_string_or(tree, "state", ""), "same") != 0)
			is_same = false;
	json_set_bool(result, "same", is_same);
}

int snapshot_diff(struct session *session, const char *from, const char *to,
		  const struct diff_sink *sink, struct json **result, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *job = json_new_object(), *done = NULL, *object = json_new_object();
	uint64_t started_ms = clock_monotonic_ms();
	CLEANUP(cleanup_pair_free) struct pair *pair = pair_open(session, from, to, err);
	struct diff diff;

	if (!pair)
		return -1;
	pair_describe(pair, object);
	diff_init(&diff, sink, object);
	json_set_string(job, "operation", "diff");
	helper_listen(pair_helper(pair), diff_take, &diff);
	if (pair_start(pair, job, err) < 0 || pair_finish(pair, &done, err) < 0) {
		const char *a, *b;

		pair_names(pair, &a, &b);
		return error_prefix(err, "cannot compare \"%s\" with \"%s\"", a, b);
	}
	diff_sum_up(&diff);
	json_set_int(object, "records", json_int(done, "records"));
	json_set_int(object, "skipped", json_int(done, "skipped"));
	json_set_int(object, "read_bytes", json_int(done, "read_bytes"));
	json_set_int(object, "duration_ms", (int64_t)(clock_monotonic_ms() - started_ms));
	*result = STEAL_POINTER(object);
	return session_check(session, err);
}
