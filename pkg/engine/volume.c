/* Volumes. */
#include "engine/client.h"

struct json *volume_inspect(struct engine *engine, const char *name, struct error **err)
{
	cleanup_free char *escaped = engine_escape(name);

	return engine_get(engine, engine_path(engine, "/volumes/%s", escaped), err);
}

struct json *volume_create(struct engine *engine, const struct json *body, struct error **err)
{
	struct json *answer = NULL;

	if (engine_call(engine, "POST", engine_path(engine, "/volumes/create"), body, &answer,
			err) < 0)
		return NULL;
	if (!answer)
		error_set(err, ERROR_ENGINE, "the engine's answer is empty");
	return answer;
}

int volume_remove(struct engine *engine, const char *name, bool force, struct error **err)
{
	cleanup_free char *escaped = engine_escape(name);

	return engine_call(engine, "DELETE",
			   engine_path(engine, "/volumes/%s?force=%d", escaped, force), NULL, NULL,
			   err);
}
