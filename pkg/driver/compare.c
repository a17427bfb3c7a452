/*
 * A command is put together from three parts: what is common to all, the way in that works for
 * this container, and the operation. Nothing is quoted here: statements come from the server
 * itself and go back to it by standard input, byte for byte.
 */
#include "driver/compare.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "driver/command.h"

#define PROBE_TIMEOUT_MS 60000
#define VERSION_LIMIT 256
#define ERRORS_LIMIT 65536
#define INPUT_LIMIT (8U << 20)

struct compare {
	struct engine *engine;
	char *id;
	const struct json *definition; /* of the driver's "compare"; borrowed */
	const struct json *way;	       /* one of its ways; borrowed */
	struct values values;
	char *version;
};

struct compare_stream {
	struct compare *compare;
	const char *operation;
	struct exec_stream *exec;
	struct buffer errors;
	char *program;
};

bool driver_compares(const struct driver_match *match)
{
	return match->driver && json_get(match->driver->definition, "compare");
}

void compare_free(struct compare *compare)
{
	if (!compare)
		return;
	values_release(&compare->values);
	free(compare->id);
	free(compare->version);
	free(compare);
}

const char *compare_version(const struct compare *compare)
{
	return compare->version;
}

bool compare_has(const struct compare *compare, const char *operation)
{
	return json_get(compare->definition, operation);
}

/* ---- commands ---- */

struct prepared {
	struct string_list arguments, environment;
	struct buffer input;
	char *user;
	struct container_exec exec;
};

static void prepared_release(struct prepared *prepared)
{
	string_list_release(&prepared->arguments);
	string_list_release(&prepared->environment);
	buffer_release(&prepared->input);
	free(prepared->user);
}

static int expand_input(struct compare *compare, const struct json *operation, struct buffer *input,
			struct error **err)
{
	json_for_each(item, json_get(operation, "input")) {
		cleanup_free char *line =
			values_expand(&compare->values, json_string_or(item, NULL, ""));

		if (!line)
			return error_set(err, ERROR_FAILED,
					 "a statement is too long, or lacks a value");
		buffer_append_string(input, line);
		buffer_append_string(input, "\n");
	}
	return input->failed ? error_set(err, ERROR_FAILED, "a statement is too long") : 0;
}

/* The first word is the program; what a way adds comes right behind it. */
static bool expand_arguments(struct compare *compare, const struct json *operation,
			     struct string_list *list)
{
	struct string_list own;
	bool is_whole;

	string_list_init(&own);
	is_whole = command_expand_arguments(&compare->values, operation, &own);
	if (is_whole) {
		string_list_add(list, own.items[0]);
		if (json_count(json_get(compare->way, "arguments")))
			is_whole = command_expand_arguments(&compare->values, compare->way, list);
		for (size_t i = 1; i < own.count; i++)
			string_list_add(list, own.items[i]);
	}
	string_list_release(&own);
	return is_whole;
}

static int prepare(struct compare *compare, const char *name, struct prepared *prepared,
		   struct error **err)
{
	const struct json *operation = json_get(compare->definition, name);
	const char *user = json_string(compare->way, "user");
	bool asks;

	*prepared = (struct prepared){0};
	string_list_init(&prepared->arguments);
	string_list_init(&prepared->environment);
	buffer_init(&prepared->input, INPUT_LIMIT);
	if (!expand_arguments(compare, operation, &prepared->arguments))
		return error_set(err, ERROR_FAILED, "a value for \"%s\" is absent", name);
	/* Of one name the last one counts. */
	command_expand_environment(&compare->values, compare->definition, &prepared->environment);
	command_expand_environment(&compare->values, compare->way, &prepared->environment);
	command_expand_environment(&compare->values, operation, &prepared->environment);
	/* That of "rows" is made for each table. */
	asks = strcmp(name, "rows") == 0;
	if (!asks && expand_input(compare, operation, &prepared->input, err) < 0)
		return -1;
	prepared->user = user ? values_expand(&compare->values, user) : NULL;
	prepared->exec = (struct container_exec){
		.user = prepared->user,
		.arguments = (const char *const *)prepared->arguments.items,
		.environment = (const char *const *)prepared->environment.items,
		.input = !asks && json_get(operation, "input") ? prepared->input.data : NULL,
		.input_size = prepared->input.size,
		.asks = asks,
	};
	return 0;
}

/* ---- the way in ---- */

static int ask_version(struct compare *compare, struct buffer *output, struct buffer *errors,
		       struct error **err)
{
	struct prepared prepared;
	int result = prepare(compare, "version", &prepared, err);

	if (result == 0) {
		prepared.exec.timeout_ms = PROBE_TIMEOUT_MS;
		prepared.exec.output = output;
		prepared.exec.errors = errors;
		result = container_exec(compare->engine, compare->id, &prepared.exec, err);
	}
	if (result == 0 && prepared.exec.exit_code != 0) {
		cleanup_free char *text = NULL;

		values_redact(&compare->values, errors->data);
		text = command_shown(errors->data);
		result = error_set(err, ERROR_FAILED, "%s: exit code %d: %s",
				   prepared.exec.arguments[0], prepared.exec.exit_code, text);
	}
	prepared_release(&prepared);
	return result;
}

