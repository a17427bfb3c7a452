/*
 * Comparing what a database holds with a copy of it that is booted already.
 */
#ifndef SIDESNAP_SNAPSHOT_DIFF_DATA_H
#define SIDESNAP_SNAPSHOT_DIFF_DATA_H

#include "base/json.h"
#include "snapshot/helper/scratch.h"
#include "snapshot/session.h"

/*
 * diff_data_with_copy(session, copy, target, result, err):
 * As snapshot_diff_data() from ${copy}, which is ready, and is taken and removed in any case, to the container
 * ${target} as it is now. Rows are only counted.
 */
int diff_data_with_copy(struct session *session, struct scratch *copy, const char *target,
			struct json **result, struct error **err);

#endif
