/*
 * Our standard streams and those of a container, put together. What a person types and sees is not kept
 * anywhere: such a container has no log.
 */
#include "project/interactive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/helper/owner.h"
#include "snapshot/labels.h"
#include "ui/terminal.h"

#define ROLE "scratch"
#define TURN_MS 100
#define END_MS 10000

struct interactive {
	struct session *session;
	char *nonce, *name, *makes;
	char *image;   /* its id */
	char *program; /* for messages */
	struct json *labels;
	char *id; /* NULL: not created */
	struct attachment *attachment;
	bool has_terminal;
	bool input_open;
	unsigned columns, rows; /* as the container's terminal knows them */
};

static void hide_compose_labels(const struct json *image, struct json *labels)
{
	json_for_each(label, json_path(image, "Config", "Labels"))
		if (text_has_prefix(json_key(label), "com.docker.compose."))
			json_set_string(labels, json_key(label), "");
}

struct interactive *interactive_new(struct session *session, const struct json *image,
				    const char *makes)
{
	struct interactive *it = memory_zalloc(sizeof(*it));
	cleanup_free char *owner = owner_label(session);

	it->session = session;
	it->nonce = text_random_hex(16);
	it->name = helper_lock_name(it->nonce, ROLE);
	it->makes = memory_strdup(makes);
	it->image = memory_strdup(json_string_or(image, "Id", ""));
	it->has_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	it->labels = json_new_object();
	hide_compose_labels(image, it->labels);
	json_set_string(it->labels, LABEL_ROLE, ROLE);
	json_set_string(it->labels, LABEL_NONCE, it->nonce);
	json_set_string(it->labels, LABEL_MAKES, text_or(makes, ""));
	json_set_string(it->labels, LABEL_OWNER, owner);
	return it;
}

static void set_streams(struct json *body, bool has_terminal)
{
	json_set_bool(body, "Tty", has_terminal);
	json_set_bool(body, "OpenStdin", true);
	json_set_bool(body, "StdinOnce", true);
	json_set_bool(body, "AttachStdin", true);
	json_set_bool(body, "AttachStdout", true);
	json_set_bool(body, "AttachStderr", true);
}

static void complete_body(const struct interactive *it, struct json *body)
{
	struct json *host = json_get(body, "HostConfig");

	if (!host)
		host = json_set_object(body, "HostConfig");
	json_set_string(body, "Image", it->image);
	json_add_string(json_set_array(json_set_object(body, "Healthcheck"), "Test"), "NONE");
	json_set(body, "Labels", json_copy(it->labels));
	json_set_string(json_set_object(host, "RestartPolicy"), "Name", "no");
	json_set_string(json_set_object(host, "LogConfig"), "Type", "none");
	set_streams(body, it->has_terminal);
}

/* ---- the streams ---- */

static void follow_size(struct interactive *it)
{
	unsigned columns, rows;

	if (!it->has_terminal || !terminal_size(STDOUT_FILENO, &columns, &rows) ||
	    (columns == it->columns && rows == it->rows))
		return;
	/* While it starts it has no terminal yet: the next turn tries again. */
	if (container_resize(it->session->engine, it->id, columns, rows, NULL) == 0) {
		it->columns = columns;
		it->rows = rows;
	}
}

static int write_out(int fd, const void *data, size_t size, struct error **err)
{
	if (io_write_full(fd, data, size) < 0)
		return error_set_errno(err, errno, "cannot write to standard %s",
				       fd == STDOUT_FILENO ? "output" : "error");
	return 0;
}

/* What there is: 0, 2 at its end, -1. */
static int take_output(struct interactive *it, struct error **err)
{
	char block[16384];

	for (;;) {
		cleanup_error struct error *problem = NULL;
		int stream = 1;
		ssize_t count =
			attachment_read(it->attachment, &stream, block, sizeof(block), 0, &problem);

		if (count == 0)
			return 0;
		if (count > 0) {
			if (write_out(stream == 2 ? STDERR_FILENO : STDOUT_FILENO, block,
				      (size_t)count, err) < 0)
				return -1;
			continue;
		}
		/* Whoever ends without reading all of its input resets the stream: its exit code tells. */
		if (problem->kind == ERROR_ENGINE)
			return 2;
		error_append(err, STEAL_POINTER(problem));
		return -1;
	}
}

