/*
 * One error object for the whole program: made where a failure is detected,
 * given context on the way up, shown once at the top.
 *
 * Convention: a function that can fail takes `struct error **err` as its last
 * argument and returns 0 or -1 (or NULL for a pointer). On failure it has put
 * a new object into *err; on success it has not touched it. *err is NULL at
 * the call. `err` itself may be NULL when the caller does not want the reason.
 */
#ifndef SIDESNAP_BASE_ERROR_H
#define SIDESNAP_BASE_ERROR_H

#include <stdarg.h>

/* The numbers are the command's exit codes (docs/reference.md): never reused. */
enum error_kind {
	ERROR_DAMAGED = 1,	/* data does not match its hash, or two things differ */
	ERROR_FAILED = 2,	/* anything without a number of its own */
	ERROR_USAGE = 3,	/* the command line or the input given is wrong */
	ERROR_NOT_FOUND = 4,	/* no such container, service, snapshot */
	ERROR_EXISTS = 5,	/* the name is taken */
	ERROR_REFUSED = 6,	/* would be unsafe; an option or an answer allows it */
	ERROR_ENGINE = 7,	/* it, or a registry, cannot be reached or broke off */
	ERROR_NO_SPACE = 8,	/* too little room at the engine */
	ERROR_BUSY = 9,		/* somebody else holds the lock */
	ERROR_UNSUPPORTED = 10, /* newer format, other architecture, missing feature */
	ERROR_UNFINISHED = 11,	/* done, but what is to follow failed */
	ERROR_CANCELLED = 130,	/* interrupted by a person */
};

struct error {
	enum error_kind kind;
	int http_status; /* of the engine's answer, 0 when there was none */
	char *message;	 /* one line, no trailing full stop or newline */
	char *hint;	 /* what to do next, or NULL */
};

/*
 * error_set(err, kind, format, ...):
 * Make a new error. Returns -1 always, so that `return error_set(...)` reads well.
 */
int error_set(struct error **err, enum error_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * error_set_errno(err, number, format, ...):
 * The same with ": " and the text of the errno ${number} appended; its kind is
 * ERROR_NO_SPACE for ENOSPC and EDQUOT, else ERROR_FAILED. Returns -1.
 */
int error_set_errno(struct error **err, int number, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * error_prefix(err, format, ...):
 * Put "text: " in front of the message of *err; nothing where err or *err is
 * NULL. Returns -1.
 */
int error_prefix(struct error **err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * error_hint(err, format, ...):
 * Say what to do next, in place of an earlier hint. Returns -1.
 */
int error_hint(struct error **err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * error_append(err, other):
 * Add "; also: " and the message of ${other} to *err (or move ${other} to *err
 * when that is empty), and free ${other}. For a failure during the clean-up
 * after a first one. NULL ${other} is ignored.
 */
void error_append(struct error **err, struct error *other);

/* error_free(error): Free ${error}; NULL is ignored. */
void error_free(struct error *error);

#endif
