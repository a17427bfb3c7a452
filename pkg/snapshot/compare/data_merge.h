/*
 * Two streams of records, both in the order of their keys, side by side: who is only in one, and
 * who is in both.
 */
#ifndef SIDESNAP_SNAPSHOT_DATA_MERGE_H
#define SIDESNAP_SNAPSHOT_DATA_MERGE_H

#include "snapshot/compare/data_record.h"

/* One of them may be NULL: only the other stream has that key. -1 ends the merge. */
typedef int data_pair(void *context, const struct record *from, const struct record *to,
		      struct error **err);

/*
 * data_merge(from, to, keys, pair, context, err):
 * Both to their ends; one of them may be NULL, which is an empty one. Of a key that several records
 * of a stream have the first is paired with the first, and so on. ERROR_FAILED: a stream is not in
 * the order of the bytes of its first ${keys} fields, or a record has fewer.
 */
int data_merge(struct record_reader *from, struct record_reader *to, size_t keys, data_pair *pair,
	       void *context, struct error **err);

#endif
