/* sidesnap create of several containers: a set. */
#include "create_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "project/set.h"
#include "ui/escape.h"

#include "present.h"
#include "rows.h"

/* They mean something for one container only. */
static const char *const of_one[] = {"logical",	 "database", "onto",   "mask",
				     "with-env", "include",  "exclude"};

bool create_set_is_meant(const struct command *command)
{
	return options_has(&command->options, "all") || command->options.arguments.count > 1 ||
	       (!command->options.arguments.count && command->session.project);
}

static int check(const struct command *command, struct error **err)
{
	for (size_t i = 0; i < sizeof(of_one) / sizeof(of_one[0]); i++)
		if (options_has(&command->options, of_one[i]))
			return error_set(err, ERROR_USAGE,
					 "--%s is for one container, not for a set", of_one[i]);
	if (options_has(&command->options, "all") && command->options.arguments.count)
		return error_set(err, ERROR_USAGE, "--all and a TARGET exclude each other");
	return 0;
}

/* What people want to know once it is done; for stderr. */
static void report(const struct command *command, const struct json *result)
{
	struct progress *progress = command->session.progress;
	cleanup_free char *read = present_size(result, "bytes");
	cleanup_free char *stored = present_size(result, "stored_bytes");
	cleanup_free char *took = clock_format_duration((uint64_t)json_int(result, "duration_ms"));
	cleanup_free char *frozen = clock_format_duration((uint64_t)json_int(result, "frozen_ms"));
	const struct json *members = json_get(result, "members");

	progress_end(progress);
	progress_note(progress, "%zu containers, %s, %s stored, in %s; frozen together for %s",
		      json_count(members), read, stored, took, frozen);
	json_for_each(member, members) {
		cleanup_free char *size = present_size(member, "bytes");

		progress_note(progress, "%s: %s, %s, %s", json_string_or(member, "name", "?"),
			      json_string_or(member, "reference", "?"), size,
			      json_string_or(member, "consistency", "?"));
		json_for_each(item, json_get(member, "not_captured"))
			progress_note(progress, "%s: not captured: %s (%s): %s",
				      json_string_or(member, "name", "?"),
				      json_string_or(item, "path", "?"),
				      json_string_or(item, "type", "?"),
				      json_string_or(item, "reason", "?"));
	}
}

int create_set_run(struct command *command, struct json **result, struct error **err)
{
	const struct set_options options = {
		.targets = &command->options.arguments,
		.all = options_has(&command->options, "all"),
		.reference = options_text(&command->options, "tag"),
		.title = options_text(&command->options, "title"),
		.stopped = options_has(&command->options, "stopped"),
		.live = options_has(&command->options, "live"),
		.ignore_prepare = options_has(&command->options, "ignore-prepare"),
		.image_command = options_has(&command->options, "image-command"),
		.allow_overlay_volume = options_has(&command->options, "allow-overlay-volume"),
		.force = options_has(&command->options, "force"),
		.reserve_bytes = options_size(&command->options, "min-free", UINT64_MAX),
	};

	if (check(command, err) < 0)
		return -1;
	if (options.stopped && options.live)
		return error_set(err, ERROR_USAGE, "--stopped and --live exclude each other");
	if (verb_open_engine(command, err) < 0)
		return -1;
	if (options_has(&command->options, "dry-run"))
		return set_plan(&command->session, &options, result, err);
	if (set_create(&command->session, &options, result, err) < 0)
		return -1;
	report(command, *result);
	return 0;
}

void create_set_print_plan(const struct json *plan)
{
	static const struct row_column columns[] = {
		{"MEMBER", TABLE_LEFT, "name", NULL},
		{"CONTAINER", TABLE_FLEXIBLE, "target", NULL},
		{"DRIVER", TABLE_LEFT, "driver", NULL},
		{"CONSISTENCY", TABLE_LEFT, "consistency", NULL},
		{"NEEDS", TABLE_RIGHT, "space_needed", present_size},
		{"TAG", TABLE_FLEXIBLE, "reference", NULL},
		{NULL, TABLE_LEFT, NULL, NULL},
	};
	CLEANUP(cleanup_table_free)
	struct table *table = rows_table(json_get(plan, "members"), columns);

	present_table(table);
}
