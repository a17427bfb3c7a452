/*
 * Which database is in a container. A running process, a command that names the
 * server, or a file of its data says it alone; variables, ports and paths are
 * clues that count only together, since clients have them too. A wrong guess does
 * no harm: files are captured as they are, and nothing is run where no server is.
 */
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "driver/command.h"
#include "driver/driver.h"
#include "driver/override.h"
#include "driver/refuse.h"
#include "driver/values.h"

#define LABEL_DRIVER "sidesnap.driver"

#define ASK_TIMEOUT_MS 20000
#define ANSWER_LIMIT 65536

/*
 * What each kind of evidence weighs, and how much makes a database. An image's name is anybody's choice,
 * and the program is in images of clients too: either wants one clue more.
 */
#define WEIGHT_PROOF 200
#define WEIGHT_PROCESS 100
#define WEIGHT_FILE 70
#define WEIGHT_COMMAND 60
#define WEIGHT_EXECUTABLE 45
#define WEIGHT_IMAGE 45
#define WEIGHT_MOUNT 35
#define WEIGHT_VARIABLE 30
#define WEIGHT_PORT 20
#define ENOUGH 60

/* So many places are looked at in a container that does not run; each is a request. */
#define PLACES_MAX 32

struct evidence {
	struct engine *engine; /* NULL: nothing is asked */
	const struct json *inspect, *image;
	struct json *top;	      /* NULL: not running, or the engine cannot say */
	struct string_list processes; /* from top */
};

/* "registry:5000/library/postgres:15@sha256:..." without tag, digest and registry's port. */
static char *repository_of(const char *reference)
{
	size_t size = strcspn(reference, "@");
	char *name = memory_strndup(reference, size);
	char *slash = strrchr(name, '/');
	char *colon = strchr(slash ? slash : name, ':');

	if (colon)
		*colon = '\0';
	return name;
}

static bool image_fits(const struct evidence *evidence, const struct json *patterns)
{
	struct string_list names;
	bool fits = false;

	string_list_init(&names);
	string_list_add(&names, json_string_or(json_get(evidence->inspect, "Config"), "Image", ""));
	json_for_each(tag, json_get(evidence->image, "RepoTags"))
		string_list_add(&names, json_string_or(tag, NULL, ""));
	for (size_t i = 0; i < names.count && !fits; i++) {
		cleanup_free char *repository = repository_of(names.items[i]);

		json_for_each(pattern, patterns)
			fits = fits || text_match(json_string_or(pattern, NULL, ""), repository);
	}
	string_list_release(&names);
	return fits;
}

/* A word of the command, or of the script given to a shell, is the server, by none of the names ${except}. */
static bool command_fits(const struct evidence *evidence, const struct json *names,
			 const struct json *except)
{
	static const char *const members[] = {"Entrypoint", "Cmd"};

	for (size_t i = 0; i < 2; i++) {
		json_for_each(item, json_path(evidence->inspect, "Config", members[i])) {
			struct string_list words;
			bool fits = false;

			string_list_init(&words);
			string_list_split(&words, json_string_or(item, NULL, ""), ' ');
			for (size_t word = 0; word < words.count; word++)
				fits = fits || (word_name_is(words.items[word], names) &&
						!word_name_is(words.items[word], except));
			string_list_release(&words);
			if (fits)
				return true;
		}
	}
	return false;
}

static bool variable_fits(const struct evidence *evidence, const struct json *names)
{
	json_for_each(item, json_path(evidence->inspect, "Config", "Env")) {
		const char *text = json_string_or(item, NULL, "");
		cleanup_free char *name = memory_strndup(text, strcspn(text, "="));

		if (json_has_string(names, name))
			return true;
	}
	return false;
}

static bool port_fits(const struct evidence *evidence, const struct json *ports)
{
	json_for_each(port, ports)
		if (json_path(evidence->inspect, "Config", "ExposedPorts",
			      json_string_or(port, NULL, "")))
			return true;
	return false;
}

