/*
 * The consolidate job: the state of a snapshot that has many layers, read through another
 * helper that was made from it, becomes one layer on the image that this helper was made
 * from. The snapshot is untrusted, as in a restore: what is read of it is checked by hash.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "channel.h"
#include "helper.h"
#include "job.h"
#include "layer.h"
#include "snapshot_write.h"
#include "tree/capture/rewrite.h"
#include "tree/needed.h"
#include "tree/own/own.h"
#include "tree/own/own_place.h"
#include "tree/restore/restore.h"
#include "view.h"

/* Blocks that are pieced together come from many packs at once. */
#define SOURCE_CACHE_SIZE (64U << 20)

#define DEPTH_MAX 2048

/* What is written only to gain room must gain at least this part of itself. */
#define GAIN_PART 10

struct consolidate_job {
	const struct json *job;
	struct snapshot_view source, base; /* base: what the helper's image holds */
	struct layer_reserve reserve;
	struct string_list dropped;
	struct own *own;
	struct rewrite *rewrite;
	struct manifest manifest;
	uint64_t total_bytes, least_gain;
};

static int report_progress(void *context, uint64_t files, uint64_t bytes, struct error **err)
{
	const struct consolidate_job *state = context;

	(void)err;
	channel_progress("consolidating", files, bytes, state->total_bytes);
	return 0;
}

/* The helper that idles shows the snapshot. */
static int open_source(struct consolidate_job *state, struct error **err)
{
	struct snapshot_view *source = &state->source;

	if (view_open_container(source, json_string_or(state->job, "source", ""), err) < 0 ||
	    view_open_store(source, false, err) < 0)
		return -1;
	return view_read_checked(source, json_string_or(state->job, "manifest", ""),
				 SOURCE_CACHE_SIZE, err);
}

/* Where the image is a snapshot itself, what its packs have is not stored again. */
static int open_base(struct consolidate_job *state, struct error **err)
{
	struct snapshot_view *base = &state->base;

	if (view_open_root(base, err) < 0 || view_open_store(base, true, err) < 0)
		return -1;
	return view_read_if_there(base, err) < 0 ? error_prefix(err, "the image below") : 0;
}

static int open_all(struct consolidate_job *state, struct error **err)
{
	static const char members[] = "operation source manifest agent_path thorough compression "
				      "workers min_free own least_gain estimate failpoint";
	struct capture_options options = {
		.progress = report_progress,
		.progress_context = state,
	};

	if (job_check_members(state->job, members, err) < 0 ||
	    job_check_members(json_get(state->job, "own"), "mounts", err) < 0 ||
	    job_uint(state->job, "least_gain", (uint64_t)1 << 53, &state->least_gain, err) < 0)
		return -1;
	if (!json_string(state->job, "agent_path"))
		return error_set(err, ERROR_USAGE, "the job has no agent_path");
	if (open_source(state, err) < 0)
		return error_prefix(err, "the snapshot");
	if (open_base(state, err) < 0 ||
	    snapshot_options(&options, &state->base, &state->reserve, state->job, err) < 0)
		return -1;
	state->rewrite = rewrite_open(&options, err);
	return state->rewrite ? 0 : -1;
}

/* ---- whether it is worth it ---- */

static bool has_pack(const struct manifest *manifest, const struct pack_info *pack)
{
	for (size_t i = 0; i < manifest->pack_count; i++)
		if (hash_equal(&manifest->packs[i].footer, &pack->footer))
			return true;
	return false;
}

/*
 * The packs that would be left behind, and what of them would have to be written again: by the
 * raw bytes, taking all as compressed as these packs are together.
 */
static int estimate(struct consolidate_job *state, uint64_t *gain, uint64_t *needed,
		    struct error **err)
{
	const struct manifest *source = &state->source.manifest;
	double stored = 0, raw = 0, kept;
	uint64_t bytes = 0;

