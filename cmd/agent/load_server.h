/*
 * The server that a dump is loaded into: the container's own command as a child of boot, closed
 * to everybody else as far as its driver can say so.
 */
#ifndef SIDESNAP_AGENT_LOAD_SERVER_H
#define SIDESNAP_AGENT_LOAD_SERVER_H

#include "load_process.h"
#include "load_run.h"
#include "load_values.h"

struct load_server {
	struct load_values *values;
	const struct privilege *privilege;
	int stop_signal;
	struct load_process process;
	const struct json *way; /* in, that works; NULL: none yet */
};

/* load_server_start(server, arguments, err): The command ${arguments} with what the driver adds to it. */
int load_server_start(struct load_server *server, char **arguments, struct error **err);

/*
 * load_server_await(server, err): Until its initialisation is over, it has become the server
 * itself, and a way in works.
 */
int load_server_await(struct load_server *server, struct error **err);

/* load_server_stop(server, err): By its stop signal; it may take its time to write what it holds. */
int load_server_stop(struct load_server *server, struct error **err);

/* load_server_end(server): However it can be had: nothing of it is worth anything. */
void load_server_end(struct load_server *server);

#endif
