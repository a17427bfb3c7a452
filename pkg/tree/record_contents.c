/*
 * Contents of files as bytes. Those of a large file are in stored lists, so that they are
 * not stored again for a few that change: one list has all, each further one what has
 * changed since. All of it may come from a stranger's image.
 */
#include "tree/record_contents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/format.h"
#include "tree/stream.h"

#define CONTENT_SIZE_MIN 9U /* a hole is the shortest */
#define REF_SIZE (4U + HASH_SIZE)
#define READ_STEP (1U << 20)

/* Whether ${next} goes on where ${content} ends, so that both are written as one. */
static bool content_continues(const struct content *content, const struct content *next)
{
	if (content->kind != next->kind)
		return false;
	if (content->kind == CONTENT_HOLE)
		return true;
	return content->kind == CONTENT_CHUNK && content->chunk.size == next->chunk.size &&
	       content->offset + content->length == next->offset &&
	       hash_equal(&content->chunk.id, &next->chunk.id);
}

static void append_content(struct buffer *buffer, const struct content *content)
{
	switch (content->kind) {
	case CONTENT_HOLE:
		buffer_append_u8(buffer, RECORD_CONTENT_HOLE);
		buffer_append_u64(buffer, content->length);
		return;
	case CONTENT_CHUNK:
		if (!content->offset && content->length == content->chunk.size) {
			buffer_append_u8(buffer, RECORD_CONTENT_CHUNK);
		} else {
			buffer_append_u8(buffer, RECORD_CONTENT_PART);
			buffer_append_u32(buffer, (uint32_t)content->length);
			buffer_append_u32(buffer, content->offset);
		}
		buffer_append_u32(buffer, content->chunk.size);
		break;
	case CONTENT_HASH:
		buffer_append_u8(buffer, RECORD_CONTENT_HASH);
		buffer_append_u64(buffer, content->length);
		break;
	case CONTENT_GAP:
		return;
	}
	buffer_append(buffer, content->chunk.id.bytes, HASH_SIZE);
}

/* ---- encoding ---- */

/* The contents of an entry one after the other, with where they are. */
struct walk {
	const struct catalog_entry *entry;
	uint32_t page;
	const uint8_t *hashes;
	size_t next;
	uint64_t at; /* of the next */
};

static void walk_init(struct walk *walk, const struct catalog_entry *entry)
{
	memset(walk, 0, sizeof(*walk));
	walk->entry = entry;
	if (entry->lists) {
		walk->page = entry->lists->page;
		walk->hashes = entry->lists->hashes;
	}
}

static uint64_t walk_pages(const struct walk *walk)
{
	const struct content *content = &walk->entry->contents[walk->next];

	return content->kind == CONTENT_CHUNK
		       ? sequence_pages(walk->page, walk->at, content->length)
		       : 0;
}

/* Over the next content, which goes to ${buffer} unless that is NULL. Bytes of its form. */
static uint64_t walk_content(struct walk *walk, struct buffer *buffer)
{
	const struct content *content = &walk->entry->contents[walk->next];
	size_t hashes = (size_t)walk_pages(walk) * PAGE_HASH_SIZE;
	uint64_t size = CONTENT_SIZE_MIN;

	if (content->kind == CONTENT_CHUNK)
		size = 1 + REF_SIZE + hashes +
		       (content->offset || content->length != content->chunk.size ? 8 : 0);
	if (buffer) {
		append_content(buffer, content);
		if (hashes)
			buffer_append(buffer, walk->hashes, hashes);
	}
	if (walk->hashes)
		walk->hashes += hashes;
	walk->at += content->length;
	walk->next++;
	return size;
}

static bool in_run(const struct walk *walk, unsigned first)
{
	return walk->next < walk->entry->content_count &&
	       walk->entry->contents[walk->next].list >= first;
}

static void put_u32(struct buffer *buffer, size_t at, uint32_t value)
{
	if (!buffer->failed)
		format_put_u32((uint8_t *)buffer->data + at, value);
}

