/*
 * A create that is killed with SIGKILL cannot thaw anything. So before it freezes
 * it starts this process, which holds one end of a pipe: its end tells of the
 * owner's death, its silence of an owner that hangs (stopped, or blocked).
 *
 * Lines on the pipe: one JSON object first, then "watch ID", "alive", "expect MS", "dismiss".
 */
#include "snapshot/helper/watchdog.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "driver/driver.h"
#include "snapshot/helper/companion.h"

/* An owner that says nothing for so long hangs; progress comes every 100 ms or so. */
#define SILENCE_MS 30000

struct watchdog {
	struct companion process;
};

/* ---- the owner's side ---- */

struct watchdog *watchdog_start(const struct engine *engine, const char *helper,
				const struct json *release, const char *starts, struct error **err)
{
	struct watchdog *watchdog = memory_zalloc(sizeof(*watchdog));
	CLEANUP(cleanup_json_free) struct json *setup = json_new_object();

	json_set_string(setup, "helper", helper);
	json_set_string(setup, "starts", starts);
	if (release)
		json_set(setup, "release", json_copy(release));
	if (companion_start(&watchdog->process, "__watchdog", engine, setup, err) == 0)
		return watchdog;
	error_prefix(err, "cannot start the watchdog");
	free(watchdog);
	return NULL;
}

int watchdog_await(struct watchdog *watchdog, const struct engine *engine, struct error **err)
{
	if (companion_await(&watchdog->process, engine, err) == 0)
		return 0;
	return error_prefix(err, "cannot start the watchdog");
}

int watchdog_watch(struct watchdog *watchdog, const char *id, struct error **err)
{
	cleanup_free char *line = memory_printf("watch %s", id);

	if (companion_tell(&watchdog->process, line) < 0)
		return error_set_errno(err, errno, "the watchdog is gone");
	return 0;
}

void watchdog_alive(struct watchdog *watchdog)
{
	if (watchdog)
		companion_tell(&watchdog->process, "alive");
}

void watchdog_expect(struct watchdog *watchdog, uint64_t silence_ms)
{
	cleanup_free char *line = memory_printf("expect %llu", (unsigned long long)silence_ms);

	if (watchdog)
		companion_tell(&watchdog->process, line);
}

void watchdog_dismiss(struct watchdog *watchdog)
{
	if (watchdog)
		companion_tell(&watchdog->process, "dismiss");
	watchdog_abandon(watchdog);
}

void watchdog_abandon(struct watchdog *watchdog)
{
	if (!watchdog)
		return;
	companion_end(&watchdog->process);
	free(watchdog);
}

/* ---- the process ---- */

struct watch {
	struct engine *engine;
	struct json *setup;
	struct string_list ids;
};

/* Thaw one, again and again for a minute: an engine that restarts comes back. */
static bool thaw(struct watch *watch, const char *id)
{
	for (int attempt = 0; attempt < 60; attempt++) {
		cleanup_error struct error *problem = NULL;

		if (container_unpause(watch->engine, id, NULL, &problem) == 0 ||
		    problem->kind == ERROR_NOT_FOUND)
			return true;
		sleep(1);
	}
	return false;
}

static void rescue(struct watch *watch, bool owner_is_dead)
{
	const char *starts = json_string(watch->setup, "starts");
	const char *helper = json_string(watch->setup, "helper");
	bool done = true;

	for (size_t i = 0; i < watch->ids.count; i++)
		done &= thaw(watch, watch->ids.items[i]);
	json_for_each(release, json_get(watch->setup, "release"))
		done &= driver_run_release(watch->engine, json_key(release), release, NULL) == 0;
	if (starts)
		done &= container_start(watch->engine, starts, NULL) == 0;
	/* Else its labels tell doctor what is left to do. */
	if (helper && done && owner_is_dead)
		container_remove(watch->engine, helper, true, true, NULL);
}

static int silence_ms(void)
{
	const char *text = getenv("SIDESNAP_SILENCE_MS");
	uint64_t value;

	return text && text_parse_uint(text, 3600000, &value) ? (int)value : SILENCE_MS;
}

int watchdog_main(void)
{
	static char line[1 << 20];
	struct watch watch = {0};
	/* Nothing is frozen or stopped yet: until then only the end of the pipe counts. */
	int timeout_ms = -1;
	bool ended;
	CLEANUP(cleanup_json_free) struct json *setup = NULL;
	CLEANUP(cleanup_engine_free) struct engine *engine = companion_open(&setup);

	watch.setup = setup;
	watch.engine = engine;
	if (!engine)
		return ERROR_ENGINE;
	if (companion_answer() < 0)
		return ERROR_FAILED;
	while (companion_read(line, sizeof(line), timeout_ms, &ended)) {
		uint64_t expected = 0;

		if (strcmp(line, "dismiss") == 0)
			return 0;
		if (text_has_prefix(line, "watch ")) {
			string_list_add(&watch.ids, line + strlen("watch "));
			timeout_ms = silence_ms();
		}
		if (text_has_prefix(line, "expect ") &&
		    text_parse_uint(line + strlen("expect "), INT_MAX, &expected))
			timeout_ms = expected ? (int)expected : silence_ms();
	}
	rescue(&watch, ended);
	string_list_release(&watch.ids);
	return ERROR_FAILED;
}
