/*
 * The capture job as the command sees it: READY says that all is prepared (capture_job.c),
 * between GO and CAPTURED the target is frozen.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "capture_job.h"
#include "channel.h"
#include "job.h"
#include "layer.h"
#include "snapshot_write.h"
#include "tree/dump.h"
#include "tree/own/seed.h"

#define SKIPPED_BYTES_MAX (1U << 20) /* of paths named in DONE */
#define READY_PART_MAX (512U << 10)  /* JSON may need six bytes for one of a path */

static const char capture_members[] =
	"operation id parent lineage created architecture compression workers min_free agent_path "
	"container trees own extra precopy dump failpoint";

static int check_dump(const struct json *dump, struct error **err)
{
	struct string_list paths;
	int result;

	if (!dump)
		return 0;
	if (job_check_members(dump, "file name paths seed parent_seed", err) < 0)
		return -1;
	string_list_init(&paths);
	result = job_strings(dump, "paths", &paths, err);
	if (result == 0 && (!paths.count || !dump_name_is_valid(json_string_or(dump, "file", "")) ||
			    !*json_string_or(dump, "name", "")))
		result = error_set(err, ERROR_USAGE, "the job's dump has no name, file or path");
	string_list_release(&paths);
	return result;
}

static int check_job(const struct json *job, struct error **err)
{
	const struct json *own = json_get(job, "own");
	const char *source = json_string_or(own, "source", "none");

	if (job_check_members(job, capture_members, err) < 0 ||
	    job_check_members(own, "source changes mounts included", err) < 0 ||
	    check_dump(json_get(job, "dump"), err) < 0)
		return -1;
	if (strcmp(source, "process") != 0 && strcmp(source, "stream") != 0 &&
	    strcmp(source, "none") != 0)
		return error_set(err, ERROR_UNSUPPORTED, "unknown source \"%s\" of own files",
				 source);
	if (!json_string(job, "id") || !json_string(job, "created") ||
	    !json_string(job, "agent_path"))
		return error_set(err, ERROR_USAGE, "the job has no id, created or agent_path");
	return 0;
}

/* AGAIN: the driver has written since the first passes. */
static int take_again(struct capture_job *state, struct error **err)
{
	if (!state->is_precopied)
		return error_set(err, ERROR_USAGE, "a pass that was not announced");
	if (capture_job_again(state, err) < 0)
		return -1;
	channel_send(WIRE_READY, NULL);
	return 0;
}

/* Into READY, which is sent in parts when they are many; the last part is returned. */
static struct json *send_own_paths(struct json *ready, const struct string_list *paths)
{
	struct json *list = json_set_array(ready, "own_paths");
	size_t size = 0;

	for (size_t i = 0; i < paths->count; i++) {
		if (size > READY_PART_MAX) {
			json_set_bool(ready, "more", true);
			channel_send(WIRE_READY, ready);
			ready = json_new_object();
			list = json_set_array(ready, "own_paths");
			size = 0;
		}
		job_add_path(list, paths->items[i]);
		size += strlen(paths->items[i]) + 16;
	}
	return ready;
}

static void send_ready(struct capture_job *state)
{
	struct json *ready = json_new_object(), *trees;
	uint64_t available = 0;

	(void)layer_free_space(state->base.root_fd, &available, NULL, NULL);
	json_set_int(ready, "processes", state->root.proven);
	json_set_int(ready, "free", (int64_t)available);
	json_set_bool(ready, "changes", state->own && !own_is_covered(state->own));
	trees = json_set_array(ready, "trees");
	for (size_t i = 0; i < state->trees.count; i++) {
		struct json *tree = json_add_object(trees);

		json_set_int(tree, "bytes", (int64_t)state->measures[i].bytes);
		json_set_int(tree, "files", (int64_t)state->measures[i].files);
	}
	if (state->own && strcmp(state->own_source, "stream") == 0)
		ready = send_own_paths(ready, own_paths(state->own));
	channel_send(WIRE_READY, ready);
}

