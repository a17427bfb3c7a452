/*
 * A catalog read record by record and written again, with the contents that it names. In
 * memory are one record, one chunk and what the store's writer holds.
 */
#include "tree/capture/rewrite.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/text.h"
#include "store/format.h"
#include "tree/capture/tree_writer.h"
#include "tree/catalog.h"
#include "tree/record.h"

/* A block that is pieced together again is at least so large: what a capture cuts by default. */
#define BLOCK_SIZE_MIN (32U << 10)

struct rewrite {
	struct tree_writer writer;
};

struct rewrite *rewrite_open(const struct capture_options *options, struct error **err)
{
	struct rewrite *rewrite = memory_zalloc(sizeof(*rewrite));

	if (tree_writer_open(&rewrite->writer, options, err) < 0) {
		rewrite_free(rewrite);
		return NULL;
	}
	return rewrite;
}

void rewrite_free(struct rewrite *rewrite)
{
	if (!rewrite)
		return;
	tree_writer_release(&rewrite->writer);
	free(rewrite);
}

/* ---- one file's contents ---- */

struct feeding {
	struct rewrite *rewrite;
	struct store *source;
	struct pending_entry *pending;
	uint32_t block; /* 0: every chunk is carried over as it is */
	uint64_t at;	/* in the file */
	uint64_t hole;	/* since the last stream */
	uint64_t end;	/* of the open stream, at the latest */
	uint64_t begin; /* of the open stream */
	bool is_open;
	uint32_t page; /* 0: no hashes of pages go along */
	struct sequence sequence;
	struct sequence_cursor cursor;
};

/* The block size of a file that is put together from parts of chunks, else 0. */
static uint32_t block_size(const struct catalog_entry *entry)
{
	uint32_t largest = BLOCK_SIZE_MIN;
	bool has_parts = false;

	for (size_t i = 0; i < entry->content_count; i++) {
		const struct content *content = &entry->contents[i];

		if (content->kind != CONTENT_CHUNK)
			continue;
		has_parts |= content->length != content->chunk.size;
		if (content->chunk.size > largest)
			largest = content->chunk.size;
	}
	return has_parts ? largest : 0;
}

/* Of what was pieced together none is known: zeros, so that the next capture stores it again. */
static void add_hashes(struct feeding *feeding)
{
	static const uint8_t unknown[PAGE_HASH_SIZE];
	uint64_t page = feeding->page;

	if (!page)
		return;
	for (uint64_t at = (feeding->begin + page - 1) / page * page; at + page <= feeding->at;
	     at += page) {
		const uint8_t *hash = sequence_page_hash(&feeding->cursor, at);

		pending_entry_hash(feeding->pending, hash ? hash : unknown);
	}
}

static int end_stream(struct feeding *feeding, struct error **err)
{
	if (!feeding->is_open)
		return 0;
	add_hashes(feeding);
	feeding->is_open = false;
	return store_writer_end(feeding->rewrite->writer.store, err);
}

/*
 * Blocks are aligned to the file, as a capture cuts them: where data begins within one, the
 * stream ends with that block, and the next begins with the one behind it.
 */
static int begin_stream(struct feeding *feeding, uint64_t chunk_size, struct error **err)
{
	uint64_t cookie = pending_entry_stream(feeding->pending, feeding->hole);
	uint32_t block = feeding->block ? feeding->block : CHUNK_SIZE_MAX;

	feeding->hole = 0;
	feeding->is_open = true;
	feeding->begin = feeding->at;
	if (!feeding->block)
		feeding->end = feeding->at + chunk_size;
	else if (feeding->at % block)
		feeding->end = feeding->at - feeding->at % block + block;
	else
		feeding->end = UINT64_MAX;
	return store_writer_begin(feeding->rewrite->writer.store, cookie, CHUNKING_FIXED, block,
				  err);
}

static int feed_bytes(struct feeding *feeding, const uint8_t *data, uint64_t size,
		      struct error **err)
{
	while (size) {
		size_t space;
		uint8_t *target;

		if (!feeding->is_open && begin_stream(feeding, size, err) < 0)
			return -1;
		target = store_writer_space(feeding->rewrite->writer.store, &space, err);
		if (!target)
			return -1;
		if (space > size)
			space = (size_t)size;
		if (space > feeding->end - feeding->at)
			space = (size_t)(feeding->end - feeding->at);
		memcpy(target, data, space);
		if (store_writer_commit(feeding->rewrite->writer.store, space, err) < 0)
			return -1;
		data += space;
		size -= space;
		feeding->at += space;
		if (feeding->at == feeding->end && end_stream(feeding, err) < 0)
			return -1;
	}
	return 0;
}

static int feed_chunk(struct feeding *feeding, const struct content *content, struct error **err)
{
	struct chunk chunk;
	int result;

	if (store_get(feeding->source, &content->chunk, &chunk, err) < 0)
		return -1;
	result = feed_bytes(feeding, chunk.data + content->offset, content->length, err);
	store_put_back(feeding->source, &chunk);
	return result < 0 ? -1
			  : tree_writer_progress(&feeding->rewrite->writer, content->length, err);
}

