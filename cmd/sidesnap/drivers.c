/* sidesnap drivers: what is known of databases, and where from. */
#include <string.h>

#include "base/memory.h"
#include "driver/driver.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "rows.h"
#include "verb.h"

static struct json *describe(const struct driver *driver)
{
	struct json *entry = json_new_object();

	json_set_string(entry, "name", driver->name);
	json_set_string(entry, "title", json_string_or(driver->definition, "title", driver->name));
	json_set_string(entry, "origin", driver->origin);
	json_set(entry, "can", driver->broken ? json_new_array() : driver_abilities(driver));
	json_set_string(entry, "problem", driver->broken ? driver->broken->message : "");
	return entry;
}

static struct json *list(struct error **err)
{
	CLEANUP(cleanup_driver_all_free) struct driver **drivers = driver_all(err);
	struct json *result;

	if (!drivers)
		return NULL;
	result = json_new_array();
	for (size_t i = 0; drivers[i]; i++)
		json_add(result, describe(drivers[i]));
	return result;
}

static struct json *show(const char *name, struct error **err)
{
	struct driver *driver = driver_find(name, err);
	struct json *entry;

	if (!driver)
		return NULL;
	entry = describe(driver);
	json_remove(entry, "problem");
	json_set(entry, "definition", json_copy(driver->definition));
	driver_free(driver);
	return entry;
}

static int test(struct command *command, struct json **result, struct error **err)
{
	const char *name = verb_argument(command, 1), *target = verb_argument(command, 2);
	int status;

	if (!name || !target) {
		error_set(err, ERROR_USAGE, "the %s is missing",
			  name ? "CONTAINER" : "driver's NAME");
		return error_hint(err, "sidesnap drivers test NAME CONTAINER");
	}
	if (verb_open_engine(command, err) < 0)
		return -1;
	status = snapshot_test_driver(&command->session, name, target, result, err);
	progress_end(command->session.progress);
	if (status == 0)
		command->exit_code = json_bool(*result, "ok") ? 0 : ERROR_FAILED;
	return status;
}

int verb_drivers_run(struct command *command, struct json **result, struct error **err)
{
	const char *action = verb_argument(command, 0), *name = verb_argument(command, 1);

	if (action && strcmp(action, "test") == 0)
		return test(command, result, err);
	if (!action) {
		*result = list(err);
	} else if (verb_argument(command, 2)) {
		error_set(err, ERROR_USAGE, "\"%s\" is one word too many",
			  verb_argument(command, 2));
	} else if (strcmp(action, "show") != 0) {
		error_set(err, ERROR_USAGE, "\"%s\" is nothing that can be done with drivers",
			  action);
		error_hint(err,
			   "sidesnap drivers; sidesnap drivers show NAME; sidesnap drivers test "
			   "NAME CONTAINER");
	} else if (!name) {
		error_set(err, ERROR_USAGE, "the driver's NAME is missing");
		error_hint(err, "sidesnap drivers lists them");
	} else {
		*result = show(name, err);
	}
	return *result ? 0 : -1;
}

static char *abilities(const struct json *entry, const char *key)
{
	const char *problem = json_string_or(entry, "problem", "");

	return *problem ? memory_printf("BROKEN: %s", problem)
			: present_names(json_get(entry, key));
}

static char *outcome(const struct json *step, const char *key)
{
	const char *result = json_string_or(step, key, "");

	return memory_strdup(strcmp(result, "absent") == 0 ? "not in the driver" : result);
}

static char *duration(const struct json *step, const char *key)
{
	return clock_format_duration((uint64_t)json_int(step, key));
}

static void print_one(const struct command *command, const struct json *entry)
{
	cleanup_free char *text = json_print(json_get(entry, "definition"), true);
	cleanup_free char *title = escape_text(json_string(entry, "title"));
	cleanup_free char *origin = escape_text(json_string(entry, "origin"));
	cleanup_free char *can = present_names(json_get(entry, "can"));
	cleanup_free char *shown = escape_lines(text);

	/* The definition alone on stdout: it is a driver's file. */
	if (!command->quiet)
		fprintf(stderr, "%s, from: %s\nit has: %s\n", title, origin, can);
	puts(shown);
}

void verb_drivers_print(const struct command *command, const struct json *result)
{
	static const struct row_column columns[] = {
		{"NAME", TABLE_LEFT, "name", NULL},	  {"DATABASE", TABLE_LEFT, "title", NULL},
		{"FROM", TABLE_FLEXIBLE, "origin", NULL}, {"HAS", TABLE_FLEXIBLE, "can", abilities},
		{NULL, TABLE_LEFT, NULL, NULL},
	};
	static const struct row_column step_columns[] = {
		{"STEP", TABLE_LEFT, "step", NULL},
		{"RESULT", TABLE_LEFT, "result", outcome},
		{"TIME", TABLE_RIGHT, "duration_ms", duration},
		{"", TABLE_FLEXIBLE, "detail", NULL},
		{NULL, TABLE_LEFT, NULL, NULL},
	};

	if (json_get(result, "steps")) {
		rows_print(json_get(result, "steps"), step_columns);
		return;
	}
	if (json_is_object(result)) {
		print_one(command, result);
		return;
	}
	if (!command->quiet) {
		rows_print(result, columns);
		return;
	}
	json_for_each(entry, result) {
		cleanup_free char *name = escape_text(json_string(entry, "name"));

		puts(name);
	}
}