/* Runs of contents that list ${first} or a later one says, or none; their number first. */
static uint64_t append_runs(struct buffer *buffer, const struct catalog_entry *entry,
			    unsigned first)
{
	size_t runs_at = buffer ? buffer->size : 0;
	uint64_t size = 4;
	uint32_t runs = 0;
	struct walk walk;

	walk_init(&walk, entry);
	if (buffer)
		buffer_append_u32(buffer, 0);
	while (walk.next < entry->content_count) {
		size_t count_at = 0;
		uint32_t count = 0;

		if (!in_run(&walk, first)) {
			walk_content(&walk, NULL);
			continue;
		}
		if (buffer) {
			buffer_append_u64(buffer, walk.at);
			count_at = buffer->size;
			buffer_append_u32(buffer, 0);
		}
		size += CONTENT_RUN_HEADER_SIZE;
		for (; in_run(&walk, first); count++)
			size += walk_content(&walk, buffer);
		if (buffer)
			put_u32(buffer, count_at, count);
		runs++;
	}
	if (buffer)
		put_u32(buffer, runs_at, runs);
	return size;
}

unsigned contents_parts(const struct catalog_entry *entry)
{
	unsigned parts = RECORD_PART_CONTENTS;

	if (entry->lists && entry->lists->page)
		parts |= RECORD_PART_PAGES;
	if (entry->lists && entry->lists->count)
		parts |= RECORD_PART_LISTS;
	return parts;
}

static void append_canonical(struct buffer *buffer, const struct catalog_entry *entry)
{
	size_t count_at = buffer->size;
	uint32_t count = 0;

	buffer_append_u32(buffer, 0);
	for (size_t i = 0; i < entry->content_count;) {
		struct content content = entry->contents[i];

		for (i++;
		     i < entry->content_count && content_continues(&content, &entry->contents[i]);
		     i++)
			content.length += entry->contents[i].length;
		append_content(buffer, &content);
		count++;
	}
	put_u32(buffer, count_at, count);
}

static void append_with_hashes(struct buffer *buffer, const struct catalog_entry *entry)
{
	struct walk walk;

	walk_init(&walk, entry);
	buffer_append_u32(buffer, (uint32_t)entry->content_count);
	while (walk.next < entry->content_count)
		walk_content(&walk, buffer);
}

static void append_lists(struct buffer *buffer, const struct content_lists *lists)
{
	buffer_append_u8(buffer, (uint8_t)lists->count);
	for (size_t i = 0; i < lists->count; i++) {
		const struct content_list *list = &lists->lists[i];

		buffer_append_u64(buffer, list->size);
		buffer_append_u32(buffer, (uint32_t)list->count);
		for (size_t j = 0; j < list->count; j++) {
			buffer_append_u32(buffer, list->refs[j].size);
			buffer_append(buffer, list->refs[j].id.bytes, HASH_SIZE);
		}
	}
}

void contents_encode(struct buffer *buffer, const struct catalog_entry *entry, unsigned parts)
{
	if (parts & RECORD_PART_PAGES) {
		buffer_append_u32(buffer, entry->lists->page);
		buffer_append(buffer, entry->lists->key, PAGE_HASH_KEY_SIZE);
	}
	buffer_append_u64(buffer, entry->size);
	if (parts & RECORD_PART_LISTS) {
		append_lists(buffer, entry->lists);
		append_runs(buffer, entry, LIST_NONE);
	} else if (parts & RECORD_PART_PAGES) {
		append_with_hashes(buffer, entry);
	} else {
		append_canonical(buffer, entry);
	}
}

void contents_encode_list(struct buffer *buffer, const struct catalog_entry *entry, unsigned first)
{
	buffer_append(buffer, CONTENT_LIST_MAGIC, CATALOG_MAGIC_SIZE);
	buffer_append_u32(buffer, entry->lists ? entry->lists->page : 0);
	append_runs(buffer, entry, first);
}

uint64_t contents_list_size(const struct catalog_entry *entry, unsigned first)
{
	return CONTENT_LIST_HEADER_SIZE - 4 + append_runs(NULL, entry, first);
}