static int feed_contents(struct feeding *feeding, const struct catalog_entry *entry,
			 struct error **err)
{
	for (size_t i = 0; i < entry->content_count; i++) {
		const struct content *content = &entry->contents[i];

		if (content->kind == CONTENT_CHUNK) {
			if (feed_chunk(feeding, content, err) < 0)
				return error_prefix(err, "\"%s\"", entry->path);
			continue;
		}
		if (content->kind != CONTENT_HOLE)
			return error_set(err, ERROR_DAMAGED,
					 "catalog: the contents of \"%s\" are not in the store",
					 entry->path);
		if (end_stream(feeding, err) < 0)
			return -1;
		feeding->hole += content->length;
		feeding->at += content->length;
	}
	return end_stream(feeding, err);
}

/* ---- catalogs ---- */

/* Hashes of pages are those of the source, where no block cuts a page in two. */
static void begin_pages(struct feeding *feeding, const struct catalog_entry *entry)
{
	const struct content_lists *lists = entry->lists;

	if (!lists || !lists->page || feeding->block % lists->page)
		return;
	feeding->page = lists->page;
	sequence_borrow(&feeding->sequence, entry);
	sequence_cursor_init(&feeding->cursor, &feeding->sequence);
	pending_entry_pages(feeding->pending, lists->page, lists->key, NULL);
}

static int rewrite_entry(struct rewrite *rewrite, struct store *source,
			 const struct catalog_entry *entry, struct error **err)
{
	struct feeding feeding = {
		.rewrite = rewrite,
		.source = source,
		.block = block_size(entry),
		.pending = catalog_writer_push(rewrite->writer.catalog, entry),
	};

	if (!S_ISDIR(entry->mode))
		rewrite->writer.files++;
	begin_pages(&feeding, entry);
	if (feed_contents(&feeding, entry, err) < 0)
		return -1;
	return catalog_writer_complete(rewrite->writer.catalog, feeding.pending, feeding.hole,
				       false, err);
}

/* Own files and seeds: their bytes are in the image's layers. */
static int copy_entry(struct rewrite *rewrite, const struct catalog_entry *entry,
		      struct error **err)
{
	for (size_t i = 0; i < entry->content_count; i++) {
		if (entry->contents[i].kind != CONTENT_HASH)
			return error_set(err, ERROR_DAMAGED,
					 "catalog: \"%s\" has contents where only hashes may be",
					 entry->path);
	}
	return catalog_writer_add(rewrite->writer.catalog, entry, err);
}

/* ${record} gets hash, sizes and root, or only *root where it is NULL; *hash is the source's. */
static int rewrite_catalog(struct rewrite *rewrite, struct store *source,
			   const struct catalog_root *from, bool partial,
			   struct tree_record *record, struct catalog_root *root, struct hash *hash,
			   struct error **err)
{
	CLEANUP(cleanup_catalog_close)
	struct catalog_reader *reader = catalog_open(source, from, err);
	struct hasher *hasher;
	struct catalog_entry entry;
	int result;

	if (!reader)
		return -1;
	if (catalog_is_partial(reader) != partial)
		return error_set(err, ERROR_DAMAGED, "catalog: it is of another kind");
	if (catalog_writer_begin(rewrite->writer.catalog, partial, err) < 0)
		return -1;
	hasher = hasher_new();
	while ((result = catalog_next(reader, &entry, err)) > 0) {
		catalog_hash_update(hasher, &entry);
		result = partial ? copy_entry(rewrite, &entry, err)
				 : rewrite_entry(rewrite, source, &entry, err);
		if (result < 0 || (result = tree_writer_progress(&rewrite->writer, 0, err)) < 0)
			break;
	}
	hasher_finish(hasher, hash);
	hasher_free(hasher);
	return result < 0 ? -1 : catalog_writer_end(rewrite->writer.catalog, record, root, err);
}

int rewrite_tree(struct rewrite *rewrite, struct store *source, const struct tree_record *from,
		 struct tree_record *to, struct error **err)
{
	struct hash hash, seed_hash;

	tree_record_name(to, from);
	if (rewrite_catalog(rewrite, source, &from->root, from->kind == TREE_OWN, to, NULL, &hash,
			    err) < 0)
		return -1;
	if (!hash_equal(&hash, &from->hash) || to->entries != from->entries ||
	    to->bytes != from->bytes)
		return error_set(err, ERROR_DAMAGED, "the tree is not what the manifest says");
	for (size_t i = 0; i < from->former_count; i++)
		tree_record_add_former(to, &from->former[i]);
	tree_record_add_former(to, &from->hash);
	if (!from->seed.count)
		return 0;
	return rewrite_catalog(rewrite, source, &from->seed, true, NULL, &to->seed, &seed_hash,
			       err);
}

int rewrite_finish(struct rewrite *rewrite, struct pack_info **packs, size_t *count,
		   struct store_writer_totals *totals, struct error **err)
{
	return tree_writer_finish(&rewrite->writer, packs, count, totals, err);
}
