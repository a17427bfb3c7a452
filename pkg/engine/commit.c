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

/* ENV and LABEL split at white space, so a value with any is quoted. */
static char *assignment(const char *name, size_t name_size, const char *value)
{
	const char *quote = strpbrk(value, " \t") ? "\"" : "";

	return memory_printf("%.*s=%s%s%s", (int)name_size, name, quote, value, quote);
}

static void add_assignments(struct buffer *query, const struct json *config)
{
	json_for_each(item, json_get(config, "Env")) {
		const char *text = json_string_or(item, NULL, "");
		const char *equals = strchr(text, '=');
		cleanup_free char *value =
			equals ? assignment(text, (size_t)(equals - text), equals + 1) : NULL;

		if (value)
			add_change(query, "ENV", value);
	}
	json_for_each(item, json_get(config, "Labels")) {
		const char *name = json_key(item);
		cleanup_free char *value =
			assignment(name, strlen(name), json_string_or(item, NULL, ""));

		add_change(query, "LABEL", value);
	}
}

static void add_changes(struct buffer *query, const struct json *config)
{
	add_assignments(query, config);
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
	int result;

	buffer_init(&query, CHANGES_LIMIT);
	add_parameter(&query, "container", container);
	add_parameter(&query, "comment", comment);
	add_parameter(&query, "author", author);
	if (body_ignored && config)
		add_changes(&query, config);
	if (query.failed)
		result = error_set(err, ERROR_UNSUPPORTED,
				   "the image's configuration is too large for podman %s",
				   engine->podman);
	else
		/* podman 4 fails without any body */
		result = engine_call(engine, "POST",
				     engine_path(engine, "/commit?pause=false%s", query.data),
				     config && !body_ignored ? config : empty, &answer, err);
	buffer_release(&query);
	return result < 0 ? NULL : answer_id(answer, err);
}
