/*
 * A command is put together from four parts: what is common to all, what is common to a member of the
 * driver, the way in that works for this container, and the operation. Nothing is quoted here:
 * statements come from the driver or the server itself and go by standard input, byte for byte.
 */
#include "driver/access.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "driver/command.h"

#define PROBE_TIMEOUT_MS 60000
#define VERSION_LIMIT 256
#define ERRORS_LIMIT 65536
#define INPUT_LIMIT (8U << 20)

struct access {
	struct engine *engine;
	char *id;
	const struct json *definition; /* the driver's "access"; borrowed */
	const struct json *way;	       /* one of its ways; borrowed */
	struct values values;
	char *version;
};

struct access_stream {
	struct access *access;
	struct exec_stream *exec;
	struct buffer errors;
	char *program, *name;
	exec_sink *sink;
	void *context;
};

void access_free(struct access *access)
{
	if (!access)
		return;
	values_release(&access->values);
	free(access->id);
	free(access->version);
	free(access);
}

const char *access_version(const struct access *access)
{
	return access->version;
}

struct values *access_values(struct access *access)
{
	return &access->values;
}

void access_set_database(struct access *access, const char *database)
{
	values_set(&access->values, "database", database);
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

int access_input(struct access *access, const struct json *operation, struct buffer *input,
		 struct error **err)
{
	json_for_each(item, json_get(operation, "input")) {
		cleanup_free char *line =
			values_expand(&access->values, json_string_or(item, NULL, ""));

		if (!line)
			return error_set(err, ERROR_FAILED,
					 "a statement is too long, or lacks a value");
		buffer_append_string(input, line);
		buffer_append_string(input, "\n");
	}
	return input->failed ? error_set(err, ERROR_FAILED, "a statement is too long") : 0;
}

/* The first word is the program; what a way adds comes right behind it. */
static bool expand_arguments(struct access *access, const struct json *operation,
			     struct string_list *list)
{
	struct string_list own;
	bool is_whole;

	string_list_init(&own);
	is_whole = command_expand_arguments(&access->values, operation, &own);
	if (is_whole) {
		string_list_add(list, own.items[0]);
		if (json_count(json_get(access->way, "arguments")))
			is_whole = command_expand_arguments(&access->values, access->way, list);
		for (size_t i = 1; i < own.count; i++)
			string_list_add(list, own.items[i]);
	}
	string_list_release(&own);
	return is_whole;
}

static int prepare(struct access *access, const struct access_call *call, struct prepared *prepared,
		   struct error **err)
{
	const struct json *operation = call->operation;
	const char *user = json_string(access->way, "user");

	*prepared = (struct prepared){0};
	string_list_init(&prepared->arguments);
	string_list_init(&prepared->environment);
	buffer_init(&prepared->input, INPUT_LIMIT);
	if (!expand_arguments(access, operation, &prepared->arguments))
		return error_set(err, ERROR_FAILED, "a value for \"%s\" is absent", call->name);
	json_for_each(word, call->words)
		string_list_add(&prepared->arguments, json_string_or(word, NULL, ""));
	/* Of one name the last one counts. */
	command_expand_environment(&access->values, access->definition, &prepared->environment);
	command_expand_environment(&access->values, call->member, &prepared->environment);
	command_expand_environment(&access->values, access->way, &prepared->environment);
	command_expand_environment(&access->values, operation, &prepared->environment);
	if (!call->asks && access_input(access, operation, &prepared->input, err) < 0)
		return -1;
	prepared->user = user ? values_expand(&access->values, user) : NULL;
	prepared->exec = (struct container_exec){
		.user = prepared->user,
		.arguments = (const char *const *)prepared->arguments.items,
		.environment = (const char *const *)prepared->environment.items,
		.input = !call->asks && json_get(operation, "input") ? prepared->input.data : NULL,
		.input_size = prepared->input.size,
		.asks = call->asks,
	};
	return 0;
}

static int failed(struct access *access, const char *program, const char *name, int exit_code,
		  struct buffer *said, struct error **err)
{
	cleanup_free char *text = NULL;

	values_redact(&access->values, said->data);
	text = command_shown(said->data);
	return error_set(err, ERROR_FAILED, "%s (\"%s\"): exit code %d%s%s", program, name,
			 exit_code, *text ? ": " : "", text);
}

int access_run(struct access *access, const struct access_call *call, struct buffer *output,
	       struct error **err)
{
	struct prepared prepared;
	struct buffer errors, dropped;
	int result;

	if (!command_needs_are_there(&access->values, call->operation))
		return 0;
	buffer_init(&errors, ERRORS_LIMIT);
	buffer_init(&dropped, ERRORS_LIMIT);
	result = prepare(access, call, &prepared, err);
	if (result == 0) {
		prepared.exec.output = output ? output : &dropped;
		prepared.exec.errors = &errors;
		result = container_exec(access->engine, access->id, &prepared.exec, err);
		if (result < 0 && err && *err)
			values_redact(&access->values, (*err)->message);
	}
	if (result == 0 && prepared.exec.exit_code != 0)
		result = failed(access, prepared.exec.arguments[0], call->name,
				prepared.exec.exit_code, errors.size ? &errors : &dropped, err);
	prepared_release(&prepared);
	buffer_release(&errors);
	buffer_release(&dropped);
	return result < 0 ? -1 : 1;
}

int access_run_all(struct access *access, const struct json *member, const char *list,
		   struct error **err)
{
	json_for_each(operation, json_get(member, list)) {
		struct access_call call = {member, operation, list, false, NULL, NULL, NULL};

		if (access_run(access, &call, NULL, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- the way in ---- */

static int ask_version(struct access *access, struct buffer *output, struct error **err)
{
	struct access_call call = {
		NULL, json_get(access->definition, "version"), "version", false, NULL, NULL, NULL};
	struct prepared prepared;
	struct buffer errors;
	int result = prepare(access, &call, &prepared, err);

	buffer_init(&errors, ERRORS_LIMIT);
	if (result == 0) {
		prepared.exec.timeout_ms = PROBE_TIMEOUT_MS;
		prepared.exec.output = output;
		prepared.exec.errors = &errors;
		result = container_exec(access->engine, access->id, &prepared.exec, err);
	}
	if (result == 0 && prepared.exec.exit_code != 0)
		result = failed(access, prepared.exec.arguments[0], call.name,
				prepared.exec.exit_code, errors.size ? &errors : output, err);
	prepared_release(&prepared);
	buffer_release(&errors);
	return result;
}

/* The first line, or the part of it that is one. */
static char *version_of(const struct access *access, const char *output)
{
	const char *pattern = json_string(json_get(access->definition, "version"), "pattern");
	char *line = memory_strndup(output, strcspn(output, "\r\n"));
	char *part = NULL;
	regmatch_t groups[2];
	regex_t regex;

	if (!pattern || regcomp(&regex, pattern, REG_EXTENDED) != 0)
		return line;
	if (regexec(&regex, line, 2, groups, 0) == 0 && groups[1].rm_so >= 0)
		part = memory_strndup(line + groups[1].rm_so,
				      (size_t)(groups[1].rm_eo - groups[1].rm_so));
	regfree(&regex);
	if (!part)
		return line;
	free(line);
	return part;
}

/* 1: it works, 0: not this one, with the reason in *why; -1: nor will any other. */
static int try_way(struct access *access, const struct json *way, struct error **why,
		   struct error **err)
{
	cleanup_error struct error *problem = NULL;
	struct buffer output;
	int result;

	access->way = way;
	if (!command_needs_are_there(&access->values, way) ||
	    !command_needs_are_there(&access->values, json_get(access->definition, "version")))
		return 0;
	json_for_each(item, json_get(way, "values"))
		values_set(&access->values, json_key(item), json_string(item, NULL));
	buffer_init(&output, VERSION_LIMIT);
	/* What labels say has none: the operation itself will tell. */
	result = !json_get(access->definition, "version") ||
		 ask_version(access, &output, &problem) == 0;
	if (result)
		access->version = version_of(access, output.data);
	buffer_release(&output);
	if (result)
		return 1;
	json_for_each(item, json_get(way, "values"))
		values_forget(&access->values, json_key(item));
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

struct access *access_open(struct engine *engine, const char *id, const struct driver_match *match,
			   struct error **err)
{
	const struct driver *driver = match->driver;
	CLEANUP(cleanup_access_free) struct access *access = memory_zalloc(sizeof(*access));
	const char *title = json_string_or(driver->definition, "title", driver->name);
	cleanup_error struct error *why = NULL;
	int result = 0;

	access->engine = engine;
	access->id = memory_strdup(id);
	access->definition = json_get(driver->definition, "access");
	if (!access->definition) {
		error_set(err, ERROR_UNSUPPORTED,
			  "the driver \"%s\" has no \"access\": no way into the database",
			  driver->name);
		return NULL;
	}
	if (values_open(&access->values, engine, access->id, driver->definition, err) < 0)
		return NULL;
	values_borrow(&access->values, match->lender);
	/* The place of what is to come; a value of the container never takes it. */
	values_set(&access->values, "database", NULL);
	values_set(&access->values, "statement", NULL);
	json_for_each(way, json_get(access->definition, "ways"))
		if (result == 0)
			result = try_way(access, way, &why, err);
	if (result > 0)
		return STEAL_POINTER(access);
	if (result == 0) {
		if (why)
			error_append(err, STEAL_POINTER(why));
		else
			error_set(err, ERROR_FAILED, "none of its ways applies to this container");
		error_prefix(err, "cannot get into %s", title);
	}
	return NULL;
}

/* ---- streams ---- */

static void take(void *context, int from, const void *data, size_t size)
{
	struct access_stream *stream = context;
	size_t room = stream->errors.limit - stream->errors.size;

	if (from == 2)
		buffer_append(&stream->errors, data, size < room ? size : room);
	stream->sink(stream->context, from, data, size);
}

struct access_stream *access_stream_open(struct access *access, const struct access_call *call,
					 struct error **err)
{
	CLEANUP(cleanup_access_stream_free)
	struct access_stream *stream = memory_zalloc(sizeof(*stream));
	struct prepared prepared;

	stream->access = access;
	stream->name = memory_strdup(call->name);
	stream->sink = call->sink;
	stream->context = call->context;
	buffer_init(&stream->errors, ERRORS_LIMIT);
	if (prepare(access, call, &prepared, err) == 0) {
		stream->program = memory_strdup(prepared.exec.arguments[0]);
		prepared.exec.errors = &stream->errors;
		prepared.exec.sink = call->sink ? take : NULL;
		prepared.exec.context = stream;
		stream->exec = exec_stream_open(access->engine, access->id, &prepared.exec, err);
	}
	prepared_release(&prepared);
	return stream->exec ? STEAL_POINTER(stream) : NULL;
}

void access_stream_free(struct access_stream *stream)
{
	if (!stream)
		return;
	exec_stream_free(stream->exec);
	buffer_release(&stream->errors);
	free(stream->program);
	free(stream->name);
	free(stream);
}

static int check_end(struct access_stream *stream, struct error **err)
{
	int exit_code;

	if (exec_stream_exit_code(stream->exec, &exit_code, err) < 0)
		return -1;
	return exit_code == 0 ? 0
			      : failed(stream->access, stream->program, stream->name, exit_code,
				       &stream->errors, err);
}

ssize_t access_stream_read(struct access_stream *stream, void *data, size_t size,
			   struct error **err)
{
	ssize_t count = exec_stream_read(stream->exec, data, size, err);

	return count ? count : check_end(stream, err);
}

const char *access_stream_said(struct access_stream *stream)
{
	values_redact(&stream->access->values, stream->errors.data);
	stream->errors.size = strlen(stream->errors.data);
	return stream->errors.data;
}

void access_stream_write(struct access_stream *stream, const void *data, size_t size)
{
	exec_stream_write(stream->exec, data, size);
}

int access_stream_feed(struct access_stream *stream, const void *data, size_t size,
		       struct error **err)
{
	int taken = exec_stream_feed(stream->exec, data, size, err);

	if (taken)
		return taken < 0 ? -1 : 0;
	if (exec_stream_finish(stream->exec, 0, err) < 0 || check_end(stream, err) < 0)
		return -1;
	return error_set(err, ERROR_FAILED, "%s (\"%s\") ended before it had read everything",
			 stream->program, stream->name);
}

int access_stream_finish(struct access_stream *stream, uint64_t timeout_ms, struct error **err)
{
	if (exec_stream_finish(stream->exec, timeout_ms, err) < 0)
		return error_prefix(err, "%s (\"%s\")", stream->program, stream->name);
	return check_end(stream, err);
}
