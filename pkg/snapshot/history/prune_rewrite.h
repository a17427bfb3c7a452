/*
 * Room for what no kept snapshot needs: removing one from the middle of a chain frees
 * nothing, as its layer stays below the others. So those are written anew without it.
 */
#ifndef SIDESNAP_SNAPSHOT_PRUNE_REWRITE_H
#define SIDESNAP_SNAPSHOT_PRUNE_REWRITE_H

#include "base/json.h"
#include "snapshot/session.h"

/* What must be gained at the first snapshot of a chain, besides a tenth of what it needs itself. */
#define PRUNE_LEAST_GAIN_BYTES ((uint64_t)1 << 20)

/*
 * prune_rewrite(session, lineages, reserve_bytes, rewritten, err):
 * Write the snapshots of ${lineages} (an array of objects with "lineage") anew where layers lie between
 * them that are no snapshot's any more and enough would be gained: each on the one below it
 * as that is now, or on the image below the chain. Volumes are not read. A snapshot keeps its id and
 * its tags, the image is another one. Chains of which a container or an image without a tag holds on
 * to a layer stay as they are. ${reserve_bytes}: to stay free on the engine's disk; UINT64_MAX: the
 * default.
 *
 * Added to ${rewritten}: {"reference","id","image","previous","stored_bytes","duration_ms"}. At any moment
 * each snapshot is whole below its tags; what a death leaves is removed by the next call or doctor.
 */
int prune_rewrite(struct session *session, const struct json *lineages, uint64_t reserve_bytes,
		  struct json *rewritten, struct error **err);

/*
 * prune_rewrite_estimate(session, lineage, until_ms, gains, err):
 * What that would free if ${lineage} had no other snapshots than those it is given with: in the object
 * ${gains} by each image above a gap that would be written anew the bytes, from catalogs. null where
 * they could not be told, or not before ${until_ms} of the monotonic clock.
 */
int prune_rewrite_estimate(struct session *session, const struct json *lineage, uint64_t until_ms,
			   struct json *gains, struct error **err);

#endif
