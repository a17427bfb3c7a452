/*
 * Reading a stored catalog: a stream over chunks that are themselves listed in a
 * stored stream. All rules that concern more than one record are enforced here, so
 * that a restore may rely on them.
 */
#include "tree/catalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/path.h"
#include "store/format.h"
#include "tree/format.h"
#include "tree/linked.h"
#include "tree/record.h"
#include "tree/stream.h"

struct catalog_reader {
	struct store *store;
	struct stream list, stream;
	bool partial, ended;
	uint64_t size, position; /* of the catalog's stream: as the list says, read so far */
	uint64_t records;
	bool has_size; /* of the next record: it was read ahead of that */
	uint32_t next_size;
	uint8_t *record;
	size_t record_size, record_capacity;
	struct buffer canonical; /* of a record whose stored form is another; else empty */
	struct record_space space;
	struct linked_set linked;
	char previous[RECORD_PATH_MAX + 1];
	bool previous_is_directory;
};

const char *catalog_type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFIFO:
		return "fifo";
	case S_IFCHR:
		return "char";
	case S_IFBLK:
		return "block";
	default:
		return "file";
	}
}

void catalog_root_release(struct catalog_root *root)
{
	free(root->refs);
	root->refs = NULL;
	root->count = 0;
}

void catalog_root_copy(struct catalog_root *to, const struct catalog_root *from)
{
	to->refs = memory_array(NULL, from->count + 1, sizeof(*to->refs));
	to->count = from->count;
	memcpy(to->refs, from->refs, from->count * sizeof(*to->refs));
}

static int damaged(struct error **err, const char *what)
{
	return error_set(err, ERROR_DAMAGED, "catalog: %s", what);
}

/* Exactly ${size} bytes of the catalog's stream. */
static int read_bytes(struct catalog_reader *reader, void *data, size_t size, struct error **err)
{
	ssize_t got = stream_read(&reader->stream, data, size, err);

	if (got < 0)
		return -1;
	if ((size_t)got < size)
		return damaged(err, "it ends before its end mark");
	reader->position += size;
	return 0;
}

static int read_headers(struct catalog_reader *reader, struct error **err)
{
	uint8_t list[CATALOG_LIST_HEADER_SIZE], header[CATALOG_HEADER_SIZE];
	uint32_t flags;
	ssize_t size = stream_read(&reader->list, list, sizeof(list), err);

	if (size < 0)
		return -1;
	if ((size_t)size < sizeof(list) ||
	    memcmp(list, CATALOG_LIST_MAGIC, CATALOG_MAGIC_SIZE) != 0)
		return damaged(err, "its list of chunks has no header");
	reader->size = format_get_u64(list + CATALOG_MAGIC_SIZE);
	if (read_bytes(reader, header, sizeof(header), err) < 0)
		return -1;
	if (memcmp(header, CATALOG_MAGIC, CATALOG_MAGIC_SIZE) != 0)
		return damaged(err, "no header");
	flags = format_get_u32(header + CATALOG_MAGIC_SIZE);
	if (flags & ~CATALOG_PARTIAL)
		return damaged(err, "unknown flags");
	reader->partial = flags & CATALOG_PARTIAL;
	return 0;
}

struct catalog_reader *catalog_open(struct store *store, const struct catalog_root *root,
				    struct error **err)
{
	struct catalog_reader *reader = memory_zalloc(sizeof(*reader));

	reader->store = store;
	stream_init(&reader->list, store, root->refs, root->count);
	stream_init_list(&reader->stream, store, &reader->list);
	record_space_init(&reader->space);
	buffer_init(&reader->canonical, RECORD_SIZE_MAX + 4UL);
	linked_set_init(&reader->linked);
	if (read_headers(reader, err) < 0) {
		catalog_close(reader);
		return NULL;
	}
	return reader;
}

void catalog_close(struct catalog_reader *reader)
{
	if (!reader)
		return;
	stream_release(&reader->stream);
	stream_release(&reader->list);
	record_space_release(&reader->space);
	linked_set_release(&reader->linked);
	buffer_release(&reader->canonical);
	free(reader->record);
	free(reader);
}

const void *catalog_record(const struct catalog_reader *reader, size_t *size)
{
	if (reader->canonical.size) {
		*size = reader->canonical.size - 4;
		return reader->canonical.data + 4;
	}
	*size = reader->record_size;
	return reader->record;
}

