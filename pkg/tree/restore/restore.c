/*
 * The walk of a restore: the catalog's records and the target's directories, both in
 * the same order, side by side. It makes directories, links and nodes, removes what
 * is in the way or too much, and hands the content of files to the workers.
 */
#include "tree/restore/restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "base/path.h"
#include "tree/beneath.h"
#include "tree/format.h"
#include "tree/listing.h"
#include "tree/mark.h"
#include "tree/restore/restore_private.h"
#include "tree/write_back.h"

#define WORKERS_MAX 64
#define OPEN_DEPTH_MAX 100
#define BATCH_COUNT_MAX 64
#define BATCH_SIZE_MAX (1U << 20)
/* So small that workers are near one another in a large file: then they need the same frames. */
#define SEGMENT_SIZE (4U << 20)
/*
 * Workers more than processors, for large files: they wait for direct writes most of the time, of
 * which the disk does several at once. With small ones they would wait for each other.
 */
#define LARGE_WORKERS 4

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
	frame->mount = status.mount;
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

int restore_add_small(struct walk *walk, const struct step *step, enum restore_action action,
		      struct error **err)
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
	buffer_append_u8(&batch->records, (uint8_t)action);
	buffer_append(&batch->records, step->record, step->record_size);
	if (batch->records.failed)
		return error_set_errno(err, ENOMEM, "cannot restore \"%s\"", step->entry->path);
	batch->bytes += action == ACTION_METADATA ? 0 : step->entry->size;
	if (++batch->count == BATCH_COUNT_MAX || batch->bytes >= BATCH_SIZE_MAX ||
	    batch->records.size >= BATCH_SIZE_MAX)
		return flush_batch(walk, err);
	return 0;
}

/* One segment from ${begin}. */
static int add_segment(struct walk *walk, struct restore_large *large,
		       const struct content_place *content, const struct content_place *known,
		       uint64_t begin, uint64_t end, struct error **err)
{
	struct restore_job *job = new_job(NULL);

	atomic_fetch_add(&large->references, 1);
	job->large = large;
	job->content = *content;
	job->known = *known;
	job->begin = begin;
	job->end = end;
	return restore_pool_add(walk->restore, job, err);
}

/* Go on to the content that holds the byte at ${offset}, or to the end. */
static void place_advance(struct content_place *place, const struct content *items, size_t count,
			  uint64_t offset)
{
	while (place->index < count && place->at + items[place->index].length <= offset)
		place->at += items[place->index++].length;
}

int restore_add_large(struct walk *walk, const struct step *step, int fd,
		      const struct known_contents *known, struct error **err)
{
	struct restore_large *large = restore_large_new(walk->restore, step, fd, known, err);
	struct content_place content = {0}, known_place = {0};
	const struct catalog_entry *entry;
	uint64_t begin = 0, end;
	int result = 0;

	if (!large)
		return -1;
	entry = &large->entry;
	for (; begin < entry->size && result == 0; begin = end) {
		const struct content *part;

		place_advance(&content, entry->contents, entry->content_count, begin);
		place_advance(&known_place, large->known.items, large->known.count, begin);
		part = &entry->contents[content.index];
		end = begin - begin % SEGMENT_SIZE + SEGMENT_SIZE;
		if (end > entry->size)
			end = entry->size;
		if (!large->existed && part->kind == CONTENT_HOLE &&
		    content.at + part->length >= end) {
			end = content.at + part->length; /* however long: nothing to write */
			atomic_fetch_add(&walk->restore->bytes, end - begin);
		} else {
			result = add_segment(walk, large, &content, &known_place, begin, end, err);
		}
	}
	restore_large_put(walk->restore, large);
	return result;
}

static int restore_regular(struct walk *walk, const struct step *step, struct error **err)
{
	if (step->entry->size > RESTORE_SMALL_MAX || step->entry->flags & ENTRY_LINKED)
		return restore_add_large(walk, step, -1, NULL, err);
	return restore_add_small(walk, step, ACTION_CREATE, err);
}

