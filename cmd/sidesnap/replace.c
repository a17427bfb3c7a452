/* sidesnap replace: a container put back into a snapshot's state. */
#include "base/text.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

const struct option replace_options_table[] = {
	{.name = "yes",
	 .letter = 'y',
	 .help = "agree to stop the other containers that are listed"},
	{.name = "no-start", .help = "leave the new container stopped"},
	{.name = "timeout",
	 .type = OPTION_SECONDS,
	 .value = "TIME",
	 .otherwise = "10m",
	 .help = "how long it may take to be ready before all is undone"},
	{0},
};

int verb_replace_run(struct command *command, struct json **result, struct error **err)
{
	struct replace_options options = {
		.target = verb_argument(command, 0),
		.reference = verb_argument(command, 1),
		.no_start = options_has(&command->options, "no-start"),
		.timeout_ms = options_milliseconds(&command->options, "timeout", 600000),
	};

	if (snapshot_replace(&command->session, &options, result, err) < 0)
		return -1;
	progress_end(command->session.progress);
	json_for_each(note, json_get(*result, "notes"))
		progress_note(command->session.progress, "%s", json_string_or(note, NULL, ""));
	progress_note(command->session.progress,
		      "the state before is in %s; to return to it: sidesnap replace %s %s",
		      json_string_or(*result, "safety", "?"), json_string_or(*result, "name", "?"),
		      json_string_or(*result, "safety", "?"));
	return 0;
}

void verb_replace_print(const struct command *command, const struct json *result)
{
	cleanup_free char *name = escape_text(json_string(result, "name"));
	cleanup_free char *reference = escape_text(json_string(result, "reference"));
	cleanup_free char *took = clock_format_duration((uint64_t)json_int(result, "duration_ms"));

	(void)command;
	printf("%s: restored from %s in %s, %s\n", name, reference, took,
	       json_bool(result, "ready") ? "ready" : "not started");
}
