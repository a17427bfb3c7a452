/*
 * Files that are there become what they shall be where they are: by what is known of them
 * and by the hashes of their blocks it is found which parts may differ, and of these only
 * the pages that do are written.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/memory.h"
#include "store/format.h"
#include "tree/restore/restore_private.h"

#define PAGE_SIZE 4096U
#define BLOCK_SIZE_MAX (64U << 10) /* of any file system */

static int update_failed(const struct update *update, const char *what, struct error **err)
{
	return error_set_errno(err, errno, "cannot %s \"%s\"", what, update->entry->path);
}

int update_open(int directory_fd, const char *name, const struct catalog_entry *entry,
		struct error **err)
{
	cleanup_fd int fd =
		beneath_open(directory_fd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	struct stat status;

	if (fd < 0) {
		/* immutable, running, ours but closed to us: a new one may do, or says why not */
		if (errno == EPERM || errno == EACCES || errno == ETXTBSY || errno == ENXIO)
			return -2;
		return error_set_errno(err, errno, "cannot open \"%s\"", entry->path);
	}
	if (fstat(fd, &status) < 0)
		return error_set_errno(err, errno, "cannot examine \"%s\"", entry->path);
	if (!S_ISREG(status.st_mode) || (status.st_nlink > 1 && !(entry->flags & ENTRY_LINKED)))
		return error_set(err, ERROR_FAILED,
				 "\"%s\" was replaced while it was being restored", entry->path);
	if ((uint64_t)status.st_size != entry->size && ftruncate(fd, (off_t)entry->size) < 0)
		return error_set_errno(err, errno, "cannot set the size of \"%s\"", entry->path);
	return STEAL_FD(fd);
}

/* The worker's memory for what is there: a chunk at most. */
static uint8_t *compare_space(const struct update *update)
{
	struct restore_worker *worker = update->worker;

	if (!worker->compare)
		worker->compare = memory_alloc(CHUNK_SIZE_MAX);
	return worker->compare;
}

static int write_at(const struct update *update, const uint8_t *data, size_t size, uint64_t offset,
		    struct error **err)
{
	if (io_pwrite_full(update->fd, data, size, offset) < 0)
		return update_failed(update, "write", err);
	atomic_fetch_add(&update->worker->restore->written_bytes, size);
	return 0;
}

static int read_at(const struct update *update, uint64_t offset, size_t size, struct error **err)
{
	ssize_t got = io_pread_full(update->fd, compare_space(update), size, offset);

	if (got < 0)
		return update_failed(update, "read", err);
	if ((size_t)got < size)
		return error_set(err, ERROR_FAILED, "\"%s\" was cut while it was being restored",
				 update->entry->path);
	atomic_fetch_add(&update->worker->restore->read_bytes, size);
	return 0;
}

/* Write the pages in which ${wanted} is not what the worker's memory holds. */
static int write_differing(const struct update *update, const uint8_t *wanted, uint64_t offset,
			   size_t size, struct error **err)
{
	const uint8_t *found = update->worker->compare;
	size_t begin = 0, end; /* of what differs and is not written yet */

	for (size_t at = 0; at < size; at = end) {
		end = at + PAGE_SIZE - (size_t)((offset + at) % PAGE_SIZE);
		if (end > size)
			end = size;
		if (memcmp(wanted + at, found + at, end - at) != 0)
			continue;
		if (begin < at &&
		    write_at(update, wanted + begin, at - begin, offset + begin, err) < 0)
			return -1;
		begin = end;
	}
	return begin < size ? write_at(update, wanted + begin, size - begin, offset + begin, err)
			    : 0;
}

/* Where the next data or hole begins, at most ${end}. */
static uint64_t seek_next(const struct update *update, int whence, uint64_t from, uint64_t end)
{
	off_t found = lseek(update->fd, (off_t)from, whence);

	if (found < 0)
		/* no data follows; or the file system knows no holes: all is data */
		return errno == ENXIO || whence == SEEK_HOLE ? end : from;
	return (uint64_t)found < end ? (uint64_t)found : end;
}

/*
 * Whether there is no hole between ${from} and ${to}. Where the next one begins is kept: asked for
 * every block anew, it takes ext4 longer than copying the block does.
 */
static bool is_all_data(struct update *update, uint64_t from, uint64_t to)
{
	if (from < update->data_begin || to > update->data_end) {
		update->data_begin = from;
		update->data_end = seek_next(update, SEEK_HOLE, from, update->entry->size);
	}
	return to <= update->data_end;
}

/* ${wanted} replaces what is there: all of it where there are holes, else pages that differ. */
static int put_data(const struct update *update, const uint8_t *wanted, uint64_t from, uint64_t to,
		    struct error **err)
{
	for (uint64_t at = from; at < to;) {
		uint64_t data = seek_next(update, SEEK_DATA, at, to);
		uint64_t hole = data < to ? seek_next(update, SEEK_HOLE, data, to) : to;

		if (at < data &&
		    write_at(update, wanted + (at - from), (size_t)(data - at), at, err) < 0)
			return -1;
		if (hole <= data && data < to)
			hole = to; /* it makes no sense: go on all the same */
		if (data < hole && (read_at(update, data, (size_t)(hole - data), err) < 0 ||
				    write_differing(update, wanted + (data - from), data,
						    (size_t)(hole - data), err) < 0))
			return -1;
		at = hole;
	}
	return 0;
}

/* A part of one chunk; ${may_be_same}: nothing says yet that it differs. */
static int update_chunk(struct update *update, const struct content *part, uint64_t part_at,
			uint64_t from, uint64_t to, bool may_be_same, struct error **err)
{
	struct restore *restore = update->worker->restore;
	size_t size = (size_t)(to - from);
	struct chunk chunk;
	struct hash hash;
	int result;

	if (may_be_same && size == part->chunk.size && is_all_data(update, from, to)) {
		if (read_at(update, from, size, err) < 0)
			return -1;
		hash_data(&hash, update->worker->compare, size);
		if (hash_equal(&hash, &part->chunk.id))
			return 0;
	}
	if (store_get(restore->store, &part->chunk, &chunk, err) < 0)
		return error_prefix(err, "cannot restore \"%s\"", update->entry->path);
	result = put_data(update, chunk.data + part->offset + (from - part_at), from, to, err);
	store_put_back(restore->store, &chunk);
	return result;
}

static bool is_zero(const uint8_t *data, size_t size)
{
	return !size || (!data[0] && memcmp(data, data + 1, size - 1) == 0);
}

/* Where nothing can be punched, zeros are as good. */
static int write_zeros(const struct update *update, uint64_t from, uint64_t to, struct error **err)
{
	static const uint8_t zeros[PAGE_SIZE];

	for (uint64_t at = from, end; at < to; at = end) {
		end = at - at % PAGE_SIZE + PAGE_SIZE < to ? at - at % PAGE_SIZE + PAGE_SIZE : to;
		if (read_at(update, at, (size_t)(end - at), err) < 0)
			return -1;
		if (!is_zero(update->worker->compare, (size_t)(end - at)) &&
		    write_at(update, zeros, (size_t)(end - at), at, err) < 0)
			return -1;
	}
	return 0;
}

static int punch(int fd, uint64_t from, uint64_t to)
{
#ifdef SIDESNAP_FAILPOINTS
	cleanup_error struct error *armed = NULL;

	if (failpoint_error("tree/punch", &armed) < 0) {
		errno = EOPNOTSUPP;
		return -1;
	}
#endif
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
			 (off_t)(to - from));
}

