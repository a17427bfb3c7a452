/*
 * What client.c, which runs transfers, and authorize.c, which gets tokens by them, share.
 */
#ifndef SIDESNAP_REMOTE_CLIENT_PRIVATE_H
#define SIDESNAP_REMOTE_CLIENT_PRIVATE_H

#include <curl/curl.h>

#include "remote/challenge.h"
#include "remote/client.h"
#include "remote/trust.h"

struct client {
	char *host;	 /* as in names */
	char *authority; /* that is connected to */
	char *repository;
	struct credentials credentials; /* copies */
	const volatile int *cancel;
	void (*retrying)(void *context, const char *reason);
	void *context;
	struct trust trust;
	CURLM *transfers, *tokens; /* of a token others may be waiting */
	long stall_s;
	unsigned first_pause_ms;
	bool insecure, is_loopback;
	bool plain;		 /* HTTP, which was tried because TLS failed */
	bool answered;		 /* so that it is clear whether it has TLS */
	char *authorization;	 /* a header; NULL: none yet */
	unsigned authorizations; /* how many there were */
	uint64_t received;
};

enum transfer_state { TRANSFER_DUE, TRANSFER_RUNNING, TRANSFER_DONE };

/* A request on its way. */
struct client_transfer {
	struct client *client;
	struct client_request *request;
	char *url;	    /* of another host; NULL: made of the request's path */
	char *header;	    /* instead of the client's authorization; NULL: that */
	const char *posted; /* a form; NULL: GET */
	enum transfer_state state;
	uint64_t due_ms;
	unsigned tries;
	bool was_authorized;	/* once more is not tried */
	unsigned authorization; /* which of the client's it was sent with; 0: none */
	bool was_plain;
	bool has_enough; /* we ended it */
	bool is_too_large;
	bool is_redirected;
	uint64_t
		skipped; /* bytes before the part that was wanted, of a server that knows no parts */
	unsigned retry_after_s;
	struct challenge challenge;
	CURL *easy;
	struct curl_slist *headers;
	char reason[CURL_ERROR_SIZE];
};

/* client_transfers_run(client, multi, transfers, count, err): As client_run(). */
int client_transfers_run(struct client *client, CURLM *multi, struct client_transfer *transfers,
			 size_t count, struct error **err);

/*
 * authorize(client, challenge, err): Make client->authorization what ${challenge} asks for. ERROR_REFUSED
 * where nothing is known that would do.
 */
int authorize(struct client *client, const struct challenge *challenge, struct error **err);

#endif
