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
#include "snapshot/compare/ends.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/target.h"

#define PURPOSE "diff"

struct pair {
	struct session *session;
	struct end from, to;
	struct create_options options;
	struct create create; /* of the container, where one of them is */
	bool is_captured;     /* create is in use */
	struct helper *shown; /* of the other snapshot; NULL: none, or create has it */
	struct helper *reader;
};

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

/* ---- their helpers ---- */

static bool is_same_image(const struct pair *pair)
{
	return pair->from.image && pair->to.image &&
	       strcmp(end_image(&pair->from), end_image(&pair->to)) == 0;
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
	create->identity.base = memory_strdup(end_image(snapshot));
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
	const struct helper_specification specification = {.image = end_image(snapshot),
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
		.image = end_image(snapshot),
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
	if (ends_find(session, from, to, &pair->from, &pair->to, err) < 0)
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

void pair_describe(const struct pair *pair, struct json *result)
{
	end_describe(&pair->from, json_set_object(result, "from"));
	end_describe(&pair->to, json_set_object(result, "to"));
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
