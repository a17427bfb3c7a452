/*
 * sidesnap undo: back to the newest safety snapshot, by the operation that it was made
 * for. That makes a safety snapshot itself, so an undo can be undone.
 */
#include <string.h>

#include "base/memory.h"
#include "snapshot/helper/state.h"
#include "snapshot/labels.h"
#include "snapshot/restore/restoration.h"
#include "snapshot/restore/safety.h"

/*
 * After a reset that failed, the newest safety snapshot is what the volumes hold already: its
 * record says so. NULL: that is not the case. To be freed.
 */
static char *rolled_back_to(const struct session *session, const struct target *target,
			    const struct json *newest)
{
	CLEANUP(cleanup_json_free) struct json *mount = state_mount_existing(session);
	CLEANUP(cleanup_json_free) struct json *mounts = json_new_array(), *record = NULL;
	struct helper_specification specification = {.image = json_string(newest, "image"),
						     .purpose = "restore",
						     .target_id = target->id,
						     .mounts = mounts};
	struct helper *helper;

	if (!mount)
		return NULL;
	json_add(mounts, STEAL_POINTER(mount));
	helper = helper_create(session, &specification, NULL);
	if (helper)
		record = state_record(session, helper_id(helper), target->id);
	helper_free(helper);
	return strcmp(json_string_or(record, "operation", ""), "rollback") == 0
		       ? memory_strdup(json_string(record, "snapshot"))
		       : NULL;
}

static struct json *find_state(struct session *session, const struct restore_options *options,
			       struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *newest = NULL;
	cleanup_free char *skipped = NULL;
	struct restoration undo;
	struct json *found = NULL;

	restoration_init(&undo, session, options, "reset", "undo");
	if (restoration_find_target(&undo, err) == 0)
		newest = safety_newest(session, &undo.target, NULL, err);
	if (newest) {
		skipped = rolled_back_to(session, &undo.target, newest);
		found = skipped ? safety_newest(session, &undo.target, skipped, err)
				: json_copy(newest);
	}
	restoration_release(&undo);
	return found;
}

int snapshot_undo(struct session *session, const struct restore_options *options,
		  struct json **result, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *state = find_state(session, options, err);
	struct restore_options chosen = *options;
	const char *operation;

	if (!state)
		return -1;
	operation = json_string_or(state, "operation", "");
	chosen.reference = json_string(json_first(json_get(state, "references")), NULL);
	chosen.no_safety = false;
	progress_note(session->progress, "going back to %s (%s)", chosen.reference,
		      json_string_or(state, "title", ""));
	if (strcmp(operation, "replace") == 0)
		return restoration_replace(session, &chosen, "undo", result, err);
	return restoration_reset(session, &chosen, "undo", result, err);
}
