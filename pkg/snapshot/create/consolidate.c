/*
 * Two helpers: one is made from the snapshot and only shows its root, the other from the
 * image below and writes. The first one is also the lock and, since it lives until the new
 * image is built on, what tells doctor that the image is wanted.
 */
#include "snapshot/create/consolidate.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/text.h"
#include "snapshot/create/image_config.h"
#include "snapshot/create/twins.h"
#include "snapshot/helper/helper.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"

#define PURPOSE "consolidate"
#define LAYERS_DUE 110

/* How long after the death of one helper that of the other may be seen: half a second. */
#define ENDED_ATTEMPTS 10
#define ENDED_PAUSE_US 50000

struct consolidation {
	const struct session *session;
	char *source, *image;
	struct helper *shown; /* made from the snapshot; idles */
	struct json *done;    /* the agent's result */
	size_t layers;	      /* of the source */
	uint64_t started_ms, duration_ms;
};

/* ---- when, and onto what ---- */

static size_t layers_due(void)
{
#ifdef SIDESNAP_FAILPOINTS
	uint64_t wanted;

	if (getenv("SIDESNAP_LAYERS_DUE") &&
	    text_parse_uint(getenv("SIDESNAP_LAYERS_DUE"), LAYERS_DUE, &wanted))
		return (size_t)wanted;
#endif
	return LAYERS_DUE;
}

static const struct json *layers_of(const struct json *image)
{
	return json_path(image, "RootFS", "Layers");
}

/* Layers that are saved when ${image} becomes one on ${below}; 0: it does not stand on that. */
static size_t gain(const struct json *image, const struct json *below)
{
	size_t all = json_count(layers_of(image)), kept = json_count(layers_of(below)) + 1;

	return below && all > kept && images_stands_on(image, below) ? all - kept : 0;
}

/* A tenth of the limit: else the next create would be the turn of the next consolidation. */
static bool is_worthwhile(size_t gained)
{
	return gained && gained * 10 >= layers_due();
}

/* The highest image below that is no snapshot, or stands on one; NULL: none. */
static struct json *highest_below(const struct session *session, const struct json *image,
				  struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *images = image_list(session->engine, NULL, err);
	struct json *best = NULL;

	json_for_each(item, images) {
		const char *role = json_string_or(json_get(item, "Labels"), LABEL_ROLE, "");
		struct json *other;

		if (*role)
			continue;
		other = image_inspect(session->engine, json_string_or(item, "Id", ""), NULL);
		if (gain(image, other) &&
		    (!best || json_count(layers_of(other)) > json_count(layers_of(best)))) {
			json_free(best);
			best = STEAL_POINTER(other);
		}
		json_free(other);
	}
	return best;
}

/* What the snapshot is put on: an inspect, to be freed. NULL without an error: nothing to gain. */
static struct json *find_below(const struct session *session, const struct json *image,
			       struct error **err)
{
	const struct json *labels = json_path(image, "Config", "Labels");
	const char *id = json_string_or(labels, LABEL_IMAGE_ID, "");
	CLEANUP(cleanup_json_free)
	struct json *source = *id ? image_inspect(session->engine, id, NULL) : NULL;
	struct json *other;

	if (is_worthwhile(gain(image, source)))
		return STEAL_POINTER(source);
	other = highest_below(session, image, err);
	if (gain(image, source) >= gain(image, other)) {
		json_free(other);
		return gain(image, source) ? STEAL_POINTER(source) : NULL;
	}
	return other;
}

static bool is_ours(const struct json *image)
{
	return text_has_prefix(json_string_or(image, "Comment", ""), COMMIT_COMMENT_PREFIX);
}

static const char *label_of(const struct json *image, const char *label)
{
	return json_string_or(json_path(image, "Config", "Labels"), label, "");
}

/*
 * Whether own files are all that can differ, and the catalogs name them: not where the image
 * below is another than the snapshot was made on, or where somebody has built on the snapshot
 * and so has its labels.
 */
