/* Reading and sorting one directory: getdents64 into an arena, sorted by a prefix. */
#include "tree/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TYPE_AT sizeof(uint64_t) /* in what the arena has of a name */
#define NAME_AT (TYPE_AT + 1)

struct kernel_entry { /* what getdents64 gives */
	uint64_t inode;
	int64_t offset;
	uint16_t size;
	unsigned char type;
	char name[];
};

void listing_init(struct listing *listing)
{
	memset(listing, 0, sizeof(*listing));
}

void listing_release(struct listing *listing)
{
	free(listing->text);
	free(listing->names);
	listing_init(listing);
}

const char *listing_name(const struct listing *listing, size_t i)
{
	return listing->text + listing->names[i].offset + NAME_AT;
}

unsigned char listing_type(const struct listing *listing, size_t i)
{
	return (unsigned char)listing->text[listing->names[i].offset + TYPE_AT];
}

uint64_t listing_inode(const struct listing *listing, size_t i)
{
	uint64_t inode;

	memcpy(&inode, listing->text + listing->names[i].offset, sizeof(inode));
	return inode;
}

static int grow(void **data, size_t *capacity, size_t needed, size_t item)
{
	size_t more = *capacity ? *capacity : 64;
	void *grown;

	while (more < needed)
		more *= 2;
	if (more == *capacity)
		return 0;
	grown = realloc(*data, more * item);
	if (!grown)
		return -1;
	*data = grown;
	*capacity = more;
	return 0;
}

static int listing_add(struct listing *listing, const struct kernel_entry *entry)
{
	const char *name = entry->name;
	size_t size = strlen(name);
	struct listing_name *slot;
	char *text;

	if (grow((void **)&listing->text, &listing->text_capacity,
		 listing->text_size + NAME_AT + size + 1, 1) < 0 ||
	    grow((void **)&listing->names, &listing->capacity, listing->count + 1,
		 sizeof(*listing->names)) < 0) {
		errno = ENOMEM;
		return -1;
	}
	slot = &listing->names[listing->count++];
	slot->offset = listing->text_size;
	slot->prefix = 0;
	for (size_t i = 0; i < 8; i++)
		slot->prefix = slot->prefix << 8 | (i < size ? (uint8_t)name[i] : 0);
	text = listing->text + listing->text_size;
	memcpy(text, &entry->inode, sizeof(entry->inode));
	text[TYPE_AT] = (char)entry->type;
	memcpy(text + NAME_AT, name, size + 1);
	listing->text_size += NAME_AT + size + 1;
	return 0;
}

static int compare_names(const void *a, const void *b, void *context)
{
	const struct listing_name *x = a, *y = b;
	const struct listing *listing = context;

	if (x->prefix != y->prefix)
		return x->prefix < y->prefix ? -1 : 1;
	return strcmp(listing->text + x->offset + NAME_AT, listing->text + y->offset + NAME_AT);
}

int listing_read(struct listing *listing, int fd)
{
	union {
		char bytes[32768];
		struct kernel_entry aligned;
	} buffer;

	listing->text_size = listing->count = listing->next = 0;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -1;
	for (;;) {
		long size = syscall(SYS_getdents64, fd, buffer.bytes, sizeof(buffer.bytes));

		if (size < 0)
			return -1;
		if (!size)
			break;
		for (long at = 0; at < size;) {
			const struct kernel_entry *entry =
				(const struct kernel_entry *)(buffer.bytes + at);

			at += entry->size;
			if (entry->name[0] == '.' &&
			    (!entry->name[1] || (entry->name[1] == '.' && !entry->name[2])))
				continue;
			if (listing_add(listing, entry) < 0)
				return -1;
		}
	}
	if (listing->count > 1)
		qsort_r(listing->names, listing->count, sizeof(*listing->names), compare_names,
			listing);
	return 0;
}
