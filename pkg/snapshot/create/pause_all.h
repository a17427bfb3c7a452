/* Pausing several containers at the same time: one after the other, the first would wait for the last. */
#ifndef SIDESNAP_SNAPSHOT_PAUSE_ALL_H
#define SIDESNAP_SNAPSHOT_PAUSE_ALL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "engine/engine.h"

struct pause_task {
	const char *id; /* borrowed */
	int result;	/* of container_pause() or container_unpause() */
	bool changed;
	struct error *problem; /* to be freed */
};

/*
 * pause_all(engine, cancelled, tasks, count, thaw):
 * Pause, or with ${thaw} unpause all, each by a connection of its own; every task has its outcome
 * afterwards. A single one by ${engine} itself. ${cancelled}: of the others' engine_set_cancel().
 */
void pause_all(struct engine *engine, const volatile int *cancelled, struct pause_task *tasks,
	       size_t count, bool thaw);

#endif
