/*
 * Definitions, object by object. What a tool prints between two headings belongs to the object of
 * the first; blank lines around it, and lines that the driver ignores, are no part of it.
 */
#include "snapshot/compare/data_schema.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/memory.h"
#include "store/hash.h"

/* A heading is shorter; what is longer is a part of a definition. */
#define LINE_MAX_SIZE 65536
#define TEXT_MAX (1U << 30)
#define OBJECT_TEXT_MAX (16U << 20)
#define GROUPS 5

struct object {
	char *type, *name;
	uint64_t offset, size; /* in the spool */
	size_t number;	       /* among those read */
	struct hash hash;
};

struct data_schema {
	FILE *spool;
	uint64_t size; /* of what is in it */
	struct object *objects;
	size_t count, capacity;
};

struct reading {
	struct data_schema *schema;
	struct compare *compare;
	regex_t heading, ignore;
	bool ignores;
	struct buffer line;
	struct hasher *hasher;
	size_t blank; /* lines seen and not yet written */
};

void data_schema_free(struct data_schema *schema)
{
	if (!schema)
		return;
	for (size_t i = 0; i < schema->count; i++) {
		free(schema->objects[i].type);
		free(schema->objects[i].name);
	}
	free(schema->objects);
	if (schema->spool)
		fclose(schema->spool);
	free(schema);
}

/* ---- reading ---- */

static struct object *current(const struct data_schema *schema)
{
	return schema->count ? &schema->objects[schema->count - 1] : NULL;
}

static void end_object(struct reading *reading)
{
	struct object *object = current(reading->schema);

	if (object)
		hasher_finish(reading->hasher, &object->hash);
	reading->blank = 0;
}

static int write_text(struct reading *reading, const char *data, size_t size, struct error **err)
{
	struct data_schema *schema = reading->schema;

	if (size > TEXT_MAX - schema->size)
		return error_set(err, ERROR_FAILED, "the schema is larger than 1 GiB");
	hasher_update(reading->hasher, data, size);
	if (fwrite(data, 1, size, schema->spool) != size)
		return error_set_errno(err, errno, "cannot write a temporary file");
	schema->size += size;
	current(schema)->size += size;
	return 0;
}

static void begin_object(struct reading *reading, const regmatch_t *matches)
{
	struct data_schema *schema = reading->schema;
	char *groups[GROUPS - 1] = {NULL};
	struct object *object;

	end_object(reading);
	for (size_t i = 1; i < GROUPS; i++)
		if (matches[i].rm_so >= 0)
			groups[i - 1] =
				memory_strndup(reading->line.data + matches[i].rm_so,
					       (size_t)(matches[i].rm_eo - matches[i].rm_so));
	if (schema->count == schema->capacity) {
		schema->capacity = schema->capacity ? 2 * schema->capacity : 64;
		schema->objects =
			memory_array(schema->objects, schema->capacity, sizeof(*schema->objects));
	}
	object = &schema->objects[schema->count];
	*object = (struct object){
		.type = compare_schema_type(reading->compare, (const char *const *)groups),
		.name = compare_schema_object(reading->compare, (const char *const *)groups),
		.offset = schema->size,
		.number = schema->count++,
	};
	for (size_t i = 1; i < GROUPS; i++)
		free(groups[i - 1]);
}

/* A line, without its end; or, ${is_part}, a piece of one that is too long for anything but text. */
static int take_line(struct reading *reading, bool is_part, struct error **err)
{
	const struct buffer *line = &reading->line;
	regmatch_t matches[GROUPS];

	if (!is_part && regexec(&reading->heading, line->data, GROUPS, matches, 0) == 0) {
		begin_object(reading, matches);
		return 0;
	}
	if (!current(reading->schema) || (!is_part && reading->ignores &&
					  regexec(&reading->ignore, line->data, 0, NULL, 0) == 0))
		return 0;
	if (!line->size && !is_part) {
		reading->blank += current(reading->schema)->size > 0;
		return 0;
	}
	for (; reading->blank; reading->blank--)
		if (write_text(reading, "\n", 1, err) < 0)
			return -1;
	if (write_text(reading, line->data, line->size, err) < 0)
		return -1;
	return is_part ? 0 : write_text(reading, "\n", 1, err);
}

static int take_block(struct reading *reading, const char *data, size_t size, struct error **err)
{
	while (size) {
		const char *end = memchr(data, '\n', size);
		size_t take = end ? (size_t)(end - data) : size;
		size_t room = LINE_MAX_SIZE - reading->line.size;
		bool is_part = take > room;

		if (is_part)
			take = room;
		buffer_append(&reading->line, data, take);
		data += take;
		size -= take;
		if (!is_part && !end)
			break;
		if (take_line(reading, is_part, err) < 0)
			return -1;
		buffer_clear(&reading->line);
		if (!is_part) {
			data++;
			size--;
		}
	}
	return 0;
}

