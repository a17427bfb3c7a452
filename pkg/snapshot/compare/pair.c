/*
 * The agent that compares is made from the older snapshot's image and sees the other helper's
 * root through its processes. Of a container as it is now, that other helper holds a capture
 * in its layer, which is thrown away with it.
 */
#include "snapshot/compare/pair.h"

#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/text.h"
#include "snapshot/create/create.h"
#include "snapshot/helper/state.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/origin.h"
#include "snapshot/target.h"

#define PURPOSE "diff"

/* One of the two, as a person has named it. */
struct end {
	char *name;	      /* for people */
	struct json *image;   /* inspect of a snapshot; NULL: a container */
	struct target target; /* of a container */
};

struct pair {
	struct session *session;
	struct end from, to;
	struct create_options options;
	struct create create; /* of the container, where one of them is */
	bool is_captured;     /* create is in use */
	struct helper *shown; /* of the other snapshot; NULL: none, or create has it */
	struct helper *reader;
};

static void end_release(struct end *end)
{
	free(end->name);
	json_free(end->image);
	target_release(&end->target);
}

void pair_free(struct pair *pair)
{
	if (!pair)
		return;
	helper_free(pair->reader);
	helper_free(pair->shown);
	if (pair->is_captured)
		create_release(&pair->create);
	end_release(&pair->from);
	end_release(&pair->to);
	free(pair);
}

/* ---- which two ---- */

/* Names of containers come first, as with TARGET everywhere: a tag is never one. */
static int find_end(const struct session *session, const char *word, struct end *end,
		    struct error **err)
{
	cleanup_error struct error *no_target = NULL, *no_snapshot = NULL;

	if (target_find(session, word, &end->target, &no_target) == 0) {
		end->name = memory_strdup(end->target.name);
		return 0;
	}
	if (no_target->kind != ERROR_NOT_FOUND) {
		error_append(err, STEAL_POINTER(no_target));
		return -1;
	}
	end->image = snapshot_inspect(session, word, &no_snapshot);
	if (end->image) {
		end->name = memory_strdup(word);
		return 0;
	}
	if (no_snapshot->kind != ERROR_NOT_FOUND) {
		error_append(err, STEAL_POINTER(no_snapshot));
		return -1;
	}
	error_set(err, ERROR_NOT_FOUND, "no container and no snapshot \"%s\"", word);
	return error_hint(err, "%s",
			  no_target->hint && *no_target->hint
				  ? no_target->hint
				  : "\"sidesnap ls\" lists the snapshots");
}

static const struct json *record_of(const struct json *records, const char *container)
{
	json_for_each(record, records)
		if (strcmp(json_string_or(record, "container", ""), container) == 0)
			return record;
	return NULL;
}

/* What the data of a container came from last. */
static int find_origin(const struct session *session, const struct target *target, struct end *end,
		       struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *images = origin_images(session, err);
	CLEANUP(cleanup_json_free) struct json *records = NULL;
	const struct json *entry;

	if (!images)
		return -1;
	records = state_records(session, target->image_id, err);
	if (!records)
		return error_prefix(err, "cannot read what the last resets have noted");
	entry = origin_find(images, target, record_of(records, target->id), true);
	if (!entry) {
		error_set(err, ERROR_NOT_FOUND,
			  "no snapshot is known that the data of \"%s\" came from, or that was "
			  "made of it",
			  target->name);
		return error_hint(err,
				  "name one: sidesnap diff REF %s; or make the first: "
				  "sidesnap create %s",
				  target->name, target->name);
	}
	end->name = memory_strdup(origin_reference(entry));
	end->image = snapshot_inspect(session, json_string_or(entry, "Id", ""), err);
	return end->image ? 0 : -1;
}

/* The snapshot that another one came from. */
static int find_parent(const struct session *session, const struct end *child, struct end *end,
		       struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *images = NULL;
	const char *parent = snapshot_label(child->image, LABEL_PARENT);

	if (!*parent) {
		error_set(err, ERROR_USAGE, "snapshot \"%s\" has no parent to compare it with",
			  child->name);
		return error_hint(err, "name the other one: sidesnap diff REF %s", child->name);
	}
	images = origin_images(session, err);
	if (!images)
		return -1;
	json_for_each(entry, images) {
		const char *id = json_string_or(json_get(entry, "Labels"), LABEL_ID, "");

		if (strcmp(id, parent) != 0)
			continue;
		end->name = memory_strdup(origin_reference(entry));
		end->image = snapshot_inspect(session, json_string_or(entry, "Id", ""), err);
		return end->image ? 0 : -1;
	}
	error_set(err, ERROR_NOT_FOUND, "the parent of \"%s\" (%s) is not here", child->name,
		  parent);
	return error_hint(err, "name another one: sidesnap diff REF %s", child->name);
}

static int find_ends(struct pair *pair, const char *from, const char *to, struct error **err)
{
	const struct session *session = pair->session;

	if (find_end(session, to ? to : from, &pair->to, err) < 0)
		return -1;
	if (!to)
		return pair->to.image ? find_parent(session, &pair->to, &pair->from, err)
				      : find_origin(session, &pair->to.target, &pair->from, err);
	if (find_end(session, from, &pair->from, err) < 0)
		return -1;
	if (pair->from.image || pair->to.image)
		return 0;
	error_set(err, ERROR_USAGE, "\"%s\" and \"%s\" are both containers", pair->from.name,
		  pair->to.name);
	return error_hint(err, "make a snapshot of one of them first: sidesnap create %s",
			  pair->from.name);
}

/* ---- their helpers ---- */

static const char *image_id(const struct end *end)
{
	return json_string_or(end->image, "Id", "");
}

