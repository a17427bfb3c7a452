/*
 * The walk of a restore: the catalog's records and the target's directories, both in
 * the same order, side by side. It makes directories, links and nodes, removes what
 * is in the way or too much, and hands the content of files to the workers.
 */
#include "tree/restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/path.h"
#include "tree/beneath.h"
#include "tree/format.h"
#include "tree/listing.h"
#include "tree/mark.h"
#include "tree/restore_private.h"

#define WORKERS_MAX 64
#define OPEN_DEPTH_MAX 100
#define SMALL_SIZE_MAX (512U << 10)
#define BATCH_COUNT_MAX 64
#define BATCH_SIZE_MAX (1U << 20)
#define SEGMENT_SIZE (16U << 20)

struct frame {
	struct restore_directory *directory;
	uint64_t device, inode;
	struct listing listing; /* what was there before; empty when we made it */
};

struct walk {
	struct restore *restore;
	struct frame *frames;
	size_t depth, capacity;
	char *hidden; /* a directory with another mount on it: what is below is out of reach */
	struct restore_job *batch;
	int link_fd; /* directory of the last hard link's target */
	char *link_directory;
	struct hasher *hasher;
	uint64_t bytes;
};

/* The record at hand. */
struct step {
	const struct catalog_entry *entry;
	const char *name;
	struct frame *frame; /* of its directory */
	bool exists;
	unsigned char type; /* of what exists */
	const void *record;
	size_t record_size;
};

static int step_failed(const struct step *step, const char *what, struct error **err)
{
	return error_set_errno(err, errno, "cannot %s \"%s\"", what, step->entry->path);
}

/* ---- frames ---- */

static int frame_open(struct walk *walk, struct frame *frame, struct error **err)
{
	struct restore_directory *directory = frame->directory;
	struct file_status status;

	if (directory->fd >= 0)
		return 0;
	directory->fd =
		beneath_open(walk->restore->root_fd, directory->path, O_RDONLY | O_DIRECTORY, 0);
	if (directory->fd < 0)
		return error_set_errno(err, errno, "cannot open \"%s\" again", directory->path);
	if (beneath_status(directory->fd, "", &status) < 0 || status.device != frame->device ||
	    status.inode != frame->inode)
		return error_set(err, ERROR_FAILED,
				 "\"%s\" was replaced while it was being restored",
				 directory->path);
	return 0;
}

/* Delete names of the listing that come before ${name}, all where it is NULL. */
static int remove_extra(struct walk *walk, struct frame *frame, const char *name,
			struct error **err)
{
	struct restore *restore = walk->restore;
	struct listing *listing = &frame->listing;

	for (; listing->next < listing->count; listing->next++) {
		const char *extra = listing_name(listing, listing->next);
		cleanup_free char *path = NULL;

		if (name && strcmp(extra, name) >= 0)
			return 0;
		if (!restore->options->remove_extra)
			continue;
		path = *frame->directory->path
			       ? memory_printf("%s/%s", frame->directory->path, extra)
			       : memory_strdup(extra);
		if (frame_open(walk, frame, err) < 0 ||
		    restore_remove(restore, frame->directory->fd, extra, path,
				   listing_type(listing, listing->next), err) < 0)
			return -1;
	}
	return 0;
}

static int pop_frame(struct walk *walk, struct error **err)
{
	struct frame *frame = &walk->frames[walk->depth - 1];
	int result = remove_extra(walk, frame, NULL, err);

	/* whoever finishes it needs it open */
	if (result == 0)
		result = frame_open(walk, frame, err);
	if (result < 0)
		return -1;
	listing_release(&frame->listing);
	restore_directory_put(walk->restore, frame->directory);
	walk->depth--;
	return 0;
}

/* Directories far up are closed; what workers still use stays open. */
static void close_upper_frame(struct walk *walk)
{
	struct restore_directory *upper;

	if (walk->depth <= OPEN_DEPTH_MAX)
		return;
	upper = walk->frames[walk->depth - OPEN_DEPTH_MAX].directory;
	if (upper->fd >= 0 && atomic_load(&upper->references) == 1) {
		close(upper->fd);
		upper->fd = -1;
	}
}

/* Owns ${fd}. */
static int push_frame(struct walk *walk, const struct step *step, int fd, bool existed,
		      struct error **err)
{
	struct file_status status;
	struct frame *frame;

