/*
 * The catalog's way into the store. References of chunks come back late and from
 * within calls on the store's writer, which must not be called again there: so entries
 * wait in a queue, records in a buffer, and both are moved on between streams.
 */
#include "tree/catalog_writer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/path.h"
#include "store/format.h"
#include "tree/format.h"
#include "tree/record_contents.h"

/*
 * The catalog's stream is stored in segments that end where the path says so, not at
 * a fixed size: behind a record that grew, the next tree's segments are the same again.
 */
#define SEGMENT_SIZE_MIN (1U << 20)
#define SEGMENT_SIZE_MAX (8U << 20)
#define SEGMENT_END_MASK 0x3ffU

#define COOKIE_CATALOG 1
#define COOKIE_LIST 2
#define COOKIE_CONTENTS 1 /* a bit beside the address of a waiting entry */

/* A file of more contents than this has them in stored lists, not in its record. */
#define INLINE_COUNT_MAX 256
/* What changed since stands in the record, as long as that is not much to store each time. */
#define INLINE_SIZE_MAX 4096
/* Lists of changes that are together this part of all contents are joined with them. */
#define LISTS_SHARE 4

/* Beyond this much waiting memory the store's writer is flushed. */
#define WAITING_SIZE_MAX (24U << 20)

enum list_state {
	LISTS_UNKNOWN,	 /* not looked at yet */
	LISTS_WANTED,	 /* a new list is to be stored, by pump() */
	LISTS_UNDER_WAY, /* it was fed: its references will come */
	LISTS_STORED
};

struct pending_entry {
	struct pending_entry *next;
	struct catalog_entry entry; /* points into text and attributes */
	struct buffer text;
	struct attribute *attributes;
	size_t attribute_capacity;
	struct sequence plan;	  /* what it is to be made of; a gap stands for a stream */
	struct sequence contents; /* as far as the streams have come; hashes of all */
	size_t planned;		  /* of the plan, in the contents */
	size_t stream_count, streams_done;
	struct content_lists lists;
	struct content_list stored[CONTENT_LISTS_MAX]; /* owned */
	enum list_state list_state;
	unsigned new_list; /* which of them is made */
	bool complete, is_reused, failed;
};

struct segment {
	struct segment *next;
	struct buffer bytes;
};

struct catalog_writer {
	struct store_writer *store;
	bool partial;
	struct draft *draft; /* NULL: a catalog in the store */
	char previous[RECORD_PATH_MAX + 1];
	uint64_t records, entry_bytes, stream_size;
	struct hasher *hasher;
	struct buffer current;
	struct buffer scratch; /* canonical bytes of a record, or a list of contents */
	struct segment *ready, **ready_end;
	struct buffer list;
	struct catalog_root root;
	struct pending_entry *head, **tail, *unused;
	size_t waiting_size;
};

struct catalog_writer *catalog_writer_new(void)
{
	struct catalog_writer *writer = memory_zalloc(sizeof(*writer));

	writer->hasher = hasher_new();
	buffer_init(&writer->current, RECORD_SIZE_MAX + 2UL * SEGMENT_SIZE_MAX);
	buffer_init(&writer->scratch, RECORD_SIZE_MAX + 4UL);
	buffer_init(&writer->list, RECORD_SIZE_MAX);
	writer->tail = &writer->head;
	writer->ready_end = &writer->ready;
	return writer;
}

/* The lists from ${first} on are forgotten. */
static void release_lists(struct pending_entry *entry, unsigned first)
{
	for (unsigned i = first; i < entry->lists.count; i++)
		free(entry->stored[i].refs);
	if (entry->lists.count > first)
		entry->lists.count = first;
}

static void pending_entry_free(struct pending_entry *entry)
{
	buffer_release(&entry->text);
	free(entry->attributes);
	sequence_release(&entry->plan);
	sequence_release(&entry->contents);
	release_lists(entry, 0);
	free(entry);
}

