/*
 * The driver's prepare in a thread of its own, while the helper is started: both take
 * a fifth of a second, and neither needs the other.
 */
#ifndef SIDESNAP_SNAPSHOT_PREPARATION_H
#define SIDESNAP_SNAPSHOT_PREPARATION_H

#include "base/cleanup.h"
#include "driver/driver.h"
#include "snapshot/session.h"

struct preparation;

/*
 * preparation_start(session, id, driver, err):
 * Begin to run the driver's prepare in container ${id}, on a connection of its own. What is
 * given is borrowed until preparation_finish(). NULL on failure.
 */
struct preparation *preparation_start(const struct session *session, const char *id,
				      const struct driver_match *driver, struct error **err);

/* preparation_finish(preparation, err): Wait for its end; frees it. -1 with its failure. */
int preparation_finish(struct preparation *preparation, struct error **err);

/* preparation_abandon(preparation): End it soon, whatever it does; frees it. NULL ok. */
void preparation_abandon(struct preparation *preparation);

#endif
