/*
 * One side of the merge of a scan with an earlier catalog, a record in memory at a time.
 */
#include "tree/earlier.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/path.h"
#include "tree/record.h"

struct earlier {
	struct store *store;
	struct catalog_reader *catalog;
	struct draft_reader *draft;
	struct catalog_entry entry;
	bool has_entry, ended, is_reused;
	bool proves; /* else only its pages are compared */
};

struct earlier *earlier_of_catalog(struct store *store, const struct catalog_root *root,
				   bool is_of_this_run)
{
	struct earlier *earlier = memory_zalloc(sizeof(*earlier));
	cleanup_error struct error *problem = NULL;

	earlier->store = store;
	earlier->proves = is_of_this_run;
	earlier->catalog = catalog_open(store, root, &problem);
	if (earlier->catalog)
		return earlier;
	free(earlier);
	return NULL;
}

struct earlier *earlier_of_draft(const struct draft *draft, struct store *store)
{
	struct earlier *earlier = memory_zalloc(sizeof(*earlier));

	earlier->store = store;
	earlier->proves = true;
	earlier->draft = draft_read(draft, store);
	return earlier;
}

void earlier_free(struct earlier *earlier)
{
	if (!earlier)
		return;
	catalog_close(earlier->catalog);
	draft_reader_free(earlier->draft);
	free(earlier);
}

/* What cannot be read proves nothing: the rest is read from the files. */
static void advance(struct earlier *earlier)
{
	cleanup_error struct error *problem = NULL;
	int result;

	if (earlier->draft) {
		result = draft_next(earlier->draft, &earlier->entry, &earlier->is_reused, &problem);
	} else {
		result = catalog_next(earlier->catalog, &earlier->entry, &problem);
		earlier->is_reused = true;
	}
	earlier->has_entry = result > 0;
	earlier->ended = result <= 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_same_file(const struct catalog_entry *entry, const struct file_status *status)
{
	return S_ISREG(entry->mode) && S_ISREG(status->mode) && !entry->hardlink &&
	       !(entry->flags & (ENTRY_HOT | ENTRY_DELETED)) &&
	       entry->fingerprint.device == status->device &&
	       entry->fingerprint.inode == status->inode && entry->size == status->size &&
	       same_time(&entry->mtime, &status->mtime) &&
	       same_time(&entry->fingerprint.ctime, &status->ctime);
}

static bool has_contents(const struct store *store, const struct catalog_entry *entry)
{
	for (size_t i = 0; i < entry->content_count; i++) {
		const struct content *content = &entry->contents[i];

		if (content->kind == CONTENT_HOLE)
			continue;
		if (content->kind != CONTENT_CHUNK ||
		    store_chunk_size(store, &content->chunk.id) != content->chunk.size)
			return false;
	}
	return true;
}

/* The record of that path, whatever it says; NULL: there is none. */
static const struct catalog_entry *seek(struct earlier *earlier, const char *path)
{
	while (!earlier->ended) {
		int order = earlier->has_entry ? path_compare(earlier->entry.path, path) : -1;

		if (order > 0)
			return NULL;
		if (order == 0)
			return &earlier->entry;
		advance(earlier);
	}
	return NULL;
}

/* A draft's chunks are there: it was made by this process. */
static bool is_whole(const struct earlier *earlier, const struct catalog_entry *entry)
{
	return earlier->draft || has_contents(earlier->store, entry);
}

const struct catalog_entry *earlier_find(struct earlier *earlier, const char *path,
					 const struct file_status *status)
{
	const struct catalog_entry *entry = seek(earlier, path);

	return entry && earlier->proves && is_same_file(entry, status) && is_whole(earlier, entry)
		       ? entry
		       : NULL;
}

const struct catalog_entry *earlier_pages(struct earlier *earlier, const char *path,
					  const struct file_status *status)
{
	const struct catalog_entry *entry = seek(earlier, path);

	if (!entry || !S_ISREG(entry->mode) || entry->hardlink || !entry->lists ||
	    !entry->lists->page || entry->fingerprint.device != status->device ||
	    entry->fingerprint.inode != status->inode)
		return NULL;
	return is_whole(earlier, entry) ? entry : NULL;
}

bool earlier_is_reused(const struct earlier *earlier)
{
	return earlier->is_reused;
}

bool fingerprint_holds(const struct catalog_entry *entry, const struct file_status *status)
{
	return is_same_file(entry, status);
}
