/*
 * A command in a running container: create, hijack, both directions at once,
 * then the exit code, which the engine knows a moment after the stream's end.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "engine/client.h"

#define EXIT_WAIT_MS 10000

/*
 * Tools write a few KiB at a time. To be woken for each of these costs the engine and us more than
 * the bytes do, so a reader that has caught up lets some gather; a socket holds what comes meanwhile.
 */
#define GATHER_US 500

struct run {
	struct attachment *attachment;
	struct container_exec *exec;
	size_t sent;
	bool input_open;
	uint64_t deadline_ms; /* 0: none */
};

struct json *container_exec_inspect(struct engine *engine, const char *id, struct error **err)
{
	return engine_get(engine, engine_path(engine, "/exec/%s/json", id), err);
}

static struct json *exec_body(const struct container_exec *exec)
{
	struct json *body = json_new_object();
	struct json *command = json_set_array(body, "Cmd");

	for (const char *const *item = exec->arguments; item && *item; item++)
		json_add_string(command, *item);
	if (exec->environment && exec->environment[0]) {
		struct json *list = json_set_array(body, "Env");

		for (const char *const *item = exec->environment; *item; item++)
			json_add_string(list, *item);
	}
	if (exec->user)
		json_set_string(body, "User", exec->user);
	json_set_bool(body, "AttachStdin", exec->input || exec->asks);
	json_set_bool(body, "AttachStdout", true);
	json_set_bool(body, "AttachStderr", true);
	json_set_bool(body, "Tty", false);
	return body;
}

static char *exec_create(struct engine *engine, const char *id, const struct container_exec *exec,
			 struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *body = exec_body(exec);
	CLEANUP(cleanup_json_free) struct json *answer = NULL;
	cleanup_free char *escaped = engine_escape(id);
	const char *made;

	if (engine_call(engine, "POST", engine_path(engine, "/containers/%s/exec", escaped), body,
			&answer, err) < 0)
		return NULL;
	made = json_string(answer, "Id");
	if (!made) {
		error_set(err, ERROR_ENGINE, "the engine made an exec without an id");
		return NULL;
	}
	return engine_escape(made);
}

/* Keep what fits; what does not is read on all the same, or the command would block. */
static void keep(struct buffer *buffer, const char *data, size_t size)
{
	if (!buffer || buffer->size >= buffer->limit)
		return;
	if (size > buffer->limit - buffer->size)
		size = buffer->limit - buffer->size;
	buffer_append(buffer, data, size);
}

/* Read what is there: 1 something, 0 nothing, 2 the end, -1. */
static int run_read(struct run *run, struct error **err)
{
	struct container_exec *exec = run->exec;
	cleanup_error struct error *problem = NULL;
	char block[16384];
	int stream = 1;
	ssize_t count =
		attachment_read(run->attachment, &stream, block, sizeof(block), 0, &problem);

	if (count > 0) {
		keep(stream == 2 && exec->errors ? exec->errors : exec->output, block,
		     (size_t)count);
		return 1;
	}
	if (count == 0)
		return 0;
	if (attachment_ended(run->attachment))
		return 2;
	if (err)
		*err = STEAL_POINTER(problem);
	return -1;
}

/* Write what there is room for. True: something moved. */
static bool run_write(struct run *run)
{
	const char *input = run->exec->input;
	ssize_t count = 0;

	if (!run->input_open)
		return false;
	if (run->sent < run->exec->input_size) {
		count = attachment_write_some(run->attachment, input + run->sent,
					      run->exec->input_size - run->sent, NULL);
		if (count > 0)
			run->sent += (size_t)count;
	}
	/* A command may well end without reading its input: its exit code tells. */
	if (count < 0 || run->sent == run->exec->input_size) {
		attachment_close_input(run->attachment);
		run->input_open = false;
	}
	return count > 0;
}