/* ---- decoding ---- */

static int damaged(struct error **err, const char *what)
{
	return error_set(err, ERROR_DAMAGED, "catalog record: %s", what);
}

static int no_memory(struct error **err)
{
	return error_set_errno(err, ENOMEM, "cannot read a catalog");
}

/* One content; false when it is none or makes no sense. */
static bool decode_content(struct cursor *cursor, struct content *content)
{
	unsigned kind = cursor_u8(cursor);
	const uint8_t *id;

	memset(content, 0, sizeof(*content));
	switch (kind) {
	case RECORD_CONTENT_HOLE:
		content->kind = CONTENT_HOLE;
		content->length = cursor_u64(cursor);
		return !cursor->failed && content->length;
	case RECORD_CONTENT_CHUNK:
	case RECORD_CONTENT_PART:
		content->kind = CONTENT_CHUNK;
		if (kind == RECORD_CONTENT_PART) {
			content->length = cursor_u32(cursor);
			content->offset = cursor_u32(cursor);
		}
		content->chunk.size = cursor_u32(cursor);
		if (kind == RECORD_CONTENT_CHUNK)
			content->length = content->chunk.size;
		if (!content->length || content->chunk.size > CHUNK_SIZE_MAX ||
		    content->offset > content->chunk.size ||
		    content->length > content->chunk.size - content->offset)
			return false;
		break;
	case RECORD_CONTENT_HASH:
		content->kind = CONTENT_HASH;
		content->length = cursor_u64(cursor);
		break;
	default:
		return false;
	}
	id = cursor_bytes(cursor, HASH_SIZE);
	if (!id)
		return false;
	memcpy(content->chunk.id.bytes, id, HASH_SIZE);
	return true;
}

/* One content with its hashes to the end of a sequence. */
static int decode_next(struct cursor *cursor, unsigned list, struct sequence *sequence,
		       struct content *content, struct error **err)
{
	const uint8_t *hashes = NULL;
	uint64_t pages = 0;

	if (!decode_content(cursor, content) ||
	    content->length > RECORD_FILE_SIZE_MAX - sequence->size)
		return damaged(err, "bad content");
	content->list = (uint8_t)list;
	if (content->kind == CONTENT_CHUNK)
		pages = sequence_pages(sequence->page, sequence->size, content->length);
	if (pages) {
		hashes = cursor_bytes(cursor, (size_t)pages * PAGE_HASH_SIZE);
		if (!hashes)
			return damaged(err, "hashes of pages are missing");
	}
	return sequence_add(sequence, content) < 0 ||
			       sequence_add_hashes(sequence, hashes, (size_t)pages) < 0
		       ? no_memory(err)
		       : 0;
}

/* Contents that stand in the record. */
static int decode_plain(struct cursor *cursor, struct sequence *sequence, uint64_t size,
			struct error **err)
{
	struct content content, previous = {.kind = CONTENT_GAP};
	size_t count = cursor_u32(cursor);

	/* nothing is allocated that the bytes there cannot fill */
	if (cursor->failed || count > cursor_left(cursor) / CONTENT_SIZE_MIN)
		return damaged(err, "bad size or number of contents");
	for (size_t i = 0; i < count; i++, previous = content) {
		if (decode_next(cursor, LIST_NONE, sequence, &content, err) < 0)
			return -1;
		if ((content.kind == CONTENT_HASH && (count != 1 || sequence->page)) ||
		    (!sequence->page && content_continues(&previous, &content)))
			return damaged(err, "bad content");
	}
	return sequence->size == size ? 0 : damaged(err, "contents do not add up to the size");
}

/* Runs of contents, with gaps between them. */
static int decode_runs(struct cursor *cursor, unsigned list, struct sequence *sequence,
		       struct error **err)
{
	size_t runs = cursor_u32(cursor);

