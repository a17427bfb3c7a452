/*
 * A dump into a running server with its own tools; and what the boot of a snapshot needs to know to do
 * that by itself.
 */
#ifndef SIDESNAP_DRIVER_LOAD_H
#define SIDESNAP_DRIVER_LOAD_H

#include "driver/driver.h"

struct load;

/*
 * driver_load_check(match, database, err):
 * Whether there is a driver, and dumps (of one ${database}, where not NULL) can be loaded into a running
 * server: else ERROR_UNSUPPORTED, and what can be done instead.
 */
int driver_load_check(const struct driver_match *match, const char *database, struct error **err);

/*
 * driver_load_open(engine, id, match, database, err):
 * Find a way in, run what comes before, and start the tool that reads the dump. ${engine} and ${match}
 * must outlive the result. ERROR_UNSUPPORTED where the driver cannot; the hint says what can be done.
 */
struct load *driver_load_open(struct engine *engine, const char *id,
			      const struct driver_match *match, const char *database,
			      struct error **err);

/* driver_load_write(load, data, size, err): The next bytes. -1 as soon as a statement is known to have failed. */
int driver_load_write(struct load *load, const void *data, size_t size, struct error **err);

/* driver_load_finish(load, err): The dump is whole: wait until it is loaded; 0 only when every statement succeeded. */
int driver_load_finish(struct load *load, struct error **err);

/*
 * driver_load_free(load): At whatever point; without driver_load_finish() what was read stays loaded, and
 * the tool is waited for a moment. Removes what it made in the container. NULL ok.
 */
void driver_load_free(struct load *load);
CLEANUP_DEFINE(struct load, driver_load_free)

/*
 * driver_script_open(engine, id, match, database, err):
 * The same for statements of a person's, by the driver's "script": they are written and finished as a load.
 */
struct load *driver_script_open(struct engine *engine, const char *id,
				const struct driver_match *match, const char *database,
				struct error **err);

/*
 * driver_load_json(engine, id, match, database, err):
 * What a first boot needs to load a dump of this container (FORMAT.md, "what a boot is given"). No secret
 * is in it. To be freed; NULL where the driver cannot load, or the container cannot be looked at.
 */
struct json *driver_load_json(struct engine *engine, const char *id,
			      const struct driver_match *match, const char *database,
			      struct error **err);

#endif