static bool is_all_known(const struct json *image, const struct json *below,
			 const struct consolidate_options *options)
{
	const char *source = label_of(image, LABEL_IMAGE_ID);

	if (!is_ours(image))
		return false;
	if (strcmp(source, json_string_or(below, "Id", "")) == 0)
		return true;
	return options->is_below_known && is_ours(below) && *source &&
	       strcmp(source, label_of(below, LABEL_IMAGE_ID)) == 0;
}

bool consolidate_is_deep(const struct json *image)
{
	return json_count(layers_of(image)) >= layers_due();
}

bool consolidate_is_due(const struct session *session, const struct json *image)
{
	CLEANUP(cleanup_json_free) struct json *below = NULL;

	if (strcmp(json_string_or(json_path(image, "Config", "Labels"), LABEL_ROLE, ""),
		   "snapshot") != 0 ||
	    !consolidate_is_deep(image))
		return false;
	if (json_count(layers_of(image)) >= CONSOLIDATE_LAYERS_MOST)
		return true;
	below = find_below(session, image, NULL);
	/* an image that is gone is to be told of while there is still room */
	return !below || is_worthwhile(gain(image, below));
}

/* ---- doing it ---- */

static struct json *make_job(const struct consolidation *consolidation, const struct json *image,
			     const struct helper *writer, bool thorough,
			     const struct consolidate_options *options)
{
	const char *shown_agent = helper_agent_path(consolidation->shown);
	cleanup_free char *directory =
		memory_strndup(shown_agent, (size_t)(strrchr(shown_agent, '/') - shown_agent));
	struct json *job = json_new_object();

	json_set_string(job, "operation", "consolidate");
	json_set_string(job, "source", helper_id(consolidation->shown));
	json_set_string(job, "manifest",
			json_string_or(json_path(image, "Config", "Labels"), LABEL_MANIFEST, ""));
	json_set_string(job, "agent_path", helper_agent_path(writer));
	json_set_bool(job, "thorough", thorough);
	if (options->least_gain_bytes)
		json_set_int(job, "least_gain", (int64_t)options->least_gain_bytes);
	if (options->estimate)
		json_set_bool(job, "estimate", true);
	if (options->reserve_bytes != UINT64_MAX)
		json_set_int(job, "min_free", (int64_t)options->reserve_bytes);
#ifdef SIDESNAP_FAILPOINTS
	if (getenv("SIDESNAP_FAILPOINT"))
		json_set_string(job, "failpoint", getenv("SIDESNAP_FAILPOINT"));
#endif
	json_add_string(json_set_array(json_set_object(job, "own"), "mounts"), directory);
	return job;
}

/* The label of the trees, with the hashes that they have now. */
static char *trees_label(const struct json *labels, const struct json *done)
{
	CLEANUP(cleanup_json_free) struct json *trees = images_label_json(labels, LABEL_TREES);
	const struct json *now = json_first(json_get(done, "trees"));

	json_for_each(tree, trees) {
		if (json_string(now, "hash"))
			json_set_string(tree, "hash", json_string(now, "hash"));
		now = now ? json_next(now) : NULL;
	}
	return trees ? json_print(trees, false) : memory_strdup("[]");
}

static struct json *make_config(const struct json *image, const struct json *done, bool is_base,
				size_t layer_count)
{
	const struct json *old = json_path(image, "Config", "Labels");
	CLEANUP(cleanup_json_free) struct json *labels = json_new_object();
	cleanup_free char *trees = trees_label(old, done);
	cleanup_free char *stored =
		memory_printf("%lld", (long long)json_int(done, "stored_bytes"));
	cleanup_free char *layers = memory_printf("%zu", layer_count);

	json_set_string(labels, LABEL_ROLE, is_base ? "base" : "snapshot");
	json_set_string(labels, LABEL_MANIFEST, json_string_or(done, "manifest", ""));
	json_set_string(labels, LABEL_TREES, trees);
	json_set_string(labels, LABEL_STORED, stored);
	json_set_string(labels, LABEL_LAYERS, is_base ? "" : layers);
	json_set_string(labels, LABEL_VERSION, SIDESNAP_VERSION);
	return image_config_again(image, labels);
}