static int run_wait(struct run *run, struct error **err)
{
	uint64_t now = clock_monotonic_ms();
	int wait_ms = -1;

	if (run->deadline_ms) {
		if (now >= run->deadline_ms) {
			error_set(err, ERROR_FAILED, "\"%s\" did not end within %llu ms",
				  run->exec->arguments[0],
				  (unsigned long long)run->exec->timeout_ms);
			return error_hint(err, "the engine cannot stop it: it may still run in the "
					       "container");
		}
		wait_ms = run->deadline_ms - now > 60000 ? 60000 : (int)(run->deadline_ms - now);
	}
	return attachment_wait(run->attachment, run->input_open, wait_ms, err) < 0 ? -1 : 0;
}

static int run_streams(struct run *run, struct error **err)
{
	for (;;) {
		bool wrote = run_write(run);
		int got = run_read(run, err);

		if (got < 0)
			return -1;
		if (got == 2)
			return 0;
		/* A command that never stops talking meets the time-out too. */
		if (run->deadline_ms && clock_monotonic_ms() >= run->deadline_ms)
			return run_wait(run, err);
		if (!wrote && !got && run_wait(run, err) < 0)
			return -1;
	}
}

static int exec_exit_code(struct engine *engine, const char *exec_id, int *exit_code,
			  struct error **err)
{
	uint64_t end = clock_monotonic_ms() + EXIT_WAIT_MS;

	for (unsigned pause = 5;; pause = pause < 200 ? 2 * pause : pause) {
		CLEANUP(cleanup_json_free)
		struct json *state = container_exec_inspect(engine, exec_id, err);
		const struct json *code = json_get(state, "ExitCode");

		if (!state)
			return -1;
		if (!json_bool(state, "Running") && json_is_number(code)) {
			*exit_code = (int)json_int(code, NULL);
			return 0;
		}
		if (clock_monotonic_ms() >= end)
			return error_set(err, ERROR_ENGINE,
					 "the engine does not tell how it ended");
		if (transport_pause(engine->transport, pause, err) < 0)
			return -1;
	}
}

/* Create and start it; its id, as a path has it, in *exec_id. */
static struct attachment *exec_start(struct engine *engine, const char *id,
				     const struct container_exec *exec, char **exec_id,
				     struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *body = json_new_object();

	*exec_id = exec_create(engine, id, exec, err);
	if (!*exec_id)
		return NULL;
	json_set_bool(body, "Detach", false);
	json_set_bool(body, "Tty", false);
	return engine_hijack(engine, engine_path(engine, "/exec/%s/start", *exec_id), body, err);
}

static int exec_failed(const char *id, const struct container_exec *exec, struct error **err)
{
	return error_prefix(err, "cannot run \"%s\" in container \"%.*s\"",
			    exec->arguments && exec->arguments[0] ? exec->arguments[0] : "",
			    engine_id_shown(id), id);
}

int container_exec(struct engine *engine, const char *id, struct container_exec *exec,
		   struct error **err)
{
	CLEANUP(cleanup_attachment_free) struct attachment *attachment = NULL;
	cleanup_free char *exec_id = NULL;
	struct run run = {.exec = exec, .input_open = exec->input != NULL};

	exec->exit_code = -1;
	attachment = exec_start(engine, id, exec, &exec_id, err);
	if (!attachment)
		return exec_failed(id, exec, err);
	run.attachment = attachment;
	if (exec->timeout_ms)
		run.deadline_ms = clock_monotonic_ms() + exec->timeout_ms;
	if (run_streams(&run, err) < 0 ||
	    exec_exit_code(engine, exec_id, &exec->exit_code, err) < 0)
		return exec_failed(id, exec, err);
	return 0;
}

/* ---- a stream that its reader sets the pace of ---- */

struct exec_stream {
	struct engine *engine;
	struct attachment *attachment;
	char *exec_id;
	struct buffer *errors;
	exec_sink *sink;
	void *context;
	bool refused; /* it reads no more: what it says until its end is still read */
};

/* A command may well end without reading its input: what it says, and its exit code, tell. */
void exec_stream_write(struct exec_stream *stream, const void *data, size_t size)
{
	attachment_write(stream->attachment, data, size, NULL);
}

