/*
 * Which records may be the target of a hard link: eight bytes for each file with several
 * names, so that no catalog has to be in memory. Private to pkg/tree.
 */
#ifndef SIDESNAP_TREE_LINKED_H
#define SIDESNAP_TREE_LINKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct linked_set {
	uint64_t *slots; /* 0: free */
	size_t capacity, count;
};

void linked_set_init(struct linked_set *set);
void linked_set_release(struct linked_set *set);

/* linked_set_add(set, path, mode): -1 when there is no memory or there are too many. */
int linked_set_add(struct linked_set *set, const char *path, mode_t mode);

/*
 * linked_set_has(set, path, mode): Whether a record of that path and type was added. A
 * forged collision only makes a link that then fails: nobody follows it blindly.
 */
bool linked_set_has(const struct linked_set *set, const char *path, mode_t mode);

#endif
