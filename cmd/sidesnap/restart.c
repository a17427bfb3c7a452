/* sidesnap restart: stop and up in one. */
#include "project/project.h"

#include "verb.h"

int verb_restart_run(struct command *command, struct json **result, struct error **err)
{
	const struct stack_options options = {
		.services = &command->options.arguments,
		.timeout_ms = options_milliseconds(&command->options, "timeout", 0),
	};

	return project_restart(&command->session, &options, result, err);
}
