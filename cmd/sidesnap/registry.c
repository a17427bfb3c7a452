/* Logging in, and what moved: the same for both directions. */
#include "registry.h"

#include <stdio.h>
#include <unistd.h>

#include "remote/credentials.h"
#include "ui/escape.h"

#include "present.h"

int registry_login_take(const struct command *command, struct registry_login *login,
			char **password, struct error **err)
{
	const struct options *options = &command->options;
	const char *username = options_text(options, "username");

	*login = (struct registry_login){0};
	if (!username && !options_has(options, "password-stdin"))
		return 0;
	if (!username || !*username || !options_has(options, "password-stdin")) {
		error_set(err, ERROR_USAGE, "--username and --password-stdin need each other");
		return error_hint(err,
				  "as in: sidesnap %s --username NAME --password-stdin REF "
				  "<password-file",
				  command->verb->name);
	}
	if (isatty(STDIN_FILENO)) {
		error_set(err, ERROR_USAGE,
			  "--password-stdin would show the password as it is typed");
		return error_hint(err, "give it from a file or a pipe, or \"docker login\" first");
	}
	if (credentials_read_password(STDIN_FILENO, password, err) < 0)
		return -1;
	*login = (struct registry_login){.username = username, .password = *password};
	return 0;
}

void registry_print(const struct command *command, const struct json *list)
{
	(void)command;
	json_for_each(item, list) {
		cleanup_free char *name = escape_text(json_string(item, "reference"));

		puts(name);
	}
}
