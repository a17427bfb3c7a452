/*
 * Reading a dump. A manifest with a good seal may still be a forger's, so the catalog is held
 * to what a capture writes before a byte of it reaches a database.
 */
#include "tree/dump.h"

#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/path.h"
#include "tree/catalog.h"

#define NAME_SIZE_MAX 255

struct dump_reader {
	struct store *store;
	struct catalog_reader *catalog; /* its last record is the file: what it names stays valid */
	struct catalog_entry file;
	char *name;
	size_t next; /* of the file's contents */
	struct chunk chunk;
	bool holds_chunk;
};

bool dump_name_is_valid(const char *name)
{
	return *name && strlen(name) <= NAME_SIZE_MAX && !strchr(name, '/') &&
	       path_is_safe_relative(name, strlen(name));
}

static int damaged(struct error **err, const char *what)
{
	return error_set(err, ERROR_DAMAGED, "the dump's catalog %s", what);
}

static int check_root(struct dump_reader *reader, struct error **err)
{
	struct catalog_entry entry;
	int result = catalog_next(reader->catalog, &entry, err);

	if (result < 0)
		return -1;
	if (!result || *entry.path || !S_ISDIR(entry.mode) || catalog_is_partial(reader->catalog))
		return damaged(err, "does not begin with a root");
	return 0;
}

static int check_file(struct dump_reader *reader, const struct tree_record *tree,
		      struct error **err)
{
	struct catalog_entry *file = &reader->file;
	int result = catalog_next(reader->catalog, file, err);

	if (result < 0)
		return -1;
	if (!result || !dump_name_is_valid(file->path) || !S_ISREG(file->mode) || file->hardlink)
		return damaged(err, "has no regular file");
	if (file->size != tree->bytes || tree->entries != DUMP_ENTRIES)
		return damaged(err, "is not what the manifest says");
	for (size_t i = 0; i < file->content_count; i++) {
		const struct content *content = &file->contents[i];

		if (content->kind != CONTENT_CHUNK || content->offset ||
		    content->length != content->chunk.size)
			return damaged(err, "has a file that is not of whole chunks");
	}
	reader->name = memory_strdup(file->path);
	return 0;
}

/* Another reader for what follows: the first one's record is still needed. */
static int check_end(struct store *store, const struct tree_record *tree, struct error **err)
{
	CLEANUP(cleanup_catalog_close)
	struct catalog_reader *reader = catalog_open(store, &tree->root, err);
	struct catalog_entry entry;
	int result = reader ? 1 : -1;
	size_t count = 0;

	while (result > 0 && count <= DUMP_ENTRIES) {
		result = catalog_next_brief(reader, &entry, err);
		count += result > 0;
	}
	if (result < 0)
		return -1;
	return count == DUMP_ENTRIES ? 0 : damaged(err, "has more than one file");
}

struct dump_reader *dump_open(struct store *store, const struct tree_record *tree,
			      struct error **err)
{
	struct dump_reader *reader = memory_zalloc(sizeof(*reader));

	reader->store = store;
	if (check_end(store, tree, err) < 0)
		goto fail;
	reader->catalog = catalog_open(store, &tree->root, err);
	if (!reader->catalog || check_root(reader, err) < 0 || check_file(reader, tree, err) < 0)
		goto fail;
	return reader;
fail:
	dump_close(reader);
	return NULL;
}

static void release_chunk(struct dump_reader *reader)
{
	if (reader->holds_chunk)
		store_put_back(reader->store, &reader->chunk);
	reader->holds_chunk = false;
}

void dump_close(struct dump_reader *reader)
{
	if (!reader)
		return;
	release_chunk(reader);
	catalog_close(reader->catalog);
	free(reader->name);
	free(reader);
}

const char *dump_name(const struct dump_reader *reader)
{
	return reader->name;
}

uint64_t dump_size(const struct dump_reader *reader)
{
	return reader->file.size;
}

int dump_next(struct dump_reader *reader, const uint8_t **data, size_t *size, struct error **err)
{
	release_chunk(reader);
	if (reader->next == reader->file.content_count)
		return 0;
	if (store_get(reader->store, &reader->file.contents[reader->next].chunk, &reader->chunk,
		      err) < 0)
		return error_prefix(err, "cannot read the dump");
	reader->holds_chunk = true;
	reader->next++;
	*data = reader->chunk.data;
	*size = reader->chunk.size;
	return 1;
}
