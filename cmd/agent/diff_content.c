/*
 * One file of two snapshots. In volumes the records tell where to look; own files are read
 * side by side.
 */
#include "diff_content.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "channel.h"
#include "entry.h"
#include "locate.h"
#include "send.h"
#include "tree/diff/diff.h"
#include "tree/own/own_place.h"

#define TEXT_MAX (8U << 20) /* bytes of a file that is compared as text */
#define TEXT_LOOK 8000U	    /* without a NUL in so many bytes it is text, as git has it */
#define BLOCK_SIZE (128U << 10)
#define RANGES_PART 512U
#define RANGES_MAX 100000U

/* One side; absent where there is no such file. */
struct content_side {
	const struct snapshot_view *view;
	struct location location;
	bool is_there;
	struct catalog_reader *reader; /* of a file in a tree, at its record */
	struct catalog_entry entry;
	int fd; /* of a file in the image; -1 */
};

static void side_release(struct content_side *side)
{
	location_release(&side->location);
	catalog_close(side->reader);
	if (side->fd >= 0)
		close(side->fd);
}

/* At the record of the file, of its first name where it has several. */
static int open_record(struct content_side *side, const char *path, struct error **err)
{
	cleanup_free char *first = NULL;
	int result;

	side->reader = catalog_open(side->view->store, &side->location.tree->root, err);
	if (!side->reader)
		return -1;
	while ((result = catalog_next_brief(side->reader, &side->entry, err)) > 0) {
		if (strcmp(side->entry.path, path) == 0)
			break;
	}
	if (result <= 0)
		return result < 0 ? -1 : error_set(err, ERROR_DAMAGED, "\"%s\" is gone", path);
	if (!side->entry.hardlink)
		return catalog_complete(side->reader, &side->entry, err);
	first = memory_strdup(side->entry.hardlink);
	catalog_close(STEAL_POINTER(side->reader));
	return open_record(side, first, err);
}

static int open_side(struct content_side *side, const char *path, struct error **err)
{
	cleanup_error struct error *problem = NULL;

	if (locate(side->view, path, true, &side->location, &problem) < 0) {
		if (problem->kind == ERROR_NOT_FOUND)
			return 0;
		error_append(err, STEAL_POINTER(problem));
		return -1;
	}
	if (!S_ISREG(side->location.mode)) {
		error_set(err, ERROR_USAGE, "\"%s\" is no regular file but a %s", path,
			  catalog_type_name(side->location.mode));
		return error_hint(err, "without --content all that is below it is compared");
	}
	side->is_there = true;
	if (side->location.tree)
		return open_record(side, side->location.relative, err);
	side->fd = place_open(side->view->root_fd, side->location.relative, O_RDONLY | O_NONBLOCK);
	return side->fd < 0 ? error_set_errno(err, errno, "cannot open \"%s\"", path) : 0;
}

/* Bytes from ${at}; a file in a tree is read forwards only. */
static int read_tree(const struct content_side *side, uint64_t at, uint8_t *data, size_t size,
		     struct error **err)
{
	uint64_t begins = 0;

	memset(data, 0, size);
	for (size_t i = 0; i < side->entry.content_count; i++) {
		const struct content *content = &side->entry.contents[i];
		uint64_t ends = begins + content->length;
		uint64_t from = begins > at ? begins : at, to = ends < at + size ? ends : at + size;
		struct chunk chunk;

		if (from < to && content->kind == CONTENT_CHUNK) {
			if (store_get(side->view->store, &content->chunk, &chunk, err) < 0)
				return -1;
			memcpy(data + (from - at), chunk.data + content->offset + (from - begins),
			       (size_t)(to - from));
			store_put_back(side->view->store, &chunk);
		}
		if (ends >= at + size)
			break;
		begins = ends;
	}
	return 0;
}

static int read_side(const struct content_side *side, uint64_t at, uint8_t *data, size_t size,
		     struct error **err)
{
	if (side->location.tree)
		return read_tree(side, at, data, size, err);
	if (io_pread_full(side->fd, data, size, at) == (ssize_t)size)
		return 0;
	return error_set_errno(err, errno, "cannot read \"%s\"", side->location.path);
}

static int is_text(const struct content_side *side, struct error **err)
{
	cleanup_free uint8_t *data = memory_alloc(TEXT_LOOK);
	size_t size = side->location.size < TEXT_LOOK ? (size_t)side->location.size : TEXT_LOOK;

	if (!side->is_there)
		return 1;
	if (side->location.size > TEXT_MAX)
		return 0;
	if (read_side(side, 0, data, size, err) < 0)
		return -1;
	return !memchr(data, 0, size);
}

/* ---- ranges ---- */

struct ranges {
	struct json *part;
	size_t in_part;
	uint64_t begins, ends; /* not told yet */
	uint64_t count, changed;
};

static void send_ranges(struct ranges *ranges)
{
	struct json *found;

	if (!ranges->part)
		return;
	found = json_new_object();
	json_set(found, "ranges", STEAL_POINTER(ranges->part));
	channel_send(WIRE_FOUND, found);
	ranges->in_part = 0;
}