static bool mount_fits(const struct evidence *evidence, const struct json *patterns)
{
	json_for_each(mount, json_get(evidence->inspect, "Mounts"))
		json_for_each(pattern, patterns)
			if (text_match(json_string_or(pattern, NULL, ""),
				       json_string_or(mount, "Destination", "")))
				return true;
	return false;
}

static bool server_runs(const struct evidence *evidence, const struct json *detect,
			const struct json *except)
{
	for (size_t i = 0; i < evidence->processes.count; i++)
		if (process_is_server(evidence->processes.items[i], detect) &&
		    !process_name_is(evidence->processes.items[i], except))
			return true;
	return false;
}

/* ---- a container that does not run ---- */

/* Of one that runs the archive API is never used: it would follow what the container changes meanwhile. */
static bool may_look_inside(const struct evidence *evidence)
{
	const struct json *state = json_get(evidence->inspect, "State");

	return evidence->engine && state && !json_bool(state, "Running") &&
	       !json_bool(state, "Restarting") && !json_bool(state, "Paused");
}

static bool is_there(const struct evidence *evidence, const char *path, unsigned *places)
{
	CLEANUP(cleanup_json_free) struct json *found = NULL;

	if (*path != '/' || *places == 0)
		return false;
	(*places)--;
	found = container_archive_stat(evidence->engine, json_string(evidence->inspect, "Id"), path,
				       NULL);
	return found != NULL;
}

