/*
 * Whether somebody is at work on a reset or replace. Its helper has ended when the service
 * comes up, and a process in another container or on another machine cannot be seen: so
 * who is at work renews a file in the helper, and who asks watches it.
 *
 * /NONCE/alive: {"owner": label of the process that beats, "count": N, "ended": bool}
 */
#ifndef SIDESNAP_SNAPSHOT_HEARTBEAT_H
#define SIDESNAP_SNAPSHOT_HEARTBEAT_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "snapshot/helper/owner.h"
#include "snapshot/session.h"

struct heartbeat;

/*
 * heartbeat_start(session, helper, folder, now, err):
 * From now on a process beside this one renews the file in ${folder} ("/NONCE") of the helper,
 * every 10 seconds and until we end. With ${now} the first time before this returns: for
 * who takes over what another process has left.
 */
struct heartbeat *heartbeat_start(const struct session *session, const char *helper,
				  const char *folder, bool now, struct error **err);

/*
 * heartbeat_stop(heartbeat):
 * To be called when the helper is gone, or when its journal is left to others: they need not
 * wait then. Frees it; NULL ok.
 */
void heartbeat_stop(struct heartbeat *heartbeat);
CLEANUP_DEFINE(struct heartbeat, heartbeat_stop)

/*
 * heartbeat_owner(session, helper):
 * Whether somebody works with the helper (an inspect) that holds a journal: its owner, or who
 * brings to an end what that has left. Where the process cannot be seen this watches for up to
 * a minute. OWNER_UNKNOWN only where the engine does not let us look.
 */
enum owner_state heartbeat_owner(const struct session *session, const struct json *helper);

/* heartbeat_main(): The process itself, behind the hidden verb "__heartbeat". Returns the exit code. */
int heartbeat_main(void);

#endif