	for (size_t i = 0; i < source->pack_count; i++) {
		if (has_pack(&state->base.manifest, &source->packs[i]))
			continue;
		stored += (double)source->packs[i].size;
		raw += (double)source->packs[i].raw_size;
	}
	if (needed_bytes(state->source.store, source, state->base.store, &bytes, err) < 0)
		return error_prefix(err, "the snapshot");
	kept = raw > 0 ? (double)bytes * stored / raw : 0;
	if (kept > stored)
		kept = stored;
	*needed = (uint64_t)kept;
	*gain = (uint64_t)(stored - kept);
	return 0;
}

/* 1: too little would be gained, or no more than this was asked, and that was said. */
static int decline(struct consolidate_job *state, struct error **err)
{
	uint64_t gain = 0, needed = 0;
	bool is_worthwhile;
	struct json *done;

	if (!state->least_gain)
		return 0;
	if (estimate(state, &gain, &needed, err) < 0)
		return -1;
	is_worthwhile = gain >= state->least_gain && gain >= needed / GAIN_PART;
	if (is_worthwhile && !json_bool(state->job, "estimate"))
		return 0;
	done = json_new_object();
	json_set_bool(done, "declined", true);
	json_set_bool(done, "worthwhile", is_worthwhile);
	json_set_int(done, "gain_bytes", (int64_t)gain);
	json_set_int(done, "needed_bytes", (int64_t)needed);
	channel_send(WIRE_DONE, done);
	return 1;
}

/* ---- own files ---- */

static int add_names(struct own *own, int root_fd, const char *path, unsigned depth,
		     struct error **err)
{
	struct string_list names;
	int result;

	if (depth > DEPTH_MAX)
		return error_set(err, ERROR_UNSUPPORTED, "\"/%s\" is nested too deeply", path);
	string_list_init(&names);
	result = place_list(root_fd, path, &names, err);
	for (size_t i = 0; result == 0 && i < names.count; i++) {
		cleanup_free char *child = *path ? memory_printf("%s/%s", path, names.items[i])
						 : memory_strdup(names.items[i]);
		struct stat status;

		/* what is mounted there is the engine's */
		if (place_stat(root_fd, child, &status) < 0)
			continue;
		own_add_candidate(own, child);
		if (S_ISDIR(status.st_mode))
			result = add_names(own, root_fd, child, depth + 1, err);
	}
	string_list_release(&names);
	return result;
}

/* Every path of the snapshot, and what only the image has at the top: own_run() finds the rest. */
static int add_everything(struct consolidate_job *state, struct error **err)
{
	struct string_list names;
	int result;

	if (add_names(state->own, state->source.root_fd, "", 0, err) < 0)
		return -1;
	string_list_init(&names);
	result = place_list(state->base.root_fd, "", &names, err);
	for (size_t i = 0; i < names.count; i++)
		own_add_candidate(state->own, names.items[i]);
	string_list_release(&names);
	return result;
}

/* What is right in the snapshot must be right in the layer. */
static int check_own(struct consolidate_job *state, const struct tree_record *tree,
		     struct error **err)
{
	cleanup_error struct error *ignored = NULL;

	if (own_verify(state->source.root_fd, state->source.store, tree, true, &ignored) < 0)
		return 0;
	return own_verify(state->base.root_fd, state->source.store, tree, true, err);
}

static int take_own(struct consolidate_job *state, struct error **err)
{
	const struct tree_record *tree = manifest_own_tree(&state->source.manifest);
	const struct tree_record *below = manifest_own_tree(&state->base.manifest);
	struct own_options options = {
		.target_fd = state->source.root_fd,
		.layer_fd = state->base.root_fd,
		.dropped = &state->dropped,
		.permit = layer_reserve_permit,
		.permit_context = &state->reserve,
	};

	if (job_dropped(state->job, &state->dropped, err) < 0)
		return -1;
	state->own = own_new(&options);
	if (json_bool(state->job, "thorough") && add_everything(state, err) < 0)
		return -1;
	if (tree && own_add_parent(state->own, state->source.store, &tree->root, err) < 0)
		return error_prefix(err, "the snapshot");
	if (below && own_add_parent(state->own, state->base.store, &below->root, err) < 0)
		return error_prefix(err, "the image below");
	if (own_run(state->own, err) < 0)
		return -1;
	return tree ? check_own(state, tree, err) : 0;
}

/* ---- trees and manifest ---- */

