/*
 * How often to pass, and over what. A pass costs a scan and what it reads; what it saves
 * is reading under the freeze, at some gigabytes a second.
 */
#include "precopy.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/text.h"

#define PASSES_MAX 3
/* Less than this is read under the freeze in a few milliseconds: no pass for its sake. */
#define WORTHWHILE_BYTES (32ULL << 20)
/* After a first pass that was this short not much can have changed meanwhile. */
#define LONG_PASS_MS 300
/* Hot files have cooled down after this. */
#define COOLING_NS 110000000LL
/* More than this is not read at once, and what was done before that would be old. */
#define SOON_READ_BYTES (2ULL << 30)

struct pass_totals {
	uint64_t read_bytes, deferred_bytes, duration_ms;
	struct timespec hottest;
};

static bool shares_path(const struct string_list *a, const struct string_list *b)
{
	for (size_t i = 0; i < a->count; i++) {
		if (string_list_has(b, a->items[i]))
			return true;
	}
	return false;
}

/* The parent's tree of the same kind and name, else at the same path. */
static const struct tree_record *find_parent(const struct manifest *parent,
					     const struct job_tree *tree)
{
	const struct tree_record *found = NULL;

	for (size_t i = 0; i < parent->tree_count; i++) {
		const struct tree_record *record = &parent->trees[i];

		if (record->kind == TREE_OWN || record->kind == TREE_DUMP || !record->root.count)
			continue;
		if (record->kind == tree->kind && *tree->name &&
		    strcmp(record->name, tree->name) == 0)
			return record;
		if (!found && shares_path(&record->paths, &tree->paths))
			found = record;
	}
	return found;
}

void precopy_init(struct precopy *precopy, const struct job_trees *trees,
		  const struct manifest *parent, struct store *store)
{
	memset(precopy, 0, sizeof(*precopy));
	precopy->trees = trees;
	precopy->parent_store = store;
	precopy->is_of_this_run = parent && manifest_is_of_this_run(parent);
	precopy->directory_fd = -1;
	precopy->list = memory_zalloc((trees->count + 1) * sizeof(*precopy->list));
	for (size_t i = 0; parent && store && i < trees->count; i++)
		precopy->list[i].parent = find_parent(parent, &trees->list[i]);
}

void precopy_release(struct precopy *precopy)
{
	for (size_t i = 0; precopy->list && i < precopy->trees->count; i++)
		draft_free(precopy->list[i].draft);
	free(precopy->list);
	precopy->list = NULL;
}

struct earlier *precopy_earlier(const struct precopy *precopy, size_t index)
{
	const struct precopy_tree *tree = &precopy->list[index];

	if (tree->draft)
		return earlier_of_draft(tree->draft, precopy->parent_store);
	return tree->parent ? earlier_of_catalog(precopy->parent_store, &tree->parent->root,
						 precopy->is_of_this_run)
			    : NULL;
}

/* Nanoseconds from ${from} to ${to}; far away: a second or more. */
static long long time_between(const struct timespec *from, const struct timespec *to)
{
	long long seconds = (long long)to->tv_sec - (long long)from->tv_sec;

	if (seconds < -2 || seconds > 2)
		return seconds < 0 ? -2000000000LL : 2000000000LL;
	return seconds * 1000000000LL + (to->tv_nsec - from->tv_nsec);
}

/* One tree; its new draft takes the place of the old one, which it was made from. */
static int pass_tree(struct precopy *precopy, size_t index, struct capture *capture, bool defer,
		     struct pass_totals *totals, struct error **err)
{
	struct precopy_tree *tree = &precopy->list[index];
	CLEANUP(cleanup_earlier_free) struct earlier *earlier = precopy_earlier(precopy, index);
	CLEANUP(cleanup_draft_free) struct draft *draft = draft_new(precopy->directory_fd, err);
	struct capture_pass pass = {0};
	struct tree_record record;
	struct tree_source source;
	int result;

	if (!draft)
		return -1;
	job_tree_source(&precopy->trees->list[index], &source);
	source.earlier = earlier;
	tree_record_init(&record);
	result = capture_draft(capture, &source, draft, defer, &record, &pass, err);
	if (result < 0) {
		error_prefix(err, "cannot capture \"%s\"",
			     precopy->trees->list[index].paths.items[0]);
	} else {
		precopy->measures[index].bytes = record.bytes + pass.deferred_bytes;
		precopy->measures[index].files = record.entries;
		totals->read_bytes += pass.read_bytes;
		totals->deferred_bytes += pass.deferred_bytes;
		if (time_between(&totals->hottest, &pass.hottest) > 0)
			totals->hottest = pass.hottest;
		tree->is_pointless = !pass.is_trusted;
		draft_free(tree->draft);
		tree->draft = STEAL_POINTER(draft);
		precopy->tree_done(precopy->context, precopy->measures[index].bytes);
	}
	tree_record_release(&record);
	return result;
}

static int pass_all(struct precopy *precopy, struct capture *capture, bool defer,
		    struct pass_totals *totals, struct error **err)
{
	uint64_t began = clock_monotonic_ms();

	memset(totals, 0, sizeof(*totals));
	for (size_t i = 0; i < precopy->trees->count; i++) {
		if (!precopy->list[i].is_pointless &&
		    pass_tree(precopy, i, capture, defer, totals, err) < 0)
			return -1;
	}
	totals->duration_ms = clock_monotonic_ms() - began;
	return 0;
}

/* Whether a pass after this one saves more than it costs. */
static bool is_worthwhile(const struct pass_totals *last, const struct pass_totals *before)
{
	if (last->deferred_bytes >= WORTHWHILE_BYTES)
		return true;
	if (last->read_bytes < WORTHWHILE_BYTES || last->duration_ms < LONG_PASS_MS)
		return false;
	/* a target that writes as fast as we read is not caught up with */
	return !before || last->read_bytes < before->read_bytes / 2;
}

/* Until what was last written at ${hottest} has cooled down; whatever that says, not for long. */
static void cool_down(const struct timespec *hottest)
{
	struct timespec now;
	long long left_ns;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	left_ns = COOLING_NS - time_between(hottest, &now);
	if (left_ns > COOLING_NS)
		left_ns = COOLING_NS;
	if (left_ns > 0) {
		const struct timespec time = {.tv_nsec = (long)left_ns};

		nanosleep(&time, NULL);
	}
}

static int do_meanwhile(struct precopy *precopy, const struct pass_totals *last, struct error **err)
{
	int (*meanwhile)(void *context, struct error **err) = precopy->meanwhile;

	if (!meanwhile || last->deferred_bytes > SOON_READ_BYTES)
		return 0;
	precopy->meanwhile = NULL;
	return meanwhile(precopy->context, err);
}

int precopy_run(struct precopy *precopy, struct capture *capture, struct error **err)
{
	struct pass_totals totals[PASSES_MAX];

	for (size_t i = 0; i < PASSES_MAX; i++) {
		if (pass_all(precopy, capture, i == 0, &totals[i], err) < 0)
			return -1;
		if (!is_worthwhile(&totals[i], i ? &totals[i - 1] : NULL))
			break;
		if (!totals[i].deferred_bytes)
			continue;
		if (do_meanwhile(precopy, &totals[i], err) < 0)
			return -1;
		cool_down(&totals[i].hottest);
	}
	return 0;
}

int precopy_again(struct precopy *precopy, struct capture *capture, struct error **err)
{
	struct pass_totals totals;
	struct timespec now;

	/* what the driver has just written would be hot, and so be read in vain */
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	cool_down(&now);
	return pass_all(precopy, capture, false, &totals, err);
}
