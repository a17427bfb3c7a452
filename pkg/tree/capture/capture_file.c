/*
 * One file's bytes on their way into the store, without a copy: pread() straight into
 * the writer's buffers. Holes are found, not read. Of a page-structured file that an earlier
 * capture knows only the pages that have changed go there.
 */
#include "tree/capture/capture_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "store/format.h"
#include "store/reader.h"
#include "tree/capture/page_reader.h"
#include "tree/record.h"

#define PAGES_MAX (CHUNK_SIZE_MAX / PAGE_SIZE_MIN)

struct reading {
	struct capture_files *files;
	const struct scan_item *item;
	struct pending_entry *pending;
	enum chunking chunking;
	uint32_t block, page; /* page: 0 when its pages have no hashes */
	const struct page_hasher *hasher;
	uint64_t hole; /* since the last extent */
	bool ended;    /* the file is shorter than it was */
	/* What it is compared with: NULL, or sequences that others own. */
	const struct catalog_entry *earlier;
	struct sequence sequence;
	struct sequence_cursor compared, copied;
	struct page_window window;   /* what is being compared */
	uint64_t kept_from, kept_to; /* pages that are as they were, not in the plan yet */
};

int capture_files_init(struct capture_files *files, struct error **err)
{
	memset(files, 0, sizeof(*files));
	if (getrandom(files->key, sizeof(files->key), 0) != (ssize_t)sizeof(files->key))
		return error_set_errno(err, errno, "cannot get random bytes");
	return 0;
}

void capture_files_release(struct capture_files *files)
{
	page_hasher_free(files->hasher);
	page_reader_free(files->reader);
}

static const struct page_hasher *hasher_for(struct capture_files *files, const uint8_t *key,
					    uint32_t page)
{
	if (!files->hasher || files->hasher_page != page ||
	    memcmp(files->hasher_key, key, PAGE_HASH_KEY_SIZE) != 0) {
		page_hasher_free(files->hasher);
		files->hasher = page_hasher_new(key, page);
		files->hasher_page = page;
		memcpy(files->hasher_key, key, PAGE_HASH_KEY_SIZE);
	}
	return files->hasher;
}

static int read_failed(const struct reading *reading, struct error **err)
{
	return error_set_errno(err, errno, "cannot read \"%s\"", reading->item->path);
}

/* ---- as it is ---- */

static uint64_t page_up(const struct reading *reading, uint64_t at)
{
	return (at + reading->page - 1) / reading->page * reading->page;
}

/* The hashes of all whole pages in ${size} bytes that begin at ${at} in the file. */
static void add_hashes(struct reading *reading, const uint8_t *data, uint64_t at, size_t size)
{
	uint8_t hash[PAGE_HASH_SIZE];

	if (!reading->page)
		return;
	for (uint64_t page = page_up(reading, at); page + reading->page <= at + size;
	     page += reading->page) {
		page_hasher_run(reading->hasher, data + (page - at), hash);
		pending_entry_hash(reading->pending, hash);
	}
}

/* The same, of what is in the window. */
static void add_known_hashes(struct reading *reading, uint64_t at, size_t size)
{
	for (uint64_t page = page_up(reading, at); page + reading->page <= at + size;
	     page += reading->page)
		pending_entry_hash(reading->pending,
				   page_window_hash(&reading->window, reading->page, page));
}

/* The bytes from ${from} to ${to} as one stream. */
static int feed_stream(struct reading *reading, uint64_t from, uint64_t to, struct error **err)
{
	struct store_writer *store = reading->files->store;
	uint64_t cookie = pending_entry_stream(reading->pending, reading->hole);

	reading->hole = 0;
	if (store_writer_begin(store, cookie, reading->chunking, reading->block, err) < 0)
		return -1;
	while (from < to && !reading->ended) {
		size_t space, wanted;
		uint8_t *target = store_writer_space(store, &space, err);
		ssize_t size;

		if (!target)
			return -1;
		wanted = to - from < space ? (size_t)(to - from) : space;
		/* no page is cut in two; there is always room for more than one */
		if (reading->page && from + wanted < to)
			wanted -= (size_t)((from + wanted) % reading->page);
		size = io_pread_full(reading->item->fd, target, wanted, from);
		if (size < 0)
			return read_failed(reading, err);
		reading->ended = (size_t)size < wanted;
		add_hashes(reading, target, from, (size_t)size);
		if (store_writer_commit(store, (size_t)size, err) < 0 ||
		    reading->files->progress(reading->files->context, (uint64_t)size, err) < 0)
			return -1;
		from += (uint64_t)size;
	}
	return store_writer_end(store, err);
}

