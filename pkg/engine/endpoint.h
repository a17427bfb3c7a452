/*
 * Where the engine is: what DOCKER_HOST, DOCKER_CONTEXT and the client's
 * configuration say, worked out without touching the network.
 */
#ifndef SIDESNAP_ENGINE_ENDPOINT_H
#define SIDESNAP_ENGINE_ENDPOINT_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"

struct endpoint {
	char *name;	   /* as people write it: "unix:///var/run/docker.sock" */
	char *socket_path; /* of a unix socket, else NULL */
	char *authority;   /* "host:port", "localhost" for a unix socket */
	char *base_path;   /* in front of every request's path, usually "" */
	bool tls;
	bool tls_verify;   /* check the server's certificate */
	char *authorities; /* PEM file of trusted authorities, NULL: the system's */
	char *certificate; /* PEM file of our own certificate, NULL: none */
	char *key;	   /* PEM file of its key, NULL: none */
};

/*
 * endpoint_resolve(host, err):
 * ${host} (NULL or "": none) comes before DOCKER_HOST, that before DOCKER_CONTEXT, that
 * before currentContext of the client's configuration, that before the default socket.
 * A context brings its own TLS files; all else takes them from DOCKER_CERT_PATH.
 * NULL on failure: ERROR_USAGE (malformed), ERROR_UNSUPPORTED (ssh://, npipe://),
 * ERROR_NOT_FOUND (no such context).
 */
struct endpoint *endpoint_resolve(const char *host, struct error **err);

/* endpoint_copy(endpoint): A deep copy, to be freed. */
struct endpoint *endpoint_copy(const struct endpoint *endpoint);
void endpoint_free(struct endpoint *endpoint); /* NULL ok */
CLEANUP_DEFINE(struct endpoint, endpoint_free)

#endif
