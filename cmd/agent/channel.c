/*
 * Nothing here may hold up a capture: the target is frozen meanwhile. Progress is
 * written only where the pipe takes it at once; control frames are few and waited for.
 */
#include "channel.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "base/buffer.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"

#define QUEUE_BYTES_MAX (16U << 20)
#define PROGRESS_INTERVAL_MS 200
#define LAST_WAIT_MS 2000
#define OUTGOING_MAX (2U * WIRE_PAYLOAD_MAX)

struct queued {
	struct queued *next;
	struct message message;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct queued *first, *last;
	size_t bytes;
	struct error *failure;
	bool is_ended; /* BYE came, or garbage */
} incoming = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct {
	pthread_mutex_t lock;
	struct buffer pending;
	uint64_t last_progress_ms;
} outgoing = {.lock = PTHREAD_MUTEX_INITIALIZER};

void message_release(struct message *message)
{
	free(message->payload);
	message->payload = NULL;
	message->size = 0;
}

struct json *message_json(const struct message *message, struct error **err)
{
	const struct wire_frame frame = {message->type, message->payload, message->size};

	return wire_frame_json(&frame, err);
}

static bool owner_hung_up(void)
{
	struct pollfd poll_fd = {.fd = STDIN_FILENO};

	return poll(&poll_fd, 1, 0) > 0 && poll_fd.revents & (POLLHUP | POLLERR | POLLNVAL);
}

/* Wait until the queue takes more; the owner may die while it is full. */
static void wait_for_room(void)
{
	while (incoming.bytes > QUEUE_BYTES_MAX) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		if (pthread_cond_timedwait(&incoming.changed, &incoming.lock, &until) ==
			    ETIMEDOUT &&
		    owner_hung_up())
			_exit(EXIT_OWNER_GONE);
	}
}

static void enqueue(const struct wire_frame *frame)
{
	struct queued *item = memory_zalloc(sizeof(*item));

	item->message.type = frame->type;
	item->message.size = frame->size;
	item->message.payload = memory_alloc(frame->size + 1);
	memcpy(item->message.payload, frame->payload, frame->size);
	item->message.payload[frame->size] = '\0';
	pthread_mutex_lock(&incoming.lock);
	wait_for_room();
	if (incoming.last)
		incoming.last->next = item;
	else
		incoming.first = item;
	incoming.last = item;
	incoming.bytes += frame->size + sizeof(*item);
	incoming.is_ended = frame->type == WIRE_BYE;
	pthread_cond_broadcast(&incoming.changed);
	pthread_mutex_unlock(&incoming.lock);
}

static void end_with(struct error *failure)
{
	pthread_mutex_lock(&incoming.lock);
	incoming.failure = failure;
	incoming.is_ended = true;
	pthread_cond_broadcast(&incoming.changed);
	pthread_mutex_unlock(&incoming.lock);
}

static void *read_stdin(void *context)
{
	struct wire_decoder decoder;
	struct wire_frame frame;
	struct error *err = NULL;
	cleanup_free char *block = memory_alloc(65536);
	int result;

	(void)context;
	wire_decoder_init(&decoder);
	for (;;) {
		ssize_t count = read(STDIN_FILENO, block, 65536);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			_exit(EXIT_OWNER_GONE);
		if (wire_decoder_feed(&decoder, block, (size_t)count, &err) < 0)
			break;
		while ((result = wire_decoder_next(&decoder, &frame, &err)) > 0) {
			enqueue(&frame);
			if (frame.type == WIRE_BYE) {
				wire_decoder_release(&decoder);
				return NULL;
			}
		}
		if (result < 0)
			break;
	}
	error_prefix(&err, "cannot understand the command");
	wire_decoder_release(&decoder);
	end_with(err);
	return NULL;
}

int channel_open(struct error **err)
{
	pthread_t thread;
	int number;

	buffer_init(&outgoing.pending, OUTGOING_MAX);
	if (io_set_nonblocking(STDOUT_FILENO, 1) < 0)
		return error_set_errno(err, errno, "cannot prepare stdout");
	number = pthread_create(&thread, NULL, read_stdin, NULL);
	if (number)
		return error_set_errno(err, number, "cannot start a thread");
	pthread_detach(thread);
	return 0;
}

