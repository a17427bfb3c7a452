/*
 * The hijacked stream: HTTP until the engine has agreed, then bytes both ways.
 * While a write waits for room, what arrives is taken into a bounded side
 * buffer, so that two sides that both write first cannot block each other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "engine/client.h"
#include "engine/frames.h"
#include "engine/http_header.h"

#define HEADER_LIMIT (64u << 10)
#define RECEIVE_SIZE (64u << 10)
#define SIDE_LIMIT (16u << 20)
/* With the side buffer full and no room to write, nobody is reading at the other end. */
#define STUCK_MS 60000

struct attachment {
	struct connection *connection;
	struct frames frames;
	uint8_t *input; /* received and not yet read */
	size_t start, end, capacity;
	bool ended; /* the engine will send no more */
	bool end_reported;
	bool raw; /* no frames */
};

static size_t input_size(const struct attachment *attachment)
{
	return attachment->end - attachment->start;
}

/* Room for one more receive, up to ${limit} bytes in all. False: full. */
static bool input_room(struct attachment *attachment, size_t limit)
{
	size_t capacity = attachment->capacity;

	if (attachment->start == attachment->end)
		attachment->start = attachment->end = 0;
	if (capacity - attachment->end >= RECEIVE_SIZE)
		return true;
	/* Move down only what is less than what has been read: linear over all. */
	if (attachment->start >= RECEIVE_SIZE && attachment->start >= input_size(attachment)) {
		memmove(attachment->input, attachment->input + attachment->start,
			input_size(attachment));
		attachment->end -= attachment->start;
		attachment->start = 0;
		return true;
	}
	if (capacity >= limit)
		return false;
	capacity = capacity ? 2 * capacity : 2 * RECEIVE_SIZE;
	attachment->input = memory_array(attachment->input, capacity, 1);
	attachment->capacity = capacity;
	return true;
}

/* Take what has arrived: bytes, 0 (none now, or the end: see ended), -1. */
static ssize_t receive(struct attachment *attachment, size_t limit, struct error **err)
{
	ssize_t count;

	if (attachment->ended || !input_room(attachment, limit))
		return 0;
	count = connection_receive(attachment->connection, attachment->input + attachment->end,
				   attachment->capacity - attachment->end, &attachment->ended, err);
	if (count > 0)
		attachment->end += (size_t)count;
	return count;
}

/* ---- the handshake ---- */

static int send_all(struct attachment *attachment, const char *data, size_t size,
		    struct error **err)
{
	while (size) {
		ssize_t count = connection_send(attachment->connection, data, size, err);

		if (count < 0)
			return -1;
		if (!count && connection_wait(attachment->connection, true, -1, err) < 0)
			return -1;
		data += count;
		size -= (size_t)count;
	}
	return 0;
}

/* Wait until something more has arrived; 0 at the end of the stream. */
static int receive_more(struct attachment *attachment, struct error **err)
{
	for (;;) {
		ssize_t count = receive(attachment, HEADER_LIMIT + RECEIVE_SIZE, err);

		if (count != 0)
			return count < 0 ? -1 : 1;
		if (attachment->ended)
			return 0;
		if (connection_wait(attachment->connection, false, -1, err) < 0)
			return -1;
	}
}

/* The answer of an engine that refused: its body ends with the connection or its length. */
static int refused(struct engine *engine, struct attachment *attachment, int status,
		   const char *body, struct error **err)
{
	size_t offset = (size_t)(body - (const char *)attachment->input);
	uint64_t give_up = clock_monotonic_ms() + 2000;

	while (input_size(attachment) < HEADER_LIMIT && clock_monotonic_ms() < give_up) {
		const char *text = (const char *)attachment->input + offset;
		size_t size = attachment->end - offset;

		if (attachment->ended || memrchr(text, '}', size))
			break;
		if (receive(attachment, HEADER_LIMIT + RECEIVE_SIZE, NULL) < 0 ||
		    connection_wait(attachment->connection, false, 100, NULL) < 0)
			break;
	}
	return engine_failed(engine, status, (const char *)attachment->input + offset,
			     attachment->end - offset, err);
}