static char *copy_text(const char *text)
{
	return memory_strdup(text_or(text, ""));
}

static void begin_manifest(struct consolidate_job *state)
{
	struct manifest *manifest = &state->manifest;
	const struct manifest *source = &state->source.manifest;

	manifest->id = copy_text(source->id);
	manifest->parent = copy_text(source->parent);
	manifest->lineage = copy_text(source->lineage);
	manifest->created = copy_text(source->created);
	manifest->architecture = copy_text(MANIFEST_ARCHITECTURE);
	json_free(manifest->extra);
	manifest->extra = json_copy(source->extra);
}

static int rewrite_trees(struct consolidate_job *state, struct error **err)
{
	const struct manifest *source = &state->source.manifest;

	for (size_t i = 0; i < source->tree_count; i++) {
		const struct tree_record *tree = &source->trees[i];

		if (rewrite_tree(state->rewrite, state->source.store, tree,
				 manifest_add_tree(&state->manifest), err) < 0)
			return error_prefix(err, "the snapshot's tree \"%s\"",
					    tree->paths.items[0]);
		if (failpoint_error("consolidate/tree", err) < 0)
			return -1;
	}
	return 0;
}

static int write_manifest(struct consolidate_job *state, struct store_writer_totals *totals,
			  struct hash *hash, struct error **err)
{
	cleanup_free struct pack_info *packs = NULL;
	size_t count = 0;

	if (rewrite_finish(state->rewrite, &packs, &count, totals, err) < 0 ||
	    snapshot_complete(&state->base, &state->manifest, packs, count, state->job, err) < 0 ||
	    failpoint_error("consolidate/before-manifest", err) < 0)
		return -1;
	return snapshot_write(&state->base, &state->manifest, hash, err);
}

/* As a restore will open it: nothing may depend on the layers that are left behind. */
static int check_result(const struct consolidate_job *state, const struct hash *hash,
			struct error **err)
{
	CLEANUP(cleanup_store_free) struct store *store = NULL;
	struct manifest manifest;
	struct hash written;
	int result = -1;

	manifest_init(&manifest);
	if (manifest_read(&manifest, state->base.store_fd, &written, err) == 0 &&
	    (store = manifest_store(&manifest, state->base.store_fd, err)))
		result = hash_equal(hash, &written)
				 ? 0
				 : error_set(err, ERROR_FAILED, "the manifest is another one");
	for (size_t i = 0; result == 0 && i < manifest.tree_count; i++)
		result = tree_verify(store, &manifest.trees[i], err);
	manifest_release(&manifest);
	return result < 0 ? error_prefix(err, "what was written is not whole") : 0;
}

static int run_consolidate(struct consolidate_job *state, struct error **err)
{
	struct store_writer_totals totals;
	struct own_totals own;
	struct hash hash;
	int declined;

	helper_work_gently();
	if (open_all(state, err) < 0)
		return -1;
	for (size_t i = 0; i < state->source.manifest.tree_count; i++)
		state->total_bytes += state->source.manifest.trees[i].bytes;
	begin_manifest(state);
	channel_send(WIRE_READY, NULL);
	declined = decline(state, err);
	if (declined)
		return declined < 0 ? -1 : 0;
	if (failpoint_error("consolidate/ready", err) < 0 || take_own(state, err) < 0 ||
	    rewrite_trees(state, err) < 0 || write_manifest(state, &totals, &hash, err) < 0 ||
	    check_result(state, &hash, err) < 0)
		return -1;
	own_get_totals(state->own, &own);
	channel_send(WIRE_DONE, snapshot_describe(&state->manifest, &hash, &totals, &own));
	return 0;
}

int helper_consolidate(const struct json *job, struct error **err)
{
	struct consolidate_job state = {.job = job};
	int result;

	view_init(&state.source);
	view_init(&state.base);
	string_list_init(&state.dropped);
	manifest_init(&state.manifest);
	result = run_consolidate(&state, err);
	rewrite_free(state.rewrite);
	own_free(state.own);
	manifest_release(&state.manifest);
	string_list_release(&state.dropped);
	view_release(&state.base);
	view_release(&state.source);
	return result;
}
