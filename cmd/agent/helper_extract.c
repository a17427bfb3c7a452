/*
 * The extract job: a file or folder of a snapshot as a container of it would see it, streamed
 * to the command.
 */
#include <string.h>

#include "base/memory.h"
#include "channel.h"
#include "entry.h"
#include "helper.h"
#include "job.h"
#include "send.h"

#define CACHE_SIZE (64U << 20)

struct extract_job {
	const struct json *job;
	struct snapshot_view view;
	struct location location;
	struct string_list dropped; /* of the image: what the engine makes, and our own */
	struct send_totals totals;
};

static int wait_for_go(struct error **err)
{
	struct message message;

	if (channel_expect(WIRE_GO, &message, err) < 0)
		return -1;
	message_release(&message);
	return 0;
}

static int run_extract(struct extract_job *state, struct error **err)
{
	const char *expected = json_string_or(state->job, "manifest", "");
	cleanup_free char *path = json_bytes(state->job, "path");
	struct json *ready, *done;

	if (job_check_members(state->job,
			      "operation manifest path path64 follow agent_path failpoint",
			      err) < 0 ||
	    job_dropped(state->job, &state->dropped, err) < 0)
		return -1;
	if (!path || *path != '/')
		return error_set(err, ERROR_USAGE, "the job has no absolute path");
	if (view_open_root(&state->view, err) < 0 ||
	    view_open_store(&state->view, false, err) < 0 ||
	    view_read_checked(&state->view, expected, CACHE_SIZE, err) < 0 ||
	    locate(&state->view, path, json_bool(state->job, "follow"), &state->location, err) < 0)
		return -1;
	ready = json_new_object();
	job_set_path(ready, state->location.path);
	json_set_string(ready, "type", catalog_type_name(state->location.mode));
	json_set_int(ready, "size", (int64_t)state->location.size);
	state->totals.expected_bytes = state->location.size;
	channel_send(WIRE_READY, ready);
	if (wait_for_go(err) < 0 ||
	    send_location(&state->view, &state->location, &state->dropped, &state->totals, err) < 0)
		return -1;
	channel_send(WIRE_END, NULL);
	done = json_new_object();
	json_set_int(done, "files", (int64_t)state->totals.files);
	json_set_int(done, "bytes", (int64_t)state->totals.bytes);
	channel_send(WIRE_DONE, done);
	return 0;
}

int helper_extract(const struct json *job, struct error **err)
{
	struct extract_job state = {.job = job};
	int result;

	view_init(&state.view);
	string_list_init(&state.dropped);
	result = run_extract(&state, err);
	string_list_release(&state.dropped);
	location_release(&state.location);
	view_release(&state.view);
	return result;
}