static void pending_list_free(struct pending_entry *entry)
{
	while (entry) {
		struct pending_entry *next = entry->next;

		pending_entry_free(entry);
		entry = next;
	}
}

void catalog_writer_free(struct catalog_writer *writer)
{
	if (!writer)
		return;
	pending_list_free(writer->head);
	pending_list_free(writer->unused);
	while (writer->ready) {
		struct segment *segment = writer->ready;

		writer->ready = segment->next;
		buffer_release(&segment->bytes);
		free(segment);
	}
	hasher_free(writer->hasher);
	buffer_release(&writer->current);
	buffer_release(&writer->scratch);
	buffer_release(&writer->list);
	catalog_root_release(&writer->root);
	free(writer);
}

void catalog_writer_attach(struct catalog_writer *writer, struct store_writer *store)
{
	writer->store = store;
}

static int begin(struct catalog_writer *writer, struct error **err)
{
	if (writer->head || writer->current.size || writer->ready)
		return error_set(err, ERROR_FAILED,
				 "a catalog was begun before the last one ended");
	writer->records = writer->entry_bytes = writer->stream_size = 0;
	writer->previous[0] = '\0';
	catalog_root_release(&writer->root);
	buffer_clear(&writer->list);
	return 0;
}

int catalog_writer_begin_draft(struct catalog_writer *writer, struct draft *draft,
			       struct error **err)
{
	if (begin(writer, err) < 0)
		return -1;
	writer->partial = false;
	writer->draft = draft;
	return 0;
}

int catalog_writer_begin(struct catalog_writer *writer, bool partial, struct error **err)
{
	if (begin(writer, err) < 0)
		return -1;
	writer->partial = partial;
	writer->draft = NULL;
	buffer_append(&writer->current, CATALOG_MAGIC, CATALOG_MAGIC_SIZE);
	buffer_append_u32(&writer->current, partial ? CATALOG_PARTIAL : 0);
	return 0;
}

/* ---- records ---- */

static int segment_close(struct catalog_writer *writer, struct error **err)
{
	struct segment *segment;

	/* what could not be added before or behind the records is missed nowhere else */
	if (writer->current.failed)
		return error_set(err, ERROR_FAILED, "no memory for the catalog");
	segment = memory_zalloc(sizeof(*segment));
	segment->bytes = writer->current;
	buffer_init(&writer->current, segment->bytes.limit);
	writer->stream_size += segment->bytes.size;
	*writer->ready_end = segment;
	writer->ready_end = &segment->next;
	return 0;
}

static bool ends_segment(const struct catalog_writer *writer, const char *path)
{
	uint32_t hash = 0x811c9dc5U;

	if (writer->current.size < SEGMENT_SIZE_MIN)
		return false;
	for (; *path; path++)
		hash = (hash ^ (uint8_t)*path) * 0x01000193U;
	return writer->current.size >= SEGMENT_SIZE_MAX ||
	       !((hash ^ hash >> 16) & SEGMENT_END_MASK);
}

static int too_large(const struct catalog_entry *entry, struct error **err)
{
	return error_set(err, ERROR_UNSUPPORTED,
			 "\"%s\" is more than a catalog can hold (attributes, link or size)",
			 entry->path);
}

/* The record's bytes at the end of the catalog's stream; the tree's hash covers others. */
static int encode(struct catalog_writer *writer, const struct catalog_entry *entry,
		  struct error **err)
{
	struct buffer *canonical = &writer->current;
	size_t start = writer->current.size;

	if (record_encode(&writer->current, entry) < 0)
		return too_large(entry, err);
	if (!record_is_canonical(entry)) {
		canonical = &writer->scratch;
		start = 0;
		buffer_clear(canonical);
		if (catalog_encode(canonical, entry) < 0)
			return too_large(entry, err);
	}
	record_hash(writer->hasher, canonical->data + start + 4, canonical->size - start - 4);
	return ends_segment(writer, entry->path) ? segment_close(writer, err) : 0;
}

