/* What the configuration of a snapshot's image says: the engine's inspect and a registry's copy are alike. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/history/show.h"

static void add_keys(struct json *result, const char *name, const struct json *object)
{
	struct json *list = json_set_array(result, name);

	json_for_each(item, object)
		json_add_string(list, json_key(item));
}

static void add_variable_names(struct json *command, const struct json *environment)
{
	struct json *list = json_set_array(command, "environment");

	/* Names only: a value may be a secret that somebody recorded on purpose. */
	json_for_each(item, environment) {
		const char *text = json_string_or(item, NULL, "");
		cleanup_free char *name = memory_strndup(text, strcspn(text, "="));

		json_add_string(list, name);
	}
}

static struct json *array_or_empty(const struct json *value)
{
	return json_is_array(value) ? json_copy(value) : json_new_array();
}

static void add_command(struct json *result, const struct json *config)
{
	struct json *command = json_set_object(result, "command");

	json_set(command, "entrypoint", array_or_empty(json_get(config, "Entrypoint")));
	json_set(command, "cmd", array_or_empty(json_get(config, "Cmd")));
	json_set_string(command, "user", json_string_or(config, "User", ""));
	json_set_string(command, "working_dir", json_string_or(config, "WorkingDir", ""));
	json_set_string(command, "stop_signal", json_string_or(config, "StopSignal", ""));
	json_set(command, "healthcheck",
		 json_is_object(json_get(config, "Healthcheck"))
			 ? json_copy(json_get(config, "Healthcheck"))
			 : json_new_null());
	add_keys(command, "ports", json_get(config, "ExposedPorts"));
	add_variable_names(command, json_get(config, "Env"));
}

static void add_label_list(struct json *result, const char *key, const struct json *labels,
			   const char *label)
{
	struct json *list = images_label_json(labels, label);

	if (!json_is_array(list)) {
		json_free(list);
		list = json_new_array();
	}
	json_set(result, key, list);
}

static void add_labels(struct json *result, const struct json *labels)
{
	CLEANUP(string_list_release) struct string_list omitted;
	struct json *list = json_set_array(result, "omitted_variables");
	struct json *ours = json_set_object(result, "labels");

	string_list_init(&omitted);
	string_list_split(&omitted, json_string_or(labels, LABEL_OMITTED, ""), ',');
	for (size_t i = 0; i < omitted.count; i++)
		json_add_string(list, omitted.items[i]);
	add_label_list(result, "trees", labels, LABEL_TREES);
	add_label_list(result, "not_captured", labels, LABEL_NOT_CAPTURED);
	json_for_each(item, labels)
		json_set_string(ours, json_key(item), json_string_or(item, NULL, ""));
}

void show_config(struct json *result, const struct json *config)
{
	add_keys(result, "volumes", json_get(config, "Volumes"));
	add_command(result, config);
	add_labels(result, json_get(config, "Labels"));
}