	if (beneath_status(fd, "", &status) < 0) {
		close(fd);
		return step_failed(step, "examine", err);
	}
	if (walk->depth == walk->capacity) {
		walk->capacity = 2 * walk->capacity + 16;
		walk->frames = memory_array(walk->frames, walk->capacity, sizeof(*walk->frames));
	}
	close_upper_frame(walk);
	frame = &walk->frames[walk->depth++];
	frame->directory = restore_directory_new(step->entry->path, fd, existed, step->record,
						 step->record_size);
	frame->device = status.device;
	frame->inode = status.inode;
	listing_init(&frame->listing);
	if (!existed)
		return 0;
	/* else what is made here would inherit it */
	fremovexattr(fd, "system.posix_acl_default");
	/* its owner alone may have no right to write to it yet; root needs none */
	if (geteuid() != 0)
		fchmod(fd, 0700);
	if (listing_read(&frame->listing, fd) < 0)
		return step_failed(step, "read", err);
	return 0;
}

/* Go up to the directory of ${path}; the catalog's reader has seen that there is one. */
static int find_frame(struct walk *walk, const char *path, struct frame **frame, struct error **err)
{
	const char *slash = strrchr(path, '/');
	size_t size = slash ? (size_t)(slash - path) : 0;

	for (;;) {
		const char *directory;

		if (!walk->depth)
			return error_set(err, ERROR_DAMAGED, "catalog: no directory for \"%s\"",
					 path);
		*frame = &walk->frames[walk->depth - 1];
		directory = (*frame)->directory->path;
		if (strlen(directory) == size && memcmp(directory, path, size) == 0)
			return frame_open(walk, *frame, err);
		if (walk->depth == 1)
			return error_set(err, ERROR_DAMAGED, "catalog: no directory for \"%s\"",
					 path);
		if (pop_frame(walk, err) < 0)
			return -1;
	}
}

/* ---- one record ---- */

static int hide(struct walk *walk, const struct step *step)
{
	free(walk->hidden);
	walk->hidden = memory_strdup(step->entry->path);
	return 0;
}

static bool is_hidden(const struct walk *walk, const char *path)
{
	size_t size = walk->hidden ? strlen(walk->hidden) : 0;

	return size && strncmp(path, walk->hidden, size) == 0 && path[size] == '/';
}

/* Make room for something new of that name. 1: a mounted file is there and stays. */
static int clear_way(struct walk *walk, const struct step *step, struct error **err)
{
	uint64_t removed = walk->restore->removed;
	int result;

	if (!step->exists)
		return 0;
	result = restore_remove(walk->restore, step->frame->directory->fd, step->name,
				step->entry->path, step->type, err);
	/* what is replaced at once does not count as removed */
	if (step->type != DT_DIR)
		walk->restore->removed = removed;
	if (result <= 0 || step->type != DT_DIR)
		return result;
	error_set(err, ERROR_REFUSED,
		  "cannot replace the directory \"%s\": something in it is excluded from the "
		  "snapshot or has another mount on it",
		  step->entry->path);
	return error_hint(err, "move it away, then try again");
}

