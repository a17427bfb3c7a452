/*
 * The wire's framing: whatever the cuts, the same frames come out; what cannot be a
 * frame is refused before anything is waited for.
 */
#include "test_support.h"

#include <stdlib.h>
#include <string.h>

#include "wire/wire.h"

static void make_stream(struct buffer *buffer)
{
	struct json *json = json_new_object();

	json_set_string(json, "phase", "capture");
	json_set_int(json, "bytes", 123456789);
	assert_int_equal(wire_encode_json(buffer, WIRE_PROGRESS, json), 0);
	assert_int_equal(wire_encode_json(buffer, WIRE_CAPTURED, NULL), 0);
	assert_int_equal(wire_encode(buffer, WIRE_DATA, "a\0b", 3), 0);
	json_free(json);
}

static void check_stream(struct wire_decoder *decoder, int *seen)
{
	struct wire_frame frame;
	struct error *err = NULL;
	int result;

	while ((result = wire_decoder_next(decoder, &frame, &err)) > 0) {
		struct json *json;

		switch ((*seen)++) {
		case 0:
			assert_int_equal(frame.type, WIRE_PROGRESS);
			json = wire_frame_json(&frame, &err);
			assert_string_equal(json_string(json, "phase"), "capture");
			assert_int_equal(json_int(json, "bytes"), 123456789);
			json_free(json);
			break;
		case 1:
			assert_int_equal(frame.type, WIRE_CAPTURED);
			assert_int_equal(frame.size, 0);
			json = wire_frame_json(&frame, &err);
			assert_true(json_is_object(json));
			json_free(json);
			break;
		default:
			assert_int_equal(frame.type, WIRE_DATA);
			assert_int_equal(frame.size, 3);
			assert_memory_equal(frame.payload, "a\0b", 3);
		}
	}
	assert_int_equal(result, 0);
	assert_null(err);
}

static void frames_survive_a_cut_at_every_byte(void **state)
{
	struct buffer buffer;

	(void)state;
	buffer_init(&buffer, 4096);
	make_stream(&buffer);
	for (size_t cut = 0; cut <= buffer.size; cut++) {
		struct wire_decoder decoder;
		int seen = 0;

		wire_decoder_init(&decoder);
		assert_int_equal(wire_decoder_feed(&decoder, buffer.data, cut, NULL), 0);
		check_stream(&decoder, &seen);
		assert_int_equal(
			wire_decoder_feed(&decoder, buffer.data + cut, buffer.size - cut, NULL), 0);
		check_stream(&decoder, &seen);
		assert_int_equal(seen, 3);
		wire_decoder_release(&decoder);
	}
	buffer_release(&buffer);
}

static void frames_survive_single_bytes(void **state)
{
	struct wire_decoder decoder;
	struct buffer buffer;
	int seen = 0;

	(void)state;
	buffer_init(&buffer, 4096);
	make_stream(&buffer);
	wire_decoder_init(&decoder);
	for (size_t i = 0; i < buffer.size; i++) {
		assert_int_equal(wire_decoder_feed(&decoder, buffer.data + i, 1, NULL), 0);
		check_stream(&decoder, &seen);
	}
	assert_int_equal(seen, 3);
	wire_decoder_release(&decoder);
	buffer_release(&buffer);
}

static int decode_once(const void *bytes, size_t size)
{
	struct wire_decoder decoder;
	struct wire_frame frame;
	struct error *err = NULL;
	int result;

	wire_decoder_init(&decoder);
	assert_int_equal(wire_decoder_feed(&decoder, bytes, size, NULL), 0);
	result = wire_decoder_next(&decoder, &frame, &err);
	assert_true((result < 0) == (err != NULL));
	error_free(err);
	wire_decoder_release(&decoder);
	return result;
}

