/* What tells a whole dump from a piece of one, by a driver's words, while it passes by: nothing of it is kept. */
#ifndef SIDESNAP_DRIVER_DUMP_CHECK_H
#define SIDESNAP_DRIVER_DUMP_CHECK_H

#include "driver/driver.h"

enum dump_kind {
	DUMP_OF_SERVER = 1,
	DUMP_OF_DATABASE = 2,
	DUMP_OF_EITHER = 3, /* whichever it turns out to be */
};

struct dump_check;

/* dump_check_new(driver, kind, err): Of a driver without "dump" everything is right. ${driver} is borrowed. */
struct dump_check *dump_check_new(const struct driver *driver, enum dump_kind kind,
				  struct error **err);
void dump_check_free(struct dump_check *check); /* NULL ok */
CLEANUP_DEFINE(struct dump_check, dump_check_free)

/* dump_check_take(check, data, size): The next bytes. */
void dump_check_take(struct dump_check *check, const void *data, size_t size);

/* dump_check_start(check, err): Whether it begins as one, once 4 KiB were taken, or all. */
int dump_check_start(const struct dump_check *check, struct error **err);

/*
 * dump_check_database(check, database, err):
 * Once 4 KiB were taken, or all: ERROR_USAGE where the dump is not of ${database} by what the driver's
 * "names" finds in it. Of a driver without "names" every dump is right.
 */
int dump_check_database(const struct dump_check *check, const char *database, struct error **err);

/* dump_check_end(check, err): All of it was taken: whether it is whole. */
int dump_check_end(struct dump_check *check, struct error **err);

/* dump_check_is_empty(check): After the end: whether it holds nothing, as far as the driver can tell. */
bool dump_check_is_empty(const struct dump_check *check);

#endif
