/*
 * Records as a driver's tools print them: a line a record, fields between tabs, a backslash before
 * what would be taken for one of these, \N for no value (PostgreSQL's COPY text format; MySQL's
 * --batch escapes alike). Read as they come, in bounded memory.
 */
#ifndef SIDESNAP_SNAPSHOT_DATA_RECORD_H
#define SIDESNAP_SNAPSHOT_DATA_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "store/hash.h"

/* Bytes that are kept of a field: of one of the key, of any other. The rest is hashed as it goes by. */
#define RECORD_KEY_KEPT (1U << 20)
#define RECORD_FIELD_KEPT (8U << 10)
#define RECORD_FIELDS_MAX 4096

/* A field that holds JSON or a statement is wanted whole. */
#define RECORD_WHOLE_KEPT (4U << 20)

struct record_field {
	const char *data; /* without the escapes; no NUL behind it */
	size_t kept;	  /* bytes of data */
	uint64_t size;	  /* of the field; more than kept: the rest is in hash */
	struct hash hash; /* of what is not kept */
	bool is_null;
};

struct record {
	struct record_field *fields;
	size_t count;
};

/* Bytes put into data, 0 at the end, or -1. */
typedef ssize_t record_source(void *context, void *data, size_t size, struct error **err);

struct record_reader;

/*
 * record_reader_new(source, context, keys, kept):
 * Of the first ${keys} fields RECORD_KEY_KEPT bytes are kept, of others ${kept}.
 */
struct record_reader *record_reader_new(record_source *source, void *context, size_t keys,
					size_t kept);
void record_reader_free(struct record_reader *reader); /* NULL ok */
CLEANUP_DEFINE(struct record_reader, record_reader_free)

/*
 * record_reader_again(reader, keys):
 * From now on each list of records ends with a line "\.", which no field can be, and the source
 * goes on behind it; the list that comes now has ${keys} fields of a key.
 */
void record_reader_again(struct record_reader *reader, size_t keys);

/*
 * record_next(reader, record, err):
 * 1: the next one, valid until the next call. 0: the end, which was where one may be. -1: the source
 * failed, or ERROR_FAILED: this is no stream of records, or a key is larger than is kept.
 */
int record_next(struct record_reader *reader, const struct record **record, struct error **err);

/*
 * record_reader_sort(reader, err):
 * Read the list that comes now to its end; record_next() then gives it by key, and by what else is in
 * the records, with bounded memory (data_sort.h).
 */
int record_reader_sort(struct record_reader *reader, struct error **err);

/* record_field_equal(a, b): Of two readers that keep alike. */
bool record_field_equal(const struct record_field *a, const struct record_field *b);

/* record_key_compare(a, b, keys): By the bytes of the first ${keys} fields, no value before any: <0, 0, >0. */
int record_key_compare(const struct record *a, const struct record *b, size_t keys);

/* record_text(record, index): A field as a C string up to its first NUL, to be freed; NULL: no value, or no such field. */
char *record_text(const struct record *record, size_t index);

#endif
