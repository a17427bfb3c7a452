/*
 * A sign of life that needs no common clock: a count that goes on. It is written by a
 * process of its own, since its owner may wait for an engine or a person for minutes.
 */
#include "snapshot/helper/heartbeat.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/memory.h"
#include "base/text.h"
#include "engine/archive.h"
#include "snapshot/helper/companion.h"
#include "snapshot/labels.h"

#define BEAT_MS 10000

/* An engine under load may answer late: so many are missed before it counts. */
#define MISSED_BEATS 6

#define FILE_NAME "alive"
#define FILE_MAX 16384
#define LINE_MAX_SIZE 64

struct heartbeat {
	struct companion process;
};

/* Tests are not made to wait for a minute. */
static uint64_t beat_ms(void)
{
	const char *text = getenv("SIDESNAP_BEAT_MS");
	uint64_t value;

	return text && text_parse_uint(text, BEAT_MS, &value) && value ? value : BEAT_MS;
}

/* ---- the owner's side ---- */

struct heartbeat *heartbeat_start(const struct session *session, const char *helper,
				  const char *folder, bool now, struct error **err)
{
	struct heartbeat *heartbeat = memory_zalloc(sizeof(*heartbeat));
	CLEANUP(cleanup_json_free) struct json *setup = json_new_object();
	cleanup_free char *owner = owner_label(session);

	json_set_string(setup, "helper", helper);
	json_set_string(setup, "folder", folder);
	json_set_string(setup, "owner", owner);
	json_set_bool(setup, "now", now);
	if (companion_start(&heartbeat->process, "__heartbeat", session->engine, setup, err) == 0) {
		if (companion_await(&heartbeat->process, session->engine, err) == 0)
			return heartbeat;
		companion_end(&heartbeat->process);
	}
	error_prefix(err, "cannot start the process that tells others of this one");
	free(heartbeat);
	return NULL;
}

void heartbeat_stop(struct heartbeat *heartbeat)
{
	if (!heartbeat)
		return;
	companion_tell(&heartbeat->process, "end");
	companion_end(&heartbeat->process);
	free(heartbeat);
}

/* ---- the process ---- */

struct beating {
	struct engine *engine;
	const struct json *setup;
	int64_t count;
};

/* Whether it makes sense to go on. */
static bool beat(struct beating *beating, bool is_last)
{
	CLEANUP(cleanup_json_free) struct json *content = json_new_object();
	CLEANUP(buffer_release) struct buffer archive;
	cleanup_free char *text = NULL;
	cleanup_error struct error *problem = NULL;
	struct tar_entry entry = {.path = FILE_NAME, .mode = S_IFREG | 0600, .mtime = clock_now()};

	json_set_string(content, "owner", json_string(beating->setup, "owner"));
	json_set_int(content, "count", ++beating->count);
	json_set_bool(content, "ended", is_last);
	text = json_print(content, false);
	entry.size = strlen(text);
	buffer_init(&archive, FILE_MAX + 4096);
	if (tar_append_plain(&archive, &entry, text, &problem) < 0 ||
	    tar_finish_plain(&archive, &problem) < 0 ||
	    container_archive_put_buffer(
		    beating->engine, json_string_or(beating->setup, "helper", ""),
		    json_string_or(beating->setup, "folder", ""), &archive, &problem) < 0)
		return problem->kind != ERROR_NOT_FOUND;
	return true;
}

int heartbeat_main(void)
{
	CLEANUP(cleanup_json_free) struct json *setup = NULL;
	CLEANUP(cleanup_engine_free) struct engine *engine = companion_open(&setup);
	struct beating beating = {.engine = engine, .setup = setup};
	char line[LINE_MAX_SIZE];
	bool ended, goes_on = true;

	if (!engine)
		return ERROR_ENGINE;
	if (json_bool(setup, "now"))
		beat(&beating, false);
	if (companion_answer() < 0)
		return ERROR_FAILED;
	while (!companion_read(line, sizeof(line), goes_on ? (int)beat_ms() : -1, &ended)) {
		if (ended)
			return 0;
		goes_on = beat(&beating, false);
	}
	/* Where nobody has seen one they go by the label of the helper. */
	if (beating.count && goes_on)
		beat(&beating, true);
	return 0;
}

