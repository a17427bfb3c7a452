/*
 * sidesnap prune: first a plan, which changes nothing and is shown; then, once that is agreed
 * to, what still holds of it. Each snapshot goes by its tags, so that a death in the middle
 * leaves whole ones only.
 */
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "snapshot/history/lineage.h"
#include "snapshot/history/prune_rewrite.h"
#include "snapshot/history/room.h"
#include "snapshot/images.h"
#include "snapshot/keep.h"
#include "snapshot/snapshot.h"

#define HTTP_NOT_FOUND 404
#define HTTP_CONFLICT 409

/* How long catalogs are read for a plan; a chain takes about two seconds. */
#define ESTIMATE_MS 20000

/* ---- the plan ---- */

static bool is_safety(const struct json *snapshot)
{
	return strcmp(json_string_or(snapshot, "kind", ""), "safety") == 0;
}

static void plan_lineage(const struct keep_rules *rules, const struct json *sets,
			 struct json *lineage)
{
	struct json *snapshots = json_get(lineage, "snapshots");
	size_t count = json_count(snapshots), index = 0;
	cleanup_free struct keep_item *items = memory_array(NULL, count + 1, sizeof(*items));

	json_for_each(snapshot, snapshots)
		items[index++] = (struct keep_item){
			.id = json_string_or(snapshot, "id", ""),
			.created = json_string_or(snapshot, "created", ""),
			.references = json_get(snapshot, "references"),
			.is_pinned = json_bool(snapshot, "pinned"),
			.is_in_use = json_count(json_get(snapshot, "containers")) ||
				     json_count(json_get(snapshot, "current")),
			.is_safety = is_safety(snapshot),
			.is_member = json_has_string(sets, json_string_or(snapshot, "set", "")),
		};
	keep_apply(rules, items, count, clock_now());
	index = 0;
	json_for_each(snapshot, snapshots) {
		unsigned reasons = items[index++].reasons;

		/* Of what says of itself neither who it is nor where it belongs nothing is known. */
		if (!*json_string_or(lineage, "lineage", "") ||
		    !*json_string_or(snapshot, "id", ""))
			reasons |= KEEP_UNKNOWN;
		json_set(snapshot, "reasons", keep_reason_names(reasons));
	}
}

static bool goes(const struct json *snapshot)
{
	return json_count(json_get(snapshot, "reasons")) == 0;
}

/* "kept","removed" and "bytes" from the reasons. */
static void sum_up(struct json *plan)
{
	struct json *removed = json_set_array(plan, "removed");
	int64_t kept = 0, going = 0, bytes = 0;

	json_for_each(lineage, json_get(plan, "lineages")) {
		json_for_each(snapshot, json_get(lineage, "snapshots")) {
			if (!goes(snapshot)) {
				kept++;
				continue;
			}
			going++;
			bytes += json_int(snapshot, "stored");
			json_for_each(reference, json_get(snapshot, "references"))
				json_add_string(removed, json_string(reference, NULL));
			if (!json_count(json_get(snapshot, "references")))
				json_add_string(removed, json_string_or(snapshot, "id", ""));
		}
	}
	json_set_int(plan, "kept_snapshots", kept);
	json_set_int(plan, "removed_snapshots", going);
	json_set_int(plan, "bytes", bytes);
}

static int check_rules(const struct prune_options *options, struct error **err)
{
	if (keep_has_rule(&options->rules))
		return 0;
	error_set(err, ERROR_USAGE, "no rule says which snapshots to keep, so all would go");
	return error_hint(err,
			  "for example: sidesnap prune %s%s--keep-last 3 --keep-daily 7 "
			  "--keep-weekly 4 --dry-run",
			  text_or(options->target, ""), options->target ? " " : "");
}

int snapshot_prune_plan(struct session *session, const struct prune_options *options,
			struct json **result, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *sets = NULL;
	struct json *plan, *lineages;
	bool strict = !options->rules.all_may_go;

	if (check_rules(options, err) < 0)
		return -1;
	sets = images_whole_sets(session, err);
	if (!sets)
		return error_prefix(err, "cannot list the sets");
	lineages = lineage_tree(session, options->target, strict, err);
	if (!lineages) {
		if (err && *err && strict && (*err)->kind != ERROR_CANCELLED && !(*err)->hint)
			error_hint(err,
				   "so it is not known which snapshots containers need; "
				   "\"sidesnap doctor\" may help, --force goes by labels alone");
		return -1;
	}
	json_for_each(lineage, lineages)
		plan_lineage(&options->rules, sets, lineage);
	plan = json_new_object();
	json_set(plan, "lineages", lineages);
	sum_up(plan);
	json_set_bool(plan, "dry_run", true);
	*result = plan;
	return 0;
}

/* ---- what it would free ---- */

