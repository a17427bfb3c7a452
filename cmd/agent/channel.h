/*
 * The helper's side of the talk with the command: stdin read by a thread of its own,
 * so that the end of it (the owner died) ends the helper at once whatever it is doing.
 */
#ifndef SIDESNAP_AGENT_CHANNEL_H
#define SIDESNAP_AGENT_CHANNEL_H

#include <stddef.h>

#include "base/error.h"
#include "base/json.h"
#include "wire/wire.h"

/* A frame that was received; payload is owned. */
struct message {
	enum wire_type type;
	char *payload;
	size_t size;
};

void message_release(struct message *message);

/* message_json(message, err): Its object, to be freed. */
struct json *message_json(const struct message *message, struct error **err);

/* channel_open(err): Start reading stdin. Once in a process. */
int channel_open(struct error **err);

/* channel_receive(message, err): The next frame, waited for; garbage is an error. */
int channel_receive(struct message *message, struct error **err);

/* channel_expect(type, message, err): The same; another type is an error. */
int channel_expect(enum wire_type type, struct message *message, struct error **err);

/* channel_send(type, json): A control frame; returns when it is written. json is freed (NULL: empty). */
void channel_send(enum wire_type type, struct json *json);

/* channel_send_data(data, size): WIRE_DATA. */
void channel_send_data(const void *data, size_t size);

/*
 * channel_send_last(type, json, code):
 * From any thread, whatever the others do: send it if the other side reads within two
 * seconds, and end the process with ${code} in any case.
 */
void channel_send_last(enum wire_type type, struct json *json, int code) __attribute__((noreturn));

/*
 * channel_progress(phase, files, bytes, total): Dropped when the last was under 200 ms
 * ago, or when the other side does not read: nothing ever waits for it.
 */
void channel_progress(const char *phase, uint64_t files, uint64_t bytes, uint64_t total_bytes);

#endif
