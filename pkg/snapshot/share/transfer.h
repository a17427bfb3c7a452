/*
 * What push and pull share: credentials by registry, progress by layer, another try where
 * a registry breaks off, and failures with a way on.
 */
#ifndef SIDESNAP_SNAPSHOT_TRANSFER_H
#define SIDESNAP_SNAPSHOT_TRANSFER_H

#include "base/json.h"
#include "remote/credentials.h"
#include "snapshot/reference.h"
#include "snapshot/snapshot.h"

enum transfer_direction { TRANSFER_PUSH, TRANSFER_PULL };

/* One call of push or pull. */
struct transfer {
	struct session *session;
	enum transfer_direction direction;
	const struct registry_login *login;
	struct json *headers; /* X-Registry-Auth by host */
};

/*
 * transfer_credentials(session, login, host, found, err): Who we are at a registry. What docker has for it and
 * cannot be read is only a warning, as in docker; -1 when a person has interrupted.
 */
int transfer_credentials(struct session *session, const struct registry_login *login,
			 const char *host, struct credentials *found, struct error **err);

void transfer_init(struct transfer *transfer, struct session *session,
		   enum transfer_direction direction, const struct registry_login *login);
void transfer_release(struct transfer *transfer);

/*
 * transfer_check(transfer, reference, err): Before anything is done: whether the name is one of a registry, and,
 * where a name and password were given, of the same one as all before. ERROR_USAGE.
 */
int transfer_check(struct transfer *transfer, const struct reference *reference,
		   struct error **err);

/*
 * transfer_run(transfer, reference, err):
 * Move one image; tried three times where the registry breaks off, twice where something arrives
 * damaged, and once where the engine has itself tried again. {"digest","layers":{"moved","there"},"bytes","tries"}, to be freed.
 */
struct json *transfer_run(struct transfer *transfer, const struct reference *reference,
			  struct error **err);

/* ---- what messages of engines mean; public for the tests ---- */

struct transfer_layer {
	char *id;
	uint64_t bytes, total;
	enum { LAYER_WAITS, LAYER_MOVES, LAYER_MOVED, LAYER_THERE } state;
};

struct transfer_state {
	struct transfer_layer *layers;
	size_t count;
	char *digest;	      /* "sha256:...", NULL until it is known */
	bool engine_repeated; /* the engine has tried again by itself */
};

void transfer_state_release(struct transfer_state *state);

/* transfer_state_take(state, message): The layer whose state has changed to LAYER_MOVED or LAYER_THERE, or NULL. */
const struct transfer_layer *transfer_state_take(struct transfer_state *state,
						 const struct json *message);

/* transfer_state_report(state): {"digest","layers":{"moved","there"},"bytes"}, to be freed. */
struct json *transfer_state_report(const struct transfer_state *state);

#endif
