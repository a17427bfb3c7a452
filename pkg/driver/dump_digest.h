/*
 * Whether two dumps are of the same state: what is the same in them, without the lines that never are
 * (dates, random keys: "volatile" of a driver's dump).
 */
#ifndef SIDESNAP_DRIVER_DUMP_DIGEST_H
#define SIDESNAP_DRIVER_DUMP_DIGEST_H

#include "base/cleanup.h"
#include "driver/driver.h"
#include "store/hash.h"

struct dump_digest;

/* dump_digest_new(driver): NULL where the driver does not say which lines these are: such dumps cannot be compared. */
struct dump_digest *dump_digest_new(const struct driver *driver);
void dump_digest_free(struct dump_digest *digest); /* NULL ok */
CLEANUP_DEFINE(struct dump_digest, dump_digest_free)

/* dump_digest_take(digest, data, size): The next bytes. Memory stays bounded: a long line is taken in parts. */
void dump_digest_take(struct dump_digest *digest, const void *data, size_t size);

/* dump_digest_end(digest, hash): Nothing more comes. */
void dump_digest_end(struct dump_digest *digest, struct hash *hash);

#endif
