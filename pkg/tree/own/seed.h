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
#include "tree/capture/capture.h"
#include "tree/catalog.h"
#include "tree/mark.h"
#include "tree/own/own.h"

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
 * lost+found, our mark, mount points, and directories on the way to these or to ${mounted_below}
 * (paths relative to it where other trees belong; may be NULL). 0 otherwise, with the first path that
 * is foreign in *foreign, to be freed (may be NULL). -1 when the seed is damaged.
 */
int volume_is_empty(int root_fd, struct store *store, const struct catalog_root *seed,
		    const struct string_list *mounted_below, char **foreign, struct error **err);

enum volume_wish { VOLUME_ASK, VOLUME_KEEP, VOLUME_REPLACE }; /* SIDESNAP_RESTORE */

enum volume_action {
	VOLUME_LEAVE,	/* start on what is there */
	VOLUME_RESTORE, /* make it the tree */
	VOLUME_WAIT,	/* another container, that may write it, has to restore it */
	VOLUME_REFUSE,	/* it holds something else: a person has to say what to do */
};

/* volume_decide(...): What a boot does with a volume in that state. */
enum volume_action volume_decide(const struct mark *mark, const struct hash *tree,
				 enum volume_wish wish, bool is_writable, bool is_empty);

#endif
