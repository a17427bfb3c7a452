/*
 * The reader of records. Of a field only its beginning is kept, always the same number of bytes, so
 * that two fields are equal exactly when size, beginning and the hash of the rest are.
 */
#include "snapshot/compare/data_record.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "snapshot/compare/data_sort.h"

#define BLOCK_SIZE 65536

/* All that is kept of one record; keys are few, and other fields are kept in small part. */
#define RECORD_KEPT_MAX (96U << 20)

struct record_reader {
	record_source *source;
	void *context;
	size_t keys, kept_most;
	char block[BLOCK_SIZE];
	size_t start, end; /* of what is not yet read in block */
	struct buffer data;
	struct record record;
	size_t capacity;	  /* of record.fields */
	struct hasher *hasher;	  /* of the field that is being read, from its kept part on */
	bool is_escaped;	  /* the last byte was a backslash */
	bool is_begun;		  /* a record is */
	bool has_mark;		  /* a list has an end mark */
	bool is_mark;		  /* what has begun is one */
	struct record_sort *sort; /* the list, read to its end; NULL: it comes as it is */
};

struct record_reader *record_reader_new(record_source *source, void *context, size_t keys,
					size_t kept)
{
	struct record_reader *reader = memory_zalloc(sizeof(*reader));

	reader->source = source;
	reader->context = context;
	reader->keys = keys;
	reader->kept_most = kept;
	buffer_init(&reader->data, RECORD_KEPT_MAX);
	reader->hasher = hasher_new();
	return reader;
}

void record_reader_free(struct record_reader *reader)
{
	if (!reader)
		return;
	record_sort_free(reader->sort);
	buffer_release(&reader->data);
	free(reader->record.fields);
	hasher_free(reader->hasher);
	free(reader);
}

void record_reader_again(struct record_reader *reader, size_t keys)
{
	record_sort_free(STEAL_POINTER(reader->sort));
	reader->has_mark = true;
	reader->keys = keys;
}

static struct record_field *current(struct record_reader *reader)
{
	return &reader->record.fields[reader->record.count - 1];
}

static int begin_field(struct record_reader *reader, struct error **err)
{
	struct record *record = &reader->record;

	if (record->count == RECORD_FIELDS_MAX)
		return error_set(err, ERROR_FAILED, "a record has more than %d fields",
				 RECORD_FIELDS_MAX);
	if (record->count == reader->capacity) {
		reader->capacity = reader->capacity ? 2 * reader->capacity : 64;
		record->fields =
			memory_array(record->fields, reader->capacity, sizeof(*record->fields));
	}
	memset(&record->fields[record->count++], 0, sizeof(*record->fields));
	return 0;
}

static void end_field(struct record_reader *reader)
{
	struct record_field *field = current(reader);

	if (field->size > field->kept)
		hasher_finish(reader->hasher, &field->hash);
}

static int add(struct record_reader *reader, const char *data, size_t size, struct error **err)
{
	struct record_field *field = current(reader);
	bool is_key = reader->record.count <= reader->keys;
	size_t most = is_key ? RECORD_KEY_KEPT : reader->kept_most;
	size_t take = size < most - field->kept ? size : most - field->kept;

	if (field->is_null || reader->is_mark)
		return error_set(err, ERROR_FAILED, "a field has both a value and none");
	if (take && buffer_append(&reader->data, data, take) < 0)
		return error_set(err, ERROR_FAILED, "a record is too large");
	field->kept += take;
	field->size += size;
	if (take == size)
		return 0;
	if (is_key)
		return error_set(err, ERROR_FAILED, "a key is larger than %u bytes",
				 RECORD_KEY_KEPT);
	hasher_update(reader->hasher, data + take, size - take);
	return 0;
}

/* What stands behind a backslash. */
static int add_escaped(struct record_reader *reader, char letter, struct error **err)
{
	static const char letters[] = "bfnrtv0", meant[] = "\b\f\n\r\t\v";
	const char *found = letter ? strchr(letters, letter) : NULL;

	if (letter == '.' && reader->has_mark && reader->record.count == 1 &&
	    !current(reader)->size) {
		reader->is_mark = true;
		return 0;
	}
	if (letter != 'N')
		return add(reader, found ? &meant[found - letters] : &letter, 1, err);
	if (current(reader)->size)
		return error_set(err, ERROR_FAILED, "a field has both a value and none");
	current(reader)->is_null = true;
	return 0;
}

