/*
 * The merge of two catalogs. Most of two snapshots of one tree is the same and stored in the
 * same chunks, so at every pair of records that are equal it is tried to go on in such chunks
 * without comparing anything.
 */
#include "tree/diff/diff.h"

#include <string.h>
#include <sys/stat.h>

#include "base/path.h"
#include "tree/own/own_place.h"

/* Read only to know better how much of a file differs, bytes of a whole diff. */
#define READING_BUDGET (64U << 20)
#define PROGRESS_RECORDS 4096U

struct source {
	const struct diff_side *side;
	struct catalog_reader *reader;
	struct catalog_entry entry; /* brief */
	bool has_entry, ended;
};

struct merge {
	struct source from, to;
	const struct diff_options *options;
	struct diff_totals *totals;
	struct diff_reading reading;
	uint64_t reported; /* records, to the progress */
};

static int source_open(struct source *source, const struct diff_side *side, struct error **err)
{
	source->side = side;
	if (!side->root) {
		source->ended = true;
		return 0;
	}
	source->reader = catalog_open(side->store, side->root, err);
	return source->reader ? 0 : -1;
}

static int source_fill(struct source *source, struct diff_totals *totals, struct error **err)
{
	int result;

	if (source->has_entry || source->ended)
		return 0;
	result = catalog_next_brief(source->reader, &source->entry, err);
	if (result < 0)
		return -1;
	source->has_entry = result > 0;
	source->ended = !result;
	totals->records += source->has_entry;
	return 0;
}

