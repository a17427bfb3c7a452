/*
 * The restore and verify jobs: the helper is made from the snapshot's image, whose
 * content is untrusted until its hashes say otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"
#include "channel.h"
#include "helper.h"
#include "job.h"
#include "layer.h"
#include "tree/mark.h"
#include "tree/own/own.h"
#include "tree/restore/restore_volume.h"
#include "view.h"

/* Restores by boots of other containers are waited for this long. */
#define LOCK_WAIT_MS 10000
#define TREES_MAX 1000

/* The snapshot whose image the helper is made from. */
static int open_snapshot(struct snapshot_view *snapshot, const struct json *job, struct error **err)
{
	if (view_open_root(snapshot, err) < 0 || view_open_store(snapshot, false, err) < 0)
		return -1;
	return view_read_checked(snapshot, json_string_or(job, "manifest", ""), 0, err);
}

/* One of the job's trees. */
struct restored_tree {
	const struct tree_record *tree;
	const struct json *item;
	int fd;
	struct string_list guards;
	char *state_name;	       /* of its volume; NULL: none */
	struct volume_restore *volume; /* NULL: it is emptied for the load of a dump */
};

struct restore_session {
	struct snapshot_view snapshot;
	const struct json *job;
	struct restored_tree *trees;
	size_t count;
	int state_fd, volumes_fd, containers_fd, boot_state_fd; /* of states; -1: none */
	char *record_name;
	struct restore_totals done; /* of the trees that are finished */
	uint64_t total_bytes;
};

static void session_init(struct restore_session *session, const struct json *job)
{
	memset(session, 0, sizeof(*session));
	view_init(&session->snapshot);
	session->job = job;
	session->state_fd = session->volumes_fd = session->containers_fd = -1;
	session->boot_state_fd = -1;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void session_release(struct restore_session *session)
{
	for (size_t i = 0; i < session->count; i++) {
		struct restored_tree *tree = &session->trees[i];

		volume_restore_free(tree->volume);
		string_list_release(&tree->guards);
		free(tree->state_name);
		close_fd(tree->fd);
	}
	free(session->trees);
	free(session->record_name);
	close_fd(session->state_fd);
	close_fd(session->volumes_fd);
	close_fd(session->containers_fd);
	close_fd(session->boot_state_fd);
	view_release(&session->snapshot);
}

static int report_restore(void *context, const struct restore_totals *totals, struct error **err)
{
	const struct restore_session *session = context;

	(void)err;
	channel_progress("restore", session->done.files + totals->files,
			 session->done.bytes + totals->bytes, session->total_bytes);
	return failpoint_error("restore/mid", err);
}

/* ---- the volume of states ---- */

static int open_below(int parent, const char *name, struct error **err)
{
	int fd;

	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "cannot make \"%s\" in the volume of states",
				       name);
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open \"%s\" in the volume of states",
				       name);
	return fd;
}

