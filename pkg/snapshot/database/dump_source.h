/* The dump in a logical snapshot, read as it comes: by a helper, and a thread that waits for it. */
#ifndef SIDESNAP_SNAPSHOT_DUMP_SOURCE_H
#define SIDESNAP_SNAPSHOT_DUMP_SOURCE_H

#include <sys/types.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "snapshot/session.h"

struct dump_source;

/* dump_source_open(session, image, reference, err): Of a snapshot's inspect; ERROR_USAGE: it holds no dump. */
struct dump_source *dump_source_open(const struct session *session, const struct json *image,
				     const char *reference, struct error **err);
void dump_source_free(struct dump_source *source); /* at whatever point; NULL ok */
CLEANUP_DEFINE(struct dump_source, dump_source_free)

/* dump_source_read(source, data, size, err): 0 only when all of it came, with every hash checked. */
ssize_t dump_source_read(void *source, void *data, size_t size, struct error **err);

/* dump_source_size(source): Bytes that will come. */
uint64_t dump_source_size(const struct dump_source *source);

#endif
