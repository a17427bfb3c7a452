/*
 * Offsets are given out under a lock, the bytes are written outside of it: a
 * slow disk stops no worker that is still compressing.
 */
#include "store/pack_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"

/*
 * Finished packs stay open until the end, where they are fsynced together: an
 * fsync in between would hold up a freeze. Above this many they do not wait.
 */
#define UNSYNCED_MAX 32
#define FOOTER_BUFFER_SIZE (64U << 10)

struct pack_file {
	int fd;
	struct pack_info info;
	struct frame_record *frames;
	size_t frame_count, frame_capacity;
	uint32_t *chunks; /* indices into the known table */
	size_t chunk_count, chunk_capacity;
	unsigned writes; /* under way */
};

static void pack_file_free(struct pack_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	free(file->frames);
	free(file->chunks);
	free(file);
}

static int check_directory(int fd, struct error **err)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return error_set_errno(err, errno,
				       "cannot examine the store's " PACK_DIRECTORY "/");
	if (status.st_uid != geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH))) {
		error_set(err, ERROR_REFUSED,
			  "the store's " PACK_DIRECTORY
			  "/ belongs to user %u with mode %03o: others may write it",
			  (unsigned)status.st_uid, (unsigned)(status.st_mode & 07777));
		return error_hint(err, "use a snapshot or an image that was not tampered with");
	}
	return 0;
}

