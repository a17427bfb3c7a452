/*
 * The capture job: everything that can be checked or prepared happens before READY
 * and GO; between GO and CAPTURED the target is frozen.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "capture_job.h"
#include "channel.h"
#include "job.h"
#include "layer.h"
#include "tree/seed.h"

#define SKIPPED_BYTES_MAX (1U << 20) /* of paths named in DONE */
#define READY_PART_MAX (512U << 10)  /* JSON may need six bytes for one of a path */
#define RESERVE_MIN (1ULL << 30)
#define PREPARE_NICE 10
#define IO_WEIGHT_LOW ((2 << 13) | 7) /* best effort, lowest level (linux/ioprio.h) */
#define IO_WHO_PROCESS 1

void capture_job_release(struct capture_job *state)
{
	capture_free(state->capture);
	precopy_release(&state->precopy);
	own_free(state->own);
	store_free(state->parent_store);
	if (state->has_parent)
		manifest_release(&state->parent);
	manifest_release(&state->manifest);
	string_list_release(&state->dropped);
	string_list_release(&state->included);
	job_trees_release(&state->trees);
	free(state->measures);
	if (state->target_fd >= 0)
		close(state->target_fd);
	if (state->store_fd >= 0)
		close(state->store_fd);
	if (state->root_fd >= 0)
		close(state->root_fd);
}

/* Called by one thread at a time. What was written is needed again while commit copies it. */
static int permit_write(void *context, uint64_t bytes, struct error **err)
{
	struct capture_job *state = context;
	cleanup_free char *left = NULL, *reserve = NULL;
	uint64_t available = 0, needed = bytes + state->written + bytes;

	if (layer_free_space(state->root_fd, &available, NULL, err) < 0)
		return -1;
	if (available >= needed && available - needed >= state->min_free) {
		state->written += bytes;
		return 0;
	}
	left = text_format_size(available);
	reserve = text_format_size(state->min_free);
	error_set(err, ERROR_NO_SPACE,
		  "the engine's disk has %s left, of which the snapshot takes more than is to be "
		  "used: %s are to stay free",
		  left, reserve);
	return error_hint(err, "make room at the engine, or lower the reserve with --min-free");
}

static int report_progress(void *context, uint64_t files, uint64_t bytes, struct error **err)
{
	const struct capture_job *state = context;

	(void)err;
	channel_progress(state->phase, files, state->done_bytes + bytes, state->total_bytes);
	return 0;
}

static const char *own_source(const struct capture_job *state)
{
	return json_string_or(json_get(state->job, "own"), "source", "none");
}

static const char capture_members[] =
	"operation id parent lineage created architecture compression workers min_free agent_path "
	"container trees own extra precopy failpoint";

