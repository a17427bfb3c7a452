/* sidesnap up: the containers of a compose project that exist, started in the order that they need. */
#include <string.h>

#include "project/project.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

const struct option up_options_table[] = {
	{.name = "timeout",
	 .type = OPTION_SECONDS,
	 .value = "TIME",
	 .otherwise = "10m",
	 .help = "give up when they are not all ready after so long"},
	{0},
};

int verb_up_run(struct command *command, struct json **result, struct error **err)
{
	const struct stack_options options = {
		.services = &command->options.arguments,
		.timeout_ms = options_milliseconds(&command->options, "timeout", 0),
	};

	return project_start(&command->session, &options, result, err);
}

/* "web: started, ready" */
void verb_up_print(const struct command *command, const struct json *result)
{
	if (command->quiet)
		return;
	json_for_each(entry, json_get(result, "services")) {
		const char *action = json_string_or(entry, "action", "");
		const char *state = json_string(entry, "state");
		cleanup_free char *name = escape_text(json_string(entry, "name"));

		if (strcmp(action, "none") == 0)
			printf("%s: %s\n", name, state ? state : "stopped before");
		else if (state)
			printf("%s: %s, %s\n", name, action, state);
		else
			printf("%s: %s\n", name, action);
	}
}