static void search_path(const struct evidence *evidence, struct string_list *directories)
{
	string_list_init(directories);
	json_for_each(item, json_path(evidence->inspect, "Config", "Env")) {
		const char *text = json_string_or(item, NULL, "");

		if (text_has_prefix(text, "PATH="))
			string_list_split(directories, text + strlen("PATH="), ':');
	}
	if (!directories->count)
		string_list_split(directories, "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ':');
}

static bool executable_fits(const struct evidence *evidence, const struct json *names,
			    unsigned *places)
{
	struct string_list directories;
	bool fits = false;

	search_path(evidence, &directories);
	json_for_each(item, names) {
		const char *name = json_string_or(item, NULL, "");

		if (*name == '/')
			fits = fits || is_there(evidence, name, places);
		for (size_t i = 0; i < directories.count && *name != '/' && !fits; i++) {
			cleanup_free char *path = path_join(directories.items[i], name);

			fits = is_there(evidence, path, places);
		}
	}
	string_list_release(&directories);
	return fits;
}

static bool file_fits(const struct evidence *evidence, const struct driver *driver,
		      const struct json *templates, unsigned *places)
{
	struct values values;
	bool fits = false;

	values_from(&values, evidence->inspect, NULL, driver->definition);
	json_for_each(item, templates) {
		cleanup_free char *path = values_expand(&values, json_string_or(item, NULL, ""));

		fits = fits || (path && is_there(evidence, path, places));
	}
	values_release(&values);
	return fits;
}

/* ---- servers that are called as those of another database ---- */

static bool command_proves(const struct evidence *evidence, const struct driver *driver,
			   const struct json *commands)
{
	CLEANUP(buffer_release) struct buffer output;
	enum command_result result = COMMAND_SKIPPED;
	struct values values;

	buffer_init(&output, ANSWER_LIMIT);
	if (!evidence->engine || !evidence->processes.count)
		return false;
	values_from(&values, evidence->inspect, evidence->top, driver->definition);
	values.engine = evidence->engine;
	values.id = json_string(evidence->inspect, "Id");
	json_for_each(command, commands)
		if (result != COMMAND_OK)
			result = command_run(&values, command, ASK_TIMEOUT_MS, &output, NULL);
	values_release(&values);
	return result == COMMAND_OK;
}

static bool is_proven(const struct evidence *evidence, const struct driver *driver,
		      const struct json *shared)
{
	unsigned places = PLACES_MAX;

	return variable_fits(evidence, json_get(shared, "variables")) ||
	       command_proves(evidence, driver, json_get(shared, "any")) ||
	       (may_look_inside(evidence) &&
		file_fits(evidence, driver, json_get(shared, "files"), &places));
}

/* Whether what runs, or what the command says, is the server by names alone that are not its own. */
static bool is_called_as_another(const struct evidence *evidence, const struct json *detect,
				 const struct json *names)
{
	const struct json *commands = json_get(detect, "commands");

	if (evidence->processes.count)
		return server_runs(evidence, detect, NULL) && !server_runs(evidence, detect, names);
	return command_fits(evidence, commands, NULL) && !command_fits(evidence, commands, names);
}

static unsigned weigh_inside(const struct evidence *evidence, const struct driver *driver)
{
	const struct json *detect = json_get(driver->definition, "detect");
	unsigned places = PLACES_MAX;

	if (file_fits(evidence, driver, json_get(detect, "files"), &places))
		return WEIGHT_FILE;
	return executable_fits(evidence, json_get(detect, "executables"), &places)
		       ? WEIGHT_EXECUTABLE
		       : 0;
}

static unsigned weigh(const struct evidence *evidence, const struct driver *driver)
{
	const struct json *detect = json_get(driver->definition, "detect");
	const struct json *shared = json_get(detect, "shared"), *except = json_get(shared, "names");
	unsigned strong = 0, weak = 0;

	if (shared && is_called_as_another(evidence, detect, except) &&
	    is_proven(evidence, driver, shared)) {
		strong += WEIGHT_PROOF;
		except = NULL;
	}
	if (server_runs(evidence, detect, except))
		strong += WEIGHT_PROCESS;
	if (command_fits(evidence, json_get(detect, "commands"), except))
		strong += WEIGHT_COMMAND;
	if (image_fits(evidence, json_get(detect, "images")))
		strong += WEIGHT_IMAGE;
	if (variable_fits(evidence, json_get(detect, "variables")))
		weak += WEIGHT_VARIABLE;
	if (port_fits(evidence, json_get(detect, "ports")))
		weak += WEIGHT_PORT;
	if (mount_fits(evidence, json_get(detect, "mounts")))
		weak += WEIGHT_MOUNT;
	/* It runs and we see its processes: then clues alone are a client's. */
	if (!strong && evidence->processes.count)
		return 0;
	/* Where nothing points at this database there is no looking for it. */
	if (strong + weak > 0 && strong + weak < ENOUGH && !driver->broken &&
	    may_look_inside(evidence))
		strong += weigh_inside(evidence, driver);
	return strong + weak;
}

static void expand_paths(struct values *values, const struct json *templates,
			 struct string_list *paths)
{
	json_for_each(item, templates) {
		cleanup_free char *text = values_expand(values, json_string_or(item, NULL, ""));
		cleanup_free char *path = text && *text == '/' ? path_clean(text) : NULL;

		if (path && !string_list_has(paths, path))
			string_list_add(paths, path);
	}
}

static void expand_state(struct values *values, const struct json *definition,
			 struct driver_match *match)
{
	json_for_each(item, json_get(definition, "state_values")) {
		cleanup_free char *value = values_expand(values, json_string_or(item, NULL, ""));
		cleanup_free char *variable =
			value ? memory_printf("%s=%s", json_key(item), value) : NULL;

		if (variable)
			string_list_add(&match->state_values, variable);
	}
	json_for_each(item, json_get(definition, "hosts")) {
		cleanup_free char *value = values_expand(values, json_string_or(item, NULL, ""));
		const char *at = value ? strchr(value, '@') : NULL;

		if (value)
			string_list_add(&match->hosts, at ? at + 1 : value);
	}
}

static void add_strings(struct string_list *list, const struct json *items)
{
	json_for_each(item, items)
		string_list_add(list, json_string_or(item, NULL, ""));
}

static void apply(const struct evidence *evidence, struct driver *driver,
		  struct driver_match *match)
{
	const struct json *definition = driver->definition;
	struct values values;

	match->driver = driver;
	values_from(&values, evidence->inspect, evidence->top, definition);
	expand_paths(&values, json_get(definition, "data"), &match->data_directories);
	expand_paths(&values, json_get(definition, "guard"), &match->guards);
	match->refusal = refusal_of(definition, &values, &evidence->processes);
	expand_state(&values, definition, match);
	values_release(&values);
	add_strings(&match->pages, json_path(definition, "pages", "files"));
	match->page_block = (uint32_t)json_int(json_get(definition, "pages"), "block");
	match->page_size = (uint32_t)json_int(json_get(definition, "pages"), "page");
	add_strings(&match->state_variables, json_get(definition, "state_variables"));
	/* What a label says is meant for whatever runs. */
	match->idle = evidence->processes.count > 0 &&
		      strcmp(driver->name, DRIVER_OF_LABELS) != 0 &&
		      !server_runs(evidence, json_get(definition, "detect"), NULL);
}

/* The best of those that weigh enough; *doubt: of those that cannot be read one that may be meant. */
static struct driver *choose(const struct evidence *evidence, char **doubt, struct error **err)
{
	CLEANUP(cleanup_driver_all_free) struct driver **drivers = driver_all(err);
	struct driver *chosen = NULL;
	unsigned best = ENOUGH - 1;
	size_t index = 0, last = 0;

	for (size_t i = 0; drivers && drivers[i]; i++) {
		unsigned weight = weigh(evidence, drivers[i]);

		last = i;
		if (drivers[i]->broken && !*doubt)
			*doubt = memory_strdup(drivers[i]->broken->message);
		if (weight > best) {
			best = weight;
			chosen = drivers[i];
			index = i;
		}
	}
	if (chosen) {
		free(STEAL_POINTER(*doubt));
		drivers[index] = drivers[last];
		drivers[last] = NULL;
	}
	if (chosen && chosen->broken) {
		error_append(err, STEAL_POINTER(chosen->broken));
		driver_free(STEAL_POINTER(chosen));
	}
	return chosen;
}

/* By its name, or the one that fits; NULL without an error: none. */
static struct driver *choose_by(const struct evidence *evidence, const char *name,
				const char *wanted, char **doubt, struct error **err)
{
	struct driver *driver;

	if (strcmp(wanted, DRIVER_OF_LABELS) == 0)
		return NULL;
	driver = *wanted ? driver_find(wanted, err) : choose(evidence, doubt, err);
	if (!driver && !name)
		error_prefix(err, *wanted ? "label " LABEL_DRIVER " of the container"
					  : "cannot tell which database it is");
	return driver;
}

/* The same, with what labels change. */
static struct driver *find(const struct evidence *evidence, const char *name, const char *wanted,
			   char **doubt, struct error **err)
{
	const struct json *labels = json_path(evidence->inspect, "Config", "Labels");
	cleanup_error struct error *problem = NULL;
	struct driver *driver = choose_by(evidence, name, wanted, doubt, &problem);

	if (!driver && !problem && override_is_used(labels))
		driver = override_driver();
	if (driver && override_apply(driver, labels, &problem) < 0)
		driver_free(STEAL_POINTER(driver));
	error_append(err, STEAL_POINTER(problem));
	return driver;
}

int driver_detect_as(struct engine *engine, const struct json *inspect, const struct json *image,
		     const char *name, struct driver_match *match, struct error **err)
{
	struct evidence evidence = {.engine = engine, .inspect = inspect, .image = image};
	const char *wanted =
		name ? name
		     : json_string_or(json_path(inspect, "Config", "Labels"), LABEL_DRIVER, "");
	cleanup_error struct error *problem = NULL;
	struct driver *driver;

	memset(match, 0, sizeof(*match));
	if (strcmp(wanted, "none") == 0)
		return 0;
	if (engine && json_bool(json_get(inspect, "State"), "Running"))
		evidence.top = container_top(engine, json_string(inspect, "Id"), NULL);
	process_arguments(evidence.top, &evidence.processes);
	driver = find(&evidence, name, wanted, &match->doubt, &problem);
	if (driver)
		apply(&evidence, driver, match);
	string_list_release(&evidence.processes);
	json_free(evidence.top);
	if (!problem)
		return 0;
	error_append(err, STEAL_POINTER(problem));
	return -1;
}

int driver_detect(struct engine *engine, const struct json *inspect, const struct json *image,
		  struct driver_match *match, struct error **err)
{
	return driver_detect_as(engine, inspect, image, NULL, match, err);
}
