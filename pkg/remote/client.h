/*
 * Requests to one repository of a registry by the distribution API: several at once over connections
 * that are kept, with authorization, bounded tries and bounded answers. What comes is unchecked.
 */
#ifndef SIDESNAP_REMOTE_CLIENT_H
#define SIDESNAP_REMOTE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "remote/credentials.h"

struct client_options {
	const char *host;	/* "docker.io", "registry.example:5000" */
	const char *repository; /* "team/db" */
	const struct credentials *credentials;
	bool insecure;	  /* any certificate will do, and where there is no TLS, none is used */
	unsigned stall_s; /* a transfer without a byte for so long has failed; 0: 30 */
	unsigned
		first_pause_ms; /* before the second try, doubled before each further one; 0: 250 */
	const volatile int *cancel; /* may be NULL */
	/* Hears of every failure after which it is tried again; may be NULL. */
	void (*retrying)(void *context, const char *reason);
	void *context;
};

struct client;

/* client_new(options, err): All of ${options} is copied but ->cancel. Nothing is sent yet. */
struct client *client_new(const struct client_options *options, struct error **err);
void client_free(struct client *client); /* NULL ok */
CLEANUP_DEFINE(struct client, client_free)

/* client_received(client): Bytes that came, headers included, TLS not. */
uint64_t client_received(const struct client *client);

/* One GET. What is asked for is set by the caller; an all-zero one is empty. */
struct client_request {
	char *path;		 /* behind /v2/REPOSITORY/, or all of it from a '/' on; owned */
	const char *accept;	 /* media types; NULL: any */
	size_t limit;		 /* bytes of the answer; one with more is ERROR_DAMAGED */
	uint64_t offset, length; /* the part that is wanted; length 0: all */

	struct buffer body;    /* with a length: at most that much, less where the whole has less */
	char *type;	       /* Content-Type; NULL: none */
	char *digest;	       /* Docker-Content-Digest; NULL: none */
	char *next;	       /* the path of the next page; NULL: none */
	struct error *problem; /* why there is no body; NULL: there is one */
};

void client_request_release(struct client_request *request);

/*
 * client_run(client, requests, count, err):
 * All of them, each with its answer or its problem: ERROR_NOT_FOUND, ERROR_REFUSED (not without
 * logging in, or not by that user), ERROR_ENGINE (unreachable, broke off, fails), ERROR_DAMAGED. -1 when a person
 * has interrupted.
 */
int client_run(struct client *client, struct client_request *requests, size_t count,
	       struct error **err);

#endif
