/* sidesnap tag. Unlike the engine's own it does not take a name from another image unasked. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/reference.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

/* ${inspect}: the image that has the name. */
static int check_taken(const struct session *session, const char *name, const struct json *inspect,
		       bool force, struct error **err)
{
	if (!force) {
		error_set(err, ERROR_EXISTS, "\"%s\" is the name of another image", name);
		return error_hint(err, "choose another name, or use --force to move it");
	}
	if (images_check_move(inspect, name, err) < 0)
		return -1;
	if (images_tag_count(inspect) <= 1)
		progress_warn(session->progress,
			      "image %s has no name any more; \"docker image prune\" may remove it",
			      json_string_or(inspect, "Id", ""));
	return 0;
}

int snapshot_tag(struct session *session, const char *reference, const char *name, bool force,
		 struct json **result, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = snapshot_inspect(session, reference, err);
	CLEANUP(cleanup_json_free) struct json *taken = NULL;
	CLEANUP(reference_release) struct reference parsed = {0};
	cleanup_free char *full = NULL;
	const char *image = json_string_or(inspect, "Id", ""), *holder;
	bool moves;

	if (!inspect || reference_parse(name, &parsed, err) < 0)
		return -1;
	full = reference_format(&parsed);
	taken = image_inspect(session->engine, full, NULL);
	holder = json_string_or(taken, "Id", "");
	moves = taken && strcmp(holder, image) != 0;
	if (moves && check_taken(session, full, taken, force, err) < 0)
		return -1;
	if (session_check(session, err) < 0 ||
	    image_tag(session->engine, image, parsed.repository, parsed.tag, err) < 0)
		return error_prefix(err, "cannot name the snapshot \"%s\"", full);
	*result = json_new_object();
	json_set_string(*result, "reference", full);
	json_set_string(*result, "id", snapshot_label(inspect, LABEL_ID));
	json_set_string(*result, "image", image);
	json_set_string(*result, "moved_from", moves ? holder : "");
	return 0;
}