/* In a draft: what proves something, or has hashes that the next pass compares pages with. */
static bool is_kept(const struct catalog_entry *entry)
{
	return !(entry->flags & ENTRY_HOT) || (entry->lists && entry->lists->page);
}

/* Append a complete record. Called from within the sink too. */
static int emit(struct catalog_writer *writer, const struct catalog_entry *entry, bool is_reused,
		struct error **err)
{
	bool is_file = S_ISREG(entry->mode) && !entry->hardlink;

	if (writer->records ? path_compare(writer->previous, entry->path) >= 0 : *entry->path != 0)
		return error_set(err, ERROR_FAILED, "catalog entry \"%s\" is out of order",
				 entry->path);
	if (!writer->draft && encode(writer, entry, err) < 0)
		return -1;
	if (writer->draft && is_file && is_kept(entry) &&
	    draft_add(writer->draft, entry, is_reused, err) < 0)
		return -1;
	memcpy(writer->previous, entry->path, strlen(entry->path) + 1);
	writer->records++;
	if (is_file)
		writer->entry_bytes += entry->size;
	return 0;
}

static int feed(struct catalog_writer *writer, uint64_t cookie, const char *data, size_t size,
		struct error **err)
{
	if (store_writer_begin(writer->store, cookie, CHUNKING_FINE, 0, err) < 0)
		return -1;
	for (size_t done = 0; done < size;) {
		size_t space;
		uint8_t *target = store_writer_space(writer->store, &space, err);

		if (!target)
			return -1;
		if (space > size - done)
			space = size - done;
		memcpy(target, data + done, space);
		if (store_writer_commit(writer->store, space, err) < 0)
			return -1;
		done += space;
	}
	return store_writer_end(writer->store, err);
}

static int pump_segments(struct catalog_writer *writer, struct error **err)
{
	while (writer->ready) {
		struct segment *segment = writer->ready;
		int result;

		writer->ready = segment->next;
		if (!writer->ready)
			writer->ready_end = &writer->ready;
		result =
			feed(writer, COOKIE_CATALOG, segment->bytes.data, segment->bytes.size, err);
		buffer_release(&segment->bytes);
		free(segment);
		if (result < 0)
			return -1;
	}
	return 0;
}

/* The list that the first of those that wait waits for. */
static int pump_list(struct catalog_writer *writer, struct error **err)
{
	struct pending_entry *entry = writer->head;
	struct content_list *list;

	if (!entry || entry->list_state != LISTS_WANTED)
		return 0;
	buffer_clear(&writer->scratch);
	contents_encode_list(&writer->scratch, &entry->entry, entry->new_list);
	if (writer->scratch.failed)
		return too_large(&entry->entry, err);
	release_lists(entry, entry->new_list);
	list = &entry->stored[entry->lists.count++];
	memset(list, 0, sizeof(*list));
	list->size = writer->scratch.size;
	entry->list_state = LISTS_UNDER_WAY;
	return feed(writer, (uint64_t)(uintptr_t)entry | COOKIE_CONTENTS, writer->scratch.data,
		    writer->scratch.size, err);
}

/* Give what is finished to the store. Never from within the sink. */
static int pump(struct catalog_writer *writer, struct error **err)
{
	return pump_list(writer, err) < 0 ? -1 : pump_segments(writer, err);
}

int catalog_writer_add(struct catalog_writer *writer, const struct catalog_entry *entry,
		       struct error **err)
{
	struct catalog_entry plain = *entry;

	/* where another store has its lists is of no use here */
	plain.lists = NULL;
	if (emit(writer, &plain, false, err) < 0)
		return -1;
	return pump(writer, err);
}

/* ---- entries that wait ---- */

static size_t pending_size(const struct pending_entry *entry)
{
	return sizeof(*entry) + entry->text.capacity +
	       (entry->contents.capacity + entry->plan.capacity) * sizeof(struct content) +
	       entry->contents.hash_capacity * PAGE_HASH_SIZE;
}

