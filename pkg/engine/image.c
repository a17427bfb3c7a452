/* Images. What is committed is in commit.c. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
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

/* A few lines of progress, the last of which is the id: docker with "sha256:", podman without. */
#define IMPORT_ANSWER_MAX (1U << 20)

static char *imported_id(const struct buffer *answer, struct error **err)
{
	CLEANUP(string_list_release) struct string_list lines;
	const char *prefix = "sha256:", *status;
	CLEANUP(cleanup_json_free) struct json *last = NULL;

	string_list_init(&lines);
	string_list_split(&lines, answer->data, '\n');
	for (size_t i = 0; i < lines.count; i++) {
		struct json *line = json_parse(lines.items[i], strlen(lines.items[i]), NULL);

		if (json_string(line, "error")) {
			error_set(err, ERROR_FAILED, "the engine refused an image: %s",
				  json_string(line, "error"));
			json_free(line);
			return NULL;
		}
		if (json_string(line, "status")) {
			json_free(last);
			last = line;
		} else {
			json_free(line);
		}
	}
	status = json_string_or(last, "status", "");
	if (!*status) {
		error_set(err, ERROR_ENGINE, "the engine's answer to an import names no image");
		return NULL;
	}
	return memory_printf("%s%s", text_has_prefix(status, prefix) ? "" : prefix, status);
}

char *image_import(struct engine *engine, const struct buffer *archive, struct error **err)
{
	cleanup_free char *path = engine_path(engine, "/images/create?fromSrc=-");
	struct transport_request request = {
		.method = "POST",
		.path = path,
		.content_type = "application/x-tar",
		.body = archive->data,
		.body_size = archive->size,
	};
	CLEANUP(cleanup_exchange_free)
	struct exchange *exchange = engine_exchange(engine, &request, err);
	CLEANUP(buffer_release) struct buffer answer;

	buffer_init(&answer, IMPORT_ANSWER_MAX);
	if (!exchange || exchange_read_all(exchange, &answer, err) < 0)
		return NULL;
	return imported_id(&answer, err);
}
