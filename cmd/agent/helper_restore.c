/*
 * The restore and verify jobs: the helper is made from the snapshot's image, whose
 * content is untrusted until its hashes say otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "channel.h"
#include "helper.h"
#include "job.h"
#include "layer.h"
#include "tree/mark.h"
#include "tree/own.h"
#include "tree/restore.h"

/* Restores by boots of other containers are waited for this long. */
#define LOCK_WAIT_MS 10000

struct opened_snapshot {
	int root_fd, store_fd;
	struct manifest manifest;
	struct store *store;
};

static void opened_snapshot_init(struct opened_snapshot *snapshot)
{
	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->root_fd = snapshot->store_fd = -1;
	manifest_init(&snapshot->manifest);
}

static void opened_snapshot_release(struct opened_snapshot *snapshot)
{
	store_free(snapshot->store);
	manifest_release(&snapshot->manifest);
	if (snapshot->store_fd >= 0)
		close(snapshot->store_fd);
	if (snapshot->root_fd >= 0)
		close(snapshot->root_fd);
}

/* ${expected}: the hash that the image's label names, or empty. */
static int open_snapshot(struct opened_snapshot *snapshot, const char *expected, struct error **err)
{
	struct hash hash;
	char digits[HASH_HEX_SIZE];

	snapshot->root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (snapshot->root_fd < 0)
		return error_set_errno(err, errno, "cannot open the helper's root");
	snapshot->store_fd = layer_open_store(snapshot->root_fd, false, err);
	if (snapshot->store_fd < 0 ||
	    manifest_read(&snapshot->manifest, snapshot->store_fd, &hash, err) < 0)
		return -1;
	hash_format(&hash, digits);
	if (*expected && strcmp(expected, digits) != 0)
		return error_set(err, ERROR_DAMAGED,
				 "the manifest has the hash %s, but the image's label says %s",
				 digits, expected);
	snapshot->store = manifest_store(&snapshot->manifest, snapshot->store_fd, err);
	return snapshot->store ? 0 : -1;
}

struct restore_progress {
	uint64_t files, bytes, total_bytes; /* of the trees that are finished; of all */
};

static int report_restore(void *context, const struct restore_totals *totals, struct error **err)
{
	const struct restore_progress *progress = context;

	(void)err;
	channel_progress("restore", progress->files + totals->files,
			 progress->bytes + totals->bytes, progress->total_bytes);
	return failpoint_error("restore/mid", err);
}

/* ${marked}: the hash of another tree that the volume shall count as, or NULL. */
static int restore_one(struct opened_snapshot *snapshot, const struct tree_record *tree,
		       const char *mount, const struct hash *marked, unsigned workers,
		       struct restore_progress *progress, struct restore_totals *totals,
		       struct error **err)
{
	cleanup_fd int fd = open(mount, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct restore_options options = {.workers = workers,
					  .remove_extra = true,
					  .progress = report_restore,
					  .progress_context = progress};
	struct mark mark = {.state = MARK_RESTORING, .tree = tree->hash};

	if (fd < 0)
		return error_set_errno(err, errno, "cannot open \"%s\"", mount);
	if (mark_lock(fd, LOCK_WAIT_MS, err) < 0 || mark_write(fd, &mark, err) < 0 ||
	    failpoint_error("restore/before", err) < 0 ||
	    tree_restore(fd, snapshot->store, tree, &options, totals, err) < 0 ||
	    failpoint_error("restore/before-mark", err) < 0)
		return -1;
	mark.state = MARK_RESTORED;
	if (marked) {
		mark.tree = *marked;
		/* Its container has acted on that wish before, and would throw this state away. */
		mark.replaced = true;
	}
	return mark_write(fd, &mark, err);
}

static int restore_all(struct opened_snapshot *snapshot, const struct json *job, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *done = json_new_object();
	struct json *answers = json_set_array(done, "trees");
	struct restore_progress progress = {0};
	uint64_t workers = 0;

	if (job_uint(job, "workers", 256, &workers, err) < 0)
		return -1;
	for (int pass = 0; pass < 2; pass++) {
		json_for_each(item, json_get(job, "trees")) {
			uint64_t index = 0;
			const char *mount = json_string(item, "mount");
			const struct tree_record *tree;
			struct restore_totals totals = {0};
			const char *mark = json_string(item, "mark");
			struct hash marked;
			struct json *answer;

			if (job_check_members(item, "index mount mark", err) < 0)
				return -1;
			if (mark && !hash_parse(mark, &marked))
				return error_set(err, ERROR_USAGE, "a mark of the job is no hash");
			if (!mount || !snapshot->manifest.tree_count ||
			    !json_uint_checked(item, "index", snapshot->manifest.tree_count - 1,
					       &index) ||
			    snapshot->manifest.trees[index].kind == TREE_OWN)
				return error_set(err, ERROR_USAGE,
						 "a tree of the job does not exist");
			tree = &snapshot->manifest.trees[index];
			if (pass == 0) {
				progress.total_bytes += tree->bytes;
				continue;
			}
			if (restore_one(snapshot, tree, mount, mark ? &marked : NULL,
					(unsigned)workers, &progress, &totals, err) < 0)
				return error_prefix(err, "cannot restore \"%s\"",
						    tree->paths.items[0]);
			progress.files += totals.files;
			progress.bytes += totals.bytes;
			answer = json_add_object(answers);
			json_set_int(answer, "bytes", (int64_t)totals.bytes);
			json_set_int(answer, "written_bytes", (int64_t)totals.written_bytes);
			json_set_int(answer, "files", (int64_t)totals.files);
			json_set_int(answer, "removed", (int64_t)totals.removed);
		}
		if (pass == 0)
			channel_send(WIRE_READY, NULL);
	}
	channel_send(WIRE_DONE, STEAL_POINTER(done));
	return 0;
}

int helper_restore(const struct json *job, struct error **err)
{
	struct opened_snapshot snapshot;
	int result = -1;

	opened_snapshot_init(&snapshot);
	if (job_check_members(job, "operation trees manifest workers failpoint", err) == 0 &&
	    open_snapshot(&snapshot, json_string_or(job, "manifest", ""), err) == 0)
		result = restore_all(&snapshot, job, err);
	opened_snapshot_release(&snapshot);
	return result;
}

static void report_verify(void *context, uint64_t stored_bytes)
{
	const uint64_t *total = context;

	channel_progress("verify", 0, stored_bytes, *total);
}

static int verify_agent(const struct opened_snapshot *snapshot, struct error **err)
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

static int verify_trees(const struct opened_snapshot *snapshot, uint64_t *entries,
			struct error **err)
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

static int verify_all(struct opened_snapshot *snapshot, struct error **err)
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
	struct opened_snapshot snapshot;
	int result = -1;

	opened_snapshot_init(&snapshot);
	if (job_check_members(job, "operation manifest failpoint", err) == 0 &&
	    open_snapshot(&snapshot, json_string_or(job, "manifest", ""), err) == 0)
		result = verify_all(&snapshot, err);
	opened_snapshot_release(&snapshot);
	return result;
}
