/*
 * Records one after the other in a file without a name. Written and read by one process
 * only, yet decoded as carefully as a stranger's: a disk may lie.
 */
#include "tree/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"
#include "tree/format.h"
#include "tree/record.h"

#define WRITE_SIZE (256U << 10)
#define READ_SIZE (256U << 10)
#define RECORD_HEADER_SIZE 5 /* u8 whether it is reused, u32 size of the record */

struct draft {
	int fd;
	struct buffer pending;
	uint64_t size; /* in the file */
};

struct draft_reader {
	const struct draft *draft;
	struct store *store; /* of lists of contents; may be NULL */
	uint64_t position;   /* of what follows the buffer, in the file */
	struct buffer buffer;
	size_t taken; /* of the buffer */
	struct record_space space;
};

/* Without a name from the start, or at least from here on: whoever is killed leaves nothing. */
static int open_unnamed(int directory_fd, struct error **err)
{
	cleanup_free char *random = NULL, *name = NULL;
	int fd = openat(directory_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	random = text_random_hex(16);
	name = memory_printf("draft-%s", random);
	fd = openat(directory_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && unlinkat(directory_fd, name, 0) < 0) {
		error_set_errno(err, errno, "cannot unlink a temporary file");
		close(fd);
		return -1;
	}
	return fd < 0 ? error_set_errno(err, errno, "cannot make a temporary file") : fd;
}

struct draft *draft_new(int directory_fd, struct error **err)
{
	int fd = open_unnamed(directory_fd, err);
	struct draft *draft;

	if (fd < 0)
		return NULL;
	draft = memory_zalloc(sizeof(*draft));
	draft->fd = fd;
	buffer_init(&draft->pending, RECORD_SIZE_MAX + 2UL * WRITE_SIZE);
	return draft;
}

void draft_free(struct draft *draft)
{
	if (!draft)
		return;
	close(draft->fd);
	buffer_release(&draft->pending);
	free(draft);
}

static int draft_flush(struct draft *draft, struct error **err)
{
	if (io_pwrite_full(draft->fd, draft->pending.data, draft->pending.size, draft->size) < 0)
		return error_set_errno(err, errno, "cannot write a temporary file");
	draft->size += draft->pending.size;
	buffer_clear(&draft->pending);
	return 0;
}

int draft_add(struct draft *draft, const struct catalog_entry *entry, bool is_reused,
	      struct error **err)
{
	buffer_append_u8(&draft->pending, is_reused);
	if (record_encode(&draft->pending, entry) < 0 || draft->pending.failed)
		return error_set(err, ERROR_UNSUPPORTED, "\"%s\" is more than a catalog can hold",
				 entry->path);
	return draft->pending.size < WRITE_SIZE ? 0 : draft_flush(draft, err);
}

int draft_end(struct draft *draft, struct error **err)
{
	return draft->pending.size ? draft_flush(draft, err) : 0;
}

struct draft_reader *draft_read(const struct draft *draft, struct store *store)
{
	struct draft_reader *reader = memory_zalloc(sizeof(*reader));

	reader->draft = draft;
	reader->store = store;
	buffer_init(&reader->buffer, RECORD_SIZE_MAX + 2UL * READ_SIZE);
	record_space_init(&reader->space);
	return reader;
}

void draft_reader_free(struct draft_reader *reader)
{
	if (!reader)
		return;
	buffer_release(&reader->buffer);
	record_space_release(&reader->space);
	free(reader);
}

/* Until ${size} bytes are in the buffer behind what was taken. 1, 0 at the end, -1. */
static int fill(struct draft_reader *reader, size_t size, struct error **err)
{
	struct buffer *buffer = &reader->buffer;
	size_t wanted;

	if (buffer->size - reader->taken >= size)
		return 1;
	buffer_consume(buffer, reader->taken);
	reader->taken = 0;
	wanted = size - buffer->size < READ_SIZE ? READ_SIZE : size - buffer->size;
	if (wanted > reader->draft->size - reader->position)
		wanted = (size_t)(reader->draft->size - reader->position);
	if (buffer->size + wanted < size)
		return buffer->size ? error_set(err, ERROR_FAILED, "a temporary file is damaged")
				    : 0;
	if (buffer_reserve(buffer, wanted) < 0)
		return error_set(err, ERROR_FAILED, "no memory for a catalog's record");
	if (io_pread_full(reader->draft->fd, buffer->data + buffer->size, wanted,
			  reader->position) != (ssize_t)wanted)
		return error_set_errno(err, errno, "cannot read a temporary file");
	buffer->size += wanted;
	reader->position += wanted;
	return 1;
}

int draft_next(struct draft_reader *reader, struct catalog_entry *entry, bool *is_reused,
	       struct error **err)
{
	int result = fill(reader, RECORD_HEADER_SIZE, err);
	const uint8_t *header;
	uint32_t size;

	if (result <= 0)
		return result;
	header = (const uint8_t *)reader->buffer.data + reader->taken;
	*is_reused = header[0];
	size = (uint32_t)header[1] | (uint32_t)header[2] << 8 | (uint32_t)header[3] << 16 |
	       (uint32_t)header[4] << 24;
	if (fill(reader, RECORD_HEADER_SIZE + (size_t)size, err) <= 0)
		return error_set(err, ERROR_FAILED, "a temporary file is damaged");
	result = record_decode_stored(reader->buffer.data + reader->taken + RECORD_HEADER_SIZE,
				      size, &reader->space, reader->store, entry, err);
	reader->taken += RECORD_HEADER_SIZE + size;
	return result < 0 ? -1 : 1;
}
