/*
 * What comes before READY, while the target still runs: everything that can be checked,
 * opened or copied already.
 */
#include "capture_job.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "channel.h"
#include "job.h"
#include "snapshot_write.h"

void capture_job_init(struct capture_job *state, const struct json *job)
{
	memset(state, 0, sizeof(*state));
	state->job = job;
	state->phase = "prepare";
	state->dump = json_get(job, "dump");
	state->own_source = json_string_or(json_get(job, "own"), "source", "none");
	state->root.fd = -1;
	view_init(&state->base);
	string_list_init(&state->dropped);
	string_list_init(&state->included);
	manifest_init(&state->manifest);
}

void capture_job_release(struct capture_job *state)
{
	capture_free(state->capture);
	precopy_release(&state->precopy);
	own_free(state->own);
	manifest_release(&state->manifest);
	string_list_release(&state->dropped);
	string_list_release(&state->included);
	job_trees_release(&state->trees);
	free(state->measures);
	if (state->root.fd >= 0)
		close(state->root.fd);
	free(state->root.overlay);
	view_release(&state->base);
}

static int report_progress(void *context, uint64_t files, uint64_t bytes, struct error **err)
{
	const struct capture_job *state = context;

	(void)err;
	channel_progress(state->phase, files, state->done_bytes + bytes, state->total_bytes);
	return 0;
}

int capture_job_parent(struct capture_job *state, struct error **err)
{
	if (view_read_if_there(&state->base, err) < 0)
		return error_prefix(err, "the parent snapshot");
	state->parent_own = manifest_own_tree(&state->base.manifest);
	return 0;
}

int capture_job_add_changes(struct capture_job *state, const struct json *changes,
			    struct error **err)
{
	if (!state->own)
		return 0;
	json_for_each(change, changes) {
		const char *path = json_string(json_first(change), NULL);

		if (!path)
			return error_set(err, ERROR_USAGE, "\"changes\" of the job has no path");
		own_add_candidate(state->own, path);
	}
	return 0;
}

int capture_job_own(struct capture_job *state, bool measure_only, struct error **err)
{
	const struct json *own = json_get(state->job, "own");
	const char *source = state->own_source;
	struct own_options options = {
		.layer_fd = state->base.root_fd,
		.dropped = &state->dropped,
		.included = &state->included,
		.measure_only = measure_only,
		.source = own_source(json_string_or(state->job, "container", "")),
		.is_new_run = state->base.store && !manifest_is_of_this_run(&state->base.manifest),
		.scratch_fd = state->base.store_fd,
		.permit = measure_only ? NULL : layer_reserve_permit,
		.permit_context = &state->reserve,
		.progress = measure_only ? NULL : report_progress,
		.progress_context = state,
	};

	if (strcmp(source, "none") == 0)
		return 0;
	if (strcmp(source, "process") == 0) {
		if (own_find_root("/proc", json_string_or(state->job, "container", ""),
				  &state->root, err) < 0)
			return -1;
		if (state->root.fd < 0) {
			error_set(err, ERROR_REFUSED,
				  "no process can be proven to be in the container, so its own "
				  "files cannot be read while it runs");
			return error_hint(err, "stop the container first, or use --stopped");
		}
	}
	options.target_fd = state->root.fd;
	options.mount_options = state->root.overlay;
	if (job_dropped(state->job, &state->dropped, err) < 0 ||
	    job_strings(own, "included", &state->included, err) < 0)
		return -1;
	state->own = own_new(&options);
	if (capture_job_add_changes(state, json_get(own, "changes"), err) < 0)
		return -1;
	if (state->parent_own && state->parent_own->root.count &&
	    own_add_parent(state->own, state->base.store, &state->parent_own->root, err) < 0)
		return error_prefix(err, "the parent snapshot");
	return 0;
}

static int measure_trees(struct capture_job *state, struct error **err)
{
	state->measures = memory_zalloc((state->trees.count + 1) * sizeof(*state->measures));
	for (size_t i = 0; i < state->trees.count; i++) {
		const struct tree_record *parent = state->precopy.list[i].parent;
		struct tree_source source;

		/* about as much as last time; the pre-copy then measures it in passing */
		if (state->is_precopied && parent) {
			state->total_bytes += parent->bytes;
			continue;
		}
		job_tree_source(&state->trees.list[i], &source);
		if (tree_measure(&source, &state->measures[i], NULL, err) < 0)
			return error_prefix(err, "%s", state->trees.list[i].paths.items[0]);
		state->total_bytes += state->measures[i].bytes;
	}
	return 0;
}

