/*
 * For the tests of the store: a directory that goes away, random streams that
 * can be made again, a sink that keeps all references, packs as bytes.
 */
#ifndef TEST_STORE_SUPPORT_H
#define TEST_STORE_SUPPORT_H

#include "test_support.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"
#include "store/format.h"
#include "store/reader.h"
#include "store/writer.h"

/* ---- random bytes ------------------------------------------------------------------------- */

static UNUSED uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static UNUSED void fill_random(uint8_t *data, size_t size, uint64_t seed)
{
	uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;

	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(next_random(&state) >> 32);
}

/* Words of a small vocabulary: shrinks about as a table's rows do. */
static UNUSED void fill_text(uint8_t *data, size_t size, uint64_t seed)
{
	uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;

	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)("abcdefgh     \n01"[next_random(&state) >> 60]);
}

/* ---- a directory -------------------------------------------------------------------------- */

struct directory {
	char path[64];
	int fd;
};

static UNUSED void directory_make(struct directory *directory)
{
	snprintf(directory->path, sizeof(directory->path), "/tmp/test_store.XXXXXX");
	assert_non_null(mkdtemp(directory->path));
	directory->fd = open(directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(directory->fd >= 0);
}

static UNUSED size_t directory_packs(struct directory *directory)
{
	char path[80];
	struct dirent *entry;
	size_t count = 0;
	DIR *packs;

	snprintf(path, sizeof(path), "%s/packs", directory->path);
	packs = opendir(path);
	while (packs && (entry = readdir(packs)))
		count += entry->d_name[0] != '.';
	if (packs)
		closedir(packs);
	return count;
}

static UNUSED void directory_remove(struct directory *directory)
{
	char path[80];
	struct dirent *entry;
	DIR *packs;

	snprintf(path, sizeof(path), "%s/packs", directory->path);
	packs = opendir(path);
	while (packs && (entry = readdir(packs)))
		unlinkat(dirfd(packs), entry->d_name, 0);
	if (packs)
		closedir(packs);
	unlinkat(directory->fd, "packs", AT_REMOVEDIR);
	unlinkat(directory->fd, "packs", 0);
	close(directory->fd);
	rmdir(directory->path);
}

/* ---- references of many streams ------------------------------------------------------------ */

struct stream_refs {
	struct chunk_ref *refs;
	size_t count, capacity;
	bool ended;
};

struct collector {
	struct stream_refs *streams; /* by cookie */
	size_t count;
	uint64_t current;  /* streams must come one after the other */
	size_t fail_after; /* calls; 0: never */
	size_t calls;
};

static UNUSED void collector_init(struct collector *collector, size_t count)
{
	memset(collector, 0, sizeof(*collector));
	collector->streams = memory_zalloc(count * sizeof(*collector->streams));
	collector->count = count;
}

static UNUSED void collector_release(struct collector *collector)
{
	for (size_t i = 0; i < collector->count; i++)
		free(collector->streams[i].refs);
	free(collector->streams);
}

static UNUSED int collect(void *context, uint64_t cookie, const struct chunk_ref *refs,
			  size_t count, bool last, struct error **err)
{
	struct collector *collector = context;
	struct stream_refs *stream;

	collector->calls++;
	if (collector->fail_after && collector->calls > collector->fail_after)
		return error_set(err, ERROR_BUSY, "the sink has had enough");
	assert_true(cookie < collector->count);
	assert_int_equal(cookie, collector->current);
	stream = &collector->streams[cookie];
	assert_false(stream->ended);
	if (stream->count + count > stream->capacity) {
		stream->capacity = (stream->count + count) * 2;
		stream->refs = memory_array(stream->refs, stream->capacity, sizeof(*stream->refs));
	}
	if (count)
		memcpy(stream->refs + stream->count, refs, count * sizeof(*refs));
	stream->count += count;
	stream->ended = last;
	if (last)
		collector->current++;
	return 0;
}

/* The stream must come back byte for byte. */
static UNUSED void check_stream(struct store *store, const struct stream_refs *stream,
				const uint8_t *data, size_t size)
{
	struct error *error = NULL;
	size_t offset = 0;

	assert_true(stream->ended);
	for (size_t i = 0; i < stream->count; i++) {
		struct chunk chunk;

		must(store_get(store, &stream->refs[i], &chunk, &error), &error);
		assert_int_equal(chunk.size, stream->refs[i].size);
		assert_true(chunk.size <= size - offset);
		assert_memory_equal(chunk.data, data + offset, chunk.size);
		offset += chunk.size;
		store_put_back(store, &chunk);
	}
	assert_int_equal(offset, size);
}

/* ---- one pack, as bytes --------------------------------------------------------------------- */

struct made_pack {
	struct pack_info info;
	struct chunk_ref refs[64];
	size_t ref_count;
	uint8_t *bytes;
	size_t size;
};

static UNUSED int keep_refs(void *context, uint64_t cookie, const struct chunk_ref *refs,
			    size_t count, bool last, struct error **err)
{
	struct made_pack *made = context;

	(void)cookie, (void)last, (void)err;
	assert_true(made->ref_count + count <= 64);
	if (count)
		memcpy(made->refs + made->ref_count, refs, count * sizeof(*refs));
	made->ref_count += count;
	return 0;
}

/* The content of packs/NAME becomes these bytes. */
static UNUSED void write_pack(struct directory *directory, const char *name, const uint8_t *bytes,
			      size_t size)
{
	char path[120];
	int fd;

	snprintf(path, sizeof(path), "packs/%s", name);
	fd = openat(directory->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(io_write_full(fd, bytes, size), 0);
	close(fd);
}

/*
 * A pack of two frames, one raw, one compressed, made of streams of fixed
 * blocks: ${text} of one, ${noise} bytes of the other kind.
 */
static UNUSED void make_pack(struct directory *directory, struct made_pack *made, size_t text,
			     size_t noise)
{
	struct store_writer_options options = {.directory_fd = directory->fd,
					       .workers = 1,
					       .sink = keep_refs,
					       .sink_context = made};
	size_t sizes[2] = {text, noise};
	struct error *error = NULL;
	struct store_writer *writer;
	struct pack_info *packs;
	char path[120];
	size_t count;
	int fd;

	memset(made, 0, sizeof(*made));
	writer = store_writer_open(&options, &error);
	assert_non_null(writer);
	for (uint64_t i = 0; i < 2; i++) {
		uint8_t *data = memory_alloc(sizes[i]);

		if (i == 0)
			fill_text(data, sizes[i], 5);
		else
			fill_random(data, sizes[i], 6);
		if (sizes[i])
			must(store_writer_put(writer, i, CHUNKING_FIXED, CHUNK_SIZE_MAX, data,
					      sizes[i], &error),
			     &error);
		free(data);
	}
	must(store_writer_finish(writer, &packs, &count, &error), &error);
	assert_int_equal(count, 1);
	made->info = packs[0];
	free(packs);
	store_writer_free(writer);
	snprintf(path, sizeof(path), "packs/%s", made->info.name);
	fd = openat(directory->fd, path, O_RDONLY | O_CLOEXEC);
	made->size = (size_t)made->info.size;
	made->bytes = memory_alloc(made->size);
	assert_int_equal(io_read_full(fd, made->bytes, made->size), made->size);
	assert_int_equal(lseek(fd, 0, SEEK_END), made->size);
	close(fd);
}

#endif
