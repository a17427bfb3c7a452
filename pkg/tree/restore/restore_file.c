/*
 * Writing files. New ones are made with O_EXCL, so nothing that exists under another name
 * is ever written through; those that stay: restore_update.c. Large new ones go past the page cache where that
 * works: the first touch of a page in the cache costs six times what the disk does, and
 * a restore must reach the disk anyway before it counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/memory.h"
#include "store/format.h"
#include "tree/beneath.h"
#include "tree/restore/restore_private.h"

#define DIRECT_ALIGNMENT 4096U
#define DIRECT_SIZE_MIN (512U << 10) /* of a file; smaller ones gain nothing */
#define BUFFER_SIZE (1U << 20)

static int write_failed(const struct catalog_entry *entry, struct error **err)
{
	return error_set_errno(err, errno, "cannot write \"%s\"", entry->path);
}

int restore_create(int directory_fd, const char *name)
{
	return openat(directory_fd, name,
		      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0600);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* ---- the bytes of a range, chunk by chunk ---- */

typedef int range_sink(void *context, const uint8_t *data, size_t size, uint64_t offset,
		       struct error **err);

/*
 * Give ${sink} the data between ${begin} and ${end}; holes are passed over. ${content}
 * begins at ${at} in the file.
 */
static int read_range(struct restore *restore, const struct catalog_entry *entry, size_t content,
		      uint64_t at, uint64_t begin, uint64_t end, range_sink *sink, void *context,
		      struct error **err)
{
	for (; content < entry->content_count && at < end; content++) {
		const struct content *part = &entry->contents[content];
		uint64_t from = at > begin ? at : begin;
		uint64_t to = at + part->length < end ? at + part->length : end;
		struct chunk chunk;
		int result;

		if (part->kind == CONTENT_HASH)
			return error_set(err, ERROR_DAMAGED, "the content of \"%s\" is not stored",
					 entry->path);
		if (part->kind == CONTENT_CHUNK && from < to) {
			if (store_get(restore->store, &part->chunk, &chunk, err) < 0)
				return error_prefix(err, "cannot restore \"%s\"", entry->path);
			result = sink(context, chunk.data + part->offset + (from - at),
				      (size_t)(to - from), from, err);
			store_put_back(restore->store, &chunk);
			if (result < 0)
				return -1;
		}
		at += part->length;
	}
	return 0;
}

struct plain_target {
	struct restore *restore;
	const struct catalog_entry *entry;
	int fd;
};

static int write_plain(void *context, const uint8_t *data, size_t size, uint64_t offset,
		       struct error **err)
{
	const struct plain_target *target = context;

	if (io_pwrite_full(target->fd, data, size, offset) < 0)
		return write_failed(target->entry, err);
	atomic_fetch_add(&target->restore->written_bytes, size);
	return 0;
}

/* ---- small files ---- */

static bool ends_in_hole(const struct catalog_entry *entry)
{
	return entry->content_count &&
	       entry->contents[entry->content_count - 1].kind == CONTENT_HOLE;
}

int restore_whole(struct restore *restore, int fd, const struct catalog_entry *entry,
		  struct error **err)
{
	struct plain_target target = {.restore = restore, .entry = entry, .fd = fd};

	if (read_range(restore, entry, 0, 0, 0, entry->size, write_plain, &target, err) < 0)
		return -1;
	if (ends_in_hole(entry) && ftruncate(fd, (off_t)entry->size) < 0)
		return write_failed(entry, err);
	if (metadata_apply(restore, fd, entry, false, err) < 0)
		return -1;
	atomic_fetch_add(&restore->files, 1);
	atomic_fetch_add(&restore->bytes, entry->size);
	return 0;
}

static int create_small(struct restore_worker *worker, const struct restore_directory *directory,
			const struct catalog_entry *entry, struct error **err)
{
	cleanup_fd int fd = restore_create(directory->fd, base_name(entry->path));

	if (fd < 0)
		return error_set_errno(err, errno, "cannot create \"%s\"", entry->path);
	return restore_whole(worker->restore, fd, entry, err);
}

/* The file that is there cannot be written: another comes in its place. */
static int replace_small(struct restore_worker *worker, const struct restore_directory *directory,
			 const struct catalog_entry *entry, struct error **err)
{
	if (unlinkat(directory->fd, base_name(entry->path), 0) < 0 && errno != ENOENT) {
		int number = errno;

		if (number == EBUSY)
			return 0; /* another mount is on it */
		error_set_errno(err, number, "cannot replace \"%s\"", entry->path);
		if (number == EPERM)
			error_hint(err, "it may be immutable: see lsattr");
		return -1;
	}
	return create_small(worker, directory, entry, err);
}

static int update_small(struct restore_worker *worker, const struct restore_directory *directory,
			const struct catalog_entry *entry, struct error **err)
{
	struct update update = {.worker = worker, .entry = entry, .end = entry->size};
	cleanup_fd int fd = update_open(directory->fd, base_name(entry->path), entry, err);

	if (fd == -2)
		return replace_small(worker, directory, entry, err);
	update.fd = fd;
	if (fd < 0 || update_range(&update, err) < 0 ||
	    metadata_settle(worker->restore, fd, entry, &worker->attributes, err) < 0)
		return -1;
	atomic_fetch_add(&worker->restore->files, 1);
	atomic_fetch_add(&worker->restore->bytes, entry->size);
	return 0;
}

static int settle_small(struct restore_worker *worker, const struct restore_directory *directory,
			const struct catalog_entry *entry, struct error **err)
{
	cleanup_fd int fd = beneath_open(directory->fd, base_name(entry->path),
					 O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);

	/* Closed to who is not root. Of a file with other names, those would keep the old one. */
	if (fd < 0 && (errno == EACCES || errno == EPERM) && !(entry->flags & ENTRY_LINKED))
		return replace_small(worker, directory, entry, err);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open \"%s\"", entry->path);
	if (metadata_settle(worker->restore, fd, entry, &worker->attributes, err) < 0)
		return -1;
	atomic_fetch_add(&worker->restore->files, 1);
	atomic_fetch_add(&worker->restore->bytes, entry->size);
	return 0;
}