static int read_header(struct engine *engine, struct attachment *attachment, struct error **err)
{
	const char *body;
	size_t size;
	int status, more;

	while (!(status = http_header_parse((const char *)attachment->input, attachment->end, &body,
					    &size))) {
		if (attachment->end > HEADER_LIMIT)
			return error_set(err, ERROR_ENGINE, "the engine's answer has no end");
		more = receive_more(attachment, err);
		if (more < 0)
			return -1;
		if (!more)
			return error_set(err, ERROR_ENGINE,
					 "the engine closed the stream before it began");
	}
	if (status >= 400)
		return refused(engine, attachment, status, body, err);
	if (status != 101 && status != 200)
		return error_set(err, ERROR_ENGINE, "engine answered %d instead of a stream",
				 status);
	attachment->start = (size_t)(body - (const char *)attachment->input);
	return 0;
}

static char *request_text(const struct engine *engine, const char *path, const char *body)
{
	const struct endpoint *endpoint = transport_endpoint(engine->transport);

	return memory_printf(
		"POST %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sidesnap\r\n"
		"Connection: Upgrade\r\nUpgrade: tcp\r\n%sContent-Length: %zu\r\n\r\n%s",
		endpoint->base_path, path, endpoint->authority,
		*body ? "Content-Type: application/json\r\n" : "", strlen(body), body);
}

struct attachment *engine_hijack(struct engine *engine, char *path, const struct json *body,
				 struct error **err)
{
	CLEANUP(cleanup_attachment_free)
	struct attachment *attachment = memory_zalloc(sizeof(*attachment));
	cleanup_free char *owned = path;
	cleanup_free char *text = body ? json_print(body, false) : memory_strdup("");
	cleanup_free char *request = request_text(engine, owned, text);
	cleanup_error struct error *problem = NULL;

	frames_init(&attachment->frames);
	attachment->connection = connection_open(engine->transport, err);
	if (!attachment->connection)
		return NULL;
	/* An engine that refuses may close before it has read the body: its answer counts. */
	if (send_all(attachment, request, strlen(request), &problem) < 0 &&
	    problem->kind == ERROR_CANCELLED) {
		if (err)
			*err = STEAL_POINTER(problem);
		return NULL;
	}
	if (read_header(engine, attachment, err) < 0)
		return NULL;
	return STEAL_POINTER(attachment);
}

struct attachment *container_attach(struct engine *engine, const char *id, struct error **err)
{
	cleanup_free char *escaped = engine_escape(id);

	return engine_hijack(engine,
			     engine_path(engine,
					 "/containers/%s/attach?stream=1&stdin=1&stdout=1&stderr=1",
					 escaped),
			     NULL, err);
}

void attachment_free(struct attachment *attachment)
{
	if (!attachment)
		return;
	connection_free(attachment->connection);
	free(attachment->input);
	free(attachment);
}

/* ---- reading ---- */

static int stream_ended(struct attachment *attachment, struct error **err)
{
	if (!attachment->raw && (attachment->frames.left || attachment->frames.header_have))
		return error_set(err, ERROR_ENGINE, "the stream broke off inside a frame");
	attachment->end_reported = true;
	return error_set(err, ERROR_ENGINE, "the stream ended");
}

/* Up to ${size} bytes of the present frame, from the buffer or straight from the socket. */
static ssize_t frame_read(struct attachment *attachment, void *data, size_t size,
			  struct error **err)
{
	struct frames *frames = &attachment->frames;
	size_t have = input_size(attachment);
	ssize_t count;

	if (size > frames->left)
		size = frames->left;
	if (have) {
		count = (ssize_t)(size < have ? size : have);
		memcpy(data, attachment->input + attachment->start, (size_t)count);
		attachment->start += (size_t)count;
	} else if (attachment->ended) {
		return stream_ended(attachment, err);
	} else {
		count = connection_receive(attachment->connection, data, size, &attachment->ended,
					   err);
		if (!count && attachment->ended)
			return stream_ended(attachment, err);
	}
	if (count > 0)
		frames->left -= (uint32_t)count;
	return count;
}