static bool is_same_image(const struct pair *pair)
{
	return pair->from.image && pair->to.image &&
	       strcmp(image_id(&pair->from), image_id(&pair->to)) == 0;
}

/* The container as it is, on top of the snapshot, so that what has not changed is not read. */
static int capture(struct pair *pair, const struct end *container, const struct end *snapshot,
		   struct error **err)
{
	struct create *create = &pair->create;
	const struct json *labels = json_path(snapshot->image, "Config", "Labels");

	pair->options = (struct create_options){
		.target = container->target.id,
		.live = true,
		.image_command = true,
		.allow_overlay_volume = true,
		.reserve_bytes = UINT64_MAX,
	};
	create_init(create, pair->session, &pair->options);
	pair->is_captured = true;
	if (create_prepare(create, false, err) < 0)
		return -1;
	free(create->identity.base);
	create->identity.base = memory_strdup(image_id(snapshot));
	json_free(create->identity.base_trees);
	create->identity.base_trees = images_label_json(labels, LABEL_TREES);
	/* nothing is prepared in the service for a look at its files */
	create->plan.driver.driver = NULL;
	if (create_helper(create, PURPOSE, err) < 0 || create_capture(create, err) < 0)
		return -1;
	failpoint("diff/captured");
	return 0;
}

/* A helper that shows a snapshot and idles. */
static int show(struct pair *pair, const struct end *snapshot, struct error **err)
{
	const struct helper_specification specification = {.image = image_id(snapshot),
							   .purpose = PURPOSE};

	pair->shown = helper_create(pair->session, &specification, err);
	return pair->shown ? helper_open(pair->shown, err) : -1;
}

static const char *other_id(const struct pair *pair)
{
	if (pair->is_captured)
		return helper_id(pair->create.helper);
	return pair->shown ? helper_id(pair->shown) : NULL;
}

static int make_reader(struct pair *pair, const struct end *snapshot, struct error **err)
{
	const struct session *session = pair->session;
	const char *other = other_id(pair);
	CLEANUP(cleanup_json_free)
	struct json *inspect = other ? container_inspect(session->engine, other, err) : NULL;
	struct helper_specification specification = {
		.image = image_id(snapshot),
		.purpose = PURPOSE,
		.target_id = other,
		.target = inspect,
		.join_processes = other != NULL,
	};

	if (other && !inspect)
		return -1;
	pair->reader = helper_create(session, &specification, err);
	return pair->reader ? 0 : -1;
}

struct pair *pair_open(struct session *session, const char *from, const char *to,
		       struct error **err)
{
	CLEANUP(cleanup_pair_free) struct pair *pair = memory_zalloc(sizeof(*pair));
	const struct end *snapshot = &pair->from, *other = &pair->to;
	int result = 0;

	pair->session = session;
	progress_phase(session->progress, "looking for what is to be compared");
	if (find_ends(pair, from, to, err) < 0)
		return NULL;
	if (!pair->from.image) {
		snapshot = &pair->to;
		other = &pair->from;
	}
	if (!other->image)
		result = capture(pair, other, snapshot, err);
	else if (!is_same_image(pair))
		result = show(pair, other, err);
	if (result < 0 || make_reader(pair, snapshot, err) < 0)
		return NULL;
	return STEAL_POINTER(pair);
}

/* ---- what is known of them ---- */

static void describe_end(const struct pair *pair, const struct end *end, struct json *object)
{
	const struct json *labels = json_path(end->image, "Config", "Labels");

	if (!end->image) {
		json_set_string(object, "container", end->target.name);
		json_set_string(object, "container_id", end->target.id);
		json_set_string(object, "state", pair->create.target.running ? "live" : "stopped");
		return;
	}
	json_set_string(object, "reference", end->name);
	json_set_string(object, "id", json_string_or(labels, LABEL_ID, ""));
	json_set_string(object, "image", image_id(end));
	json_set_string(object, "created", json_string_or(labels, LABEL_CREATED, ""));
	json_set_string(object, "title", json_string_or(labels, LABEL_TITLE, ""));
}

void pair_describe(const struct pair *pair, struct json *result)
{
	describe_end(pair, &pair->from, json_set_object(result, "from"));
	describe_end(pair, &pair->to, json_set_object(result, "to"));
}

void pair_names(const struct pair *pair, const char **from, const char **to)
{
	*from = pair->from.name;
	*to = pair->to.name;
}

static void add_side(const struct pair *pair, struct json *job, const char *key,
		     const struct end *end)
{
	struct json *side = json_set_object(job, key);
	const struct end *snapshot = pair->from.image ? &pair->from : &pair->to;

	json_set_string(side, "source",
			end == snapshot || is_same_image(pair) ? "" : other_id(pair));
	json_set_string(side, "manifest",
			end->image ? snapshot_label(end->image, LABEL_MANIFEST)
				   : json_string_or(pair->create.done, "manifest", ""));
}

struct helper *pair_helper(struct pair *pair)
{
	return pair->reader;
}

int pair_start(struct pair *pair, struct json *job, struct error **err)
{
	add_side(pair, job, "from", &pair->from);
	add_side(pair, job, "to", &pair->to);
#ifdef SIDESNAP_FAILPOINTS
	if (getenv("SIDESNAP_FAILPOINT"))
		json_set_string(job, "failpoint", getenv("SIDESNAP_FAILPOINT"));
#endif
	progress_phase(pair->session->progress, "comparing");
	if (helper_start(pair->reader, job, NULL, err) < 0)
		return -1;
	failpoint("diff/started");
	return 0;
}

int pair_finish(struct pair *pair, struct json **done, struct error **err)
{
	if (helper_wait(pair->reader, WIRE_DONE, done, err) < 0)
		return -1;
	return helper_close(pair->reader, err);
}