int channel_receive(struct message *message, struct error **err)
{
	struct queued *item;

	pthread_mutex_lock(&incoming.lock);
	while (!incoming.first && !incoming.is_ended)
		pthread_cond_wait(&incoming.changed, &incoming.lock);
	item = incoming.first;
	if (item) {
		incoming.first = item->next;
		if (!incoming.first)
			incoming.last = NULL;
		incoming.bytes -= item->message.size + sizeof(*item);
		pthread_cond_broadcast(&incoming.changed);
	}
	pthread_mutex_unlock(&incoming.lock);
	if (!item) {
		if (incoming.failure && err)
			*err = STEAL_POINTER(incoming.failure);
		else
			error_set(err, ERROR_CANCELLED, "the command ended the talk");
		return -1;
	}
	*message = item->message;
	free(item);
	return 0;
}

int channel_expect(enum wire_type type, struct message *message, struct error **err)
{
	if (channel_receive(message, err) < 0)
		return -1;
	if (message->type == type)
		return 0;
	if (message->type == WIRE_BYE)
		error_set(err, ERROR_CANCELLED, "the command ended the talk");
	else
		error_set(err, ERROR_FAILED, "expected message %d of the command, got %d",
			  (int)type, (int)message->type);
	message_release(message);
	return -1;
}

/* Write what is pending; waits for the reader only if told to. */
static void flush(bool wait)
{
	while (outgoing.pending.size) {
		struct pollfd poll_fd = {.fd = STDOUT_FILENO, .events = POLLOUT};
		ssize_t count = write(STDOUT_FILENO, outgoing.pending.data, outgoing.pending.size);

		if (count >= 0) {
			buffer_consume(&outgoing.pending, (size_t)count);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			_exit(EXIT_OWNER_GONE);
		if (!wait)
			return;
		poll(&poll_fd, 1, -1);
	}
}

void channel_send(enum wire_type type, struct json *json)
{
	pthread_mutex_lock(&outgoing.lock);
	flush(true);
	if (wire_encode_json(&outgoing.pending, type, json) < 0)
		_exit(ERROR_FAILED);
	flush(true);
	pthread_mutex_unlock(&outgoing.lock);
	json_free(json);
}

void channel_send_data(const void *data, size_t size)
{
	pthread_mutex_lock(&outgoing.lock);
	flush(true);
	if (wire_encode(&outgoing.pending, WIRE_DATA, data, size) < 0)
		_exit(ERROR_FAILED);
	flush(true);
	pthread_mutex_unlock(&outgoing.lock);
}

void channel_send_last(enum wire_type type, struct json *json, int code)
{
	uint64_t end = clock_monotonic_ms() + LAST_WAIT_MS;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LAST_WAIT_MS / 1000;
	if (pthread_mutex_timedlock(&outgoing.lock, &until) == 0) {
		wire_encode_json(&outgoing.pending, type, json);
		while (flush(false), outgoing.pending.size && clock_monotonic_ms() < end) {
			struct pollfd poll_fd = {.fd = STDOUT_FILENO, .events = POLLOUT};

			poll(&poll_fd, 1, 100);
		}
	}
	_exit(code);
}

void channel_progress(const char *phase, uint64_t files, uint64_t bytes, uint64_t total_bytes)
{
	uint64_t now = clock_monotonic_ms();
	struct json *json;

	pthread_mutex_lock(&outgoing.lock);
	if (now - outgoing.last_progress_ms >= PROGRESS_INTERVAL_MS) {
		outgoing.last_progress_ms = now;
		flush(false);
		if (!outgoing.pending.size) {
			json = json_new_object();
			json_set_string(json, "phase", phase);
			json_set_int(json, "files", (int64_t)files);
			json_set_int(json, "bytes", (int64_t)bytes);
			json_set_int(json, "total_bytes", (int64_t)total_bytes);
			wire_encode_json(&outgoing.pending, WIRE_PROGRESS, json);
			json_free(json);
			flush(false);
		}
	}
	pthread_mutex_unlock(&outgoing.lock);
}
