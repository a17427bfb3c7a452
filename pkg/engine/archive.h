/* The contents of a container's archive, member by member. */
#ifndef SIDESNAP_ENGINE_ARCHIVE_H
#define SIDESNAP_ENGINE_ARCHIVE_H

#include "base/tar.h"
#include "engine/engine.h"

/*
 * container_archive_read(engine, id, path, callbacks, context, err):
 * GET archive of ${path}, parsed as it arrives in bounded memory. Members are named as
 * the engine names them: below the last part of ${path} ("data/base/1"; podman leaves
 * that part out for a volume). An empty answer, as podman gives while it unmounts, is
 * asked for again for three seconds; a cut one is an error, after callbacks have run.
 * The callbacks may use ${engine} for other requests.
 */
int container_archive_read(struct engine *engine, const char *id, const char *path,
			   const struct tar_callbacks *callbacks, void *context,
			   struct error **err);

#endif