static void copy_attributes(struct pending_entry *copy, const struct catalog_entry *entry)
{
	if (entry->attribute_count > copy->attribute_capacity) {
		copy->attribute_capacity = entry->attribute_count;
		copy->attributes = memory_array(copy->attributes, entry->attribute_count,
						sizeof(*copy->attributes));
	}
	for (size_t i = 0; i < entry->attribute_count; i++) {
		const struct attribute *attribute = &entry->attributes[i];

		buffer_append(&copy->text, attribute->name, strlen(attribute->name) + 1);
		buffer_append(&copy->text, attribute->value, attribute->size);
	}
}

/* The record, with pointers into the text, once that does not move any more. */
static void point_into_text(struct pending_entry *copy, const struct catalog_entry *entry)
{
	const char *at = copy->text.data;

	copy->entry = *entry;
	copy->failed = copy->text.failed;
	if (copy->failed) {
		copy->entry = (struct catalog_entry){.path = ""};
		return;
	}
	copy->entry.path = at;
	at += strlen(at) + 1;
	if (entry->link) {
		copy->entry.link = at;
		at += strlen(at) + 1;
	}
	if (entry->hardlink) {
		copy->entry.hardlink = at;
		at += strlen(at) + 1;
	}
	for (size_t i = 0; i < entry->attribute_count; i++) {
		copy->attributes[i].name = at;
		at += strlen(at) + 1;
		copy->attributes[i].value = at;
		copy->attributes[i].size = entry->attributes[i].size;
		at += entry->attributes[i].size;
	}
	copy->entry.attributes = copy->attributes;
}

struct pending_entry *catalog_writer_push(struct catalog_writer *writer,
					  const struct catalog_entry *entry)
{
	struct pending_entry *copy = writer->unused;

	if (copy) {
		writer->unused = copy->next;
	} else {
		copy = memory_zalloc(sizeof(*copy));
		buffer_init(&copy->text, 4UL << 20);
	}
	buffer_clear(&copy->text);
	buffer_append(&copy->text, entry->path, strlen(entry->path) + 1);
	if (entry->link)
		buffer_append(&copy->text, entry->link, strlen(entry->link) + 1);
	if (entry->hardlink)
		buffer_append(&copy->text, entry->hardlink, strlen(entry->hardlink) + 1);
	copy_attributes(copy, entry);
	point_into_text(copy, entry);
	sequence_clear(&copy->plan, 0);
	sequence_clear(&copy->contents, 0);
	copy->planned = copy->stream_count = copy->streams_done = 0;
	release_lists(copy, 0);
	memset(&copy->lists, 0, sizeof(copy->lists));
	copy->list_state = LISTS_UNKNOWN;
	copy->complete = copy->is_reused = false;
	copy->next = NULL;
	*writer->tail = copy;
	writer->tail = &copy->next;
	writer->waiting_size += pending_size(copy);
	return copy;
}

/* Without memory the entry fails where somebody can be told. */
static void note(struct pending_entry *entry, int result)
{
	entry->failed |= result < 0;
}

static struct content whole_chunk(const struct chunk_ref *ref)
{
	return (struct content){
		.kind = CONTENT_CHUNK, .list = LIST_NONE, .length = ref->size, .chunk = *ref};
}

static void plan_add(struct pending_entry *entry, enum content_kind kind, uint64_t length)
{
	struct content content = {.kind = kind, .list = LIST_NONE, .length = length};

	note(entry, sequence_add(&entry->plan, &content));
}

uint64_t pending_entry_stream(struct pending_entry *entry, uint64_t hole)
{
	if (hole)
		plan_add(entry, CONTENT_HOLE, hole);
	plan_add(entry, CONTENT_GAP, 0);
	entry->stream_count++;
	return (uint64_t)(uintptr_t)entry;
}

