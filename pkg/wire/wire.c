/*
 * Framing of the talk with an agent. The bytes come out of a container, so a
 * frame's length is checked before anything waits for it.
 */
#include "wire/wire.h"

#include <string.h>

#include "base/cleanup.h"

#define WIRE_HEADER_SIZE 5
/* Whole frames are taken out before more is fed, so one frame and one read fit always. */
#define WIRE_PENDING_MAX (2 * ((size_t)WIRE_PAYLOAD_MAX + WIRE_HEADER_SIZE))

int wire_encode(struct buffer *buffer, enum wire_type type, const void *payload, size_t size)
{
	if (size > WIRE_PAYLOAD_MAX || buffer_reserve(buffer, size + WIRE_HEADER_SIZE) < 0)
		return -1;
	buffer_append_u32(buffer, (uint32_t)size);
	buffer_append_u8(buffer, (uint8_t)type);
	if (size)
		buffer_append(buffer, payload, size);
	return buffer->failed ? -1 : 0;
}

int wire_encode_json(struct buffer *buffer, enum wire_type type, const struct json *json)
{
	cleanup_free char *text = json ? json_print(json, false) : NULL;

	return wire_encode(buffer, type, text, text ? strlen(text) : 0);
}

void wire_decoder_init(struct wire_decoder *decoder)
{
	buffer_init(&decoder->pending, WIRE_PENDING_MAX);
	decoder->taken = 0;
}

void wire_decoder_release(struct wire_decoder *decoder)
{
	buffer_release(&decoder->pending);
	decoder->taken = 0;
}

int wire_decoder_feed(struct wire_decoder *decoder, const void *data, size_t size,
		      struct error **err)
{
	buffer_consume(&decoder->pending, decoder->taken);
	decoder->taken = 0;
	if (buffer_append(&decoder->pending, data, size) < 0)
		return error_set(err, ERROR_FAILED, "too many bytes at once from the other side");
	return 0;
}

int wire_decoder_next(struct wire_decoder *decoder, struct wire_frame *frame, struct error **err)
{
	struct cursor cursor;
	uint32_t size;
	uint8_t type;

	cursor_init(&cursor, decoder->pending.data + decoder->taken,
		    decoder->pending.size - decoder->taken);
	if (cursor_left(&cursor) < WIRE_HEADER_SIZE)
		return 0;
	size = cursor_u32(&cursor);
	type = cursor_u8(&cursor);
	if (size > WIRE_PAYLOAD_MAX)
		return error_set(err, ERROR_FAILED, "a message of %u bytes is too large", size);
	if (type < WIRE_HELLO || type > WIRE_PACKED)
		return error_set(err, ERROR_FAILED, "unknown type %u of a message", type);
	if (cursor_left(&cursor) < size)
		return 0;
	frame->type = (enum wire_type)type;
	frame->payload = (const char *)cursor_bytes(&cursor, size);
	frame->size = size;
	decoder->taken += WIRE_HEADER_SIZE + size;
	return 1;
}

struct json *wire_frame_json(const struct wire_frame *frame, struct error **err)
{
	struct json *json;

	if (!frame->size)
		return json_new_object();
	json = json_parse(frame->payload, frame->size, err);
	if (!json) {
		error_prefix(err, "message of type %d", (int)frame->type);
		return NULL;
	}
	if (!json_is_object(json)) {
		json_free(json);
		error_set(err, ERROR_FAILED, "message of type %d is no object", (int)frame->type);
		return NULL;
	}
	return json;
}

struct json *wire_error_json(const struct error *error)
{
	struct json *json = json_new_object();

	json_set_int(json, "kind", (int64_t)error->kind);
	json_set_string(json, "message", error->message ? error->message : "unknown failure");
	if (error->hint)
		json_set_string(json, "hint", error->hint);
	return json;
}

static enum error_kind known_kind(int64_t number)
{
	if (number == ERROR_CANCELLED || (number >= ERROR_DAMAGED && number <= ERROR_UNSUPPORTED))
		return (enum error_kind)number;
	return ERROR_FAILED;
}

int wire_error_from(const struct json *json, struct error **err)
{
	const char *hint = json_string(json, "hint");

	error_set(err, known_kind(json_int(json, "kind")), "%s",
		  json_string_or(json, "message", "the agent failed without a message"));
	if (hint)
		error_hint(err, "%s", hint);
	return -1;
}
