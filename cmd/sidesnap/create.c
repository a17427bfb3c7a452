/*
 * sidesnap create: a snapshot of one container. The reference goes to stdout, where a
 * script takes it from; all else that is worth knowing goes to stderr.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "create_set.h"
#include "present.h"
#include "rows.h"
#include "verb.h"

const struct option create_options_table[] = {
	{.name = "tag",
	 .letter = 't',
	 .type = OPTION_TEXT,
	 .value = "REF",
	 .otherwise = "localhost/sidesnap/NAME:TIME",
	 .help = "name of the image, as NAME or NAME:TAG"},
	{.name = "title",
	 .letter = 'm',
	 .type = OPTION_TEXT,
	 .value = "TEXT",
	 .help = "a line that says what this snapshot is"},
	{.name = "stopped", .help = "stop a running target for the copy, and start it again"},
	{.name = "live", .help = "freeze nothing; the state is then not that of one instant"},
	{.name = "logical",
	 .help = "the database as its own tool dumps it, to be loaded at the first boot"},
	{.name = "database",
	 .type = OPTION_TEXT,
	 .value = "NAME",
	 .help = "a dump of this database alone (implies --logical)"},
	{.name = "onto",
	 .type = OPTION_TEXT,
	 .value = "IMAGE",
	 .help = "a dump, to be loaded in this image, as one of a newer version (implies "
		 "--logical)"},
	{.name = "mask",
	 .type = OPTION_TEXT,
	 .value = "FILE",
	 .help = "run these statements on a copy, and snapshot what the database holds then; nothing "
		 "of what was there before is in it (implies --logical)",
	 .completion = COMPLETE_FILES},
	{.name = "ignore-prepare",
	 .help = "go on when the database cannot be prepared; label sidesnap.prepare says so"},
	{.name = "image-command",
	 .help = "record the image's command and health check, not the container's"},
	{.name = "with-env",
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "NAME,...",
	 .help = "run-time variables to record, with their values"},
	{.name = "include",
	 .type = OPTION_PATH,
	 .repeated = true,
	 .value = "PATH",
	 .help = "capture the bind mount at this path in the container, too"},
	{.name = "exclude",
	 .type = OPTION_PATH,
	 .repeated = true,
	 .value = "PATH",
	 .help = "leave out this path in the container"},
	{.name = "min-free",
	 .type = OPTION_SIZE,
	 .value = "SIZE",
	 .otherwise = "1 GiB or 5%, whichever is more",
	 .help = "give up before the engine's disk has less room than this"},
	{.name = "allow-overlay-volume",
	 .help = "capture a volume that looks like overlay storage, without its whiteouts' "
		 "attributes"},
	{.name = "all",
	 .letter = 'a',
	 .help = "every container of this engine, as a set of one instant"},
	{.name = "dry-run", .help = "show what would be captured; touch nothing"},
	{.name = "force", .letter = 'f', .help = "move REF when it exists already"},
	{0},
};

static void options_from(const struct command *command, struct create_options *options)
{
	CLEANUP(string_list_release) struct string_list variables;

	string_list_init(&variables);
	*options = (struct create_options){
		.target = verb_argument(command, 0),
		.reference = options_text(&command->options, "tag"),
		.title = options_text(&command->options, "title"),
		.stopped = options_has(&command->options, "stopped"),
		.live = options_has(&command->options, "live"),
		.logical = options_has(&command->options, "logical"),
		.database = options_text(&command->options, "database"),
		.onto = options_text(&command->options, "onto"),
		.ignore_prepare = options_has(&command->options, "ignore-prepare"),
		.image_command = options_has(&command->options, "image-command"),
		.allow_overlay_volume = options_has(&command->options, "allow-overlay-volume"),
		.force = options_has(&command->options, "force"),
		.reserve_bytes = options_size(&command->options, "min-free", UINT64_MAX),
	};
	string_list_init(&options->with_environment);
	string_list_init(&options->included);
	string_list_init(&options->excluded);
	options_list(&command->options, "with-env", &variables);
	for (size_t i = 0; i < variables.count; i++)
		string_list_split(&options->with_environment, variables.items[i], ',');
	options_list(&command->options, "include", &options->included);
	options_list(&command->options, "exclude", &options->excluded);
}

/* What people want to know once it is done; for stderr. */
static void report(const struct command *command, const struct json *result)
{
	struct progress *progress = command->session.progress;
	cleanup_free char *read = present_size(result, "bytes");
	cleanup_free char *stored = present_size(result, "stored_bytes");
	cleanup_free char *took = clock_format_duration((uint64_t)json_int(result, "duration_ms"));
	const char *consistency = json_string_or(result, "consistency", "");

	progress_end(progress);
	if (json_is_object(json_get(result, "dump"))) {
		const struct json *dump = json_get(result, "dump");
		cleanup_free char *size = present_size(dump, "bytes");

		progress_note(progress, "%s, a dump of %s, %s; it is loaded at the first start",
			      json_string_or(dump, "file", "?"),
			      text_or(json_string(dump, "database"), "the whole server"), size);
		if (*json_string_or(dump, "without", ""))
			progress_note(progress, "no dump has: %s",
				      json_string_or(dump, "without", ""));
	}
	if (!strcmp(consistency, "frozen")) {
		cleanup_free char *frozen =
			clock_format_duration((uint64_t)json_int(result, "frozen_ms"));
		cleanup_free char *names = present_names(json_get(result, "frozen"));

		progress_note(progress, "%s of %s, %s stored, in %s; frozen for %s: %s", read,
			      json_string_or(result, "target", "the target"), stored, took, frozen,
			      names);
	} else {
		progress_note(progress, "%s of %s, %s stored, in %s; consistency: %s", read,
			      json_string_or(result, "target", "the target"), stored, took,
			      consistency);
	}
	json_for_each(item, json_get(result, "not_captured"))
		progress_note(progress, "not captured: %s (%s): %s",
			      json_string_or(item, "path", "?"), json_string_or(item, "type", "?"),
			      json_string_or(item, "reason", "?"));
	if (json_count(json_get(result, "omitted_variables"))) {
		cleanup_free char *names = present_names(json_get(result, "omitted_variables"));

		progress_note(progress, "variables left out: %s (--with-env records them)", names);
	}
}

