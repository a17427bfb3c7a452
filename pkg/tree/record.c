/*
 * Catalog records as bytes. What is decoded here may come from a stranger's image:
 * every length is checked before it is used, every value before it is handed on.
 */
#include "tree/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/path.h"
#include "base/text.h"
#include "store/format.h"
#include "tree/format.h"
#include "tree/record_contents.h"

/* Hints about the source rather than state of the tree: not part of its hash. */
#define HINT_FLAGS ((uint32_t)(ENTRY_HOT | ENTRY_LINKED))
#define KNOWN_FLAGS ((uint32_t)(ENTRY_DELETED | ENTRY_HOT | ENTRY_LINKED))

void record_space_init(struct record_space *space)
{
	memset(space, 0, sizeof(*space));
	buffer_init(&space->list, RECORD_SIZE_MAX);
}

void record_space_release(struct record_space *space)
{
	free(space->attributes);
	sequence_release(&space->contents);
	sequence_release(&space->upper);
	sequence_release(&space->spare);
	for (size_t i = 0; i < CONTENT_LISTS_MAX; i++)
		free(space->lists[i].refs);
	buffer_release(&space->list);
	record_space_init(space);
}

bool attribute_is_kept(const char *name)
{
	return (text_has_prefix(name, "user.") && name[5]) ||
	       strcmp(name, "security.capability") == 0 ||
	       strcmp(name, "system.posix_acl_access") == 0 ||
	       strcmp(name, "system.posix_acl_default") == 0;
}

static int append_text(struct buffer *buffer, const char *text, size_t limit)
{
	size_t size = strlen(text);

	if (size > limit)
		return -1;
	buffer_append_u16(buffer, (uint16_t)size);
	return buffer_append(buffer, text, size + 1);
}

static int append_attributes(struct buffer *buffer, const struct catalog_entry *entry)
{
	size_t total = 0;

	if (entry->attribute_count > RECORD_ATTRIBUTE_COUNT_MAX)
		return -1;
	buffer_append_u16(buffer, (uint16_t)entry->attribute_count);
	for (size_t i = 0; i < entry->attribute_count; i++) {
		const struct attribute *attribute = &entry->attributes[i];
		size_t name_size = strlen(attribute->name);

		total += name_size + attribute->size;
		if (!name_size || name_size > RECORD_ATTRIBUTE_NAME_MAX ||
		    attribute->size > RECORD_ATTRIBUTE_SIZE_MAX ||
		    total > RECORD_ATTRIBUTES_SIZE_MAX)
			return -1;
		buffer_append_u8(buffer, (uint8_t)name_size);
		buffer_append(buffer, attribute->name, name_size + 1);
		buffer_append_u32(buffer, (uint32_t)attribute->size);
		buffer_append(buffer, attribute->value, attribute->size);
	}
	return 0;
}

static uint8_t parts_of(const struct catalog_entry *entry, bool canonical)
{
	unsigned parts = 0;

	if (entry->flags & ENTRY_DELETED)
		return 0;
	if (entry->attribute_count && !entry->hardlink)
		parts |= RECORD_PART_ATTRIBUTES;
	if (entry->hardlink)
		parts |= RECORD_PART_HARDLINK;
	else if (S_ISLNK(entry->mode))
		parts |= RECORD_PART_LINK;
	else if (S_ISCHR(entry->mode) || S_ISBLK(entry->mode))
		parts |= RECORD_PART_DEVICE;
	else if (S_ISREG(entry->mode))
		parts |= canonical ? RECORD_PART_CONTENTS : contents_parts(entry);
	return (uint8_t)parts;
}

