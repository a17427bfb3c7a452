/*
 * Records to bytes and back, byte by byte, so that neither the machine's byte
 * order nor a compiler's padding gets into a pack.
 */
#include "store/format.h"

#include <string.h>

uint32_t format_get_u32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

uint64_t format_get_u64(const uint8_t *bytes)
{
	return (uint64_t)format_get_u32(bytes) | (uint64_t)format_get_u32(bytes + 4) << 32;
}

void format_put_u32(uint8_t *bytes, uint32_t value)
{
	bytes[0] = (uint8_t)value;
	bytes[1] = (uint8_t)(value >> 8);
	bytes[2] = (uint8_t)(value >> 16);
	bytes[3] = (uint8_t)(value >> 24);
}

void format_put_u64(uint8_t *bytes, uint64_t value)
{
	format_put_u32(bytes, (uint32_t)value);
	format_put_u32(bytes + 4, (uint32_t)(value >> 32));
}

void frame_record_get(const uint8_t *bytes, struct frame_record *record)
{
	record->offset = format_get_u64(bytes);
	record->stored_size = format_get_u32(bytes + 8);
	record->raw_size = format_get_u32(bytes + 12);
	record->flags = format_get_u32(bytes + 16);
	memcpy(record->hash.bytes, bytes + 20, HASH_SIZE);
}

void frame_record_put(uint8_t *bytes, const struct frame_record *record)
{
	format_put_u64(bytes, record->offset);
	format_put_u32(bytes + 8, record->stored_size);
	format_put_u32(bytes + 12, record->raw_size);
	format_put_u32(bytes + 16, record->flags);
	memcpy(bytes + 20, record->hash.bytes, HASH_SIZE);
}

void chunk_record_get(const uint8_t *bytes, struct chunk_record *record)
{
	memcpy(record->id.bytes, bytes, HASH_SIZE);
	record->frame = format_get_u32(bytes + 32);
	record->offset = format_get_u32(bytes + 36);
	record->size = format_get_u32(bytes + 40);
}

void chunk_record_put(uint8_t *bytes, const struct chunk_record *record)
{
	memcpy(bytes, record->id.bytes, HASH_SIZE);
	format_put_u32(bytes + 32, record->frame);
	format_put_u32(bytes + 36, record->offset);
	format_put_u32(bytes + 40, record->size);
}

void pack_header_put(uint8_t *bytes)
{
	memcpy(bytes, PACK_HEADER_MAGIC, PACK_MAGIC_SIZE);
	format_put_u32(bytes + 8, PACK_VERSION);
	format_put_u32(bytes + 12, 0);
}

void pack_trailer_put(uint8_t *bytes, const struct pack_trailer *trailer)
{
	format_put_u64(bytes, trailer->footer_offset);
	format_put_u32(bytes + 8, trailer->frame_count);
	format_put_u32(bytes + 12, trailer->chunk_count);
	format_put_u64(bytes + 16, trailer->raw_size);
	format_put_u32(bytes + 24, PACK_VERSION);
	format_put_u32(bytes + 28, 0);
	memcpy(bytes + 32, PACK_TRAILER_MAGIC, PACK_MAGIC_SIZE);
}

uint64_t pack_footer_size(uint64_t frames, uint64_t chunks)
{
	return frames * PACK_FRAME_SIZE + chunks * PACK_CHUNK_SIZE + PACK_TRAILER_SIZE;
}