static int check_job(const struct json *job, struct error **err)
{
	const struct json *own = json_get(job, "own");
	const char *source = json_string_or(own, "source", "none");

	if (job_check_members(job, capture_members, err) < 0 ||
	    job_check_members(own, "source changes mounts included", err) < 0)
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

int capture_job_parent(struct capture_job *state, struct error **err)
{
	struct error *problem = NULL;

	manifest_init(&state->parent);
	state->has_parent = true;
	if (manifest_read(&state->parent, state->store_fd, NULL, &problem) < 0) {
		bool is_absent = problem && problem->kind == ERROR_NOT_FOUND;

		manifest_release(&state->parent);
		state->has_parent = false;
		if (is_absent) {
			error_free(problem);
			return 0;
		}
		error_append(err, problem);
		return error_prefix(err, "the parent snapshot");
	}
	state->parent_store = manifest_store(&state->parent, state->store_fd, err);
	if (!state->parent_store)
		return error_prefix(err, "the parent snapshot");
	for (size_t i = 0; i < state->parent.tree_count; i++) {
		if (state->parent.trees[i].kind == TREE_OWN)
			state->parent_own = &state->parent.trees[i];
	}
	return 0;
}

static int add_candidates(struct own *own, const struct json *changes, struct error **err)
{
	json_for_each(change, changes) {
		const char *path = json_string(json_first(change), NULL);

		if (!path)
			return error_set(err, ERROR_USAGE, "\"changes\" of the job has no path");
		own_add_candidate(own, path);
	}
	return 0;
}

int capture_job_own(struct capture_job *state, bool measure_only, struct error **err)
{
	const struct json *own = json_get(state->job, "own");
	const char *source = own_source(state);
	struct own_options options = {
		.layer_fd = state->root_fd,
		.dropped = &state->dropped,
		.included = &state->included,
		.measure_only = measure_only,
		.permit = measure_only ? NULL : permit_write,
		.permit_context = state,
		.progress = measure_only ? NULL : report_progress,
		.progress_context = state,
	};

	if (strcmp(source, "none") == 0)
		return 0;
	if (strcmp(source, "process") == 0) {
		if (own_find_root("/proc", json_string_or(state->job, "container", ""),
				  &state->target_fd, &state->processes, err) < 0)
			return -1;
		if (state->target_fd < 0) {
			error_set(err, ERROR_REFUSED,
				  "no process can be proven to be in the container, so its own "
				  "files cannot be read while it runs");
			return error_hint(err, "stop the container first, or use --stopped");
		}
	}
	options.target_fd = state->target_fd;
	if (job_dropped(state->job, &state->dropped, err) < 0 ||
	    job_strings(own, "included", &state->included, err) < 0)
		return -1;
	state->own = own_new(&options);
	if (add_candidates(state->own, json_get(own, "changes"), err) < 0)
		return -1;
	if (state->parent_own && state->parent_own->root.count &&
	    own_add_parent(state->own, state->parent_store, &state->parent_own->root, err) < 0)
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

/* The larger of 1 GiB and 5 % of the file system. */
static int default_reserve(struct capture_job *state, struct error **err)
{
	uint64_t available, size = 0;

	if (layer_free_space(state->root_fd, &available, &size, err) < 0)
		return -1;
	state->min_free = size / 20 > RESERVE_MIN ? size / 20 : RESERVE_MIN;
	return 0;
}

static int open_capture(struct capture_job *state, struct error **err)
{
	uint64_t level = 0, workers = 0;
	struct capture_options options = {
		.store_fd = state->store_fd,
		.known = state->parent_store,
		.permit = permit_write,
		.permit_context = state,
		.progress = report_progress,
		.progress_context = state,
	};

	if (job_uint(state->job, "compression", 22, &level, err) < 0 ||
	    job_uint(state->job, "workers", 256, &workers, err) < 0 ||
	    job_uint(state->job, "min_free", 1ULL << 53, &state->min_free, err) < 0)
		return -1;
	if (!json_get(state->job, "min_free") && default_reserve(state, err) < 0)
		return -1;
	options.compression_level = (int)level;
	options.workers = (unsigned)workers;
	if (permit_write(state, 0, err) < 0)
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
	state->precopy.directory_fd = state->store_fd;
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

	(void)setpriority(PRIO_PROCESS, 0, PREPARE_NICE);
	(void)syscall(SYS_ioprio_set, IO_WHO_PROCESS, 0, IO_WEIGHT_LOW);
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

static int prepare_step(struct capture_job *state, struct error **err)
{
	if (measure_trees(state, err) < 0 || capture_job_own(state, false, err) < 0)
		return -1;
	return state->is_precopied ? precopy(state, false, err) : 0;
}

static int again_step(struct capture_job *state, struct error **err)
{
	return precopy(state, true, err);
}

static int prepare(struct capture_job *state, struct error **err)
{
	if (check_job(state->job, err) < 0)
		return -1;
	state->is_precopied = json_bool(state->job, "precopy");
	state->root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state->root_fd < 0)
		return error_set_errno(err, errno, "cannot open the helper's root");
	state->store_fd = layer_open_store(state->root_fd, true, err);
	if (state->store_fd < 0 || capture_job_parent(state, err) < 0 ||
	    job_trees_open(&state->trees, state->job, err) < 0)
		return -1;
	precopy_init(&state->precopy, &state->trees, state->has_parent ? &state->parent : NULL,
		     state->parent_store);
	if (gently(state, prepare_step, err) < 0)
		return -1;
	return state->is_precopied ? capture_renew(state->capture, err) : open_capture(state, err);
}

/* AGAIN: the driver has written since the first passes. */
static int take_again(struct capture_job *state, struct error **err)
{
	if (!state->is_precopied)
		return error_set(err, ERROR_USAGE, "a pass that was not announced");
	if (gently(state, again_step, err) < 0 || capture_renew(state->capture, err) < 0)
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

	(void)layer_free_space(state->root_fd, &available, NULL, NULL);
	json_set_int(ready, "processes", state->processes);
	json_set_int(ready, "free", (int64_t)available);
	trees = json_set_array(ready, "trees");
	for (size_t i = 0; i < state->trees.count; i++) {
		struct json *tree = json_add_object(trees);

		json_set_int(tree, "bytes", (int64_t)state->measures[i].bytes);
		json_set_int(tree, "files", (int64_t)state->measures[i].files);
	}
	if (state->own && strcmp(own_source(state), "stream") == 0)
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

/* END of a seed: which tree it belongs to, and its catalog. */
static int end_seed(struct capture_job *state, const struct message *message, struct seed *seed,
		    struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *json = message_json(message, err);
	uint64_t index = 0;

	if (!json)
		return -1;
	if (strcmp(json_string_or(json, "stream", ""), "seed") != 0 ||
	    !json_uint_checked(json, "tree", state->trees.count - 1, &index))
		return error_set(err, ERROR_USAGE, "unexpected end of a stream");
	if (!state->trees.list[index].has_seed || state->manifest.trees[index].seed.count)
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
	return state->own ? add_candidates(state->own, json_get(go, "changes"), err) : 0;
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
		if (message.type == WIRE_ENTRY && state->trees.count) {
			result = take_entry(&message, &taker, err);
		} else if (message.type == WIRE_DATA) {
			result = seed_data(seed, message.payload, message.size, err);
		} else if (message.type == WIRE_END && state->trees.count) {
			result = end_seed(state, &message, seed, err);
			seed_free(seed);
			seed = seed_new();
		} else if (message.type == WIRE_AGAIN) {
			result = take_again(state, err);
		} else if (message.type == WIRE_GO) {
			result = take_go(state, &message, &is_go, err);
		} else {
			result = error_set(err, ERROR_CANCELLED, "the command ended the capture");
		}
		message_release(&message);
	}
	for (size_t i = 0; result == 0 && i < state->trees.count; i++) {
		if (state->trees.list[i].has_seed && !state->manifest.trees[i].seed.count)
			result =
				error_set(err, ERROR_USAGE, "the seed of tree %zu did not come", i);
	}
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

static void copy_list(struct string_list *to, const struct string_list *from)
{
	for (size_t i = 0; i < from->count; i++)
		string_list_add(to, from->items[i]);
}

/* Records for the job's trees, and one more where own files may be. */
static void begin_manifest(struct capture_job *state)
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
	manifest->trees = memory_zalloc((state->trees.count + 1) * sizeof(*manifest->trees));
	for (size_t i = 0; i <= state->trees.count; i++)
		tree_record_init(&manifest->trees[i]);
	manifest->tree_count = state->trees.count;
	for (size_t i = 0; i < state->trees.count; i++) {
		struct tree_record *record = &manifest->trees[i];

		record->kind = state->trees.list[i].kind;
		free(record->name);
		record->name = memory_strdup(state->trees.list[i].name);
		copy_list(&record->paths, &state->trees.list[i].paths);
	}
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
	if (strcmp(own_source(state), "stream") == 0)
		return receive_own(state, err);
	return own_run(state->own, err);
}

static int copy_own_record(struct tree_record *to, const struct tree_record *from)
{
	to->kind = TREE_OWN;
	free(to->name);
	to->name = memory_strdup("");
	copy_list(&to->paths, &from->paths);
	copy_list(&to->excluded, &from->excluded);
	copy_list(&to->skipped, &from->skipped);
	to->hash = from->hash;
	to->entries = from->entries;
	to->bytes = from->bytes;
	to->root.refs = memory_array(NULL, from->root.count + 1, sizeof(*to->root.refs));
	to->root.count = from->root.count;
	memcpy(to->root.refs, from->root.refs, from->root.count * sizeof(*to->root.refs));
	return 0;
}

/* The own tree's record: what was captured now, else what the parent has and the image so keeps. */
static int write_own(struct capture_job *state, struct error **err)
{
	struct tree_record *record = &state->manifest.trees[state->trees.count];

	if (state->own && own_write_catalog(state->own, state->capture, record, err) < 0)
		return -1;
	if (!state->own && state->parent_own)
		copy_own_record(record, state->parent_own);
	if (state->own || state->parent_own)
		state->manifest.tree_count++;
	return 0;
}

static int write_manifest(struct capture_job *state, struct store_writer_totals *totals,
			  struct hash *hash, struct error **err)
{
	struct manifest *manifest = &state->manifest;
	cleanup_free struct pack_info *packs = NULL;
	size_t count = 0, before = state->has_parent ? state->parent.pack_count : 0;

	if (capture_finish(state->capture, &packs, &count, totals, err) < 0)
		return -1;
	manifest->packs = memory_array(NULL, before + count + 1, sizeof(*manifest->packs));
	if (before)
		memcpy(manifest->packs, state->parent.packs, before * sizeof(*packs));
	if (count)
		memcpy(manifest->packs + before, packs, count * sizeof(*packs));
	manifest->pack_count = before + count;
	if (layer_install_agent(state->root_fd, state->store_fd,
				json_string(state->job, "agent_path"), &manifest->agent, err) < 0)
		return -1;
	if (failpoint_error("agent/before-manifest", err) < 0 ||
	    manifest_write(manifest, state->store_fd, hash, err) < 0)
		return -1;
	if (failpoint_error("agent/after-manifest", err) < 0)
		return -1;
	if (syncfs(state->root_fd) < 0)
		return error_set_errno(err, errno, "cannot sync the helper's layer");
	return 0;
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
	struct json *done = json_new_object(), *trees, *own;
	struct own_totals own_totals = {0};
	char digits[HASH_HEX_SIZE];

	hash_format(hash, digits);
	json_set_string(done, "manifest", digits);
	trees = json_set_array(done, "trees");
	for (size_t i = 0; i < state->manifest.tree_count; i++) {
		const struct tree_record *record = &state->manifest.trees[i];
		struct json *tree = json_add_object(trees);

		hash_format(&record->hash, digits);
		json_set_string(tree, "hash", digits);
		json_set_int(tree, "entries", (int64_t)record->entries);
		json_set_int(tree, "bytes", (int64_t)record->bytes);
	}
	json_set_int(done, "raw_bytes", (int64_t)totals->raw_bytes);
	json_set_int(done, "new_bytes", (int64_t)totals->new_bytes);
	json_set_int(done, "stored_bytes", (int64_t)totals->stored_bytes);
	if (state->own)
		own_get_totals(state->own, &own_totals);
	json_set_int(done, "hot_bytes", (int64_t)(state->hot_bytes + own_totals.bytes));
	json_set_int(done, "reused_bytes", (int64_t)state->reused_bytes);
	own = json_set_object(done, "own");
	json_set_int(own, "files", (int64_t)own_totals.files);
	json_set_int(own, "bytes", (int64_t)own_totals.bytes);
	json_set_int(own, "deleted", (int64_t)own_totals.deleted);
	add_skipped(done, &state->manifest);
	channel_send(WIRE_DONE, done);
}

static int run_capture(struct capture_job *state, struct error **err)
{
	struct store_writer_totals totals;
	struct hash hash;

	if (prepare(state, err) < 0)
		return -1;
	begin_manifest(state);
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

void capture_job_init(struct capture_job *state, const struct json *job)
{
	memset(state, 0, sizeof(*state));
	state->job = job;
	state->phase = "prepare";
	state->root_fd = state->store_fd = state->target_fd = -1;
	string_list_init(&state->dropped);
	string_list_init(&state->included);
	manifest_init(&state->manifest);
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