static void finish(struct record_reader *reader)
{
	const char *data = reader->data.data;

	end_field(reader);
	for (size_t i = 0; i < reader->record.count; i++) {
		reader->record.fields[i].data = data;
		data += reader->record.fields[i].kept;
	}
}

static bool is_special(char byte)
{
	return byte == '\t' || byte == '\n' || byte == '\\';
}

/* One step through the block: 1 when a record ended, 2 when the list did. */
static int step(struct record_reader *reader, struct error **err)
{
	const char *data = reader->block + reader->start;
	size_t size = reader->end - reader->start, plain = 0;

	if (!reader->is_begun) {
		reader->is_begun = true;
		reader->is_mark = false;
		reader->record.count = 0;
		buffer_clear(&reader->data);
		if (begin_field(reader, err) < 0)
			return -1;
	}
	if (reader->is_escaped) {
		reader->is_escaped = false;
		reader->start++;
		return add_escaped(reader, *data, err);
	}
	while (plain < size && !is_special(data[plain]))
		plain++;
	reader->start += plain;
	if (plain)
		return add(reader, data, plain, err);
	reader->start++;
	if (*data == '\\') {
		reader->is_escaped = true;
	} else if (*data == '\t') {
		end_field(reader);
		return begin_field(reader, err);
	} else {
		finish(reader);
		reader->is_begun = false;
		return reader->is_mark ? 2 : 1;
	}
	return 0;
}

int record_next(struct record_reader *reader, const struct record **record, struct error **err)
{
	int result = 0;

	if (reader->sort)
		return record_sort_next(reader->sort, record, err);
	while (result == 0) {
		ssize_t count;

		if (reader->start < reader->end) {
			result = step(reader, err);
			continue;
		}
		count = reader->source(reader->context, reader->block, BLOCK_SIZE, err);
		if (count < 0)
			return -1;
		if (count == 0 && (reader->is_begun || reader->has_mark))
			return error_set(err, ERROR_FAILED, "the output ends within a %s",
					 reader->is_begun ? "record" : "list");
		if (count == 0)
			return 0;
		reader->start = 0;
		reader->end = (size_t)count;
	}
	*record = &reader->record;
	return result == 2 ? 0 : result;
}

int record_reader_sort(struct record_reader *reader, struct error **err)
{
	CLEANUP(cleanup_record_sort_free)
	struct record_sort *sort = record_sort_new(RECORD_SORT_MEMORY);
	const struct record *record;
	int result;

	while ((result = record_next(reader, &record, err)) > 0)
		if (record_sort_add(sort, record, err) < 0)
			return -1;
	if (result == 0)
		reader->sort = STEAL_POINTER(sort);
	return result;
}

bool record_field_equal(const struct record_field *a, const struct record_field *b)
{
	return a->is_null == b->is_null && a->size == b->size && a->kept == b->kept &&
	       memcmp(a->data, b->data, a->kept) == 0 &&
	       (a->size == a->kept || hash_equal(&a->hash, &b->hash));
}

int record_key_compare(const struct record *a, const struct record *b, size_t keys)
{
	for (size_t i = 0; i < keys; i++) {
		const struct record_field *x = &a->fields[i], *y = &b->fields[i];
		int order;

		if (x->is_null || y->is_null) {
			if (x->is_null != y->is_null)
				return x->is_null ? -1 : 1;
			continue;
		}
		order = memcmp(x->data, y->data, x->kept < y->kept ? x->kept : y->kept);
		if (order)
			return order;
		if (x->kept != y->kept)
			return x->kept < y->kept ? -1 : 1;
	}
	return 0;
}

char *record_text(const struct record *record, size_t index)
{
	const struct record_field *field = index < record->count ? &record->fields[index] : NULL;

	return !field || field->is_null ? NULL : memory_strndup(field->data, field->kept);
}
