/* What reset, replace and undo tell people is the same, so that they can be compared. */
#include "restoring.h"

#include "base/memory.h"
#include "base/text.h"
#include "ui/escape.h"

#include "present.h"

void restoring_options(const struct command *command, struct restore_options *options)
{
	*options = (struct restore_options){
		.target = verb_argument(command, 0),
		.reference = verb_argument(command, 1),
		.no_start = options_has(&command->options, "no-start"),
		.no_safety = options_has(&command->options, "no-safety"),
		.finish = options_text(&command->options, "finish"),
		.timeout_ms = options_milliseconds(&command->options, "timeout", 600000),
	};
}

static char *duration(const struct json *result, const char *key)
{
	return clock_format_duration((uint64_t)json_int(result, key));
}

void restoring_report(const struct command *command, const struct json *result)
{
	struct progress *progress = command->session.progress;
	const char *safety = json_string_or(result, "safety", "");
	cleanup_free char *written = present_size(result, "written_bytes");
	cleanup_free char *read = present_size(result, "read_bytes");
	cleanup_free char *stopping = duration(result, "stop_ms");
	cleanup_free char *restoring = duration(result, "restore_ms");
	cleanup_free char *coming_up = duration(result, "ready_ms");

	progress_end(progress);
	progress_note(progress, "%s written, %s read; stopped in %s, restored in %s, up in %s",
		      written, read, stopping, restoring, coming_up);
	if (*safety) {
		cleanup_free char *taking = duration(result, "safety_ms");

		progress_note(progress,
			      "the state before is in %s (taken in %s); to return to it: sidesnap "
			      "undo %s",
			      safety, taking, json_string_or(result, "name", "?"));
	}
}

void restoring_print(const struct command *command, const struct json *result)
{
	cleanup_free char *name = escape_text(json_string(result, "name"));
	cleanup_free char *reference = escape_text(json_string(result, "reference"));
	cleanup_free char *took = duration(result, "duration_ms");

	(void)command;
	printf("%s: restored from %s in %s, %s\n", name, reference, took,
	       json_bool(result, "ready") ? "ready" : "not started");
}
