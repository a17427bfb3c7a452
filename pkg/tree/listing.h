/* The sorted names of one directory, in few allocations. Private to pkg/tree. */
#ifndef SIDESNAP_TREE_LISTING_H
#define SIDESNAP_TREE_LISTING_H

#include <stddef.h>
#include <stdint.h>

struct listing_name {
	uint64_t prefix; /* its first bytes as a number: most comparisons end there */
	size_t offset;
};

struct listing {
	char *text; /* for each name the inode (8 bytes), a type byte (DT_*), the name, a NUL */
	size_t text_size, text_capacity;
	struct listing_name *names;
	size_t count, capacity;
	size_t next; /* for the caller: the first that was not taken yet */
};

void listing_init(struct listing *listing);
void listing_release(struct listing *listing);

/*
 * listing_read(listing, fd): All names but "." and ".." of the directory, from its
 * beginning, sorted by bytes: together with a directory before what is in it, that is
 * the order of path_compare(). 0 or -1 with errno.
 */
int listing_read(struct listing *listing, int fd);

/* listing_name(listing, i), listing_type(listing, i): Borrowed; DT_UNKNOWN where unknown. */
const char *listing_name(const struct listing *listing, size_t i);
unsigned char listing_type(const struct listing *listing, size_t i);

/* listing_inode(listing, i): As the directory has it; where something is mounted, of what is below. */
uint64_t listing_inode(const struct listing *listing, size_t i);

#endif