int pack_writer_init(struct pack_writer *writer, const struct store_writer_options *options,
		     struct known_table *known, struct error **err)
{
	memset(writer, 0, sizeof(*writer));
	writer->directory_fd = -1;
	writer->parent_fd = options->directory_fd;
	writer->known = known;
	writer->size_max = options->pack_size_max ? options->pack_size_max : PACK_SIZE_DEFAULT;
	if (writer->size_max > PACK_SIZE_MAX)
		writer->size_max = PACK_SIZE_MAX;
	writer->permit = options->permit;
	writer->permit_context = options->permit_context;
	pthread_mutex_init(&writer->permit_lock, NULL);
	pthread_mutex_init(&writer->lock, NULL);
	pthread_cond_init(&writer->idle, NULL);
	atomic_init(&writer->stored_bytes, 0);
	if (mkdirat(writer->parent_fd, PACK_DIRECTORY, 0700) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "cannot make the store's " PACK_DIRECTORY "/");
	writer->directory_fd = openat(writer->parent_fd, PACK_DIRECTORY,
				      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (writer->directory_fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return error_set(err, ERROR_REFUSED,
				 "the store's " PACK_DIRECTORY " is not a directory");
	if (writer->directory_fd < 0)
		return error_set_errno(err, errno, "cannot open the store's " PACK_DIRECTORY "/");
	return check_directory(writer->directory_fd, err);
}

void pack_writer_release(struct pack_writer *writer, bool keep)
{
	for (size_t i = 0; i < writer->count; i++) {
		if (!keep)
			unlinkat(writer->directory_fd, writer->files[i]->info.name, 0);
		pack_file_free(writer->files[i]);
	}
	free(writer->files);
	if (writer->directory_fd >= 0)
		close(writer->directory_fd);
	pthread_cond_destroy(&writer->idle);
	pthread_mutex_destroy(&writer->lock);
	pthread_mutex_destroy(&writer->permit_lock);
}

/* Begin a pack: an unguessable name, its header written. The lock is held. */
static struct pack_file *pack_file_new(struct pack_writer *writer, enum frame_kind kind,
				       struct error **err)
{
	uint8_t header[PACK_HEADER_SIZE];
	struct pack_file *file = memory_zalloc(sizeof(*file));
	cleanup_free char *id = text_random_hex(16);

	id[0] = kind == FRAME_CATALOG ? PACK_PREFIX_CATALOG : PACK_PREFIX_DATA;
	snprintf(file->info.name, sizeof(file->info.name), "%s" PACK_SUFFIX, id);
	file->fd = openat(writer->directory_fd, file->info.name,
			  O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file->fd < 0) {
		error_set_errno(err, errno, "cannot create pack %s", file->info.name);
		pack_file_free(file);
		return NULL;
	}
	writer->files = memory_array(writer->files, writer->count + 1, sizeof(*writer->files));
	writer->files[writer->count++] = file;
	pack_header_put(header);
	if (io_pwrite_full(file->fd, header, sizeof(header), 0) < 0) {
		error_set_errno(err, errno, "cannot write pack %s", file->info.name);
		return NULL;
	}
	file->info.size = PACK_HEADER_SIZE;
	atomic_fetch_add(&writer->stored_bytes, PACK_HEADER_SIZE);
	return file;
}

static bool fits(const struct pack_writer *writer, const struct pack_file *file,
		 const struct pack_frame *frame)
{
	size_t frames = file->frame_count + 1;
	size_t chunks = file->chunk_count + frame->chunk_count;

	return frames <= PACK_FRAMES_MAX && chunks <= PACK_CHUNKS_MAX &&
	       file->info.size + frame->record.stored_size + pack_footer_size(frames, chunks) <=
		       writer->size_max;
}

/* Make room for one more record in an array that may become large. */
static int reserve(void **array, size_t *capacity, size_t count, size_t size, struct error **err)
{
	size_t wanted = *capacity ? *capacity : 64;
	void *grown;

	if (count <= *capacity)
		return 0;
	while (wanted < count)
		wanted *= 2;
	grown = realloc(*array, wanted * size);
	if (!grown)
		return error_set(err, ERROR_FAILED, "no memory for a pack's index");
	*array = grown;
	*capacity = wanted;
	return 0;
}

/* Enter the frame into the tables; its offset into *offset. The lock is held. */
static int pack_file_enter(struct pack_file *file, struct known_table *known,
			   const struct pack_frame *frame, uint64_t *offset, struct error **err)
{
	uint32_t position = 0, number = (uint32_t)file->frame_count;

	if (reserve((void **)&file->frames, &file->frame_capacity, file->frame_count + 1,
		    sizeof(*file->frames), err) < 0)
		return -1;
	if (reserve((void **)&file->chunks, &file->chunk_capacity,
		    file->chunk_count + frame->chunk_count, sizeof(*file->chunks), err) < 0)
		return -1;
	file->frames[file->frame_count] = frame->record;
	file->frames[file->frame_count++].offset = *offset = file->info.size;
	for (size_t i = 0; i < frame->chunk_count; i++) {
		known_table_place(known, frame->chunks[i], number, position, frame->chunk_sizes[i]);
		file->chunks[file->chunk_count++] = frame->chunks[i];
		position += frame->chunk_sizes[i];
	}
	file->info.size += frame->record.stored_size;
	file->info.raw_size += frame->record.raw_size;
	return 0;
}

/* A chunk's place in the sorted order, small enough to sort fast. */
struct sort_key {
	uint64_t prefix; /* of the id, big-endian, so that it sorts as the bytes do */
	uint32_t index;
};

static int compare_keys(const void *left, const void *right, void *context)
{
	const struct sort_key *a = left, *b = right;
	struct chunk_record first, second;

	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	known_table_get(context, a->index, &first);
	known_table_get(context, b->index, &second);
	return memcmp(first.id.bytes, second.id.bytes, HASH_SIZE);
}

static struct sort_key *sorted_chunks(struct known_table *known, const struct pack_file *file,
				      struct error **err)
{
	struct sort_key *keys = malloc((file->chunk_count + 1) * sizeof(*keys));
	struct chunk_record record;

	if (!keys) {
		error_set(err, ERROR_FAILED, "no memory to sort the index of pack %s",
			  file->info.name);
		return NULL;
	}
	for (size_t i = 0; i < file->chunk_count; i++) {
		known_table_get(known, file->chunks[i], &record);
		keys[i].prefix = __builtin_bswap64(format_get_u64(record.id.bytes));
		keys[i].index = file->chunks[i];
	}
	qsort_r(keys, file->chunk_count, sizeof(*keys), compare_keys, known);
	return keys;
}

/* What is written of a footer goes through here: hashed, gathered, appended. */
struct footer {
	struct pack_file *file;
	struct hasher *hasher;
	size_t used;
	uint8_t buffer[FOOTER_BUFFER_SIZE];
};

static int footer_flush(struct footer *footer, struct error **err)
{
	struct pack_info *info = &footer->file->info;

	hasher_update(footer->hasher, footer->buffer, footer->used);
	if (io_pwrite_full(footer->file->fd, footer->buffer, footer->used, info->size) < 0)
		return error_set_errno(err, errno, "cannot write the index of pack %s", info->name);
	info->size += footer->used;
	footer->used = 0;
	return 0;
}

/* Room for the next record of ${size} bytes; NULL: *err. */
static uint8_t *footer_next(struct footer *footer, size_t size, struct error **err)
{
	uint8_t *bytes;

	if (footer->used + size > sizeof(footer->buffer) && footer_flush(footer, err) < 0)
		return NULL;
	bytes = footer->buffer + footer->used;
	footer->used += size;
	return bytes;
}

static int footer_fill(struct footer *footer, struct known_table *known,
		       const struct sort_key *keys, struct error **err)
{
	struct pack_file *file = footer->file;
	struct pack_trailer trailer = {
		.footer_offset = file->info.size,
		.frame_count = (uint32_t)file->frame_count,
		.chunk_count = (uint32_t)file->chunk_count,
		.raw_size = file->info.raw_size,
	};
	struct chunk_record record;
	uint8_t *bytes;

	for (size_t i = 0; i < file->frame_count; i++) {
		if (!(bytes = footer_next(footer, PACK_FRAME_SIZE, err)))
			return -1;
		frame_record_put(bytes, &file->frames[i]);
	}
	for (size_t i = 0; i < file->chunk_count; i++) {
		if (!(bytes = footer_next(footer, PACK_CHUNK_SIZE, err)))
			return -1;
		known_table_get(known, keys[i].index, &record);
		chunk_record_put(bytes, &record);
	}
	if (!(bytes = footer_next(footer, PACK_TRAILER_SIZE, err)))
		return -1;
	pack_trailer_put(bytes, &trailer);
	return footer_flush(footer, err);
}

/* Write the tables and the trailer of a pack that takes no more frames. */
static int pack_file_finish(struct pack_writer *writer, struct pack_file *file, struct error **err)
{
	uint64_t before = file->info.size;
	struct footer *footer = NULL;
	struct sort_key *keys;
	int result = -1;

	keys = sorted_chunks(writer->known, file, err);
	if (keys) {
		footer = memory_alloc(sizeof(*footer));
		footer->file = file;
		footer->used = 0;
		footer->hasher = hasher_new();
		result = footer_fill(footer, writer->known, keys, err);
		hasher_finish(footer->hasher, &file->info.footer);
		hasher_free(footer->hasher);
	}
	file->info.chunks = file->chunk_count;
	free(file->frames);
	free(file->chunks);
	file->frames = NULL;
	file->chunks = NULL;
	free(keys);
	free(footer);
	atomic_fetch_add(&writer->stored_bytes, file->info.size - before);
	return result;
}

static int pack_file_sync(struct pack_file *file, struct error **err)
{
	if (fsync(file->fd) < 0)
		return error_set_errno(err, errno, "cannot write pack %s to the disk",
				       file->info.name);
	close(file->fd);
	file->fd = -1;
	return 0;
}

/* A full pack, taken out of use by this thread: wait for the others' writes and end it. */
static int retire(struct pack_writer *writer, struct pack_file *file, struct error **err)
{
	bool wait_for_disk;

	pthread_mutex_lock(&writer->lock);
	while (file->writes)
		pthread_cond_wait(&writer->idle, &writer->lock);
	wait_for_disk = writer->unsynced >= UNSYNCED_MAX;
	if (!wait_for_disk)
		writer->unsynced++;
	pthread_mutex_unlock(&writer->lock);
	if (pack_file_finish(writer, file, err) < 0)
		return -1;
	if (wait_for_disk)
		return pack_file_sync(file, err);
	/* Only an early start of the writing; where it is not supported nothing is lost. */
	(void)sync_file_range(file->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return 0;
}

static int ask_permit(struct pack_writer *writer, uint64_t bytes, struct error **err)
{
	int result;

	if (!writer->permit)
		return 0;
	pthread_mutex_lock(&writer->permit_lock);
	result = writer->permit(writer->permit_context, bytes, err);
	pthread_mutex_unlock(&writer->permit_lock);
	return result;
}

/*
 * Choose the file for a frame and its offset there. A file that is full is
 * handed over in *full: the caller must retire() it.
 */
static struct pack_file *take_place(struct pack_writer *writer, const struct pack_frame *frame,
				    uint64_t *offset, struct pack_file **full, struct error **err)
{
	bool is_catalog = frame->kind == FRAME_CATALOG;
	struct pack_file **current = is_catalog ? &writer->catalogs : &writer->data, *file;

	pthread_mutex_lock(&writer->lock);
	file = *current;
	if (file && !fits(writer, file, frame)) {
		*full = file;
		file = NULL;
	}
	if (!file)
		file = pack_file_new(writer, frame->kind, err);
	*current = file;
	if (file && pack_file_enter(file, writer->known, frame, offset, err) < 0)
		file = NULL;
	if (file)
		file->writes++;
	pthread_mutex_unlock(&writer->lock);
	return file;
}

int pack_writer_add(struct pack_writer *writer, const struct pack_frame *frame, struct error **err)
{
	struct pack_file *file, *full = NULL;
	uint32_t size = frame->record.stored_size;
	uint64_t offset = 0;
	int result = 0;

	if (ask_permit(writer, size + PACK_FRAME_SIZE + frame->chunk_count * PACK_CHUNK_SIZE, err) <
	    0)
		return -1;
	file = take_place(writer, frame, &offset, &full, err);
	if (!file)
		return -1;
	if (io_pwrite_full(file->fd, frame->stored, size, offset) < 0)
		result = error_set_errno(err, errno, "cannot write pack %s", file->info.name);
	else
		atomic_fetch_add(&writer->stored_bytes, size);
	pthread_mutex_lock(&writer->lock);
	if (--file->writes == 0)
		pthread_cond_broadcast(&writer->idle);
	pthread_mutex_unlock(&writer->lock);
	/* After our own write, so that a chain of full packs always has an end that moves. */
	if (result == 0 && full)
		result = retire(writer, full, err);
	return result;
}

int pack_writer_finish(struct pack_writer *writer, struct pack_info **packs, size_t *count,
		       struct error **err)
{
	struct pack_info *infos;

	if ((writer->data && pack_file_finish(writer, writer->data, err) < 0) ||
	    (writer->catalogs && pack_file_finish(writer, writer->catalogs, err) < 0))
		return -1;
	writer->data = writer->catalogs = NULL;
	for (size_t i = 0; i < writer->count; i++)
		if (writer->files[i]->fd >= 0 && pack_file_sync(writer->files[i], err) < 0)
			return -1;
	if (fsync(writer->directory_fd) < 0 || fsync(writer->parent_fd) < 0)
		return error_set_errno(err, errno,
				       "cannot write the store's directory to the disk");
	infos = memory_array(NULL, writer->count, sizeof(*infos));
	for (size_t i = 0; i < writer->count; i++)
		infos[i] = writer->files[i]->info;
	*packs = infos;
	*count = writer->count;
	return 0;
}
