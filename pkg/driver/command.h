/* Running what a driver says, inside the container. */
#ifndef SIDESNAP_DRIVER_COMMAND_H
#define SIDESNAP_DRIVER_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "driver/values.h"

enum command_result {
	COMMAND_OK,
	COMMAND_SKIPPED,  /* a value that it needs is absent */
	COMMAND_UNUSABLE, /* no such program, or no such user, in the container */
	COMMAND_FAILED,	  /* ran, with another exit code or output than is right */
};

/*
 * command_run(values, command, timeout_ms, output, err):
 * One command of a definition. Its output (both streams, cut, without secrets) is appended
 * to ${output}. *err is set for COMMAND_UNUSABLE and COMMAND_FAILED, naming the command.
 */
enum command_result command_run(struct values *values, const struct json *command,
				uint64_t timeout_ms, struct buffer *output, struct error **err);

/*
 * command_steps(values, steps, err):
 * All steps in order, each by the first of its commands that succeeds, repeated while its
 * retry_when fits. A step whose output lacks continue_when ends the run successfully.
 */
int command_steps(struct values *values, const struct json *steps, struct error **err);

/* ---- parts of a command, for those that are run in another way ---- */

/* command_needs_are_there(values, command): Whether it has every value in its "needs". */
bool command_needs_are_there(struct values *values, const struct json *command);

/* command_expand_arguments(values, command, list): Append them; false where a value is absent, or there are none. */
bool command_expand_arguments(struct values *values, const struct json *command,
			      struct string_list *list);

/* command_expand_environment(values, command, list): Append "NAME=value", without those whose value is absent. */
void command_expand_environment(struct values *values, const struct json *command,
				struct string_list *list);

/* command_shown(text): The end of an output on one line, as a person can read it in a message; to be freed. */
char *command_shown(const char *text);

#endif
