/* sidesnap debug: a copy of a container with another program. */
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "project/project.h"

#include "verb.h"

const struct option debug_options_table[] = {
	{.name = "entrypoint",
	 .type = OPTION_TEXT,
	 .value = "PROGRAM",
	 .otherwise = "a shell that is in the image",
	 .help = "what runs in the copy"},
	{.name = "snapshot",
	 .help = "on a snapshot of its volumes, restored to new ones that are removed at the end"},
	{.name = "yes",
	 .letter = 'y',
	 .help = "share the volumes of a container that runs, without asking"},
	{0},
};

int verb_debug_run(struct command *command, struct json **result, struct error **err)
{
	CLEANUP(string_list_release) struct string_list words;
	const char *type = getenv("TERM");
	cleanup_free char *terminal = NULL;
	struct debug_options options = {
		.target = verb_argument(command, 0),
		.entrypoint = options_text(&command->options, "entrypoint"),
		.arguments = &words,
		.snapshot = options_has(&command->options, "snapshot"),
	};

	(void)result;
	string_list_init(&words);
	for (size_t i = 1; i < command->options.arguments.count; i++)
		string_list_add(&words, command->options.arguments.items[i]);
	if (type && *type && isatty(STDOUT_FILENO)) {
		terminal = memory_printf("TERM=%s", type);
		options.terminal = terminal;
	}
	return project_debug(&command->session, &options, &command->exit_code, err);
}
