/*
 * What "compare" of a driver adds to a way into the database: the operations by their names, what
 * they print made into records, and the headings of a schema.
 */
#include "driver/compare.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "driver/access.h"
#include "driver/lines.h"

#define INPUT_LIMIT (8U << 20)
#define BLOCK_SIZE 65536
#define RECORDS_LIMIT (512U << 20) /* of one that was just made, with its backslashes */

struct compare {
	struct access *access;
	const struct json *definition; /* of the driver's "compare"; borrowed */
};

struct compare_stream {
	struct compare *compare;
	struct access_stream *stream; /* NULL: what is fixed needs none */
	const struct json *operation;
	struct lines *lines; /* NULL: it prints records */
	char *block;	     /* of what it prints */
	size_t start, end;   /* of what is not yet taken of the block */
	struct buffer records;
	size_t given; /* of the records */
	bool is_ended;
};

bool driver_compares(const struct driver_match *match)
{
	return match->driver && json_get(match->driver->definition, "compare");
}

void compare_free(struct compare *compare)
{
	if (!compare)
		return;
	access_free(compare->access);
	free(compare);
}

const char *compare_version(const struct compare *compare)
{
	return access_version(compare->access);
}

bool compare_has(const struct compare *compare, const char *operation)
{
	return json_get(compare->definition, operation);
}

bool compare_asks(const struct compare *compare)
{
	return json_path(compare->definition, "rows", "input");
}

bool compare_is_sorted(const struct compare *compare, const char *operation)
{
	const struct json *sorted = json_path(compare->definition, operation, "sorted");

	return !sorted || json_bool(sorted, NULL);
}

struct compare *compare_open(struct engine *engine, const char *id,
			     const struct driver_match *match, struct error **err)
{
	CLEANUP(cleanup_compare_free) struct compare *compare = memory_zalloc(sizeof(*compare));

	compare->definition = json_get(match->driver->definition, "compare");
	compare->access = access_open(engine, id, match, err);
	return compare->access ? STEAL_POINTER(compare) : NULL;
}

/* ---- operations ---- */

/* Each field is a text, none, or a list that is meant as JSON. */
static void add_fixed(struct buffer *records, const struct json *record)
{
	json_for_each(field, record) {
		cleanup_free char *list = json_is_array(field) ? json_print(field, false) : NULL;
		const char *text = list ? list : json_string(field, NULL);

		if (field != json_first(record))
			buffer_append(records, "\t", 1);
		if (text)
			lines_append_field(records, text, strlen(text));
		else
			buffer_append(records, "\\N", 2);
	}
	buffer_append(records, "\n", 1);
}

static struct compare_stream *open_stream(struct compare *compare, const char *database,
					  const struct access_call *call, struct error **err)
{
	CLEANUP(cleanup_compare_stream_free)
	struct compare_stream *stream = memory_zalloc(sizeof(*stream));
	const struct json *fixed = json_get(call->operation, "fixed");
	const struct json *format = json_get(call->operation, "format");

	stream->compare = compare;
	stream->operation = call->operation;
	buffer_init(&stream->records, RECORDS_LIMIT);
	if (fixed) {
		json_for_each(record, fixed)
			add_fixed(&stream->records, record);
		stream->is_ended = true;
		return STEAL_POINTER(stream);
	}
	stream->lines = format ? lines_new(format) : NULL;
	/* A variable without a value is left out: then that of the way counts. */
	access_set_database(compare->access, *database ? database : NULL);
	stream->stream = access_stream_open(compare->access, call, err);
	return stream->stream ? STEAL_POINTER(stream) : NULL;
}

struct compare_stream *compare_run(struct compare *compare, const char *operation,
				   const char *database, struct error **err)
{
	/* The input of "rows" is made for each table. */
	const struct access_call call = {.member = compare->definition,
					 .operation = json_get(compare->definition, operation),
					 .name = operation,
					 .asks = strcmp(operation, "rows") == 0};

	return open_stream(compare, database, &call, err);
}