static int append_parts(struct buffer *buffer, const struct catalog_entry *entry, unsigned parts)
{
	if (parts & RECORD_PART_LINK &&
	    (!entry->link || append_text(buffer, entry->link, RECORD_LINK_MAX) < 0))
		return -1;
	if (parts & RECORD_PART_HARDLINK &&
	    append_text(buffer, entry->hardlink, RECORD_PATH_MAX) < 0)
		return -1;
	if (parts & RECORD_PART_DEVICE) {
		buffer_append_u32(buffer, major(entry->device));
		buffer_append_u32(buffer, minor(entry->device));
	}
	if (parts & RECORD_PART_ATTRIBUTES && append_attributes(buffer, entry) < 0)
		return -1;
	if (parts & RECORD_PART_CONTENTS)
		contents_encode(buffer, entry, parts);
	return 0;
}

static int encode(struct buffer *buffer, const struct catalog_entry *entry, unsigned parts)
{
	size_t start = buffer->size, size;

	buffer_append_u32(buffer, 0);
	buffer_append_u32(buffer, entry->flags);
	buffer_append_u32(buffer, entry->mode);
	buffer_append_u32(buffer, entry->uid);
	buffer_append_u32(buffer, entry->gid);
	buffer_append_u64(buffer, (uint64_t)entry->mtime.tv_sec);
	buffer_append_u32(buffer, (uint32_t)entry->mtime.tv_nsec);
	buffer_append_u64(buffer, entry->fingerprint.device);
	buffer_append_u64(buffer, entry->fingerprint.inode);
	buffer_append_u64(buffer, (uint64_t)entry->fingerprint.ctime.tv_sec);
	buffer_append_u32(buffer, (uint32_t)entry->fingerprint.ctime.tv_nsec);
	buffer_append_u8(buffer, (uint8_t)parts);
	if (append_text(buffer, entry->path, RECORD_PATH_MAX) < 0 ||
	    append_parts(buffer, entry, parts) < 0)
		goto fail;
	size = buffer->size - start - 4;
	if (buffer->failed || size > RECORD_SIZE_MAX)
		goto fail;
	for (size_t i = 0; i < 4; i++)
		buffer->data[start + i] = (char)(uint8_t)(size >> (8 * i));
	return 0;
fail:
	/* nothing half-written stays behind */
	if (buffer->size > start) {
		buffer->size = start;
		buffer->data[start] = '\0';
	}
	return -1;
}

int catalog_encode(struct buffer *buffer, const struct catalog_entry *entry)
{
	return encode(buffer, entry, parts_of(entry, true));
}

int record_encode(struct buffer *buffer, const struct catalog_entry *entry)
{
	return encode(buffer, entry, parts_of(entry, false));
}

bool record_is_canonical(const struct catalog_entry *entry)
{
	return parts_of(entry, true) == parts_of(entry, false);
}

void record_hash(struct hasher *hasher, const void *bytes, size_t size)
{
	const uint8_t *data = bytes;
	uint8_t head[RECORD_FINGERPRINT_OFFSET];
	const size_t behind = RECORD_FINGERPRINT_OFFSET + RECORD_FINGERPRINT_SIZE;

	memcpy(head, data, sizeof(head));
	head[0] = (uint8_t)(head[0] & ~HINT_FLAGS);
	hasher_update(hasher, head, sizeof(head));
	hasher_update(hasher, data + behind, size - behind);
}

void catalog_hash_update(struct hasher *hasher, const struct catalog_entry *entry)
{
	struct buffer buffer;

	buffer_init(&buffer, RECORD_SIZE_MAX + 4UL);
	if (catalog_encode(&buffer, entry) == 0)
		record_hash(hasher, buffer.data + 4, buffer.size - 4);
	buffer_release(&buffer);
}

static int damaged(struct error **err, const char *what)
{
	return error_set(err, ERROR_DAMAGED, "catalog record: %s", what);
}

/* A text of ${cursor} with its NUL; *size without it. NULL when it is none. */
static const char *cursor_text(struct cursor *cursor, size_t limit, size_t *size)
{
	const char *text;

	*size = cursor_u16(cursor);
	if (*size > limit)
		return NULL;
	text = (const char *)cursor_bytes(cursor, *size + 1);
	if (!text || memchr(text, '\0', *size + 1) != text + *size)
		return NULL;
	return text;
}

