/*
 * What reaches the agent as tar from the engine: the image's content below a volume's
 * path (seeds), and the changed files of a container that does not run.
 */
#ifndef SIDESNAP_SNAPSHOT_ARCHIVE_STREAM_H
#define SIDESNAP_SNAPSHOT_ARCHIVE_STREAM_H

#include "base/json.h"
#include "snapshot/create/plan.h"
#include "snapshot/helper/helper.h"
#include "snapshot/session.h"
#include "snapshot/target.h"

/*
 * seed_collect(session, container, path, entries, err):
 * Entries (wire.h, with "hash" instead of data) of what the image has at ${path}, read by GET
 * archive from a container of it that was never started. *entries is NULL when there is nothing.
 */
int seed_collect(const struct session *session, const char *container, const char *path,
		 struct json **entries, struct error **err);

/* seed_send(helper, tree, entries, err): The seed stream of a tree. */
int seed_send(struct helper *helper, size_t tree, const struct json *entries, struct error **err);

/*
 * own_send(session, helper, target, changes, own_paths, hidden, err):
 * The own-file stream of a stopped target: what is at each path of ${changes} (pairs of path and
 * kind) and ${own_paths} (relative) now. Nothing at or below ${hidden}.
 */
int own_send(const struct session *session, struct helper *helper, const struct target *target,
	     const struct json *changes, const struct json *own_paths,
	     const struct string_list *hidden, struct error **err);

#endif