/* Without a question, as nothing goes, nobody has agreed to what takes long. */
static bool is_rewritten(const struct session *session, const struct prune_options *options,
			 const struct json *plan)
{
	return !options->no_rewrite && (session->assume_yes || json_int(plan, "removed_snapshots"));
}

static void take_out(struct room *room, const struct json *lineages)
{
	json_for_each(lineage, lineages)
		json_for_each(snapshot, json_get(lineage, "snapshots"))
			json_for_each(image, goes(snapshot) ? json_get(snapshot, "images") : NULL)
				room_remove(room, json_string_or(image, NULL, ""));
}

/* "frees_bytes" of one snapshot: of one that goes its layers, of one that stays what it is rid of. */
static int64_t set_freed(struct json *snapshot, const struct room *room, const struct json *gains)
{
	int64_t bytes = 0;

	json_for_each(image, json_get(snapshot, "images")) {
		const char *id = json_string_or(image, NULL, "");
		const struct json *gain = json_get(gains, id);
		uint64_t own = room_freed_by(room, id);

		if (gain && json_is_null(gain)) {
			json_set(snapshot, "frees_bytes", json_new_null());
			return 0;
		}
		bytes += json_int(gains, id);
		/* Of several images of a snapshot each has what they share. */
		if ((int64_t)own > bytes)
			bytes = (int64_t)own;
	}
	json_set_int(snapshot, "frees_bytes", bytes);
	return goes(snapshot) ? 0 : bytes;
}

/* A lineage as it would be, to be freed. */
static struct json *without_removed(const struct json *lineage)
{
	struct json *left = json_new_object();
	struct json *snapshots = json_set_array(left, "snapshots");

	json_for_each(snapshot, json_get(lineage, "snapshots"))
		if (!goes(snapshot))
			json_add(snapshots, json_copy(snapshot));
	return left;
}

int snapshot_prune_estimate(struct session *session, const struct prune_options *options,
			    struct json *plan, struct error **err)
{
	CLEANUP(cleanup_room_free) struct room *room = room_open(session, err);
	CLEANUP(cleanup_json_free) struct json *gains = json_new_object();
	uint64_t until_ms = clock_monotonic_ms() + ESTIMATE_MS;
	int64_t bytes;

	if (!room)
		return -1;
	take_out(room, json_get(plan, "lineages"));
	bytes = room_freed(room);
	json_for_each(lineage, json_get(plan, "lineages")) {
		CLEANUP(cleanup_json_free) struct json *left = without_removed(lineage);

		if (is_rewritten(session, options, plan) &&
		    prune_rewrite_estimate(session, left, until_ms, gains, err) < 0)
			return -1;
		json_for_each(snapshot, json_get(lineage, "snapshots"))
			bytes += set_freed(snapshot, room, gains);
	}
	json_set_int(plan, "frees_bytes", bytes);
	return 0;
}

/* ---- doing it ---- */

struct prune {
	struct session *session;
	const struct json *now; /* a plan of this moment, or the one that was agreed to */
	struct json *removed, *skipped;
	int64_t snapshots, deleted_images;
};

static bool has_same_images(const struct json *a, const struct json *b)
{
	return json_equal(json_get(a, "images"), json_get(b, "images"));
}

/* Whether it goes now, too: since the question somebody may have pinned it, or run it. */
static bool still_goes(const struct prune *prune, const struct json *planned)
{
	json_for_each(lineage, json_get(prune->now, "lineages"))
		json_for_each(snapshot, json_get(lineage, "snapshots"))
			if (goes(snapshot) && has_same_images(snapshot, planned))
				return true;
	return false;
}

static void skip(struct prune *prune, const char *name, const char *why)
{
	progress_warn(prune->session->progress, "%s stays: %s", name, why);
	json_add_string(prune->skipped, name);
}

/* An answer names the layers that went as well. */
static void count_deleted(struct prune *prune, const struct json *answer)
{
	bool deleted = false;

	json_for_each(item, answer)
		deleted = deleted || json_get(item, "Deleted");
	prune->deleted_images += deleted;
}

/* 0: removed; 1: it stays, or is gone already. */
static int remove_image(struct prune *prune, const char *name, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *answer = NULL;
	struct error *problem = NULL;

	if (image_remove(prune->session->engine, name, false, true, &answer, &problem) == 0) {
		count_deleted(prune, answer);
		return 0;
	}
	if (problem->http_status == HTTP_CONFLICT || problem->http_status == HTTP_NOT_FOUND) {
		if (problem->http_status == HTTP_CONFLICT)
			skip(prune, name, problem->message);
		error_free(problem);
		return 1;
	}
	error_append(err, problem);
	return error_prefix(err, "cannot remove \"%s\"", name);
}

