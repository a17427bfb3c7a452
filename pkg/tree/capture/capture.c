/*
 * Capturing: a scan, whose files are read straight into the store's buffers, and whose
 * items become the entries of a catalog.
 */
#include "tree/capture/capture.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/memory.h"
#include "tree/capture/capture_file.h"
#include "tree/capture/scan.h"
#include "tree/capture/tree_writer.h"
#include "tree/inodes.h"
#include "tree/write_back.h"

struct capture {
	struct tree_writer writer;
	struct capture_files reading;
	struct pending_entry *dump; /* the file that arrives; NULL: none */
};

static int progress(void *context, uint64_t bytes, struct error **err)
{
	struct capture *capture = context;

	return tree_writer_progress(&capture->writer, bytes, err);
}

struct capture *capture_open(const struct capture_options *options, struct error **err)
{
	struct capture *capture = memory_zalloc(sizeof(*capture));

	if (capture_files_init(&capture->reading, err) < 0 ||
	    tree_writer_open(&capture->writer, options, err) < 0) {
		capture_free(capture);
		return NULL;
	}
	capture->reading.store = capture->writer.store;
	capture->reading.known = options->known;
	capture->reading.progress = progress;
	capture->reading.context = capture;
	return capture;
}

void capture_free(struct capture *capture)
{
	if (!capture)
		return;
	tree_writer_release(&capture->writer);
	capture_files_release(&capture->reading);
	free(capture);
}

static void entry_of_item(const struct scan_item *item, struct catalog_entry *entry)
{
	const struct file_status *status = &item->status;

	memset(entry, 0, sizeof(*entry));
	entry->path = item->path;
	entry->mode = status->mode;
	entry->uid = status->uid;
	entry->gid = status->gid;
	entry->device = status->node;
	entry->mtime = status->mtime;
	entry->fingerprint.device = status->device;
	entry->fingerprint.inode = status->inode;
	entry->fingerprint.ctime = status->ctime;
	entry->link = item->link;
	entry->attributes = item->attributes;
	entry->attribute_count = item->attribute_count;
}

/* One pass over one tree. */
struct walk {
	struct capture *capture;
	const struct tree_source *source;
	struct inode_map inodes;
	enum write_back_kind kind;
	bool defer;
	const struct catalog_entry *earlier; /* of the item given last; NULL: it is to be read */
	struct capture_pass pass;
};

/* The scan asks: is all known of this file by its status alone? */
static bool is_unchanged(void *context, const char *path, const struct file_status *status)
{
	struct walk *walk = context;

	walk->earlier = NULL;
	/* one more name of a file that was met */
	if (status->links > 1 && inode_map_has(&walk->inodes, status))
		return true;
	if (walk->kind != WRITE_BACK_NONE && walk->source->earlier)
		walk->earlier = earlier_find(walk->source->earlier, path, status);
	return walk->earlier != NULL;
}

static void take_earlier(struct walk *walk, struct pending_entry *pending)
{
	bool is_reused = earlier_is_reused(walk->source->earlier);

	walk->capture->writer.bytes += walk->earlier->size;
	catalog_writer_contents(walk->capture->writer.catalog, pending, walk->earlier, is_reused);
	if (is_reused)
		walk->pass.reused_bytes += walk->earlier->size;
}