bool catalog_is_partial(const struct catalog_reader *reader)
{
	return reader->partial;
}

static int read_end(struct catalog_reader *reader, struct error **err)
{
	uint8_t count[8], more;
	ssize_t size;

	if (read_bytes(reader, count, sizeof(count), err) < 0)
		return -1;
	if (format_get_u64(count) != reader->records || !reader->records)
		return damaged(err, "the number of its records is wrong");
	size = stream_read(&reader->stream, &more, 1, err);
	if (size < 0)
		return -1;
	if (size || reader->position != reader->size)
		return damaged(err, "its size is wrong");
	reader->ended = true;
	return 0;
}

/*
 * The bytes of one record. Memory grows with what is really there, not with what
 * the size promises.
 */
static int read_record(struct catalog_reader *reader, size_t size, struct error **err)
{
	size_t done = 0;

	if (size < RECORD_SIZE_MIN || size > RECORD_SIZE_MAX)
		return damaged(err, "impossible record size");
	if (size > reader->size - reader->position)
		return damaged(err, "a record reaches behind its end");
	while (done < size) {
		size_t part = size - done < 1U << 20 ? size - done : 1U << 20;

		if (done + part > reader->record_capacity) {
			size_t capacity = done + part + (done + part) / 2;
			uint8_t *more = realloc(reader->record, capacity);

			if (!more)
				return error_set_errno(err, ENOMEM, "cannot read a catalog");
			reader->record = more;
			reader->record_capacity = capacity;
		}
		if (read_bytes(reader, reader->record + done, part, err) < 0)
			return -1;
		done += part;
	}
	reader->record_size = size;
	return 0;
}

/* Whether ${path} lies somewhere below ${directory} ("" holds all but itself). */
static bool is_below(const char *path, size_t size, const char *directory, size_t directory_size)
{
	if (!directory_size)
		return size > 0;
	return size > directory_size && path[directory_size] == '/' &&
	       memcmp(path, directory, directory_size) == 0;
}

/* Order, parents and links: what makes a sequence of good records a good catalog. */
static int check_sequence(struct catalog_reader *reader, const struct catalog_entry *entry,
			  struct error **err)
{
	const char *path = entry->path, *previous = reader->previous, *slash;
	size_t size = strlen(path), previous_size = strlen(previous), parent_size;

	if (!reader->records)
		return size || !S_ISDIR(entry->mode) || entry->flags & ENTRY_DELETED
			       ? damaged(err, "it does not begin with a directory \"\"")
			       : 0;
	if (path_compare(previous, path) >= 0)
		return error_set(err, ERROR_DAMAGED, "catalog: \"%s\" is out of order", path);
	if (!reader->previous_is_directory && is_below(path, size, previous, previous_size))
		return error_set(err, ERROR_DAMAGED,
				 "catalog: \"%s\" lies below \"%s\", no directory", path, previous);
	if (reader->partial)
		return 0;
	if (entry->flags & ENTRY_DELETED)
		return error_set(err, ERROR_DAMAGED, "catalog: \"%s\" is a deletion in a full tree",
				 path);
	slash = strrchr(path, '/');
	parent_size = slash ? (size_t)(slash - path) : 0;
	if (!(is_below(previous, previous_size, path, parent_size) ||
	      (previous_size == parent_size && memcmp(previous, path, parent_size) == 0)))
		return error_set(err, ERROR_DAMAGED, "catalog: the directory of \"%s\" is missing",
				 path);
	if (entry->hardlink && !linked_set_has(&reader->linked, entry->hardlink, entry->mode))
		return error_set(err, ERROR_DAMAGED,
				 "catalog: \"%s\" is a hard link to \"%s\", which is no such file",
				 path, entry->hardlink);
	return 0;
}

/* The size of the next record; 0 is the end mark. */
static int read_size(struct catalog_reader *reader, struct error **err)
{
	uint8_t bytes[4];

	if (reader->has_size)
		return 0;
	if (read_bytes(reader, bytes, sizeof(bytes), err) < 0)
		return -1;
	reader->next_size = format_get_u32(bytes);
	reader->has_size = true;
	return 0;
}

