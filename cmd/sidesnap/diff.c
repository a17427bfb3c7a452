/*
 * sidesnap diff: what differs. However much it is, it goes by a file without a name, so
 * that nothing is printed unless everything was compared.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"
#include "ui/table.h"

#include "diff_data.h"
#include "present.h"
#include "registry.h"
#include "verb.h"

const struct option diff_options_table[] = {
	{.name = "stat", .help = "only how much differs, by volume"},
	{.name = "name-only", .help = "only the paths"},
	{.name = "content",
	 .type = OPTION_PATH,
	 .value = "PATH",
	 .help = "what differs in this file: lines of text, ranges of anything else"},
	{.name = "data", .help = "what changed in the database: rows and definitions"},
	{.name = "rows",
	 .type = OPTION_NUMBER,
	 .value = "N",
	 .otherwise = "0",
	 .help = "with --data: show so many rows of each table"},
	{.name = "definitions", .help = "with --data: show what differs in definitions"},
	{.name = "timeout",
	 .type = OPTION_SECONDS,
	 .value = "TIME",
	 .otherwise = "10m",
	 .help = "with --data: how long the databases may take to come up"},
	REMOTE_OPTIONS("read A and B at the registries that they name, without their data"),
	{0},
};

struct listing {
	FILE *spool;
	const struct json *tree; /* of the last line */
	bool json, names;
	bool begun;
};

/* ---- one difference ---- */

static char letter_of(const struct json *entry)
{
	const char *change = json_string_or(entry, "change", "");

	if (strcmp(change, "added") == 0)
		return 'A';
	if (strcmp(change, "removed") == 0)
		return 'D';
	if (strcmp(change, "type") == 0)
		return 'T';
	return json_has_string(json_get(entry, "what"), "content") ? 'M' : 'm';
}

static void add_text(struct string_list *details, char *text)
{
	string_list_add(details, text);
	free(text);
}

static void add_pair(struct string_list *details, const char *what, const char *from,
		     const char *to)
{
	add_text(details, memory_printf("%s %s -> %s", what, from, to));
}

static char *owner_of(const struct json *side)
{
	return memory_printf("%lld:%lld", (long long)json_int(side, "uid"),
			     (long long)json_int(side, "gid"));
}

static void add_names(struct string_list *details, const struct json *entry, const char *key,
		      const char *what)
{
	cleanup_free char *from = json_bytes(json_get(entry, "from"), key);
	cleanup_free char *to = json_bytes(json_get(entry, "to"), key);

	if (from && to)
		add_pair(details, what, *from ? from : "nothing", *to ? to : "nothing");
}

static void add_attributes(struct string_list *details, const struct json *entry)
{
	cleanup_free char *names = present_names(json_get(entry, "attributes"));

	add_text(details, memory_printf("attributes %s", names));
}

static void add_changes(struct string_list *details, const struct json *entry)
{
	const struct json *what = json_get(entry, "what"), *from = json_get(entry, "from"),
			  *to = json_get(entry, "to");
	cleanup_free char *was = owner_of(from), *is = owner_of(to);

	if (json_has_string(what, "content")) {
		cleanup_free char *changed = present_size(entry, "changed_bytes");
		cleanup_free char *size = present_size(to, "size");

		add_text(details, memory_printf("%s of %s", changed, size));
	}
	if (json_has_string(what, "mode"))
		add_pair(details, "mode", json_string_or(from, "mode", "?"),
			 json_string_or(to, "mode", "?"));
	if (json_has_string(what, "owner"))
		add_pair(details, "owner", was, is);
	if (json_has_string(what, "attributes"))
		add_attributes(details, entry);
	add_names(details, entry, "link", "points to");
	add_names(details, entry, "hardlink", "another name of");
	if (json_has_string(what, "device"))
		string_list_add(details, "device");
	/* with all else that has changed it says nothing */
	if (json_has_string(what, "mtime") && !details->count)
		string_list_add(details, "mtime");
}

static char *details_of(const struct json *entry)
{
	CLEANUP(string_list_release) struct string_list details;
	const char *type = json_string_or(entry, "type", "");
	cleanup_free char *hardlink = json_bytes(entry, "hardlink");

	string_list_init(&details);
	if (letter_of(entry) == 'T')
		add_pair(&details, "was", json_string_or(json_get(entry, "from"), "type", "?"),
			 type);
	else if (json_get(entry, "what"))
		add_changes(&details, entry);
	else if (hardlink)
		add_text(&details, memory_printf("another name of %s", hardlink));
	else if (json_get(entry, "size"))
		add_text(&details, present_size(entry, "size"));
	else
		string_list_add(&details, type);
	return string_list_join(&details, ", ");
}

static void print_entry(FILE *file, const struct json *entry)
{
	cleanup_free char *path = json_bytes(entry, "path"), *shown = escape_text(path);
	cleanup_free char *details = details_of(entry), *said = escape_text(details);

	fprintf(file, "%c  %s  (%s)\n", letter_of(entry), shown, said);
}