static int restore_small(struct restore_worker *worker, const struct restore_directory *directory,
			 enum restore_action action, const struct catalog_entry *entry,
			 struct error **err)
{
	switch (action) {
	case ACTION_UPDATE:
		return update_small(worker, directory, entry, err);
	case ACTION_METADATA:
		return settle_small(worker, directory, entry, err);
	case ACTION_CREATE:
		break;
	}
	return create_small(worker, directory, entry, err);
}

static int restore_batch(struct restore_worker *worker, struct restore_job *job, struct error **err)
{
	size_t at = 0;

	while (at < job->records.size && !atomic_load(&worker->restore->failed)) {
		uint32_t size = format_get_u32((const uint8_t *)job->records.data + at);
		enum restore_action action = (uint8_t)job->records.data[at + 4];
		struct catalog_entry entry;

		at += 5;
		if (record_decode(job->records.data + at, size, &worker->space, &entry, err) < 0 ||
		    restore_small(worker, job->directory, action, &entry, err) < 0)
			return -1;
		at += size;
	}
	return 0;
}

/* ---- large files ---- */

static void large_free(struct restore_large *large)
{
	if (large->fd >= 0)
		close(large->fd);
	if (large->direct_fd >= 0)
		close(large->direct_fd);
	record_space_release(&large->space);
	free((void *)(uintptr_t)large->known.items);
	free(large->record);
	free(large);
}

/*
 * ext4 lets several direct writers into a file at once only where it has its size and its blocks.
 * Where that cannot be had, they take turns.
 */
static void reserve_blocks(const struct restore_large *large)
{
	const struct catalog_entry *entry = &large->entry;

	for (size_t i = 0; i < entry->content_count; i++) {
		if (entry->contents[i].kind == CONTENT_HOLE)
			return;
	}
	(void)fallocate(large->fd, 0, 0, (off_t)entry->size);
}

