/*
 * States are read in path order beside the volume, a record in memory at a time, and
 * decoded as carefully as a stranger's catalog.
 *
 * A state is believed only while the machine runs that wrote it. After a crash a file may
 * hold data that is newer than the times on the disk (fdatasync() leaves those behind), so
 * that its stat proves nothing; no clean stop can be told from a crash.
 */
#include "tree/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "store/format.h"
#include "tree/earlier.h"
#include "tree/format.h"
#include "tree/record.h"

#define BLOCK_SIZE (256U << 10)

struct volume_state {
	int fd;
	uint64_t end;	   /* of the records, in the file */
	uint64_t position; /* of what follows the buffer, in the file */
	struct buffer buffer;
	size_t taken;	  /* of the buffer */
	size_t record_at; /* in the buffer: the record read last, behind its size */
	struct record_space space;
	struct catalog_entry entry;
	char previous[RECORD_PATH_MAX + 1];
	bool has_entry, ended;
};

struct state_writer {
	int directory_fd, fd;
	char *name, *temporary;
	struct buffer pending;
	struct hasher *hasher;
	size_t header_size;
	uint64_t size, records; /* written */
};

const char *state_verdict_name(enum state_verdict verdict)
{
	static const char *const names[] = {"none", "absent", "foreign", "used"};

	return names[verdict];
}

static void append_text(struct buffer *buffer, const char *text)
{
	size_t size = strlen(text);

	buffer_append_u16(buffer, (uint16_t)size);
	buffer_append(buffer, text, size + 1);
}

static bool key_fits(const struct state_key *key)
{
	return strlen(key->volume) <= STATE_NAME_MAX && strlen(key->created) <= STATE_NAME_MAX;
}

static int make_header(struct buffer *header, const struct state_key *key, int root_fd,
		       const struct hash *tree)
{
	char run[CLOCK_RUN_SIZE];
	struct file_status status;

	if (!clock_run(run) || !key_fits(key) || beneath_status(root_fd, "", &status) < 0)
		return -1;
	buffer_append(header, STATE_MAGIC, CATALOG_MAGIC_SIZE);
	buffer_append_u64(header, status.device);
	buffer_append_u64(header, status.inode);
	buffer_append(header, tree->bytes, HASH_SIZE);
	append_text(header, run);
	append_text(header, key->volume);
	append_text(header, key->created);
	return header->failed ? -1 : 0;
}

/* ---- reading ---- */

/* The hash of the first ${size} bytes is what follows them. */
static bool seal_holds(int fd, uint64_t size)
{
	struct hasher *hasher = hasher_new();
	cleanup_free uint8_t *block = memory_alloc(BLOCK_SIZE);
	struct hash hash, seal;
	uint64_t at = 0;

	while (at < size) {
		size_t part = size - at < BLOCK_SIZE ? (size_t)(size - at) : BLOCK_SIZE;

		if (io_pread_full(fd, block, part, at) != (ssize_t)part)
			break;
		hasher_update(hasher, block, part);
		at += part;
	}
	hasher_finish(hasher, &hash);
	hasher_free(hasher);
	return at == size && io_pread_full(fd, seal.bytes, HASH_SIZE, size) == HASH_SIZE &&
	       hash_equal(&hash, &seal);
}

static bool same_text(struct cursor *cursor, const char *expected)
{
	size_t size = cursor_u16(cursor);
	const uint8_t *text = cursor_bytes(cursor, size + 1);

	return text && text[size] == '\0' &&
	       (!expected || (strlen(expected) == size && memcmp(text, expected, size) == 0));
}

