/*
 * Writing a snapshot's trees anew into one store, from the snapshot alone: what a chain
 * has gathered over many layers, without what none of its trees names any more.
 */
#ifndef SIDESNAP_TREE_REWRITE_H
#define SIDESNAP_TREE_REWRITE_H

#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "store/reader.h"
#include "store/writer.h"
#include "tree/capture/capture.h"
#include "tree/manifest.h"

struct rewrite;

/* rewrite_open(options, err): As capture_open(); the new store's directory. NULL on failure. */
struct rewrite *rewrite_open(const struct capture_options *options, struct error **err);
void rewrite_free(struct rewrite *rewrite); /* unfinished packs are unlinked; NULL ok */
CLEANUP_DEFINE(struct rewrite, rewrite_free)

/*
 * rewrite_tree(rewrite, source, from, to, err):
 * The tree ${from}, whose chunks are in ${source}, as ${to} (initialised) in the new store, its
 * seed with it. Records keep everything, fingerprints and hints too. Chunks are carried over
 * as they are, but for files of which some blocks are pieced together from several
 * chunks: those get whole blocks again. Where that changes the tree's hash, ${from}'s is
 * among the former ones of ${to}. Everything that is read is checked: ERROR_DAMAGED.
 */
int rewrite_tree(struct rewrite *rewrite, struct store *source, const struct tree_record *from,
		 struct tree_record *to, struct error **err);

/* rewrite_finish(rewrite, packs, count, totals, err): As capture_finish(). */
int rewrite_finish(struct rewrite *rewrite, struct pack_info **packs, size_t *count,
		   struct store_writer_totals *totals, struct error **err);

#endif
