/* Verifying a tree without writing it: all that its catalog says about itself and the store. */
#include <sys/stat.h>

#include "base/cleanup.h"
#include "tree/dump.h"
#include "tree/record.h"
#include "tree/restore/restore.h"

static int check_chunks(const struct store *store, const struct catalog_entry *entry,
			struct error **err)
{
	for (size_t i = 0; i < entry->content_count; i++) {
		const struct content *content = &entry->contents[i];
		uint32_t size;

		if (content->kind != CONTENT_CHUNK)
			continue;
		size = store_chunk_size(store, &content->chunk.id);
		if (size != content->chunk.size)
			return error_set(err, ERROR_DAMAGED, "a chunk of \"%s\" %s", entry->path,
					 size ? "has another size than its catalog says"
					      : "is in none of the packs");
	}
	return 0;
}

int tree_verify(struct store *store, const struct tree_record *tree, struct error **err)
{
	CLEANUP(cleanup_catalog_close)
	struct catalog_reader *reader = catalog_open(store, &tree->root, err);
	struct hasher *hasher;
	struct catalog_entry entry;
	uint64_t entries = 0, bytes = 0;
	struct hash hash;
	int result;

	if (!reader)
		return -1;
	if (tree->kind != TREE_OWN && catalog_is_partial(reader))
		return error_set(err, ERROR_DAMAGED, "the catalog is not that of a whole tree");
	hasher = hasher_new();
	while ((result = catalog_next(reader, &entry, err)) > 0) {
		size_t size;
		const void *record = catalog_record(reader, &size);

		record_hash(hasher, record, size);
		entries++;
		if (S_ISREG(entry.mode) && !entry.hardlink)
			bytes += entry.size;
		if (check_chunks(store, &entry, err) < 0) {
			result = -1;
			break;
		}
	}
	hasher_finish(hasher, &hash);
	hasher_free(hasher);
	if (result < 0)
		return -1;
	if (!hash_equal(&hash, &tree->hash) || entries != tree->entries || bytes != tree->bytes)
		return error_set(err, ERROR_DAMAGED,
				 "the catalog is not the one that the manifest names");
	if (tree->kind == TREE_DUMP) {
		CLEANUP(cleanup_dump_close) struct dump_reader *dump = dump_open(store, tree, err);

		return dump ? 0 : -1;
	}
	return 0;
}
