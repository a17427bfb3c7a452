/*
 * sidesnap diff --data: rows and definitions that differ. Rows go by a file without a name, as they
 * come: all is printed when everything was compared.
 */
#include "diff_data.h"

#include <errno.h>
#include <string.h>

#include "base/io.h"
#include "base/memory.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"
#include "ui/table.h"

#include "present.h"

/* What stands on a line of a terminal; --json has more. */
#define SHOWN_MAX 200

struct listing {
	FILE *spool;
	bool json, begun;
	char *table; /* that the last row was of */
};

/* ---- rows ---- */

/* "" of the server. */
static char *database_of(const struct json *object, const char *key)
{
	cleanup_free char *name = json_bytes(object, key);

	return memory_strdup(name && *name ? name : "(server)");
}

/* A value as text: NULL of nothing, 'text' of everything else; what is no text is \xNN. */
static char *value_text(const struct json *object, const char *key)
{
	cleanup_free char *text = json_bytes(object, key), *escaped = NULL, *clipped = NULL;
	cleanup_free char *other = memory_printf("%s64", key);

	if (json_is_null(json_get(object, key)) && !json_get(object, other))
		return memory_strdup("NULL");
	if (!text)
		return memory_strdup("(binary)");
	escaped = escape_text(text);
	clipped = escape_clip(escaped, SHOWN_MAX);
	return memory_printf("'%s'", clipped);
}

static void print_values(FILE *file, const struct json *values)
{
	json_for_each(value, values) {
		cleanup_free char *column = json_bytes(value, "column");
		cleanup_free char *name = escape_text(column), *text = value_text(value, "value");

		fprintf(file, " %s=%s", name, text);
	}
}

static void print_columns(FILE *file, const struct json *columns)
{
	json_for_each(value, columns) {
		cleanup_free char *column = json_bytes(value, "column"), *name = NULL;
		cleanup_free char *from = value_text(value, "from");
		cleanup_free char *to = value_text(value, "to");

		name = escape_text(column);
		fprintf(file, " %s: %s -> %s", name, from, to);
	}
}

static void print_row(struct listing *listing, const struct json *row)
{
	const char *change = json_string_or(row, "change", "");
	cleanup_free char *database = database_of(row, "database");
	cleanup_free char *name = json_bytes(row, "table");
	cleanup_free char *title = memory_printf("%s: %s", database, name ? name : "");

	if (!listing->table || strcmp(listing->table, title) != 0) {
		cleanup_free char *shown = escape_text(title);

		fprintf(listing->spool, "\n%s\n", shown);
		free(listing->table);
		listing->table = STEAL_POINTER(title);
	}
	fputc(strcmp(change, "added") == 0     ? 'A'
	      : strcmp(change, "removed") == 0 ? 'D'
					       : 'M',
	      listing->spool);
	fputc(' ', listing->spool);
	print_values(listing->spool, json_get(row, "key"));
	print_values(listing->spool, json_get(row, "values"));
	if (json_count(json_get(row, "key")) && json_get(row, "columns"))
		fputc(' ', listing->spool);
	print_columns(listing->spool, json_get(row, "columns"));
	fputc('\n', listing->spool);
}

static int take_row(void *context, const struct json *row, struct error **err)
{
	struct listing *listing = context;

	if (listing->json) {
		cleanup_free char *text = json_print(row, false);

		fprintf(listing->spool, "%s%s", listing->begun ? "," : "", text);
		listing->begun = true;
	} else {
		print_row(listing, row);
	}
	return ferror(listing->spool) ? error_set_errno(err, errno, "cannot write a temporary file")
				      : 0;
}

/* ---- the whole ---- */

static void print_tables(const struct json *result)
{
	static const char *const counts[] = {"rows_from", "rows_to", "added", "removed", "changed"};
	CLEANUP(cleanup_table_free) struct table *table = table_new();

	table_column(table, "DATABASE", TABLE_LEFT);
	table_column(table, "TABLE", TABLE_FLEXIBLE);
	table_column(table, "STATE", TABLE_LEFT);
	table_column(table, "ROWS", TABLE_RIGHT);
	table_column(table, "NOW", TABLE_RIGHT);
	table_column(table, "ADDED", TABLE_RIGHT);
	table_column(table, "REMOVED", TABLE_RIGHT);
	table_column(table, "CHANGED", TABLE_RIGHT);
	json_for_each(database, json_get(result, "databases")) {
		cleanup_free char *title = database_of(database, "name");

		json_for_each(item, json_get(database, "tables")) {
			cleanup_free char *name = json_bytes(item, "name");
			bool is_skipped = json_get(item, "reason") != NULL;

			if (is_skipped)
				continue;
			table_cell(table, title);
			table_cell(table, name);
			table_cell(table, json_string(item, "state"));
			for (size_t i = 0; i < 5; i++)
				table_cellf(table, "%lld", (long long)json_int(item, counts[i]));
		}
	}
	if (table_rows(table))
		present_table(table);
}