/* The error text of the engine itself, which comes as a stream of its own. */
static int engine_text(struct attachment *attachment, struct error **err)
{
	char text[512];
	ssize_t count = frame_read(attachment, text, sizeof(text) - 1, err);

	if (count <= 0)
		return (int)count;
	text[count] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	return error_set(err, ERROR_ENGINE, "the engine broke off the stream: %s", text);
}

/* One attempt without waiting: bytes, 0, -1. */
static ssize_t read_now(struct attachment *attachment, int *stream, void *data, size_t size,
			struct error **err)
{
	struct frames *frames = &attachment->frames;

	/* One frame without an end. */
	if (attachment->raw) {
		*stream = FRAME_STDOUT;
		frames->left = UINT32_MAX;
		return frame_read(attachment, data, size, err);
	}
	while (!frames->left) {
		ssize_t count;

		if (!input_size(attachment)) {
			count = receive(attachment, SIDE_LIMIT, err);
			if (count < 0)
				return -1;
			if (!count)
				return attachment->ended ? stream_ended(attachment, err) : 0;
		}
		count = frames_header(frames, attachment->input + attachment->start,
				      input_size(attachment), err);
		if (count < 0)
			return -1;
		attachment->start += (size_t)count;
	}
	if (frames->stream == FRAME_ENGINE)
		return engine_text(attachment, err);
	*stream = frames->stream;
	return frame_read(attachment, data, size, err);
}

ssize_t attachment_read(struct attachment *attachment, int *stream, void *data, size_t size,
			int timeout_ms, struct error **err)
{
	uint64_t start = clock_monotonic_ms();

	for (;;) {
		ssize_t count = read_now(attachment, stream, data, size, err);
		int left = -1;

		if (count != 0 || timeout_ms == 0)
			return count;
		if (timeout_ms > 0) {
			uint64_t spent = clock_monotonic_ms() - start;

			if (spent >= (uint64_t)timeout_ms)
				return 0;
			left = timeout_ms - (int)spent;
		}
		count = connection_wait(attachment->connection, false, left, err);
		if (count <= 0)
			return count;
	}
}

void attachment_set_raw(struct attachment *attachment)
{
	attachment->raw = true;
}

int attachment_wait_with(struct attachment *attachment, int fd, int timeout_ms, struct error **err)
{
	if (input_size(attachment))
		return 0;
	return connection_wait_with(attachment->connection, fd, timeout_ms, err);
}

bool attachment_ended(const struct attachment *attachment)
{
	return attachment->end_reported;
}

/* ---- writing ---- */

ssize_t attachment_write_some(struct attachment *attachment, const void *data, size_t size,
			      struct error **err)
{
	return connection_send(attachment->connection, data, size, err);
}

int attachment_wait(struct attachment *attachment, bool write, int timeout_ms, struct error **err)
{
	return connection_wait(attachment->connection, write, timeout_ms, err);
}

int attachment_write(struct attachment *attachment, const void *data, size_t size,
		     struct error **err)
{
	const char *bytes = data;
	uint64_t moved = clock_monotonic_ms();

	while (size) {
		ssize_t sent = connection_send(attachment->connection, bytes, size, err);
		ssize_t got;

		if (sent < 0)
			return -1;
		bytes += sent;
		size -= (size_t)sent;
		if (!size)
			break;
		got = receive(attachment, SIDE_LIMIT, err);
		if (got < 0)
			return -1;
		if (sent || got) {
			moved = clock_monotonic_ms();
			continue;
		}
		if (attachment->ended)
			return error_set(err, ERROR_ENGINE,
					 "the stream ended while it was written");
		if (attachment->capacity < SIDE_LIMIT)
			moved = clock_monotonic_ms();
		else if (clock_monotonic_ms() - moved > STUCK_MS)
			return error_set(err, ERROR_ENGINE,
					 "the other end of the stream writes, but does not read");
		if (connection_wait(attachment->connection, true, 1000, err) < 0)
			return -1;
	}
	return 0;
}

int attachment_close_input(struct attachment *attachment)
{
	return connection_shutdown(attachment->connection);
}
