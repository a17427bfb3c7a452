/*
 * HTTP to an engine: the only home of libcurl in this folder. Answers are
 * pulled, so that whoever reads sets the pace and memory stays bounded.
 */
#ifndef SIDESNAP_ENGINE_TRANSPORT_H
#define SIDESNAP_ENGINE_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/endpoint.h"

/* Connections to one endpoint. For one thread; after fork() only the parent may touch it. */
struct transport;

/* transport_open(endpoint, err): Nothing is connected yet. ${endpoint} is copied. */
struct transport *transport_open(const struct endpoint *endpoint, struct error **err);
void transport_free(struct transport *transport); /* NULL ok */
const struct endpoint *transport_endpoint(const struct transport *transport);

/* transport_set_cancel(transport, flag): Calls end with ERROR_CANCELLED once *flag is not zero. */
void transport_set_cancel(struct transport *transport, const volatile int *flag);

/* transport_pause(transport, milliseconds, err): Sleep, but end with ERROR_CANCELLED. */
int transport_pause(struct transport *transport, unsigned milliseconds, struct error **err);

/* Source of a body: bytes put into data (0 at the end), or -1 with *err. */
typedef ssize_t transport_source(void *context, void *data, size_t size, struct error **err);

struct transport_request {
	const char *method;	  /* "GET", "HEAD", "POST", "PUT", "DELETE" */
	const char *path;	  /* with its query, escaped; the base path comes in front */
	const char *content_type; /* of the body, NULL: none */
	const char *header;	  /* one line more, "Name: value"; NULL: none */
	const void *body;	  /* ${body_size} bytes, borrowed until the exchange is freed */
	size_t body_size;
	transport_source *source; /* instead of body: sent chunked; must not use this transport */
	void *source_context;
};

/* One request and its answer. */
struct exchange;

/*
 * exchange_open(transport, request, err):
 * Send, and wait for the header of the final answer. An engine that answers before it
 * has read the body, and closes, is heard. A connection kept from an earlier request
 * that turns out to be dead is replaced once, for GET, HEAD and DELETE; others always
 * begin on a new one, since a repeated one could act twice. NULL on failure:
 * ERROR_ENGINE, ERROR_CANCELLED, or what the source set.
 */
struct exchange *exchange_open(struct transport *transport, const struct transport_request *request,
			       struct error **err);
void exchange_free(struct exchange *exchange); /* stops it where it is; NULL ok */
CLEANUP_DEFINE(struct exchange, exchange_free)

/* exchange_status(exchange): HTTP's number. */
int exchange_status(const struct exchange *exchange);

/* exchange_header(exchange, name): A header's value or NULL; valid until the next call. */
const char *exchange_header(struct exchange *exchange, const char *name);

/* exchange_read(exchange, data, size, err): The next bytes of the body, 0 at its end, -1. */
ssize_t exchange_read(struct exchange *exchange, void *data, size_t size, struct error **err);

/*
 * exchange_read_now(exchange, data, size, ended, err):
 * What is there without waiting for it: bytes, 0 where there are none yet, or 0 with *ended at the end
 * of the body, -1. For who reads several at once; transport_wait() waits for any of them.
 */
ssize_t exchange_read_now(struct exchange *exchange, void *data, size_t size, bool *ended,
			  struct error **err);

/* transport_wait(transport, timeout_ms, err): Until something may have come for an open exchange, or that time has passed. 0, -1 cancelled. */
int transport_wait(struct transport *transport, int timeout_ms, struct error **err);

/* A bare connection, TLS included, for streams that leave HTTP. */
struct connection;

/* connection_open(transport, err): Connects now, beside the transport's own connections. */
struct connection *connection_open(const struct transport *transport, struct error **err);
void connection_free(struct connection *connection); /* NULL ok */
CLEANUP_DEFINE(struct connection, connection_free)

/* connection_send(connection, data, size, err): Bytes taken, 0 where it would block, -1 broken. */
ssize_t connection_send(struct connection *connection, const void *data, size_t size,
			struct error **err);

/*
 * connection_receive(connection, data, size, ended, err):
 * Bytes got, 0 where it would block, or 0 with *ended at the end of the stream, -1 broken.
 */
ssize_t connection_receive(struct connection *connection, void *data, size_t size, bool *ended,
			   struct error **err);

/*
 * connection_wait(connection, write, timeout_ms, err):
 * Until it can be read (or, with ${write}, written): 1; 0 after ${timeout_ms} (-1: none);
 * -1 with ERROR_CANCELLED.
 */
int connection_wait(struct connection *connection, bool write, int timeout_ms, struct error **err);

/*
 * connection_wait_with(connection, fd, timeout_ms, err):
 * Until it, or ${fd} (-1: none), can be read: 1 where the latter can, 0, -1 with ERROR_CANCELLED.
 */
int connection_wait_with(struct connection *connection, int fd, int timeout_ms, struct error **err);

/* connection_shutdown(connection): No more will be sent; 0 or -1. */
int connection_shutdown(struct connection *connection);

#endif