static int tell(struct merge *merge, const struct difference *difference, struct error **err)
{
	const struct catalog_entry *from = difference->from, *to = difference->to;
	const struct diff_options *options = merge->options;
	struct diff_totals *totals = merge->totals;

	if (options->is_left_out && options->is_left_out(options->context, difference->path))
		return 0;
	switch (difference->kind) {
	case DIFF_ADDED:
		totals->added++;
		break;
	case DIFF_REMOVED:
		totals->removed++;
		break;
	case DIFF_TYPE:
		totals->types++;
		break;
	case DIFF_CHANGED:
		if (difference->what & DIFF_CONTENT)
			totals->changed++;
		else
			totals->metadata++;
		break;
	}
	totals->changed_bytes += difference->changed_bytes;
	if (difference->kind != DIFF_CHANGED && from && S_ISREG(from->mode) && !from->hardlink)
		totals->removed_bytes += from->size;
	if (difference->kind != DIFF_CHANGED && to && S_ISREG(to->mode) && !to->hardlink)
		totals->added_bytes += to->size;
	return options->found(options->context, difference, err);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static unsigned compare_metadata(const struct catalog_entry *from, const struct catalog_entry *to)
{
	unsigned what = 0;

	if (from->mode != to->mode)
		what |= DIFF_MODE;
	if (from->uid != to->uid || from->gid != to->gid)
		what |= DIFF_OWNER;
	if (from->mtime.tv_sec != to->mtime.tv_sec || from->mtime.tv_nsec != to->mtime.tv_nsec)
		what |= DIFF_TIME;
	/* a name of another file has no attributes of its own */
	if (!from->hardlink && !to->hardlink &&
	    !place_attributes_equal(from->attributes, from->attribute_count, to->attributes,
				    to->attribute_count))
		what |= DIFF_ATTRIBUTES;
	if (!from->hardlink && !to->hardlink && !same_text(from->link, to->link))
		what |= DIFF_LINK;
	if (!from->hardlink && !to->hardlink && from->device != to->device)
		what |= DIFF_DEVICE;
	return what;
}

/* The same path in both; entries are whole. */
static int compare_entries(struct merge *merge, const struct catalog_entry *from,
			   const struct catalog_entry *to, struct error **err)
{
	struct difference difference = {
		.kind = DIFF_CHANGED, .path = to->path, .from = from, .to = to};

	if ((from->mode & S_IFMT) != (to->mode & S_IFMT)) {
		difference.kind = DIFF_TYPE;
		return tell(merge, &difference, err);
	}
	if (from->hardlink && to->hardlink && strcmp(from->hardlink, to->hardlink) == 0)
		return 0;
	difference.what = compare_metadata(from, to);
	if (from->hardlink || to->hardlink)
		difference.what |= DIFF_NAMES;
	else if (S_ISREG(to->mode) &&
		 diff_content(merge->from.side->store, from, merge->to.side->store, to,
			      &merge->reading, NULL, NULL, &difference.changed_bytes, err) < 0)
		return -1;
	if (difference.changed_bytes)
		difference.what |= DIFF_CONTENT;
	return difference.what ? tell(merge, &difference, err) : 0;
}

/* Either may be NULL or a deletion: nothing is there. */
static int compare_states(struct merge *merge, const struct catalog_entry *from,
			  const struct catalog_entry *to, struct error **err)
{
	struct difference difference = {.from = from, .to = to};
	bool was = from && !(from->flags & ENTRY_DELETED);
	bool is = to && !(to->flags & ENTRY_DELETED);

	if (was && is)
		return compare_entries(merge, from, to, err);
	if (!was && !is)
		return 0;
	difference.kind = is ? DIFF_ADDED : DIFF_REMOVED;
	if (is)
		difference.from = NULL;
	else
		difference.to = NULL;
	difference.path = is ? to->path : from->path;
	return tell(merge, &difference, err);
}

/* What the side that does not name the path has there. NULL: nothing, or -1 in *result. */
static const struct catalog_entry *look(const struct source *source, const char *path,
					struct catalog_entry *entry, int *result,
					struct error **err)
{
	*result = 0;
	if (!source->side->look || (source->reader && !catalog_is_partial(source->reader)))
		return NULL;
	*result = source->side->look(source->side->look_context, path, entry, err);
	return *result > 0 ? entry : NULL;
}

/* What an image cannot tell is taken to be the same. */
static void fill_in(struct catalog_entry *there, const struct catalog_entry *named)
{
	if (!there->mtime.tv_nsec && there->mtime.tv_sec == named->mtime.tv_sec)
		there->mtime = named->mtime;
	there->attributes = named->attributes;
	there->attribute_count = named->attribute_count;
}

/* Only one side names the path. */
static int take_one(struct merge *merge, struct source *source, struct error **err)
{
	struct source *other = source == &merge->from ? &merge->to : &merge->from;
	const struct catalog_entry *there;
	struct catalog_entry entry;
	int result;

	there = look(other, source->entry.path, &entry, &result, err);
	if (result < 0)
		return -1;
	source->has_entry = false;
	if (there) {
		if (catalog_complete(source->reader, &source->entry, err) < 0)
			return -1;
		fill_in(&entry, &source->entry);
	}
	return source == &merge->from ? compare_states(merge, &source->entry, there, err)
				      : compare_states(merge, there, &source->entry, err);
}

static bool is_stored_alike(const struct merge *merge)
{
	size_t from_size, to_size;
	const void *from = catalog_stored(merge->from.reader, &from_size);
	const void *to = catalog_stored(merge->to.reader, &to_size);

	return from_size == to_size && memcmp(from, to, to_size) == 0;
}

/* Both name the path. */
static int take_both(struct merge *merge, struct error **err)
{
	struct source *from = &merge->from, *to = &merge->to;
	uint64_t skipped = 0;

	from->has_entry = to->has_entry = false;
	if (!is_stored_alike(merge) && (catalog_complete(from->reader, &from->entry, err) < 0 ||
					catalog_complete(to->reader, &to->entry, err) < 0 ||
					compare_states(merge, &from->entry, &to->entry, err) < 0))
		return -1;
	if (catalog_skip_same(from->reader, to->reader, &skipped, err) < 0)
		return -1;
	merge->totals->skipped += 2 * skipped;
	merge->totals->records += 2 * skipped;
	return 0;
}

static int report(struct merge *merge, struct error **err)
{
	const struct diff_options *options = merge->options;
	uint64_t records = merge->totals->records;

	if (!options->progress || records - merge->reported < PROGRESS_RECORDS)
		return 0;
	merge->reported = records;
	return options->progress(options->progress_context, records, err);
}

static int run(struct merge *merge, struct error **err)
{
	struct source *from = &merge->from, *to = &merge->to;

	for (;;) {
		int order;

		if (source_fill(from, merge->totals, err) < 0 ||
		    source_fill(to, merge->totals, err) < 0)
			return -1;
		if (!from->has_entry && !to->has_entry)
			return 0;
		order = !from->has_entry ? 1
			: !to->has_entry ? -1
					 : path_compare(from->entry.path, to->entry.path);
		if ((order == 0 ? take_both(merge, err)
				: take_one(merge, order < 0 ? from : to, err)) < 0 ||
		    report(merge, err) < 0)
			return -1;
	}
}

/* One list of chunks: nothing else has to be read. */
static bool is_same_root(const struct catalog_root *a, const struct catalog_root *b)
{
	if (!a || !b || a->count != b->count)
		return a == b;
	for (size_t i = 0; i < a->count; i++) {
		if (a->refs[i].size != b->refs[i].size ||
		    !hash_equal(&a->refs[i].id, &b->refs[i].id))
			return false;
	}
	return true;
}

int tree_diff(const struct diff_side *from, const struct diff_side *to,
	      const struct diff_options *options, struct diff_totals *totals, struct error **err)
{
	struct merge merge = {
		.options = options,
		.totals = totals,
		.reading = {.budget = READING_BUDGET, .is_blind = options->no_contents}};
	int result;

	memset(totals, 0, sizeof(*totals));
	if (is_same_root(from->root, to->root))
		return 0;
	result = source_open(&merge.from, from, err);
	if (result == 0)
		result = source_open(&merge.to, to, err);
	if (result == 0)
		result = run(&merge, err);
	totals->read_bytes = merge.reading.read_bytes;
	catalog_close(merge.from.reader);
	catalog_close(merge.to.reader);
	return result;
}
