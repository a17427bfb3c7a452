/*
 * The definitions of a database as its own tool prints them, cut into objects by the headings that
 * the driver knows, and compared object by object. A text without a heading is not compared.
 */
#ifndef SIDESNAP_SNAPSHOT_DATA_SCHEMA_H
#define SIDESNAP_SNAPSHOT_DATA_SCHEMA_H

#include "base/buffer.h"
#include "base/cleanup.h"
#include "driver/compare.h"

struct data_schema;

/*
 * data_schema_read(compare, stream, err):
 * Take the whole of a stream of "schema". The texts go to a file without a name; memory is some 100
 * bytes an object.
 */
struct data_schema *data_schema_read(struct compare *compare, struct compare_stream *stream,
				     struct error **err);
void data_schema_free(struct data_schema *schema); /* NULL ok */
CLEANUP_DEFINE(struct data_schema, data_schema_free)

/* An object of one or of both, as it is there; the texts are borrowed, "" where it is not. */
struct data_object {
	const char *change; /* "added", "removed", "changed" */
	const char *type, *name;
	const struct buffer *from, *to; /* NULL where it is not, or no texts were asked for */
};
typedef int data_object_differs(void *context, const struct data_object *object,
				struct error **err);

/*
 * data_schema_compare(from, to, texts, differs, context, err):
 * Call ${differs} for each object that is not the same in both, by type and name; one of the two may
 * be NULL, which has none. ${texts}: with what they say.
 */
int data_schema_compare(struct data_schema *from, struct data_schema *to, bool texts,
			data_object_differs *differs, void *context, struct error **err);

#endif
