/* Asking a database needs its processes: one that is stopped or frozen answers nobody. */
#include "snapshot/database/database.h"

#include <string.h>

static int check_runs(const struct target *target, struct error **err)
{
	if (target->paused) {
		error_set(err, ERROR_FAILED, "\"%s\" is paused: nothing can be asked of it",
			  target->name);
		return error_hint(err,
				  "docker unpause %s; if an interrupted create froze it: "
				  "sidesnap doctor",
				  target->name);
	}
	if (target->running && !target->restarting)
		return 0;
	error_set(err, ERROR_FAILED,
		  "\"%s\" does not run: its database can be asked only while "
		  "it does",
		  target->name);
	return error_hint(err, "docker start %s", target->name);
}

int database_find(const struct session *session, const char *name, const char *driver,
		  struct database *database, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *image = NULL;

	memset(database, 0, sizeof(*database));
	if (target_find(session, name, &database->target, err) < 0 ||
	    check_runs(&database->target, err) < 0)
		return -1;
	image = image_inspect(session->engine, database->target.image_id, NULL);
	if (driver_detect_as(session->engine, database->target.inspect, image, driver,
			     &database->match, err) < 0)
		return -1;
	if (database->match.doubt)
		progress_warn(session->progress, "a driver cannot be used: %s",
			      database->match.doubt);
	return driver_check_refusal(&database->match, database->target.name, err);
}

void database_release(struct database *database)
{
	driver_match_release(&database->match);
	target_release(&database->target);
}