/* ---- page by page ---- */

/* Pages that were found unchanged get into the plan before anything else does. */
static void keep_until_here(struct reading *reading)
{
	if (reading->kept_from < reading->kept_to)
		pending_entry_copy(reading->pending, &reading->copied, reading->kept_from,
				   reading->kept_to);
	reading->kept_from = reading->kept_to = 0;
}

/* ${at} is where the hole ends. One that was there before is no change. */
static void end_hole(struct reading *reading, uint64_t at)
{
	struct sequence_cursor cursor = reading->compared;
	uint64_t from = at - reading->hole;

	if (!reading->hole)
		return;
	keep_until_here(reading);
	if (sequence_is_hole(&cursor, from, at))
		pending_entry_copy(reading->pending, &reading->copied, from, at);
	else
		pending_entry_hole(reading->pending, reading->hole);
	reading->hole = 0;
}

static void keep(struct reading *reading, uint64_t from, uint64_t to)
{
	if (reading->kept_to != from) {
		keep_until_here(reading);
		reading->kept_from = from;
	}
	reading->kept_to = to;
}

/* Bytes of one block, or of some of its pages. */
static int feed_piece(struct reading *reading, const uint8_t *data, uint64_t at, size_t size,
		      struct error **err)
{
	enum chunking chunking = size < reading->block ? CHUNKING_SCATTERED : CHUNKING_FIXED;
	uint64_t cookie;

	keep_until_here(reading);
	cookie = pending_entry_stream(reading->pending, 0);
	add_known_hashes(reading, at, size);
	return store_writer_put(reading->files->store, cookie, chunking, reading->block, data, size,
				err);
}

/* The whole block is in the store: it has its old content again, or another file's. */
static bool take_known_block(struct reading *reading, const uint8_t *data, uint64_t at, size_t size)
{
	const struct store *known = reading->files->known;
	struct chunk_ref ref = {.size = (uint32_t)size};

	if (!known)
		return false;
	hash_data(&ref.id, data, size);
	if (store_chunk_size(known, &ref.id) != size)
		return false;
	keep_until_here(reading);
	pending_entry_chunk(reading->pending, &ref);
	add_known_hashes(reading, at, size);
	return true;
}

/* How many bytes of ${size} from ${at} are one page that is as it was (*same), or are not. */
static size_t compare_next(struct reading *reading, uint64_t at, size_t size, bool *same)
{
	uint64_t up = page_up(reading, at);
	const uint8_t *before, *now;

	*same = false;
	/* a part of a page: a hole begins or ends within it */
	if (up != at)
		return up - at < size ? (size_t)(up - at) : size;
	if (size < reading->page)
		return size;
	before = sequence_page_hash(&reading->compared, at);
	now = page_window_hash(&reading->window, reading->page, at);
	*same = before && now && memcmp(now, before, PAGE_HASH_SIZE) == 0;
	return reading->page;
}

struct page_run {
	uint32_t size; /* bytes */
	bool same;
};

/* Neighbouring pages together. Returns how many runs there are, and how much has changed. */
static size_t compare_block(struct reading *reading, uint64_t at, size_t size,
			    struct page_run *runs, size_t *changed)
{
	size_t count = 0, part;

	*changed = 0;
	for (size_t done = 0; done < size; done += part) {
		bool same;

		part = compare_next(reading, at + done, size - done, &same);
		if (!same)
			*changed += part;
		if (count && runs[count - 1].same == same)
			runs[count - 1].size += (uint32_t)part;
		else
			runs[count++] = (struct page_run){.size = (uint32_t)part, .same = same};
	}
	return count;
}

static int take_block(struct reading *reading, const uint8_t *data, uint64_t at, size_t size,
		      struct error **err)
{
	struct page_run runs[PAGES_MAX + 2];
	size_t changed, count = compare_block(reading, at, size, runs, &changed);

	if (!changed) {
		keep(reading, at, at + size);
		return 0;
	}
	if (take_known_block(reading, data, at, size))
		return 0;
	/* what little stays is not worth being looked up by itself */
	if (changed >= size - size / 4)
		return feed_piece(reading, data, at, size, err);
	for (size_t i = 0; i < count; i++) {
		if (runs[i].same)
			keep(reading, at, at + runs[i].size);
		else if (feed_piece(reading, data, at, runs[i].size, err) < 0)
			return -1;
		data += runs[i].size;
		at += runs[i].size;
	}
	return 0;
}