static void garbage_is_refused_by_its_header(void **state)
{
	const uint8_t too_long[] = {0x01, 0x00, 0x40, 0x00, WIRE_DATA};
	const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, WIRE_DATA};
	const uint8_t longest[] = {0x00, 0x00, 0x40, 0x00, WIRE_DATA};
	const uint8_t type_0[] = {0, 0, 0, 0, 0};
	const uint8_t type_17[] = {0, 0, 0, 0, WIRE_PACKED + 1};

	(void)state;
	assert_int_equal(decode_once(too_long, sizeof(too_long)), -1);
	assert_int_equal(decode_once(huge, sizeof(huge)), -1);
	assert_int_equal(decode_once(type_0, sizeof(type_0)), -1);
	assert_int_equal(decode_once(type_17, sizeof(type_17)), -1);
	assert_int_equal(decode_once(longest, sizeof(longest)), 0);
	assert_int_equal(decode_once("HTTP/1.1 200 OK", 15), -1);
}

static void random_bytes_never_break_the_decoder(void **state)
{
	uint64_t random = 88172645463325252ULL;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		uint8_t bytes[64];

		for (size_t i = 0; i < sizeof(bytes); i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			bytes[i] = (uint8_t)(random % (round % 2 ? 256 : 13));
		}
		decode_once(bytes, sizeof(bytes));
	}
}

static void caps_hold(void **state)
{
	struct wire_decoder decoder;
	struct buffer buffer;
	struct error *err = NULL;
	char *payload = calloc(1, WIRE_PAYLOAD_MAX + 1);

	(void)state;
	buffer_init(&buffer, 16U << 20);
	assert_int_equal(wire_encode(&buffer, WIRE_DATA, payload, WIRE_PAYLOAD_MAX + 1), -1);
	assert_int_equal(buffer.size, 0);
	assert_int_equal(wire_encode(&buffer, WIRE_DATA, payload, WIRE_PAYLOAD_MAX), 0);
	buffer_release(&buffer);
	buffer_init(&buffer, 7);
	assert_int_equal(wire_encode(&buffer, WIRE_DATA, "abc", 3), -1);
	assert_int_equal(buffer.size, 0);
	buffer_release(&buffer);
	/* A reader that never takes frames out is stopped. */
	wire_decoder_init(&decoder);
	assert_int_equal(wire_decoder_feed(&decoder, payload, WIRE_PAYLOAD_MAX, NULL), 0);
	assert_int_equal(wire_decoder_feed(&decoder, payload, WIRE_PAYLOAD_MAX, NULL), 0);
	assert_int_equal(wire_decoder_feed(&decoder, payload, WIRE_PAYLOAD_MAX, &err), -1);
	assert_non_null(err);
	error_free(err);
	wire_decoder_release(&decoder);
	free(payload);
}

static void payload_must_be_an_object(void **state)
{
	const char *const bad[] = {"[]", "1", "\"x\"", "{", "{}{}", "\xff"};
	struct error *err = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const struct wire_frame frame = {WIRE_JOB, bad[i], strlen(bad[i])};

		assert_null(wire_frame_json(&frame, &err));
		assert_non_null(err);
		error_free(err);
		err = NULL;
	}
}

static void errors_cross_the_wire(void **state)
{
	struct error *sent = NULL, *received = NULL;
	struct json *json;

	(void)state;
	error_set(&sent, ERROR_NO_SPACE, "disk full at %d%%", 99);
	error_hint(&sent, "make room");
	json = wire_error_json(sent);
	assert_int_equal(wire_error_from(json, &received), -1);
	assert_int_equal(received->kind, ERROR_NO_SPACE);
	assert_string_equal(received->message, "disk full at 99%");
	assert_string_equal(received->hint, "make room");
	error_free(received);
	received = NULL;
	/* A kind that is none, or success, must not become an exit code. */
	json_set_int(json, "kind", 0);
	wire_error_from(json, &received);
	assert_int_equal(received->kind, ERROR_FAILED);
	error_free(received);
	received = NULL;
	json_free(json);
	json = json_new_object();
	wire_error_from(json, &received);
	assert_int_equal(received->kind, ERROR_FAILED);
	assert_non_null(received->message);
	error_free(received);
	error_free(sent);
	json_free(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_survive_a_cut_at_every_byte),
		cmocka_unit_test(frames_survive_single_bytes),
		cmocka_unit_test(garbage_is_refused_by_its_header),
		cmocka_unit_test(random_bytes_never_break_the_decoder),
		cmocka_unit_test(caps_hold),
		cmocka_unit_test(payload_must_be_an_object),
		cmocka_unit_test(errors_cross_the_wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