/* Whether it is of this volume and of this run of the machine; *size is the header's. */
static bool header_fits(int fd, const struct state_key *key, int root_fd, uint64_t *size)
{
	uint8_t bytes[STATE_HEADER_SIZE_MAX];
	char run[CLOCK_RUN_SIZE];
	struct file_status status;
	struct cursor cursor;
	ssize_t got = io_pread_full(fd, bytes, sizeof(bytes), 0);
	const uint8_t *magic;

	if (got < 0 || !clock_run(run) || beneath_status(root_fd, "", &status) < 0)
		return false;
	cursor_init(&cursor, bytes, (size_t)got);
	magic = cursor_bytes(&cursor, CATALOG_MAGIC_SIZE);
	if (!magic || memcmp(magic, STATE_MAGIC, CATALOG_MAGIC_SIZE) != 0 ||
	    cursor_u64(&cursor) != status.device || cursor_u64(&cursor) != status.inode ||
	    !cursor_bytes(&cursor, HASH_SIZE) || !same_text(&cursor, run) ||
	    !same_text(&cursor, key ? key->volume : NULL) ||
	    !same_text(&cursor, key ? key->created : NULL) || cursor.failed)
		return false;
	*size = cursor.position;
	return true;
}

struct volume_state *state_open(int directory_fd, const char *name, const struct state_key *key,
				int root_fd, enum state_verdict *verdict)
{
	cleanup_fd int fd =
		beneath_open(directory_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	struct volume_state *state;
	struct stat status;
	uint64_t begin = 0;

	*verdict = fd < 0 && errno == ENOENT ? STATE_ABSENT : STATE_FOREIGN;
	if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ||
	    !header_fits(fd, key, root_fd, &begin) ||
	    (uint64_t)status.st_size < begin + CATALOG_END_SIZE + HASH_SIZE ||
	    !seal_holds(fd, (uint64_t)status.st_size - HASH_SIZE))
		return NULL;
	*verdict = STATE_USED;
	state = memory_zalloc(sizeof(*state));
	state->fd = STEAL_FD(fd);
	state->position = begin;
	state->end = (uint64_t)status.st_size - HASH_SIZE - CATALOG_END_SIZE;
	buffer_init(&state->buffer, RECORD_SIZE_MAX + 2UL * BLOCK_SIZE);
	record_space_init(&state->space);
	return state;
}

void state_close(struct volume_state *state)
{
	if (!state)
		return;
	close(state->fd);
	buffer_release(&state->buffer);
	record_space_release(&state->space);
	free(state);
}

/* Until ${size} bytes are in the buffer behind what was taken. */
static bool fill(struct volume_state *state, size_t size)
{
	struct buffer *buffer = &state->buffer;
	size_t wanted;

	if (buffer->size - state->taken >= size)
		return true;
	buffer_consume(buffer, state->taken);
	state->taken = 0;
	wanted = size - buffer->size < BLOCK_SIZE ? BLOCK_SIZE : size - buffer->size;
	if (wanted > state->end - state->position)
		wanted = (size_t)(state->end - state->position);
	if (buffer->size + wanted < size || buffer_reserve(buffer, wanted) < 0 ||
	    io_pread_full(state->fd, buffer->data + buffer->size, wanted, state->position) !=
		    (ssize_t)wanted)
		return false;
	buffer->size += wanted;
	state->position += wanted;
	return true;
}

/* The next record; what cannot be understood ends the state. */
static bool read_record(struct volume_state *state)
{
	cleanup_error struct error *problem = NULL;
	const uint8_t *bytes;
	uint32_t size;

	if (!fill(state, 4))
		return false;
	size = format_get_u32((const uint8_t *)state->buffer.data + state->taken);
	if (size < RECORD_SIZE_MIN || size > RECORD_SIZE_MAX || !fill(state, 4 + (size_t)size))
		return false;
	bytes = (const uint8_t *)state->buffer.data + state->taken + 4;
	if (record_decode(bytes, size, &state->space, &state->entry, &problem) < 0 ||
	    path_compare(state->previous, state->entry.path) >= 0)
		return false;
	state->record_at = state->taken + 4;
	state->taken += 4 + (size_t)size;
	memcpy(state->previous, state->entry.path, strlen(state->entry.path) + 1);
	return true;
}

