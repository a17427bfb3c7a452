/*
 * A client that is told to go on after an error ends with 0 all the same; one that is told to stop leaves
 * off at the role that exists already. So its messages are read: the first that is not known to be
 * harmless ends the load.
 */
#include "driver/load.h"

#include <string.h>

#include "base/complaint.h"
#include "base/memory.h"
#include "driver/access.h"
#include "driver/command.h"

#define INPUT_LIMIT (8U << 20)
/* How long a tool that was given half a dump is waited for. */
#define END_WAIT_MS 10000

struct load {
	struct access *access;
	struct access_stream *stream;
	const struct json *member, *operation; /* borrowed from the driver */
	const char *title;		       /* borrowed from the driver */
	const char *what;		       /* "load" or "script" */
	struct complaint complaint;
	bool has_complaint, is_over;
};

static void take(void *context, int stream, const void *data, size_t size)
{
	complaint_take(context, stream, data, size);
}

/* A line that tells of a failure comes before an exit code that only says that there was one. */
static int judge(struct load *load, struct error **err)
{
	cleanup_free char *line = NULL, *shown = NULL;

	if (!load->complaint.first)
		return 0;
	if (err && *err) {
		error_free(*err);
		*err = NULL;
	}
	line = memory_strdup(load->complaint.first);
	values_redact(access_values(load->access), line);
	shown = command_shown(line);
	return error_set(err, ERROR_FAILED, "a statement failed: %s", shown);
}

static int failed(struct load *load, struct error **err)
{
	return error_prefix(err, "%s into %s", load->what, load->title);
}

static struct load *load_new(const struct driver_match *match, const char *member,
			     const char *operation, struct error **err)
{
	struct load *load = memory_zalloc(sizeof(*load));

	load->member = json_get(match->driver->definition, member);
	load->operation = operation ? json_get(load->member, operation) : load->member;
	load->title = json_string_or(match->driver->definition, "title", match->driver->name);
	load->what = member;
	if (complaint_init(&load->complaint, json_string(load->member, "errors"),
			   json_string(load->member, "ignored"), err) < 0) {
		free(load);
		return NULL;
	}
	load->has_complaint = true;
	return load;
}

/* Begin, then the tool itself with the lines that it gets before the dump. */
static int start(struct load *load, const char *name, struct error **err)
{
	struct access_call call = {.member = load->member,
				   .operation = load->operation,
				   .name = name,
				   .asks = true,
				   .sink = take,
				   .context = &load->complaint};
	CLEANUP(buffer_release) struct buffer input;

	buffer_init(&input, INPUT_LIMIT);
	if (access_run_all(load->access, load->member, "begin", err) < 0 ||
	    access_input(load->access, load->operation, &input, err) < 0)
		return -1;
	if (!command_needs_are_there(access_values(load->access), load->operation))
		return error_set(err, ERROR_FAILED, "the container lacks a value that \"%s\" needs",
				 name);
	load->stream = access_stream_open(load->access, &call, err);
	if (!load->stream)
		return -1;
	return access_stream_feed(load->stream, input.data, input.size, err);
}

static struct load *open_member(struct engine *engine, const char *id,
				const struct driver_match *match, const char *member,
				const char *operation, const char *database, struct error **err)
{
	CLEANUP(cleanup_driver_load_free)
	struct load *load = load_new(match, member, operation, err);
	cleanup_free char *name =
		operation ? memory_printf("%s.%s", member, operation) : memory_strdup(member);

	if (!load)
		return NULL;
	load->access = access_open(engine, id, match, err);
	if (load->access)
		access_set_database(load->access, database);
	if (!load->access || start(load, name, err) < 0) {
		failed(load, err);
		return NULL;
	}
	return STEAL_POINTER(load);
}

static int no_driver(struct error **err)
{
	error_set(err, ERROR_UNSUPPORTED,
		  "no driver fits the container: it is not known what is in it");
	return error_hint(err, "choose one: --driver NAME, or label sidesnap.driver of the "
			       "container; \"sidesnap drivers\" lists them");
}

int driver_load_check(const struct driver_match *match, const char *database, struct error **err)
{
	const struct json *load =
		json_get(match->driver ? match->driver->definition : NULL, "load");

	if (!match->driver)
		return no_driver(err);
	if (!load)
		return error_set(err, ERROR_UNSUPPORTED,
				 "the driver \"%s\" cannot load: it has no \"load\"",
				 match->driver->name);
	if (strcmp(json_string_or(load, "how", ""), "server") != 0) {
		error_set(err, ERROR_UNSUPPORTED,
			  "%s takes a dump only before it starts, not while it runs",
			  json_string_or(match->driver->definition, "title", match->driver->name));
		return error_hint(err, "make a snapshot with \"sidesnap create --logical\": it "
				       "loads where it is booted for the first time");
	}
	if (database && !json_get(load, "database"))
		return error_set(err, ERROR_UNSUPPORTED,
				 "the driver \"%s\" loads a whole server only, not one database",
				 match->driver->name);
	return 0;
}

struct load *driver_load_open(struct engine *engine, const char *id,
			      const struct driver_match *match, const char *database,
			      struct error **err)
{
	if (driver_load_check(match, database, err) < 0)
		return NULL;
	return open_member(engine, id, match, "load", database ? "database" : "server", database,
			   err);
}

struct load *driver_script_open(struct engine *engine, const char *id,
				const struct driver_match *match, const char *database,
				struct error **err)
{
	if (!match->driver) {
		no_driver(err);
		return NULL;
	}
	if (!json_get(match->driver->definition, "script")) {
		error_set(err, ERROR_UNSUPPORTED,
			  "the driver \"%s\" runs no statements: it has no \"script\"",
			  match->driver->name);
		return NULL;
	}
	return open_member(engine, id, match, "script", NULL, database, err);
}

int driver_load_write(struct load *load, const void *data, size_t size, struct error **err)
{
	int result = access_stream_feed(load->stream, data, size, err);

	if (judge(load, err) < 0 || result < 0)
		return failed(load, err);
	return 0;
}

int driver_load_finish(struct load *load, struct error **err)
{
	int result = access_stream_finish(load->stream, 0, err);

	load->is_over = true;
	complaint_end(&load->complaint);
	if (judge(load, err) < 0 || result < 0 ||
	    access_run_all(load->access, load->member, "end", err) < 0)
		return failed(load, err);
	return 0;
}

void driver_load_free(struct load *load)
{
	if (!load)
		return;
	if (load->stream && !load->is_over)
		access_stream_finish(load->stream, END_WAIT_MS, NULL);
	access_stream_free(load->stream);
	if (load->access) {
		json_for_each(operation, json_get(load->member, "clean")) {
			struct access_call call = {
				.member = load->member, .operation = operation, .name = "clean"};

			access_run(load->access, &call, NULL, NULL);
		}
	}
	access_free(load->access);
	if (load->has_complaint)
		complaint_release(&load->complaint);
	free(load);
}
