/* Tags are moved by giving them to the new image: the engine takes them from the old one. */
#include "snapshot/history/retag.h"

#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"

/* 1: somebody has moved or removed it meanwhile, so it is theirs. */
static int move_tag(const struct session *session, const char *from, const char *to,
		    const char *tag, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *holder = image_inspect(session->engine, tag, NULL);
	const char *colon = strrchr(tag, ':');
	cleanup_free char *repository = NULL;

	if (strcmp(json_string_or(holder, "Id", ""), from) != 0) {
		progress_warn(session->progress, "%s names another image by now and stays there",
			      tag);
		return 1;
	}
	repository = memory_strndup(tag, (size_t)(colon - tag));
	if (image_tag(session->engine, to, repository, colon + 1, err) < 0)
		return error_prefix(err, "cannot move the tag \"%s\" to the new image", tag);
	failpoint("retag/moved");
	return 0;
}

int retag(const struct session *session, const char *from, const char *to,
	  const struct string_list *tags, struct json *moved, struct error **err)
{
	int result = 0;

	/* Nobody may interrupt between two of them: what is said once is said of all. */
	engine_set_cancel(session->engine, NULL);
	for (size_t i = 0; i < tags->count && result >= 0; i++) {
		result = move_tag(session, from, to, tags->items[i], err);
		if (result == 0)
			json_add_string(moved, tags->items[i]);
	}
	engine_set_cancel(session->engine, session->cancelled);
	if (result < 0 || json_count(moved))
		return result < 0 ? -1 : 0;
	return error_set(err, ERROR_BUSY, "all tags of the snapshot were moved meanwhile");
}
