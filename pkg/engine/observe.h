/*
 * What an engine tells of its containers for people who look for a fault: figures, events. Nothing
 * here changes anything.
 */
#ifndef SIDESNAP_ENGINE_OBSERVE_H
#define SIDESNAP_ENGINE_OBSERVE_H

#include "engine/engine.h"

/* What a container uses, again and again. Several may be open on one engine object, for one thread. */
struct stats_stream;

struct stats_stream *stats_stream_open(struct engine *engine, const char *id, struct error **err);
void stats_stream_free(struct stats_stream *stream); /* NULL ok */
CLEANUP_DEFINE(struct stats_stream, stats_stream_free)

/* stats_stream_next(stream, err): Wait for the next one, about a second; to be freed. NULL: failure, or the container has ended. */
struct json *stats_stream_next(struct stats_stream *stream, struct error **err);

/*
 * engine_events(engine, since, until, most, err):
 * An array of what happened from the begin of one second (since 1970) to the end of another, oldest first; the last ${most} of
 * them. To be freed.
 */
struct json *engine_events(struct engine *engine, int64_t since, int64_t until, size_t most,
			   struct error **err);

/* engine_disk_use(engine, err): GET /system/df. */
struct json *engine_disk_use(struct engine *engine, struct error **err);

#endif