static int decode_attribute(struct cursor *cursor, struct attribute *attribute,
			    const char *previous, size_t *total)
{
	size_t name_size = cursor_u8(cursor);
	const char *name = (const char *)cursor_bytes(cursor, name_size + 1);

	if (!name || !name_size || memchr(name, '\0', name_size + 1) != name + name_size)
		return -1;
	attribute->name = name;
	attribute->size = cursor_u32(cursor);
	if (attribute->size > RECORD_ATTRIBUTE_SIZE_MAX)
		return -1;
	attribute->value = cursor_bytes(cursor, attribute->size);
	*total += name_size + attribute->size;
	if (!attribute->value || *total > RECORD_ATTRIBUTES_SIZE_MAX)
		return -1;
	return attribute_is_kept(name) && (!previous || strcmp(previous, name) < 0) ? 0 : -1;
}

static int decode_attributes(struct cursor *cursor, struct record_space *space,
			     struct catalog_entry *entry, struct error **err)
{
	size_t count = cursor_u16(cursor), total = 0;

	if (!count || count > RECORD_ATTRIBUTE_COUNT_MAX || cursor->failed)
		return damaged(err, "bad number of extended attributes");
	if (count > space->attribute_capacity) {
		struct attribute *more =
			realloc(space->attributes, count * sizeof(*space->attributes));

		if (!more)
			return error_set_errno(err, ENOMEM, "cannot read a catalog");
		space->attributes = more;
		space->attribute_capacity = count;
	}
	for (size_t i = 0; i < count; i++) {
		if (decode_attribute(cursor, &space->attributes[i],
				     i ? space->attributes[i - 1].name : NULL, &total) < 0)
			return damaged(err, "bad extended attribute");
	}
	entry->attributes = space->attributes;
	entry->attribute_count = count;
	return 0;
}

/* The optional parts that a record of this type must have; others are damage. */
static bool parts_fit(const struct catalog_entry *entry, unsigned parts)
{
	unsigned needed = parts & ~RECORD_PART_ATTRIBUTES;

	if (parts & RECORD_PART_CONTENTS)
		needed &= ~(RECORD_PART_PAGES | RECORD_PART_LISTS);
	if (entry->flags & ENTRY_DELETED)
		return !parts;
	if (parts & RECORD_PART_HARDLINK)
		return parts == RECORD_PART_HARDLINK && !S_ISDIR(entry->mode);
	switch (entry->mode & S_IFMT) {
	case S_IFREG:
		return needed == RECORD_PART_CONTENTS;
	case S_IFDIR:
	case S_IFIFO:
		return !needed;
	case S_IFLNK:
		return parts == RECORD_PART_LINK;
	case S_IFCHR:
	case S_IFBLK:
		return needed == RECORD_PART_DEVICE;
	default:
		return false;
	}
}

static bool type_is_known(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFIFO:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
		return !(mode & ~(mode_t)(S_IFMT | 07777));
	default:
		return false;
	}
}

static int decode_fixed(struct cursor *cursor, struct catalog_entry *entry, unsigned *parts,
			struct error **err)
{
	size_t size;

