/*
 * Every number in a pack is an attacker's until it was compared with a limit:
 * sizes before memory is taken for them, places before they are used.
 */
#include "store/pack_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/io.h"
#include "base/text.h"

#define NAME_DIGITS_MAX 64

static bool is_pack_name(const char name[static 80])
{
	size_t digits;

	if (!memchr(name, 0, 80))
		return false;
	digits = strspn(name, "0123456789abcdef");
	return digits > 0 && digits <= NAME_DIGITS_MAX && strcmp(name + digits, PACK_SUFFIX) == 0;
}

static int damaged(const struct pack_reader *pack, const char *what, struct error **err)
{
	return error_set(err, ERROR_DAMAGED, "pack %s is damaged: %s", pack->name, what);
}

/* All of it, or an error: what is shorter than it was at the open is damaged. */
static int read_at(const struct pack_reader *pack, void *data, size_t size, uint64_t offset,
		   struct error **err)
{
	ssize_t count = io_pread_full(pack->fd, data, size, offset);

	if (count < 0)
		return error_set_errno(err, errno, "cannot read pack %s at offset %llu", pack->name,
				       (unsigned long long)offset);
	if ((size_t)count < size)
		return damaged(pack, "it ends too early", err);
	return 0;
}

static int check_name(struct pack_reader *pack, const struct pack_info *info, struct error **err)
{
	memset(pack, 0, sizeof(*pack));
	pack->fd = -1;
	if (!is_pack_name(info->name))
		return error_set(err, ERROR_DAMAGED, "the manifest has an invalid pack name");
	memcpy(pack->name, info->name, sizeof(pack->name));
	return 0;
}