static int open_states(struct restore_session *session, struct error **err)
{
	const char *state = json_string(session->job, "state");
	const char *boot_state = json_string(session->job, "boot_state");

	if (boot_state)
		session->boot_state_fd =
			open(boot_state, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (!state)
		return 0;
	session->state_fd = open(state, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (session->state_fd < 0)
		return error_set_errno(err, errno, "cannot open \"%s\"", state);
	session->volumes_fd = open_below(session->state_fd, "volumes", err);
	if (session->volumes_fd < 0)
		return -1;
	session->containers_fd = open_below(session->state_fd, "containers", err);
	return session->containers_fd < 0 ? -1 : 0;
}

/* ---- the record of where a container's data came from ---- */

static int check_record(struct restore_session *session, struct error **err)
{
	const struct json *record = json_get(session->job, "record");
	const char *id = json_string_or(record, "container", "");

	if (!record)
		return 0;
	if (job_check_members(record, "container snapshot reference operation at", err) < 0)
		return -1;
	if (strlen(id) != 64 || strspn(id, "0123456789abcdef") != 64)
		return error_set(err, ERROR_USAGE, "the record of the job names no container");
	if (session->containers_fd < 0)
		return error_set(err, ERROR_USAGE, "the job has a record, but no state");
	session->record_name = memory_printf("%s.json", id);
	return 0;
}

static int remove_record(const struct restore_session *session, struct error **err)
{
	return session->record_name
		       ? state_remove(session->containers_fd, session->record_name, err)
		       : 0;
}

static int write_record(const struct restore_session *session, struct error **err)
{
	cleanup_free char *text = NULL;

	if (!session->record_name)
		return 0;
	text = json_print(json_get(session->job, "record"), false);
	return io_write_file_atomic(session->containers_fd, session->record_name, text,
				    strlen(text), 0600, err);
}

/* ---- opening ---- */

static int fill_plan(struct restore_session *session, struct restored_tree *tree, uint64_t workers,
		     struct volume_plan *plan, struct error **err)
{
	const char *mark = json_string(tree->item, "mark");
	const struct json *volume = json_get(tree->item, "volume");
	bool delta = json_bool(session->job, "delta");

	*plan = (struct volume_plan){
		.root_fd = tree->fd,
		.store = session->snapshot.store,
		.tree = tree->tree,
		.options = {.workers = (unsigned)workers,
			    .remove_extra = true,
			    .delta = delta,
			    .trust_catalog = manifest_is_of_this_run(&session->snapshot.manifest),
			    .guards = &tree->guards,
			    .progress = report_restore,
			    .progress_context = session},
		.restoring = {.state = MARK_RESTORING, .tree = tree->tree->hash},
		.restored = {.state = MARK_RESTORED, .tree = tree->tree->hash},
		.state_fd = -1,
		.boot_state_fd = session->boot_state_fd,
	};
	if (mark) {
		if (!hash_parse(mark, &plan->restored.tree))
			return error_set(err, ERROR_USAGE, "a mark of the job is no hash");
		/* Its container has acted on that wish before, and would throw this state away. */
		plan->restored.replaced = true;
	}
	if (volume && session->volumes_fd >= 0) {
		char digits[HASH_HEX_SIZE];
		struct hash hash;

		plan->key.volume = json_string_or(volume, "name", "");
		plan->key.created = json_string_or(volume, "created", "");
		hash_data(&hash, plan->key.volume, strlen(plan->key.volume));
		hash_format(&hash, digits);
		tree->state_name = memory_printf("%s.state", digits);
		plan->state_name = tree->state_name;
		plan->state_fd = session->volumes_fd;
	}
	return 0;
}

static int open_tree(struct restore_session *session, const struct json *item, uint64_t workers,
		     struct error **err)
{
	const struct manifest *manifest = &session->snapshot.manifest;
	struct restored_tree *tree = &session->trees[session->count++];
	const char *mount = json_string(item, "mount");
	struct volume_plan plan;
	uint64_t index = 0;

	tree->item = item;
	tree->fd = -1;
	string_list_init(&tree->guards);
	if (job_check_members(item, "index mount mark volume guards earlier", err) < 0 ||
	    job_check_members(json_get(item, "volume"), "name created", err) < 0 ||
	    job_strings(item, "guards", &tree->guards, err) < 0)
		return -1;
	if (!mount || !manifest->tree_count ||
	    !json_uint_checked(item, "index", manifest->tree_count - 1, &index) ||
	    manifest->trees[index].kind == TREE_OWN)
		return error_set(err, ERROR_USAGE, "a tree of the job does not exist");
	tree->tree = &manifest->trees[index];
	session->total_bytes += tree->tree->bytes;
	tree->fd = open(mount, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (tree->fd < 0)
		return error_set_errno(err, errno, "cannot open \"%s\"", mount);
	/* Held to the end: two restores of one volume, or a boot's, never mix. */
	if (mark_lock(tree->fd, LOCK_WAIT_MS, err) < 0 ||
	    fill_plan(session, tree, workers, &plan, err) < 0)
		return -1;
	/* Nothing is touched, or even stopped, for a snapshot that is damaged. */
	if (json_bool(session->job, "wait") &&
	    tree_verify(session->snapshot.store, tree->tree, err) < 0)
		return -1;
	if (tree->tree->kind == TREE_DUMP)
		return 0;
	tree->volume = volume_restore_open(&plan, err);
	return tree->volume ? 0 : -1;
}

static int open_all(struct restore_session *session, struct error **err)
{
	const struct json *trees = json_get(session->job, "trees");
	uint64_t workers = 0;

	if (json_count(trees) > TREES_MAX)
		return error_set(err, ERROR_USAGE, "more than %d trees", TREES_MAX);
	if (job_uint(session->job, "workers", 256, &workers, err) < 0 ||
	    open_states(session, err) < 0 || check_record(session, err) < 0)
		return -1;
	session->trees = memory_zalloc((json_count(trees) + 1) * sizeof(*session->trees));
	json_for_each(item, trees) {
		if (open_tree(session, item, workers, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- the restore ---- */

static int failed_at(const struct restored_tree *tree, struct error **err)
{
	return error_prefix(err, "cannot restore \"%s\"", tree->tree->paths.items[0]);
}

/*
 * Empty, and marked as one whose load was cut off: the boot that finds it begins anew. Where
 * there can be no mark, an empty volume says the same.
 */
static int empty_for_dump(const struct restore_session *session, const struct restored_tree *tree,
			  struct error **err)
{
	const struct mark mark = {.state = MARK_RESTORING, .tree = tree->tree->hash};

	if (tree->state_name && session->volumes_fd >= 0 &&
	    state_remove(session->volumes_fd, tree->state_name, err) < 0)
		return -1;
	if (mark_write_attribute(tree->fd, &mark, err) < 0 || tree_clear(tree->fd, err) < 0)
		return -1;
	return syncfs(tree->fd) < 0 ? error_set_errno(err, errno, "cannot sync the volume") : 0;
}

/* Each step for all volumes: a service must not find the guard of one beside half of another. */
static int restore_all(struct restore_session *session, struct error **err)
{
	for (size_t i = 0; i < session->count; i++) {
		struct restored_tree *tree = &session->trees[i];

		if ((tree->volume ? volume_restore_begin(tree->volume, err)
				  : empty_for_dump(session, tree, err)) < 0)
			return failed_at(tree, err);
	}
	for (size_t i = 0; i < session->count; i++) {
		struct restore_totals totals;

		if (!session->trees[i].volume)
			continue;
		if (volume_restore_fill(session->trees[i].volume, err) < 0)
			return failed_at(&session->trees[i], err);
		volume_restore_totals(session->trees[i].volume, &totals);
		session->done.files += totals.files;
		session->done.bytes += totals.bytes;
	}
	for (size_t i = 0; i < session->count; i++) {
		if (session->trees[i].volume &&
		    volume_restore_end(session->trees[i].volume, err) < 0)
			return failed_at(&session->trees[i], err);
	}
	return 0;
}

static struct json *describe(const struct restore_session *session)
{
	struct json *done = json_new_object();
	struct json *answers = json_set_array(done, "trees");

	for (size_t i = 0; i < session->count; i++) {
		struct volume_restore *volume = session->trees[i].volume;
		struct json *answer = json_add_object(answers);
		struct restore_totals totals = {0};

		if (volume)
			volume_restore_totals(volume, &totals);
		json_set_int(answer, "bytes", (int64_t)totals.bytes);
		json_set_int(answer, "written_bytes", (int64_t)totals.written_bytes);
		json_set_int(answer, "read_bytes", (int64_t)totals.read_bytes);
		json_set_int(answer, "files", (int64_t)totals.files);
		json_set_int(answer, "kept_files", (int64_t)totals.kept_files);
		json_set_int(answer, "removed", (int64_t)totals.removed);
		json_set_string(answer, "state",
				volume ? state_verdict_name(volume_restore_verdict(volume))
				       : state_verdict_name(STATE_NONE));
	}
	return done;
}

/* The helper may have been ready long before: the record's time is that of the first change. */
static int wait_for_go(const struct restore_session *session, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *go = NULL;
	struct json *record = json_get(session->job, "record");
	struct message message;

	if (channel_expect(WIRE_GO, &message, err) < 0)
		return -1;
	go = message_json(&message, err);
	message_release(&message);
	if (!go || job_check_members(go, "at", err) < 0)
		return -1;
	if (record && json_string(go, "at"))
		json_set_string(record, "at", json_string(go, "at"));
	return 0;
}

static int restore_job(struct restore_session *session, struct error **err)
{
	const struct json *job = session->job;

	if (job_check_members(job,
			      "operation trees manifest workers wait delta state boot_state record "
			      "failpoint",
			      err) < 0 ||
	    open_snapshot(&session->snapshot, job, err) < 0 || open_all(session, err) < 0)
		return -1;
	channel_send(WIRE_READY, NULL);
	if ((json_bool(job, "wait") && wait_for_go(session, err) < 0) ||
	    remove_record(session, err) < 0 || failpoint_error("restore/record-removed", err) < 0 ||
	    restore_all(session, err) < 0 || write_record(session, err) < 0 ||
	    failpoint_error("restore/recorded", err) < 0)
		return -1;
	channel_send(WIRE_DONE, describe(session));
	return 0;
}

int helper_restore(const struct json *job, struct error **err)
{
	struct restore_session session;
	int result;

	session_init(&session, job);
	result = restore_job(&session, err);
	session_release(&session);
	return result;
}

static void report_verify(void *context, uint64_t stored_bytes)
{
	const uint64_t *total = context;

	channel_progress("verify", 0, stored_bytes, *total);
}

static int verify_agent(const struct snapshot_view *snapshot, struct error **err)
{
	struct hash hash;

	if (layer_hash_file(snapshot->store_fd, AGENT_NAME, &hash, err) < 0) {
		if (err && *err && (*err)->kind == ERROR_NOT_FOUND)
			return error_set(err, ERROR_DAMAGED, "the snapshot has no agent");
		return -1;
	}
	if (!hash_equal(&hash, &snapshot->manifest.agent))
		return error_set(err, ERROR_DAMAGED, "the snapshot's agent was changed");
	return 0;
}

static int verify_trees(const struct snapshot_view *snapshot, uint64_t *entries, struct error **err)
{
	for (size_t i = 0; i < snapshot->manifest.tree_count; i++) {
		const struct tree_record *tree = &snapshot->manifest.trees[i];
		/* A seed is read like a catalog of own files, without the files. */
		const struct tree_record seed = {.root = tree->seed};

		if (tree_verify(snapshot->store, tree, err) < 0 ||
		    (tree->seed.count &&
		     own_verify(snapshot->root_fd, snapshot->store, &seed, false, err) < 0) ||
		    (tree->kind == TREE_OWN &&
		     own_verify(snapshot->root_fd, snapshot->store, tree, true, err) < 0))
			return error_prefix(err, "tree \"%s\"",
					    tree->paths.count ? tree->paths.items[0] : "");
		*entries += tree->entries;
	}
	return 0;
}

static int verify_all(struct snapshot_view *snapshot, struct error **err)
{
	struct store_verify_totals totals = {0};
	struct json *done;
	uint64_t entries = 0, total = 0;

	channel_send(WIRE_READY, NULL);
	for (size_t i = 0; i < snapshot->manifest.pack_count; i++)
		total += snapshot->manifest.packs[i].size;
	if (verify_agent(snapshot, err) < 0 ||
	    store_verify(snapshot->store, 0, report_verify, &total, &totals, err) < 0 ||
	    verify_trees(snapshot, &entries, err) < 0)
		return -1;
	done = json_new_object();
	json_set_int(done, "packs", (int64_t)totals.packs);
	json_set_int(done, "chunks", (int64_t)totals.chunks);
	json_set_int(done, "bytes", (int64_t)totals.stored_bytes);
	json_set_int(done, "raw_bytes", (int64_t)totals.raw_bytes);
	json_set_int(done, "entries", (int64_t)entries);
	channel_send(WIRE_DONE, done);
	return 0;
}

int helper_verify(const struct json *job, struct error **err)
{
	struct snapshot_view snapshot;
	int result = -1;

	view_init(&snapshot);
	if (job_check_members(job, "operation manifest failpoint", err) == 0 &&
	    open_snapshot(&snapshot, job, err) == 0)
		result = verify_all(&snapshot, err);
	view_release(&snapshot);
	return result;
}