static int remove_tag(struct prune *prune, const struct json *snapshot, const char *tag,
		      struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *holder = image_inspect(prune->session->engine, tag, NULL);
	int result;

	if (!json_has_string(json_get(snapshot, "images"), json_string_or(holder, "Id", ""))) {
		if (holder)
			skip(prune, tag, "it names another image by now");
		return 0;
	}
	result = remove_image(prune, tag, err);
	if (result == 0)
		json_add_string(prune->removed, tag);
	return result < 0 ? -1 : 0;
}

/* An image without a name, unless one stands on it: with that it goes by itself. */
static int remove_nameless(struct prune *prune, const char *image, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = image_inspect(prune->session->engine, image, NULL);
	CLEANUP(cleanup_json_free) struct json *answer = NULL;
	cleanup_error struct error *in_use = NULL;

	if (!inspect || images_tag_count(inspect))
		return 0;
	if (image_remove(prune->session->engine, image, false, true, &answer, &in_use) < 0) {
		if (in_use->http_status == HTTP_CONFLICT || in_use->http_status == HTTP_NOT_FOUND)
			return 0;
		error_append(err, STEAL_POINTER(in_use));
		return error_prefix(err, "cannot remove image %s", image);
	}
	count_deleted(prune, answer);
	return 0;
}

static int remove_snapshot(struct prune *prune, const struct json *snapshot, struct error **err)
{
	const struct json *references = json_get(snapshot, "references");
	const char *id = json_string_or(snapshot, "id", "");

	if (session_check(prune->session, err) < 0)
		return -1;
	if (!still_goes(prune, snapshot)) {
		skip(prune, json_string_or(json_first(references), NULL, id),
		     "it has come into use, or was pinned or changed, since the plan was made");
		return 0;
	}
	json_for_each(reference, references)
		if (remove_tag(prune, snapshot, json_string_or(reference, NULL, ""), err) < 0)
			return -1;
	json_for_each(image, json_get(snapshot, "images"))
		if (remove_nameless(prune, json_string_or(image, NULL, ""), err) < 0)
			return -1;
	if (!json_count(references))
		json_add_string(prune->removed, id);
	prune->snapshots++;
	failpoint("prune/removed");
	return 0;
}

/* Children first: an image on which nothing stands goes at once. */
static int remove_all(struct prune *prune, const struct json *plan, struct error **err)
{
	int64_t wanted = json_int(plan, "removed_snapshots");
	const struct json **list = memory_array(NULL, (size_t)wanted + 1, sizeof(*list));
	size_t count = 0;
	int result = 0;

	json_for_each(lineage, json_get(plan, "lineages"))
		json_for_each(snapshot, json_get(lineage, "snapshots"))
			if (goes(snapshot) && count < (size_t)wanted)
				list[count++] = snapshot;
	while (count && result == 0) {
		progress_phase(prune->session->progress, "removing snapshots, %zu to go", count);
		result = remove_snapshot(prune, list[--count], err);
	}
	free(list);
	if (result < 0)
		error_prefix(err, "%lld of %lld snapshots were removed, the others are whole",
			     (long long)prune->snapshots, (long long)wanted);
	return result;
}

static int rewrite(struct session *session, const struct prune_options *options,
		   const struct json *plan, struct json *report, struct error **err)
{
	struct json *rewritten = json_set_array(report, "rewritten");

	if (!is_rewritten(session, options, plan) ||
	    prune_rewrite(session, json_get(plan, "lineages"), options->reserve_bytes, rewritten,
			  err) == 0)
		return 0;
	return error_prefix(err, "snapshots removed: %lld, but room is freed only in part",
			    (long long)json_int(report, "removed_snapshots"));
}

int snapshot_prune(struct session *session, const struct prune_options *options,
		   const struct json *plan, struct json **result, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *now = NULL, *report = json_copy(plan);
	CLEANUP(cleanup_room_free) struct room *room = NULL;
	struct prune prune = {.session = session, .now = plan};

	if (!session->assume_yes && json_int(plan, "removed_snapshots")) {
		/* A person has thought about it, so time has passed. */
		if (snapshot_prune_plan(session, options, &now, err) < 0)
			return -1;
		prune.now = now;
	}
	room = room_open(session, err);
	if (!room)
		return -1;
	json_set_bool(report, "dry_run", false);
	prune.removed = json_set_array(report, "removed");
	prune.skipped = json_set_array(report, "skipped");
	if (remove_all(&prune, plan, err) < 0)
		return -1;
	json_set_int(report, "removed_snapshots", prune.snapshots);
	json_set_int(report, "deleted_images", prune.deleted_images);
	if (rewrite(session, options, plan, report, err) < 0 || room_update(room, session, err) < 0)
		return -1;
	json_set_int(report, "freed_bytes", room_freed(room));
	*result = STEAL_POINTER(report);
	return 0;
}
