/* Images. What is committed is in commit.c. */
#include <string.h>

#include "engine/client.h"

static char *image_path(const struct engine *engine, const char *reference, const char *rest)
{
	cleanup_free char *escaped = engine_escape_reference(reference);

	return engine_path(engine, "/images/%s%s", escaped, rest);
}

struct json *image_inspect(struct engine *engine, const char *reference, struct error **err)
{
	return engine_get(engine, image_path(engine, reference, "/json"), err);
}

struct json *image_list(struct engine *engine, const struct json *filters, struct error **err)
{
	return engine_get(engine, engine_filters(engine_path(engine, "/images/json"), filters),
			  err);
}

int image_tag(struct engine *engine, const char *image, const char *repository, const char *tag,
	      struct error **err)
{
	cleanup_free char *escaped_repository = engine_escape(repository);
	cleanup_free char *escaped_tag = engine_escape(tag);
	cleanup_free char *escaped_image = engine_escape_reference(image);

	return engine_call(engine, "POST",
			   engine_path(engine, "/images/%s/tag?repo=%s&tag=%s", escaped_image,
				       escaped_repository, escaped_tag),
			   NULL, NULL, err);
}

int image_remove(struct engine *engine, const char *reference, bool force, bool prune,
		 struct json **answer, struct error **err)
{
	cleanup_free char *escaped = engine_escape_reference(reference);

	return engine_call(
		engine, "DELETE",
		engine_path(engine, "/images/%s?force=%d&noprune=%d", escaped, force, !prune), NULL,
		answer, err);
}