static int commit(struct consolidation *consolidation, const struct helper *writer,
		  const struct json *image, bool is_base, struct error **err)
{
	struct engine *engine = consolidation->session->engine;
	CLEANUP(cleanup_json_free)
	struct json *config =
		make_config(image, consolidation->done, is_base, helper_layers(writer) + 1);

	consolidation->image = image_commit(engine, helper_id(writer), config,
					    COMMIT_COMMENT_PREFIX "consolidate", "", err);
	if (!consolidation->image)
		return error_prefix(err, "cannot commit the consolidated snapshot");
	failpoint("consolidate/committed");
	return session_check(consolidation->session, err);
}

/* The helper that writes: made from the image below, beside the one that shows. */
static struct helper *make_writer(struct consolidation *consolidation, const struct json *below,
				  struct error **err)
{
	const struct session *session = consolidation->session;
	CLEANUP(cleanup_json_free)
	struct json *shown =
		container_inspect(session->engine, helper_id(consolidation->shown), err);
	struct helper_specification specification = {
		.image = json_string(below, "Id"),
		.purpose = PURPOSE,
		.target_id = helper_id(consolidation->shown),
		.target = shown,
		.join_processes = true,
	};

	return shown ? helper_create(session, &specification, err) : NULL;
}

/*
 * The one that shows is what "sidesnap cancel" ends, or a person's "docker stop", and the
 * other dies with it: then the first one knows why.
 */
static int ask_shown(struct consolidation *consolidation, struct error **err)
{
	const struct session *session = consolidation->session;
	cleanup_error struct error *reason = NULL;

	for (int attempt = 0; attempt < ENDED_ATTEMPTS && session_check(session, NULL) == 0;
	     attempt++) {
		CLEANUP(cleanup_json_free)
		struct json *shown =
			container_inspect(session->engine, helper_id(consolidation->shown), NULL);

		if (json_bool(json_get(shown, "State"), "Running")) {
			usleep(ENDED_PAUSE_US);
			continue;
		}
		if (helper_wait(consolidation->shown, WIRE_DONE, NULL, &reason) == 0)
			break;
		error_free(*err);
		*err = STEAL_POINTER(reason);
		break;
	}
	return -1;
}

/* The agent has written nothing: too little would be gained, or that is all that was asked. */
static bool is_declined(const struct consolidation *consolidation)
{
	return json_bool(consolidation->done, "declined");
}

static int run(struct consolidation *consolidation, const struct consolidate_options *options,
	       const struct json *image, const struct json *below, bool thorough,
	       struct error **err)
{
	const struct session *session = consolidation->session;
	struct helper_specification specification = {
		.image = options->image,
		.purpose = PURPOSE,
		.target_id = options->target_id,
		.is_snapshot = options->is_snapshot,
	};
	CLEANUP(cleanup_helper_free) struct helper *writer = NULL;
	CLEANUP(cleanup_json_free) struct json *job = NULL;

	consolidation->shown = helper_create(session, &specification, err);
	if (!consolidation->shown || helper_open(consolidation->shown, err) < 0)
		return -1;
	writer = make_writer(consolidation, below, err);
	if (!writer)
		return -1;
	job = make_job(consolidation, image, writer, thorough, options);
	if (helper_start(writer, job, NULL, err) < 0)
		return -1;
	failpoint("consolidate/started");
	if (helper_wait(writer, WIRE_DONE, &consolidation->done, err) < 0)
		return err && *err && (*err)->kind == ERROR_FAILED ? ask_shown(consolidation, err)
								   : -1;
	if (is_declined(consolidation))
		return helper_close(writer, err);
	failpoint("consolidate/written");
	if (commit(consolidation, writer, image, options->is_base, err) < 0)
		return -1;
	return helper_close(writer, err);
}

