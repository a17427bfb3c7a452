/*
 * The engine volume in which restores note what they know: of the files of volumes,
 * so that the next one need not read them again, and of each container, which snapshot
 * its data came from. Without it everything works, only slower.
 */
#ifndef SIDESNAP_SNAPSHOT_STATE_H
#define SIDESNAP_SNAPSHOT_STATE_H

#include <stdbool.h>

#include "base/json.h"
#include "snapshot/session.h"

#define STATE_VOLUME "sidesnap-state"
#define STATE_MOUNT "/dev/sidesnap/state"

/*
 * state_mount(session):
 * One of HostConfig.Mounts that shows it to a helper, writable; the volume is made where there
 * is none. NULL: it cannot be had, or somebody else has a volume of that name. To be freed.
 */
struct json *state_mount(const struct session *session);

/* state_mount_existing(session): The same read-only; NULL also where there is no such volume. */
struct json *state_mount_existing(const struct session *session);

/*
 * state_record(session, helper, container):
 * What the last reset of a container noted: {"container","snapshot" (its sidesnap.id),"reference",
 * "operation","at"}, from a helper that mounts the volume and was not started. NULL: nothing,
 * or nothing that makes sense. To be freed.
 */
struct json *state_record(const struct session *session, const char *helper, const char *container);

/*
 * state_records(session, image):
 * The records of all containers, in an array, read through a helper made from ${image} (any will
 * do) that is not started. Empty where there is no such volume; what makes no sense is left out. To
 * be freed; NULL: *err.
 */
struct json *state_records(const struct session *session, const char *image, struct error **err);

/*
 * state_has_volume(session, helper, volume):
 * Whether anything is noted of the volume ${volume} (NULL: nothing), as such a helper sees it.
 */
bool state_has_volume(const struct session *session, const char *helper, const char *volume);

#endif
