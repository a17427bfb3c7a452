/*
 * A growing byte buffer with a cap given at its birth, always followed by a
 * NUL that is not counted, so that text in it is a C string.
 */
#ifndef SIDESNAP_BASE_BUFFER_H
#define SIDESNAP_BASE_BUFFER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
	char *data;	 /* never NULL: an empty buffer points at a static NUL */
	size_t size;	 /* bytes in use */
	size_t capacity; /* bytes allocated, 0 before the first append */
	size_t limit;	 /* bytes it may hold at most */
	bool failed;	 /* an append did not fit or found no memory: contents are cut */
};

/* buffer_init(buffer, limit): An empty buffer for at most ${limit} bytes. */
void buffer_init(struct buffer *buffer, size_t limit);

/* buffer_release(buffer): Free what it holds; it may be initialised again. */
void buffer_release(struct buffer *buffer);

/* buffer_clear(buffer): Make it empty, keeping memory and cap; resets failed. */
void buffer_clear(struct buffer *buffer);

/*
 * buffer_append(buffer, data, size):
 * Add ${size} bytes. Returns 0, or -1 when the cap or memory is exceeded; then
 * nothing was added and failed stays set, so that a run of appends can be
 * checked once at its end.
 */
int buffer_append(struct buffer *buffer, const void *data, size_t size);

/* buffer_append_string(buffer, string): buffer_append() of a C string. */
int buffer_append_string(struct buffer *buffer, const char *string);

/* buffer_printf(buffer, format, ...): Add formatted text. Returns as buffer_append(). */
int buffer_printf(struct buffer *buffer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* buffer_reserve(buffer, size): Make room for ${size} more bytes; 0 or -1. */
int buffer_reserve(struct buffer *buffer, size_t size);

/* buffer_consume(buffer, size): Drop the first ${size} bytes. */
void buffer_consume(struct buffer *buffer, size_t size);

/* buffer_steal(buffer): The bytes as a malloc'ed C string; the buffer is empty then. */
char *buffer_steal(struct buffer *buffer);

/* Little-endian integers, as every format of ours has them. */
int buffer_append_u8(struct buffer *buffer, uint8_t value);
int buffer_append_u16(struct buffer *buffer, uint16_t value);
int buffer_append_u32(struct buffer *buffer, uint32_t value);
int buffer_append_u64(struct buffer *buffer, uint64_t value);

/*
 * A bounds-checked reader over borrowed bytes. After a read past the end every
 * result is zero and failed is set; check once at the end.
 */
struct cursor {
	const uint8_t *data;
	size_t size;	 /* of data */
	size_t position; /* of the next read */
	bool failed;
};

void cursor_init(struct cursor *cursor, const void *data, size_t size);
uint8_t cursor_u8(struct cursor *cursor);
uint16_t cursor_u16(struct cursor *cursor);
uint32_t cursor_u32(struct cursor *cursor);
uint64_t cursor_u64(struct cursor *cursor);

/* cursor_bytes(cursor, size): The next ${size} bytes, borrowed; NULL past the end. */
const uint8_t *cursor_bytes(struct cursor *cursor, size_t size);

/* cursor_left(cursor): Bytes not read yet. */
size_t cursor_left(const struct cursor *cursor);

#endif