static void end_range(struct ranges *ranges)
{
	struct json *range;

	if (ranges->begins == ranges->ends)
		return;
	ranges->changed += ranges->ends - ranges->begins;
	if (ranges->count++ >= RANGES_MAX)
		return;
	if (!ranges->part)
		ranges->part = json_new_array();
	range = json_add(ranges->part, json_new_array());
	json_add(range, json_new_int((int64_t)ranges->begins));
	json_add(range, json_new_int((int64_t)(ranges->ends - ranges->begins)));
	if (++ranges->in_part >= RANGES_PART)
		send_ranges(ranges);
}

static int add_range(void *context, uint64_t offset, uint64_t length, struct error **err)
{
	struct ranges *ranges = context;

	(void)err;
	if (offset != ranges->ends || ranges->begins == ranges->ends) {
		end_range(ranges);
		ranges->begins = offset;
	}
	ranges->ends = offset + length;
	return 0;
}

/* What is not in the same store in both: block by block. */
static int compare_by_reading(const struct content_side *from, const struct content_side *to,
			      struct ranges *ranges, struct error **err)
{
	cleanup_free uint8_t *a = memory_alloc(BLOCK_SIZE), *b = memory_alloc(BLOCK_SIZE);
	uint64_t both =
		from->location.size < to->location.size ? from->location.size : to->location.size;
	uint64_t all =
		from->location.size < to->location.size ? to->location.size : from->location.size;

	for (uint64_t at = 0; at < both;) {
		size_t size = both - at < BLOCK_SIZE ? (size_t)(both - at) : BLOCK_SIZE;

		if (read_side(from, at, a, size, err) < 0 || read_side(to, at, b, size, err) < 0)
			return -1;
		for (size_t i = 0; i < size; i++)
			if (a[i] != b[i])
				add_range(ranges, at + i, 1, err);
		at += size;
	}
	if (both < all)
		add_range(ranges, both, all - both, err);
	return 0;
}

static int tell_ranges(const struct content_side *from, const struct content_side *to,
		       struct error **err)
{
	struct diff_reading reading = {.is_exact = true};
	struct ranges ranges = {.part = NULL};
	struct json *found;
	uint64_t ignored;
	int result;

	if (from->location.tree && to->location.tree)
		result = diff_content(from->view->store, &from->entry, to->view->store, &to->entry,
				      &reading, add_range, &ranges, &ignored, err);
	else
		result = compare_by_reading(from, to, &ranges, err);
	if (result == 0)
		end_range(&ranges);
	if (result < 0) {
		json_free(ranges.part);
		return -1;
	}
	send_ranges(&ranges);
	found = json_new_object();
	json_set_int(found, "changed_bytes", (int64_t)ranges.changed);
	json_set_int(found, "count", (int64_t)ranges.count);
	channel_send(WIRE_FOUND, found);
	return 0;
}

/* ---- all of it ---- */

static void set_side(struct json *content, const char *key, const struct content_side *side)
{
	struct json *object;

	if (!side->is_there)
		return;
	object = json_set_object(content, key);
	json_set_bytes(object, "path", side->location.path);
	json_set_int(object, "size", (int64_t)side->location.size);
}

static int send_text(const struct content_side *side, const struct string_list *dropped,
		     struct error **err)
{
	struct send_totals totals = {0};

	if (side->is_there && send_location(side->view, &side->location, dropped, &totals, err) < 0)
		return -1;
	channel_send(WIRE_END, NULL);
	return 0;
}

static int send_both(const struct content_side *from, const struct content_side *to,
		     const struct string_list *dropped, struct error **err)
{
	int text = is_text(from, err), other = text < 0 ? -1 : is_text(to, err);
	struct json *found, *content;
	bool is_whole;

	if (text < 0 || other < 0)
		return -1;
	/* one that is binary and alone differs from nothing in all of it */
	is_whole = text && other;
	found = json_new_object();
	content = json_set_object(found, "content");
	json_set_string(content, "kind", is_whole ? "text" : "binary");
	set_side(content, "from", from);
	set_side(content, "to", to);
	channel_send(WIRE_FOUND, found);
	if (is_whole)
		return send_text(from, dropped, err) < 0 || send_text(to, dropped, err) < 0 ? -1
											    : 0;
	if (from->is_there && to->is_there && tell_ranges(from, to, err) < 0)
		return -1;
	channel_send(WIRE_END, NULL);
	return 0;
}

int diff_content_send(const struct snapshot_view *from, const struct snapshot_view *to,
		      const char *path, const struct string_list *dropped, struct error **err)
{
	CLEANUP(side_release) struct content_side a = {.view = from, .fd = -1};
	CLEANUP(side_release) struct content_side b = {.view = to, .fd = -1};

	if (open_side(&a, path, err) < 0 || open_side(&b, path, err) < 0)
		return -1;
	if (!a.is_there && !b.is_there)
		return error_set(err, ERROR_NOT_FOUND, "neither has a file \"%s\"", path);
	return send_both(&a, &b, dropped, err);
}
