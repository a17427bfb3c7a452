/* Sequences of contents: cut, copied and laid over one another by offset. */
#include "tree/sequence.h"

#include <stdlib.h>
#include <string.h>

#include "store/page_hash.h"
#include "tree/record.h"

void sequence_init(struct sequence *sequence)
{
	memset(sequence, 0, sizeof(*sequence));
}

void sequence_release(struct sequence *sequence)
{
	free(sequence->contents);
	free(sequence->hashes);
	sequence_init(sequence);
}

void sequence_clear(struct sequence *sequence, uint32_t page)
{
	sequence->count = sequence->hash_count = 0;
	sequence->size = 0;
	sequence->page = page;
}

void sequence_borrow(struct sequence *sequence, const struct catalog_entry *entry)
{
	sequence_init(sequence);
	sequence->contents = (struct content *)entry->contents;
	sequence->count = entry->content_count;
	sequence->size = entry->size;
	if (entry->lists) {
		sequence->hashes = (uint8_t *)entry->lists->hashes;
		sequence->hash_count = entry->lists->hash_count;
		sequence->page = entry->lists->page;
	}
}

/* Room for ${count} more of ${size} bytes. Sized by input, so it may fail. */
static int reserve(void **data, size_t used, size_t *capacity, size_t count, size_t size)
{
	size_t wanted = *capacity + *capacity / 2;
	void *more;

	if (count <= *capacity - used)
		return 0;
	if (wanted < used + count)
		wanted = used + count + 4;
	more = realloc(*data, wanted * size);
	if (!more)
		return -1;
	*data = more;
	*capacity = wanted;
	return 0;
}

int sequence_add(struct sequence *sequence, const struct content *content)
{
	void *contents = sequence->contents;

	if (reserve(&contents, sequence->count, &sequence->capacity, 1, sizeof(*content)) < 0)
		return -1;
	sequence->contents = contents;
	sequence->contents[sequence->count++] = *content;
	sequence->size += content->length;
	return 0;
}

int sequence_add_hashes(struct sequence *sequence, const uint8_t *hashes, size_t count)
{
	void *bytes = sequence->hashes;

	if (!count)
		return 0;
	if (reserve(&bytes, sequence->hash_count, &sequence->hash_capacity, count, PAGE_HASH_SIZE) <
	    0)
		return -1;
	sequence->hashes = bytes;
	memcpy(sequence->hashes + sequence->hash_count * PAGE_HASH_SIZE, hashes,
	       count * PAGE_HASH_SIZE);
	sequence->hash_count += count;
	return 0;
}

/* The first page that begins at ${at} or behind it. */
static uint64_t page_from(uint32_t page, uint64_t at)
{
	return at / page + (at % page != 0);
}

uint64_t sequence_pages(uint32_t page, uint64_t at, uint64_t length)
{
	uint64_t first, end;

	if (!page)
		return 0;
	first = page_from(page, at);
	end = (at + length) / page;
	return end > first ? end - first : 0;
}

static uint64_t pages_of(const struct sequence *sequence, const struct content *content,
			 uint64_t at)
{
	return content->kind == CONTENT_CHUNK ? sequence_pages(sequence->page, at, content->length)
					      : 0;
}

bool sequence_is_sound(const struct sequence *sequence)
{
	uint64_t at = 0, pages = 0;

	for (size_t i = 0; i < sequence->count; i++) {
		pages += pages_of(sequence, &sequence->contents[i], at);
		at += sequence->contents[i].length;
	}
	return pages == sequence->hash_count;
}

void sequence_cursor_init(struct sequence_cursor *cursor, const struct sequence *sequence)
{
	memset(cursor, 0, sizeof(*cursor));
	cursor->sequence = sequence;
}

/* To the content that has the byte at ${at}; NULL behind the end. */
static const struct content *seek(struct sequence_cursor *cursor, uint64_t at)
{
	const struct sequence *sequence = cursor->sequence;

	while (cursor->content < sequence->count) {
		const struct content *content = &sequence->contents[cursor->content];

		if (at - cursor->at < content->length)
			return content;
		cursor->hash += (size_t)pages_of(sequence, content, cursor->at);
		cursor->at += content->length;
		cursor->content++;
	}
	return NULL;
}

/* The hash of the first page at or behind ${at}, which is in the cursor's content. */
static size_t hash_index(const struct sequence_cursor *cursor, uint64_t at)
{
	uint32_t page = cursor->sequence->page;

	return cursor->hash + (size_t)(page_from(page, at) - page_from(page, cursor->at));
}

const uint8_t *sequence_page_hash(struct sequence_cursor *cursor, uint64_t at)
{
	const struct sequence *sequence = cursor->sequence;
	const struct content *content = seek(cursor, at);

	if (!sequence->page || !content || content->kind != CONTENT_CHUNK ||
	    content->length - (at - cursor->at) < sequence->page)
		return NULL;
	return sequence->hashes + hash_index(cursor, at) * PAGE_HASH_SIZE;
}

bool sequence_is_hole(struct sequence_cursor *cursor, uint64_t from, uint64_t to)
{
	while (from < to) {
		const struct content *content = seek(cursor, from);

		if (!content || content->kind != CONTENT_HOLE)
			return false;
		from = cursor->at + content->length;
	}
	return true;
}

int sequence_copy(struct sequence_cursor *cursor, uint64_t from, uint64_t to,
		  struct sequence *target)
{
	const struct sequence *sequence = cursor->sequence;

	while (from < to) {
		const struct content *content = seek(cursor, from);
		struct content part;
		uint64_t end, pages = 0;

		if (!content)
			return 0;
		end = cursor->at + content->length < to ? cursor->at + content->length : to;
		part = *content;
		part.length = end - from;
		if (part.kind == CONTENT_CHUNK) {
			part.offset += (uint32_t)(from - cursor->at);
			pages = sequence_pages(sequence->page, from, part.length);
		}
		if (sequence_add(target, &part) < 0 ||
		    (pages && sequence_add_hashes(target,
						  sequence->hashes +
							  hash_index(cursor, from) * PAGE_HASH_SIZE,
						  (size_t)pages) < 0))
			return -1;
		from = end;
	}
	return 0;
}

int sequence_overlay(const struct sequence *lower, const struct sequence *upper,
		     struct sequence *target)
{
	struct sequence_cursor below, above;
	uint64_t at = 0;

	sequence_cursor_init(&below, lower);
	sequence_cursor_init(&above, upper);
	for (size_t i = 0; i < upper->count; i++) {
		const struct content *content = &upper->contents[i];
		uint64_t end = at + content->length;
		bool is_covered = content->kind == CONTENT_GAP && at < lower->size;

		if (is_covered &&
		    sequence_copy(&below, at, end < lower->size ? end : lower->size, target) < 0)
			return -1;
		if (is_covered)
			at = end < lower->size ? end : lower->size;
		if (at < end && sequence_copy(&above, at, end, target) < 0)
			return -1;
		at = end;
	}
	return at < lower->size ? sequence_copy(&below, at, lower->size, target) : 0;
}
