/*
 * Sets: snapshots of several containers at one instant, and the image that holds them together.
 * Results are JSON as --json prints it, to be freed.
 */
#ifndef SIDESNAP_PROJECT_SET_H
#define SIDESNAP_PROJECT_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/text.h"
#include "snapshot/session.h"

struct set_options {
	const struct string_list *targets; /* none: the containers of session->project */
	bool all;			   /* or everything on the engine */
	const char *reference; /* of the set; members have "-NAME" behind it. NULL: the default */
	const char *title;     /* NULL: none */
	/* As in create_options, for every member. */
	bool stopped, live, image_command, allow_overlay_volume, force, ignore_prepare;
	uint64_t reserve_bytes;
};

/*
 * set_create(session, options, result, err):
 * All members are captured side by side, frozen together, and get their names together: each, and at last
 * the set, or none.
 * {"reference","id","image","project","title","created","consistency","frozen_ms","hot_bytes",
 *  "duration_ms","bytes","stored_bytes","frozen":[NAME],"members":[{"name",... as snapshot_create()}]}
 */
int set_create(struct session *session, const struct set_options *options, struct json **result,
	       struct error **err);

/* set_plan(session, options, result, err): --dry-run. {"members":[{"name",... as snapshot_plan()}]} */
int set_plan(struct session *session, const struct set_options *options, struct json **result,
	     struct error **err);

#endif
