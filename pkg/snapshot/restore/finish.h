/* What is done once a restored service is ready: the driver's "finish", and statements of a person's. */
#ifndef SIDESNAP_SNAPSHOT_FINISH_H
#define SIDESNAP_SNAPSHOT_FINISH_H

#include "base/json.h"
#include "snapshot/session.h"

/*
 * finish_check(path, driver, err):
 * Before anything is touched: whether the file of --finish can be read, and the driver of that name can run
 * it. NULL as ${path}: nothing was asked for.
 */
int finish_check(const char *path, const char *driver, struct error **err);

/*
 * finish_run(session, id, snapshot, path, err):
 * In the running container, whose data came from ${snapshot} (an inspect); ${path} may be NULL.
 * ERROR_UNFINISHED: the data is restored, and the service runs without what should have been done.
 */
int finish_run(const struct session *session, const char *id, const struct json *snapshot,
	       const char *path, struct error **err);

#endif
