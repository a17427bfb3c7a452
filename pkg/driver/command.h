/* Running what a driver says, inside the container. */
#ifndef SIDESNAP_DRIVER_COMMAND_H
#define SIDESNAP_DRIVER_COMMAND_H

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

#endif