int verb_create_run(struct command *command, struct json **result, struct error **err)
{
	const char *mask = options_text(&command->options, "mask");
	struct create_options options;
	int status;

	if (create_set_is_meant(command))
		return create_set_run(command, result, err);
	if (!command->options.arguments.count) {
		error_set(err, ERROR_USAGE, "create wants a TARGET");
		return error_hint(err,
				  "\"sidesnap ps\" lists the containers; a whole compose project "
				  "is taken by -p PROJECT, everything by --all");
	}
	options_from(command, &options);
	if (mask && options_has(&command->options, "dry-run"))
		status = error_set(err, ERROR_USAGE, "--mask and --dry-run exclude each other");
	else if (options.stopped && options.live)
		status = error_set(err, ERROR_USAGE, "--stopped and --live exclude each other");
	else if (verb_open_engine(command, err) < 0)
		status = -1;
	else if (options_has(&command->options, "dry-run"))
		status = snapshot_plan(&command->session, &options, result, err);
	else if (mask)
		status = snapshot_create_masked(&command->session, &options, mask, result, err);
	else
		status = snapshot_create(&command->session, &options, result, err);
	if (status == 0 && !options_has(&command->options, "dry-run"))
		report(command, *result);
	string_list_release(&options.with_environment);
	string_list_release(&options.included);
	string_list_release(&options.excluded);
	return status;
}

static void print_line(const char *name, const char *value)
{
	cleanup_free char *escaped = escape_text(value);

	printf("%-14s %s\n", name, escaped);
}

static void print_plan_trees(const struct json *plan)
{
	static const struct row_column columns[] = {
		{"TREE", TABLE_LEFT, "kind", NULL},
		{"NAME", TABLE_FLEXIBLE, "name", NULL},
		{"FILES", TABLE_RIGHT, "files", rows_count},
		{"SIZE", TABLE_RIGHT, "bytes", present_size},
		{"PATH", TABLE_FLEXIBLE, NULL, rows_tree_path},
		{NULL, TABLE_LEFT, NULL, NULL},
	};
	CLEANUP(cleanup_table_free)
	struct table *table = rows_table(json_get(plan, "trees"), columns);
	const struct json *own = json_get(plan, "own");

	if (json_is_object(own)) {
		cleanup_free char *files = rows_count(own, "files");
		cleanup_free char *size = present_size(own, "bytes");

		table_cell(table, "own");
		table_cell(table, "-");
		table_cell(table, files);
		table_cell(table, size);
		table_cell(table, "the container's own changed files");
	}
	putchar('\n');
	present_table(table);
}

static void print_plan(const struct json *plan)
{
	cleanup_free char *freeze = present_names(json_get(plan, "would_freeze"));
	cleanup_free char *needed = present_size(plan, "space_needed");
	cleanup_free char *available = present_size(plan, "space_free");
	cleanup_free char *omitted = present_names(json_get(plan, "omitted_variables"));
	cleanup_free char *room = memory_printf("%s, of %s free", needed, available);
	const struct json *dump = json_get(plan, "dump");
	cleanup_free char *fills = present_names(json_get(dump, "paths"));

	print_line("target", json_string_or(plan, "target", "-"));
	print_line("tag", json_string_or(plan, "reference", "-"));
	print_line("driver", text_or(json_string(plan, "driver"), "-"));
	print_line("consistency", json_string_or(plan, "consistency", "-"));
	if (json_is_object(dump)) {
		cleanup_free char *what = memory_printf(
			"%s of %s, loaded into %s; its size is not known before",
			json_string_or(dump, "file", "?"),
			text_or(json_string(dump, "database"), "the whole server"), fills);

		print_line("dump", what);
	}
	print_line("would freeze", freeze);
	print_line("base", json_string_or(plan, "base", "-"));
	if (json_bool(plan, "would_consolidate"))
		print_line("", "a long chain: it is made one layer first");
	print_line("space needed", room);
	print_line("variables out", omitted);
	print_plan_trees(plan);
	rows_print_below(json_get(plan, "not_captured"), rows_not_captured);
}

void verb_create_print(const struct command *command, const struct json *result)
{
	if (options_has(&command->options, "dry-run") && create_set_is_meant(command))
		create_set_print_plan(result);
	else if (options_has(&command->options, "dry-run"))
		print_plan(result);
	else
		printf("%s\n", json_string_or(result, "reference", ""));
}
