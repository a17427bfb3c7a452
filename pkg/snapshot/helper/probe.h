/*
 * Health checks and freezing do not go together: where an engine starts one while it pauses
 * the container, its runtime waits for the frozen command, and the thaw for the runtime, until
 * the check times out (seen with containerd 1.6: 30 seconds). Nothing can thaw it meanwhile. A command that
 * a person starts by exec has no time-out: then it stays frozen until the command's runtime is killed on
 * the engine's machine. So nothing is paused while one starts; that one begins just then remains possible.
 * Private to pkg/snapshot.
 */
#ifndef SIDESNAP_SNAPSHOT_PROBE_H
#define SIDESNAP_SNAPSHOT_PROBE_H

#include <stdbool.h>
#include <time.h>

#include "base/json.h"
#include "base/text.h"
#include "snapshot/session.h"

/*
 * probe_is_near(inspect, now): Whether the container's next health check is about to begin or
 * has just begun, at ${now} by the engine's clock.
 */
bool probe_is_near(const struct json *inspect, const struct timespec *now);

/* probe_exec_is_starting(exec): Whether a command (its inspect) was asked for, and has no process yet. */
bool probe_exec_is_starting(const struct json *exec);

/*
 * probe_wait(session, ids): Return when none of these containers is about to be checked, and in none a
 * command is being started, or after 3 seconds: a check that always is near is not waited for.
 */
void probe_wait(const struct session *session, const struct string_list *ids);

#endif