static int nothing_below(const struct json *image, struct error **err)
{
	const struct json *labels = json_path(image, "Config", "Labels");

	error_set(err, ERROR_NOT_FOUND,
		  "the snapshot has %zu layers, and the image that they stand on is not here any "
		  "more",
		  json_count(layers_of(image)));
	return error_hint(err, "pull it again: docker pull %s",
			  text_or(json_string(labels, LABEL_DIGEST),
				  json_string_or(labels, LABEL_IMAGE, "IMAGE")));
}

/* *image and *below are inspects, to be freed. */
static int find_images(const struct session *session, const struct consolidate_options *options,
		       struct json **image, struct json **below, struct error **err)
{
	*image = image_inspect(session->engine, options->image, err);
	if (!*image)
		return -1;
	*below = options->below ? image_inspect(session->engine, options->below, err)
				: find_below(session, *image, err);
	if (*below)
		return 0;
	return err && *err ? -1 : nothing_below(*image, err);
}

static struct consolidation *consolidation_new(const struct session *session,
					       const struct json *image)
{
	struct consolidation *consolidation = memory_zalloc(sizeof(*consolidation));

	consolidation->session = session;
	consolidation->source = memory_strdup(json_string(image, "Id"));
	consolidation->started_ms = clock_monotonic_ms();
	consolidation->layers = json_count(layers_of(image));
	return consolidation;
}

struct consolidation *snapshot_consolidate(const struct session *session,
					   const struct consolidate_options *options,
					   struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *image = NULL, *below = NULL;
	CLEANUP(cleanup_consolidation_free) struct consolidation *consolidation = NULL;

	if (consolidate_clean(session, false, NULL, NULL, err) < 0 ||
	    find_images(session, options, &image, &below, err) < 0)
		return NULL;
	consolidation = consolidation_new(session, image);
	progress_phase(session->progress, "consolidating a chain of %zu layers",
		       consolidation->layers);
	if (run(consolidation, options, image, below, !is_all_known(image, below, options), err) <
	    0) {
		error_prefix(err, "cannot consolidate the chain of %zu layers",
			     consolidation->layers);
		return NULL;
	}
	consolidation->duration_ms = clock_monotonic_ms() - consolidation->started_ms;
	return is_declined(consolidation) ? NULL : STEAL_POINTER(consolidation);
}

int consolidate_estimate(const struct session *session, const struct consolidate_options *options,
			 uint64_t *gain_bytes, struct error **err)
{
	struct consolidate_options estimate = *options;
	CLEANUP(cleanup_json_free) struct json *image = NULL, *below = NULL;
	CLEANUP(cleanup_consolidation_free) struct consolidation *consolidation = NULL;

	estimate.estimate = true;
	estimate.reserve_bytes = 0;
	if (find_images(session, options, &image, &below, err) < 0)
		return -1;
	consolidation = consolidation_new(session, image);
	if (run(consolidation, &estimate, image, below, false, err) < 0)
		return -1;
	*gain_bytes = json_bool(consolidation->done, "worthwhile")
			      ? (uint64_t)json_int(consolidation->done, "gain_bytes")
			      : 0;
	return 0;
}

const char *consolidation_image(const struct consolidation *consolidation)
{
	return consolidation->image;
}

const char *consolidation_source(const struct consolidation *consolidation)
{
	return consolidation->source;
}

char *consolidation_keep(struct consolidation *consolidation)
{
	return STEAL_POINTER(consolidation->image);
}

struct json *consolidation_describe(const struct consolidation *consolidation)
{
	struct json *object = json_new_object();

