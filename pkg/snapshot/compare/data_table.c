/*
 * Rows come from both sides at the same time, each as fast as they are compared. With the same key
 * on both sides a row that is in both can have changed; without, a row is what it holds, and is added
 * or removed. Columns are matched by name; one that only one side has is told, and makes no row differ.
 */
#include "snapshot/compare/data_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/text.h"
#include "snapshot/compare/data_merge.h"
#include "ui/escape.h"

#define SHOWN_SIZE 1024 /* bytes of a value */
#define ABSENT SIZE_MAX

/* Fields of a record of "tables", FORMAT.md. */
enum {
	FIELD_NAME,
	FIELD_KIND,
	FIELD_REASON,
	FIELD_COLUMNS,
	FIELD_KEY,
	FIELD_KEYED,
	FIELD_PLAIN,
	FIELDS
};

void data_table_release(struct data_table *table)
{
	free(table->name);
	free(table->kind);
	free(table->reason);
	free(table->keyed);
	free(table->plain);
	json_free(table->columns);
	json_free(table->key);
}

static struct json *names_of(const struct record *record, size_t index)
{
	cleanup_free char *text = record_text(record, index);
	struct json *names = text ? json_parse(text, strlen(text), NULL) : NULL;

	if (json_is_array(names))
		return names;
	json_free(names);
	return NULL;
}

int data_table_read(struct data_table *table, const struct record *record, struct error **err)
{
	memset(table, 0, sizeof(*table));
	for (size_t i = 0; i < record->count; i++)
		if (record->fields[i].kept < record->fields[i].size)
			return error_set(err, ERROR_FAILED, "what describes a table is too large");
	table->name = record_text(record, FIELD_NAME);
	table->kind = record_text(record, FIELD_KIND);
	table->reason = record_text(record, FIELD_REASON);
	table->columns = names_of(record, FIELD_COLUMNS);
	table->key = names_of(record, FIELD_KEY);
	table->keyed = record_text(record, FIELD_KEYED);
	table->plain = record_text(record, FIELD_PLAIN);
	if (record->count != FIELDS || !table->name || !table->kind || !table->columns ||
	    (table->keyed && !json_count(table->key)))
		return error_set(err, ERROR_FAILED, "the driver describes a table in a wrong way");
	return 0;
}

/* ---- how the two are matched ---- */

struct rows {
	struct data_place *place;
	const struct data_table *table; /* of either side, for its name */
	bool is_keyed;
	size_t keys;		/* fields that are compared for order */
	struct json *fields[2]; /* names of all fields; the first of rows without a key has "" */
	size_t counts[2];	/* of fields */
	size_t *places;		/* for each field of "from" where it is in "to", or ABSENT */
	uint64_t seen[2], added, removed, changed, shown;
};

/* The names of the fields in the order of the statement's. */
static struct json *field_names(const struct rows *rows, const struct data_table *table)
{
	struct json *names = rows->is_keyed ? json_copy(table->key) : json_new_array();

	if (!rows->is_keyed)
		json_add_string(names, "");
	json_for_each(column, table->columns) {
		const char *name = json_string_or(column, NULL, "");

		if (!rows->is_keyed || !json_has_string(table->key, name))
			json_add_string(names, name);
	}
	return names;
}

static size_t index_of(const struct json *names, const char *name)
{
	size_t index = 0;

	json_for_each(item, names) {
		if (strcmp(json_string_or(item, NULL, ""), name) == 0)
			return index;
		index++;
	}
	return ABSENT;
}

static void find_places(struct rows *rows)
{
	size_t index = 0;

	rows->places = memory_array(NULL, rows->counts[0] + 1, sizeof(*rows->places));
	if (json_equal(rows->fields[0], rows->fields[1])) {
		for (; index < rows->counts[0]; index++)
			rows->places[index] = index;
		return;
	}
	json_for_each(item, rows->fields[0])
		rows->places[index++] = index_of(rows->fields[1], json_string_or(item, NULL, ""));
}

static bool can_match_keys(const struct data_table *const tables[2])
{
	const struct data_table *one = tables[0] ? tables[0] : tables[1];

	if (!tables[0] || !tables[1])
		return one->keyed;
	return tables[0]->keyed && tables[1]->keyed && json_equal(tables[0]->key, tables[1]->key);
}

static void rows_init(struct rows *rows, struct data_place *place,
		      const struct data_table *const tables[2])
{
	*rows = (struct rows){.place = place, .table = tables[0] ? tables[0] : tables[1]};
	rows->is_keyed = can_match_keys(tables);
	rows->keys = rows->is_keyed ? json_count(rows->table->key) : 1;
	for (size_t i = 0; i < 2; i++) {
		if (tables[i])
			rows->fields[i] = field_names(rows, tables[i]);
		rows->counts[i] = json_count(rows->fields[i]);
	}
	if (tables[0] && tables[1])
		find_places(rows);
}

static void rows_release(struct rows *rows)
{
	json_free(rows->fields[0]);
	json_free(rows->fields[1]);
	free(rows->places);
}

/* ---- showing rows ---- */