static int open_capture(struct capture_job *state, struct error **err)
{
	struct capture_options options = {.progress = report_progress, .progress_context = state};

	if (snapshot_options(&options, &state->base, &state->reserve, state->job, err) < 0)
		return -1;
	state->capture = capture_open(&options, err);
	return state->capture ? 0 : -1;
}

/* Called after each tree of a pass. */
static void tree_done(void *context, uint64_t bytes)
{
	struct capture_job *state = context;

	state->done_bytes += bytes;
}

static int precopy(struct capture_job *state, bool again, struct error **err)
{
	int result;

	state->phase = "pre-copying";
	state->precopy.directory_fd = state->base.store_fd;
	state->precopy.measures = state->measures;
	state->precopy.tree_done = tree_done;
	state->precopy.context = state;
	state->done_bytes = 0;
	/* its workers are started here, and so work as gently */
	if (!again && open_capture(state, err) < 0)
		return -1;
	result = again ? capture_renew(state->capture, err) < 0 ||
				 precopy_again(&state->precopy, state->capture, err) < 0
		       : precopy_run(&state->precopy, state->capture, err);
	state->done_bytes = state->total_bytes = 0;
	for (size_t i = 0; i < state->trees.count; i++)
		state->total_bytes += state->measures[i].bytes;
	return result ? -1 : 0;
}

struct preparation {
	struct capture_job *state;
	int (*step)(struct capture_job *state, struct error **err);
	struct error *err;
	int result;
};

/*
 * Priorities belong to a thread and cannot be raised again without a right, so what
 * comes before the freeze runs in one of its own.
 */
static void *run_gently(void *context)
{
	struct preparation *preparation = context;

	helper_work_gently();
	preparation->result = preparation->step(preparation->state, &preparation->err);
	return NULL;
}

static int gently(struct capture_job *state,
		  int (*step)(struct capture_job *state, struct error **err), struct error **err)
{
	struct preparation preparation = {.state = state, .step = step};
	pthread_t thread;
	int number = pthread_create(&thread, NULL, run_gently, &preparation);

	if (number)
		return error_set_errno(err, number, "cannot start a thread");
	pthread_join(thread, NULL);
	if (preparation.result < 0)
		error_append(err, preparation.err);
	return preparation.result;
}

static int precopy_own(void *context, struct error **err)
{
	struct capture_job *state = context;

	if (own_precopy(state->own, err) < 0)
		return error_prefix(err, "the container's own files");
	return 0;
}

static int prepare_step(struct capture_job *state, struct error **err)
{
	if (measure_trees(state, err) < 0 || capture_job_own(state, false, err) < 0)
		return -1;
	if (!state->is_precopied)
		return 0;
	if (state->own && strcmp(state->own_source, "process") == 0)
		state->precopy.meanwhile = precopy_own;
	if (precopy(state, false, err) < 0)
		return -1;
	/* as late as can be: what changes after it is looked at again under the freeze */
	return state->precopy.meanwhile ? precopy_own(state, err) : 0;
}

static int again_step(struct capture_job *state, struct error **err)
{
	return precopy(state, true, err);
}

int capture_job_prepare(struct capture_job *state, struct error **err)
{
	state->is_precopied = json_bool(state->job, "precopy");
	if (view_open_root(&state->base, err) < 0 || view_open_store(&state->base, true, err) < 0 ||
	    capture_job_parent(state, err) < 0 ||
	    job_trees_open(&state->trees, state->job, err) < 0)
		return -1;
	precopy_init(&state->precopy, &state->trees, &state->base.manifest, state->base.store);
	if (gently(state, prepare_step, err) < 0)
		return -1;
	return state->is_precopied ? capture_renew(state->capture, err) : open_capture(state, err);
}

int capture_job_again(struct capture_job *state, struct error **err)
{
	return gently(state, again_step, err) < 0 ? -1 : capture_renew(state->capture, err);
}
