/*
 * Chunks are counted by their ids in the table that a store's writer has for the same purpose:
 * 40 bytes for each.
 */
#include "tree/needed.h"

#include "store/known.h"
#include "tree/catalog.h"

struct needed {
	struct known_table seen;
	const struct store *known;
	uint64_t bytes;
};

static int add_contents(struct needed *needed, const struct catalog_entry *entry,
			struct error **err)
{
	for (size_t i = 0; i < entry->content_count; i++) {
		const struct content *content = &entry->contents[i];
		uint32_t claim = 0;

		if (content->kind != CONTENT_CHUNK ||
		    (needed->known && store_has(needed->known, &content->chunk.id)))
			continue;
		if (known_table_claim(&needed->seen, &content->chunk, 1, &claim, err) < 0)
			return -1;
		if (claim != KNOWN_ALREADY)
			needed->bytes += content->chunk.size;
	}
	return 0;
}

static int add_catalog(struct needed *needed, struct store *store, const struct catalog_root *root,
		       struct error **err)
{
	CLEANUP(cleanup_catalog_close) struct catalog_reader *reader = NULL;
	struct catalog_entry entry;
	size_t size;
	int result;

	if (!root->count)
		return 0;
	reader = catalog_open(store, root, err);
	if (!reader)
		return -1;
	while ((result = catalog_next(reader, &entry, err)) > 0) {
		catalog_stored(reader, &size);
		needed->bytes += size;
		if (add_contents(needed, &entry, err) < 0)
			return -1;
	}
	return result;
}

int needed_bytes(struct store *store, const struct manifest *manifest, const struct store *known,
		 uint64_t *bytes, struct error **err)
{
	struct needed needed = {.known = known};
	int result = 0;

	if (known_table_init(&needed.seen, err) < 0)
		return -1;
	for (size_t i = 0; i < manifest->tree_count && result == 0; i++) {
		const struct tree_record *tree = &manifest->trees[i];

		result = add_catalog(&needed, store, &tree->root, err);
		if (result == 0)
			result = add_catalog(&needed, store, &tree->seed, err);
	}
	known_table_release(&needed.seen);
	*bytes = needed.bytes;
	return result;
}
