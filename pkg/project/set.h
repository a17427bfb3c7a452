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
#include "snapshot/snapshot.h"

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

/*
 * set_list(session, result, err): The sets that are here, newest first.
 * [{"references":[REF],"id","image","created","title","project","consistency","bytes","stored","pinned",
 *   "members":[{"name","container","id","driver","consistency","references":[REF] (none: it is not here)}]}]
 * Pinned is a set whose members all are.
 */
int set_list(struct session *session, struct json **result, struct error **err);

/*
 * set_find(session, reference, err):
 * That one as in the list, by a name, an image's id or a sidesnap.id (8 digits or more of it); to be
 * freed. NULL without an error: it means no set.
 */
struct json *set_find(struct session *session, const char *reference, struct error **err);

/* set_show(session, reference, result, err): As in the list, with "size" and "definition" (its set.json). */
int set_show(struct session *session, const char *reference, struct json **result,
	     struct error **err);

/*
 * set_pin_members(session, set, pin, result, err):
 * Pin or unpin what of a set (as set_find() gives it) is here; then rm of the set is refused, too.
 * {"references":[REF of the set],"id","pinned","members":[{...as snapshot_describe()}]}
 */
int set_pin_members(struct session *session, const struct json *set, enum describe_pin pin,
		    struct json **result, struct error **err);

/*
 * set_push(session, options, result, err):
 * push of snapshots and sets: members first, under the set's name at the registry with "-NAME" behind it,
 * the set last. As snapshot_push(). ERROR_NOT_FOUND: a member is not here.
 */
int set_push(struct session *session, const struct push_options *options, struct json **result,
	     struct error **err);

/*
 * set_remove(session, references, force, result, err):
 * rm of snapshots and sets, a set with its members, under the names that the set gave them. As
 * snapshot_remove(). All is checked before anything goes; the name of a set goes last.
 */
int set_remove(struct session *session, const struct string_list *references, bool force,
	       struct json **result, struct error **err);

#endif