/* What the pages of a file are compared with; NULL: it is stored in whole blocks. */
static const struct catalog_entry *find_pages(struct walk *walk, const struct scan_item *item,
					      const struct page_layout *layout)
{
	const struct tree_source *source = walk->source;

	if (!source->earlier || !item->status.size || !layout->page)
		return NULL;
	return earlier_pages(source->earlier, item->path, &item->status);
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

static void defer(struct capture_pass *pass, const struct file_status *status)
{
	const struct timespec *times[] = {&status->mtime, &status->ctime};

	pass->deferred_bytes += status->size;
	for (size_t i = 0; i < 2; i++)
		if (is_later(times[i], &pass->hottest))
			pass->hottest = *times[i];
}

/* A file's contents, one way or another. */
static int capture_contents(struct walk *walk, const struct scan_item *item,
			    struct pending_entry *pending, bool *is_hot_file, struct error **err)
{
	struct capture *capture = walk->capture;
	const struct page_layout layout = page_layout_of(walk->source, item);
	const struct catalog_entry *earlier = find_pages(walk, item, &layout);
	uint64_t hole = 0, before = capture->writer.bytes;
	bool changed = false;
	int result = 0;

	*is_hot_file =
		walk->kind == WRITE_BACK_NONE || is_hot(&item->status, &item->looked) ||
		(walk->source->has_direct_io && is_hot_directly(&item->status, &item->looked));
	if (walk->defer && *is_hot_file && walk->kind != WRITE_BACK_NONE) {
		defer(&walk->pass, &item->status);
		/* the next pass compares with the same */
		if (earlier)
			catalog_writer_contents(capture->writer.catalog, pending, earlier, true);
	} else if (item->status.size) {
		*is_hot_file |= walk->source->is_frozen || !write_back(item->fd, walk->kind);
		result = capture_file(&capture->reading, &layout, item, earlier, pending, &hole,
				      &changed, err);
		walk->pass.read_bytes += capture->writer.bytes - before;
	}
	if (result < 0)
		return -1;
	return catalog_writer_complete(capture->writer.catalog, pending, hole,
				       changed || *is_hot_file, err);
}

static int capture_item(struct walk *walk, const struct scan_item *item, struct error **err)
{
	struct capture *capture = walk->capture;
	struct catalog_entry entry;
	struct pending_entry *pending;
	bool is_hot_file = false;
	int result;

	entry_of_item(item, &entry);
	if (item->status.links > 1 && !S_ISDIR(entry.mode)) {
		entry.hardlink = inode_map_seen(&walk->inodes, &item->status, item->path);
		if (entry.hardlink)
			entry.attribute_count = 0;
		entry.flags |= ENTRY_LINKED;
	}
	if (item->is_unchanged && !entry.hardlink) {
		entry.attributes = walk->earlier->attributes;
		entry.attribute_count = walk->earlier->attribute_count;
	}
	if (!S_ISDIR(entry.mode))
		capture->writer.files++;
	pending = catalog_writer_push(capture->writer.catalog, &entry);
	if (item->is_unchanged && !entry.hardlink)
		take_earlier(walk, pending);
	if (S_ISREG(entry.mode) && !entry.hardlink && !item->is_unchanged)
		result = capture_contents(walk, item, pending, &is_hot_file, err);
	else
		result = catalog_writer_complete(capture->writer.catalog, pending, 0, false, err);
	return result < 0 ? -1 : progress(capture, 0, err);
}

/* The catalog was begun; ends it. */
static int capture_walk(struct walk *walk, struct tree_record *record, struct error **err)
{
	const struct tree_source *source = walk->source;
	struct scan_options options = {
		.root_fd = source->root_fd,
		.excluded = source->excluded,
		.allow_overlay = source->allow_overlay,
		.is_unchanged = is_unchanged,
		.context = walk,
		.excluded_found = &record->excluded,
		.skipped = &record->skipped,
	};
	CLEANUP(cleanup_scan_close) struct scan *scan = scan_open(&options, err);
	struct scan_item item;
	int result;

	if (!scan)
		return -1;
	walk->capture->writer.files = walk->capture->writer.bytes = 0;
	walk->kind = write_back_kind(source->root_fd);
	walk->pass.is_trusted = walk->kind != WRITE_BACK_NONE;
	inode_map_init(&walk->inodes);
	while ((result = scan_next(scan, &item, err)) > 0) {
		result = capture_item(walk, &item, err);
		if (result < 0)
			break;
	}
	inode_map_release(&walk->inodes);
	return result < 0 ? -1
			  : catalog_writer_end(walk->capture->writer.catalog, record, NULL, err);
}

int capture_tree(struct capture *capture, const struct tree_source *source,
		 struct tree_record *record, struct capture_pass *pass, struct error **err)
{
	struct walk walk = {.capture = capture, .source = source};

	if (catalog_writer_begin(capture->writer.catalog, false, err) < 0 ||
	    capture_walk(&walk, record, err) < 0)
		return -1;
	if (pass)
		*pass = walk.pass;
	return 0;
}

int capture_draft(struct capture *capture, const struct tree_source *source, struct draft *draft,
		  bool defer, struct tree_record *record, struct capture_pass *pass,
		  struct error **err)
{
	struct walk walk = {.capture = capture, .source = source, .defer = defer};

	if (catalog_writer_begin_draft(capture->writer.catalog, draft, err) < 0 ||
	    capture_walk(&walk, record, err) < 0)
		return -1;
	*pass = walk.pass;
	return 0;
}

int capture_renew(struct capture *capture, struct error **err)
{
	return store_writer_renew(capture->writer.store, err);
}

int capture_dump_begin(struct capture *capture, const char *name, const struct timespec *mtime,
		       struct error **err)
{
	struct catalog_writer *catalog = capture->writer.catalog;
	const struct catalog_entry root = {.path = "", .mode = S_IFDIR | 0700, .mtime = *mtime};
	const struct catalog_entry file = {.path = name, .mode = S_IFREG | 0600, .mtime = *mtime};

	if (catalog_writer_begin(catalog, false, err) < 0 ||
	    catalog_writer_add(catalog, &root, err) < 0)
		return -1;
	capture->writer.files = capture->writer.bytes = 0;
	capture->dump = catalog_writer_push(catalog, &file);
	return store_writer_begin(capture->writer.store, pending_entry_stream(capture->dump, 0),
				  CHUNKING_CONTENT, 0, err);
}

int capture_dump_data(struct capture *capture, const void *data, size_t size, struct error **err)
{
	const char *next = data;

	while (size) {
		size_t space;
		uint8_t *target = store_writer_space(capture->writer.store, &space, err);

		if (!target)
			return -1;
		space = space < size ? space : size;
		memcpy(target, next, space);
		if (store_writer_commit(capture->writer.store, space, err) < 0 ||
		    progress(capture, space, err) < 0)
			return -1;
		next += space;
		size -= space;
	}
	return 0;
}

int capture_dump_end(struct capture *capture, struct tree_record *record, struct error **err)
{
	struct catalog_writer *catalog = capture->writer.catalog;

	if (store_writer_end(capture->writer.store, err) < 0 ||
	    catalog_writer_complete(catalog, STEAL_POINTER(capture->dump), 0, false, err) < 0)
		return -1;
	return catalog_writer_end(catalog, record, NULL, err);
}

int capture_catalog_begin(struct capture *capture, struct error **err)
{
	return catalog_writer_begin(capture->writer.catalog, true, err);
}

int capture_catalog_add(struct capture *capture, const struct catalog_entry *entry,
			struct error **err)
{
	return catalog_writer_add(capture->writer.catalog, entry, err);
}

int capture_catalog_end(struct capture *capture, struct tree_record *record,
			struct catalog_root *root, struct error **err)
{
	return catalog_writer_end(capture->writer.catalog, record, root, err);
}

int capture_finish(struct capture *capture, struct pack_info **packs, size_t *count,
		   struct store_writer_totals *totals, struct error **err)
{
	return tree_writer_finish(&capture->writer, packs, count, totals, err);
}

int tree_measure(const struct tree_source *source, struct tree_measure *measure,
		 struct string_list *skipped, struct error **err)
{
	struct scan_options options = {
		.root_fd = source->root_fd,
		.excluded = source->excluded,
		.allow_overlay = source->allow_overlay,
		.sizes_only = true,
		.skipped = skipped,
	};
	CLEANUP(cleanup_scan_close) struct scan *scan = scan_open(&options, err);
	struct inode_map inodes;
	struct scan_item item;
	int result;

	memset(measure, 0, sizeof(*measure));
	if (!scan)
		return -1;
	inode_map_init(&inodes);
	while ((result = scan_next(scan, &item, err)) > 0) {
		mode_t mode = item.status.mode;
		bool again = item.status.links > 1 && !S_ISDIR(mode) &&
			     inode_map_seen(&inodes, &item.status, item.path);

		measure->directories += S_ISDIR(mode);
		measure->files += S_ISREG(mode);
		measure->others += !S_ISDIR(mode) && !S_ISREG(mode);
		if (!again && S_ISREG(mode))
			measure->bytes += item.status.size;
		if (!again)
			measure->allocated_bytes += item.status.blocks * 512;
	}
	inode_map_release(&inodes);
	return result;
}
