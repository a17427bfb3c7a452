/*
 * The snapshots that there are, by lineage, and the containers that stand on them.
 */
#ifndef SIDESNAP_SNAPSHOT_LINEAGE_H
#define SIDESNAP_SNAPSHOT_LINEAGE_H

#include <stdbool.h>

#include "base/json.h"
#include "snapshot/session.h"

/*
 * lineage_tree(session, target, strict, err):
 * As snapshot_tree() reports them; to be freed. ${strict}: where it cannot be read what resets have
 * noted, "current" would not be the whole truth: that is then an error, not a warning.
 */
struct json *lineage_tree(struct session *session, const char *target, bool strict,
			  struct error **err);

#endif
