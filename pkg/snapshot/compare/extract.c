/* The command's side of the extract job. */
#include "snapshot/compare/extract.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "snapshot/labels.h"
#include "snapshot/target.h"

#define ATTRIBUTES_MAX 4096
#define LINK_MAX_SIZE 4095

struct extraction {
	const struct session *session;
	struct helper *helper;
	char *reference, *path, *type;
};

/* ---- what is asked for ---- */

int extract_parse(const char *word, struct extract_source *source, struct error **err)
{
	const char *colon = strstr(word, ":/");

	memset(source, 0, sizeof(*source));
	if (!colon || colon == word) {
		error_set(err, ERROR_USAGE, "\"%s\" is no REF:PATH", word);
		return error_hint(err, "as in demo:before:/etc/passwd, with the whole path");
	}
	source->reference = memory_strndup(word, (size_t)(colon - word));
	source->path = memory_strdup(colon + 1);
	return 0;
}

void extract_source_release(struct extract_source *source)
{
	free(source->reference);
	free(source->path);
}

void extraction_free(struct extraction *extraction)
{
	if (!extraction)
		return;
	helper_free(extraction->helper);
	free(extraction->reference);
	free(extraction->path);
	free(extraction->type);
	free(extraction);
}

const char *extraction_path(const struct extraction *extraction)
{
	return extraction->path;
}

const char *extraction_type(const struct extraction *extraction)
{
	return extraction->type;
}

const char *extraction_reference(const struct extraction *extraction)
{
	return extraction->reference;
}

static struct json *make_job(const struct extraction *extraction, const struct json *image,
			     const char *path, bool follow)
{
	struct json *job = json_new_object();

	json_set_string(job, "operation", "extract");
	json_set_string(job, "manifest", snapshot_label(image, LABEL_MANIFEST));
	json_set_bytes(job, "path", path);
	json_set_bool(job, "follow", follow);
	json_set_string(job, "agent_path", helper_agent_path(extraction->helper));
#ifdef SIDESNAP_FAILPOINTS
	if (getenv("SIDESNAP_FAILPOINT"))
		json_set_string(job, "failpoint", getenv("SIDESNAP_FAILPOINT"));
#endif
	return job;
}

struct extraction *extraction_open(const struct session *session,
				   const struct extract_source *source, bool follow,
				   struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *image = snapshot_inspect(session, source->reference, err), *job = NULL,
		    *ready = NULL;
	CLEANUP(cleanup_extraction_free) struct extraction *extraction = NULL;
	struct helper_specification specification = {.purpose = "extract"};

	if (!image)
		return NULL;
	specification.image = json_string(image, "Id");
	extraction = memory_zalloc(sizeof(*extraction));
	extraction->session = session;
	extraction->reference = memory_strdup(source->reference);
	progress_phase(session->progress, "looking for %s", source->path);
	extraction->helper = helper_create(session, &specification, err);
	if (!extraction->helper)
		return NULL;
	job = make_job(extraction, image, source->path, follow);
	if (helper_start(extraction->helper, job, &ready, err) < 0)
		return NULL;
	failpoint("extract/started");
	extraction->path = json_bytes(ready, "path");
	extraction->type = memory_strdup(json_string_or(ready, "type", ""));
	if (!extraction->path) {
		error_set(err, ERROR_FAILED, "the agent sent garbage");
		return NULL;
	}
	return STEAL_POINTER(extraction);
}

/* ---- what comes ---- */

/* One member, with what it points to. */
struct member {
	struct tar_entry entry;
	char *path, *link, *hardlink;
	struct tar_attribute *attributes;
	size_t attribute_count;
};

static void member_release(struct member *member)
{
	for (size_t i = 0; i < member->attribute_count; i++) {
		free((void *)(uintptr_t)member->attributes[i].name);
		free((void *)(uintptr_t)member->attributes[i].value);
	}
	free(member->attributes);
	free(member->path);
	free(member->link);
	free(member->hardlink);
}

static int bad_member(const char *what, struct error **err)
{
	return error_set(err, ERROR_DAMAGED, "a file of the snapshot has a bad %s", what);
}

static int parse_type(struct member *member, const struct json *json, struct error **err)
{
	static const struct {
		const char *name;
		mode_t mode;
	} types[] = {
		{"file", S_IFREG}, {"directory", S_IFDIR}, {"symlink", S_IFLNK},
		{"fifo", S_IFIFO}, {"char", S_IFCHR},	   {"block", S_IFBLK},
	};
	const char *type = json_string_or(json, "type", "");
	uint64_t mode = 0;

	if (!json_uint_checked(json, "mode", 07777, &mode))
		return bad_member("mode", err);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(types[i].name, type) != 0)
			continue;
		member->entry.mode = types[i].mode | (mode_t)mode;
		return 0;
	}
	return bad_member("type", err);
}

static int parse_numbers(struct tar_entry *entry, const struct json *json, struct error **err)
{
	const struct json *device = json_get(json, "device");
	uint64_t uid = 0, gid = 0, size = 0, numbers[2] = {0, 0};

	if (!json_uint_checked(json, "uid", UINT32_MAX - 1, &uid) ||
	    !json_uint_checked(json, "gid", UINT32_MAX - 1, &gid) ||
	    (json_get(json, "size") && !json_uint_checked(json, "size", UINT64_C(1) << 53, &size)))
		return bad_member("owner or size", err);
	if (device &&
	    (json_count(device) != 2 ||
	     !json_uint_checked(json_first(device), NULL, 4095, &numbers[0]) ||
	     !json_uint_checked(json_next(json_first(device)), NULL, 0xfffff, &numbers[1])))
		return bad_member("device number", err);
	entry->uid = (uid_t)uid;
	entry->gid = (gid_t)gid;
	entry->size = size;
	entry->device = makedev((unsigned)numbers[0], (unsigned)numbers[1]);
	return 0;
}

