/*
 * Someone may have built an image on a snapshot: that has all its labels, but not our comment.
 */
#include "snapshot/create/twins.h"

#include <string.h>

#include "base/text.h"
#include "snapshot/create/image_config.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/origin.h"

/* Whether an image with a name says that it is the same snapshot, made another time. */
static bool has_named_twin(const struct json *images, const struct json *image)
{
	static const char *const same[] = {LABEL_ID, LABEL_LINEAGE, LABEL_CREATED};
	const struct json *labels = json_get(image, "Labels");

	json_for_each(other, images) {
		const struct json *others = json_get(other, "Labels");
		bool is_twin = *json_string_or(labels, LABEL_ID, "") && images_tag_count(other);

		for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
			is_twin = is_twin &&
				  json_equal(json_get(labels, same[i]), json_get(others, same[i]));
		if (is_twin)
			return true;
	}
	return false;
}

/* One that was pulled by its digest was wanted, also without a tag. */
static bool has_digest(const struct json *image)
{
	json_for_each(digest, json_get(image, "RepoDigests"))
		if (!strstr(json_string_or(digest, NULL, "<none>"), "<none>"))
			return true;
	return false;
}

/* Its new image is without a name until the first of the tags has moved. */
static bool is_being_described(const struct session *session, const struct json *helpers,
			       const struct json *image)
{
	const char *id = json_string_or(json_get(image, "Labels"), LABEL_ID, "");

	json_for_each(helper, helpers) {
		const struct json *labels = json_path(helper, "Config", "Labels");

		if (strcmp(json_string_or(labels, LABEL_PURPOSE, ""), "describe") == 0 &&
		    strcmp(json_string_or(labels, LABEL_TARGET, ""), id) == 0 &&
		    helper_is_alive(session, helper))
			return true;
	}
	return false;
}

static bool is_made_by_us(const struct session *session, const char *id)
{
	CLEANUP(cleanup_json_free) struct json *inspect = image_inspect(session->engine, id, NULL);

	return text_has_prefix(json_string_or(inspect, "Comment", ""), COMMIT_COMMENT_PREFIX);
}

int twins_clean(const struct session *session, bool dry_run,
		void (*act)(void *context, const char *what, const char *name), void *context,
		struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *images = origin_images(session, err);
	CLEANUP(cleanup_json_free) struct json *helpers = images ? helper_list(session, err) : NULL;

	if (!helpers)
		return -1;
	json_for_each(image, images) {
		const char *id = json_string_or(image, "Id", "");
		cleanup_error struct error *in_use = NULL;

		if (images_tag_count(image) || has_digest(image) ||
		    !has_named_twin(images, image) || !is_made_by_us(session, id) ||
		    is_being_described(session, helpers, image))
			continue;
		if ((dry_run ||
		     image_remove(session->engine, id, false, true, NULL, &in_use) == 0) &&
		    act)
			act(context, "removed", id);
	}
	return 0;
}
