/*
 * How much of a store its trees still name.
 */
#ifndef SIDESNAP_TREE_NEEDED_H
#define SIDESNAP_TREE_NEEDED_H

#include <stdint.h>

#include "base/error.h"
#include "store/reader.h"
#include "tree/manifest.h"

/*
 * needed_bytes(store, manifest, known, bytes, err):
 * The bytes before compression of what a rewrite of all trees of ${manifest}, whose chunks are in
 * ${store}, would have to store: each chunk once, unless ${known} (may be NULL) has it, and the
 * catalogs. Contents are not read; catalogs are, and checked: ERROR_DAMAGED.
 */
int needed_bytes(struct store *store, const struct manifest *manifest, const struct store *known,
		 uint64_t *bytes, struct error **err);

#endif
