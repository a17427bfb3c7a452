/*
 * Scratch containers: a snapshot booted for a look at its data, closed to the outside and thrown
 * away. What is in the image is executed, so it gets no network, no port, nothing of the machine, and
 * no volumes but its own anonymous ones.
 */
#ifndef SIDESNAP_SNAPSHOT_SCRATCH_H
#define SIDESNAP_SNAPSHOT_SCRATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "driver/driver.h"
#include "snapshot/session.h"

struct scratch;

/*
 * scratch_start(session, image, makes, source, opens, err):
 * Create and start one from ${image} (an inspect). ${makes}: the sidesnap.id of an image without a
 * name that is removed with it, also by doctor; NULL: none. ${source}: the inspect of the container that
 * its state is of, which gives it what people told of its database by labels, and lends its secrets
 * (driver.h), by which we get in; NULL: not known. ${opens}: the server is told to ask for no password, where its driver
 * knows how ("scratch"), which is enough to read, and not to dump accounts or change them.
 */
struct scratch *scratch_start(const struct session *session, const struct json *image,
			      const char *makes, const struct json *source, bool opens,
			      struct error **err);

/*
 * scratch_check_room(session, image, bytes, err):
 * ERROR_NO_SPACE unless the engine's disk has room for so many and some more: what runs there besides
 * must not meet a full one because of us. A helper of ${image} (an id) is asked.
 */
int scratch_check_room(const struct session *session, const char *image, uint64_t bytes,
		       struct error **err);

const char *scratch_id(const struct scratch *scratch);

/* scratch_match(scratch): The driver of what runs in it; borrowed. */
const struct driver_match *scratch_match(const struct scratch *scratch);

/* scratch_wait(scratch, timeout_ms, err): Until its service is ready; the error has the last lines of its log. */
int scratch_wait(struct scratch *scratch, uint64_t timeout_ms, struct error **err);

/* scratch_close(scratch, err): Remove it, its volumes, and the image without a name. Frees it in any case. */
int scratch_close(struct scratch *scratch, struct error **err);
void scratch_free(struct scratch *scratch); /* the same, with a warning; NULL ok */
CLEANUP_DEFINE(struct scratch, scratch_free)

/*
 * scratch_is_ours(inspect): Whether a container is one: role label, and a name made from its nonce.
 * Labels alone prove nothing, since a container inherits those of its image.
 */
bool scratch_is_ours(const struct json *inspect);

enum scratch_state {
	SCRATCH_IN_USE,
	SCRATCH_ORPHAN,
	SCRATCH_UNKNOWN, /* it runs, and whoever started it cannot be seen from here */
};

/* scratch_state(session, inspect): Whether somebody still works with it. */
enum scratch_state scratch_state(const struct session *session, const struct json *inspect);

/* scratch_list(session, err): Inspects of all there are; an array to be freed. */
struct json *scratch_list(const struct session *session, struct error **err);

#endif
