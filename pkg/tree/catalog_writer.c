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
#include "tree/record.h"

/*
 * The catalog's stream is stored in segments that end where the path says so, not at
 * a fixed size: behind a record that grew, the next tree's segments are the same again.
 */
#define SEGMENT_SIZE_MIN (1U << 20)
#define SEGMENT_SIZE_MAX (8U << 20)
#define SEGMENT_END_MASK 0x3ffU

#define COOKIE_CATALOG 1
#define COOKIE_LIST 2

/* Beyond this much waiting memory the store's writer is flushed. */
#define WAITING_SIZE_MAX (24U << 20)

struct pending_entry {
	struct pending_entry *next;
	struct catalog_entry entry; /* points into text and attributes */
	struct buffer text;
	struct attribute *attributes;
	size_t attribute_capacity;
	struct content *contents;
	size_t content_count, content_capacity;
	uint64_t *holes; /* in front of each stream */
	size_t stream_count, stream_capacity, streams_done;
	bool stream_began, complete, is_reused;
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
	buffer_init(&writer->list, RECORD_SIZE_MAX);
	writer->tail = &writer->head;
	writer->ready_end = &writer->ready;
	return writer;
}

static void pending_entry_free(struct pending_entry *entry)
{
	buffer_release(&entry->text);
	free(entry->attributes);
	free(entry->contents);
	free(entry->holes);
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

static void segment_close(struct catalog_writer *writer)
{
	struct segment *segment = memory_zalloc(sizeof(*segment));

	segment->bytes = writer->current;
	buffer_init(&writer->current, segment->bytes.limit);
	writer->stream_size += segment->bytes.size;
	*writer->ready_end = segment;
	writer->ready_end = &segment->next;
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

/* The record's bytes at the end of the catalog's stream. */
static int encode(struct catalog_writer *writer, const struct catalog_entry *entry,
		  struct error **err)
{
	size_t start = writer->current.size;

	if (catalog_encode(&writer->current, entry) < 0)
		return error_set(
			err, ERROR_UNSUPPORTED,
			"\"%s\" is more than a catalog can hold (attributes, link or size)",
			entry->path);
	record_hash(writer->hasher, writer->current.data + start + 4,
		    writer->current.size - start - 4);
	if (ends_segment(writer, entry->path))
		segment_close(writer);
	return 0;
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
	if (writer->draft && is_file && !(entry->flags & ENTRY_HOT) &&
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
	if (store_writer_begin(writer->store, cookie, CHUNKING_CONTENT, 0, err) < 0)
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

/* Give finished segments to the store. Never from within the sink. */
static int pump(struct catalog_writer *writer, struct error **err)
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

int catalog_writer_add(struct catalog_writer *writer, const struct catalog_entry *entry,
		       struct error **err)
{
	if (emit(writer, entry, false, err) < 0)
		return -1;
	return pump(writer, err);
}

/* ---- entries that wait ---- */

static size_t pending_size(const struct pending_entry *entry)
{
	return sizeof(*entry) + entry->text.capacity +
	       entry->content_capacity * sizeof(*entry->contents) +
	       entry->stream_capacity * sizeof(*entry->holes);
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

/* Pointers into the text, once it does not move any more. */
static void point_into_text(struct pending_entry *copy, const struct catalog_entry *entry)
{
	const char *at = copy->text.data;

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
	copy->entry = *entry;
	point_into_text(copy, entry);
	copy->content_count = copy->stream_count = copy->streams_done = 0;
	copy->stream_began = copy->complete = copy->is_reused = false;
	copy->next = NULL;
	*writer->tail = copy;
	writer->tail = &copy->next;
	writer->waiting_size += pending_size(copy);
	return copy;
}

uint64_t pending_entry_stream(struct pending_entry *entry, uint64_t hole)
{
	if (entry->stream_count == entry->stream_capacity) {
		entry->stream_capacity = 2 * entry->stream_capacity + 1;
		entry->holes =
			memory_array(entry->holes, entry->stream_capacity, sizeof(*entry->holes));
	}
	entry->holes[entry->stream_count++] = hole;
	return (uint64_t)(uintptr_t)entry;
}

static struct content *add_content(struct pending_entry *entry, enum content_kind kind,
				   uint64_t length)
{
	struct content *content;

	if (entry->content_count == entry->content_capacity) {
		entry->content_capacity = 2 * entry->content_capacity + 1;
		entry->contents = memory_array(entry->contents, entry->content_capacity,
					       sizeof(*entry->contents));
	}
	content = &entry->contents[entry->content_count++];
	memset(content, 0, sizeof(*content));
	content->kind = kind;
	content->length = length;
	return content;
}

void catalog_writer_contents(struct catalog_writer *writer, struct pending_entry *entry,
			     const struct catalog_entry *earlier, bool is_reused)
{
	size_t size = pending_size(entry);

	for (size_t i = 0; i < earlier->content_count; i++)
		*add_content(entry, CONTENT_HOLE, 0) = earlier->contents[i];
	entry->is_reused = is_reused;
	writer->waiting_size += pending_size(entry) - size;
}

/* Encode those at the queue's head that have everything. */
static int drain(struct catalog_writer *writer, struct error **err)
{
	struct pending_entry *entry;

	while ((entry = writer->head) && entry->complete &&
	       entry->streams_done == entry->stream_count) {
		size_t size = pending_size(entry);
		int result;

		entry->entry.size = 0;
		for (size_t i = 0; i < entry->content_count; i++)
			entry->entry.size += entry->contents[i].length;
		entry->entry.contents = entry->contents;
		entry->entry.content_count = entry->content_count;
		result = emit(writer, &entry->entry, entry->is_reused, err);
		writer->head = entry->next;
		if (!writer->head) {
			writer->tail = &writer->head;
			writer->waiting_size = 0;
		} else {
			writer->waiting_size -=
				size < writer->waiting_size ? size : writer->waiting_size;
		}
		/* a huge file's arrays are not kept for the next small one */
		if (size > 1U << 16) {
			pending_entry_free(entry);
		} else {
			entry->next = writer->unused;
			writer->unused = entry;
		}
		if (result < 0)
			return -1;
	}
	return 0;
}

int catalog_writer_complete(struct catalog_writer *writer, struct pending_entry *entry,
			    uint64_t hole, bool is_hot, struct error **err)
{
	/* a trailing hole: in front of a stream that never comes */
	pending_entry_stream(entry, hole);
	entry->stream_count--;
	if (is_hot)
		entry->entry.flags |= ENTRY_HOT;
	if (entry->streams_done == entry->stream_count && hole)
		add_content(entry, CONTENT_HOLE, hole);
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
	if (!entry->stream_began && entry->holes[entry->streams_done])
		add_content(entry, CONTENT_HOLE, entry->holes[entry->streams_done]);
	entry->stream_began = true;
	for (size_t i = 0; i < count; i++)
		add_content(entry, CONTENT_CHUNK, refs[i].size)->chunk = refs[i];
	if (!last)
		return 0;
	entry->stream_began = false;
	entry->streams_done++;
	if (!entry->complete || entry->streams_done < entry->stream_count)
		return 0;
	if (entry->holes[entry->stream_count])
		add_content(entry, CONTENT_HOLE, entry->holes[entry->stream_count]);
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

	if (cookie == COOKIE_LIST) {
		sink_root(&writer->root, refs, count);
		return 0;
	}
	if (cookie != COOKIE_CATALOG)
		return sink_entry(writer, (struct pending_entry *)(uintptr_t)cookie, refs, count,
				  last, err);
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
	segment_close(writer);
	if (pump(writer, err) < 0 || store_writer_flush(writer->store, err) < 0 ||
	    store_list(writer, err) < 0)
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
