/*
 * Writing to stderr without ever waiting for whoever reads it: a target may be
 * frozen while we write, and its freeze must not depend on a stalled terminal.
 */
#ifndef SIDESNAP_UI_OUTPUT_H
#define SIDESNAP_UI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

struct output {
	int fd;		       /* an own non-blocking description of it where possible */
	bool owned;	       /* fd is ours to close */
	bool stalled;	       /* the last wait was in vain: do not wait again until it moves */
	struct buffer pending; /* lines that must not be lost, at most 64 KiB */
};

/* output_init(output, fd): For ${fd}, whose flags stay as they are for others. */
void output_init(struct output *output, int fd);

/* output_release(output): Waits up to a second for what is pending. */
void output_release(struct output *output);

/* output_offer(output, data, size): Written now, or dropped. False: dropped. */
bool output_offer(struct output *output, const void *data, size_t size);

/*
 * output_keep(output, data, size):
 * Written now, waiting at most 100 ms, or later; lost only when 64 KiB are pending.
 */
void output_keep(struct output *output, const void *data, size_t size);

#endif
