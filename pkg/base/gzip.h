/*
 * What gzip has compressed, as it comes: the only home of zlib.
 */
#ifndef SIDESNAP_BASE_GZIP_H
#define SIDESNAP_BASE_GZIP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"

/* gzip_is(data, size): Whether bytes begin as those of gzip do. */
bool gzip_is(const void *data, size_t size);

struct gunzip;

/* gunzip_new(): Before the first byte. Never NULL. */
struct gunzip *gunzip_new(void);
void gunzip_free(struct gunzip *gunzip); /* NULL ok */
CLEANUP_DEFINE(struct gunzip, gunzip_free)

/*
 * gunzip_feed(gunzip, data, size, output, err):
 * The next bytes: all that they tell is appended. ERROR_DAMAGED, or ERROR_UNSUPPORTED where it is more than
 * ${output} takes; then nothing more can be fed.
 */
int gunzip_feed(struct gunzip *gunzip, const void *data, size_t size, struct buffer *output,
		struct error **err);

/* gunzip_is_whole(gunzip): Whether an end has come, and nothing behind it. */
bool gunzip_is_whole(const struct gunzip *gunzip);

#endif
