/*
 * sidesnap describe, pin, unpin. Labels are part of an image, so a new image is committed, of a
 * container that is made from the old one and never started. The tags move to it one by one: at
 * any moment each of them names either image, and both are the same snapshot.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/text.h"
#include "snapshot/create/consolidate.h"
#include "snapshot/create/image_config.h"
#include "snapshot/helper/helper.h"
#include "snapshot/history/retag.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"

struct describe {
	const struct session *session;
	const struct describe_options *options;
	struct json *inspect; /* of the image as it is */
	const char *image, *id, *title, *notes;
	bool pinned;
	struct string_list tags; /* that move */
	struct helper *helper;	 /* also the lock: as long as it lives, the new image is wanted */
};

static void describe_release(struct describe *describe)
{
	helper_free(describe->helper);
	json_free(describe->inspect);
	string_list_release(&describe->tags);
}

static const struct json *layers_of(const struct json *inspect)
{
	return json_path(inspect, "RootFS", "Layers");
}

static int describe_init(struct describe *describe, const struct session *session,
			 const struct describe_options *options, struct error **err)
{
	*describe = (struct describe){.session = session, .options = options};
	string_list_init(&describe->tags);
	if (image_config_check_text("title", options->title, TITLE_MAX, err) < 0 ||
	    image_config_check_text("notes", options->notes, NOTES_MAX, err) < 0)
		return -1;
	describe->inspect = snapshot_inspect(session, options->reference, err);
	if (!describe->inspect)
		return -1;
	describe->image = json_string_or(describe->inspect, "Id", "");
	describe->id = snapshot_label(describe->inspect, LABEL_ID);
	describe->title =
		options->title ? options->title : snapshot_label(describe->inspect, LABEL_TITLE);
	describe->notes =
		options->notes ? options->notes : snapshot_label(describe->inspect, LABEL_NOTES);
	describe->pinned =
		options->pin == DESCRIBE_KEEP
			? images_is_pinned(json_path(describe->inspect, "Config", "Labels"))
			: options->pin == DESCRIBE_PIN;
	json_for_each(item, json_get(describe->inspect, "RepoTags")) {
		const char *tag = json_string_or(item, NULL, "<none>");

		if (!strstr(tag, "<none>"))
			string_list_add(&describe->tags, tag);
	}
	if (describe->tags.count)
		return 0;
	error_set(err, ERROR_REFUSED, "snapshot \"%s\" has no tag that could move to its new image",
		  options->reference);
	return error_hint(err, "give it one first: sidesnap tag %s NAME:TAG", options->reference);
}

static bool is_as_wanted(const struct describe *describe)
{
	const struct json *labels = json_path(describe->inspect, "Config", "Labels");

	return strcmp(describe->title, json_string_or(labels, LABEL_TITLE, "")) == 0 &&
	       strcmp(describe->notes, json_string_or(labels, LABEL_NOTES, "")) == 0 &&
	       describe->pinned == images_is_pinned(labels);
}

/* ---- the new image ---- */

/*
 * What the container is made from: the image, or where that was described before, what it was
 * made from itself, if it has the same layers. Else engines that keep an image for those made
 * from it would keep every description that the snapshot ever had.
 */
static char *base_of(const struct describe *describe)
{
	const char *parent = json_string_or(describe->inspect, "Parent", "");
	CLEANUP(cleanup_json_free)
	struct json *below =
		*parent ? image_inspect(describe->session->engine, parent, NULL) : NULL;

	if (below && *describe->id && strcmp(snapshot_label(below, LABEL_ID), describe->id) == 0 &&
	    json_equal(layers_of(below), layers_of(describe->inspect)))
		return memory_strdup(parent);
	return memory_strdup(describe->image);
}

static struct json *make_config(const struct describe *describe)
{
	CLEANUP(cleanup_json_free) struct json *labels = json_new_object();

	image_config_set_title(labels, describe->title,
			       snapshot_label(describe->inspect, LABEL_CONTAINER));
	json_set_string(labels, LABEL_NOTES, describe->notes);
	json_set_string(labels, LABEL_PINNED, describe->pinned ? "true" : "");
	return image_config_again(describe->inspect, labels);
}

/* An image that somebody has built on the snapshot must not look as if we had made it. */
static const char *comment_of(const struct describe *describe)
{
	const char *comment = json_string_or(describe->inspect, "Comment", "");

	return text_has_prefix(comment, COMMIT_COMMENT_PREFIX) ? COMMIT_COMMENT_PREFIX "describe"
							       : comment;
}

static void remove_image(const struct describe *describe, const char *image)
{
	struct engine *engine = describe->session->engine;
	cleanup_error struct error *in_use = NULL;

	engine_set_cancel(engine, NULL);
	image_remove(engine, image, false, false, NULL, &in_use);
	engine_set_cancel(engine, describe->session->cancelled);
}

static size_t layers_most(void)
{
#ifdef SIDESNAP_FAILPOINTS
	uint64_t wanted;

	if (getenv("SIDESNAP_LAYERS_MOST") &&
	    text_parse_uint(getenv("SIDESNAP_LAYERS_MOST"), CONSOLIDATE_LAYERS_MOST, &wanted))
		return (size_t)wanted;
#endif
	return CONSOLIDATE_LAYERS_MOST;
}

