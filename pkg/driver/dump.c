/*
 * An exit code says that a tool believes to have ended well. It says nothing of a tool that talked to
 * the wrong server, or of a shell that ended before it; hence the look at the dump itself.
 */
#include "driver/dump.h"

#include <string.h>

#include "base/memory.h"
#include "driver/access.h"
#include "driver/command.h"
#include "driver/dump_check.h"

struct dump {
	struct access *access;
	struct access_stream *stream;
	const struct json *member, *operation; /* borrowed from the driver */
	const char *title;		       /* borrowed from the driver */
	bool of_database;
	struct dump_check *check;
	bool has_ended, is_whole;
};

bool driver_dumps(const struct driver_match *match, bool database)
{
	const struct json *definition = match->driver ? match->driver->definition : NULL;

	return json_path(definition, "dump", database ? "database" : "server");
}

const char *driver_dump_without(const struct driver_match *match)
{
	const struct json *definition = match->driver ? match->driver->definition : NULL;

	return json_string_or(json_get(definition, "dump"), "without", "");
}

static int check_can(const struct driver_match *match, const char *database, struct error **err)
{
	if (!match->driver) {
		error_set(err, ERROR_UNSUPPORTED,
			  "no driver fits the container: it is not known "
			  "how to dump what is in it");
		return error_hint(err, "choose one: --driver NAME, or label sidesnap.driver of the "
				       "container; \"sidesnap drivers\" lists them");
	}
	if (!driver_dumps(match, false))
		return error_set(err, ERROR_UNSUPPORTED,
				 "the driver \"%s\" cannot dump: it has no \"dump\"",
				 match->driver->name);
	if (database && !driver_dumps(match, true))
		return error_set(err, ERROR_UNSUPPORTED,
				 "the driver \"%s\" dumps a whole server only, not one database",
				 match->driver->name);
	return 0;
}

static int begin(struct dump *dump, const char *database, struct error **err)
{
	struct access_call call = {.member = dump->member,
				   .operation = dump->operation,
				   .name = database ? "dump.database" : "dump.server"};

	access_set_database(dump->access, database);
	if (access_run_all(dump->access, dump->member, "begin", err) < 0)
		return -1;
	if (!command_needs_are_there(access_values(dump->access), dump->operation))
		return error_set(err, ERROR_FAILED, "the container lacks a value that \"%s\" needs",
				 call.name);
	dump->stream = access_stream_open(dump->access, &call, err);
	return dump->stream ? 0 : -1;
}

struct dump *driver_dump_open(struct engine *engine, const char *id,
			      const struct driver_match *match, const char *database,
			      struct error **err)
{
	CLEANUP(cleanup_driver_dump_free) struct dump *dump = NULL;

	if (check_can(match, database, err) < 0)
		return NULL;
	dump = memory_zalloc(sizeof(*dump));
	dump->member = json_get(match->driver->definition, "dump");
	dump->operation = json_get(dump->member, database ? "database" : "server");
	dump->title = json_string_or(match->driver->definition, "title", match->driver->name);
	dump->of_database = database != NULL;
	dump->check =
		dump_check_new(match->driver, database ? DUMP_OF_DATABASE : DUMP_OF_SERVER, err);
	if (!dump->check)
		return NULL;
	dump->access = access_open(engine, id, match, err);
	if (!dump->access || begin(dump, database, err) < 0) {
		error_prefix(err, "cannot dump %s", dump->title);
		return NULL;
	}
	return STEAL_POINTER(dump);
}

void driver_dump_free(struct dump *dump)
{
	if (!dump)
		return;
	access_stream_free(dump->stream);
	if (dump->access) {
		/* One after the other, whatever becomes of them. */
		json_for_each(operation, json_get(dump->member, "clean")) {
			struct access_call call = {
				.member = dump->member, .operation = operation, .name = "clean"};

			access_run(dump->access, &call, NULL, NULL);
		}
	}
	access_free(dump->access);
	dump_check_free(dump->check);
	free(dump);
}

const char *driver_dump_file(const struct dump *dump)
{
	return json_string_or(dump->member, "file", "dump");
}

const char *driver_dump_version(const struct dump *dump)
{
	return access_version(dump->access);
}

const char *driver_dump_said(struct dump *dump)
{
	return access_stream_said(dump->stream);
}

/* ---- the proof ---- */

static int check_not_empty(struct dump *dump, struct error **err)
{
	const char *name = dump->of_database ? "database_contents" : "contents";
	struct access_call call = {
		.member = dump->member, .operation = json_get(dump->member, name), .name = name};
	CLEANUP(buffer_release) struct buffer output;
	cleanup_free char *first = NULL;
	const char *line;

	buffer_init(&output, 4096);
	if (!call.operation || !dump_check_is_empty(dump->check))
		return 0;
	if (access_run(dump->access, &call, &output, err) < 0)
		return error_prefix(err, "the dump holds nothing, and whether that is right "
					 "cannot be told");
	line = output.data + strspn(output.data, " \t\r\n");
	if (!*line)
		return 0;
	first = memory_strndup(line, strcspn(line, "\r\n"));
	return error_set(err, ERROR_FAILED, "the dump holds nothing, but %s has \"%s\"",
			 dump->of_database ? "the database" : "the server", first);
}

static int prove(struct dump *dump, struct error **err)
{
	if (dump_check_end(dump->check, err) < 0) {
		/* The tool believes that all is well: it failed, and nothing here is damaged. */
		if (err && *err)
			(*err)->kind = ERROR_FAILED;
		return error_prefix(err, "the tool ended without an error, but what came is no "
					 "dump");
	}
	if (check_not_empty(dump, err) < 0)
		return -1;
	return access_run_all(dump->access, dump->member, "end", err);
}

/* As much as there is room for; less only where the tool has ended well. */
static ssize_t fill(struct dump *dump, char *data, size_t size, struct error **err)
{
	size_t filled = 0;

	while (filled < size && !dump->has_ended) {
		ssize_t count = access_stream_read(dump->stream, data + filled, size - filled, err);

		if (count < 0)
			return -1;
		dump->has_ended = count == 0;
		filled += (size_t)count;
	}
	return (ssize_t)filled;
}

ssize_t driver_dump_read(struct dump *dump, void *data, size_t size, struct error **err)
{
	ssize_t count = fill(dump, data, size, err);

	if (count > 0) {
		dump_check_take(dump->check, data, (size_t)count);
		return count;
	}
	if (count == 0 && dump->is_whole)
		return 0;
	if (count < 0 || prove(dump, err) < 0) {
		error_prefix(err, "dump of %s", dump->title);
		return -1;
	}
	dump->is_whole = true;
	return 0;
}