/* The new file, or what is to be known of the one that is there. */
static int prepare_large(struct restore *restore, struct restore_large *large,
			 const struct step *step, const struct known_contents *known,
			 struct error **err)
{
	int parent = step->frame->directory->fd;

	if (large->existed && known && known->count) {
		struct content *items = calloc(known->count, sizeof(*items));

		if (!items)
			return error_set_errno(err, ENOMEM, "cannot restore \"%s\"",
					       step->entry->path);
		memcpy(items, known->items, known->count * sizeof(*items));
		large->known.items = items;
		large->known.count = known->count;
	}
	if (large->existed)
		return 0;
	large->fd = restore_create(parent, step->name);
	if (large->fd < 0)
		return error_set_errno(err, errno, "cannot create \"%s\"", step->entry->path);
	if (large->entry.size >= DIRECT_SIZE_MIN && !atomic_load(&restore->no_direct)) {
		large->direct_fd =
			openat(parent, step->name, O_WRONLY | O_DIRECT | O_NOFOLLOW | O_CLOEXEC);
		if (large->direct_fd < 0)
			atomic_store(&restore->no_direct, true);
		else
			reserve_blocks(large);
	}
	return 0;
}

struct restore_large *restore_large_new(struct restore *restore, const struct step *step, int fd,
					const struct known_contents *known, struct error **err)
{
	struct restore_large *large = memory_zalloc(sizeof(*large));

	large->fd = fd;
	large->existed = fd >= 0;
	large->direct_fd = -1;
	atomic_init(&large->references, 1);
	record_space_init(&large->space);
	large->record = malloc(step->record_size);
	if (!large->record) {
		error_set_errno(err, ENOMEM, "cannot restore \"%s\"", step->entry->path);
		goto fail;
	}
	memcpy(large->record, step->record, step->record_size);
	if (record_decode(large->record, step->record_size, &large->space, &large->entry, err) <
		    0 ||
	    prepare_large(restore, large, step, known, err) < 0)
		goto fail;
	large->directory = restore_directory_get(step->frame->directory);
	return large;
fail:
	large_free(large);
	return NULL;
}

static int finish_large(struct restore *restore, struct restore_large *large, struct error **err)
{
	/* direct writes end on a block, holes end nowhere */
	if (!large->existed && ftruncate(large->fd, (off_t)large->entry.size) < 0)
		return write_failed(&large->entry, err);
	if (large->existed ? metadata_settle(restore, large->fd, &large->entry, NULL, err) < 0
			   : metadata_apply(restore, large->fd, &large->entry, false, err) < 0)
		return -1;
	atomic_fetch_add(&restore->files, 1);
	return 0;
}

void restore_large_put(struct restore *restore, struct restore_large *large)
{
	struct error *error = NULL;

	if (atomic_fetch_sub(&large->references, 1) != 1)
		return;
	if (!atomic_load(&restore->failed) && finish_large(restore, large, &error) < 0)
		restore_fail(restore, error);
	restore_directory_put(restore, large->directory);
	large_free(large);
}

/* Consecutive bytes on their way to the disk in aligned pieces. */
struct gather {
	struct restore *restore;
	const struct restore_large *large;
	uint8_t *buffer;
	size_t size;
	uint64_t offset; /* in the file, of the buffer's first byte */
};

/* How much of the buffer direct writing takes; the file's end is rounded up to a block. */
static size_t direct_part(struct gather *gather)
{
	size_t part = gather->size & ~(size_t)(DIRECT_ALIGNMENT - 1), padded;

	if (gather->large->direct_fd < 0 || atomic_load(&gather->restore->no_direct) ||
	    gather->offset % DIRECT_ALIGNMENT)
		return 0;
	if (part < gather->size && gather->offset + gather->size == gather->large->entry.size) {
		padded = part + DIRECT_ALIGNMENT;
		memset(gather->buffer + gather->size, 0, padded - gather->size);
		return padded;
	}
	return part;
}