/* Some engines commit a layer even where nothing was changed: an image takes only so many. */
static int check_layers(const struct describe *describe, const char *image, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = image_inspect(describe->session->engine, image, err);
	size_t before = json_count(layers_of(describe->inspect));
	size_t after = json_count(layers_of(inspect));

	if (!inspect)
		return -1;
	if (after <= before || after <= layers_most())
		return 0;
	error_set(err, ERROR_UNSUPPORTED,
		  "the snapshot has %zu layers, and this engine would add one that an image has no "
		  "room for",
		  before);
	return error_hint(err, "a name can be given to it all the same: sidesnap tag %s NAME:TAG",
			  describe->options->reference);
}

/* What is locked: not the image, as that is another one after each describe. NULL: a forged id. */
static const char *lock_of(const struct describe *describe)
{
	return strspn(describe->id, "0123456789abcdef") == 32 && !describe->id[32] ? describe->id
										   : NULL;
}

/* The id of the new image, to be freed. */
static char *commit(struct describe *describe, struct error **err)
{
	struct engine *engine = describe->session->engine;
	cleanup_free char *base = base_of(describe), *image = NULL;
	struct helper_specification specification = {
		.image = base,
		.purpose = "describe",
		.target_id = lock_of(describe),
		.is_snapshot = true,
		.empty = true,
	};
	CLEANUP(cleanup_json_free) struct json *config = NULL;

	describe->helper = helper_create(describe->session, &specification, err);
	if (!describe->helper)
		return NULL;
	config = make_config(describe);
	/* The engine finishes a commit whose request was given up: so it is waited for. */
	engine_set_cancel(engine, NULL);
	image = image_commit(engine, helper_id(describe->helper), config, comment_of(describe), "",
			     err);
	engine_set_cancel(engine, describe->session->cancelled);
	failpoint("describe/committed");
	if (!image) {
		error_prefix(err, "cannot commit the new description");
		return NULL;
	}
	if (check_layers(describe, image, err) < 0 || session_check(describe->session, err) < 0) {
		remove_image(describe, image);
		return NULL;
	}
	return STEAL_POINTER(image);
}

/* ---- tags ---- */

static int move_tags(const struct describe *describe, const char *image, struct json *moved,
		     struct error **err)
{
	if (retag(describe->session, describe->image, image, &describe->tags, moved, err) == 0)
		return 0;
	if (!json_count(moved)) {
		remove_image(describe, image);
		return -1;
	}
	return error_hint(err, "some tags have moved, and the others still name the snapshot as it "
			       "was: do the same with one of those");
}

/* What somebody else has committed of a container of it has its labels, but another comment. */
static bool is_of_describe(const struct describe *describe, const struct json *inspect)
{
	const char *comment = json_string_or(inspect, "Comment", "");

	return text_has_prefix(comment, COMMIT_COMMENT_PREFIX) ||
	       strcmp(comment, json_string_or(describe->inspect, "Comment", "")) == 0;
}

/*
 * Images without a tag that are the same snapshot and of which the new one has every layer: that
 * from before, and what a killed describe has left. One in use stays until the next time.
 */
static void sweep(const struct describe *describe, const char *image)
{
	struct engine *engine = describe->session->engine;
	CLEANUP(cleanup_json_free) struct json *filters = json_new_object(), *images = NULL;
	CLEANUP(cleanup_json_free) struct json *now = image_inspect(engine, image, NULL);
	cleanup_free char *label = memory_printf(LABEL_ID "=%s", describe->id);

	json_add_string(json_set_array(filters, "label"), label);
	json_add_string(json_set_array(filters, "dangling"), "true");
	images = *describe->id && now ? image_list(engine, filters, NULL) : NULL;
	json_for_each(item, images) {
		const char *old = json_string_or(item, "Id", "");
		CLEANUP(cleanup_json_free) struct json *inspect = image_inspect(engine, old, NULL);

		if (inspect && strcmp(old, image) != 0 && is_of_describe(describe, inspect) &&
		    json_equal(json_path(inspect, "Config", "Labels", LABEL_MANIFEST),
			       json_path(now, "Config", "Labels", LABEL_MANIFEST)) &&
		    images_stands_on(now, inspect))
			remove_image(describe, old);
	}
}

static struct json *make_result(const struct describe *describe, const char *image,
				struct json *references)
{
	struct json *result = json_new_object();

	json_set_string(result, "reference", json_string_or(json_first(references), NULL, ""));
	json_set_string(result, "id", describe->id);
	json_set_string(result, "image", image);
	json_set_string(result, "previous", describe->image);
	json_set(result, "references", references);
	json_set_string(result, "title", describe->title);
	json_set_string(result, "notes", describe->notes);
	json_set_bool(result, "pinned", describe->pinned);
	json_set_bool(result, "changed", strcmp(image, describe->image) != 0);
	return result;
}

int snapshot_describe(struct session *session, const struct describe_options *options,
		      struct json **result, struct error **err)
{
	CLEANUP(describe_release) struct describe describe;
	CLEANUP(cleanup_json_free) struct json *references = json_new_array();
	cleanup_free char *image = NULL;

	if (describe_init(&describe, session, options, err) < 0)
		return -1;
	if (is_as_wanted(&describe)) {
		for (size_t i = 0; i < describe.tags.count; i++)
			json_add_string(references, describe.tags.items[i]);
		*result = make_result(&describe, describe.image, STEAL_POINTER(references));
		return 0;
	}
	image = commit(&describe, err);
	if (!image || move_tags(&describe, image, references, err) < 0)
		return error_prefix(err, "cannot change what snapshot \"%s\" says",
				    options->reference);
	failpoint("describe/moved");
	/* It was made from the image before, which no container may hold now. */
	helper_free(STEAL_POINTER(describe.helper));
	sweep(&describe, image);
	*result = make_result(&describe, image, STEAL_POINTER(references));
	return 0;
}
