/*
 * Long chains: an image takes 125 layers, and every create adds one. What a snapshot's
 * layers have gathered becomes one layer on the image that all of it stands on. Nothing is
 * read but the snapshot itself, and neither it nor its tags are touched.
 */
#ifndef SIDESNAP_SNAPSHOT_CONSOLIDATE_H
#define SIDESNAP_SNAPSHOT_CONSOLIDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "snapshot/session.h"

/* More layers than these no engine takes on top of an image (overlay2: 125 in all). */
#define CONSOLIDATE_LAYERS_MOST 124

struct consolidate_options {
	const char *image; /* id of the snapshot */
	const char
		*target_id; /* lock: one consolidation for a container at a time; NULL: no lock */
	bool is_snapshot;   /* target_id is a sidesnap.id: one for a snapshot */
	uint64_t reserve_bytes; /* to stay free on the engine's disk; UINT64_MAX: the default */
	/*
	 * The new image is to be built on and no snapshot itself: sidesnap.role is "base", so that
	 * no list shows the same snapshot twice. Else its role stays "snapshot".
	 */
	bool is_base;
	/*
	 * What it is put on, the id of an image; NULL: the image below the chain, as said below. Of
	 * what is a snapshot itself nothing is stored again.
	 */
	const char *below;
	/* Own files, in which the two may differ, are in their catalogs, as ${below} is as we left it. */
	bool is_below_known;
	/*
	 * Not 0: to be done only where the packs that are left behind have so many bytes that are not
	 * needed, and these are a tenth of those that are, which have to be written.
	 */
	uint64_t least_gain_bytes;
	bool estimate; /* set by consolidate_estimate() */
};

/* A consolidated image without a tag. It lasts only as long as something is built on it. */
struct consolidation;

/*
 * snapshot_consolidate(session, options, err):
 * The same state, id, labels and configuration as an image of one layer on the image below the
 * chain: sidesnap.source.image-id, or where that stands too high itself, the highest local image
 * below it that is no snapshot. Own files are brought over, the trees are written into new
 * packs, which hold nothing else (tree/rewrite.h). NULL: ERROR_NOT_FOUND (the image below is
 * gone), ERROR_DAMAGED (the snapshot is), ERROR_BUSY, ...; or without an error: too little would be
 * gained. Then nothing is left behind.
 */
struct consolidation *snapshot_consolidate(const struct session *session,
					   const struct consolidate_options *options,
					   struct error **err);

/*
 * consolidate_estimate(session, options, gain_bytes, err):
 * What snapshot_consolidate() with least_gain_bytes would leave behind that is not needed, by the
 * catalogs; 0 where it would not do it. Nothing is written, and nothing cleaned up.
 */
int consolidate_estimate(const struct session *session, const struct consolidate_options *options,
			 uint64_t *gain_bytes, struct error **err);

const char *consolidation_image(const struct consolidation *consolidation); /* the new id */
const char *consolidation_source(
	const struct consolidation *consolidation); /* what it was made of */

/* consolidation_keep(consolidation): The image stays, whatever becomes of this; the caller's. */
char *consolidation_keep(struct consolidation *consolidation);

/* consolidation_describe(consolidation): {"layers" before,"bytes","stored_bytes","duration_ms"}; to be freed. */
struct json *consolidation_describe(const struct consolidation *consolidation);

/*
 * consolidation_free(consolidation): Removes the image unless something uses it: a tag, a
 * container, or where the engine knows such things an image built on it. NULL ok.
 */
void consolidation_free(struct consolidation *consolidation);
CLEANUP_DEFINE(struct consolidation, consolidation_free)

/*
 * consolidate_is_due(session, image): Whether an image (its inspect) is a snapshot that is to be
 * consolidated before another layer is put on it: it is near the limit and much would be
 * gained, or at the limit.
 */
bool consolidate_is_due(const struct session *session, const struct json *image);

/* consolidate_is_deep(image): Whether an image (its inspect) has that many layers. */
bool consolidate_is_deep(const struct json *image);

/* consolidate_owns(helper): Whether a helper (its inspect) is one of a consolidation's. */
bool consolidate_owns(const struct json *helper);

/*
 * consolidate_clean(session, act, context, err): Remove what killed consolidations have left,
 * unless one is under way: their helpers, images that nothing is built on, and what twins_clean() does. ${act} is told of each, and may be NULL. With ${dry_run}
 * nothing is removed.
 */
int consolidate_clean(const struct session *session, bool dry_run,
		      void (*act)(void *context, const char *what, const char *name), void *context,
		      struct error **err);

#endif
