/* What reset, replace and undo share on the command line. */
#ifndef SIDESNAP_CMD_RESTORING_H
#define SIDESNAP_CMD_RESTORING_H

#include "snapshot/snapshot.h"

#include "verb.h"

#define RESTORING_YES                                                                              \
	{                                                                                          \
		.name = "yes", .letter = 'y',                                                      \
		.help = "agree to what would be asked, as to stop other containers"                \
	}
#define RESTORING_NO_SAFETY                                                                        \
	{                                                                                          \
		.name = "no-safety",                                                               \
		.help = "make no safety snapshot: faster, and there is no way back"                \
	}
#define RESTORING_FINISH                                                                           \
	{                                                                                          \
		.name = "finish", .type = OPTION_TEXT, .value = "FILE",                            \
		.help = "statements for the database, once it is ready",                           \
		.completion = COMPLETE_FILES                                                       \
	}
#define RESTORING_TIMEOUT                                                                          \
	{                                                                                          \
		.name = "timeout", .type = OPTION_SECONDS, .value = "TIME", .otherwise = "10m",    \
		.help = "how long it may take to be ready before all is taken back"                \
	}

/* restoring_options(command, options): From the command line. */
void restoring_options(const struct command *command, struct restore_options *options);

/* restoring_report(command, result): For stderr: notes, what was done, the way back. */
void restoring_report(const struct command *command, const struct json *result);

/* restoring_print(command, result): The line on stdout. */
void restoring_print(const struct command *command, const struct json *result);

#endif
