/*
 * What room images take together. An engine tells the size of an image with all its layers, and
 * images share them; but where one image stands on another, what is between them is known.
 */
#ifndef SIDESNAP_SNAPSHOT_ROOM_H
#define SIDESNAP_SNAPSHOT_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "snapshot/session.h"

struct room;

struct room_image {
	const char *id;
	const struct json *layers; /* RootFS.Layers of its inspect */
	uint64_t size;		   /* with all layers, in bytes */
	uint64_t own;		   /* about that of the last layer alone; 0: not known */
	bool is_snapshot;
};

/* room_new(): Without images. Never NULL. */
struct room *room_new(void);
void room_free(struct room *room); /* NULL ok */
CLEANUP_DEFINE(struct room, room_free)

/* room_add(room, image, is_before): One more image, copied: of those from before, or come since. */
void room_add(struct room *room, const struct room_image *image, bool is_before);

/* room_remove(room, id): That image is not there any more, or would not be. */
void room_remove(struct room *room, const char *id);

/*
 * room_freed(room):
 * The bytes of layers that only removed images had, less those of layers that came since. Layers that
 * no snapshot has are somebody else's and not counted. What images share of layers between which
 * no image ends is not known: as much of it is taken as shared as can be. Negative: more is needed.
 */
int64_t room_freed(struct room *room);

/*
 * room_freed_by(room, id): Of what room_freed() found last that which goes with one removed image: layers
 * that none which stays has, nor one that it stands on. One snapshot's images with the same layers
 * each have it.
 */
uint64_t room_freed_by(const struct room *room, const char *id);

/*
 * room_open(session, err): All images that the engine lists now; each is inspected, none is read. NULL
 * on failure.
 */
struct room *room_open(const struct session *session, struct error **err);

/* room_update(room, session, err): What has gone and come since, by the engine's list. */
int room_update(struct room *room, const struct session *session, struct error **err);

#endif
