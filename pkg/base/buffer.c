/*
 * The growing buffer and its counterpart for reading, with the little-endian
 * integers of our formats.
 */
#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static char empty_buffer[1];

void buffer_init(struct buffer *buffer, size_t limit)
{
	memset(buffer, 0, sizeof(*buffer));
	buffer->data = empty_buffer;
	buffer->limit = limit;
}

void buffer_release(struct buffer *buffer)
{
	if (buffer->capacity)
		free(buffer->data);
	buffer_init(buffer, buffer->limit);
}

void buffer_clear(struct buffer *buffer)
{
	buffer->size = 0;
	buffer->failed = false;
	if (buffer->capacity)
		buffer->data[0] = '\0';
}

int buffer_reserve(struct buffer *buffer, size_t size)
{
	size_t needed, capacity;
	char *data;

	if (size > buffer->limit || buffer->size > buffer->limit - size) {
		buffer->failed = true;
		return -1;
	}
	needed = buffer->size + size + 1;
	if (needed <= buffer->capacity)
		return 0;
	capacity = buffer->capacity ? buffer->capacity : 64;
	while (capacity < needed)
		capacity += capacity / 2 + 64;
	data = realloc(buffer->capacity ? buffer->data : NULL, capacity);
	if (!data) {
		buffer->failed = true;
		return -1;
	}
	buffer->data = data;
	buffer->capacity = capacity;
	buffer->data[buffer->size] = '\0';
	return 0;
}

int buffer_append(struct buffer *buffer, const void *data, size_t size)
{
	if (buffer_reserve(buffer, size) < 0)
		return -1;
	if (size)
		memcpy(buffer->data + buffer->size, data, size);
	buffer->size += size;
	buffer->data[buffer->size] = '\0';
	return 0;
}

int buffer_append_string(struct buffer *buffer, const char *string)
{
	return buffer_append(buffer, string, strlen(string));
}

int buffer_printf(struct buffer *buffer, const char *format, ...)
{
	va_list arguments;
	char *text;
	int result;

	va_start(arguments, format);
	text = memory_vprintf(format, arguments);
	va_end(arguments);
	result = buffer_append_string(buffer, text);
	free(text);
	return result;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
	if (!size)
		return;
	if (size > buffer->size)
		size = buffer->size;
	memmove(buffer->data, buffer->data + size, buffer->size - size + 1);
	buffer->size -= size;
}

char *buffer_steal(struct buffer *buffer)
{
	char *data = buffer->capacity ? buffer->data : memory_strdup("");

	buffer_init(buffer, buffer->limit);
	return data;
}

static int buffer_append_integer(struct buffer *buffer, uint64_t value, size_t size)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	return buffer_append(buffer, bytes, size);
}

int buffer_append_u8(struct buffer *buffer, uint8_t value)
{
	return buffer_append_integer(buffer, value, 1);
}

int buffer_append_u16(struct buffer *buffer, uint16_t value)
{
	return buffer_append_integer(buffer, value, 2);
}

int buffer_append_u32(struct buffer *buffer, uint32_t value)
{
	return buffer_append_integer(buffer, value, 4);
}

int buffer_append_u64(struct buffer *buffer, uint64_t value)
{
	return buffer_append_integer(buffer, value, 8);
}

void cursor_init(struct cursor *cursor, const void *data, size_t size)
{
	cursor->data = data;
	cursor->size = size;
	cursor->position = 0;
	cursor->failed = false;
}

size_t cursor_left(const struct cursor *cursor)
{
	return cursor->failed ? 0 : cursor->size - cursor->position;
}

const uint8_t *cursor_bytes(struct cursor *cursor, size_t size)
{
	const uint8_t *bytes;

	if (size > cursor_left(cursor)) {
		cursor->failed = true;
		return NULL;
	}
	bytes = cursor->data + cursor->position;
	cursor->position += size;
	return bytes;
}

static uint64_t cursor_integer(struct cursor *cursor, size_t size)
{
	const uint8_t *bytes = cursor_bytes(cursor, size);
	uint64_t value = 0;

	if (!bytes)
		return 0;
	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

uint8_t cursor_u8(struct cursor *cursor)
{
	return (uint8_t)cursor_integer(cursor, 1);
}

uint16_t cursor_u16(struct cursor *cursor)
{
	return (uint16_t)cursor_integer(cursor, 2);
}

uint32_t cursor_u32(struct cursor *cursor)
{
	return (uint32_t)cursor_integer(cursor, 4);
}

uint64_t cursor_u64(struct cursor *cursor)
{
	return cursor_integer(cursor, 8);
}
