/*
 * One table of two databases: its rows, matched by key or by content, counted and in part shown.
 */
#ifndef SIDESNAP_SNAPSHOT_DATA_TABLE_H
#define SIDESNAP_SNAPSHOT_DATA_TABLE_H

#include <stdbool.h>

#include "base/json.h"
#include "driver/compare.h"
#include "snapshot/compare/data_record.h"
#include "snapshot/session.h"
#include "snapshot/snapshot.h"

/* Where two databases are compared. */
struct data_place {
	struct session *session;
	const struct diff_data_options *options;
	const struct diff_data_sink *sink;
	struct compare *compare[2];	/* from, to */
	struct data_source *sources[2]; /* of rows of this database; NULL: that side has none */
	const char *database;		/* "": what belongs to the server */
	uint64_t bytes;			/* read so far, for the progress */
};

/* The rows of the tables of one database, asked for one after the other. */
struct data_source;

/* data_source_open(place, side, err): Of place->database on side 0 (from) or 1; ${place} must outlive it. */
struct data_source *data_source_open(struct data_place *place, size_t side, struct error **err);
void data_source_free(struct data_source *source); /* NULL ok */

/* As the driver's "tables" describes one. */
struct data_table {
	char *name, *kind, *reason, *keyed, *plain; /* all but the first two may be NULL */
	struct json *columns, *key;		    /* arrays of names; key may be NULL */
};

/* data_table_read(table, record, err): From a record; ${table} is to be released in any case. */
int data_table_read(struct data_table *table, const struct record *record, struct error **err);
void data_table_release(struct data_table *table);

/*
 * data_table_compare(place, tables, result, err):
 * ${tables}: of either side, NULL where it has none. *result: as in "tables" of snapshot_diff_data(),
 * with "state" "same" too; to be freed.
 */
int data_table_compare(struct data_place *place, const struct data_table *const tables[2],
		       struct json **result, struct error **err);

#endif