/* All blocks in the window. */
static int compare_window(struct reading *reading, struct error **err)
{
	const struct page_window *window = &reading->window;
	size_t part;

	for (size_t done = 0; done < window->size; done += part) {
		uint64_t at = window->at + done;

		part = reading->block - (size_t)(at % reading->block);
		if (part > window->size - done)
			part = window->size - done;
		if (take_block(reading, window->data + done, at, part, err) < 0)
			return -1;
	}
	return reading->files->progress(reading->files->context, window->size, err);
}

static int compare_extent(struct reading *reading, uint64_t from, uint64_t to, struct error **err)
{
	struct page_reader *reader = reading->files->reader;
	const struct page_range range = {
		.fd = reading->item->fd,
		.from = from,
		.to = to,
		.block = reading->block,
		.page = reading->page,
		.hasher = reading->hasher,
	};
	int got, result = 0;

	end_hole(reading, from);
	page_reader_begin(reader, &range);
	while (result == 0 && (got = page_reader_next(reader, &reading->window)) > 0) {
		from = reading->window.at + reading->window.size;
		result = compare_window(reading, err);
	}
	if (result == 0 && got < 0)
		result = read_failed(reading, err);
	page_reader_end(reader);
	reading->ended = from < to;
	return result;
}

/*
 * Fixed blocks are aligned to the file, wherever an extent begins: else a hole that
 * grows would move every block behind it.
 */
static int feed_extent(struct reading *reading, uint64_t from, uint64_t to, struct error **err)
{
	uint64_t odd = reading->chunking == CHUNKING_FIXED ? from % reading->block : 0;

	if (reading->earlier)
		return compare_extent(reading, from, to, err);
	if (odd && to - from > reading->block - odd) {
		uint64_t aligned = from + reading->block - odd;

		if (feed_stream(reading, from, aligned, err) < 0)
			return -1;
		from = aligned;
	}
	return from < to && !reading->ended ? feed_stream(reading, from, to, err) : 0;
}

/* ---- the file ---- */

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

/*
 * The number of blocks does not tell: attributes and the map of the file have some as well, and
 * a file system may have put more by. A dense file costs this one call.
 */
static bool has_holes(const struct reading *reading, uint64_t size)
{
	off_t hole = size ? lseek(reading->item->fd, 0, SEEK_HOLE) : -1;

	return hole >= 0 && (uint64_t)hole < size;
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

static void begin_pages(struct reading *reading, const struct catalog_entry *earlier)
{
	struct capture_files *files = reading->files;
	const uint8_t *key = files->key;

	if (earlier && earlier->lists && earlier->lists->page == reading->page) {
		key = earlier->lists->key;
		reading->earlier = earlier;
		sequence_borrow(&reading->sequence, earlier);
		sequence_cursor_init(&reading->compared, &reading->sequence);
		sequence_cursor_init(&reading->copied, &reading->sequence);
		if (!files->reader)
			files->reader = page_reader_new();
	}
	reading->hasher = hasher_for(files, key, reading->page);
	pending_entry_pages(reading->pending, reading->page, key, reading->earlier);
}

int capture_file(struct capture_files *files, const struct page_layout *layout,
		 const struct scan_item *item, const struct catalog_entry *earlier,
		 struct pending_entry *pending, uint64_t *hole, bool *changed, struct error **err)
{
	struct reading reading = {.files = files,
				  .item = item,
				  .pending = pending,
				  .block = layout->block,
				  .page = layout->page};
	struct file_status after;
	uint64_t size = item->status.size;
	int result;

	if (layout->block)
		reading.chunking = CHUNKING_FIXED;
	if (layout->page)
		begin_pages(&reading, earlier);
	if (has_holes(&reading, size))
		result = feed_sparse(&reading, size, err);
	else
		result = feed_extent(&reading, 0, size, err);
	keep_until_here(&reading);
	*hole = reading.hole;
	*changed = beneath_status(item->fd, "", &after) < 0 || after.size != size ||
		   !same_time(&after.mtime, &item->status.mtime) ||
		   !same_time(&after.ctime, &item->status.ctime);
	return result;
}