static int update_hole(struct update *update, uint64_t from, uint64_t to, struct error **err)
{
	/* the rest of the last block too, or it stays allocated */
	uint64_t end = to == update->entry->size ? to + BLOCK_SIZE_MAX : to;

	update->data_end = 0;
	if (seek_next(update, SEEK_DATA, from, to) == to || punch(update->fd, from, end) == 0)
		return 0;
	if (errno == EOPNOTSUPP || errno == ENOSYS)
		return write_zeros(update, from, to, err);
	return update_failed(update, "make a hole in", err);
}

/* Whether the bytes that both say of the same place in the file are the same. */
static bool same_bytes(const struct content *a, uint64_t a_at, const struct content *b,
		       uint64_t b_at)
{
	if (a->kind != b->kind || a->kind == CONTENT_HASH)
		return false;
	return a->kind == CONTENT_HOLE ||
	       (a->chunk.size == b->chunk.size && a->offset - a_at == b->offset - b_at &&
		hash_equal(&a->chunk.id, &b->chunk.id));
}

/*
 * What is known of the bytes at ${from}: whether they are those of ${part}; *to is made smaller
 * where that is not known of all up to there.
 */
static bool is_known_same(struct update *update, const struct content *part, uint64_t part_at,
			  uint64_t from, uint64_t *to, bool *is_known)
{
	struct content_place *place = &update->known_place;
	const struct content *known;

	*is_known = false;
	while (update->known && place->index < update->known->count &&
	       place->at + update->known->items[place->index].length <= from)
		place->at += update->known->items[place->index++].length;
	if (!update->known || place->index == update->known->count)
		return false;
	known = &update->known->items[place->index];
	*is_known = true;
	if (place->at + known->length < *to)
		*to = place->at + known->length;
	return same_bytes(part, part_at, known, place->at);
}

static int update_part(struct update *update, const struct content *part, uint64_t part_at,
		       uint64_t from, uint64_t to, struct error **err)
{
	/* whole: in parts, the blocks at their ends would stay allocated; it is cheap to ask */
	if (part->kind == CONTENT_HOLE)
		return update_hole(update, from, to, err);
	while (from < to) {
		uint64_t end = to;
		bool is_known;

		if (!is_known_same(update, part, part_at, from, &end, &is_known) &&
		    update_chunk(update, part, part_at, from, end, !is_known, err) < 0)
			return -1;
		from = end;
	}
	return 0;
}

int update_range(struct update *update, struct error **err)
{
	const struct catalog_entry *entry = update->entry;
	struct content_place *place = &update->content;

	for (; place->index < entry->content_count && place->at < update->end; place->index++) {
		const struct content *part = &entry->contents[place->index];
		uint64_t from = place->at > update->begin ? place->at : update->begin;
		uint64_t to = place->at + part->length < update->end ? place->at + part->length
								     : update->end;

		if (part->kind == CONTENT_HASH)
			return error_set(err, ERROR_DAMAGED, "the content of \"%s\" is not stored",
					 entry->path);
		if (from < to && update_part(update, part, place->at, from, to, err) < 0)
			return -1;
		place->at += part->length;
	}
	return failpoint_error("volume/file-updated", err);
}
