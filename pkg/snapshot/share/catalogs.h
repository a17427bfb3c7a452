/*
 * The packs of catalogs that a manifest names, gathered one by one without those of data.
 */
#ifndef SIDESNAP_SNAPSHOT_SHARE_CATALOGS_H
#define SIDESNAP_SNAPSHOT_SHARE_CATALOGS_H

#include <stdbool.h>

#include "base/buffer.h"
#include "store/reader.h"
#include "tree/manifest.h"

struct catalogs {
	struct pack_info *packs; /* that are wanted */
	size_t count;
	int *fds; /* of those that are there, else -1 */
	size_t missing;
	bool failed; /* to keep one */
};

void catalogs_init(struct catalogs *catalogs, const struct manifest *manifest);
void catalogs_release(struct catalogs *catalogs);

/* catalogs_offer(catalogs, name, data): A pack, which is kept where it is wanted. */
void catalogs_offer(struct catalogs *catalogs, const char *name, const struct buffer *data);

/* catalogs_are_complete(catalogs): All are there, or one cannot be kept: no further one is wanted. */
bool catalogs_are_complete(const struct catalogs *catalogs);

/* catalogs_open(catalogs, err): A store of them, checked; ERROR_UNSUPPORTED where one is missing. */
struct store *catalogs_open(const struct catalogs *catalogs, struct error **err);

#endif