/* A cut must not leave half a character. */
static size_t shown_size(const struct record_field *field)
{
	size_t size = field->kept;

	if (size <= SHOWN_SIZE && size == field->size)
		return size;
	size = size < SHOWN_SIZE ? size : SHOWN_SIZE;
	for (size_t back = 0; back < 4 && size > back; back++)
		if (((unsigned char)field->data[size - back] & 0xc0) != 0x80)
			return size - back;
	return size;
}

static void set_value(struct json *object, const char *key, const struct record_field *field)
{
	size_t size = shown_size(field);
	cleanup_free char *text = memory_strndup(field->data, size);

	if (field->is_null) {
		json_set(object, key, json_new_null());
	} else if (strlen(text) < size) {
		cleanup_free char *encoded = text_base64(field->data, size, false);
		cleanup_free char *other = memory_printf("%s64", key);

		json_set_string(object, other, encoded);
	} else {
		json_set_bytes(object, key, text);
	}
}

static void add_value(struct json *list, const char *column, const struct record_field *field)
{
	struct json *value = json_add_object(list);

	json_set_bytes(value, "column", column);
	set_value(value, "value", field);
	if (shown_size(field) < field->size)
		json_set_int(value, "size", (int64_t)field->size);
}

static void add_key(const struct rows *rows, struct json *row, const struct record *record,
		    size_t side)
{
	struct json *key = json_set_array(row, "key");
	size_t index = 0;

	json_for_each(name, rows->fields[side])
		if (rows->is_keyed && index < rows->keys) {
			add_value(key, json_string_or(name, NULL, ""), &record->fields[index]);
			index++;
		}
}

static void add_values(const struct rows *rows, struct json *row, const struct record *record,
		       size_t side)
{
	struct json *values = json_set_array(row, "values");
	size_t index = 0;

	json_for_each(name, rows->fields[side]) {
		if (index >= rows->keys)
			add_value(values, json_string_or(name, NULL, ""), &record->fields[index]);
		index++;
	}
}

static bool field_differs(const struct rows *rows, const struct record *from,
			  const struct record *to, size_t index)
{
	size_t place = rows->places[index];

	return place != ABSENT && !record_field_equal(&from->fields[index], &to->fields[place]);
}

static void add_columns(const struct rows *rows, struct json *row, const struct record *from,
			const struct record *to)
{
	struct json *columns = json_set_array(row, "columns");
	size_t index = 0;

	json_for_each(name, rows->fields[0]) {
		if (index >= rows->keys && field_differs(rows, from, to, index)) {
			struct json *column = json_add_object(columns);

			json_set_bytes(column, "column", json_string_or(name, NULL, ""));
			set_value(column, "from", &from->fields[index]);
			set_value(column, "to", &to->fields[rows->places[index]]);
		}
		index++;
	}
}

static int show(struct rows *rows, const struct record *from, const struct record *to,
		struct error **err)
{
	const struct data_place *place = rows->place;
	CLEANUP(cleanup_json_free) struct json *row = NULL;

	if (rows->shown >= place->options->rows)
		return 0;
	rows->shown++;
	row = json_new_object();
	json_set_bytes(row, "database", place->database);
	json_set_bytes(row, "table", rows->table->name);
	json_set_string(row, "change", !from ? "added" : !to ? "removed" : "changed");
	add_key(rows, row, from ? from : to, from ? 0 : 1);
	if (from && to)
		add_columns(rows, row, from, to);
	else
		add_values(rows, row, from ? from : to, from ? 0 : 1);
	return place->sink->row(place->sink->context, row, err);
}

/* ---- the comparison ---- */

static bool differs(const struct rows *rows, const struct record *from, const struct record *to)
{
	for (size_t i = rows->keys; i < rows->counts[0]; i++)
		if (field_differs(rows, from, to, i))
			return true;
	return false;
}

static int check_count(struct rows *rows, const struct record *record, size_t side,
		       struct error **err)
{
	rows->seen[side]++;
	if (record->count == rows->counts[side])
		return 0;
	return error_set(err, ERROR_FAILED, "a row has %zu fields instead of %zu", record->count,
			 rows->counts[side]);
}

static int take_pair(void *context, const struct record *from, const struct record *to,
		     struct error **err)
{
	struct rows *rows = context;

	if ((from && check_count(rows, from, 0, err) < 0) ||
	    (to && check_count(rows, to, 1, err) < 0))
		return -1;
	if (from && to && !differs(rows, from, to))
		return 0;
	if (from && to && rows->is_keyed) {
		rows->changed++;
		return show(rows, from, to, err);
	}
	if (from) {
		rows->removed++;
		if (show(rows, from, NULL, err) < 0)
			return -1;
	}
	if (to) {
		rows->added++;
		return show(rows, NULL, to, err);
	}
	return 0;
}

/* Either one process for all tables, or another one for each, which begins with the question. */
struct data_source {
	struct data_place *place;
	struct compare *compare;
	struct compare_stream *stream;
	struct record_reader *reader;
};