static void copy_lists(struct pending_entry *entry, const struct content_lists *lists)
{
	entry->lists = *lists;
	for (size_t i = 0; i < lists->count; i++) {
		const struct content_list *list = &lists->lists[i];

		entry->stored[i] = *list;
		entry->stored[i].refs = memory_array(NULL, list->count, sizeof(*list->refs));
		memcpy(entry->stored[i].refs, list->refs, list->count * sizeof(*list->refs));
	}
}

void pending_entry_pages(struct pending_entry *entry, uint32_t page, const uint8_t *key,
			 const struct catalog_entry *earlier)
{
	if (earlier)
		copy_lists(entry, earlier->lists);
	entry->lists.page = entry->contents.page = entry->plan.page = page;
	memcpy(entry->lists.key, key, PAGE_HASH_KEY_SIZE);
}

void pending_entry_hash(struct pending_entry *entry, const uint8_t *hash)
{
	note(entry, sequence_add_hashes(&entry->plan, hash, 1));
}

void pending_entry_copy(struct pending_entry *entry, struct sequence_cursor *cursor, uint64_t from,
			uint64_t to)
{
	note(entry, sequence_copy(cursor, from, to, &entry->plan));
}

void pending_entry_hole(struct pending_entry *entry, uint64_t length)
{
	plan_add(entry, CONTENT_HOLE, length);
}

void pending_entry_chunk(struct pending_entry *entry, const struct chunk_ref *ref)
{
	struct content content = whole_chunk(ref);

	note(entry, sequence_add(&entry->plan, &content));
}

void catalog_writer_contents(struct catalog_writer *writer, struct pending_entry *entry,
			     const struct catalog_entry *earlier, bool is_reused)
{
	size_t size = pending_size(entry);

	for (size_t i = 0; i < earlier->content_count; i++)
		note(entry, sequence_add(&entry->plan, &earlier->contents[i]));
	if (earlier->lists) {
		copy_lists(entry, earlier->lists);
		entry->contents.page = entry->plan.page = earlier->lists->page;
		note(entry, sequence_add_hashes(&entry->plan, earlier->lists->hashes,
						earlier->lists->hash_count));
	}
	entry->is_reused = is_reused;
	writer->waiting_size += pending_size(entry) - size;
}

/* The plan goes to the contents, up to the next stream or to its end. */
static void follow_plan(struct pending_entry *entry)
{
	while (entry->planned < entry->plan.count) {
		const struct content *content = &entry->plan.contents[entry->planned];

		if (content->kind == CONTENT_GAP)
			return;
		note(entry, sequence_add(&entry->contents, content));
		entry->planned++;
	}
}

/*
 * Whether the first entry, all of whose contents are there, can be encoded as it is; else
 * a list of contents has to be stored first. Decided by what the entry holds alone: the
 * record of a file that has not changed must have the same bytes again.
 */
static bool lists_are_settled(const struct catalog_writer *writer, struct pending_entry *entry)
{
	uint64_t size;

	if (entry->list_state != LISTS_UNKNOWN)
		return entry->list_state == LISTS_STORED;
	/* a draft's stay in the record: what is being written cannot be read yet */
	if (writer->draft)
		return true;
	if (entry->entry.content_count <= INLINE_COUNT_MAX) {
		for (size_t i = 0; i < entry->contents.count; i++)
			entry->contents.contents[i].list = LIST_NONE;
		release_lists(entry, 0);
		return true;
	}
	entry->new_list = (unsigned)entry->lists.count;
	size = contents_list_size(&entry->entry, LIST_NONE);
	if (entry->lists.count && size <= INLINE_SIZE_MAX)
		return true;
	/* later lists are joined as they become as large as what comes behind them */
	while (entry->new_list > 1 && (entry->stored[entry->new_list - 1].size <= size ||
				       entry->new_list == CONTENT_LISTS_MAX))
		size = contents_list_size(&entry->entry, --entry->new_list);
	if (entry->new_list && size > contents_list_size(&entry->entry, 0) / LISTS_SHARE)
		entry->new_list = 0;
	entry->list_state = LISTS_WANTED;
	return false;
}