struct exec_stream *exec_stream_open(struct engine *engine, const char *id,
				     const struct container_exec *exec, struct error **err)
{
	CLEANUP(cleanup_exec_stream_free)
	struct exec_stream *stream = memory_zalloc(sizeof(*stream));

	stream->engine = engine;
	stream->errors = exec->errors;
	stream->sink = exec->sink;
	stream->context = exec->context;
	stream->attachment = exec_start(engine, id, exec, &stream->exec_id, err);
	if (!stream->attachment) {
		exec_failed(id, exec, err);
		return NULL;
	}
	if (exec->input) {
		exec_stream_write(stream, exec->input, exec->input_size);
		attachment_close_input(stream->attachment);
	}
	return STEAL_POINTER(stream);
}

void exec_stream_free(struct exec_stream *stream)
{
	if (!stream)
		return;
	attachment_free(stream->attachment);
	free(stream->exec_id);
	free(stream);
}

/* Bytes of stdout; what stderr says meanwhile is kept. 0: none within the time; -1: the end, too. */
static ssize_t read_some(struct exec_stream *stream, void *data, size_t size, int timeout_ms,
			 struct error **err)
{
	for (;;) {
		int from = 1;
		ssize_t count =
			attachment_read(stream->attachment, &from, data, size, timeout_ms, err);

		if (count <= 0 || from != 2)
			return count;
		keep(stream->errors, data, (size_t)count);
	}
}

ssize_t exec_stream_read(struct exec_stream *stream, void *data, size_t size, struct error **err)
{
	char *bytes = data;
	size_t filled = 0;
	bool has_rested = false;

	while (filled < size) {
		cleanup_error struct error *problem = NULL;
		ssize_t count = read_some(stream, bytes + filled, size - filled,
					  has_rested && !filled ? -1 : 0, &problem);

		if (count < 0 && attachment_ended(stream->attachment))
			break;
		if (count < 0) {
			if (err)
				*err = STEAL_POINTER(problem);
			return -1;
		}
		filled += (size_t)count;
		if (!count && has_rested)
			break;
		has_rested = !count;
		if (has_rested)
			usleep(GATHER_US);
	}
	return (ssize_t)filled;
}

/* Hand on what is there: 1 something, 0 nothing, 2 the end, -1. */
static int stream_take(struct exec_stream *stream, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	char block[16384];
	int from = 1;
	ssize_t count =
		attachment_read(stream->attachment, &from, block, sizeof(block), 0, &problem);

	if (count > 0) {
		stream->sink(stream->context, from, block, (size_t)count);
		return 1;
	}
	if (count == 0)
		return 0;
	/* Of a command that left input behind the engine resets the connection: its exit code tells. */
	if (attachment_ended(stream->attachment) ||
	    (stream->refused && problem->kind == ERROR_ENGINE))
		return 2;
	if (err)
		*err = STEAL_POINTER(problem);
	return -1;
}

int exec_stream_feed(struct exec_stream *stream, const void *data, size_t size, struct error **err)
{
	const char *bytes = data;

	while (size) {
		cleanup_error struct error *problem = NULL;
		ssize_t count = attachment_write_some(stream->attachment, bytes, size, &problem);
		int got;

		stream->refused = count < 0;
		got = stream_take(stream, err);
		if (got < 0)
			return -1;
		if (got == 2 || count < 0)
			return 0;
		bytes += count;
		size -= (size_t)count;
		if (!count && !got && attachment_wait(stream->attachment, true, -1, err) < 0)
			return -1;
	}
	return 1;
}

int exec_stream_finish(struct exec_stream *stream, uint64_t timeout_ms, struct error **err)
{
	uint64_t start = clock_monotonic_ms();

	attachment_close_input(stream->attachment);
	for (;;) {
		uint64_t spent = clock_monotonic_ms() - start;
		int got = stream_take(stream, err);

		if (got < 0)
			return -1;
		if (got == 2)
			return 0;
		if (timeout_ms && spent >= timeout_ms)
			return error_set(err, ERROR_FAILED, "it did not end within %llu ms",
					 (unsigned long long)timeout_ms);
		if (!got && attachment_wait(stream->attachment, false,
					    timeout_ms ? (int)(timeout_ms - spent) : -1, err) < 0)
			return -1;
	}
}

int exec_stream_exit_code(struct exec_stream *stream, int *exit_code, struct error **err)
{
	return exec_exit_code(stream->engine, stream->exec_id, exit_code, err);
}
