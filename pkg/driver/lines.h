/*
 * Lines of a tool that prints no records, made into records by a driver's "format" (FORMAT.md). They
 * come in pieces of any size; of one output a line and a record are in memory.
 */
#ifndef SIDESNAP_DRIVER_LINES_H
#define SIDESNAP_DRIVER_LINES_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"

/* A longer line, or record, is an error. */
#define LINES_LINE_MAX (64U << 20)
#define LINES_RECORD_MAX (256U << 20)

struct lines;

/* lines_new(format): ${format} was checked, and must outlive the result. */
struct lines *lines_new(const struct json *format);
void lines_free(struct lines *lines); /* NULL ok */
CLEANUP_DEFINE(struct lines, lines_free)

/*
 * lines_take(lines, data, size, records, err):
 * Take the beginning of what is there, ${size} of at least 1, and append a record that is whole by
 * then to ${records}. Returns how many bytes were taken, which may be 0 (it got on, and is to be
 * called again). ERROR_FAILED: this is no such output.
 */
ssize_t lines_take(struct lines *lines, const char *data, size_t size, struct buffer *records,
		   struct error **err);

/* lines_end(lines, records, err): No more comes. A last line without its end is one. */
int lines_end(struct lines *lines, struct buffer *records, struct error **err);

/* lines_append_field(records, data, size): As it stands in a record; also used for what is fixed. */
void lines_append_field(struct buffer *records, const char *data, size_t size);

#endif