/* Written when all else is done; its directory stays open until then. */
static int postpone_guard(struct walk *walk, const struct step *step)
{
	struct restore *restore = walk->restore;
	struct restore_guard *guard;

	restore->guards =
		memory_array(restore->guards, restore->guard_count + 1, sizeof(*restore->guards));
	guard = &restore->guards[restore->guard_count++];
	guard->directory = restore_directory_get(step->frame->directory);
	guard->record = memory_alloc(step->record_size);
	guard->record_size = step->record_size;
	memcpy(guard->record, step->record, step->record_size);
	return 0;
}

/* Files with several names come when their first name does: later ones are linked to it. */
static bool is_guard(const struct restore *restore, const struct catalog_entry *entry)
{
	return restore->options->guards && S_ISREG(entry->mode) && !entry->hardlink &&
	       !(entry->flags & ENTRY_LINKED) &&
	       string_list_has(restore->options->guards, entry->path);
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
	bool guard;
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
	guard = is_guard(walk->restore, entry);
	if (walk->restore->options->delta && !guard &&
	    (step->exists || restore_find_moved(walk, step))) {
		result = restore_keep(walk, step, err);
		if (result)
			return result < 0 ? -1 : 0;
	}
	result = clear_way(walk, step, err);
	if (result)
		return result < 0 ? -1 : 0;
	if (guard)
		return postpone_guard(walk, step);
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

/* Without a state the next restore takes longer: no reason to fail this one. */
static void tell_state(struct restore *restore, const struct step *step)
{
	cleanup_error struct error *problem = NULL;
	struct catalog_entry entry = *step->entry;

	if (!restore->state || !S_ISREG(entry.mode) || entry.hardlink)
		return;
	if (step->found)
		entry.fingerprint = *step->found;
	if (state_writer_add(restore->state, &entry, step->found != NULL, &problem) < 0) {
		state_writer_free(restore->state);
		restore->state = NULL;
	}
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
		tell_state(restore, &step);
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

	string_list_add_all(&restore->untouchable, &tree->excluded);
	string_list_add_all(&restore->untouchable, &tree->skipped);
	if (restore->untouchable.count > 1)
		qsort(restore->untouchable.items, restore->untouchable.count, sizeof(char *),
		      compare_paths);
}

static unsigned worker_count(const struct restore_options *options)
{
	unsigned count = options->workers;

	if (!count) {
		int cores = get_nprocs();

		count = cores > 0 ? (unsigned)cores : 1;
	}
	return (count < WORKERS_MAX ? count : WORKERS_MAX) + LARGE_WORKERS;
}

static int sync_all(struct restore *restore, struct error **err)
{
	clock_gettime(CLOCK_REALTIME, &restore->synced);
	if (syncfs(restore->root_fd) < 0)
		return error_set_errno(err, errno, "cannot sync the restored tree");
	return 0;
}

int restore_fill(struct restore *restore, struct error **err)
{
	CLEANUP(cleanup_catalog_close)
	struct catalog_reader *reader = catalog_open(restore->store, &restore->tree->root, err);
	struct walk walk = {.restore = restore, .link_fd = -1};
	unsigned workers = worker_count(restore->options);
	pthread_t threads[WORKERS_MAX + LARGE_WORKERS];
	int result;

	if (!reader)
		return -1;
	if (catalog_is_partial(reader))
		return error_set(err, ERROR_DAMAGED, "the catalog is not that of a whole tree");
	if (restore_pool_start(restore, threads, &workers, LARGE_WORKERS, err) < 0)
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
	return sync_all(restore, err);
}

static int write_guard(struct restore *restore, const struct restore_guard *guard,
		       struct record_space *space, struct error **err)
{
	struct restore_directory *directory = guard->directory;
	struct catalog_entry entry;
	const char *slash;
	cleanup_fd int fd = -1;

	if (record_decode(guard->record, guard->record_size, space, &entry, err) < 0)
		return -1;
	slash = strrchr(entry.path, '/');
	fd = restore_create(directory->fd, slash ? slash + 1 : entry.path);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot create \"%s\"", entry.path);
	if (restore_whole(restore, fd, &entry, err) < 0 ||
	    failpoint_error("volume/guard-written", err) < 0)
		return -1;
	if (fsync(fd) < 0 || fsync(directory->fd) < 0)
		return error_set_errno(err, errno, "cannot sync \"%s\"", entry.path);
	return 0;
}

