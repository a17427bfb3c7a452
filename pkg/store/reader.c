/*
 * From a chunk's id to its bytes: the pack that has it, its frame from the
 * cache, its hash.
 */
#include "store/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/reader_private.h"

#define CACHE_SIZE_DEFAULT (32U << 20)
#define PACKS_MAX (1U << 16)

static int compare_packs(const void *left, const void *right)
{
	const struct pack_reader *a = left, *b = right;

	return a->chunk_count < b->chunk_count ? 1 : a->chunk_count > b->chunk_count ? -1 : 0;
}

/* The part of an id that the packs' search does not start with. */
static uint64_t filter_bit(const struct store *store, const uint8_t *id)
{
	return format_get_u64(id + 8) & (store->filter_bits - 1);
}

/*
 * In a deep lineage a new chunk would be looked for in a hundred packs in vain.
 * Sixteen to 32 bits a chunk tell of nearly all of them that they are in none. Without
 * memory for it everything is still right, only slower.
 */
static void make_filter(struct store *store)
{
	uint64_t chunks = 0, bits = 1024;

	for (size_t i = 0; i < store->count; i++)
		chunks += store->packs[i].chunk_count;
	while (bits < chunks * 16)
		bits *= 2;
	store->filter = calloc(bits / 64, sizeof(*store->filter));
	if (!store->filter)
		return;
	store->filter_bits = bits;
	for (size_t i = 0; i < store->count; i++) {
		const struct pack_reader *pack = &store->packs[i];

		for (size_t j = 0; j < pack->chunk_count; j++) {
			uint64_t bit = filter_bit(store, pack->chunks + j * PACK_CHUNK_SIZE);

			store->filter[bit / 64] |= 1ULL << bit % 64;
		}
	}
}

static int open_packs(struct store *store, int directory_fd, const struct pack_info *packs,
		      size_t count, struct error **err)
{
	for (size_t i = 0; i < count; i++) {
		if (pack_reader_open(&store->packs[i], directory_fd, &packs[i], err) < 0)
			return -1;
		store->count++;
	}
	return 0;
}

static void index_packs(struct store *store)
{
	/* The largest first: most chunks are found by the first question. */
	qsort(store->packs, store->count, sizeof(*store->packs), compare_packs);
	make_filter(store);
}

static struct store *store_new(size_t count, size_t cache_size, struct error **err)
{
	struct store *store;

	if (count > PACKS_MAX) {
		error_set(err, ERROR_DAMAGED, "a store of %zu packs, at most %u are possible",
			  count, PACKS_MAX);
		return NULL;
	}
	store = memory_zalloc(sizeof(*store));
	store->packs = memory_zalloc((count + 1) * sizeof(*store->packs));
	frame_cache_init(&store->cache, cache_size ? cache_size : CACHE_SIZE_DEFAULT);
	return store;
}

struct store *store_open(int directory_fd, const struct pack_info *packs, size_t count,
			 size_t cache_size, struct error **err)
{
	struct store *store = store_new(count, cache_size, err);
	cleanup_fd int fd = -1;

	if (!store || count == 0)
		return store;
	fd = openat(directory_fd, PACK_DIRECTORY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		error_set(err, ERROR_NOT_FOUND, "the store has no " PACK_DIRECTORY "/");
	else if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		error_set(err, ERROR_DAMAGED, "the store's " PACK_DIRECTORY " is not a directory");
	else if (fd < 0)
		error_set_errno(err, errno, "cannot open the store's " PACK_DIRECTORY "/");
	if (fd < 0 || open_packs(store, fd, packs, count, err) < 0) {
		store_free(store);
		return NULL;
	}
	index_packs(store);
	return store;
}

struct store *store_open_files(const int *fds, const struct pack_info *packs, size_t count,
			       size_t cache_size, struct error **err)
{
	struct store *store = store_new(count, cache_size, err);

	for (size_t i = 0; store && i < count; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			error_set_errno(err, errno, "cannot open pack %s", packs[i].name);
		if (fd < 0 || pack_reader_take(&store->packs[i], fd, &packs[i], err) < 0) {
			store_free(store);
			return NULL;
		}
		store->count++;
	}
	if (store)
		index_packs(store);
	return store;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	frame_cache_release(&store->cache);
	for (size_t i = 0; i < store->count; i++)
		pack_reader_release(&store->packs[i]);
	free(store->packs);
	free(store->filter);
	free(store);
}

static struct pack_reader *find(const struct store *store, const struct hash *id,
				struct chunk_record *record, uint32_t *number)
{
	if (store->filter_bits) {
		uint64_t bit = filter_bit(store, id->bytes);

		if (!(store->filter[bit / 64] >> bit % 64 & 1))
			return NULL;
	}
	for (size_t i = 0; i < store->count; i++)
		if (pack_reader_find(&store->packs[i], id, record, number))
			return &store->packs[i];
	return NULL;
}

bool store_has(const struct store *store, const struct hash *id)
{
	struct chunk_record record;
	uint32_t number;

	return find(store, id, &record, &number) != NULL;
}

uint32_t store_chunk_size(const struct store *store, const struct hash *id)
{
	struct chunk_record record;
	uint32_t number;

	return find(store, id, &record, &number) ? record.size : 0;
}

static int damaged_chunk(const struct hash *id, const char *what, struct error **err)
{
	char text[HASH_HEX_SIZE];

	hash_format(id, text);
	return error_set(err, ERROR_DAMAGED, "chunk %s %s", text, what);
}

/* Parts of one chunk are asked for one after the other: it is hashed once for all of them. */
static bool has_its_hash(struct frame *frame, const struct chunk_record *record, uint32_t number)
{
	struct hash hash;

	if (atomic_load(&frame->verified) == number + 1ULL)
		return true;
	hash_data(&hash, frame->data + record->offset, record->size);
	if (!hash_equal(&hash, &record->id))
		return false;
	atomic_store(&frame->verified, number + 1);
	return true;
}

int store_get(struct store *store, const struct chunk_ref *ref, struct chunk *chunk,
	      struct error **err)
{
	struct chunk_record record;
	uint32_t number;
	struct pack_reader *pack = find(store, &ref->id, &record, &number);
	struct frame *frame;

	if (!pack)
		return damaged_chunk(&ref->id, "is in none of the packs", err);
	if (record.size != ref->size)
		return damaged_chunk(&ref->id, "has another size than the catalog says", err);
	frame = frame_cache_pin(&store->cache, pack, record.frame, err);
	if (!frame)
		return -1;
	if (!has_its_hash(frame, &record, number)) {
		frame_cache_unpin(&store->cache, frame);
		damaged_chunk(&ref->id, "does not have its hash", err);
		return error_prefix(err, "pack %s is damaged", pack->name);
	}
	chunk->data = frame->data + record.offset;
	chunk->size = record.size;
	chunk->frame = frame;
	return 0;
}

void store_put_back(struct store *store, struct chunk *chunk)
{
	if (chunk->frame)
		frame_cache_unpin(&store->cache, chunk->frame);
	chunk->data = NULL;
	chunk->frame = NULL;
}