static void print_line(const char *letter, const char *format, const char *a, const char *b)
{
	cleanup_free char *text = memory_printf("%s: %s", a, b), *shown = escape_text(text);

	printf("%s  ", letter);
	printf(format, shown);
}

static void print_text(const struct json *object)
{
	cleanup_free char *text = json_bytes(object, "diff"), *shown = escape_lines(text);

	fputs(shown, stdout);
}

static void print_objects(const struct json *result)
{
	json_for_each(database, json_get(result, "databases")) {
		cleanup_free char *title = database_of(database, "name");
		const char *state = json_string_or(database, "state", "");

		if (strcmp(state, "added") == 0 || strcmp(state, "removed") == 0)
			print_line(*state == 'a' ? "A" : "D", "%s\n", "DATABASE", title);
		json_for_each(object, json_get(database, "schema")) {
			const char *change = json_string_or(object, "change", "");
			cleanup_free char *type = json_bytes(object, "type");
			cleanup_free char *name = json_bytes(object, "name");
			cleanup_free char *what =
				memory_printf("%s %s", type ? type : "?", name ? name : "?");

			print_line(*change == 'a'   ? "A"
				   : *change == 'r' ? "D"
						    : "M",
				   "%s\n", title, what);
			if (json_get(object, "diff") || json_get(object, "diff64"))
				print_text(object);
		}
	}
}

/* On stderr: what was not compared, so that silence is not taken for sameness. */
static void note_skipped(struct progress *progress, const struct json *result)
{
	json_for_each(database, json_get(result, "databases")) {
		cleanup_free char *title = database_of(database, "name");

		if (json_get(database, "reason"))
			progress_note(progress, "not compared: database %s: %s", title,
				      json_string(database, "reason"));
		json_for_each(item, json_get(database, "tables")) {
			cleanup_free char *name = json_bytes(item, "name");

			if (json_get(item, "reason"))
				progress_note(progress, "not compared: %s: %s: %s", title,
					      name ? name : "?", json_string(item, "reason"));
		}
	}
	json_for_each(note, json_get(result, "notes"))
		progress_note(progress, "note: %s", json_string_or(note, NULL, ""));
}

static void note_sum(struct progress *progress, const struct json *result)
{
	cleanup_free char *from = present_end(json_get(result, "from"));
	cleanup_free char *to = present_end(json_get(result, "to"));
	cleanup_free char *time = clock_format_duration((uint64_t)json_int(result, "duration_ms"));

	if (json_bool(result, "same"))
		progress_note(progress, "%s -> %s: nothing, %s", from, to, time);
	else
		progress_note(progress,
			      "%s -> %s: %lld rows added, %lld removed, %lld changed; %lld changes "
			      "of definitions, %s",
			      from, to, (long long)json_int(result, "added"),
			      (long long)json_int(result, "removed"),
			      (long long)json_int(result, "changed"),
			      (long long)json_int(result, "objects"), time);
}

static int print_whole(const struct command *command, const struct json *result,
		       struct listing *listing, struct error **err)
{
	struct progress *progress = command->session.progress;

	note_skipped(progress, result);
	note_sum(progress, result);
	progress_end(progress);
	if (listing->json)
		return present_json_with(result, "rows", listing->spool, err);
	print_objects(result);
	print_tables(result);
	return present_spool(listing->spool, err);
}

int diff_data_run(struct command *command, struct error **err)
{
	const struct diff_data_options options = {
		.rows = options_number(&command->options, "rows", 0),
		.definitions = options_has(&command->options, "definitions"),
		.timeout_ms = options_milliseconds(&command->options, "timeout", 0),
	};
	CLEANUP(cleanup_json_free) struct json *result = NULL;
	struct listing listing = {.json = command->json, .spool = io_open_spool(err)};
	const struct diff_data_sink sink = {take_row, &listing};
	int status;

	if (!listing.spool)
		return -1;
	status = snapshot_diff_data(&command->session, verb_argument(command, 0),
				    verb_argument(command, 1), &options, &sink, &result, err);
	if (status == 0) {
		command->exit_code = json_bool(result, "same") ? 0 : 1;
		status = print_whole(command, result, &listing, err);
	}
	free(listing.table);
	fclose(listing.spool);
	return status;
}
