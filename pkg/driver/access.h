/*
 * A way into the database of a running container, and operations by it: what "compare", "dump", "load"
 * and "script" of a driver have in common.
 */
#ifndef SIDESNAP_DRIVER_ACCESS_H
#define SIDESNAP_DRIVER_ACCESS_H

#include <sys/types.h>

#include "base/buffer.h"
#include "driver/driver.h"
#include "driver/values.h"

/* A way that works, for as long as it is open. */
struct access;

/*
 * access_open(engine, id, match, err):
 * Try the driver's ways, in order. ${engine} and ${match}, which has a driver, must outlive the result. ERROR_FAILED with
 * what the last one said where none works; ERROR_UNSUPPORTED where the driver has none.
 */
struct access *access_open(struct engine *engine, const char *id, const struct driver_match *match,
			   struct error **err);
void access_free(struct access *access); /* NULL ok */
CLEANUP_DEFINE(struct access, access_free)

/* access_version(access): What the server calls its version, untrusted; borrowed. */
const char *access_version(const struct access *access);

/* access_values(access): For names that are given, and for blotting out secrets. */
struct values *access_values(struct access *access);

/* access_set_database(access, database): What ${database} is from now on; NULL: it is absent. */
void access_set_database(struct access *access, const char *database);

/* One operation, of one member of the driver. */
struct access_call {
	const struct json
		*member; /* "compare", ...: its "environment" counts before that of access */
	const struct json *operation;
	const char *name;	  /* for messages: "dump.server" */
	bool asks;		  /* its "input" is not sent: what it gets comes later */
	exec_sink *sink;	  /* of one that is fed: gets both streams; else NULL */
	void *context;		  /* for the sink */
	const struct json *words; /* further arguments, as they are; NULL: none */
};

/*
 * access_run(access, call, output, err):
 * The whole of one that says little; its stdout is appended to ${output} (may be NULL). 1: done; 0: left
 * out, since a value that it needs is absent; -1.
 */
int access_run(struct access *access, const struct access_call *call, struct buffer *output,
	       struct error **err);

/* access_run_all(access, member, list, err): The operations of list "begin", "end" or "clean" of a member, in order. */
int access_run_all(struct access *access, const struct json *member, const char *list,
		   struct error **err);

/* access_input(access, operation, input, err): Append the lines of its "input". */
int access_input(struct access *access, const struct json *operation, struct buffer *input,
		 struct error **err);

/* One whose output or input is of any size. Several may be open at once. */
struct access_stream;

/* access_stream_open(access, call, err): Start it. It must not outlive ${access}. */
struct access_stream *access_stream_open(struct access *access, const struct access_call *call,
					 struct error **err);
void access_stream_free(struct access_stream *stream); /* at whatever point; NULL ok */
CLEANUP_DEFINE(struct access_stream, access_stream_free)

/*
 * access_stream_read(stream, data, size, err):
 * Bytes of its stdout; 0 only when it has ended well; else ERROR_FAILED with what it said.
 */
ssize_t access_stream_read(struct access_stream *stream, void *data, size_t size,
			   struct error **err);

/* access_stream_said(stream): The beginning of its stderr, without secrets; borrowed, until the next call. */
const char *access_stream_said(struct access_stream *stream);

/* access_stream_write(stream, data, size): A little more for one that asks and is read. */
void access_stream_write(struct access_stream *stream, const void *data, size_t size);

/*
 * access_stream_feed(stream, data, size, err), access_stream_finish(stream, timeout_ms, err):
 * Of one with a sink. Feed: -1 also where it has ended before it took all. Finish: no more comes; 0 only
 * when it has ended well, ${timeout_ms} (0: none) is how long that may take.
 */
int access_stream_feed(struct access_stream *stream, const void *data, size_t size,
		       struct error **err);
int access_stream_finish(struct access_stream *stream, uint64_t timeout_ms, struct error **err);

#endif
