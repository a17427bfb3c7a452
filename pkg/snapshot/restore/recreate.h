/*
 * Making a container again from its inspect: the body of POST /containers/create,
 * so that it comes back with everything that a person or compose gave it, from
 * another image. What the old image gave it, and what the engine fills in by
 * itself, is left to the new image and the engine.
 */
#ifndef SIDESNAP_SNAPSHOT_RECREATE_H
#define SIDESNAP_SNAPSHOT_RECREATE_H

#include <stdbool.h>

#include "base/json.h"
#include "base/text.h"

struct recreate_source {
	/*
	 * Inspect of the container. Of a running one, newer engines (API 1.44) do not tell a
	 * MAC address that was asked for from one that they made up: then none is kept. Inspect
	 * it stopped where that matters.
	 */
	const struct json *inspect;
	const struct json
		*old_image; /* inspect of its image; NULL: gone, all counts as set at run time */
	const char *image;  /* reference or id to make it from */
	bool boot; /* that is a snapshot: an entrypoint set at run time must go through its boot */
	/* Namespaces of containers that were made again: "container:OLD" becomes "container:NEW". */
	const char *const *old_ids, *const *new_ids;
	size_t id_count;
};

struct recreation {
	struct json *body;    /* without the name */
	struct json *connect; /* [{"network","endpoint"}]: networks beyond the first */
	char *disconnect; /* network that the engine attaches though the old one was taken off; NULL */
};

void recreation_release(struct recreation *recreation);

/* recreate(source, recreation): Pure: no engine is asked. */
void recreate(const struct recreate_source *source, struct recreation *recreation);

/*
 * recreate_mount_at(inspect, path):
 * The item of the inspect's Mounts at a path in the container, or NULL. Borrowed.
 */
const struct json *recreate_mount_at(const struct json *inspect, const char *path);

/*
 * recreate_helper_mount(inspect, mount, target):
 * One of HostConfig.Mounts that shows a helper the same volume (with its Subpath) or
 * directory at ${target}, writable and not seeded; to be freed.
 */
struct json *recreate_helper_mount(const struct json *inspect, const struct json *mount,
				   const char *target);

#endif
