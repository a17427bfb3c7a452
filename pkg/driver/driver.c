/*
 * Where drivers come from: a directory of the person's, the machine's, or the
 * program itself, in this order, one for each name.
 */
#include "driver/driver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "driver/builtin.h"

#define DEFINITION_LIMIT (1U << 20)
#define MACHINE_DIRECTORY "/etc/sidesnap/drivers"

void driver_free(struct driver *driver)
{
	if (!driver)
		return;
	json_free(driver->definition);
	free(driver->origin);
	error_free(driver->broken);
	free(driver);
}

void driver_all_free(struct driver **drivers)
{
	for (size_t i = 0; drivers && drivers[i]; i++)
		driver_free(drivers[i]);
	free(drivers);
}

void driver_match_release(struct driver_match *match)
{
	driver_free(match->driver);
	string_list_release(&match->data_directories);
	string_list_release(&match->pages);
	string_list_release(&match->state_variables);
	string_list_release(&match->state_values);
	string_list_release(&match->hosts);
	string_list_release(&match->guards);
	free(match->doubt);
	free(match->lender);
	memset(match, 0, sizeof(*match));
}

struct collection {
	struct driver **drivers; /* NULL-terminated */
	size_t count;
};

/* What a broken file hides says whom it is about, where the file itself cannot. */
static void hide(struct driver *first, struct driver *hidden)
{
	if (first->broken && !json_is_object(json_get(first->definition, "detect")) &&
	    json_get(hidden->definition, "detect"))
		json_set(first->definition, "detect",
			 json_copy(json_get(hidden->definition, "detect")));
	driver_free(hidden);
}

/* Take ${driver} unless there is one of its name. */
static void collect(struct collection *collection, struct driver *driver)
{
	for (size_t i = 0; i < collection->count; i++) {
		if (strcmp(collection->drivers[i]->name, driver->name) == 0) {
			hide(collection->drivers[i], driver);
			return;
		}
	}
	collection->drivers =
		memory_array(collection->drivers, collection->count + 2, sizeof(struct driver *));
	collection->drivers[collection->count++] = driver;
	collection->drivers[collection->count] = NULL;
}

/* Of a file that is wrong what can be told: whose place it takes, and how it would be recognised. */
static struct driver *broken(const char *path, const struct buffer *text, struct error *problem)
{
	struct driver *driver = memory_zalloc(sizeof(*driver));
	const char *slash = strrchr(path, '/');
	cleanup_free char *stem = memory_strndup(slash + 1, strlen(slash + 1) - strlen(".json"));
	struct json *definition = json_parse(text->data, text->size, NULL);

	if (!json_is_object(definition)) {
		json_free(definition);
		definition = json_new_object();
	}
	if (!*json_string_or(definition, "name", ""))
		json_set_string(definition, "name", stem);
	driver->definition = definition;
	driver->name = json_string(definition, "name");
	driver->origin = memory_strdup(path);
	driver->broken = problem;
	return driver;
}

static void collect_file(struct collection *collection, const char *path)
{
	struct error *problem = NULL;
	struct buffer text;
	struct driver *driver = NULL;

	buffer_init(&text, DEFINITION_LIMIT);
	if (io_read_file(AT_FDCWD, path, &text, &problem) == 0)
		driver = driver_parse(path, text.data, text.size, &problem);
	collect(collection, driver ? driver : broken(path, &text, problem));
	buffer_release(&text);
}

static int collect_directory(struct collection *collection, const char *path, bool must_exist,
			     struct error **err)
{
	struct string_list names;
	DIR *directory = opendir(path);

	if (!directory) {
		if (!must_exist && (errno == ENOENT || errno == ENOTDIR))
			return 0;
		return error_set_errno(err, errno, "cannot read the drivers in %s", path);
	}
	string_list_init(&names);
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
		if (entry->d_name[0] != '.' && text_has_suffix(entry->d_name, ".json"))
			string_list_add(&names, entry->d_name);
	closedir(directory);
	string_list_sort(&names);
	for (size_t i = 0; i < names.count; i++) {
		cleanup_free char *file = path_join(path, names.items[i]);

		collect_file(collection, file);
	}
	string_list_release(&names);
	return 0;
}

static int collect_builtin(struct collection *collection, struct error **err)
{
	const struct builtin_driver *builtin;

	for (size_t i = 0; (builtin = builtin_driver(i)) != NULL; i++) {
		cleanup_free char *origin = memory_printf("built-in driver %s", builtin->name);
		struct driver *driver = driver_parse(origin, builtin->text, builtin->size, err);

		if (!driver)
			return -1;
		collect(collection, driver);
	}
	return 0;
}

struct driver **driver_all(struct error **err)
{
	struct collection collection = {NULL, 0};
	const char *own = getenv("SIDESNAP_DRIVERS");

	if ((own && *own && collect_directory(&collection, own, true, err) < 0) ||
	    collect_directory(&collection, MACHINE_DIRECTORY, false, err) < 0 ||
	    collect_builtin(&collection, err) < 0) {
		driver_all_free(collection.drivers);
		return NULL;
	}
	return collection.drivers;
}

struct driver *driver_find(const char *name, struct error **err)
{
	CLEANUP(cleanup_driver_all_free) struct driver **drivers = driver_all(err);
	struct driver *found = NULL;
	struct buffer names;
	size_t last = 0;

	if (!drivers)
		return NULL;
	buffer_init(&names, 4096);
	for (size_t i = 0; drivers[i]; i++) {
		buffer_printf(&names, "%s%s", i ? ", " : "", drivers[i]->name);
		last = i;
	}
	for (size_t i = 0; drivers[i] && !found; i++) {
		if (strcmp(drivers[i]->name, name) != 0)
			continue;
		found = drivers[i];
		drivers[i] = drivers[last];
		drivers[last] = NULL;
	}
	if (!found) {
		error_set(err, ERROR_NOT_FOUND, "there is no driver \"%s\"", name);
		error_hint(err, "drivers: %s; or \"none\"", names.data);
	}
	buffer_release(&names);
	if (found && found->broken) {
		error_append(err, STEAL_POINTER(found->broken));
		driver_free(STEAL_POINTER(found));
	}
	return found;
}

struct json *driver_abilities(const struct driver *driver)
{
	static const char *const members[] = {"pages", "guard",	 "prepare", "release",
					      "ready", "client", "compare", "dump",
					      "load",  "script", "finish"};
	struct json *list = json_new_array();

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (json_count(json_get(driver->definition, members[i])))
			json_add_string(list, members[i]);
	return list;
}