	if (cursor->failed || runs > cursor_left(cursor) / CONTENT_RUN_HEADER_SIZE)
		return damaged(err, "bad number of runs");
	for (size_t i = 0; i < runs; i++) {
		struct content content = {.kind = CONTENT_GAP, .list = (uint8_t)list};
		uint64_t at = cursor_u64(cursor);
		size_t count = cursor_u32(cursor);

		if (cursor->failed || !count || count > cursor_left(cursor) / CONTENT_SIZE_MIN ||
		    at < sequence->size || at > RECORD_FILE_SIZE_MAX)
			return damaged(err, "bad run of contents");
		content.length = at - sequence->size;
		if (content.length && sequence_add(sequence, &content) < 0)
			return no_memory(err);
		for (size_t j = 0; j < count; j++) {
			if (decode_next(cursor, list, sequence, &content, err) < 0)
				return -1;
			if (content.kind == CONTENT_HASH)
				return damaged(err, "bad content");
		}
	}
	return 0;
}

/* What ${upper} has goes over the contents so far. */
static int lay_over(struct record_space *space, struct error **err)
{
	struct sequence whole;

	sequence_clear(&space->spare, space->contents.page);
	if (sequence_overlay(&space->contents, &space->upper, &space->spare) < 0)
		return no_memory(err);
	whole = space->spare;
	space->spare = space->contents;
	space->contents = whole;
	return 0;
}

static int read_list(struct record_space *space, const struct content_list *list,
		     struct store *store, struct error **err)
{
	struct buffer *buffer = &space->list;
	struct stream stream;
	int result = 0;

	buffer_clear(buffer);
	stream_init(&stream, store, list->refs, list->count);
	/* memory grows with what is really there */
	while (result == 0 && buffer->size < list->size) {
		size_t part = list->size - buffer->size < READ_STEP
				      ? (size_t)list->size - buffer->size
				      : READ_STEP;
		ssize_t got;

		if (buffer_reserve(buffer, part) < 0) {
			result = no_memory(err);
			break;
		}
		got = stream_read(&stream, buffer->data + buffer->size, part, err);
		if (got < 0)
			result = -1;
		else if ((size_t)got < part)
			result = damaged(err, "a list of contents is cut");
		else
			buffer->size += part;
	}
	stream_release(&stream);
	return result;
}

static int decode_list(struct record_space *space, unsigned number, struct store *store,
		       struct error **err)
{
	struct cursor cursor;
	const uint8_t *magic;

	if (read_list(space, &space->lists[number], store, err) < 0)
		return -1;
	cursor_init(&cursor, space->list.data, space->list.size);
	magic = cursor_bytes(&cursor, CATALOG_MAGIC_SIZE);
	if (!magic || memcmp(magic, CONTENT_LIST_MAGIC, CATALOG_MAGIC_SIZE) != 0 ||
	    cursor_u32(&cursor) != space->contents.page)
		return damaged(err, "a list of contents has no header");
	sequence_clear(&space->upper, space->contents.page);
	if (decode_runs(&cursor, number, &space->upper, err) < 0)
		return -1;
	if (cursor.failed || cursor_left(&cursor))
		return damaged(err, "a list of contents has another size");
	return lay_over(space, err);
}

/* Where the lists are: sizes that fit, before anything of them is read. */
static int decode_list_refs(struct cursor *cursor, struct content_list *list, uint64_t *total,
			    struct error **err)
{
	uint64_t sum = 0;
	size_t count;

	list->size = cursor_u64(cursor);
	count = cursor_u32(cursor);
	if (cursor->failed || !count || count > cursor_left(cursor) / REF_SIZE ||
	    list->size > RECORD_SIZE_MAX || (*total += list->size) > RECORD_SIZE_MAX)
		return damaged(err, "bad size of a list of contents");
	free(list->refs);
	list->count = 0;
	list->refs = calloc(count, sizeof(*list->refs));
	if (!list->refs)
		return no_memory(err);
	list->count = count;
	for (size_t i = 0; i < count; i++) {
		const uint8_t *id;

		list->refs[i].size = cursor_u32(cursor);
		id = cursor_bytes(cursor, HASH_SIZE);
		if (!id)
			return damaged(err, "a list of contents has no id");
		memcpy(list->refs[i].id.bytes, id, HASH_SIZE);
		sum += list->refs[i].size;
	}
	return sum == list->size ? 0 : damaged(err, "bad size of a list of contents");
}

