/*
 * What a tool says of statements that failed, while it goes on and ends as if all were well: the
 * lines of its two streams are looked at as they come, in bounded memory.
 */
#ifndef SIDESNAP_BASE_COMPLAINT_H
#define SIDESNAP_BASE_COMPLAINT_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

struct complaint {
	regex_t errors, ignored;
	bool has_errors, has_ignored;
	struct buffer lines[2]; /* of each stream, the one that has no end yet */
	char *first;		/* the first line that counts, cut; NULL: none */
};

/*
 * complaint_init(complaint, errors, ignored, err):
 * Extended regular expressions: a line that fits ${errors} counts, unless it fits ${ignored}. NULL fits
 * nothing. After a failure there is nothing to release.
 */
int complaint_init(struct complaint *complaint, const char *errors, const char *ignored,
		   struct error **err);
void complaint_release(struct complaint *complaint);

/* complaint_take(complaint, stream, data, size): What came of a stream: 1 stdout, 2 stderr. A NUL is seen as a blank. */
void complaint_take(struct complaint *complaint, int stream, const void *data, size_t size);

/* complaint_end(complaint): Both have ended, perhaps without a line end. */
void complaint_end(struct complaint *complaint);

#endif