/* The record of that path, whatever it proves. */
static const struct catalog_entry *seek_record(struct volume_state *state, const char *path)
{
	while (!state->ended) {
		int order = state->has_entry ? path_compare(state->entry.path, path) : -1;

		if (order >= 0)
			return order == 0 ? &state->entry : NULL;
		state->has_entry = read_record(state);
		state->ended = !state->has_entry;
	}
	return NULL;
}

const struct catalog_entry *state_find(struct volume_state *state, const char *path,
				       const struct file_status *status)
{
	const struct catalog_entry *entry = seek_record(state, path);

	return entry && fingerprint_holds(entry, status) ? entry : NULL;
}

const struct catalog_entry *state_last(struct volume_state *state, const char *path)
{
	const struct catalog_entry *entry = seek_record(state, path);

	return entry && !(entry->flags & ENTRY_HOT) ? entry : NULL;
}

/* ---- writing ---- */

int state_remove(int directory_fd, const char *name, struct error **err)
{
	if (unlinkat(directory_fd, name, 0) < 0) {
		if (errno == ENOENT)
			return 0;
		return error_set_errno(err, errno, "cannot remove the volume's state \"%s\"", name);
	}
	if (fsync(directory_fd) < 0)
		return error_set_errno(err, errno, "cannot sync the removal of a volume's state");
	return 0;
}