/* The file ends where the record says, not where older lists do. */
static int cut(struct record_space *space, uint64_t size, struct error **err)
{
	struct sequence_cursor cursor;
	struct sequence whole;

	if (space->contents.size < size)
		return damaged(err, "contents do not add up to the size");
	if (space->contents.size > size) {
		sequence_clear(&space->spare, space->contents.page);
		sequence_cursor_init(&cursor, &space->contents);
		if (sequence_copy(&cursor, 0, size, &space->spare) < 0)
			return no_memory(err);
		whole = space->spare;
		space->spare = space->contents;
		space->contents = whole;
	}
	for (size_t i = 0; i < space->contents.count; i++) {
		if (space->contents.contents[i].kind == CONTENT_GAP)
			return damaged(err, "contents are missing");
	}
	return 0;
}

static int decode_lists(struct cursor *cursor, struct record_space *space, struct store *store,
			uint64_t size, struct error **err)
{
	size_t count = cursor_u8(cursor);
	uint64_t total = 0;

	if (!store)
		return damaged(err, "lists of contents where none may be");
	if (!count || count > CONTENT_LISTS_MAX)
		return damaged(err, "bad number of lists of contents");
	for (size_t i = 0; i < count; i++) {
		if (decode_list_refs(cursor, &space->lists[i], &total, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < count; i++) {
		if (decode_list(space, (unsigned)i, store, err) < 0)
			return -1;
	}
	sequence_clear(&space->upper, space->contents.page);
	if (decode_runs(cursor, LIST_NONE, &space->upper, err) < 0 || lay_over(space, err) < 0)
		return -1;
	space->stored.lists = space->lists;
	space->stored.count = count;
	return cut(space, size, err);
}

static int decode_pages(struct cursor *cursor, struct content_lists *stored, struct error **err)
{
	const uint8_t *key;

	stored->page = cursor_u32(cursor);
	key = cursor_bytes(cursor, PAGE_HASH_KEY_SIZE);
	if (!key || stored->page < PAGE_SIZE_MIN || stored->page > PAGE_SIZE_MAX ||
	    stored->page & (stored->page - 1))
		return damaged(err, "bad size of pages");
	memcpy(stored->key, key, PAGE_HASH_KEY_SIZE);
	return 0;
}

/* What comes first: pages, and the file's size. */
static int decode_head(struct cursor *cursor, unsigned parts, struct content_lists *stored,
		       struct catalog_entry *entry, struct error **err)
{
	memset(stored, 0, sizeof(*stored));
	if (parts & RECORD_PART_PAGES && decode_pages(cursor, stored, err) < 0)
		return -1;
	entry->size = cursor_u64(cursor);
	if (cursor->failed || entry->size > RECORD_FILE_SIZE_MAX)
		return damaged(err, "bad size or number of contents");
	return 0;
}

int contents_decode_size(struct cursor *cursor, unsigned parts, struct catalog_entry *entry,
			 struct error **err)
{
	struct content_lists ignored;

	return decode_head(cursor, parts, &ignored, entry, err);
}

int contents_decode(struct cursor *cursor, unsigned parts, struct record_space *space,
		    struct store *store, struct catalog_entry *entry, struct error **err)
{
	struct content_lists *stored = &space->stored;
	int result;

	if (decode_head(cursor, parts, stored, entry, err) < 0)
		return -1;
	sequence_clear(&space->contents, stored->page);
	if (parts & RECORD_PART_LISTS)
		result = decode_lists(cursor, space, store, entry->size, err);
	else
		result = decode_plain(cursor, &space->contents, entry->size, err);
	if (result < 0)
		return -1;
	entry->contents = space->contents.contents;
	entry->content_count = space->contents.count;
	stored->hashes = space->contents.hashes;
	stored->hash_count = space->contents.hash_count;
	if (parts & (RECORD_PART_PAGES | RECORD_PART_LISTS))
		entry->lists = stored;
	return 0;
}
