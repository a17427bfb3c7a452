/*
 * How a snapshot comes into the helper's layer: what captures and consolidations share.
 * In this order: options, for the trees; complete; write; describe.
 */
#ifndef SIDESNAP_AGENT_SNAPSHOT_WRITE_H
#define SIDESNAP_AGENT_SNAPSHOT_WRITE_H

#include <stddef.h>

#include "base/error.h"
#include "base/json.h"
#include "layer.h"
#include "store/hash.h"
#include "store/writer.h"
#include "tree/capture/capture.h"
#include "tree/manifest.h"
#include "tree/own/own.h"
#include "view.h"

/*
 * snapshot_options(options, base, reserve, job, err):
 * All but the progress: a store below ${base} that builds on what it holds, written as the
 * job says, and within ${reserve}, which is set here. ERROR_NO_SPACE when nothing may be
 * written at all.
 */
int snapshot_options(struct capture_options *options, const struct snapshot_view *base,
		     struct layer_reserve *reserve, const struct json *job, struct error **err);

/*
 * snapshot_complete(base, manifest, packs, count, job, err):
 * The manifest gets the packs of ${base} and the new ones, and the job's agent, which goes
 * into the layer.
 */
int snapshot_complete(const struct snapshot_view *base, struct manifest *manifest,
		      const struct pack_info *packs, size_t count, const struct json *job,
		      struct error **err);

/* snapshot_write(base, manifest, hash, err): The manifest, then everything is on disk. */
int snapshot_write(const struct snapshot_view *base, const struct manifest *manifest,
		   struct hash *hash, struct error **err);

/* snapshot_describe(manifest, hash, totals, own): What DONE says of any snapshot; to be freed. */
struct json *snapshot_describe(const struct manifest *manifest, const struct hash *hash,
			       const struct store_writer_totals *totals,
			       const struct own_totals *own);

#endif