static ssize_t read_counted(void *context, void *data, size_t size, struct error **err)
{
	struct data_source *source = context;
	struct data_place *place = source->place;
	ssize_t count = compare_read(source->stream, data, size, err);

	if (count > 0) {
		place->bytes += (uint64_t)count;
		progress_update(place->session->progress, 0, place->bytes, 0);
	}
	return count;
}

struct data_source *data_source_open(struct data_place *place, size_t side, struct error **err)
{
	struct data_source *source = memory_zalloc(sizeof(*source));

	source->place = place;
	source->compare = place->compare[side];
	if (!compare_asks(source->compare))
		return source;
	source->stream = compare_run(source->compare, "rows", place->database, err);
	source->reader = record_reader_new(read_counted, source, 1, RECORD_FIELD_KEPT);
	if (source->stream)
		return source;
	data_source_free(source);
	return NULL;
}

void data_source_free(struct data_source *source)
{
	if (!source)
		return;
	record_reader_free(source->reader);
	compare_stream_free(source->stream);
	free(source);
}

static int ask(struct data_source *source, const char *statement, size_t keys, struct error **err)
{
	if (compare_asks(source->compare)) {
		record_reader_again(source->reader, keys);
		return compare_ask(source->stream, statement, err);
	}
	record_reader_free(source->reader);
	source->reader = record_reader_new(read_counted, source, keys, RECORD_FIELD_KEPT);
	compare_stream_free(source->stream);
	source->stream =
		compare_run_table(source->compare, source->place->database, statement, err);
	return source->stream ? 0 : -1;
}

static int compare_rows(struct rows *rows, const struct data_table *const tables[2],
			struct error **err)
{
	struct record_reader *readers[2] = {NULL, NULL};

	/* Both are asked before the first is read: they sort at the same time. */
	for (size_t i = 0; i < 2; i++) {
		struct data_source *source = rows->place->sources[i];

		if (!tables[i])
			continue;
		if (ask(source, rows->is_keyed ? tables[i]->keyed : tables[i]->plain, rows->keys,
			err) < 0)
			return -1;
		readers[i] = source->reader;
	}
	failpoint("diff/rows");
	for (size_t i = 0; i < 2; i++)
		if (readers[i] && !compare_is_sorted(rows->place->compare[i], "rows") &&
		    record_reader_sort(readers[i], err) < 0)
			return -1;
	return data_merge(readers[0], readers[1], rows->keys, take_pair, rows, err);
}

/* ---- the result ---- */

/* Names need not be UTF-8, JSON must be. */
static void add_name(struct json *names, const char *name)
{
	cleanup_free char *escaped = text_is_utf8(name) ? NULL : escape_text(name);

	json_add_string(names, escaped ? escaped : name);
}

static struct json *names_only_in(const struct data_table *one, const struct data_table *other)
{
	struct json *names = json_new_array();

	if (!one || !other)
		return names;
	json_for_each(item, one->columns) {
		const char *name = json_string_or(item, NULL, "");

		if (!json_has_string(other->columns, name))
			add_name(names, name);
	}
	return names;
}

static const char *state_of(const struct rows *rows, const struct data_table *const tables[2])
{
	if (!tables[0] || !tables[1])
		return tables[0] ? "removed" : "added";
	return rows->added || rows->removed || rows->changed ? "changed" : "same";
}

static void describe_rows(const struct rows *rows, const struct data_table *const tables[2],
			  struct json *result)
{
	struct json *key;

	json_set_string(result, "state", state_of(rows, tables));
	json_set_string(result, "matched_by", rows->is_keyed ? "key" : "content");
	key = json_set_array(result, "key");
	if (rows->is_keyed)
		json_for_each(name, rows->table->key)
			add_name(key, json_string_or(name, NULL, ""));
	json_set(result, "columns_added", names_only_in(tables[1], tables[0]));
	json_set(result, "columns_removed", names_only_in(tables[0], tables[1]));
	json_set_int(result, "rows_from", (int64_t)rows->seen[0]);
	json_set_int(result, "rows_to", (int64_t)rows->seen[1]);
	json_set_int(result, "added", (int64_t)rows->added);
	json_set_int(result, "removed", (int64_t)rows->removed);
	json_set_int(result, "changed", (int64_t)rows->changed);
}

int data_table_compare(struct data_place *place, const struct data_table *const tables[2],
		       struct json **result, struct error **err)
{
	const struct data_table *either = tables[1] ? tables[1] : tables[0];
	CLEANUP(cleanup_json_free) struct json *object = json_new_object();
	const char *reason = NULL;
	struct rows rows;
	int outcome;

	for (size_t i = 0; i < 2; i++)
		if (tables[i] && tables[i]->reason)
			reason = tables[i]->reason;
	json_set_bytes(object, "name", either->name);
	json_set_string(object, "kind", either->kind);
	if (reason) {
		json_set_string(object, "state", "skipped");
		json_set_string(object, "reason", reason);
		*result = STEAL_POINTER(object);
		return 0;
	}
	rows_init(&rows, place, tables);
	outcome = compare_rows(&rows, tables, err);
	if (outcome == 0) {
		describe_rows(&rows, tables, object);
		*result = STEAL_POINTER(object);
	}
	rows_release(&rows);
	return outcome;
}
