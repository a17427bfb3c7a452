/* sidesnap describe, pin, unpin: what a snapshot says of itself. */
#include <stdio.h>

#include "snapshot/snapshot.h"
#include "project/set.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

const struct option describe_options_table[] = {
	{.name = "title",
	 .letter = 'm',
	 .type = OPTION_TEXT,
	 .value = "TEXT",
	 .help = "a line that says what this snapshot is; \"\" for none"},
	{.name = "notes",
	 .type = OPTION_TEXT,
	 .value = "TEXT",
	 .help = "more of it, in any number of lines; \"\" for none"},
	{0},
};

int verb_describe_run(struct command *command, struct json **result, struct error **err)
{
	struct describe_options options = {
		.reference = verb_argument(command, 0),
		.title = options_text(&command->options, "title"),
		.notes = options_text(&command->options, "notes"),
	};

	if (!options.title && !options.notes) {
		error_set(err, ERROR_USAGE, "describe is to change nothing");
		return error_hint(err, "say what with -m TITLE or --notes TEXT");
	}
	return snapshot_describe(&command->session, &options, result, err);
}

static int set_pin(struct command *command, enum describe_pin pin, struct json **result,
		   struct error **err)
{
	struct describe_options options = {.reference = verb_argument(command, 0), .pin = pin};
	struct error *problem = NULL;
	CLEANUP(cleanup_json_free)
	struct json *set = set_find(&command->session, options.reference, &problem);

	if (problem) {
		error_append(err, problem);
		return -1;
	}
	if (set)
		return set_pin_members(&command->session, set, pin, result, err);
	return snapshot_describe(&command->session, &options, result, err);
}

int verb_pin_run(struct command *command, struct json **result, struct error **err)
{
	return set_pin(command, DESCRIBE_PIN, result, err);
}

int verb_unpin_run(struct command *command, struct json **result, struct error **err)
{
	return set_pin(command, DESCRIBE_UNPIN, result, err);
}

void verb_describe_print(const struct command *command, const struct json *result)
{
	(void)command;
	json_for_each(reference, json_get(result, "references")) {
		cleanup_free char *name = escape_text(json_string(reference, NULL));

		puts(name);
	}
}
