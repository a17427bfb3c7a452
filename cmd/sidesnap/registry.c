/* Logging in, and what moved. */
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

int registry_remote_take(const struct command *command, struct remote_options *options,
			 char **password, struct error **err)
{
	static const char *const others[] = {"insecure", "username", "password-stdin"};
	bool is_remote = options_has(&command->options, "remote");

	*options = (struct remote_options){.insecure = options_has(&command->options, "insecure")};
	for (size_t i = 0; !is_remote && i < sizeof(others) / sizeof(others[0]); i++)
		if (options_has(&command->options, others[i]))
			return error_set(err, ERROR_USAGE, "--%s goes with --remote", others[i]);
	if (!is_remote)
		return 0;
	return registry_login_take(command, &options->login, password, err) < 0 ? -1 : 1;
}

void registry_print(const struct command *command, const struct json *list)
{
	(void)command;
	json_for_each(item, list) {
		cleanup_free char *name = escape_text(json_string(item, "reference"));

		puts(name);
	}
}