/* A stream's members until its END, given to one of two takers. */
struct stream_taker {
	void *context;
	int (*entry)(void *context, const struct own_member *member, struct error **err);
	int (*data)(void *context, const void *data, size_t size, struct error **err);
};

static int take_entry(const struct message *message, const struct stream_taker *taker,
		      struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *json = message_json(message, err);
	struct job_member member;
	int result;

	if (!json)
		return -1;
	memset(&member, 0, sizeof(member));
	result = job_member_parse(&member, json, err);
	if (result == 0)
		result = taker->entry(taker->context, &member.member, err);
	job_member_release(&member);
	return result;
}

static int seed_add_member(void *context, const struct own_member *member, struct error **err)
{
	return seed_add(context, member, err);
}

static int seed_add_data(void *context, const void *data, size_t size, struct error **err)
{
	return seed_data(context, data, size, err);
}

static int own_add_member(void *context, const struct own_member *member, struct error **err)
{
	return own_stream_entry(context, member, err);
}

static int own_add_data(void *context, const void *data, size_t size, struct error **err)
{
	return own_stream_data(context, data, size, err);
}

/* Trees that may have a seed: the job's, and a dump behind them. */
static size_t seed_count(const struct capture_job *state)
{
	return state->trees.count + (state->dump != NULL);
}

static bool has_seed(const struct capture_job *state, size_t index)
{
	return index < state->trees.count ? state->trees.list[index].has_seed
					  : json_bool(state->dump, "seed");
}

static bool has_parent_seed(const struct capture_job *state, size_t index)
{
	return index < state->trees.count ? state->trees.list[index].has_parent_seed
					  : json_bool(state->dump, "parent_seed");
}

/* END of a seed: which tree it belongs to, and its catalog. */
static int end_seed(struct capture_job *state, const struct message *message, struct seed *seed,
		    struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *json = message_json(message, err);
	uint64_t index = 0;

	if (!json)
		return -1;
	if (strcmp(json_string_or(json, "stream", ""), "seed") != 0 ||
	    !json_uint_checked(json, "tree", seed_count(state) - 1, &index))
		return error_set(err, ERROR_USAGE, "unexpected end of a stream");
	if (!has_seed(state, index) || state->manifest.trees[index].seed.count)
		return error_set(err, ERROR_USAGE, "a seed that was not announced");
	return seed_write(seed, state->capture, &state->manifest.trees[index].seed, err);
}

/* GO: what was changed in the container up to the freeze, and when that was. */
static int take_go(struct capture_job *state, const struct message *message, bool *is_last,
		   struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *go = message_json(message, err);

	if (!go || job_check_members(go, "changes created more", err) < 0)
		return -1;
	*is_last = !json_bool(go, "more");
	if (json_string(go, "created")) {
		free(state->manifest.created);
		state->manifest.created = memory_strdup(json_string(go, "created"));
	}
	return capture_job_add_changes(state, json_get(go, "changes"), err);
}

static int receive_seeds(struct capture_job *state, struct error **err)
{
	CLEANUP(cleanup_seed_free) struct seed *seed = seed_new();
	struct message message;
	int result = 0;
	bool is_go = false;

	while (result == 0 && !is_go) {
		struct stream_taker taker = {seed, seed_add_member, seed_add_data};

		if (channel_receive(&message, err) < 0)
			return -1;
		if (message.type == WIRE_ENTRY && seed_count(state)) {
			result = take_entry(&message, &taker, err);
		} else if (message.type == WIRE_DATA) {
			result = seed_data(seed, message.payload, message.size, err);
		} else if (message.type == WIRE_END && seed_count(state)) {
			result = end_seed(state, &message, seed, err);
			seed_free(seed);
			seed = seed_new();
		} else if (message.type == WIRE_DUMP) {
			result = capture_job_dump(state, err);
		} else if (message.type == WIRE_AGAIN) {
			result = take_again(state, err);
		} else if (message.type == WIRE_GO) {
			result = take_go(state, &message, &is_go, err);
		} else {
			result = error_set(err, ERROR_CANCELLED, "the command ended the capture");
		}
		message_release(&message);
	}
	for (size_t i = 0; result == 0 && i < seed_count(state); i++) {
		if (has_seed(state, i) && !state->manifest.trees[i].seed.count)
			result =
				error_set(err, ERROR_USAGE, "the seed of tree %zu did not come", i);
	}
	if (result == 0 && state->dump && !state->is_dumped)
		result = error_set(err, ERROR_USAGE, "the dump did not come");
	return result;
}