/* What the streams have brought, once all have ended. */
static int settle_contents(struct pending_entry *entry, struct error **err)
{
	struct sequence *contents = &entry->contents;

	if (entry->list_state != LISTS_UNKNOWN)
		return 0;
	follow_plan(entry);
	/* the plan has all hashes, in the order of the file */
	if (contents->hash_count == 0)
		note(entry,
		     sequence_add_hashes(contents, entry->plan.hashes, entry->plan.hash_count));
	if (entry->failed)
		return error_set(err, ERROR_FAILED, "no memory for the contents of \"%s\"",
				 entry->entry.path);
	if (!sequence_is_sound(contents))
		return error_set(err, ERROR_FAILED, "\"%s\" has hashes of other pages than its own",
				 entry->entry.path);
	entry->entry.size = contents->size;
	entry->entry.contents = contents->contents;
	entry->entry.content_count = contents->count;
	entry->lists.hashes = contents->hashes;
	entry->lists.hash_count = contents->hash_count;
	entry->lists.lists = entry->stored;
	entry->entry.lists = &entry->lists;
	return 0;
}

static void take_head(struct catalog_writer *writer)
{
	struct pending_entry *entry = writer->head;
	size_t size = pending_size(entry);

	writer->head = entry->next;
	if (!writer->head) {
		writer->tail = &writer->head;
		writer->waiting_size = 0;
	} else {
		writer->waiting_size -= size < writer->waiting_size ? size : writer->waiting_size;
	}
	/* a huge file's arrays are not kept for the next small one */
	if (size > 1U << 16) {
		pending_entry_free(entry);
	} else {
		entry->next = writer->unused;
		writer->unused = entry;
	}
}

/* Encode those at the queue's head that have everything. */
static int drain(struct catalog_writer *writer, struct error **err)
{
	struct pending_entry *entry;

	while ((entry = writer->head) && entry->complete &&
	       entry->streams_done == entry->stream_count) {
		int result;

		if (settle_contents(entry, err) < 0)
			return -1;
		if (!lists_are_settled(writer, entry))
			return 0;
		result = emit(writer, &entry->entry, entry->is_reused, err);
		take_head(writer);
		if (result < 0)
			return -1;
	}
	return 0;
}

int catalog_writer_complete(struct catalog_writer *writer, struct pending_entry *entry,
			    uint64_t hole, bool is_hot, struct error **err)
{
	if (is_hot)
		entry->entry.flags |= ENTRY_HOT;
	if (hole)
		plan_add(entry, CONTENT_HOLE, hole);
	entry->complete = true;
	if (drain(writer, err) < 0)
		return -1;
	if (writer->waiting_size > WAITING_SIZE_MAX && store_writer_flush(writer->store, err) < 0)
		return -1;
	return pump(writer, err);
}

static int sink_entry(struct catalog_writer *writer, struct pending_entry *entry,
		      const struct chunk_ref *refs, size_t count, bool last, struct error **err)
{
	follow_plan(entry);
	for (size_t i = 0; i < count; i++) {
		struct content content = whole_chunk(&refs[i]);

		note(entry, sequence_add(&entry->contents, &content));
	}
	if (!last)
		return 0;
	entry->planned++;
	entry->streams_done++;
	return drain(writer, err);
}

/* References of an entry's new list; then the entry can be encoded. */
static int sink_contents(struct catalog_writer *writer, struct pending_entry *entry,
			 const struct chunk_ref *refs, size_t count, bool last, struct error **err)
{
	struct content_list *list = &entry->stored[entry->new_list];

	if (count) {
		list->refs = memory_array(list->refs, list->count + count, sizeof(*refs));
		memcpy(list->refs + list->count, refs, count * sizeof(*refs));
		list->count += count;
	}
	if (!last)
		return 0;
	for (size_t i = 0; i < entry->contents.count; i++) {
		if (entry->contents.contents[i].list >= entry->new_list)
			entry->contents.contents[i].list = (uint8_t)entry->new_list;
	}
	entry->list_state = LISTS_STORED;
	return drain(writer, err);
}

