/* sidesnap stop: the containers of a compose project, who needs others first. */
#include "project/project.h"

#include "verb.h"

const struct option stop_options_table[] = {
	{.name = "timeout",
	 .letter = 't',
	 .type = OPTION_SECONDS,
	 .value = "TIME",
	 .otherwise = "that of each container, mostly 10s",
	 .help = "kill a container that has not ended after so long"},
	{0},
};

int verb_stop_run(struct command *command, struct json **result, struct error **err)
{
	const struct stack_options options = {
		.services = &command->options.arguments,
		.timeout_ms = options_milliseconds(&command->options, "timeout", 0),
		.has_timeout = options_has(&command->options, "timeout"),
	};

	return project_stop(&command->session, &options, result, err);
}
