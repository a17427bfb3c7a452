/*
 * create --logical: the database as its own tools dump it, streamed from the server through us
 * into the helper while the target runs. Nothing of it is kept here, and what did not prove
 * whole ends the create.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/path.h"
#include "driver/dump.h"
#include "driver/load.h"
#include "driver/values.h"
#include "snapshot/create/create.h"
#include "snapshot/labels.h"
#include "store/transit.h"

/* ---- on another image ---- */

/* Where a driver finds its data in a container with this configuration. */
static void find_data(const struct driver *driver, const struct json *config,
		      struct string_list *directories)
{
	CLEANUP(cleanup_json_free) struct json *inspect = json_new_object();
	struct values values;

	json_set(inspect, "Config", json_copy(config));
	json_remove(json_get(inspect, "Config"), "Labels");
	values_from(&values, inspect, NULL, driver->definition);
	json_for_each(item, json_get(driver->definition, "data")) {
		cleanup_free char *path = values_expand(&values, json_string_or(item, NULL, ""));
		cleanup_free char *clean = path && *path == '/' ? path_clean(path) : NULL;

		if (clean && !string_list_has(directories, clean))
			string_list_add(directories, clean);
	}
	values_release(&values);
}

static bool same_list(const struct string_list *a, const struct string_list *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

/* A copy of the variables with one set, to be freed. */
static struct json *with_variable(const struct json *variables, const char *variable)
{
	struct json *result = json_new_array();
	size_t size = strcspn(variable, "=") + 1;

	json_for_each(item, variables) {
		const char *text = json_string_or(item, NULL, "");

		if (strncmp(text, variable, size) != 0)
			json_add_string(result, text);
	}
	json_add_string(result, variable);
	return result;
}

/*
 * The image's variables, and what the person had set of the target's; but the data goes to where
 * the new image has it: a newer one's may be elsewhere, and its entrypoint insists on that.
 */
static void merge_environment(const struct create *create, const struct json *own_image,
			      struct json *config)
{
	const struct json *before = json_path(own_image, "Config", "Env");
	const struct driver *driver = create->plan.driver.driver;
	CLEANUP(string_list_release) struct string_list data;

	string_list_init(&data);
	find_data(driver, config, &data);
	json_for_each(item, json_path(create->target.inspect, "Config", "Env")) {
		const char *variable = json_string_or(item, NULL, "");
		CLEANUP(string_list_release) struct string_list changed;
		struct json *old;

		string_list_init(&changed);
		if (json_has_string(before, variable))
			continue;
		old = json_copy(json_get(config, "Env"));
		json_set(config, "Env", with_variable(old, variable));
		find_data(driver, config, &changed);
		if (same_list(&data, &changed))
			json_free(old);
		else
			json_set(config, "Env", old);
	}
}

/* What the person had changed of the target's own image is wanted of the new one, too. */
static void keep_changed(struct json *config, const struct json *before, const struct json *now,
			 const char *member)
{
	if (json_get(now, member) && !json_equal(json_get(before, member), json_get(now, member)))
		json_set(config, member, json_copy(json_get(now, member)));
}

/* The volume of the image that holds a directory, else that directory. */
static void add_dump_path(struct plan *plan, const struct json *config, const char *directory)
{
	const char *best = NULL;

	json_for_each(volume, json_get(config, "Volumes")) {
		const char *path = json_key(volume);

		if (path_is_at_or_under(directory, path) && (!best || strlen(path) > strlen(best)))
			best = path;
	}
	best = best ? best : directory;
	if (!string_list_has(&plan->dump_paths, best))
		string_list_add(&plan->dump_paths, best);
}

static int check_places(const struct create *create, struct error **err)
{
	const struct plan *plan = &create->plan;

	for (size_t i = 0; i < plan->count; i++)
		for (size_t p = 0; p < plan->trees[i].paths.count; p++) {
			const char *path = plan->trees[i].paths.items[p];

			if (!string_list_has(&plan->dump_paths, path))
				continue;
			error_set(err, ERROR_REFUSED,
				  "the data of \"%s\" goes to \"%s\", where container \"%s\" has "
				  "another volume",
				  create->options->onto, path, create->target.name);
			return error_hint(err, "leave that out: --exclude %s", path);
		}
	return 0;
}

static int inspect_onto(const struct create *create, struct json **image, struct error **err)
{
	const char *reference = create->options->onto;

	*image = image_inspect(create->session->engine, reference, err);
	if (!*image) {
		if (err && *err && (*err)->kind == ERROR_NOT_FOUND)
			error_hint(err, "fetch it first: docker pull %s", reference);
		return -1;
	}
	if (strcmp(snapshot_label(*image, LABEL_ROLE), "snapshot") == 0) {
		error_set(err, ERROR_USAGE, "--onto: \"%s\" is a snapshot itself", reference);
		return error_hint(err, "name the plain image that the dump is to be loaded in");
	}
	return 0;
}

int create_move_onto(struct create *create, struct error **err)
{
	const struct json *now = json_get(create->target.inspect, "Config"), *before;
	CLEANUP(cleanup_json_free) struct json *image = NULL;
	CLEANUP(string_list_release) struct string_list data;
	struct json *config, *list;

	string_list_init(&data);
	if (inspect_onto(create, &image, err) < 0)
		return -1;
	before = json_get(create->image, "Config");
	config = json_copy(json_get(image, "Config"));
	json_set_string(config, "Image",
			strcmp(create->options->onto, create->target.image_id) == 0
				? json_string_or(now, "Image", "")
				: create->options->onto);
	if (!create->options->image_command) {
		keep_changed(config, before, now, "Cmd");
		keep_changed(config, before, now, "Healthcheck");
	}
	merge_environment(create, create->image, config);
	find_data(create->plan.driver.driver, config, &data);
	string_list_release(&create->plan.dump_paths);
	list = json_set_array(create->load, "data");
	for (size_t i = 0; i < data.count; i++) {
		add_dump_path(&create->plan, config, data.items[i]);
		json_add_string(list, data.items[i]);
	}
	create->moved = create->target;
	create->moved.inspect = json_copy(create->target.inspect);
	json_set(create->moved.inspect, "Config", config);
	json_free(create->image);
	create->image = STEAL_POINTER(image);
	create->moved.image_id = json_string_or(create->image, "Id", "");
	create->subject = &create->moved;
	/* A newer server has its own of what was the container's in its layer. */
	create->own_source = "none";
	return check_places(create, err);
}

/* ---- what a boot is told ---- */

/* Whose database is dumped. */
static const char *dumped_container(const struct create *create)
{
	return create->options->masked ? create->options->masked->container : create->target.id;
}

static const struct driver_match *dumped_driver(const struct create *create)
{
	return create->options->masked ? create->options->masked->driver : &create->plan.driver;
}

int create_check_logical(struct create *create, struct error **err)
{
	const struct driver_match *driver = &create->plan.driver;
	const struct create_options *options = create->options;
	const char *name = create->target.name;

	if (options->stopped)
		return error_set(err, ERROR_USAGE,
				 "--stopped and --logical exclude each other: a dump is made by "
				 "the running server");
	if (!driver->driver) {
		error_set(err, ERROR_UNSUPPORTED,
			  "container \"%s\" runs no database that sidesnap knows", name);
		return error_hint(err, "the label " LABEL_DRIVER_OVERRIDE
				       "=NAME on the container says which it is; without --logical "
				       "its files are captured as they are");
	}
	if (!json_count(json_get(driver->driver->definition, "data"))) {
		error_set(
			err, ERROR_UNSUPPORTED,
			"%s has no directory of its own: a dump cannot stand for a file that lies "
			"among an application's others",
			json_string_or(driver->driver->definition, "title", driver->driver->name));
		return error_hint(err, "leave out --logical: the file is captured as it is, at one "
				       "instant; or write a dump with \"sidesnap dump\"");
	}
	if (!options->masked &&
	    (!create->target.running || create->target.paused || driver->idle)) {
		error_set(err, ERROR_REFUSED, "%s does not run in container \"%s\"%s",
			  driver->driver->name, name,
			  create->target.paused ? ", which is paused" : "");
		return error_hint(err,
				  "%s, or leave out --logical: files can be captured as they "
				  "are",
				  create->target.paused ? "thaw it: docker unpause" : "start it");
	}
	if (driver_dumps(driver, options->database != NULL)) {
		create->load = driver_load_json(create->session->engine, dumped_container(create),
						dumped_driver(create), options->database, err);
		return create->load ? 0 : -1;
	}
	error_set(err, ERROR_UNSUPPORTED, "%s cannot dump %s", driver->driver->name,
		  options->database ? "one database alone" : "a whole server");
	return error_hint(err, options->database
				       ? "leave out --database: the whole server is dumped"
				       : "leave out --logical: files are captured as they are");
}

/* ---- the stream ---- */

/* Once more through the engine, which copies every byte several times: the fewer the better. */
static int send_block(struct helper *helper, struct transit_packer *packer, const void *block,
		      size_t size, struct error **err)
{
	const void *packed;
	size_t packed_size = transit_pack(packer, block, size, &packed);

	if (packed_size)
		return helper_send_bytes(helper, WIRE_PACKED, packed, packed_size, err);
	return helper_send_bytes(helper, WIRE_DATA, block, size, err);
}

static int stream(struct create *create, struct dump *dump, struct error **err)
{
	CLEANUP(cleanup_transit_packer_free)
	struct transit_packer *packer = transit_packer_new(err);
	cleanup_free char *block = memory_alloc(TRANSIT_BLOCK_MAX);
	CLEANUP(cleanup_json_free) struct json *end = json_new_object();
	ssize_t size;

	if (!packer || helper_send(create->helper, WIRE_DUMP, NULL, err) < 0)
		return -1;
	create->dump_bytes = 0;
	while ((size = driver_dump_read(dump, block, TRANSIT_BLOCK_MAX, err)) > 0) {
		if (send_block(create->helper, packer, block, (size_t)size, err) < 0 ||
		    session_check(create->session, err) < 0)
			return -1;
		create->dump_bytes += (uint64_t)size;
		progress_update(create->session->progress, 1, create->dump_bytes, 0);
		failpoint("logical/dumping");
	}
	if (size < 0)
		return -1;
	json_set_string(end, "stream", "dump");
	json_set_int(end, "bytes", (int64_t)create->dump_bytes);
	return helper_send(create->helper, WIRE_END, end, err);
}

int create_dump(struct create *create, struct error **err)
{
	const struct driver_match *driver = dumped_driver(create);
	const char *database = create->options->database;
	CLEANUP(cleanup_driver_dump_free) struct dump *dump = NULL;

	progress_phase(create->session->progress, "dumping %s", text_or(database, "the server"));
	free(create->identity.created);
	create->identity.created = clock_format(clock_now());
	dump = driver_dump_open(create->session->engine, dumped_container(create), driver, database,
				err);
	if (!dump || stream(create, dump, err) < 0)
		return error_prefix(err, "cannot dump %s of container \"%s\"", driver->driver->name,
				    create->target.name);
	if (*driver_dump_said(dump))
		progress_note(create->session->progress, "%s: %s", driver->driver->name,
			      driver_dump_said(dump));
	failpoint("logical/dumped");
	return 0;
}
