/*
 * The watchdog: a process of its own session that outlives its owner's death and
 * thaws what the owner froze, when the owner dies or goes silent.
 */
#ifndef SIDESNAP_SNAPSHOT_WATCHDOG_H
#define SIDESNAP_SNAPSHOT_WATCHDOG_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "engine/engine.h"

struct watchdog;

/*
 * watchdog_start(engine, helper, release, starts, err):
 * Start it (this program again, by /proc/self/exe). ${helper}: the owner's helper container,
 * which it removes when the owner is dead and all is repaired, so that nobody repairs it again
 * when a person has paused something since; may be NULL. ${release}: commands of the driver to
 * run in a container after it was thawed, an object {id: release JSON}, may be NULL;
 * ${starts}: a container to start again if the owner dies, may be NULL. Does not wait for it:
 * watchdog_await() has to come before anything that it is to put right.
 */
struct watchdog *watchdog_start(const struct engine *engine, const char *helper,
				const struct json *release, const char *starts, struct error **err);

/* watchdog_await(watchdog, engine, err): Until it reaches the engine, so that no freeze begins without it. */
int watchdog_await(struct watchdog *watchdog, const struct engine *engine, struct error **err);

/*
 * watchdog_watch(watchdog, id, err):
 * From now on thaw this container, and from now on silence counts; told before it is paused.
 */
int watchdog_watch(struct watchdog *watchdog, const char *id, struct error **err);

/* watchdog_alive(watchdog): The owner is making progress: the deadline is moved. */
void watchdog_alive(struct watchdog *watchdog);

/* watchdog_expect(watchdog, silence_ms): Before a call that may take so long. 0: the usual deadline again. */
void watchdog_expect(struct watchdog *watchdog, uint64_t silence_ms);

/* watchdog_abandon(watchdog): It does its work now, and is waited for. Frees it; NULL ok. */
void watchdog_abandon(struct watchdog *watchdog);

/* watchdog_dismiss(watchdog): All is thawed and started: it ends without doing anything. Frees it; NULL ok. */
void watchdog_dismiss(struct watchdog *watchdog);
CLEANUP_DEFINE(struct watchdog, watchdog_dismiss)

/* watchdog_main(): The process itself, behind the hidden verb "__watchdog". Returns the exit code. */
int watchdog_main(void);

#endif
