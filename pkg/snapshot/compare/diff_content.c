/*
 * sidesnap diff --content: one file, as text by the machine's own diff, else by the ranges that
 * differ.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "snapshot/compare/extract.h"
#include "snapshot/compare/pair.h"
#include "snapshot/snapshot.h"
#include "snapshot/compare/text_diff.h"

/* What the agent calls text is at most so large. */
#define TEXT_MAX ((8U << 20) + 1)
#define RANGES_MAX 100000U

/* ---- one side's text ---- */

static int ignore_entry(void *context, const struct tar_entry *entry, struct error **err)
{
	(void)context;
	(void)entry;
	(void)err;
	return 0;
}

static int take_data(void *context, const void *data, size_t size, struct error **err)
{
	return buffer_append(context, data, size) < 0
		       ? error_set(err, ERROR_FAILED, "the agent sent a text that is too long")
		       : 0;
}

static int take_hole(void *context, uint64_t length, struct error **err)
{
	static const char zeros[4096];

	while (length) {
		size_t size = length < sizeof(zeros) ? (size_t)length : sizeof(zeros);

		if (take_data(context, zeros, size, err) < 0)
			return -1;
		length -= size;
	}
	return 0;
}

/* ---- text ---- */

struct texts {
	struct buffer from, to;
	char *from_label, *to_label;
};

static int compare_texts(struct session *session, const struct texts *texts, struct json *result,
			 struct error **err)
{
	bool same = texts->from.size == texts->to.size &&
		    memcmp(texts->from.data, texts->to.data, texts->to.size) == 0;
	cleanup_free char *diff = NULL;

	if (!same) {
		const struct text_side from = {texts->from_label, &texts->from},
				       to = {texts->to_label, &texts->to};

		diff = text_diff(&from, &to, session->cancelled, err);
		if (!diff)
			return -1;
	}
	json_set_bool(result, "same", same);
	json_set_bytes(result, "diff", text_or(diff, ""));
	return 0;
}

static char *label_of(const char *name, const struct json *side)
{
	cleanup_free char *path = json_bytes(side, "path");

	return path ? memory_printf("%s:%s", name, path) : memory_strdup("/dev/null");
}

static int take_texts(struct session *session, struct pair *pair, const struct json *content,
		      struct json *result, struct error **err)
{
	struct texts texts;
	const struct extract_taker takers[] = {
		{ignore_entry, take_data, take_hole, &texts.from},
		{ignore_entry, take_data, take_hole, &texts.to},
	};
	const char *from, *to;
	int status = 0;

	buffer_init(&texts.from, TEXT_MAX);
	buffer_init(&texts.to, TEXT_MAX);
	pair_names(pair, &from, &to);
	texts.from_label = label_of(from, json_get(content, "from"));
	texts.to_label = label_of(to, json_get(content, "to"));
	for (size_t i = 0; status == 0 && i < 2; i++)
		status = extract_take(pair_helper(pair), &takers[i], err);
	if (status == 0)
		status = compare_texts(session, &texts, result, err);
	/* one that is there is another thing than none, also if it is empty */
	if (status == 0 && (!json_get(content, "from") || !json_get(content, "to")))
		json_set_bool(result, "same", false);
	buffer_release(&texts.from);
	buffer_release(&texts.to);
	free(texts.from_label);
	free(texts.to_label);
	return status;
}

/* ---- ranges ---- */

static void add_ranges(struct json *list, const struct json *ranges)
{
	json_for_each(range, ranges)
		if (json_count(list) < RANGES_MAX)
			json_add(list, json_copy(range));
}

static int take_ranges(struct pair *pair, const struct json *content, struct json *result,
		       struct error **err)
{
	struct json *list = json_set_array(result, "ranges");
	struct wire_frame frame;
	bool is_one = !json_get(content, "from") || !json_get(content, "to");

	json_set_int(result, "changed_bytes", 0);
	json_set_int(result, "count", 0);
	for (;;) {
		CLEANUP(cleanup_json_free) struct json *json = NULL;

		if (helper_next(pair_helper(pair), &frame, err) < 0)
			return -1;
		if (frame.type == WIRE_END)
			break;
		json = frame.type == WIRE_FOUND ? wire_frame_json(&frame, err) : NULL;
		if (!json)
			return error_prefix(err, "the agent sent garbage");
		add_ranges(list, json_get(json, "ranges"));
		if (json_get(json, "count")) {
			json_set_int(result, "changed_bytes", json_int(json, "changed_bytes"));
			json_set_int(result, "count", json_int(json, "count"));
		}
	}
	json_set_bool(result, "same", !is_one && !json_int(result, "count"));
	return 0;
}

/* ---- all of it ---- */

static int take_content(struct session *session, struct pair *pair, struct json *result,
			struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *found = NULL;
	const struct json *content;
	const char *kind;
	struct wire_frame frame;

	if (helper_next(pair_helper(pair), &frame, err) < 0)
		return -1;
	found = frame.type == WIRE_FOUND ? wire_frame_json(&frame, err) : NULL;
	content = json_get(found, "content");
	kind = json_string_or(content, "kind", "");
	if (!content)
		return error_set(err, ERROR_FAILED, "the agent answered out of turn (%d)",
				 (int)frame.type);
	json_set_string(result, "kind", kind);
	/* where links have led to */
	if (json_get(content, "from"))
		json_set(json_get(result, "from"), "size",
			 json_copy(json_path(content, "from", "size")));
	if (json_get(content, "to"))
		json_set(json_get(result, "to"), "size",
			 json_copy(json_path(content, "to", "size")));
	return strcmp(kind, "text") == 0 ? take_texts(session, pair, content, result, err)
					 : take_ranges(pair, content, result, err);
}

int snapshot_diff_content(struct session *session, const char *from, const char *to,
			  const char *path, struct json **result, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *job = json_new_object(), *object = json_new_object();
	CLEANUP(cleanup_pair_free) struct pair *pair = pair_open(session, from, to, err);

	if (!pair)
		return -1;
	pair_describe(pair, object);
	json_set_bytes(object, "path", path);
	json_set_string(job, "operation", "diff");
	json_set_bytes(job, "content", path);
	if (pair_start(pair, job, err) < 0 || take_content(session, pair, object, err) < 0 ||
	    pair_finish(pair, NULL, err) < 0)
		return error_prefix(err, "cannot compare \"%s\"", path);
	*result = STEAL_POINTER(object);
	return session_check(session, err);
}
