/*
 * A database's dump on its way into the store: cut, compared with what is there, compressed
 * and written while it arrives. Whoever sends it waits when that takes longer, and so does
 * the tool that makes it: nowhere is more of it than the queues hold.
 */
#include <string.h>
#include <time.h>

#include "base/failpoint.h"
#include "capture_job.h"
#include "channel.h"
#include "store/transit.h"
#include "tree/dump.h"

/* Nothing that was cut off may pass for a dump, whatever it ends with. */
static int check_end(const struct message *message, uint64_t received, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *json = message_json(message, err);
	uint64_t bytes;

	if (!json)
		return -1;
	if (strcmp(json_string_or(json, "stream", ""), "dump") != 0 ||
	    !json_uint_checked(json, "bytes", UINT64_C(1) << 53, &bytes))
		return error_set(err, ERROR_USAGE, "unexpected end of a stream");
	if (bytes != received)
		return error_set(err, ERROR_FAILED,
				 "%llu bytes of the dump have come, not %llu as were sent",
				 (unsigned long long)received, (unsigned long long)bytes);
	return 0;
}

/* How many bytes of the dump there were in it; -1. */
static ssize_t take(struct capture_job *state, struct transit_unpacker *unpacker,
		    const struct message *message, struct error **err)
{
	const void *data = message->payload;
	ssize_t size = (ssize_t)message->size;

	if (message->type == WIRE_PACKED)
		size = transit_unpack(unpacker, message->payload, message->size, &data, err);
	else if (message->type != WIRE_DATA)
		return error_set(err, ERROR_CANCELLED, "the command ended the capture");
	if (size < 0 || capture_dump_data(state->capture, data, (size_t)size, err) < 0)
		return -1;
	return size;
}

static int receive(struct capture_job *state, struct error **err)
{
	CLEANUP(cleanup_transit_unpacker_free)
	struct transit_unpacker *unpacker = transit_unpacker_new(err);
	uint64_t received = 0;

	while (unpacker) {
		struct message message;
		ssize_t size = 0;
		bool is_end;

		if (channel_receive(&message, err) < 0)
			return -1;
		is_end = message.type == WIRE_END;
		if (is_end)
			size = check_end(&message, received, err);
		else
			size = take(state, unpacker, &message, err);
		message_release(&message);
		if (size < 0 || is_end)
			return size < 0 ? -1 : 0;
		received += (uint64_t)size;
	}
	return -1;
}

int capture_job_dump(struct capture_job *state, struct error **err)
{
	struct tree_record *record = &state->manifest.trees[state->trees.count];
	struct timespec now = {0};

	if (!state->dump || state->is_dumped)
		return error_set(err, ERROR_USAGE, "a dump that was not announced");
	state->phase = "dumping";
	now.tv_sec = time(NULL);
	if (capture_dump_begin(state->capture, json_string(state->dump, "file"), &now, err) < 0 ||
	    receive(state, err) < 0 || capture_dump_end(state->capture, record, err) < 0 ||
	    failpoint_error("agent/dumped", err) < 0)
		return error_prefix(err, "cannot store the dump");
	state->is_dumped = true;
	return 0;
}
