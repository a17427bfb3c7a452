/*
 * One file's bytes on their way into the store, without a copy: pread() straight into
 * the writer's buffers. Holes are found, not read.
 */
#include "tree/capture_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

#define PAGE_BLOCK_DEFAULT (32U << 10)

struct reading {
	struct store_writer *store;
	const struct scan_item *item;
	struct pending_entry *pending;
	capture_file_progress *progress;
	void *context;
	enum chunking chunking;
	uint32_t block;
	uint64_t hole; /* since the last extent */
	bool ended;    /* the file is shorter than it was */
};

static bool is_page_structured(const struct tree_source *source, const char *path)
{
	for (size_t i = 0; source->pages && i < source->pages->count; i++) {
		if (text_match(source->pages->items[i], path))
			return true;
	}
	return false;
}

static int read_failed(const struct reading *reading, struct error **err)
{
	return error_set_errno(err, errno, "cannot read \"%s\"", reading->item->path);
}

/* The bytes from ${from} to ${to} as one stream. */
static int feed_stream(struct reading *reading, uint64_t from, uint64_t to, struct error **err)
{
	uint64_t cookie = pending_entry_stream(reading->pending, reading->hole);

	reading->hole = 0;
	if (store_writer_begin(reading->store, cookie, reading->chunking, reading->block, err) < 0)
		return -1;
	while (from < to && !reading->ended) {
		size_t space, wanted;
		uint8_t *target = store_writer_space(reading->store, &space, err);
		ssize_t size;

		if (!target)
			return -1;
		wanted = to - from < space ? (size_t)(to - from) : space;
		size = io_pread_full(reading->item->fd, target, wanted, from);
		if (size < 0)
			return read_failed(reading, err);
		reading->ended = (size_t)size < wanted;
		if (store_writer_commit(reading->store, (size_t)size, err) < 0 ||
		    reading->progress(reading->context, (uint64_t)size, err) < 0)
			return -1;
		from += (uint64_t)size;
	}
	return store_writer_end(reading->store, err);
}

/*
 * Fixed blocks are aligned to the file, wherever an extent begins: else a hole that
 * grows would move every block behind it.
 */
static int feed_extent(struct reading *reading, uint64_t from, uint64_t to, struct error **err)
{
	uint64_t odd = reading->chunking == CHUNKING_FIXED ? from % reading->block : 0;

	if (odd && to - from > reading->block - odd) {
		uint64_t aligned = from + reading->block - odd;

		if (feed_stream(reading, from, aligned, err) < 0)
			return -1;
		from = aligned;
	}
	return from < to && !reading->ended ? feed_stream(reading, from, to, err) : 0;
}

/* Where the next data is, at most ${size}: the end when there is none. */
static int next_data(const struct reading *reading, uint64_t at, uint64_t size, uint64_t *data,
		     uint64_t *hole)
{
	off_t offset = lseek(reading->item->fd, (off_t)at, SEEK_DATA);

	if (offset < 0 && errno == ENXIO) {
		*data = *hole = size;
		return 0;
	}
	/* a file system without holes */
	if (offset < 0 && errno == EINVAL) {
		*data = at;
		*hole = size;
		return 0;
	}
	if (offset < 0)
		return -1;
	*data = (uint64_t)offset < size ? (uint64_t)offset : size;
	offset = lseek(reading->item->fd, offset, SEEK_HOLE);
	if (offset < 0 && errno != ENXIO)
		return -1;
	*hole = offset >= 0 && (uint64_t)offset < size ? (uint64_t)offset : size;
	if (*hole < *data)
		*hole = *data;
	return 0;
}

static int feed_sparse(struct reading *reading, uint64_t size, struct error **err)
{
	struct file_status status;
	uint64_t at = 0, data, hole;

	while (at < size && !reading->ended) {
		if (next_data(reading, at, size, &data, &hole) < 0)
			return read_failed(reading, err);
		reading->hole += data - at;
		if (data < hole && feed_extent(reading, data, hole, err) < 0)
			return -1;
		at = hole;
	}
	/* what was cut off while it was read is no hole */
	if (!reading->hole || beneath_status(reading->item->fd, "", &status) < 0 ||
	    status.size >= size)
		return 0;
	size -= reading->hole;
	reading->hole = status.size > size ? status.size - size : 0;
	return 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int capture_file(struct store_writer *store, const struct tree_source *source,
		 const struct scan_item *item, struct pending_entry *pending,
		 capture_file_progress *progress, void *context, uint64_t *hole, bool *changed,
		 struct error **err)
{
	struct reading reading = {
		.store = store,
		.item = item,
		.pending = pending,
		.progress = progress,
		.context = context,
	};
	struct file_status after;
	uint64_t size = item->status.size;
	int result;

	if (is_page_structured(source, item->path)) {
		reading.chunking = CHUNKING_FIXED;
		reading.block = source->page_block ? source->page_block : PAGE_BLOCK_DEFAULT;
	}
	if (item->status.blocks * 512 < size)
		result = feed_sparse(&reading, size, err);
	else
		result = feed_extent(&reading, 0, size, err);
	*hole = reading.hole;
	*changed = beneath_status(item->fd, "", &after) < 0 || after.size != size ||
		   !same_time(&after.mtime, &item->status.mtime) ||
		   !same_time(&after.ctime, &item->status.ctime);
	return result;
}