	entry->flags = cursor_u32(cursor);
	entry->mode = cursor_u32(cursor);
	entry->uid = cursor_u32(cursor);
	entry->gid = cursor_u32(cursor);
	entry->mtime.tv_sec = (time_t)cursor_u64(cursor);
	entry->mtime.tv_nsec = (long)cursor_u32(cursor);
	entry->fingerprint.device = cursor_u64(cursor);
	entry->fingerprint.inode = cursor_u64(cursor);
	entry->fingerprint.ctime.tv_sec = (time_t)cursor_u64(cursor);
	entry->fingerprint.ctime.tv_nsec = (long)cursor_u32(cursor);
	*parts = cursor_u8(cursor);
	entry->path = cursor_text(cursor, RECORD_PATH_MAX, &size);
	if (!entry->path || (size && !path_is_safe_relative(entry->path, size)))
		return damaged(err, "bad path");
	if (entry->flags & ~KNOWN_FLAGS || *parts & ~RECORD_PARTS_KNOWN)
		return damaged(err, "unknown flags");
	/* what was deleted may have no type any more */
	if (!type_is_known(entry->mode) && !(entry->flags & ENTRY_DELETED && !entry->mode))
		return damaged(err, "unknown type or mode");
	/* (uid_t)-1 means "leave it" to chown */
	if (entry->uid == UINT32_MAX || entry->gid == UINT32_MAX)
		return damaged(err, "bad owner");
	if (entry->mtime.tv_nsec > 999999999L || entry->fingerprint.ctime.tv_nsec > 999999999L)
		return damaged(err, "bad time");
	return parts_fit(entry, *parts) ? 0 : damaged(err, "parts that do not fit its type");
}

/* All parts before the contents. */
static int decode_parts(struct cursor *cursor, struct record_space *space,
			struct catalog_entry *entry, unsigned parts, struct error **err)
{
	size_t size;

	if (parts & RECORD_PART_LINK) {
		entry->link = cursor_text(cursor, RECORD_LINK_MAX, &size);
		if (!entry->link || !size)
			return damaged(err, "bad symbolic link");
	}
	if (parts & RECORD_PART_HARDLINK) {
		entry->hardlink = cursor_text(cursor, RECORD_PATH_MAX, &size);
		if (!entry->hardlink || !path_is_safe_relative(entry->hardlink, size) ||
		    path_compare(entry->hardlink, entry->path) >= 0)
			return damaged(err, "bad hard link");
	}
	if (parts & RECORD_PART_DEVICE) {
		unsigned device_major = cursor_u32(cursor), device_minor = cursor_u32(cursor);

		/* what the kernel can hold in a file system */
		if (device_major >= 1U << 12 || device_minor >= 1U << 20)
			return damaged(err, "bad device number");
		entry->device = makedev(device_major, device_minor);
	}
	if (parts & RECORD_PART_ATTRIBUTES && decode_attributes(cursor, space, entry, err) < 0)
		return -1;
	return 0;
}

int record_decode(const void *bytes, size_t size, struct record_space *space,
		  struct catalog_entry *entry, struct error **err)
{
	return record_decode_stored(bytes, size, space, NULL, entry, err);
}

int record_decode_stored(const void *bytes, size_t size, struct record_space *space,
			 struct store *store, struct catalog_entry *entry, struct error **err)
{
	struct cursor cursor;
	unsigned parts;

	cursor_init(&cursor, bytes, size);
	memset(entry, 0, sizeof(*entry));
	if (decode_fixed(&cursor, entry, &parts, err) < 0)
		return -1;
	if (decode_parts(&cursor, space, entry, parts, err) < 0 ||
	    (parts & RECORD_PART_CONTENTS &&
	     contents_decode(&cursor, parts, space, store, entry, err) < 0))
		return error_prefix(err, "\"%s\"", entry->path);
	if (cursor.failed || cursor_left(&cursor))
		return damaged(err, "its size does not fit its parts");
	return 0;
}

int record_decode_brief(const void *bytes, size_t size, struct record_space *space,
			struct catalog_entry *entry, struct error **err)
{
	struct cursor cursor;
	unsigned parts;

	cursor_init(&cursor, bytes, size);
	memset(entry, 0, sizeof(*entry));
	if (decode_fixed(&cursor, entry, &parts, err) < 0)
		return -1;
	if (decode_parts(&cursor, space, entry, parts, err) < 0 ||
	    (parts & RECORD_PART_CONTENTS && contents_decode_size(&cursor, parts, entry, err) < 0))
		return error_prefix(err, "\"%s\"", entry->path);
	return 0;
}
