/*
 * Running another program of this machine: input given at once, output collected, an end
 * to its time. No shell is involved.
 */
#ifndef SIDESNAP_BASE_PROCESS_H
#define SIDESNAP_BASE_PROCESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

struct process {
	const char *const *arguments; /* program, looked up in PATH, and words; NULL at the end */
	const void *input;	      /* its stdin, ${input_size} bytes; may be NULL */
	size_t input_size;
	uint64_t timeout_ms;
	const volatile int *cancel; /* not zero: end it; may be NULL */
	struct buffer *output;	    /* its stdout; what does not fit is dropped */
	struct buffer *errors;	    /* its stderr, likewise */
	int exit_code;		    /* result; 128 and its number for a signal */
};

/*
 * process_run(process, err):
 * Run it and wait until its output has ended. 0 once it ran, whatever its exit code. -1:
 * ERROR_NOT_FOUND (no such program), ERROR_CANCELLED, ERROR_FAILED (it took longer than
 * timeout_ms, or could not be started); then it has been killed.
 */
int process_run(struct process *process, struct error **err);

#endif
