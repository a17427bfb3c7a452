/*
 * Which bytes of a file differ, by what it is made of: nothing is read where chunks, their
 * places or the hashes of pages tell. Two captures may cut the same bytes differently, so
 * what is pieced together in another way is read, until it is known to differ.
 */
#include <string.h>

#include "store/page_hash.h"
#include "tree/diff/diff.h"
#include "tree/record.h"
#include "tree/sequence.h"

#define ZEROS_SIZE 4096U

enum verdict { SAME, DIFFERENT, UNKNOWN };

/* One of the two files, and how far it was compared. */
struct side {
	struct store *store;
	const struct catalog_entry *entry;
	struct sequence sequence;
	struct sequence_cursor pages;
	size_t index;	 /* of the content at the place */
	uint64_t begins; /* where in the file that content begins */
};

struct comparison {
	struct side from, to;
	struct diff_reading *reading;
	bool has_pages; /* hashes of pages that can be compared */
	diff_range *range;
	void *context;
	uint64_t changed;
	uint64_t range_begins, range_ends; /* not told yet; equal: none */
};

static void side_init(struct side *side, struct store *store, const struct catalog_entry *entry)
{
	memset(side, 0, sizeof(*side));
	side->store = store;
	side->entry = entry;
	sequence_borrow(&side->sequence, entry);
	sequence_cursor_init(&side->pages, &side->sequence);
}

static const struct content *side_content(const struct side *side)
{
	return &side->entry->contents[side->index];
}

static uint64_t side_ends(const struct side *side)
{
	return side->begins + side_content(side)->length;
}

/* The place is behind the content. */
static void side_next(struct side *side)
{
	side->begins = side_ends(side);
	side->index++;
}

static int tell_range(struct comparison *comparison, struct error **err)
{
	uint64_t length = comparison->range_ends - comparison->range_begins;

	if (!length || !comparison->range)
		return 0;
	return comparison->range(comparison->context, comparison->range_begins, length, err);
}

static int note(struct comparison *comparison, uint64_t from, uint64_t to, struct error **err)
{
	if (from == to)
		return 0;
	comparison->changed += to - from;
	if (from != comparison->range_ends) {
		if (tell_range(comparison, err) < 0)
			return -1;
		comparison->range_begins = from;
	}
	comparison->range_ends = to;
	return 0;
}

/* What can be said of [from, to) without reading it, which lies in one content of each file. */
static enum verdict judge(const struct comparison *comparison, uint64_t from)
{
	const struct content *a = side_content(&comparison->from),
			     *b = side_content(&comparison->to);
	bool is_same_place = comparison->from.begins == comparison->to.begins;

	if (a->kind == CONTENT_HASH || b->kind == CONTENT_HASH)
		return a->kind == b->kind && a->length == b->length &&
				       hash_equal(&a->chunk.id, &b->chunk.id)
			       ? SAME
			       : DIFFERENT;
	if (a->kind == CONTENT_HOLE && b->kind == CONTENT_HOLE)
		return SAME;
	if (a->kind == CONTENT_HOLE || b->kind == CONTENT_HOLE)
		return UNKNOWN;
	if (hash_equal(&a->chunk.id, &b->chunk.id))
		return a->offset + (from - comparison->from.begins) ==
				       b->offset + (from - comparison->to.begins)
			       ? SAME
			       : UNKNOWN;
	/* two whole chunks in one place: other hashes are other bytes */
	if (is_same_place && !a->offset && !b->offset && a->length == b->length &&
	    a->length == a->chunk.size && b->length == b->chunk.size)
		return DIFFERENT;
	return UNKNOWN;
}

/* Bytes of a content, from a place in the file; holes are zeros. NULL and *err. */
struct window {
	const struct side *side;
	struct chunk chunk;
	bool held;
	const uint8_t *data; /* NULL: zeros */
};

static int window_open(struct window *window, const struct side *side, uint64_t at,
		       struct error **err)
{
	const struct content *content = side_content(side);

	memset(window, 0, sizeof(*window));
	window->side = side;
	if (content->kind != CONTENT_CHUNK)
		return 0;
	if (store_get(side->store, &content->chunk, &window->chunk, err) < 0)
		return error_prefix(err, "\"%s\"", side->entry->path);
	window->held = true;
	window->data = window->chunk.data + content->offset + (at - side->begins);
	return 0;
}

static void window_close(struct window *window)
{
	if (window->held)
		store_put_back(window->side->store, &window->chunk);
}

static bool is_same_byte(const struct window *a, const struct window *b, uint64_t at)
{
	return (a->data ? a->data[at] : 0) == (b->data ? b->data[at] : 0);
}

static bool is_same_block(const struct window *a, const struct window *b, uint64_t at, size_t size)
{
	static const uint8_t zeros[ZEROS_SIZE];

	return memcmp(a->data ? a->data + at : zeros, b->data ? b->data + at : zeros, size) == 0;
}

