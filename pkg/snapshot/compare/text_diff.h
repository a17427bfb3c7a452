/*
 * Two texts as lines that differ.
 */
#ifndef SIDESNAP_SNAPSHOT_TEXT_DIFF_H
#define SIDESNAP_SNAPSHOT_TEXT_DIFF_H

#include "base/buffer.h"
#include "base/error.h"

struct text_side {
	const char *label; /* what the first two lines call it */
	const struct buffer *text;
};

/*
 * text_diff(from, to, cancel, err): What `diff -u` prints, at most 64 MiB; to be freed. NULL:
 * ERROR_UNSUPPORTED (no diff on this machine), ERROR_CANCELLED, ERROR_FAILED.
 */
char *text_diff(const struct text_side *from, const struct text_side *to,
		const volatile int *cancel, struct error **err);

#endif
