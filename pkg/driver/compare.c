/*
 * What "compare" of a driver adds to a way into the database: the operations by their names, and
 * the headings of a schema.
 */
#include "driver/compare.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "driver/access.h"

#define INPUT_LIMIT (8U << 20)

struct compare {
	struct access *access;
	const struct json *definition; /* of the driver's "compare"; borrowed */
};

struct compare_stream {
	struct compare *compare;
	struct access_stream *stream;
	const struct json *operation;
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

struct compare *compare_open(struct engine *engine, const char *id,
			     const struct driver_match *match, struct error **err)
{
	CLEANUP(cleanup_compare_free) struct compare *compare = memory_zalloc(sizeof(*compare));

	compare->definition = json_get(match->driver->definition, "compare");
	compare->access = access_open(engine, id, match, err);
	return compare->access ? STEAL_POINTER(compare) : NULL;
}

/* ---- operations ---- */

struct compare_stream *compare_run(struct compare *compare, const char *operation,
				   const char *database, struct error **err)
{
	CLEANUP(cleanup_compare_stream_free)
	struct compare_stream *stream = memory_zalloc(sizeof(*stream));
	struct access_call call = {.member = compare->definition,
				   .operation = json_get(compare->definition, operation),
				   .name = operation};

	stream->compare = compare;
	stream->operation = call.operation;
	/* The input of "rows" is made for each table. */
	call.asks = strcmp(operation, "rows") == 0;
	/* A variable without a value is left out: then that of the way counts. */
	access_set_database(compare->access, *database ? database : NULL);
	stream->stream = access_stream_open(compare->access, &call, err);
	return stream->stream ? STEAL_POINTER(stream) : NULL;
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
	free(stream);
}

ssize_t compare_read(void *context, void *data, size_t size, struct error **err)
{
	struct compare_stream *stream = context;

	return access_stream_read(stream->stream, data, size, err);
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