/* Their directories get their metadata when the last of them is in. */
static void release_guards(struct restore *restore)
{
	for (size_t i = 0; i < restore->guard_count; i++) {
		restore_directory_put(restore, restore->guards[i].directory);
		free(restore->guards[i].record);
	}
	free(restore->guards);
	restore->guards = NULL;
	restore->guard_count = 0;
}

int restore_guards(struct restore *restore, struct error **err)
{
	struct record_space space;
	int result = 0;

	if (!restore->guard_count)
		return 0;
	record_space_init(&space);
	for (size_t i = 0; i < restore->guard_count && result == 0; i++)
		result = write_guard(restore, &restore->guards[i], &space, err);
	record_space_release(&space);
	if (result < 0)
		atomic_store(&restore->failed, true);
	release_guards(restore);
	if (result < 0)
		return -1;
	if (restore->error) {
		if (err)
			*err = STEAL_POINTER(restore->error);
		return -1;
	}
	return sync_all(restore, err);
}

/* What this user could not do becomes one error at the end. */
int restore_report_refusals(struct restore *restore, struct error **err)
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

int restore_init(struct restore *restore, int root_fd, struct store *store,
		 const struct tree_record *tree, const struct restore_options *options,
		 struct error **err)
{
	static const struct restore_options no_options;

	memset(restore, 0, sizeof(*restore));
	restore->root_fd = -1;
	restore->store = store;
	restore->tree = tree;
	restore->options = options ? options : &no_options;
	restore->last = &restore->first;
	pthread_mutex_init(&restore->lock, NULL);
	pthread_cond_init(&restore->work, NULL);
	pthread_cond_init(&restore->room, NULL);
	string_list_init(&restore->untouchable);
	add_untouchable(restore);
	if (beneath_check(err) < 0)
		return -1;
	restore->root_fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (restore->root_fd < 0)
		return error_set_errno(err, errno, "cannot open the root of the tree");
	restore->times_are_proof = write_back_kind(restore->root_fd) != WRITE_BACK_NONE;
	return 0;
}

void restore_count(struct restore *restore, struct restore_totals *totals)
{
	totals->entries = restore->entries;
	totals->files = atomic_load(&restore->files);
	totals->bytes = atomic_load(&restore->bytes);
	totals->written_bytes = atomic_load(&restore->written_bytes);
	totals->read_bytes = atomic_load(&restore->read_bytes);
	totals->kept_files = restore->kept_files;
	totals->removed = restore->removed;
}

void restore_release(struct restore *restore)
{
	/* what was not finished is not to look as if it were */
	if (restore->guard_count)
		atomic_store(&restore->failed, true);
	release_guards(restore);
	link_groups_release(&restore->groups);
	state_writer_free(restore->state);
	error_free(restore->error);
	error_free(restore->refusal);
	string_list_release(&restore->untouchable);
	pthread_cond_destroy(&restore->room);
	pthread_cond_destroy(&restore->work);
	pthread_mutex_destroy(&restore->lock);
	if (restore->root_fd >= 0)
		close(restore->root_fd);
}

int tree_restore(int root_fd, struct store *store, const struct tree_record *tree,
		 const struct restore_options *options, struct restore_totals *totals,
		 struct error **err)
{
	struct restore restore;
	int result = restore_init(&restore, root_fd, store, tree, options, err);

	if (result == 0)
		result = restore_fill(&restore, err);
	if (result == 0)
		result = restore_guards(&restore, err);
	if (result == 0)
		result = restore_report_refusals(&restore, err);
	if (totals)
		restore_count(&restore, totals);
	restore_release(&restore);
	return result;
}