/* ---- who asks ---- */

static int check_entry(void *context, const struct tar_entry *entry, struct error **err)
{
	(void)context;
	return S_ISREG(entry->mode) && entry->size <= FILE_MAX
		       ? 0
		       : error_set(err, ERROR_DAMAGED, "this is no sign of life");
}

static int take_data(void *context, const void *data, size_t size, struct error **err)
{
	struct buffer *text = context;

	(void)err;
	buffer_append(text, data, size);
	return 0;
}

/* What was written last; an empty object when nothing was; NULL where that cannot be told. */
static struct json *read_beat(const struct session *session, const struct json *helper)
{
	static const struct tar_callbacks callbacks = {.entry = check_entry, .data = take_data};
	const char *nonce = json_string_or(json_path(helper, "Config", "Labels"), LABEL_NONCE, "");
	cleanup_free char *path = memory_printf("/%s/" FILE_NAME, nonce);
	cleanup_error struct error *problem = NULL;
	CLEANUP(buffer_release) struct buffer text;

	buffer_init(&text, FILE_MAX + 1);
	if (container_archive_read(session->engine, json_string_or(helper, "Id", ""), path,
				   &callbacks, &text, &problem) == 0)
		return json_parse(text.data, text.size, NULL);
	return problem->kind == ERROR_NOT_FOUND ? json_new_object() : NULL;
}

static enum owner_state seen(const struct session *session, const struct json *helper,
			     const struct json *last)
{
	const struct json *labels = json_path(helper, "Config", "Labels");

	if (json_bool(last, "ended"))
		return OWNER_DEAD;
	return owner_state(session,
			   json_string_or(last, "owner", json_string_or(labels, LABEL_OWNER, "")));
}

/* A helper that is gone was removed by its owner: it needs nobody. */
static bool shows_life(const struct session *session, const struct json *helper,
		       const struct json *first, struct json **last)
{
	cleanup_error struct error *problem = NULL;
	CLEANUP(cleanup_json_free)
	struct json *now =
		container_inspect(session->engine, json_string_or(helper, "Id", ""), &problem);

	if (now ? json_bool(json_get(now, "State"), "Running") : problem->kind == ERROR_NOT_FOUND)
		return true;
	json_free(*last);
	*last = read_beat(session, helper);
	return *last && json_int(*last, "count") != json_int(first, "count");
}

/* Its stream is open while a helper runs: else it would have ended. */
enum owner_state heartbeat_owner(const struct session *session, const struct json *helper)
{
	CLEANUP(cleanup_json_free) struct json *first = read_beat(session, helper), *last = NULL;
	struct timespec pause = {0, (long)(beat_ms() / 10) * 1000000L};
	uint64_t start = clock_monotonic_ms();
	enum owner_state state = seen(session, helper, first);

	if (state != OWNER_UNKNOWN)
		return state;
	if (json_bool(json_get(helper, "State"), "Running"))
		return OWNER_ALIVE;
	progress_phase(session->progress,
		       "waiting for a sign of life: the process cannot be seen from here");
	if (beat_ms() >= BEAT_MS)
		pause = (struct timespec){1, 0};
	while (clock_monotonic_ms() - start < beat_ms() * MISSED_BEATS) {
		nanosleep(&pause, NULL);
		if (shows_life(session, helper, first, &last))
			return json_bool(last, "ended") ? OWNER_DEAD : OWNER_ALIVE;
	}
	/* What cannot be read may be going on. */
	return first && last ? OWNER_DEAD : OWNER_UNKNOWN;
}