static int flush_gathered(struct gather *gather, struct error **err)
{
	const struct restore_large *large = gather->large;
	size_t direct = direct_part(gather);

	if (direct &&
	    io_pwrite_full(large->direct_fd, gather->buffer, direct, gather->offset) < 0) {
		if (errno != EINVAL)
			return write_failed(&large->entry, err);
		/* a larger alignment than ours, or none at all on this file system */
		atomic_store(&gather->restore->no_direct, true);
		direct = 0;
	}
	if (direct < gather->size &&
	    io_pwrite_full(large->fd, gather->buffer + direct, gather->size - direct,
			   gather->offset + direct) < 0)
		return write_failed(&large->entry, err);
	atomic_fetch_add(&gather->restore->written_bytes, gather->size);
	gather->size = 0;
	return 0;
}

static int gather_data(void *context, const uint8_t *data, size_t size, uint64_t offset,
		       struct error **err)
{
	struct gather *gather = context;

	if (gather->size && gather->offset + gather->size != offset &&
	    flush_gathered(gather, err) < 0)
		return -1;
	while (size) {
		size_t part = BUFFER_SIZE - gather->size;

		if (!gather->size)
			gather->offset = offset;
		if (part > size)
			part = size;
		memcpy(gather->buffer + gather->size, data, part);
		gather->size += part;
		data += part;
		offset += part;
		size -= part;
		if (gather->size == BUFFER_SIZE && flush_gathered(gather, err) < 0)
			return -1;
	}
	return 0;
}

/* A part of a file that is there. */
static int update_segment(struct restore_worker *worker, const struct restore_job *job,
			  struct error **err)
{
	struct restore_large *large = job->large;
	struct update update = {.worker = worker,
				.entry = &large->entry,
				.fd = large->fd,
				.known = large->known.count ? &large->known : NULL,
				.content = job->content,
				.known_place = job->known,
				.begin = job->begin,
				.end = job->end};

	return update_range(&update, err);
}

/* A part of a new file, past the page cache where that works. */
static int write_segment(struct restore_worker *worker, const struct restore_job *job,
			 struct error **err)
{
	struct restore *restore = worker->restore;
	struct restore_large *large = job->large;
	struct plain_target target = {.restore = restore, .entry = &large->entry, .fd = large->fd};
	struct gather gather = {.restore = restore, .large = large};
	void *buffer;
	int result;

	if (large->direct_fd < 0 || atomic_load(&restore->no_direct))
		return read_range(restore, &large->entry, job->content.index, job->content.at,
				  job->begin, job->end, write_plain, &target, err);
	if (!worker->buffer) {
		if (posix_memalign(&buffer, DIRECT_ALIGNMENT, BUFFER_SIZE))
			return error_set_errno(err, ENOMEM, "cannot restore");
		worker->buffer = buffer;
	}
	gather.buffer = worker->buffer;
	result = read_range(restore, &large->entry, job->content.index, job->content.at, job->begin,
			    job->end, gather_data, &gather, err);
	if (result == 0 && gather.size)
		result = flush_gathered(&gather, err);
	return result;
}

static int restore_segment(struct restore_worker *worker, const struct restore_job *job,
			   struct error **err)
{
	int result = job->large->existed ? update_segment(worker, job, err)
					 : write_segment(worker, job, err);

	if (result == 0)
		atomic_fetch_add(&worker->restore->bytes, job->end - job->begin);
	return result;
}

int restore_job_run(struct restore_worker *worker, struct restore_job *job, struct error **err)
{
	return job->large ? restore_segment(worker, job, err) : restore_batch(worker, job, err);
}

void restore_job_free(struct restore *restore, struct restore_job *job)
{
	if (!job)
		return;
	buffer_release(&job->records);
	if (job->large)
		restore_large_put(restore, job->large);
	if (job->directory)
		restore_directory_put(restore, job->directory);
	free(job);
}