static int give_input(struct interactive *it)
{
	char block[16384];
	ssize_t count = read(STDIN_FILENO, block, sizeof(block));

	if (count < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	/* That it took no more is for its exit code to say. */
	if (count <= 0 || attachment_write(it->attachment, block, (size_t)count, NULL) < 0) {
		attachment_close_input(it->attachment);
		it->input_open = false;
	}
	return 0;
}

static int exchange_streams(struct interactive *it, struct error **err)
{
	it->input_open = true;
	for (;;) {
		int result = take_output(it, err);

		if (result < 0)
			return -1;
		if (result == 2)
			return 0;
		follow_size(it);
		result = attachment_wait_with(it->attachment, it->input_open ? STDIN_FILENO : -1,
					      TURN_MS, err);
		if (result < 0)
			return -1;
		if (result > 0)
			give_input(it);
	}
}

/* The engine knows it a moment after the streams' end. */
static int read_exit_code(const struct interactive *it, int *exit_code, struct error **err)
{
	uint64_t end = clock_monotonic_ms() + END_MS;
	const struct timespec pause = {0, 20000000L};

	for (;;) {
		CLEANUP(cleanup_json_free)
		struct json *inspect = container_inspect(it->session->engine, it->id, err);
		const struct json *state = json_get(inspect, "State");

		if (!inspect)
			return -1;
		if (!json_bool(state, "Running")) {
			*exit_code = (int)json_int(state, "ExitCode");
			return 0;
		}
		if (session_check(it->session, err) < 0)
			return -1;
		if (clock_monotonic_ms() >= end)
			return error_set(err, ERROR_ENGINE,
					 "the engine broke the stream off while it ran");
		nanosleep(&pause, NULL);
	}
}

/* ---- the container ---- */

int interactive_create(struct interactive *it, struct json *body, const struct json *connect,
		       struct error **err)
{
	const char *program = json_string(json_first(json_get(body, "Entrypoint")), NULL);

	complete_body(it, body);
	it->program = memory_strdup(program ? program : "its program");
	it->id = container_create(it->session->engine, it->name, body, err);
	if (!it->id)
		return error_prefix(err, "cannot create a temporary container");
	failpoint("interactive/created");
	json_for_each(item, connect)
		if (network_connect(it->session->engine, json_string_or(item, "network", ""),
				    it->id, json_get(item, "endpoint"), err) < 0)
			return error_prefix(err, "cannot join network %s",
					    json_string_or(item, "network", ""));
	return 0;
}

static int start(const struct interactive *it, struct error **err)
{
	if (container_start(it->session->engine, it->id, err) == 0)
		return 0;
	if (err && *err && strstr((*err)->message, it->program) &&
	    (strstr((*err)->message, "not found") || strstr((*err)->message, "no such file")))
		(*err)->kind = ERROR_UNSUPPORTED;
	return error_prefix(err, "cannot start %s", it->program);
}

static int talk(struct interactive *it, struct error **err)
{
	CLEANUP(cleanup_terminal_restore) struct terminal_mode *mode = NULL;

	if (it->has_terminal)
		mode = terminal_make_raw(STDIN_FILENO);
	return exchange_streams(it, err);
}

int interactive_run(struct interactive *it, int *exit_code, struct error **err)
{
	it->attachment = container_attach(it->session->engine, it->id, err);
	if (!it->attachment)
		return error_prefix(err, "cannot attach to a temporary container");
	if (it->has_terminal)
		attachment_set_raw(it->attachment);
	if (start(it, err) < 0)
		return -1;
	failpoint("interactive/started");
	progress_end(it->session->progress);
	return talk(it, err) < 0 ? -1 : read_exit_code(it, exit_code, err);
}

static int remove_all(const struct interactive *it, struct error **err)
{
	struct engine *engine = it->session->engine;

	if (it->id && container_remove(engine, it->id, true, true, err) < 0)
		return -1;
	return it->makes ? image_remove(engine, it->image, false, false, NULL, err) : 0;
}

void interactive_free(struct interactive *it)
{
	cleanup_error struct error *problem = NULL;

	if (!it)
		return;
	attachment_free(it->attachment);
	/* Cleaning up must go on after Ctrl-C. */
	engine_set_cancel(it->session->engine, NULL);
	if (remove_all(it, &problem) < 0)
		progress_warn(it->session->progress,
			      "temporary container \"%s\" is still there: %s; \"sidesnap doctor\" "
			      "removes it",
			      it->name, problem->message);
	engine_set_cancel(it->session->engine, it->session->cancelled);
	json_free(it->labels);
	free(it->nonce);
	free(it->name);
	free(it->makes);
	free(it->image);
	free(it->program);
	free(it->id);
	free(it);
}
