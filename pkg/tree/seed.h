/*
 * Seeds: what an engine copies from the image into a fresh volume. A volume that
 * holds nothing else counts as empty.
 */
#ifndef SIDESNAP_TREE_SEED_H
#define SIDESNAP_TREE_SEED_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "store/reader.h"
#include "tree/capture.h"
#include "tree/catalog.h"
#include "tree/own.h"

struct seed;

/* seed_new(): Collects the members of a seed in any order. Never NULL. */
struct seed *seed_new(void);
void seed_free(struct seed *seed); /* NULL ok */
CLEANUP_DEFINE(struct seed, seed_free)

/* seed_add(seed, member, err), seed_data(): A member, then the bytes of it, as own_stream_entry(). */
int seed_add(struct seed *seed, const struct own_member *member, struct error **err);
int seed_data(struct seed *seed, const void *data, size_t size, struct error **err);

/* seed_write(seed, capture, root, err): All members came; their catalog. */
int seed_write(struct seed *seed, struct capture *capture, struct catalog_root *root,
	       struct error **err);

/*
 * volume_is_empty(root_fd, store, seed, mounted_below, foreign, err):
 * 1 when the directory holds nothing but what ${seed} says (NULL or count 0: nothing),
 * lost+found, our mark, and directories on the way to ${mounted_below} (paths relative to it
 * where other trees are mounted; may be NULL). 0 otherwise, with the first path that
 * is foreign in *foreign, to be freed (may be NULL). -1 when the seed is damaged.
 */
int volume_is_empty(int root_fd, struct store *store, const struct catalog_root *seed,
		    const struct string_list *mounted_below, char **foreign, struct error **err);

#endif