struct state_writer *state_writer_open(int directory_fd, const char *name,
				       const struct state_key *key, int root_fd,
				       const struct hash *tree, struct error **err)
{
	struct state_writer *writer = memory_zalloc(sizeof(*writer));

	writer->directory_fd = directory_fd;
	writer->fd = -1;
	writer->name = memory_strdup(name);
	writer->temporary = memory_printf("%s.new", name);
	writer->hasher = hasher_new();
	buffer_init(&writer->pending, RECORD_SIZE_MAX + 2UL * BLOCK_SIZE);
	if (make_header(&writer->pending, key, root_fd, tree) < 0) {
		error_set(err, ERROR_UNSUPPORTED, "a volume's state cannot be written here");
		goto fail;
	}
	writer->header_size = writer->pending.size;
	/* of a restore that was killed: whoever writes one has the volume's lock */
	unlinkat(directory_fd, writer->temporary, 0);
	writer->fd = openat(directory_fd, writer->temporary,
			    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (writer->fd < 0) {
		error_set_errno(err, errno, "cannot make a volume's state");
		goto fail;
	}
	return writer;
fail:
	state_writer_free(writer);
	return NULL;
}

void state_writer_free(struct state_writer *writer)
{
	if (!writer)
		return;
	if (writer->fd >= 0) {
		close(writer->fd);
		unlinkat(writer->directory_fd, writer->temporary, 0);
	}
	buffer_release(&writer->pending);
	hasher_free(writer->hasher);
	free(writer->name);
	free(writer->temporary);
	free(writer);
}

static int write_failed(struct error **err)
{
	return error_set_errno(err, errno, "cannot write a volume's state");
}

static int flush(struct state_writer *writer, struct error **err)
{
	struct buffer *pending = &writer->pending;

	if (pending->failed)
		return error_set(err, ERROR_FAILED, "no memory for a volume's state");
	if (io_write_full(writer->fd, pending->data, pending->size) < 0)
		return write_failed(err);
	writer->size += pending->size;
	buffer_clear(pending);
	return 0;
}

int state_writer_add(struct state_writer *writer, const struct catalog_entry *entry, bool is_proven,
		     struct error **err)
{
	struct catalog_entry record = *entry;

	/* until it is settled, it proves nothing */
	record.flags &= ~(uint32_t)ENTRY_HOT;
	if (!is_proven)
		record.flags |= ENTRY_HOT;
	if (catalog_encode(&writer->pending, &record) < 0)
		return error_set(err, ERROR_FAILED, "\"%s\" is more than a state can hold",
				 entry->path);
	writer->records++;
	return writer->pending.size < BLOCK_SIZE ? 0 : flush(writer, err);
}

/* In its place in the file, and in ${record}, which is hashed. */
static int put_fingerprint(struct state_writer *writer, uint8_t *record, uint64_t offset,
			   const struct fingerprint *fingerprint)
{
	uint8_t *at = record + RECORD_FINGERPRINT_OFFSET;

	record[RECORD_FLAGS_OFFSET] = (uint8_t)(record[RECORD_FLAGS_OFFSET] & ~ENTRY_HOT);
	format_put_u64(at, fingerprint->device);
	format_put_u64(at + 8, fingerprint->inode);
	format_put_u64(at + 16, (uint64_t)fingerprint->ctime.tv_sec);
	format_put_u32(at + 24, (uint32_t)fingerprint->ctime.tv_nsec);
	return io_pwrite_full(writer->fd, record,
			      RECORD_FINGERPRINT_OFFSET + RECORD_FINGERPRINT_SIZE, offset);
}

static int hash_header(struct state_writer *writer)
{
	uint8_t header[STATE_HEADER_SIZE_MAX];

	if (io_pread_full(writer->fd, header, writer->header_size, 0) !=
	    (ssize_t)writer->header_size)
		return -1;
	hasher_update(writer->hasher, header, writer->header_size);
	return 0;
}

static int settle_records(struct state_writer *writer, struct volume_state *state,
			  bool (*ask)(void *context, const struct catalog_entry *entry,
				      struct fingerprint *fingerprint),
			  void *context)
{
	uint64_t records = 0, offset = writer->header_size;

	while (read_record(state)) {
		uint8_t *record = (uint8_t *)state->buffer.data + state->record_at;
		size_t size = state->taken - state->record_at;
		struct fingerprint fingerprint;

		if (state->entry.flags & ENTRY_HOT && ask(context, &state->entry, &fingerprint) &&
		    put_fingerprint(writer, record, offset + 4, &fingerprint) < 0)
			return -1;
		hasher_update(writer->hasher, record - 4, 4 + size);
		offset += 4 + size;
		records++;
	}
	return records == writer->records ? 0 : -1;
}

int state_writer_settle(struct state_writer *writer,
			bool (*ask)(void *context, const struct catalog_entry *entry,
				    struct fingerprint *fingerprint),
			void *context, struct error **err)
{
	struct volume_state state = {.fd = writer->fd, .position = writer->header_size};
	int result = -1;

	if (flush(writer, err) < 0)
		return -1;
	state.end = writer->size;
	buffer_init(&state.buffer, RECORD_SIZE_MAX + 2UL * BLOCK_SIZE);
	record_space_init(&state.space);
	if (hash_header(writer) == 0)
		result = settle_records(writer, &state, ask, context);
	buffer_release(&state.buffer);
	record_space_release(&state.space);
	return result < 0 ? error_set(err, ERROR_FAILED, "a volume's state cannot be read again")
			  : 0;
}

int state_writer_commit(struct state_writer *writer, struct error **err)
{
	struct hash seal;
	int result;

	buffer_append_u32(&writer->pending, 0);
	buffer_append_u64(&writer->pending, writer->records);
	hasher_update(writer->hasher, writer->pending.data, writer->pending.size);
	hasher_finish(writer->hasher, &seal);
	buffer_append(&writer->pending, seal.bytes, HASH_SIZE);
	if (flush(writer, err) < 0)
		return -1;
	result = close(writer->fd);
	writer->fd = -1;
	if (result < 0 || renameat(writer->directory_fd, writer->temporary, writer->directory_fd,
				   writer->name) < 0) {
		write_failed(err);
		unlinkat(writer->directory_fd, writer->temporary, 0);
		return -1;
	}
	return 0;
}