static int open_file(struct pack_reader *pack, int directory_fd, struct error **err)
{
	pack->fd = openat(directory_fd, pack->name,
			  O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (pack->fd < 0 && errno == ENOENT)
		return error_set(err, ERROR_NOT_FOUND, "pack %s is missing", pack->name);
	if (pack->fd < 0 && errno == ELOOP)
		return damaged(pack, "it is a symbolic link", err);
	if (pack->fd < 0)
		return error_set_errno(err, errno, "cannot open pack %s", pack->name);
	return 0;
}

static int check_file(struct pack_reader *pack, const struct pack_info *info, struct error **err)
{
	struct stat status;

	if (fstat(pack->fd, &status) < 0)
		return error_set_errno(err, errno, "cannot examine pack %s", pack->name);
	if (!S_ISREG(status.st_mode))
		return damaged(pack, "it is no regular file", err);
	if ((uint64_t)status.st_size != info->size)
		return error_set(err, ERROR_DAMAGED,
				 "pack %s is damaged: it has %llu bytes, the manifest says %llu",
				 pack->name, (unsigned long long)status.st_size,
				 (unsigned long long)info->size);
	pack->size = info->size;
	if (pack->size < PACK_HEADER_SIZE + pack_footer_size(1, 1) ||
	    pack->size > PACK_SIZE_MAX * 2)
		return damaged(pack, "its size is impossible", err);
	return 0;
}

static int check_header(const struct pack_reader *pack, struct error **err)
{
	uint8_t header[PACK_HEADER_SIZE], expected[PACK_HEADER_SIZE];
	uint32_t version;

	if (read_at(pack, header, sizeof(header), 0, err) < 0)
		return -1;
	pack_header_put(expected);
	version = format_get_u32(header + PACK_MAGIC_SIZE);
	if (memcmp(header, expected, PACK_MAGIC_SIZE) == 0 && version > PACK_VERSION) {
		error_set(err, ERROR_UNSUPPORTED, "pack %s has version %u, known are up to %u",
			  pack->name, version, PACK_VERSION);
		return error_hint(err, "use a newer sidesnap");
	}
	if (memcmp(header, expected, sizeof(header)) != 0)
		return damaged(pack, "wrong header", err);
	return 0;
}

/* The trailer's counts, within limits and true to the file's size. */
static int check_trailer(struct pack_reader *pack, const struct pack_info *info,
			 const uint8_t *bytes, struct error **err)
{
	uint8_t expected[PACK_TRAILER_SIZE];
	struct pack_trailer trailer = {
		.footer_offset = format_get_u64(bytes),
		.frame_count = format_get_u32(bytes + 8),
		.chunk_count = format_get_u32(bytes + 12),
		.raw_size = format_get_u64(bytes + 16),
	};

	pack_trailer_put(expected, &trailer);
	if (memcmp(expected, bytes, sizeof(expected)) != 0)
		return damaged(pack, "wrong trailer", err);
	if (trailer.frame_count < 1 || trailer.frame_count > PACK_FRAMES_MAX ||
	    trailer.chunk_count < 1 || trailer.chunk_count > PACK_CHUNKS_MAX)
		return damaged(pack, "impossible number of frames or chunks", err);
	if (trailer.footer_offset > pack->size ||
	    pack->size - trailer.footer_offset !=
		    pack_footer_size(trailer.frame_count, trailer.chunk_count))
		return damaged(pack, "its index is not where it must be", err);
	if (trailer.chunk_count != info->chunks || trailer.raw_size != info->raw_size)
		return damaged(pack, "its totals are not those of the manifest", err);
	pack->frame_count = trailer.frame_count;
	pack->chunk_count = trailer.chunk_count;
	return 0;
}

static int read_tables(struct pack_reader *pack, const struct pack_info *info, struct error **err)
{
	uint8_t trailer[PACK_TRAILER_SIZE];
	struct hash hash;
	size_t size;

	if (read_at(pack, trailer, sizeof(trailer), pack->size - sizeof(trailer), err) < 0 ||
	    check_trailer(pack, info, trailer, err) < 0)
		return -1;
	size = (size_t)pack_footer_size(pack->frame_count, pack->chunk_count);
	pack->tables = malloc(size);
	pack->frames = calloc(pack->frame_count, sizeof(struct frame *));
	if (!pack->tables || !pack->frames)
		return error_set(err, ERROR_FAILED, "no memory for the index of pack %s",
				 pack->name);
	pack->chunks = pack->tables + (size_t)pack->frame_count * PACK_FRAME_SIZE;
	if (read_at(pack, pack->tables, size, pack->size - size, err) < 0)
		return -1;
	hash_data(&hash, pack->tables, size);
	if (!hash_equal(&hash, &info->footer))
		return damaged(pack, "its index does not have the manifest's hash", err);
	/* The trailer may have been another one when it was read alone. */
	if (memcmp(pack->tables + size - sizeof(trailer), trailer, sizeof(trailer)) != 0)
		return damaged(pack, "it changes while it is being read", err);
	return 0;
}

/* The frames follow one another without a gap from the header to the footer. */
static int check_frames(const struct pack_reader *pack, uint64_t raw_size, struct error **err)
{
	uint64_t offset = PACK_HEADER_SIZE, raw = 0;
	struct frame_record frame;

	for (uint32_t i = 0; i < pack->frame_count; i++) {
		pack_reader_frame(pack, i, &frame);
		if (frame.offset != offset)
			return damaged(pack, "there are gaps between its frames", err);
		if (frame.raw_size < 1 || frame.raw_size > FRAME_RAW_MAX || frame.stored_size < 1)
			return damaged(pack, "a frame has an impossible size", err);
		if (frame.flags & ~FRAME_FLAG_ZSTD)
			return damaged(pack, "a frame has an unknown flag", err);
		if (frame.flags & FRAME_FLAG_ZSTD ? frame.stored_size >= frame.raw_size
						  : frame.stored_size != frame.raw_size)
			return damaged(pack, "a frame has an impossible size", err);
		offset += frame.stored_size;
		raw += frame.raw_size;
	}
	if (offset != pack->size - pack_footer_size(pack->frame_count, pack->chunk_count))
		return damaged(pack, "there are bytes between frames and index", err);
	if (raw != raw_size)
		return damaged(pack, "its raw size is not that of the manifest", err);
	return 0;
}

static int check_chunks(const struct pack_reader *pack, struct error **err)
{
	struct chunk_record chunk;
	struct frame_record frame;

	for (uint32_t i = 0; i < pack->chunk_count; i++) {
		const uint8_t *id = pack->chunks + (size_t)i * PACK_CHUNK_SIZE;

		if (i && memcmp(id - PACK_CHUNK_SIZE, id, HASH_SIZE) >= 0)
			return damaged(pack, "its chunks are not in order", err);
		pack_reader_chunk(pack, i, &chunk);
		if (chunk.frame >= pack->frame_count)
			return damaged(pack, "a chunk is in no frame", err);
		pack_reader_frame(pack, chunk.frame, &frame);
		if (chunk.size < 1 || chunk.size > CHUNK_SIZE_MAX ||
		    chunk.offset > frame.raw_size || chunk.size > frame.raw_size - chunk.offset)
			return damaged(pack, "a chunk reaches out of its frame", err);
	}
	return 0;
}

static int check_all(struct pack_reader *pack, const struct pack_info *info, struct error **err)
{
	if (check_file(pack, info, err) == 0 && check_header(pack, err) == 0 &&
	    read_tables(pack, info, err) == 0 && check_frames(pack, info->raw_size, err) == 0 &&
	    check_chunks(pack, err) == 0)
		return 0;
	pack_reader_release(pack);
	return -1;
}

int pack_reader_open(struct pack_reader *pack, int directory_fd, const struct pack_info *info,
		     struct error **err)
{
	if (check_name(pack, info, err) < 0 || open_file(pack, directory_fd, err) < 0)
		return -1;
	return check_all(pack, info, err);
}

int pack_reader_take(struct pack_reader *pack, int fd, const struct pack_info *info,
		     struct error **err)
{
	if (check_name(pack, info, err) < 0) {
		close(fd);
		return -1;
	}
	pack->fd = fd;
	return check_all(pack, info, err);
}

void pack_reader_release(struct pack_reader *pack)
{
	if (pack->fd >= 0)
		close(pack->fd);
	free(pack->tables);
	free(pack->frames);
	pack->fd = -1;
	pack->tables = NULL;
	pack->frames = NULL;
}

static uint64_t prefix_at(const struct pack_reader *pack, size_t number)
{
	return __builtin_bswap64(format_get_u64(pack->chunks + number * PACK_CHUNK_SIZE));
}

/*
 * Ids are spread evenly, so the place can be guessed. Where a hostile table is
 * not, a few wrong guesses end in an ordinary bisection.
 */
static size_t guess(const struct pack_reader *pack, size_t low, size_t high, uint64_t key)
{
	uint64_t first = prefix_at(pack, low), last = prefix_at(pack, high - 1);

	if (key <= first || last <= first)
		return low;
	if (key >= last)
		return high - 1;
	return low + (size_t)((unsigned __int128)(key - first) * (high - 1 - low) / (last - first));
}

bool pack_reader_find(const struct pack_reader *pack, const struct hash *id,
		      struct chunk_record *record, uint32_t *number)
{
	uint64_t key = __builtin_bswap64(format_get_u64(id->bytes));
	size_t low = 0, high = pack->chunk_count;
	unsigned guesses = 0;

	while (low < high) {
		size_t middle = high - low > 4 && guesses++ < 6 ? guess(pack, low, high, key)
								: low + (high - low) / 2;
		int order = memcmp(pack->chunks + middle * PACK_CHUNK_SIZE, id->bytes, HASH_SIZE);

		if (order == 0) {
			*number = (uint32_t)middle;
			pack_reader_chunk(pack, *number, record);
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

void pack_reader_frame(const struct pack_reader *pack, uint32_t number, struct frame_record *record)
{
	frame_record_get(pack->tables + (size_t)number * PACK_FRAME_SIZE, record);
}

void pack_reader_chunk(const struct pack_reader *pack, uint32_t number, struct chunk_record *record)
{
	chunk_record_get(pack->chunks + (size_t)number * PACK_CHUNK_SIZE, record);
}

void frame_loader_release(struct frame_loader *loader)
{
	ZSTD_freeDCtx(loader->decompressor);
	free(loader->stored);
	memset(loader, 0, sizeof(*loader));
}

static int loader_prepare(struct frame_loader *loader, size_t size, struct error **err)
{
	uint8_t *grown;

	if (!loader->decompressor)
		loader->decompressor = ZSTD_createDCtx();
	if (!loader->decompressor)
		return error_set(err, ERROR_FAILED, "no memory for decompression");
	if (size <= loader->capacity)
		return 0;
	grown = realloc(loader->stored, size);
	if (!grown)
		return error_set(err, ERROR_FAILED, "no memory for a frame of %zu bytes", size);
	loader->stored = grown;
	loader->capacity = size;
	return 0;
}

static int damaged_frame(const struct pack_reader *pack, const struct frame_record *frame,
			 const char *what, struct error **err)
{
	return error_set(err, ERROR_DAMAGED, "pack %s is damaged at offset %llu: %s", pack->name,
			 (unsigned long long)frame->offset, what);
}

int frame_loader_load(struct frame_loader *loader, const struct pack_reader *pack, uint32_t number,
		      uint8_t *raw, struct error **err)
{
	struct frame_record frame;
	struct hash hash;
	uint8_t *stored = raw;
	size_t size;

	pack_reader_frame(pack, number, &frame);
	if (frame.flags & FRAME_FLAG_ZSTD) {
		if (loader_prepare(loader, frame.stored_size, err) < 0)
			return -1;
		stored = loader->stored;
	}
	if (read_at(pack, stored, frame.stored_size, frame.offset, err) < 0)
		return -1;
	hash_data(&hash, stored, frame.stored_size);
	if (!hash_equal(&hash, &frame.hash))
		return damaged_frame(pack, &frame, "the frame does not have its hash", err);
	if (!(frame.flags & FRAME_FLAG_ZSTD))
		return 0;
	size = ZSTD_decompressDCtx(loader->decompressor, raw, frame.raw_size, stored,
				   frame.stored_size);
	if (ZSTD_isError(size))
		return damaged_frame(pack, &frame, ZSTD_getErrorName(size), err);
	if (size != frame.raw_size)
		return damaged_frame(pack, &frame, "the frame is shorter than its index says", err);
	return 0;
}