static int receive_own(struct capture_job *state, struct error **err)
{
	const struct stream_taker taker = {state->own, own_add_member, own_add_data};
	struct message message;
	int result = 0;
	bool is_end = false;

	while (result == 0 && !is_end) {
		if (channel_receive(&message, err) < 0)
			return -1;
		is_end = message.type == WIRE_END;
		if (message.type == WIRE_ENTRY)
			result = take_entry(&message, &taker, err);
		else if (message.type == WIRE_DATA)
			result = taker.data(taker.context, message.payload, message.size, err);
		else if (!is_end)
			result = error_set(err, ERROR_CANCELLED, "the command ended the capture");
		message_release(&message);
	}
	return result < 0 ? -1 : own_stream_end(state->own, err);
}

/* The image has below the volume's path what it had at the last snapshot: nothing is written there. */
static int take_parent_seeds(struct capture_job *state, struct error **err)
{
	for (size_t i = 0; i < seed_count(state); i++) {
		struct tree_record *tree = &state->manifest.trees[i];
		const struct tree_record *known = NULL;

		if (!has_parent_seed(state, i))
			continue;
		for (size_t k = 0; k < state->base.manifest.tree_count; k++)
			if (state->base.manifest.trees[k].kind == tree->kind &&
			    string_list_has(&state->base.manifest.trees[k].paths,
					    tree->paths.items[0]))
				known = &state->base.manifest.trees[k];
		if (!known)
			return error_set(err, ERROR_DAMAGED,
					 "the parent snapshot has no tree at \"%s\", which its "
					 "labels name",
					 tree->paths.items[0]);
		if (known->seed.count)
			catalog_root_copy(&tree->seed, &known->seed);
	}
	return 0;
}

static int begin_manifest(struct capture_job *state, struct error **err)
{
	struct manifest *manifest = &state->manifest;
	const struct json *job = state->job, *extra = json_get(job, "extra");

	manifest->id = memory_strdup(json_string(job, "id"));
	manifest->parent = memory_strdup(json_string_or(job, "parent", ""));
	manifest->lineage = memory_strdup(json_string_or(job, "lineage", manifest->id));
	manifest->created = memory_strdup(json_string(job, "created"));
	manifest->architecture = memory_strdup(json_string_or(job, "architecture", "amd64"));
	if (extra) {
		json_free(manifest->extra);
		manifest->extra = json_copy(extra);
	}
	manifest_note_run(manifest);
	for (size_t i = 0; i < state->trees.count; i++) {
		struct tree_record *record = manifest_add_tree(manifest);

		record->kind = state->trees.list[i].kind;
		record->name = memory_strdup(state->trees.list[i].name);
		string_list_add_all(&record->paths, &state->trees.list[i].paths);
	}
	if (state->dump) {
		struct tree_record *record = manifest_add_tree(manifest);

		record->kind = TREE_DUMP;
		record->name = memory_strdup(json_string(state->dump, "name"));
		if (job_strings(state->dump, "paths", &record->paths, err) < 0)
			return -1;
	}
	return take_parent_seeds(state, err);
}