static int restore_directory(struct walk *walk, const struct step *step, struct error **err)
{
	int parent = step->frame->directory->fd, fd, result;

	if (step->exists && step->type != DT_LNK) {
		fd = beneath_open_own(parent, step->name);
		if (fd >= 0)
			return push_frame(walk, step, fd, true, err);
		if (errno == EXDEV)
			return hide(walk, step);
		if (errno != ENOTDIR && errno != ELOOP && errno != ENOENT)
			return step_failed(step, "open", err);
	}
	result = clear_way(walk, step, err);
	if (result)
		return result < 0 ? -1 : hide(walk, step);
	if (mkdirat(parent, step->name, 0700) < 0)
		return step_failed(step, "create", err);
	fd = beneath_open(parent, step->name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return step_failed(step, "open", err);
	return push_frame(walk, step, fd, false, err);
}

static int flush_batch(struct walk *walk, struct error **err)
{
	struct restore_job *batch = STEAL_POINTER(walk->batch);

	return batch ? restore_pool_add(walk->restore, batch, err) : 0;
}

static struct restore_job *new_job(struct restore_directory *directory)
{
	struct restore_job *job = memory_zalloc(sizeof(*job));

	buffer_init(&job->records, 2UL * RECORD_SIZE_MAX);
	if (directory)
		job->directory = restore_directory_get(directory);
	return job;
}

static int restore_small_file(struct walk *walk, const struct step *step, struct error **err)
{
	struct restore_job *batch = walk->batch;

	if (batch && batch->directory != step->frame->directory) {
		if (flush_batch(walk, err) < 0)
			return -1;
		batch = NULL;
	}
	if (!batch)
		batch = walk->batch = new_job(step->frame->directory);
	buffer_append_u32(&batch->records, (uint32_t)step->record_size);
	buffer_append(&batch->records, step->record, step->record_size);
	if (batch->records.failed)
		return error_set_errno(err, ENOMEM, "cannot restore \"%s\"", step->entry->path);
	batch->bytes += step->entry->size;
	if (++batch->count == BATCH_COUNT_MAX || batch->bytes >= BATCH_SIZE_MAX ||
	    batch->records.size >= BATCH_SIZE_MAX)
		return flush_batch(walk, err);
	return 0;
}

/* One segment from ${begin}, unless it is a hole as a whole. */
static int add_segment(struct walk *walk, struct restore_large *large, size_t content,
		       uint64_t content_at, uint64_t begin, uint64_t end, struct error **err)
{
	struct restore_job *job = new_job(NULL);

	atomic_fetch_add(&large->references, 1);
	job->large = large;
	job->content = content;
	job->content_at = content_at;
	job->begin = begin;
	job->end = end;
	return restore_pool_add(walk->restore, job, err);
}

static int restore_large_file(struct walk *walk, const struct step *step, struct error **err)
{
	const struct catalog_entry *entry;
	struct restore_large *large =
		restore_large_new(walk->restore, step->frame->directory, step->name, step->record,
				  step->record_size, err);
	uint64_t at = 0, begin = 0, end;
	size_t content = 0;
	int result = 0;

	if (!large)
		return -1;
	entry = &large->entry;
	for (; begin < entry->size && result == 0; begin = end) {
		const struct content *part;

		while (at + entry->contents[content].length <= begin)
			at += entry->contents[content++].length;
		part = &entry->contents[content];
		end = begin - begin % SEGMENT_SIZE + SEGMENT_SIZE;
		if (end > entry->size)
			end = entry->size;
		if (part->kind == CONTENT_HOLE && at + part->length >= end) {
			end = at + part->length; /* however long: nothing to write */
			atomic_fetch_add(&walk->restore->bytes, end - begin);
		} else {
			result = add_segment(walk, large, content, at, begin, end, err);
		}
	}
	restore_large_put(walk->restore, large);
	return result;
}

static int restore_regular(struct walk *walk, const struct step *step, struct error **err)
{
	if (step->entry->size > SMALL_SIZE_MAX || step->entry->flags & ENTRY_LINKED)
		return restore_large_file(walk, step, err);
	return restore_small_file(walk, step, err);
}

/* The directory of a hard link's target, opened as everything is: beneath, no links. */
static int open_link_directory(struct walk *walk, const struct step *step, const char **name,
			       struct error **err)
{
	const char *target = step->entry->hardlink, *slash = strrchr(target, '/');
	cleanup_free char *directory =
		slash ? memory_strndup(target, (size_t)(slash - target)) : memory_strdup("");

	*name = slash ? slash + 1 : target;
	if (walk->link_directory && strcmp(walk->link_directory, directory) == 0)
		return 0;
	if (walk->link_fd >= 0)
		close(walk->link_fd);
	free(walk->link_directory);
	walk->link_directory = NULL;
	walk->link_fd = beneath_open(walk->restore->root_fd, *directory ? directory : ".",
				     O_PATH | O_DIRECTORY, 0);
	if (walk->link_fd < 0)
		return step_failed(step, "find what is linked as", err);
	walk->link_directory = STEAL_POINTER(directory);
	return 0;
}

static int restore_hardlink(struct walk *walk, const struct step *step, struct error **err)
{
	const char *target;

	if (open_link_directory(walk, step, &target, err) < 0)
		return -1;
	if (linkat(walk->link_fd, target, step->frame->directory->fd, step->name, 0) == 0)
		return 0;
	return error_set_errno(err, errno, "cannot link \"%s\" to \"%s\"", step->entry->path,
			       step->entry->hardlink);
}

static int restore_special(struct walk *walk, const struct step *step, struct error **err)
{
	const struct catalog_entry *entry = step->entry;
	int parent = step->frame->directory->fd;

	if (S_ISLNK(entry->mode)) {
		if (symlinkat(entry->link, parent, step->name) < 0)
			return step_failed(step, "create", err);
	} else if (mknodat(parent, step->name, (entry->mode & S_IFMT) | 0600, entry->device) < 0) {
		return errno == EPERM ? restore_refused(walk->restore, errno,
							"make the device node", entry->path, err)
				      : step_failed(step, "create", err);
	}
	return metadata_apply_name(walk->restore, parent, step->name, entry, err);
}

static int restore_step(struct walk *walk, struct step *step, struct error **err)
{
	const struct catalog_entry *entry = step->entry;
	struct listing *listing;
	const char *slash = strrchr(entry->path, '/');
	int result;

	if (is_hidden(walk, entry->path))
		return 0;
	if (strcmp(entry->path, MARK_FILE) == 0 || restore_is_protected(walk->restore, entry->path))
		return error_set(err, ERROR_DAMAGED,
				 "catalog: \"%s\" is listed as never touched, yet to be restored",
				 entry->path);
	step->name = slash ? slash + 1 : entry->path;
	if (find_frame(walk, entry->path, &step->frame, err) < 0 ||
	    remove_extra(walk, step->frame, step->name, err) < 0)
		return -1;
	listing = &step->frame->listing;
	if (listing->next < listing->count &&
	    strcmp(listing_name(listing, listing->next), step->name) == 0) {
		step->exists = true;
		step->type = listing_type(listing, listing->next++);
	}
	if (S_ISDIR(entry->mode))
		return restore_directory(walk, step, err);
	result = clear_way(walk, step, err);
	if (result)
		return result < 0 ? -1 : 0;
	if (entry->hardlink)
		return restore_hardlink(walk, step, err);
	return S_ISREG(entry->mode) ? restore_regular(walk, step, err)
				    : restore_special(walk, step, err);
}

/* ---- the whole ---- */

static int restore_root(struct walk *walk, const struct step *step, struct error **err)
{
	int fd = openat(walk->restore->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_set_errno(err, errno, "cannot open the root of the tree");
	return push_frame(walk, step, fd, true, err);
}

static int check_totals(const struct walk *walk, struct error **err)
{
	const struct tree_record *tree = walk->restore->tree;
	struct hash hash;

	hasher_finish(walk->hasher, &hash);
	if (!hash_equal(&hash, &tree->hash) || walk->restore->entries != tree->entries ||
	    walk->bytes != tree->bytes)
		return error_set(err, ERROR_DAMAGED,
				 "the catalog is not the one that the manifest names");
	return 0;
}

static int walk_catalog(struct walk *walk, struct catalog_reader *reader, struct error **err)
{
	struct restore *restore = walk->restore;
	struct catalog_entry entry;
	int result;

	while ((result = catalog_next(reader, &entry, err)) > 0) {
		struct step step = {.entry = &entry};

		if (atomic_load(&restore->failed))
			return -1;
		if (++restore->ticks % 32 == 0 && restore_tick(restore, err) < 0)
			return -1;
		step.record = catalog_record(reader, &step.record_size);
		record_hash(walk->hasher, step.record, step.record_size);
		if (S_ISREG(entry.mode) && !entry.hardlink)
			walk->bytes += entry.size;
		if (restore->entries++ ? restore_step(walk, &step, err) < 0
				       : restore_root(walk, &step, err) < 0)
			return -1;
	}
	if (result < 0 || check_totals(walk, err) < 0 || flush_batch(walk, err) < 0)
		return -1;
	while (walk->depth > 1) {
		if (pop_frame(walk, err) < 0)
			return -1;
	}
	if (remove_extra(walk, &walk->frames[0], NULL, err) < 0)
		return -1;
	return restore_remove_postponed(restore, err);
}

static void walk_release(struct walk *walk)
{
	restore_job_free(walk->restore, walk->batch);
	while (walk->depth) {
		struct frame *frame = &walk->frames[--walk->depth];

		listing_release(&frame->listing);
		restore_directory_put(walk->restore, frame->directory);
	}
	free(walk->frames);
	free(walk->hidden);
	if (walk->link_fd >= 0)
		close(walk->link_fd);
	free(walk->link_directory);
	hasher_free(walk->hasher);
}

static int compare_paths(const void *a, const void *b)
{
	return path_compare(*(char *const *)a, *(char *const *)b);
}

static void add_untouchable(struct restore *restore)
{
	const struct tree_record *tree = restore->tree;

	for (size_t i = 0; i < tree->excluded.count; i++)
		string_list_add(&restore->untouchable, tree->excluded.items[i]);
	for (size_t i = 0; i < tree->skipped.count; i++)
		string_list_add(&restore->untouchable, tree->skipped.items[i]);
	if (restore->untouchable.count > 1)
		qsort(restore->untouchable.items, restore->untouchable.count, sizeof(char *),
		      compare_paths);
}

static int restore_run(struct restore *restore, unsigned workers, struct error **err)
{
	CLEANUP(cleanup_catalog_close)
	struct catalog_reader *reader = catalog_open(restore->store, &restore->tree->root, err);
	struct walk walk = {.restore = restore, .link_fd = -1};
	pthread_t threads[WORKERS_MAX];
	int result;

	if (!reader)
		return -1;
	if (catalog_is_partial(reader))
		return error_set(err, ERROR_DAMAGED, "the catalog is not that of a whole tree");
	if (restore_pool_start(restore, threads, workers, err) < 0)
		return -1;
	walk.hasher = hasher_new();
	result = walk_catalog(&walk, reader, err);
	if (result < 0)
		atomic_store(&restore->failed, true);
	if (restore_pool_stop(restore, threads, workers, result < 0 ? NULL : err) < 0)
		result = -1;
	/* the root's own metadata: everything in it is done, or it failed and gets none */
	walk_release(&walk);
	if (restore->error && (!err || !*err)) {
		if (err)
			*err = STEAL_POINTER(restore->error);
		result = -1;
	}
	if (result < 0 || atomic_load(&restore->failed))
		return -1;
	if (syncfs(restore->root_fd) < 0)
		return error_set_errno(err, errno, "cannot sync the restored tree");
	return 0;
}

/* What this user could not do becomes one error at the end. */
static int report_refusals(struct restore *restore, struct error **err)
{
	if (!restore->refusal || restore->options->lenient)
		return 0;
	if (err) {
		*err = STEAL_POINTER(restore->refusal);
		(*err)->kind = ERROR_REFUSED;
		if (restore->refusals > 1)
			error_prefix(err, "%llu things could not be restored, the first",
				     (unsigned long long)restore->refusals);
		error_hint(err, "run as root with the capabilities CHOWN, DAC_OVERRIDE, FOWNER, "
				"FSETID, MKNOD and SETFCAP");
	}
	return -1;
}

static unsigned worker_count(const struct restore_options *options)
{
	unsigned count = options->workers;

	if (!count) {
		int cores = get_nprocs();

		count = cores > 0 ? (unsigned)cores : 1;
	}
	return count < WORKERS_MAX ? count : WORKERS_MAX;
}

int tree_restore(int root_fd, struct store *store, const struct tree_record *tree,
		 const struct restore_options *options, struct restore_totals *totals,
		 struct error **err)
{
	static const struct restore_options no_options;
	struct restore restore = {.store = store, .tree = tree};
	cleanup_fd int fd = -1;
	int result;

	if (beneath_check(err) < 0)
		return -1;
	fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open the root of the tree");
	restore.root_fd = fd;
	restore.options = options ? options : &no_options;
	restore.last = &restore.first;
	pthread_mutex_init(&restore.lock, NULL);
	pthread_cond_init(&restore.work, NULL);
	pthread_cond_init(&restore.room, NULL);
	string_list_init(&restore.untouchable);
	add_untouchable(&restore);
	result = restore_run(&restore, worker_count(restore.options), err);
	if (result == 0)
		result = report_refusals(&restore, err);
	if (totals) {
		totals->entries = restore.entries;
		totals->files = atomic_load(&restore.files);
		totals->bytes = atomic_load(&restore.bytes);
		totals->written_bytes = atomic_load(&restore.written_bytes);
		totals->removed = restore.removed;
	}
	error_free(restore.error);
	error_free(restore.refusal);
	string_list_release(&restore.untouchable);
	pthread_cond_destroy(&restore.room);
	pthread_cond_destroy(&restore.work);
	pthread_mutex_destroy(&restore.lock);
	return result;
}