static int take_all(struct reading *reading, struct compare_stream *stream, struct error **err)
{
	char block[65536];
	ssize_t count;

	while ((count = compare_read(stream, block, sizeof(block), err)) > 0)
		if (take_block(reading, block, (size_t)count, err) < 0)
			return -1;
	if (count < 0)
		return -1;
	if (reading->line.size && take_line(reading, false, err) < 0)
		return -1;
	end_object(reading);
	return 0;
}

static int compare_objects(const struct object *a, const struct object *b)
{
	int order = strcmp(a->type, b->type);

	return order ? order : strcmp(a->name, b->name);
}

/* Those of one name stay in the order in which they came. */
static int sort_objects(const void *a, const void *b)
{
	const struct object *x = a, *y = b;
	int order = compare_objects(x, y);

	return order ? order : (x->number > y->number) - (x->number < y->number);
}

/* The expressions were checked when the driver was read. */
static void reading_init(struct reading *reading, struct compare *compare,
			 struct data_schema *schema)
{
	const char *ignore = compare_schema_ignore(compare);

	*reading = (struct reading){.schema = schema, .compare = compare};
	regcomp(&reading->heading, compare_schema_heading(compare), REG_EXTENDED);
	reading->ignores = ignore && regcomp(&reading->ignore, ignore, REG_EXTENDED) == 0;
	buffer_init(&reading->line, LINE_MAX_SIZE);
	reading->hasher = hasher_new();
}

static void reading_release(struct reading *reading)
{
	regfree(&reading->heading);
	if (reading->ignores)
		regfree(&reading->ignore);
	buffer_release(&reading->line);
	hasher_free(reading->hasher);
}

struct data_schema *data_schema_read(struct compare *compare, struct compare_stream *stream,
				     struct error **err)
{
	CLEANUP(cleanup_data_schema_free)
	struct data_schema *schema = memory_zalloc(sizeof(*schema));
	struct reading reading;
	int result;

	schema->spool = io_open_spool(err);
	if (!schema->spool)
		return NULL;
	reading_init(&reading, compare, schema);
	result = take_all(&reading, stream, err);
	reading_release(&reading);
	if (result < 0)
		return NULL;
	if (schema->count)
		qsort(schema->objects, schema->count, sizeof(*schema->objects), sort_objects);
	return STEAL_POINTER(schema);
}

/* ---- comparing ---- */

static int read_text(const struct data_schema *schema, const struct object *object,
		     struct buffer *text, struct error **err)
{
	size_t size = object->size < OBJECT_TEXT_MAX ? (size_t)object->size : OBJECT_TEXT_MAX;

	if (fflush(schema->spool) != 0 || buffer_reserve(text, size) < 0 ||
	    io_pread_full(fileno(schema->spool), text->data, size, object->offset) != (ssize_t)size)
		return error_set_errno(err, errno, "cannot read a temporary file");
	text->size = size;
	text->data[size] = '\0';
	return 0;
}

struct comparison {
	struct data_schema *schemas[2];
	bool texts;
	data_object_differs *differs;
	void *context;
};

static int report(const struct comparison *comparison, const struct object *from,
		  const struct object *to, struct error **err)
{
	const struct object *objects[2] = {from, to}, *either = from ? from : to;
	struct buffer texts[2];
	struct data_object found = {
		.change = !from ? "added"
			  : !to ? "removed"
				: "changed",
		.type = either->type,
		.name = either->name,
	};
	int result = 0;

	for (size_t i = 0; i < 2; i++) {
		buffer_init(&texts[i], OBJECT_TEXT_MAX + 1);
		if (result == 0 && comparison->texts && objects[i] && objects[i]->size)
			result = read_text(comparison->schemas[i], objects[i], &texts[i], err);
	}
	if (comparison->texts) {
		found.from = &texts[0];
		found.to = &texts[1];
	}
	if (result == 0)
		result = comparison->differs(comparison->context, &found, err);
	buffer_release(&texts[0]);
	buffer_release(&texts[1]);
	return result;
}

int data_schema_compare(struct data_schema *from, struct data_schema *to, bool texts,
			data_object_differs *differs, void *context, struct error **err)
{
	const struct comparison comparison = {{from, to}, texts, differs, context};
	size_t i = 0, j = 0, from_count = from ? from->count : 0, to_count = to ? to->count : 0;

	while (i < from_count || j < to_count) {
		const struct object *a = i < from_count ? &from->objects[i] : NULL;
		const struct object *b = j < to_count ? &to->objects[j] : NULL;
		int order = !a ? 1 : !b ? -1 : compare_objects(a, b);

		i += order <= 0;
		j += order >= 0;
		if (order == 0 && a->size == b->size && hash_equal(&a->hash, &b->hash))
			continue;
		if (report(&comparison, order <= 0 ? a : NULL, order >= 0 ? b : NULL, err) < 0)
			return -1;
	}
	return 0;
}
