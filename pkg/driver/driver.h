/*
 * What is known of one database, as data: a JSON file, built in (pkg/driver/data),
 * from a directory (SIDESNAP_DRIVERS, /etc/sidesnap/drivers), or by labels on the
 * container. Nothing in it runs outside the target.
 */
#ifndef SIDESNAP_DRIVER_DRIVER_H
#define SIDESNAP_DRIVER_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/engine.h"

struct driver {
	struct json *definition; /* the whole file */
	const char *name;	 /* borrowed from definition */
	char *origin;		 /* its path, or "built-in driver NAME" */
	/* What is wrong with its file, for one that cannot be used; then the definition is what could be read. */
	struct error *broken;
};

/* One driver applied to one container. */
struct driver_match {
	struct driver *driver;		     /* owned */
	struct string_list data_directories; /* absolute paths in the container */
	struct string_list pages;	     /* globs relative to a data directory */
	uint32_t page_block;		     /* bytes; 0: no pages */
	uint32_t page_size;		     /* bytes; 0: unknown */
	struct string_list state_variables;  /* names of environment variables that are state */
	struct string_list
		state_values;	   /* "NAME=value": variables that a snapshot gets by the driver */
	struct string_list hosts;  /* host names under which the service knows itself */
	struct string_list guards; /* files that the service cannot start without, absolute */
	/* Of no driver: a file that could not be read may be of the one; else NULL. For a warning. */
	char *doubt;
	bool idle; /* the container runs, but no process of the database does: nothing to prepare */
	const char *
		refusal; /* why it must not be captured; borrowed from the driver; NULL: it may be */
	/*
	 * Id of the container whose secrets are asked for where this one has none: what was booted from a
	 * snapshot lacks its variables and secret files. NULL: nobody's. Owned.
	 */
	char *lender;
};

/*
 * driver_detect(engine, inspect, image, match, err):
 * Find the driver of a container (inspect of it and of its image; image may be NULL): label
 * sidesnap.driver first, then evidence in the inspect (image name, command, environment,
 * exposed ports, volumes) and, when it runs, /top. No driver: 0 and match->driver NULL. The file of
 * the one that fits is broken: ERROR_USAGE with line and reason; those of others do not matter.
 */
int driver_detect(struct engine *engine, const struct json *inspect, const struct json *image,
		  struct driver_match *match, struct error **err);

/* driver_detect_as(engine, inspect, image, name, match, err): The same, by ${name} instead of what a label says; NULL: as above. */
int driver_detect_as(struct engine *engine, const struct json *inspect, const struct json *image,
		     const char *name, struct driver_match *match, struct error **err);

/*
 * driver_find_more_data(engine, id, match):
 * Ask the running container for directories with data beside those that the definition names
 * ("more_data"), and add them to match->data_directories. Who does not answer has none.
 */
void driver_find_more_data(struct engine *engine, const char *id, struct driver_match *match);

void driver_match_release(struct driver_match *match);

/* driver_check_refusal(match, name, err): ERROR_REFUSED where the driver says that what container ${name} holds is no whole. */
int driver_check_refusal(const struct driver_match *match, const char *name, struct error **err);

/*
 * driver_find(name, err): A driver by its name: from SIDESNAP_DRIVERS (one directory), then
 * /etc/sidesnap/drivers, then built in. ERROR_NOT_FOUND names those that there are; ERROR_USAGE: its
 * file is broken.
 */
struct driver *driver_find(const char *name, struct error **err);
void driver_free(struct driver *driver);
CLEANUP_DEFINE(struct driver, driver_free)

/*
 * driver_parse(origin, text, size, err):
 * A definition (FORMAT.md) from its JSON text. ERROR_USAGE "origin:line: what is wrong where".
 */
struct driver *driver_parse(const char *origin, const char *text, size_t size, struct error **err);

/*
 * driver_all(err): Every driver there is, one of each name (directories before built-in
 * ones), NULL-terminated; free with driver_all_free(). A broken file hides the later ones of its
 * name (that in it, else the file's), since a person meant something else than those.
 */
struct driver **driver_all(struct error **err);
void driver_all_free(struct driver **drivers);
CLEANUP_DEFINE(struct driver *, driver_all_free)

/* driver_abilities(driver): The members that say what can be done with it, in a fixed order; an array to be freed. */
struct json *driver_abilities(const struct driver *driver);

/*
 * driver_prepare / driver_release_json / driver_ready: run in the running container by exec.
 * prepare: CHECKPOINT, BGSAVE...; a failure names the command and shows the end of its output,
 * never a secret. release: the counterpart, after every thaw and on every failure; as JSON for the
 * watchdog in driver_release_json() (NULL: the driver has none; no secret is in it, they are
 * looked up when it runs; to be freed).
 */
int driver_prepare(struct engine *engine, const char *id, const struct driver_match *match,
		   struct error **err);
struct json *driver_release_json(const struct driver_match *match);

/* driver_finish(engine, id, match, err): The steps of "finish", once a restored service is ready; of none: 0. */
int driver_finish(struct engine *engine, const char *id, const struct driver_match *match,
		  struct error **err);

/* driver_run_release(engine, id, release, err): Run what driver_release_json() described. */
int driver_run_release(struct engine *engine, const char *id, const struct json *release,
		       struct error **err);

/*
 * driver_ready(engine, id, match, ready, err):
 * One probe: *ready. A container that is not running: ERROR_FAILED. A driver that cannot
 * tell (it has no probe, or none of its tools is in the image): ERROR_UNSUPPORTED.
 */
int driver_ready(struct engine *engine, const char *id, const struct driver_match *match,
		 bool *ready, struct error **err);

/*
 * driver_wait_ready(engine, id, match, timeout_ms, cancelled, err):
 * Until ready; without a driver: until the image's health check says healthy or, with none,
 * the process has stayed up for 2 s. When the container ends: an error with its last log lines.
 */
int driver_wait_ready(struct engine *engine, const char *id, const struct driver_match *match,
		      uint64_t timeout_ms, const volatile int *cancelled, struct error **err);

/*
 * driver_client(engine, id, match, arguments): The words of the database's own client for this
 * container, for people to copy; none where the driver names none. The caller releases the list.
 */
void driver_client(struct engine *engine, const char *id, const struct driver_match *match,
		   struct string_list *arguments);

/*
 * driver_shell(engine, id, match, arguments, environment, err):
 * The client for another container in this one's network: its words, and "NAME=value" of its environment,
 * where the secrets are; appended to both lists. ERROR_UNSUPPORTED: the driver has none ("client.shell").
 */
int driver_shell(struct engine *engine, const char *id, const struct driver_match *match,
		 struct string_list *arguments, struct string_list *environment,
		 struct error **err);

#endif
