/*
 * A database's own dump as a stream, proven while it passes by: nothing of it is kept, and it is good
 * only when the tool ended with 0, the dump begins and ends as a whole one does, and it is not an empty
 * one of a server that holds something.
 */
#ifndef SIDESNAP_DRIVER_DUMP_H
#define SIDESNAP_DRIVER_DUMP_H

#include <sys/types.h>

#include "driver/driver.h"

struct dump;

/* driver_dumps(match, database): Whether there is a driver, and it can; ${database}: one database alone. */
bool driver_dumps(const struct driver_match *match, bool database);

/* driver_dump_without(match): In words, what of the database is in no dump; "": not said. Borrowed. */
const char *driver_dump_without(const struct driver_match *match);

/*
 * driver_dump_open(engine, id, match, database, err):
 * Find a way in, run what comes before, and start the dump of the whole server, or of ${database} (may
 * be NULL). ${engine} and ${match} must outlive the result. ERROR_UNSUPPORTED where the driver cannot.
 */
struct dump *driver_dump_open(struct engine *engine, const char *id,
			      const struct driver_match *match, const char *database,
			      struct error **err);

/*
 * driver_dump_read(dump, data, size, err):
 * The next bytes, ${size} of them but for the last; 0 only when the dump has ended and is proven whole.
 * After -1, and where it was not read to its end, what was read is worth nothing.
 */
ssize_t driver_dump_read(struct dump *dump, void *data, size_t size, struct error **err);

/* driver_dump_file(dump): The name of its file, for people and in a snapshot; borrowed. */
const char *driver_dump_file(const struct dump *dump);

/* driver_dump_version(dump): What the server calls its version, untrusted; borrowed. */
const char *driver_dump_version(const struct dump *dump);

/* driver_dump_said(dump): What the tool said on stderr (warnings of a good dump), without secrets; borrowed. */
const char *driver_dump_said(struct dump *dump);

/* driver_dump_free(dump): At whatever point; removes what it made in the container. NULL ok. */
void driver_dump_free(struct dump *dump);
CLEANUP_DEFINE(struct dump, driver_dump_free)

#endif