/* 1: it works, 0: not this one, with the reason in *why; -1: nor will any other. */
static int try_way(struct compare *compare, const struct json *way, struct error **why,
		   struct error **err)
{
	cleanup_error struct error *problem = NULL;
	struct buffer output, errors;
	int result;

	compare->way = way;
	if (!command_needs_are_there(&compare->values, way))
		return 0;
	buffer_init(&output, VERSION_LIMIT);
	buffer_init(&errors, ERRORS_LIMIT);
	result = ask_version(compare, &output, &errors, &problem) == 0 ? 1 : 0;
	if (result)
		compare->version = memory_strndup(output.data, strcspn(output.data, "\r\n"));
	buffer_release(&output);
	buffer_release(&errors);
	if (result)
		return 1;
	if (problem->kind != ERROR_FAILED) {
		error_append(err, STEAL_POINTER(problem));
		return -1;
	}
	/* That a user or program is missing says less than the server's own answer. */
	if (!*why || !problem->http_status) {
		error_free(*why);
		*why = STEAL_POINTER(problem);
	}
	return 0;
}

struct compare *compare_open(struct engine *engine, const char *id,
			     const struct driver_match *match, struct error **err)
{
	CLEANUP(cleanup_compare_free) struct compare *compare = memory_zalloc(sizeof(*compare));
	const struct json *definition = match->driver->definition;
	cleanup_error struct error *why = NULL;
	int result = 0;

	compare->engine = engine;
	compare->id = memory_strdup(id);
	compare->definition = json_get(definition, "compare");
	if (values_open(&compare->values, engine, id, definition, err) < 0)
		return NULL;
	/* The place of what is to come; a value of the container never takes it. */
	values_set(&compare->values, "database", NULL);
	values_set(&compare->values, "statement", NULL);
	json_for_each(way, json_get(compare->definition, "ways"))
		if (result == 0)
			result = try_way(compare, way, &why, err);
	if (result > 0)
		return STEAL_POINTER(compare);
	if (result == 0) {
		if (why)
			error_append(err, STEAL_POINTER(why));
		else
			error_set(err, ERROR_FAILED, "none of its ways applies to this container");
		error_prefix(err, "cannot get into %s",
			     json_string_or(definition, "title", match->driver->name));
	}
	return NULL;
}

/* ---- operations ---- */

struct compare_stream *compare_run(struct compare *compare, const char *operation,
				   const char *database, struct error **err)
{
	CLEANUP(cleanup_compare_stream_free)
	struct compare_stream *stream = memory_zalloc(sizeof(*stream));
	struct prepared prepared;

	stream->compare = compare;
	stream->operation = operation;
	buffer_init(&stream->errors, ERRORS_LIMIT);
	/* A variable without a value is left out: then that of the way counts. */
	values_set(&compare->values, "database", *database ? database : NULL);
	if (prepare(compare, operation, &prepared, err) == 0) {
		stream->program = memory_strdup(prepared.exec.arguments[0]);
		prepared.exec.errors = &stream->errors;
		stream->exec = exec_stream_open(compare->engine, compare->id, &prepared.exec, err);
	}
	prepared_release(&prepared);
	return stream->exec ? STEAL_POINTER(stream) : NULL;
}

int compare_ask(struct compare_stream *stream, const char *statement, struct error **err)
{
	struct compare *compare = stream->compare;
	CLEANUP(buffer_release) struct buffer input;

	buffer_init(&input, INPUT_LIMIT);
	values_set(&compare->values, "statement", statement);
	if (expand_input(compare, json_get(compare->definition, stream->operation), &input, err) <
	    0)
		return -1;
	exec_stream_write(stream->exec, input.data, input.size);
	return 0;
}

void compare_stream_free(struct compare_stream *stream)
{
	if (!stream)
		return;
	exec_stream_free(stream->exec);
	buffer_release(&stream->errors);
	free(stream->program);
	free(stream);
}

ssize_t compare_read(void *context, void *data, size_t size, struct error **err)
{
	struct compare_stream *stream = context;
	ssize_t count = exec_stream_read(stream->exec, data, size, err);
	cleanup_free char *text = NULL;
	int exit_code;

	if (count != 0)
		return count;
	if (exec_stream_exit_code(stream->exec, &exit_code, err) < 0)
		return -1;
	if (exit_code == 0)
		return 0;
	values_redact(&stream->compare->values, stream->errors.data);
	text = command_shown(stream->errors.data);
	return error_set(err, ERROR_FAILED, "%s (\"%s\"): exit code %d: %s", stream->program,
			 stream->operation, exit_code, text);
}

/* ---- names of a schema's objects ---- */

static char *expand_groups(struct compare *compare, const char *member, const char *const groups[4])
{
	static const char *const names[] = {"1", "2", "3", "4"};
	const struct json *schema = json_get(compare->definition, "schema");
	char *text;

	for (size_t i = 0; i < 4; i++)
		values_set(&compare->values, names[i], groups[i] ? groups[i] : "");
	text = values_expand(&compare->values, json_string_or(schema, member, ""));
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
