/* What verbs that speak of registries have in common on the command line and on the terminal. */
#ifndef SIDESNAP_CMD_REGISTRY_H
#define SIDESNAP_CMD_REGISTRY_H

#include "snapshot/snapshot.h"

#include "verb.h"

#define REGISTRY_OPTIONS                                                                           \
	{.name = "username",                                                                       \
	 .letter = 'u',                                                                            \
	 .type = OPTION_TEXT,                                                                      \
	 .value = "NAME",                                                                          \
	 .otherwise = "what \"docker login\" has noted",                                           \
	 .help = "who to be at the registry; needs --password-stdin"},                             \
	{                                                                                          \
		.name = "password-stdin", .help = "take the password from standard input"          \
	}

#define REMOTE_OPTIONS(help_text)                                                                  \
	{.name = "remote", .help = help_text},                                                     \
		{.name = "insecure",                                                               \
		 .help = "with --remote: any certificate will do, and where there is no TLS, "     \
			 "plain HTTP"},                                                            \
		REGISTRY_OPTIONS

/*
 * registry_remote_take(command, options, password, err):
 * Whether --remote was given, 1 or 0, and what goes with it; -1: ERROR_USAGE. As registry_login_take().
 */
int registry_remote_take(const struct command *command, struct remote_options *options,
			 char **password, struct error **err);

/*
 * registry_login_take(command, login, password, err):
 * From --username and --password-stdin; *${password} holds the password and is to be freed.
 */
int registry_login_take(const struct command *command, struct registry_login *login,
			char **password, struct error **err);

/* registry_print(command, list): The references, one a line, and what was moved on stderr. */
void registry_print(const struct command *command, const struct json *list);

#endif