struct compare_stream *compare_run_table(struct compare *compare, const char *database,
					 const char *statement, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *words = json_parse(statement, strlen(statement), err);
	const struct access_call call = {.member = compare->definition,
					 .operation = json_get(compare->definition, "rows"),
					 .name = "rows",
					 .words = words};

	if (!words)
		return NULL;
	return open_stream(compare, database, &call, err);
}

int compare_ask(struct compare_stream *stream, const char *statement, struct error **err)
{
	struct compare *compare = stream->compare;
	CLEANUP(buffer_release) struct buffer input;

	buffer_init(&input, INPUT_LIMIT);
	values_set(access_values(compare->access), "statement", statement);
	if (access_input(compare->access, stream->operation, &input, err) < 0)
		return -1;
	access_stream_write(stream->stream, input.data, input.size);
	return 0;
}

void compare_stream_free(struct compare_stream *stream)
{
	if (!stream)
		return;
	access_stream_free(stream->stream);
	lines_free(stream->lines);
	buffer_release(&stream->records);
	free(stream->block);
	free(stream);
}

/* A little more of what the tool prints, made into records. */
static int make_records(struct compare_stream *stream, struct error **err)
{
	ssize_t count;

	if (stream->start < stream->end) {
		count = lines_take(stream->lines, stream->block + stream->start,
				   stream->end - stream->start, &stream->records, err);
		if (count < 0)
			return -1;
		stream->start += (size_t)count;
		return 0;
	}
	if (!stream->block)
		stream->block = memory_alloc(BLOCK_SIZE);
	count = access_stream_read(stream->stream, stream->block, BLOCK_SIZE, err);
	if (count < 0)
		return -1;
	stream->start = 0;
	stream->end = (size_t)count;
	if (count)
		return 0;
	stream->is_ended = true;
	return lines_end(stream->lines, &stream->records, err);
}

ssize_t compare_read(void *context, void *data, size_t size, struct error **err)
{
	struct compare_stream *stream = context;
	struct buffer *records = &stream->records;
	size_t left;

	if (!stream->lines && stream->stream)
		return access_stream_read(stream->stream, data, size, err);
	if (stream->given == records->size) {
		buffer_clear(records);
		stream->given = 0;
	}
	while (!records->size && !stream->is_ended)
		if (make_records(stream, err) < 0)
			return -1;
	left = records->size - stream->given;
	size = size < left ? size : left;
	memcpy(data, records->data + stream->given, size);
	stream->given += size;
	return (ssize_t)size;
}

/* ---- names of a schema's objects ---- */

static char *expand_groups(struct compare *compare, const char *member, const char *const groups[4])
{
	static const char *const names[] = {"1", "2", "3", "4"};
	const struct json *schema = json_get(compare->definition, "schema");
	char *text;

	for (size_t i = 0; i < 4; i++)
		values_set(access_values(compare->access), names[i], groups[i] ? groups[i] : "");
	text = values_expand(access_values(compare->access), json_string_or(schema, member, ""));
	return text ? text : memory_strdup("");
}

char *compare_schema_type(struct compare *compare, const char *const groups[4])
{
	return expand_groups(compare, "type", groups);
}

char *compare_schema_object(struct compare *compare, const char *const groups[4])
{
	cleanup_free char *within = expand_groups(compare, "within", groups);
	char *object = expand_groups(compare, "object", groups);
	char *whole;

	if (!*within)
		return object;
	whole = memory_printf("%s.%s", within, object);
	free(object);
	return whole;
}

const char *compare_schema_heading(const struct compare *compare)
{
	return json_string_or(json_get(compare->definition, "schema"), "heading", "");
}

const char *compare_schema_ignore(const struct compare *compare)
{
	return json_string(json_get(compare->definition, "schema"), "ignore");
}