static void sink_root(struct catalog_root *root, const struct chunk_ref *refs, size_t count)
{
	if (!count)
		return;
	root->refs = memory_array(root->refs, root->count + count, sizeof(*root->refs));
	memcpy(root->refs + root->count, refs, count * sizeof(*refs));
	root->count += count;
}

int catalog_writer_sink(void *context, uint64_t cookie, const struct chunk_ref *refs, size_t count,
			bool last, struct error **err)
{
	struct catalog_writer *writer = context;
	uintptr_t entry = (uintptr_t)cookie & ~(uintptr_t)COOKIE_CONTENTS;

	if (cookie == COOKIE_LIST) {
		sink_root(&writer->root, refs, count);
		return 0;
	}
	if (cookie != COOKIE_CATALOG)
		return cookie & COOKIE_CONTENTS
			       ? sink_contents(writer, (void *)entry, refs, count, last, err)
			       : sink_entry(writer, (void *)entry, refs, count, last, err);
	for (size_t i = 0; i < count; i++) {
		buffer_append(&writer->list, refs[i].id.bytes, HASH_SIZE);
		buffer_append_u32(&writer->list, refs[i].size);
	}
	if (writer->list.failed)
		return error_set(err, ERROR_UNSUPPORTED, "the catalog is too large");
	return 0;
}

/* ---- the end ---- */

/* The list of chunks behind its header, as a stream of its own. */
static int store_list(struct catalog_writer *writer, struct error **err)
{
	struct buffer list;
	int result;

	buffer_init(&list, writer->list.size + CATALOG_LIST_HEADER_SIZE);
	buffer_append(&list, CATALOG_LIST_MAGIC, CATALOG_MAGIC_SIZE);
	buffer_append_u64(&list, writer->stream_size);
	buffer_append(&list, writer->list.data, writer->list.size);
	result = list.failed ? error_set(err, ERROR_FAILED, "no memory for the catalog's list")
			     : feed(writer, COOKIE_LIST, list.data, list.size, err);
	buffer_release(&list);
	return result < 0 ? -1 : store_writer_flush(writer->store, err);
}

int catalog_writer_end(struct catalog_writer *writer, struct tree_record *record,
		       struct catalog_root *root, struct error **err)
{
	if (store_writer_flush(writer->store, err) < 0)
		return -1;
	while (writer->head && writer->head->list_state == LISTS_WANTED) {
		if (pump_list(writer, err) < 0 || store_writer_flush(writer->store, err) < 0)
			return -1;
	}
	if (writer->head || !writer->records)
		return error_set(err, ERROR_FAILED, "the catalog ended with entries missing");
	if (writer->draft) {
		struct hash unused;

		hasher_finish(writer->hasher, &unused);
		record->entries = writer->records;
		record->bytes = writer->entry_bytes;
		return draft_end(STEAL_POINTER(writer->draft), err);
	}
	buffer_append_u32(&writer->current, 0);
	buffer_append_u64(&writer->current, writer->records);
	if (segment_close(writer, err) < 0 || pump(writer, err) < 0 ||
	    store_writer_flush(writer->store, err) < 0 || store_list(writer, err) < 0)
		return -1;
	if (record) {
		hasher_finish(writer->hasher, &record->hash);
		record->entries = writer->records;
		record->bytes = writer->entry_bytes;
		catalog_root_release(&record->root);
		if (root)
			sink_root(root, writer->root.refs, writer->root.count);
		record->root = writer->root;
	} else {
		struct hash unused;

		hasher_finish(writer->hasher, &unused);
		*root = writer->root;
	}
	memset(&writer->root, 0, sizeof(writer->root));
	return 0;
}