/* What the next records are checked against, once a good one is known. */
static int remember(struct catalog_reader *reader, const struct catalog_entry *entry,
		    struct error **err)
{
	if (entry->flags & ENTRY_LINKED && !entry->hardlink &&
	    linked_set_add(&reader->linked, entry->path, entry->mode) < 0)
		return damaged(err, "too many hard links");
	memcpy(reader->previous, entry->path, strlen(entry->path) + 1);
	reader->previous_is_directory =
		S_ISDIR(entry->mode) && !(entry->flags & ENTRY_DELETED) && !entry->hardlink;
	reader->records++;
	return 0;
}

/* 1: the bytes of a record are there; 0 at the end, -1. */
static int next_bytes(struct catalog_reader *reader, struct error **err)
{
	if (reader->ended)
		return 0;
	if (read_size(reader, err) < 0)
		return -1;
	reader->has_size = false;
	buffer_clear(&reader->canonical);
	if (!reader->next_size)
		return read_end(reader, err);
	return read_record(reader, reader->next_size, err) < 0 ? -1 : 1;
}

int catalog_complete(struct catalog_reader *reader, struct catalog_entry *entry, struct error **err)
{
	return record_decode_stored(reader->record, reader->record_size, &reader->space,
				    reader->store, entry, err);
}

int catalog_next(struct catalog_reader *reader, struct catalog_entry *entry, struct error **err)
{
	int result = next_bytes(reader, err);

	if (result <= 0)
		return result;
	if (catalog_complete(reader, entry, err) < 0 || check_sequence(reader, entry, err) < 0)
		return -1;
	if (!record_is_canonical(entry) && catalog_encode(&reader->canonical, entry) < 0)
		return damaged(err, "a record is too large");
	return remember(reader, entry, err) < 0 ? -1 : 1;
}

int catalog_next_brief(struct catalog_reader *reader, struct catalog_entry *entry,
		       struct error **err)
{
	int result = next_bytes(reader, err);

	if (result <= 0)
		return result;
	if (record_decode_brief(reader->record, reader->record_size, &reader->space, entry, err) <
		    0 ||
	    check_sequence(reader, entry, err) < 0 || remember(reader, entry, err) < 0)
		return -1;
	return 1;
}

const void *catalog_stored(const struct catalog_reader *reader, size_t *size)
{
	*size = reader->record_size;
	return reader->record;
}

/* Over the same bytes in another reader. */
static int skip_bytes(struct catalog_reader *reader, size_t size, struct error **err)
{
	ssize_t got = stream_skip(&reader->stream, size, err);

	if (got < 0)
		return -1;
	reader->position += size;
	return (size_t)got == size && reader->position <= reader->size
		       ? 0
		       : damaged(err, "it ends before its end mark");
}

/* Room for one more record in what is known to be the same; 1: it is a record, and begun. */
static int begin_same(struct catalog_reader *a, struct catalog_reader *b, size_t *same,
		      struct error **err)
{
	if (!a->has_size) {
		if (*same < 4 && stream_same_ahead(&a->stream, &b->stream, same, err) < 0)
			return -1;
		if (*same < 4)
			return 0;
		if (read_size(a, err) < 0 || skip_bytes(b, 4, err) < 0)
			return -1;
		b->next_size = a->next_size;
		b->has_size = true;
		*same -= 4;
	}
	if (*same < a->next_size && stream_same_ahead(&a->stream, &b->stream, same, err) < 0)
		return -1;
	return a->next_size && a->next_size <= *same;
}

int catalog_skip_same(struct catalog_reader *a, struct catalog_reader *b, uint64_t *skipped,
		      struct error **err)
{
	struct catalog_entry entry;
	size_t same = 0;
	int result = 0;

	*skipped = 0;
	/* what comes next must be checked against the same things in both */
	if (a->ended || b->ended || a->has_size != b->has_size ||
	    (a->has_size && a->next_size != b->next_size) || a->partial != b->partial ||
	    strcmp(a->previous, b->previous) != 0 ||
	    a->previous_is_directory != b->previous_is_directory)
		return 0;
	while ((result = begin_same(a, b, &same, err)) > 0) {
		size_t size = a->next_size;

		if (catalog_next_brief(a, &entry, err) < 0 || skip_bytes(b, size, err) < 0 ||
		    remember(b, &entry, err) < 0)
			return -1;
		b->has_size = false;
		same -= size;
		++*skipped;
	}
	return result;
}
