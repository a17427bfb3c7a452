/*
 * What a boot is given to load a dump without any of this code: the driver's words, and of each value
 * either what was found here, or where it stands in a container like this one. A secret is never found
 * here: the container that boots has its own.
 */
#include "driver/load.h"

#include <string.h>

#include "base/memory.h"
#include "driver/values.h"

static void copy_member(struct json *to, const char *name, const struct json *from)
{
	if (from)
		json_set(to, name, json_copy(from));
}

/* A place that the booted container has as well: there it counts. */
static void add_reference(struct json *values, const char *name, const struct json *definition)
{
	struct json *value = json_set_object(values, name);

	copy_member(value, "variables", json_get(definition, "variables"));
	copy_member(value, "files", json_get(definition, "files"));
	copy_member(value, "default", json_get(definition, "default"));
	if (json_bool(definition, "secret"))
		json_set_bool(value, "secret", true);
}

static void add_value(struct values *values, struct json *list, const struct json *definition)
{
	const char *name = json_key(definition);
	enum value_source source;
	cleanup_free char *text = NULL;

	if (json_bool(definition, "secret")) {
		add_reference(list, name, definition);
		return;
	}
	text = values_find(values, name, &source);
	if (source == VALUE_OF_CONTAINER)
		json_set_string(json_set_object(list, name), "fixed", text);
	else
		add_reference(list, name, definition);
}

static void set_environment(struct json *result, const struct json *access, const struct json *load)
{
	struct json *environment = json_set_object(result, "environment");

	json_for_each(item, json_get(access, "environment"))
		json_set_string(environment, json_key(item), json_string(item, NULL));
	json_for_each(item, json_get(load, "environment"))
		json_set_string(environment, json_key(item), json_string(item, NULL));
}

static struct json *boot_json(const struct driver *driver, const char *database)
{
	static const char *const copied[] = {"begin", "end", "clean", "errors", "ignored", "boot"};
	const struct json *access = json_get(driver->definition, "access");
	const struct json *load = json_get(driver->definition, "load");
	struct json *result = json_new_object();

	json_set_string(result, "driver", driver->name);
	json_set_string(result, "title", json_string_or(driver->definition, "title", driver->name));
	json_set_string(result, "file",
			json_string_or(json_get(driver->definition, "dump"), "file", "dump"));
	if (database)
		json_set_string(result, "database", database);
	json_set_string(result, "how", json_string_or(load, "how", ""));
	copy_member(result, "processes", json_path(driver->definition, "detect", "processes"));
	copy_member(result, "arguments", json_path(driver->definition, "detect", "arguments"));
	copy_member(result, "commands", json_path(driver->definition, "detect", "commands"));
	set_environment(result, access, load);
	copy_member(result, "ways", json_get(access, "ways"));
	copy_member(result, "version", json_get(access, "version"));
	copy_member(result, "load", json_get(load, database ? "database" : "server"));
	for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++)
		copy_member(result, copied[i], json_get(load, copied[i]));
	return result;
}

struct json *driver_load_json(struct engine *engine, const char *id,
			      const struct driver_match *match, const char *database,
			      struct error **err)
{
	const struct json *load =
		json_get(match->driver ? match->driver->definition : NULL, "load");
	CLEANUP(cleanup_json_free) struct json *result = NULL;
	struct json *list, *directories;
	struct values values;

	if (!load || (database && !json_get(load, "database"))) {
		error_set(err, ERROR_UNSUPPORTED, "%s cannot load %s",
			  match->driver ? match->driver->name : "without a driver sidesnap",
			  database ? "one database" : "a dump");
		return NULL;
	}
	if (values_open(&values, engine, id, match->driver->definition, err) < 0) {
		values_release(&values);
		return NULL;
	}
	result = boot_json(match->driver, database);
	directories = json_set_array(result, "data");
	for (size_t i = 0; i < match->data_directories.count; i++)
		json_add_string(directories, match->data_directories.items[i]);
	list = json_set_object(result, "values");
	json_for_each(definition, json_get(match->driver->definition, "values"))
		add_value(&values, list, definition);
	values_release(&values);
	return STEAL_POINTER(result);
}
