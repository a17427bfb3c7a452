/*
 * Capturing: a scan, whose files are read straight into the store's buffers, and whose
 * items become the entries of a catalog.
 */
#include "tree/capture.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/memory.h"
#include "tree/capture_file.h"
#include "tree/catalog_writer.h"
#include "tree/inodes.h"
#include "tree/scan.h"

#define PROGRESS_INTERVAL_MS 100
#define HOT_NS (20 * 1000 * 1000LL)

struct capture {
	struct capture_options options;
	struct store_writer *store;
	struct catalog_writer *catalog;
	uint64_t files, bytes;
	uint64_t progress_at_ms;
	unsigned calls; /* of progress(), to look at the clock seldom */
};

struct capture *capture_open(const struct capture_options *options, struct error **err)
{
	struct capture *capture = memory_zalloc(sizeof(*capture));
	struct store_writer_options store = {
		.directory_fd = options->store_fd,
		.known = options->known,
		.compression_level = options->compression_level,
		.workers = options->workers,
		.sink = catalog_writer_sink,
		.permit = options->permit,
		.permit_context = options->permit_context,
	};

	capture->options = *options;
	capture->catalog = catalog_writer_new();
	store.sink_context = capture->catalog;
	capture->store = store_writer_open(&store, err);
	if (!capture->store) {
		capture_free(capture);
		return NULL;
	}
	catalog_writer_attach(capture->catalog, capture->store);
	return capture;
}

void capture_free(struct capture *capture)
{
	if (!capture)
		return;
	store_writer_free(capture->store);
	catalog_writer_free(capture->catalog);
	free(capture);
}

/* Tell the caller now and then; it may end the capture. */
static int progress(void *context, uint64_t bytes, struct error **err)
{
	struct capture *capture = context;
	uint64_t now;

	capture->bytes += bytes;
	if (!capture->options.progress || (bytes < 1U << 16 && ++capture->calls % 32))
		return 0;
	now = clock_monotonic_ms();
	if (now < capture->progress_at_ms)
		return 0;
	capture->progress_at_ms = now + PROGRESS_INTERVAL_MS;
	return capture->options.progress(capture->options.progress_context, capture->files,
					 capture->bytes, err);
}

static bool is_recent(const struct timespec *time, const struct timespec *now)
{
	long long age = (long long)(now->tv_sec - time->tv_sec);

	if (age > 1)
		return false;
	return age < 0 || age * 1000000000LL + (now->tv_nsec - time->tv_nsec) < HOT_NS;
}

/* Whether a later change within the same tick of the clock could leave the times as they are. */
static bool is_hot(const struct file_status *status)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return is_recent(&status->mtime, &now) || is_recent(&status->ctime, &now);
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
	if (is_hot(status))
		entry->flags |= ENTRY_HOT;
}

static int capture_item(struct capture *capture, const struct tree_source *source,
			const struct scan_item *item, struct inode_map *inodes, struct error **err)
{
	struct catalog_entry entry;
	struct pending_entry *pending;
	uint64_t hole = 0;
	bool changed = false;

	entry_of_item(item, &entry);
	if (item->status.links > 1 && !S_ISDIR(entry.mode)) {
		entry.hardlink = inode_map_seen(inodes, &item->status, item->path);
		if (entry.hardlink)
			entry.attribute_count = 0;
		entry.flags |= ENTRY_LINKED;
	}
	if (!S_ISDIR(entry.mode))
		capture->files++;
	pending = catalog_writer_push(capture->catalog, &entry);
	if (S_ISREG(entry.mode) && !entry.hardlink && item->status.size &&
	    capture_file(capture->store, source, item, pending, progress, capture, &hole, &changed,
			 err) < 0)
		return -1;
	if (catalog_writer_complete(capture->catalog, pending, hole, changed, err) < 0)
		return -1;
	return progress(capture, 0, err);
}

int capture_tree(struct capture *capture, const struct tree_source *source,
		 struct tree_record *record, struct error **err)
{
	struct scan_options options = {
		.root_fd = source->root_fd,
		.excluded = source->excluded,
		.allow_overlay = source->allow_overlay,
		.excluded_found = &record->excluded,
		.skipped = &record->skipped,
	};
	CLEANUP(cleanup_scan_close) struct scan *scan = scan_open(&options, err);
	struct inode_map inodes;
	struct scan_item item;
	int result;

	if (!scan || catalog_writer_begin(capture->catalog, false, err) < 0)
		return -1;
	inode_map_init(&inodes);
	while ((result = scan_next(scan, &item, err)) > 0) {
		result = capture_item(capture, source, &item, &inodes, err);
		if (result < 0)
			break;
	}
	inode_map_release(&inodes);
	if (result < 0)
		return -1;
	return catalog_writer_end(capture->catalog, record, NULL, err);
}

int capture_catalog_begin(struct capture *capture, struct error **err)
{
	return catalog_writer_begin(capture->catalog, true, err);
}

int capture_catalog_add(struct capture *capture, const struct catalog_entry *entry,
			struct error **err)
{
	return catalog_writer_add(capture->catalog, entry, err);
}

int capture_catalog_end(struct capture *capture, struct tree_record *record,
			struct catalog_root *root, struct error **err)
{
	return catalog_writer_end(capture->catalog, record, root, err);
}

int capture_finish(struct capture *capture, struct pack_info **packs, size_t *count,
		   struct store_writer_totals *totals, struct error **err)
{
	if (store_writer_finish(capture->store, packs, count, err) < 0)
		return -1;
	if (totals)
		store_writer_totals(capture->store, totals);
	return 0;
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
