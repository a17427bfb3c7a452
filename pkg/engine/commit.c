/*
 * Committing a container to an image. podman 4 does not read the body, only
 * Dockerfile-like changes= of the query, so there the configuration is said in
 * those words.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/client.h"

/* The body is far larger than any query may be; this is podman 4's only. */
#define CHANGES_LIMIT (4u << 20)

static void add_change(struct buffer *query, const char *instruction, const char *value)
{
	cleanup_free char *text = memory_printf("%s %s", instruction, value);
	cleanup_free char *escaped = engine_escape(text);

	buffer_printf(query, "&changes=%s", escaped);
}

/* An array or string of the configuration, in the JSON form that keeps every byte. */
static void add_list(struct buffer *query, const struct json *config, const char *key,
		     const char *instruction)
{
	const struct json *list = json_get(config, key);
	cleanup_free char *text = NULL;

	if (json_is_array(list)) {
		text = json_print(list, false);
		add_change(query, instruction, text);
	}
}

static void add_string(struct buffer *query, const struct json *config, const char *key,
		       const char *instruction)
{
	const char *value = json_string(config, key);

	if (value && *value)
		add_change(query, instruction, value);
}

/*
 * podman takes all behind the first '=' as it is typed, with blanks, quotes and
 * backslashes, but cuts quotes off both ends and ends at a line end.
 */
static int add_assignment(struct buffer *query, const char *instruction, const char *text,
			  struct error **err)
{
	const char *value = strchr(text, '=');
	size_t size = strlen(text);

	if (!value)
		return 0;
	if (value[1] == '"' || text[size - 1] == '"' || strpbrk(text, "\r\n"))
		return error_set(err, ERROR_UNSUPPORTED,
				 "podman 4 cannot store %s %.*s: its value has a line end, or a "
				 "quote at an end",
				 instruction, (int)(value - text), text);
	add_change(query, instruction, text);
	return 0;
}

static int add_assignments(struct buffer *query, const struct json *config, struct error **err)
{
	json_for_each(item, json_get(config, "Env")) {
		if (add_assignment(query, "ENV", json_string_or(item, NULL, ""), err) < 0)
			return -1;
	}
	json_for_each(item, json_get(config, "Labels")) {
		cleanup_free char *text =
			memory_printf("%s=%s", json_key(item), json_string_or(item, NULL, ""));

		if (add_assignment(query, "LABEL", text, err) < 0)
			return -1;
	}
	return 0;
}

static int add_changes(struct buffer *query, const struct json *config, struct error **err)
{
	if (add_assignments(query, config, err) < 0)
		return -1;
	add_list(query, config, "Entrypoint", "ENTRYPOINT");
	add_list(query, config, "Cmd", "CMD");
	add_string(query, config, "User", "USER");
	add_string(query, config, "WorkingDir", "WORKDIR");
	add_string(query, config, "StopSignal", "STOPSIGNAL");
	json_for_each(item, json_get(config, "ExposedPorts"))
		add_change(query, "EXPOSE", json_key(item));
	json_for_each(item, json_get(config, "Volumes")) {
		struct json *list = json_new_array();
		cleanup_free char *text = NULL;

		json_add_string(list, json_key(item));
		text = json_print(list, false);
		add_change(query, "VOLUME", text);
		json_free(list);
	}
	if (query->failed)
		return error_set(err, ERROR_UNSUPPORTED,
				 "the image's configuration is too large for podman 4");
	return 0;
}

static void add_parameter(struct buffer *query, const char *name, const char *value)
{
	cleanup_free char *escaped = value ? engine_escape(value) : NULL;

	if (value)
		buffer_printf(query, "&%s=%s", name, escaped);
}

static char *answer_id(const struct json *answer, struct error **err)
{
	const char *id = json_string(answer, "Id");

	if (!id || !*id) {
		error_set(err, ERROR_ENGINE, "the engine made an image without an id");
		return NULL;
	}
	/* podman leaves the algorithm out */
	return strchr(id, ':') ? memory_strdup(id) : memory_printf("sha256:%s", id);
}

char *image_commit(struct engine *engine, const char *container, const struct json *config,
		   const char *comment, const char *author, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *empty = json_new_object();
	CLEANUP(cleanup_json_free) struct json *answer = NULL;
	bool body_ignored = engine_podman_major(engine) && engine_podman_major(engine) < 5;
	struct buffer query;
	int result = 0;

	buffer_init(&query, CHANGES_LIMIT);
	add_parameter(&query, "container", container);
	add_parameter(&query, "comment", comment);
	add_parameter(&query, "author", author);
	if (body_ignored && config)
		result = add_changes(&query, config, err);
	if (result == 0)
		/* podman 4 fails without any body */
		result = engine_make(engine,
				     engine_path(engine, "/commit?pause=false%s", query.data),
				     config && !body_ignored ? config : empty, &answer, err);
	buffer_release(&query);
	return result < 0 ? NULL : answer_id(answer, err);
}
