/*
 * Several images can be the same snapshot: a describe, or a prune that writes it anew, makes another
 * one, and moves the names there. Killed in between it leaves one without a name.
 */
#ifndef SIDESNAP_SNAPSHOT_TWINS_H
#define SIDESNAP_SNAPSHOT_TWINS_H

#include <stdbool.h>

#include "base/error.h"
#include "snapshot/session.h"

/*
 * twins_clean(session, dry_run, act, context, err):
 * Remove images made by sidesnap that have neither a name nor a digest of a registry, and are the same
 * snapshot as one with a name: the old ones as well as the new, whichever that is. Not while a
 * describe of it is under way; what a container was made from stays. ${act} is told of each ("removed"),
 * and may be NULL. With ${dry_run} nothing is removed.
 */
int twins_clean(const struct session *session, bool dry_run,
		void (*act)(void *context, const char *what, const char *name), void *context,
		struct error **err);

#endif