	json_set_int(object, "layers", (int64_t)consolidation->layers);
	json_set_int(object, "bytes", json_int(consolidation->done, "raw_bytes"));
	json_set_int(object, "stored_bytes", json_int(consolidation->done, "stored_bytes"));
	json_set_int(object, "duration_ms", (int64_t)consolidation->duration_ms);
	return object;
}

void consolidation_free(struct consolidation *consolidation)
{
	struct engine *engine;

	if (!consolidation)
		return;
	engine = consolidation->session->engine;
	if (consolidation->image) {
		cleanup_error struct error *in_use = NULL;

		engine_set_cancel(engine, NULL);
		image_remove(engine, consolidation->image, false, false, NULL, &in_use);
		engine_set_cancel(engine, consolidation->session->cancelled);
	}
	helper_free(consolidation->shown);
	json_free(consolidation->done);
	free(consolidation->source);
	free(consolidation->image);
	free(consolidation);
}

/* ---- after one that was killed ---- */

bool consolidate_owns(const struct json *helper)
{
	const struct json *labels = json_path(helper, "Config", "Labels");

	return strcmp(json_string_or(labels, LABEL_PURPOSE, ""), PURPOSE) == 0;
}

struct cleaning {
	const struct session *session;
	bool dry_run;
	void (*act)(void *context, const char *what, const char *name);
	void *context;
};

static void tell(const struct cleaning *cleaning, const char *what, const char *name)
{
	if (cleaning->act)
		cleaning->act(cleaning->context, what, name);
}

/* Whether it lives in a namespace of another: podman removes only those that nobody depends on. */
static bool depends(const struct json *helper)
{
	return text_has_prefix(json_string_or(json_get(helper, "HostConfig"), "PidMode", ""),
			       "container:");
}

static int clean_helper(const struct cleaning *cleaning, const struct json *helper,
			struct error **err)
{
	const char *name = json_string_or(helper, "Name", "");

	if (!cleaning->dry_run && container_remove(cleaning->session->engine,
						   json_string(helper, "Id"), true, true, err) < 0)
		return -1;
	tell(cleaning, "removed", name + (*name == '/'));
	return 0;
}

/* 1: one is under way. */
static int clean_helpers(const struct cleaning *cleaning, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *helpers = helper_list(cleaning->session, err);
	int result = 0;

	if (!helpers)
		return -1;
	for (int first = 1; first >= 0; first--) {
		json_for_each(helper, helpers) {
			if (!consolidate_owns(helper) || depends(helper) != first)
				continue;
			if (helper_is_alive(cleaning->session, helper))
				result = 1;
			else if (clean_helper(cleaning, helper, err) < 0)
				return -1;
		}
	}
	return result;
}

/* What cannot be removed is in use. */
static int clean_images(const struct cleaning *cleaning, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *filters = json_new_object(), *images = NULL;
	struct engine *engine = cleaning->session->engine;

	json_add_string(json_set_array(filters, "label"), LABEL_ROLE "=base");
	json_add_string(json_set_array(filters, "dangling"), "true");
	images = image_list(engine, filters, err);
	if (!images)
		return -1;
	json_for_each(image, images) {
		const char *id = json_string_or(image, "Id", "");
		cleanup_error struct error *in_use = NULL;

		if (cleaning->dry_run || image_remove(engine, id, false, false, NULL, &in_use) == 0)
			tell(cleaning, "removed", id);
	}
	return 0;
}

int consolidate_clean(const struct session *session, bool dry_run,
		      void (*act)(void *context, const char *what, const char *name), void *context,
		      struct error **err)
{
	const struct cleaning cleaning = {session, dry_run, act, context};
	int result = clean_helpers(&cleaning, err);

	if (result)
		return result < 0 ? -1 : 0;
	return clean_images(&cleaning, err) < 0 ? -1
						: twins_clean(session, dry_run, act, context, err);
}
