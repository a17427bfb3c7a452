/* sidesnap shell: the client of a container's database. */
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "project/project.h"

#include "verb.h"

int verb_shell_run(struct command *command, struct json **result, struct error **err)
{
	CLEANUP(string_list_release) struct string_list words;
	const char *type = getenv("TERM");
	cleanup_free char *terminal = NULL;
	struct shell_options options = {.target = verb_argument(command, 0), .arguments = &words};

	(void)result;
	string_list_init(&words);
	for (size_t i = 1; i < command->options.arguments.count; i++)
		string_list_add(&words, command->options.arguments.items[i]);
	if (type && *type && isatty(STDOUT_FILENO)) {
		terminal = memory_printf("TERM=%s", type);
		options.terminal = terminal;
	}
	return project_shell(&command->session, &options, &command->exit_code, err);
}
