/*
 * The measure job, for dry runs: the sizes that a capture would find. It writes nothing.
 */
#include <string.h>
#include <sys/statvfs.h>

#include "base/memory.h"
#include "capture_job.h"
#include "channel.h"
#include "job.h"
#include "layer.h"

static const char measure_members[] =
	"operation trees container own agent_path min_free spaces failpoint";

/* Of each path in "spaces", in this order, what its file system has and has left; {}: it does not tell. */
static void measure_spaces(const struct json *job, struct json *done)
{
	struct json *list = json_set_array(done, "spaces");

	json_for_each(path, json_get(job, "spaces")) {
		struct json *entry = json_add_object(list);
		struct statvfs space;

		if (statvfs(json_string_or(path, NULL, ""), &space) < 0)
			continue;
		json_set_int(entry, "size", (int64_t)((uint64_t)space.f_blocks * space.f_frsize));
		json_set_int(entry, "free", (int64_t)((uint64_t)space.f_bavail * space.f_frsize));
		json_set_int(entry, "files", (int64_t)space.f_files);
		json_set_int(entry, "free_files", (int64_t)space.f_favail);
	}
}

static int run_measure(struct capture_job *state, struct error **err)
{
	struct json *done, *trees, *own;
	struct own_totals totals = {0};
	struct error *problem = NULL;
	uint64_t available = 0;

	if (job_check_members(state->job, measure_members, err) < 0)
		return -1;
	if (view_open_root(&state->base, err) < 0)
		return -1;
	if (view_open_store(&state->base, false, &problem) < 0 && problem &&
	    problem->kind != ERROR_NOT_FOUND) {
		error_append(err, problem);
		return -1;
	}
	error_free(problem);
	if ((state->base.store_fd >= 0 && capture_job_parent(state, err) < 0) ||
	    job_trees_open(&state->trees, state->job, err) < 0 ||
	    layer_reserve_init(&state->reserve, state->base.root_fd, state->job, err) < 0 ||
	    layer_reserve_permit(&state->reserve, 0, err) < 0 ||
	    layer_free_space(state->base.root_fd, &available, NULL, err) < 0)
		return -1;
	channel_send(WIRE_READY, NULL);
	done = json_new_object();
	trees = json_set_array(done, "trees");
	for (size_t i = 0; i < state->trees.count; i++) {
		struct json *tree = json_add_object(trees), *list;
		struct tree_measure measure;
		struct tree_source source;
		struct string_list skipped;

		string_list_init(&skipped);
		job_tree_source(&state->trees.list[i], &source);
		if (tree_measure(&source, &measure, &skipped, err) < 0) {
			string_list_release(&skipped);
			json_free(done);
			return error_prefix(err, "%s", state->trees.list[i].paths.items[0]);
		}
		json_set_int(tree, "files", (int64_t)measure.files);
		json_set_int(tree, "directories", (int64_t)measure.directories);
		json_set_int(tree, "bytes", (int64_t)measure.bytes);
		json_set_int(tree, "allocated_bytes", (int64_t)measure.allocated_bytes);
		list = json_set_array(tree, "skipped");
		for (size_t j = 0; j < skipped.count && j < 100; j++)
			job_add_path(list, skipped.items[j]);
		string_list_release(&skipped);
	}
	if (capture_job_own(state, true, err) < 0 ||
	    (state->own && state->root.fd >= 0 && own_run(state->own, err) < 0)) {
		json_free(done);
		return -1;
	}
	if (state->own)
		own_get_totals(state->own, &totals);
	own = json_set_object(done, "own");
	json_set_int(own, "files", (int64_t)totals.files);
	json_set_int(own, "bytes", (int64_t)totals.bytes);
	json_set_int(done, "free", (int64_t)available);
	measure_spaces(state->job, done);
	channel_send(WIRE_DONE, done);
	return 0;
}

int helper_measure(const struct json *job, struct error **err)
{
	struct capture_job state;
	int result;

	capture_job_init(&state, job);
	result = run_measure(&state, err);
	capture_job_release(&state);
	return result;
}
