/*
 * Reading a database with its own tools, as the "compare" of its driver says: what it holds as
 * streams of records in a known order (FORMAT.md), so that two can be compared.
 */
#ifndef SIDESNAP_DRIVER_COMPARE_H
#define SIDESNAP_DRIVER_COMPARE_H

#include <stdbool.h>
#include <sys/types.h>

#include "driver/driver.h"

/* driver_compares(match): Whether there is a driver, and it can. */
bool driver_compares(const struct driver_match *match);

/* A way into the database of one container that works. */
struct compare;

/*
 * compare_open(engine, id, match, err):
 * As access_open(); ${engine} and ${match} must outlive the result.
 */
struct compare *compare_open(struct engine *engine, const char *id,
			     const struct driver_match *match, struct error **err);
void compare_free(struct compare *compare); /* NULL ok */
CLEANUP_DEFINE(struct compare, compare_free)

/* compare_version(compare): What the server calls its version, untrusted; borrowed. */
const char *compare_version(const struct compare *compare);

/* compare_has(compare, operation): Whether the driver has this one ("server", "schema"). */
bool compare_has(const struct compare *compare, const char *operation);

/* compare_asks(compare): Whether "rows" is one process that is asked for table after table. */
bool compare_asks(const struct compare *compare);

/* compare_is_sorted(compare, operation): Whether its records come in the order of their keys. */
bool compare_is_sorted(const struct compare *compare, const char *operation);

/*
 * compare_schema_type(compare, groups), compare_schema_object(): Of a heading of the schema, from
 * what its groups matched: ${groups} of them, the first is "1". To be freed.
 */
char *compare_schema_type(struct compare *compare, const char *const groups[4]);
char *compare_schema_object(struct compare *compare, const char *const groups[4]);

/* compare_schema_heading(compare), compare_schema_ignore(compare): Regular expressions, borrowed; the second may be NULL. */
const char *compare_schema_heading(const struct compare *compare);
const char *compare_schema_ignore(const struct compare *compare);

/* The output of one operation. */
struct compare_stream;

/*
 * compare_run(compare, operation, database, err):
 * Start "databases", "server", "tables", "rows" or "schema"; ${database} "": the one to begin with.
 * Several may be open at once. "rows" waits for compare_ask(), and is to be freed, not read to its end.
 */
struct compare_stream *compare_run(struct compare *compare, const char *operation,
				   const char *database, struct error **err);

/*
 * compare_run_table(compare, database, statement, err):
 * Where compare_asks() is not so: a process for the rows of one table, to be read to its end.
 */
struct compare_stream *compare_run_table(struct compare *compare, const char *database,
					 const char *statement, struct error **err);

/* compare_ask(stream, statement, err): Of "rows": the rows of one table, which end with a line "\.". */
int compare_ask(struct compare_stream *stream, const char *statement, struct error **err);

void compare_stream_free(struct compare_stream *stream); /* at whatever point; NULL ok */
CLEANUP_DEFINE(struct compare_stream, compare_stream_free)

/*
 * compare_read(stream, data, size, err): A record_source. 0 only when the command has ended well;
 * else ERROR_FAILED with what it said.
 */
ssize_t compare_read(void *stream, void *data, size_t size, struct error **err);

#endif
