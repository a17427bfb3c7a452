/*
 * sidesnap ls. A target that was removed is still known by what its snapshots say of
 * their source: that is when its snapshots are wanted most.
 */
#include <string.h>

#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

int snapshot_list(struct session *session, const char *target, struct json **result,
		  struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *entries = images_list(session, err);
	CLEANUP(cleanup_json_free) struct json *containers = NULL;

	if (!entries)
		return -1;
	if (target) {
		struct json *some = images_of(session, entries, target, err);

		if (!some)
			return -1;
		json_free(entries);
		entries = some;
	}
	containers = container_list(session->engine, true, NULL, err);
	if (!containers)
		return error_prefix(err, "cannot list containers");
	json_for_each(entry, entries)
		json_set(entry, "containers",
			 images_used_by(containers, json_string(entry, "image"),
					json_string(entry, "id")));
	*result = STEAL_POINTER(entries);
	return 0;
}
