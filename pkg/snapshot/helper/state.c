/*
 * The state volume. It is nobody's data: it is told by its label, never captured, and
 * may be removed at any time.
 */
#include "snapshot/helper/state.h"

#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/text.h"
#include "engine/archive.h"
#include "snapshot/helper/helper.h"
#include "snapshot/labels.h"
#include "store/hash.h"

#define RECORD_MAX 65536
#define RECORDS_MAX 10000

static bool is_ours(const struct json *volume)
{
	return strcmp(json_string_or(json_get(volume, "Labels"), LABEL_ROLE, ""), "state") == 0;
}

static struct json *make_volume(const struct session *session, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *body = json_new_object();

	json_set_string(body, "Name", STATE_VOLUME);
	json_set_string(json_set_object(body, "Labels"), LABEL_ROLE, "state");
	return volume_create(session->engine, body, err);
}

static struct json *make_mount(bool read_only)
{
	struct json *mount = json_new_object();

	json_set_string(mount, "Type", "volume");
	json_set_string(mount, "Source", STATE_VOLUME);
	json_set_string(mount, "Target", STATE_MOUNT);
	json_set_bool(mount, "ReadOnly", read_only);
	json_set_bool(json_set_object(mount, "VolumeOptions"), "NoCopy", true);
	return mount;
}

struct json *state_mount(const struct session *session)
{
	cleanup_error struct error *problem = NULL;
	CLEANUP(cleanup_json_free)
	struct json *volume = volume_inspect(session->engine, STATE_VOLUME, &problem);

	if (!volume && problem->kind == ERROR_NOT_FOUND) {
		error_free(STEAL_POINTER(problem));
		volume = make_volume(session, &problem);
	}
	if (volume && is_ours(volume))
		return make_mount(false);
	progress_detail(session->progress, "volume \"" STATE_VOLUME "\" is not used: %s",
			volume ? "it is not sidesnap's (label " LABEL_ROLE "=state)"
			       : problem->message);
	return NULL;
}

struct json *state_mount_existing(const struct session *session)
{
	CLEANUP(cleanup_json_free)
	struct json *volume = volume_inspect(session->engine, STATE_VOLUME, NULL);

	return volume && is_ours(volume) ? make_mount(true) : NULL;
}

/* The agent names the file so: docs in pkg/wire/wire.h. */
bool state_has_volume(const struct session *session, const char *helper, const char *volume)
{
	CLEANUP(cleanup_json_free) struct json *stat = NULL;
	cleanup_free char *path = NULL;
	char digits[HASH_HEX_SIZE];
	struct hash hash;

	if (!volume)
		return false;
	hash_data(&hash, volume, strlen(volume));
	hash_format(&hash, digits);
	path = memory_printf(STATE_MOUNT "/volumes/%s.state", digits);
	stat = container_archive_stat(session->engine, helper, path, NULL);
	return stat != NULL;
}

/* ---- records ---- */

static int check_entry(void *context, const struct tar_entry *entry, struct error **err)
{
	(void)context;
	return S_ISREG(entry->mode) && entry->size <= RECORD_MAX
		       ? 0
		       : error_set(err, ERROR_DAMAGED, "this is no record");
}

static int take_data(void *context, const void *data, size_t size, struct error **err)
{
	struct buffer *text = context;

	(void)err;
	buffer_append(text, data, size);
	return 0;
}

/* A record, where it makes sense. */
static struct json *parse(const struct buffer *text)
{
	CLEANUP(cleanup_json_free) struct json *record = json_parse(text->data, text->size, NULL);
	struct timespec at;

	if (!*json_string_or(record, "container", "") || !*json_string_or(record, "snapshot", "") ||
	    !clock_parse(json_string_or(record, "at", ""), &at))
		return NULL;
	return STEAL_POINTER(record);
}

struct json *state_record(const struct session *session, const char *helper, const char *container)
{
	static const struct tar_callbacks callbacks = {.entry = check_entry, .data = take_data};
	cleanup_free char *path = memory_printf(STATE_MOUNT "/containers/%s.json", container);
	CLEANUP(cleanup_json_free) struct json *record = NULL;
	CLEANUP(buffer_release) struct buffer text;

	buffer_init(&text, RECORD_MAX + 1);
	if (container_archive_read(session->engine, helper, path, &callbacks, &text, NULL) < 0)
		return NULL;
	record = parse(&text);
	if (strcmp(json_string_or(record, "container", ""), container) != 0)
		return NULL;
	return STEAL_POINTER(record);
}

/* ---- all records ---- */

struct reading {
	struct buffer text; /* of the file that is being read */
	struct json *records;
};

static void finish_record(struct reading *reading)
{
	struct json *record = reading->text.size ? parse(&reading->text) : NULL;

	if (record)
		json_add(reading->records, record);
	buffer_clear(&reading->text);
}

static int begin_record(void *context, const struct tar_entry *entry, struct error **err)
{
	struct reading *reading = context;

	finish_record(reading);
	if (json_count(reading->records) >= RECORDS_MAX)
		return error_set(err, ERROR_DAMAGED,
				 "volume \"" STATE_VOLUME "\" holds more records than any of ours");
	return S_ISDIR(entry->mode) ? 0 : check_entry(NULL, entry, err);
}

static int take_record(void *context, const void *data, size_t size, struct error **err)
{
	struct reading *reading = context;

	return take_data(&reading->text, data, size, err);
}

struct json *state_records(const struct session *session, const char *image, struct error **err)
{
	static const struct tar_callbacks callbacks = {.entry = begin_record, .data = take_record};
	CLEANUP(cleanup_json_free) struct json *mounts = json_new_array();
	struct helper_specification specification = {
		.image = image, .purpose = "measure", .mounts = mounts, .empty = true};
	CLEANUP(cleanup_helper_free) struct helper *helper = NULL;
	struct json *mount = state_mount_existing(session);
	struct reading reading = {.records = json_new_array()};
	cleanup_error struct error *problem = NULL;

	if (!mount)
		return reading.records;
	buffer_init(&reading.text, RECORD_MAX + 1);
	json_add(mounts, mount);
	helper = helper_create(session, &specification, &problem);
	/* Before the first reset there is no such folder. */
	if (helper &&
	    container_archive_read(session->engine, helper_id(helper), STATE_MOUNT "/containers",
				   &callbacks, &reading, &problem) == 0)
		finish_record(&reading);
	buffer_release(&reading.text);
	if (problem && problem->kind != ERROR_NOT_FOUND) {
		error_append(err, STEAL_POINTER(problem));
		json_free(reading.records);
		return NULL;
	}
	return reading.records;
}