static void print_json(struct listing *listing, const struct json *tree, const struct json *entry)
{
	CLEANUP(cleanup_json_free) struct json *copy = json_copy(entry);
	cleanup_free char *top = json_bytes(tree, "path"), *text = NULL;

	json_set_bytes(copy, "tree", top);
	text = json_print(copy, false);
	fprintf(listing->spool, "%s%s", listing->begun ? "," : "", text);
	listing->begun = true;
}

static int list_entry(void *context, const struct json *tree, const struct json *entry,
		      struct error **err)
{
	struct listing *listing = context;

	if (listing->json) {
		print_json(listing, tree, entry);
	} else if (listing->names) {
		cleanup_free char *path = json_bytes(entry, "path"), *shown = escape_text(path);

		fprintf(listing->spool, "%s\n", shown);
	} else {
		print_entry(listing->spool, entry);
	}
	return ferror(listing->spool) ? error_set_errno(err, errno, "cannot write a temporary file")
				      : 0;
}

/* ---- the whole ---- */

/* "3 added, 1 removed", of what is not 0. */
static char *count_text(const struct json *object)
{
	static const char *const keys[] = {"added", "removed", "changed", "types", "metadata"};
	static const char *const words[] = {"added", "removed", "changed", "of another type",
					    "changed but for content"};
	CLEANUP(string_list_release) struct string_list parts;

	string_list_init(&parts);
	for (size_t i = 0; i < 5; i++) {
		long long count = json_int(object, keys[i]);

		if (count)
			add_text(&parts, memory_printf("%lld %s", count, words[i]));
	}
	return parts.count ? string_list_join(&parts, ", ") : memory_strdup("nothing");
}

/* Volumes that only one of the two has: their files are not listed. */
static void print_lone_trees(const struct json *result)
{
	json_for_each(tree, json_get(result, "trees")) {
		const char *state = json_string_or(tree, "state", "");
		bool added = strcmp(state, "added") == 0;
		cleanup_free char *path = json_bytes(tree, "path"), *shown = escape_text(path);
		cleanup_free char *size =
			present_size(json_get(tree, added ? "to" : "from"), "bytes");

		if (added || strcmp(state, "removed") == 0)
			printf("%c  %s  (the whole %s, %s)\n", added ? 'A' : 'D', shown,
			       json_string_or(tree, "kind", "tree"), size);
	}
}

static void note_sum(const struct command *command, const struct json *result)
{
	cleanup_free char *from = present_end(json_get(result, "from"));
	cleanup_free char *to = present_end(json_get(result, "to"));
	cleanup_free char *a = escape_text(from), *b = escape_text(to), *sum = count_text(result);
	cleanup_free char *bytes = present_size(result, "changed_bytes");
	cleanup_free char *time = clock_format_duration((uint64_t)json_int(result, "duration_ms"));

	if (json_int(result, "changed"))
		progress_note(command->session.progress, "%s -> %s: %s (%s), %s", a, b, sum, bytes,
			      time);
	else
		progress_note(command->session.progress, "%s -> %s: %s, %s", a, b, sum, time);
}

static int run_content(struct command *command, const char *path, struct json **result,
		       struct error **err)
{
	if (snapshot_diff_content(&command->session, verb_argument(command, 0),
				  verb_argument(command, 1), path, result, err) < 0)
		return -1;
	command->exit_code = json_bool(*result, "same") ? 0 : 1;
	return 0;
}

/* The line begins with what diff has put there; the rest is of files. */
static void print_text(const struct json *result)
{
	cleanup_free char *text = json_bytes(result, "diff");

	if (isatty(STDOUT_FILENO)) {
		cleanup_free char *shown = escape_lines(text);

		fputs(shown, stdout);
	} else {
		fputs(text ? text : "", stdout);
	}
}

static void print_ranges(const struct json *result)
{
	cleanup_free char *changed = present_size(result, "changed_bytes");
	long long count = (long long)json_int(result, "count");

	if (!json_get(json_get(result, "from"), "size") ||
	    !json_get(json_get(result, "to"), "size")) {
		printf("binary; only %s has it\n",
		       json_get(json_get(result, "from"), "size") ? "the first" : "the second");
		return;
	}
	json_for_each(range, json_get(result, "ranges")) {
		const struct json *length = json_next(json_first(range));

		printf("%lld+%lld\n", (long long)json_int(json_first(range), NULL),
		       (long long)json_int(length, NULL));
	}
	if (count)
		fprintf(stderr, "binary: %s in %lld %s\n", changed, count,
			count == 1 ? "range" : "ranges");
}