/* Note every byte of [from, to) that differs. */
static int note_bytes(struct comparison *comparison, const struct window *a, const struct window *b,
		      uint64_t from, uint64_t to, struct error **err)
{
	uint64_t at = 0, length = to - from;

	while (at < length) {
		size_t block = length - at < ZEROS_SIZE ? (size_t)(length - at) : ZEROS_SIZE;

		if (is_same_block(a, b, at, block)) {
			at += block;
			continue;
		}
		for (size_t end = at + block; at < end; at++) {
			if (!is_same_byte(a, b, at) &&
			    note(comparison, from + at, from + at + 1, err) < 0)
				return -1;
		}
	}
	return 0;
}

static int compare_bytes(struct comparison *comparison, uint64_t from, uint64_t to,
			 struct error **err)
{
	struct window a, b;
	int result;

	if (window_open(&a, &comparison->from, from, err) < 0)
		return -1;
	result = window_open(&b, &comparison->to, from, err);
	if (result == 0) {
		comparison->reading->read_bytes += (to - from) * (unsigned)(a.held + b.held);
		result = note_bytes(comparison, &a, &b, from, to, err);
		window_close(&b);
	}
	window_close(&a);
	return result;
}

static bool is_known_hash(const uint8_t *hash)
{
	static const uint8_t unknown[PAGE_HASH_SIZE];

	return hash && memcmp(hash, unknown, PAGE_HASH_SIZE) != 0;
}

/* How much is worth reading once it is known that the files differ. */
static bool may_read(struct comparison *comparison, uint64_t size)
{
	struct diff_reading *reading = comparison->reading;

	if (reading->is_blind)
		return false;
	/* the first difference has to be found; all others only say how much */
	if (reading->is_exact || !comparison->changed)
		return true;
	if (reading->budget < size)
		return false;
	reading->budget -= size;
	return true;
}

static int compare_unknown(struct comparison *comparison, uint64_t from, uint64_t to,
			   struct error **err)
{
	return may_read(comparison, to - from) ? compare_bytes(comparison, from, to, err)
					       : note(comparison, from, to, err);
}

/* By the hashes of the pages that lie in [from, to), and by what is around them. */
static int compare_pages(struct comparison *comparison, uint64_t from, uint64_t to,
			 enum verdict verdict, struct error **err)
{
	uint32_t page = comparison->from.sequence.page;

	while (from < to) {
		uint64_t next = from - from % page + page, end = next < to ? next : to;
		const uint8_t *a = NULL, *b = NULL;
		int result = 0;

		if (from % page == 0 && next <= to) {
			a = sequence_page_hash(&comparison->from.pages, from);
			b = sequence_page_hash(&comparison->to.pages, from);
		}
		if (is_known_hash(a) && is_known_hash(b)) {
			if (memcmp(a, b, PAGE_HASH_SIZE) != 0)
				result = comparison->reading->is_exact
						 ? compare_bytes(comparison, from, end, err)
						 : note(comparison, from, end, err);
		} else if (verdict == DIFFERENT && !comparison->reading->is_exact) {
			result = note(comparison, from, end, err);
		} else {
			result = compare_unknown(comparison, from, end, err);
		}
		if (result < 0)
			return -1;
		from = end;
	}
	return 0;
}

static int compare_range(struct comparison *comparison, uint64_t from, uint64_t to,
			 struct error **err)
{
	enum verdict verdict = judge(comparison, from);
	bool has_bytes = side_content(&comparison->from)->kind != CONTENT_HASH &&
			 side_content(&comparison->to)->kind != CONTENT_HASH;

	if (verdict == SAME)
		return 0;
	if (!has_bytes)
		return note(comparison, from, to, err);
	if (comparison->has_pages)
		return compare_pages(comparison, from, to, verdict, err);
	if (verdict == DIFFERENT && !comparison->reading->is_exact)
		return note(comparison, from, to, err);
	return compare_unknown(comparison, from, to, err);
}

/* Only hashes that were made with the same key tell anything. */
static bool has_pages(const struct catalog_entry *from, const struct catalog_entry *to)
{
	return from->lists && to->lists && from->lists->page &&
	       from->lists->page == to->lists->page &&
	       memcmp(from->lists->key, to->lists->key, PAGE_HASH_KEY_SIZE) == 0;
}

int diff_content(struct store *from_store, const struct catalog_entry *from, struct store *to_store,
		 const struct catalog_entry *to, struct diff_reading *reading, diff_range *range,
		 void *context, uint64_t *changed, struct error **err)
{
	struct comparison comparison = {
		.reading = reading,
		.has_pages = has_pages(from, to),
		.range = range,
		.context = context,
	};
	uint64_t at = 0, both = from->size < to->size ? from->size : to->size;
	uint64_t all = from->size < to->size ? to->size : from->size;

	side_init(&comparison.from, from_store, from);
	side_init(&comparison.to, to_store, to);
	*changed = 0;
	while (at < both) {
		uint64_t a = side_ends(&comparison.from), b = side_ends(&comparison.to);
		uint64_t end = a < b ? a : b;

		if (end > both)
			end = both;
		if (compare_range(&comparison, at, end, err) < 0)
			return -1;
		at = end;
		if (a == end)
			side_next(&comparison.from);
		if (b == end)
			side_next(&comparison.to);
	}
	if (note(&comparison, both, all, err) < 0 || tell_range(&comparison, err) < 0)
		return -1;
	*changed = comparison.changed;
	return 0;
}
