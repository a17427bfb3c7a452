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
	memset(match, 0, sizeof(*match));
}

struct collection {
	struct driver **drivers; /* NULL-terminated */
	size_t count;
};

/* Take ${driver} unless there is one of its name. */
static void collect(struct collection *collection, struct driver *driver)
{
	for (size_t i = 0; i < collection->count; i++) {
		if (strcmp(collection->drivers[i]->name, driver->name) == 0) {
			driver_free(driver);
			return;
		}
	}
	collection->drivers =
		memory_array(collection->drivers, collection->count + 2, sizeof(struct driver *));
	collection->drivers[collection->count++] = driver;
	collection->drivers[collection->count] = NULL;
}

static int collect_file(struct collection *collection, const char *path, struct error **err)
{
	struct buffer text;
	struct driver *driver = NULL;

	buffer_init(&text, DEFINITION_LIMIT);
	if (io_read_file(AT_FDCWD, path, &text, err) == 0)
		driver = driver_parse(path, text.data, text.size, err);
	buffer_release(&text);
	if (!driver)
		return -1;
	collect(collection, driver);
	return 0;
}

static int collect_directory(struct collection *collection, const char *path, bool must_exist,
			     struct error **err)
{
	struct string_list names;
	DIR *directory = opendir(path);
	int result = 0;

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
	for (size_t i = 0; i < names.count && result == 0; i++) {
		cleanup_free char *file = path_join(path, names.items[i]);

		result = collect_file(collection, file, err);
	}
	string_list_release(&names);
	return result;
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
	return found;
}