/* Without the images, nobody knows whether one had a file that only the other one's own files name. */
static void note_own_files(const struct command *command, const struct json *result)
{
	json_for_each(tree, json_get(result, "trees"))
		if (!strcmp(json_string_or(tree, "kind", ""), "own") &&
		    json_int(tree, "added") + json_int(tree, "removed"))
			progress_note(command->session.progress,
				      "own files are compared without the image below them: what "
				      "counts as added or removed may only have changed");
}

static int run_remote(struct command *command, const struct remote_options *remote,
		      const struct diff_sink *sink, struct json **found, struct error **err)
{
	const char *from = verb_argument(command, 0), *to = verb_argument(command, 1);

	if (!to) {
		error_set(err, ERROR_USAGE, "diff --remote needs A and B");
		return error_hint(err, "\"sidesnap ls --remote REPOSITORY\" shows which came from "
				       "which");
	}
	if (snapshot_diff_needs_engine(from, to) && verb_open_engine(command, err) < 0)
		return -1;
	if (snapshot_diff_remote(&command->session, from, to, remote, sink, found, err) < 0)
		return -1;
	note_own_files(command, *found);
	return 0;
}

int verb_diff_run(struct command *command, struct json **result, struct error **err)
{
	const char *content = options_text(&command->options, "content");
	CLEANUP(cleanup_json_free) struct json *found = NULL;
	struct listing listing = {.json = command->json,
				  .names = options_has(&command->options, "name-only")};
	struct diff_sink sink = {.context = &listing};
	static const char *const data_options[] = {"rows", "definitions", "timeout"};
	bool stat = options_has(&command->options, "stat");
	bool data = options_has(&command->options, "data");
	cleanup_free char *password = NULL;
	struct remote_options remote;
	int status, is_remote = registry_remote_take(command, &remote, &password, err);

	if (is_remote < 0)
		return -1;
	if (is_remote && (content || data))
		return error_set(
			err, ERROR_USAGE,
			"--content and --data need the data, which --remote does not read");
	if (stat + listing.names + (content != NULL) + data > 1)
		return error_set(err, ERROR_USAGE,
				 "--stat, --name-only, --content and --data exclude each other");
	for (size_t i = 0; i < sizeof(data_options) / sizeof(*data_options); i++)
		if (!data && options_has(&command->options, data_options[i]))
			return error_set(err, ERROR_USAGE, "--%s is an option of --data",
					 data_options[i]);
	if (data)
		return diff_data_run(command, err);
	if (content)
		return run_content(command, content, result, err);
	if (!stat)
		sink.entry = list_entry;
	listing.spool = io_open_spool(err);
	if (!listing.spool)
		return -1;
	status = is_remote ? run_remote(command, &remote, &sink, &found, err)
			   : snapshot_diff(&command->session, verb_argument(command, 0),
					   verb_argument(command, 1), &sink, &found, err);
	if (status == 0) {
		command->exit_code = json_bool(found, "same") ? 0 : 1;
		note_sum(command, found);
		progress_end(command->session.progress);
	}
	if (status == 0 && stat) {
		*result = STEAL_POINTER(found);
	} else if (status == 0 && command->json) {
		status = present_json_with(found, "entries", listing.spool, err);
	} else if (status == 0) {
		status = present_spool(listing.spool, err);
		if (status == 0)
			print_lone_trees(found);
	}
	fclose(listing.spool);
	return status;
}

static void print_stat(const struct json *result)
{
	static const char *const columns[] = {"added", "removed", "changed", "types", "metadata"};
	CLEANUP(cleanup_table_free) struct table *table = table_new();

	table_column(table, "TREE", TABLE_FLEXIBLE);
	table_column(table, "STATE", TABLE_LEFT);
	table_column(table, "ADDED", TABLE_RIGHT);
	table_column(table, "REMOVED", TABLE_RIGHT);
	table_column(table, "CHANGED", TABLE_RIGHT);
	table_column(table, "TYPES", TABLE_RIGHT);
	table_column(table, "METADATA", TABLE_RIGHT);
	table_column(table, "CHANGED BYTES", TABLE_RIGHT);
	json_for_each(tree, json_get(result, "trees")) {
		bool own = strcmp(json_string_or(tree, "kind", ""), "own") == 0;
		cleanup_free char *path = json_bytes(tree, "path");
		cleanup_free char *bytes = present_size(tree, "changed_bytes");

		table_cell(table, own ? "own files" : path);
		table_cell(table, json_string(tree, "state"));
		for (size_t i = 0; i < 5; i++)
			table_cellf(table, "%lld", (long long)json_int(tree, columns[i]));
		table_cell(table, bytes);
	}
	present_table(table);
}

/* Of --stat and --content; the rest is printed as it goes by. */
void verb_diff_print(const struct command *command, const struct json *result)
{
	(void)command;
	if (!json_get(result, "kind"))
		print_stat(result);
	else if (strcmp(json_string_or(result, "kind", ""), "text") == 0)
		print_text(result);
	else
		print_ranges(result);
}
