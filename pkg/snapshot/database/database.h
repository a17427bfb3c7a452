/* The database that runs in a target, for the verbs that talk to it. */
#ifndef SIDESNAP_SNAPSHOT_DATABASE_H
#define SIDESNAP_SNAPSHOT_DATABASE_H

#include "driver/driver.h"
#include "snapshot/session.h"
#include "snapshot/target.h"

struct database {
	struct target target;
	struct driver_match match; /* without a driver where none fits */
};

/*
 * database_find(session, name, driver, database, err):
 * A target that runs, and its driver; ${driver}: the one that was asked for, NULL for that of the
 * container. To be released in any case.
 */
int database_find(const struct session *session, const char *name, const char *driver,
		  struct database *database, struct error **err);
void database_release(struct database *database);

#endif
