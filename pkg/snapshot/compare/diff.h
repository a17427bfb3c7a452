/*
 * What comes of the messages in which differences are told (tree/diff_report.h), whoever compares.
 */
#ifndef SIDESNAP_SNAPSHOT_DIFF_H
#define SIDESNAP_SNAPSHOT_DIFF_H

#include "snapshot/snapshot.h"

struct diff {
	const struct diff_sink *sink;
	struct json *result; /* borrowed */
	struct json *trees;  /* in the result */
	struct json *tree;   /* the one that differences are of now; NULL: none yet */
};

/* diff_init(diff, sink, result): Before the first message. */
void diff_init(struct diff *diff, const struct diff_sink *sink, struct json *result);

/* diff_take(diff, message, err): Entries go to the sink, trees and totals into the result. */
int diff_take(void *diff, const struct json *message, struct error **err);

/* diff_sum_up(diff): After the last: sums of all trees, and "same". */
void diff_sum_up(const struct diff *diff);

#endif
