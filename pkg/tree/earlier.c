/*
 * One side of the merge of a scan with an earlier catalog, a record in memory at a time.
 */
#include "tree/earlier.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/path.h"

struct earlier {
	struct store *store; /* NULL: a draft, whose chunks are there */
	struct catalog_reader *catalog;
	struct draft_reader *draft;
	struct catalog_entry entry;
	bool has_entry, ended, is_reused;
};

struct earlier *earlier_of_catalog(struct store *store, const struct catalog_root *root)
{
	struct earlier *earlier = memory_zalloc(sizeof(*earlier));
	cleanup_error struct error *problem = NULL;

	earlier->store = store;
	earlier->catalog = catalog_open(store, root, &problem);
	if (earlier->catalog)
		return earlier;
	free(earlier);
	return NULL;
}

struct earlier *earlier_of_draft(const struct draft *draft)
{
	struct earlier *earlier = memory_zalloc(sizeof(*earlier));

	earlier->draft = draft_read(draft);
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

const struct catalog_entry *earlier_find(struct earlier *earlier, const char *path,
					 const struct file_status *status)
{
	while (!earlier->ended) {
		int order = earlier->has_entry ? path_compare(earlier->entry.path, path) : -1;

		if (order > 0)
			return NULL;
		if (order < 0) {
			advance(earlier);
			continue;
		}
		if (!is_same_file(&earlier->entry, status) ||
		    (earlier->store && !has_contents(earlier->store, &earlier->entry)))
			return NULL;
		return &earlier->entry;
	}
	return NULL;
}

bool earlier_is_reused(const struct earlier *earlier)
{
	return earlier->is_reused;
}
