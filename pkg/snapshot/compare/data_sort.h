/*
 * Records of a tool that knows no order, by the bytes of all their fields, the first one first: in
 * bounded memory, and what is more than that in a file without a name.
 */
#ifndef SIDESNAP_SNAPSHOT_DATA_SORT_H
#define SIDESNAP_SNAPSHOT_DATA_SORT_H

#include "snapshot/compare/data_record.h"

/* What one sort keeps in memory, besides the largest record. */
#define RECORD_SORT_MEMORY (32U << 20)

struct record_sort;

/* record_sort_new(memory): For what is read once; ${memory} in bytes. */
struct record_sort *record_sort_new(size_t memory);
void record_sort_free(struct record_sort *sort); /* NULL ok */
CLEANUP_DEFINE(struct record_sort, record_sort_free)

/* record_sort_add(sort, record, err): A copy. ERROR_NO_SPACE where /tmp has none. */
int record_sort_add(struct record_sort *sort, const struct record *record, struct error **err);

/*
 * record_sort_next(sort, record, err):
 * As record_next(). The first call ends the adding. In the order of record_key_compare() for any
 * number of keys; of records with the same key by what else they hold.
 */
int record_sort_next(struct record_sort *sort, const struct record **record, struct error **err);

#endif