/* "SECONDS.NANOSECONDS" */
static int parse_time(struct timespec *time, const struct json *json, struct error **err)
{
	const char *text = json_string_or(json, "mtime", "");
	char *end;
	uint64_t nanoseconds;

	time->tv_sec = (time_t)strtoll(text, &end, 10);
	if (end == text || *end != '.' || strlen(end) != 10 ||
	    !text_parse_uint(end + 1, 999999999, &nanoseconds))
		return bad_member("time", err);
	time->tv_nsec = (long)nanoseconds;
	return 0;
}

static int parse_attributes(struct member *member, const struct json *json, struct error **err)
{
	const struct json *list = json_get(json, "attributes");
	size_t count = json_count(list);

	if (count > ATTRIBUTES_MAX)
		return bad_member("number of attributes", err);
	member->attributes = memory_zalloc((count + 1) * sizeof(*member->attributes));
	json_for_each(item, list) {
		struct tar_attribute *attribute = &member->attributes[member->attribute_count++];

		attribute->name = memory_strdup(json_key(item));
		attribute->value = text_unbase64(json_string_or(item, NULL, ""), &attribute->size);
		if (!attribute->value)
			return bad_member("attribute", err);
	}
	member->entry.attributes = member->attributes;
	member->entry.attribute_count = member->attribute_count;
	return 0;
}

static bool is_good_path(const char *path)
{
	return path && (!*path || path_is_safe_relative(path, strlen(path)));
}

static int member_parse(struct member *member, const struct json *json, struct error **err)
{
	memset(member, 0, sizeof(*member));
	member->path = json_bytes(json, "path");
	member->link = json_bytes(json, "link");
	member->hardlink = json_bytes(json, "hardlink");
	if (!is_good_path(member->path) || (member->hardlink && !is_good_path(member->hardlink)))
		return bad_member("name", err);
	if (parse_type(member, json, err) < 0 || parse_numbers(&member->entry, json, err) < 0 ||
	    parse_time(&member->entry.mtime, json, err) < 0 ||
	    parse_attributes(member, json, err) < 0)
		return -1;
	if (S_ISLNK(member->entry.mode) && !member->hardlink &&
	    (!member->link || !*member->link || strlen(member->link) > LINK_MAX_SIZE))
		return bad_member("link", err);
	member->entry.path = member->path;
	member->entry.link = member->link;
	member->entry.hardlink = member->hardlink;
	return 0;
}

struct taking {
	const struct extract_taker *taker;
	uint64_t left; /* bytes of the last member that are still to come */
};

static int check_whole(const struct taking *taking, struct error **err)
{
	return taking->left ? error_set(err, ERROR_DAMAGED, "a file of the snapshot is cut short")
			    : 0;
}

static int take_entry(struct taking *taking, const struct json *json, struct error **err)
{
	struct member member;
	int result;

	if (check_whole(taking, err) < 0)
		return -1;
	result = member_parse(&member, json, err);
	if (result == 0) {
		if (S_ISREG(member.entry.mode) && !member.hardlink)
			taking->left = member.entry.size;
		result = taking->taker->entry(taking->taker->context, &member.entry, err);
	}
	member_release(&member);
	return result;
}

static int take_bytes(struct taking *taking, const void *data, uint64_t size, struct error **err)
{
	const struct extract_taker *taker = taking->taker;

	if (size > taking->left)
		return error_set(err, ERROR_DAMAGED, "a file of the snapshot is too long");
	taking->left -= size;
	return data ? taker->data(taker->context, data, (size_t)size, err)
		    : taker->hole(taker->context, size, err);
}

static int take_frame(struct taking *taking, const struct wire_frame *frame, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *json = NULL;
	uint64_t hole = 0;

	if (frame->type == WIRE_DATA)
		return take_bytes(taking, frame->payload, frame->size, err);
	json = wire_frame_json(frame, err);
	if (!json)
		return error_prefix(err, "the agent sent garbage");
	if (frame->type == WIRE_ENTRY)
		return take_entry(taking, json, err);
	if (frame->type == WIRE_FOUND && json_uint_checked(json, "hole", UINT64_C(1) << 53, &hole))
		return take_bytes(taking, NULL, hole, err);
	return error_set(err, ERROR_FAILED, "the agent answered out of turn (%d)",
			 (int)frame->type);
}

int extract_take(struct helper *helper, const struct extract_taker *taker, struct error **err)
{
	struct taking taking = {.taker = taker};
	struct wire_frame frame;

	for (;;) {
		if (helper_next(helper, &frame, err) < 0)
			return -1;
		if (frame.type == WIRE_END)
			return check_whole(&taking, err);
		if (take_frame(&taking, &frame, err) < 0)
			return -1;
	}
}

int extraction_run(struct extraction *extraction, const struct extract_taker *taker,
		   struct json **done, struct error **err)
{
	progress_phase(extraction->session->progress, "reading %s", extraction->path);
	if (helper_send(extraction->helper, WIRE_GO, NULL, err) < 0 ||
	    extract_take(extraction->helper, taker, err) < 0 ||
	    helper_wait(extraction->helper, WIRE_DONE, done, err) < 0)
		return -1;
	return helper_close(extraction->helper, err);
}
