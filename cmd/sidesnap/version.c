/* sidesnap version: of the program, and of the engine where one answers. */
#include "snapshot/helper/agent_image.h"
#include "tree/manifest.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

int verb_version_run(struct command *command, struct json **result, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	CLEANUP(cleanup_engine_free) struct engine *engine = engine_open(command->host, &problem);
	CLEANUP(cleanup_json_free) struct json *version = NULL;
	struct json *object, *root = json_new_object();

	(void)err;
	json_set_string(root, "version", present_version());
	json_set_int(root, "format", MANIFEST_FORMAT);
	json_set_string(root, "architecture", agent_image_architecture());
	json_set_int(root, "agent_bytes", (int64_t)agent_image_size());
	if (engine)
		version = engine_version(engine, &problem);
	if (version) {
		object = json_set_object(root, "engine");
		json_set_string(object, "host", engine_host(engine));
		json_set_string(object, "version", json_string_or(version, "Version", ""));
		json_set_string(object, "api", engine_api_version(engine));
		json_set_bool(object, "podman", engine_is_podman(engine));
	} else {
		json_set(root, "engine", json_new_null());
		json_set_string(root, "engine_error", problem ? problem->message : "");
	}
	*result = root;
	return 0;
}

void verb_version_print(const struct command *command, const struct json *result)
{
	const struct json *engine = json_get(result, "engine");

	(void)command;
	printf("sidesnap %s (snapshot format %lld, agent %s)\n",
	       json_string_or(result, "version", ""), (long long)json_int(result, "format"),
	       json_string_or(result, "architecture", ""));
	if (json_is_object(engine)) {
		cleanup_free char *version = escape_text(json_string(engine, "version"));

		printf("engine %s%s, API %s, at %s\n", json_bool(engine, "podman") ? "podman " : "",
		       version, json_string_or(engine, "api", ""),
		       json_string_or(engine, "host", ""));
	} else {
		cleanup_free char *why = escape_text(json_string(result, "engine_error"));

		printf("engine: none (%s)\n", why);
	}
}
