/*
 * A container of ours that a person works in, with our standard streams as its own, and that is gone
 * afterwards, however it ends.
 */
#ifndef SIDESNAP_PROJECT_INTERACTIVE_H
#define SIDESNAP_PROJECT_INTERACTIVE_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "snapshot/session.h"

struct interactive;

/*
 * interactive_new(session, image, makes):
 * ${image}: inspect of what it is made from. ${makes}: sidesnap.id of an image without a name that is removed with
 * it; NULL: none. Nothing is on the engine yet. Never NULL.
 */
struct interactive *interactive_new(struct session *session, const struct json *image,
				    const char *makes);

/*
 * interactive_create(interactive, body, connect, err):
 * Create the container and join it to the networks in ${connect} ([{"network","endpoint"}], may be NULL).
 * To ${body}, which is changed, comes what it has in any case: labels by which doctor finds it when we
 * are killed and none of compose's, no log, no health check, open streams; with a terminal at both our
 * ends it gets one.
 */
int interactive_create(struct interactive *interactive, struct json *body,
		       const struct json *connect, struct error **err);

/*
 * interactive_run(interactive, exit_code, err):
 * Start it, and hand on input and output until it ends. ERROR_UNSUPPORTED: its program is not in the image.
 */
int interactive_run(struct interactive *interactive, int *exit_code, struct error **err);

/* interactive_free(interactive): Remove it, its anonymous volumes, and the image without a name; NULL ok. */
void interactive_free(struct interactive *interactive);
CLEANUP_DEFINE(struct interactive, interactive_free)

#endif
