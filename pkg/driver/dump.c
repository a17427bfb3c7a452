/*
 * An exit code says that a tool believes to have ended well. It says nothing of a tool that talked to
 * the wrong server, or of a shell that ended before it; hence the look at the dump itself.
 */
#include "driver/dump.h"

#include <regex.h>
#include <string.h>

#include "base/memory.h"
#include "driver/access.h"
#include "driver/command.h"
#include "driver/line_search.h"

#define END_SIZE 4096 /* of the beginning and of the end, for "starts" and "complete" */

struct dump {
	struct access *access;
	struct access_stream *stream;
	const struct json *member, *operation; /* borrowed from the driver */
	const char *title;		       /* borrowed from the driver */
	bool of_database;
	struct buffer head, tail; /* the tail: at most twice END_SIZE */
	struct line_search search;
	int holds; /* its number in search; -1: none */
	uint64_t size;
	bool is_whole;
};

bool driver_dumps(const struct driver_match *match, bool database)
{
	const struct json *definition = match->driver ? match->driver->definition : NULL;

	return json_path(definition, "dump", database ? "database" : "server");
}

/* Of this operation, or of all dumps. */
static const struct json *proof(const struct dump *dump, const char *name)
{
	const struct json *own = json_get(dump->operation, name);

	return own ? own : json_get(dump->member, name);
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

static int begin_search(struct dump *dump, struct error **err)
{
	const char *holds = json_string(proof(dump, "holds"), NULL);

	line_search_init(&dump->search);
	dump->holds = -1;
	if (holds) {
		dump->holds = line_search_add(&dump->search, holds, NULL, err);
		if (dump->holds < 0)
			return -1;
	}
	json_for_each(item, proof(dump, "requires"))
		if (line_search_add(&dump->search, json_string_or(item, "pattern", ""),
				    json_string_or(item, "problem", ""), err) < 0)
			return -1;
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
	buffer_init(&dump->head, END_SIZE);
	buffer_init(&dump->tail, 2 * END_SIZE);
	dump->member = json_get(match->driver->definition, "dump");
	dump->operation = json_get(dump->member, database ? "database" : "server");
	dump->title = json_string_or(match->driver->definition, "title", match->driver->name);
	dump->of_database = database != NULL;
	if (begin_search(dump, err) < 0)
		return NULL;
	dump->access = access_open(engine, id, match->driver, err);
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
	buffer_release(&dump->head);
	buffer_release(&dump->tail);
	line_search_release(&dump->search);
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

static void keep_ends(struct dump *dump, const char *data, size_t size)
{
	size_t room = dump->head.limit - dump->head.size;

	buffer_append(&dump->head, data, size < room ? size : room);
	if (size >= END_SIZE) {
		buffer_clear(&dump->tail);
		buffer_append(&dump->tail, data + size - END_SIZE, END_SIZE);
		return;
	}
	if (dump->tail.size + size > dump->tail.limit)
		buffer_consume(&dump->tail, dump->tail.size - END_SIZE + size);
	buffer_append(&dump->tail, data, size);
}

static void blank_zeros(struct buffer *text)
{
	for (size_t i = 0; i < text->size; i++)
		if (!text->data[i])
			text->data[i] = ' ';
}

/* 1: it fits, or there is no such pattern; 0: not; -1. */
static int end_fits(const struct dump *dump, const char *name, const char *text, struct error **err)
{
	const char *pattern = json_string(proof(dump, name), NULL);
	regex_t regex;
	int fits;

	if (!pattern)
		return 1;
	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return error_set(err, ERROR_USAGE, "\"%s\" is no extended regular expression",
				 pattern);
	fits = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return fits;
}

static int check_ends(struct dump *dump, struct error **err)
{
	int fits;

	if (dump->tail.size > END_SIZE)
		buffer_consume(&dump->tail, dump->tail.size - END_SIZE);
	blank_zeros(&dump->head);
	blank_zeros(&dump->tail);
	fits = end_fits(dump, "starts", dump->head.data, err);
	if (fits > 0)
		fits = end_fits(dump, "complete", dump->tail.data, err);
	else if (fits == 0)
		return error_set(err, ERROR_FAILED,
				 "what came is no such dump: its beginning is "
				 "not that of one");
	if (fits == 0)
		return error_set(err, ERROR_FAILED,
				 "the dump is not whole: its end is missing, "
				 "though the tool ended without an error");
	return fits < 0 ? -1 : 0;
}

/* Whether the dump could be one of nothing: then the server is asked whether it is empty. */
static bool looks_empty(const struct dump *dump)
{
	uint64_t size;

	if (dump->holds >= 0)
		return !dump->search.patterns[dump->holds].found;
	return json_uint_checked(proof(dump, "empty_size"), NULL, UINT32_MAX, &size) &&
	       dump->size <= size;
}

static int check_not_empty(struct dump *dump, struct error **err)
{
	const char *name = dump->of_database ? "database_contents" : "contents";
	struct access_call call = {
		.member = dump->member, .operation = json_get(dump->member, name), .name = name};
	CLEANUP(buffer_release) struct buffer output;
	cleanup_free char *first = NULL;
	const char *line;

	buffer_init(&output, 4096);
	if (!call.operation || !looks_empty(dump))
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

static int check_required(const struct dump *dump, struct error **err)
{
	for (size_t i = 0; i < dump->search.count; i++)
		if ((int)i != dump->holds && !dump->search.patterns[i].found)
			return error_set(err, ERROR_FAILED, "the dump is not whole: %s",
					 dump->search.patterns[i].problem);
	return 0;
}

static int prove(struct dump *dump, struct error **err)
{
	line_search_end(&dump->search);
	if (check_ends(dump, err) < 0 || check_not_empty(dump, err) < 0 ||
	    check_required(dump, err) < 0)
		return -1;
	return access_run_all(dump->access, dump->member, "end", err);
}

ssize_t driver_dump_read(struct dump *dump, void *data, size_t size, struct error **err)
{
	ssize_t count;

	if (dump->is_whole)
		return 0;
	count = access_stream_read(dump->stream, data, size, err);
	if (count > 0) {
		dump->size += (uint64_t)count;
		keep_ends(dump, data, (size_t)count);
		line_search_take(&dump->search, data, (size_t)count);
		return count;
	}
	if (count < 0 || prove(dump, err) < 0) {
		error_prefix(err, "dump of %s", dump->title);
		return -1;
	}
	dump->is_whole = true;
	return 0;
}