static int capture_all(struct capture_job *state, struct error **err)
{
	state->phase = "reading";
	for (size_t i = 0; i < state->trees.count; i++) {
		CLEANUP(cleanup_earlier_free)
		struct earlier *earlier = precopy_earlier(&state->precopy, i);
		struct tree_record *record = &state->manifest.trees[i];
		struct capture_pass pass;
		struct tree_source source;

		job_tree_source(&state->trees.list[i], &source);
		source.earlier = earlier;
		source.is_frozen = state->is_precopied;
		if (capture_tree(state->capture, &source, record, &pass, err) < 0)
			return error_prefix(err, "cannot capture \"%s\"", record->paths.items[0]);
		state->done_bytes += record->bytes;
		state->hot_bytes += pass.read_bytes;
		state->reused_bytes += pass.reused_bytes;
	}
	if (!state->own)
		return 0;
	state->phase = "own files";
	if (strcmp(state->own_source, "stream") == 0)
		return receive_own(state, err);
	return own_run(state->own, err);
}

/* The own tree's record: what was captured now, else what the parent has and the image so keeps. */
static int write_own(struct capture_job *state, struct error **err)
{
	const struct tree_record *parent = state->parent_own;
	struct tree_record *record;

	if (!state->own && !parent)
		return 0;
	record = manifest_add_tree(&state->manifest);
	if (state->own)
		return own_write_catalog(state->own, state->capture, record, err);
	tree_record_name(record, parent);
	record->hash = parent->hash;
	record->entries = parent->entries;
	record->bytes = parent->bytes;
	catalog_root_copy(&record->root, &parent->root);
	return 0;
}

static int write_manifest(struct capture_job *state, struct store_writer_totals *totals,
			  struct hash *hash, struct error **err)
{
	cleanup_free struct pack_info *packs = NULL;
	size_t count = 0;

	if (capture_finish(state->capture, &packs, &count, totals, err) < 0 ||
	    snapshot_complete(&state->base, &state->manifest, packs, count, state->job, err) < 0 ||
	    failpoint_error("agent/before-manifest", err) < 0 ||
	    snapshot_write(&state->base, &state->manifest, hash, err) < 0)
		return -1;
	return failpoint_error("agent/after-manifest", err);
}

static void add_skipped(struct json *done, const struct manifest *manifest)
{
	struct json *list = json_set_array(done, "skipped");
	size_t size = 0;

	for (size_t i = 0; i < manifest->tree_count; i++) {
		const struct string_list *skipped = &manifest->trees[i].skipped;

		for (size_t j = 0; j < skipped->count && size < SKIPPED_BYTES_MAX; j++) {
			struct json *item = json_add_object(list);

			json_set_int(item, "tree", (int64_t)i);
			job_set_path(item, skipped->items[j]);
			size += strlen(skipped->items[j]) + 32;
		}
	}
}

static void send_done(struct capture_job *state, const struct store_writer_totals *totals,
		      const struct hash *hash)
{
	struct own_totals own = {0};
	struct json *done;

	if (state->own)
		own_get_totals(state->own, &own);
	done = snapshot_describe(&state->manifest, hash, totals, &own);
	json_set_int(done, "hot_bytes", (int64_t)(state->hot_bytes + own.read_bytes));
	json_set_int(done, "reused_bytes", (int64_t)state->reused_bytes);
	add_skipped(done, &state->manifest);
	channel_send(WIRE_DONE, done);
}

static int run_capture(struct capture_job *state, struct error **err)
{
	struct store_writer_totals totals;
	struct hash hash;

	if (check_job(state->job, err) < 0 || capture_job_prepare(state, err) < 0 ||
	    begin_manifest(state, err) < 0)
		return -1;
	send_ready(state);
	if (receive_seeds(state, err) < 0 || failpoint_error("agent/before-capture", err) < 0 ||
	    capture_all(state, err) < 0 || failpoint_error("agent/before-captured", err) < 0)
		return -1;
	channel_send(WIRE_CAPTURED, NULL);
	state->phase = "store";
	if (failpoint_error("agent/after-captured", err) < 0 || write_own(state, err) < 0 ||
	    write_manifest(state, &totals, &hash, err) < 0)
		return -1;
	send_done(state, &totals, &hash);
	return 0;
}

int helper_capture(const struct json *job, struct error **err)
{
	struct capture_job state;
	int result;

	capture_job_init(&state, job);
	result = run_capture(&state, err);
	capture_job_release(&state);
	return result;
}
