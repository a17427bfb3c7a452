/*
 * A chain is told by layers, not by history: a snapshot stands on another when it has all of
 * its layers and more. One more is its own; what else lies between was of snapshots that are gone.
 */
#include "snapshot/history/prune_rewrite.h"

#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/text.h"
#include "snapshot/create/consolidate.h"
#include "snapshot/history/lineage.h"
#include "snapshot/history/retag.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"

struct member {
	const struct json *snapshot; /* as in the tree; borrowed */
	struct json *inspect;	     /* of its image as it was */
	size_t layers;
	struct member *below; /* the highest that it stands on; NULL: none */
	bool has_gap;	      /* layers between the two that are nobody's */
	bool is_fixed;	      /* somebody holds on to its image */
	char *image;	      /* where it was written anew; else NULL */
};

struct chains {
	struct session *session;
	struct member *members; /* of one lineage, those with fewer layers first */
	size_t count;
	struct json *rewritten;
	uint64_t reserve_bytes; /* as in struct consolidate_options */
};

static void chains_release(struct chains *chains)
{
	for (size_t i = 0; i < chains->count; i++) {
		json_free(chains->members[i].inspect);
		free(chains->members[i].image);
	}
	free(chains->members);
}

static const char *id_of(const struct member *member)
{
	return json_string_or(member->snapshot, "id", "");
}

static const char *image_of(const struct member *member)
{
	return json_string_or(member->inspect, "Id", "");
}

static const char *name_of(const struct member *member)
{
	return json_string_or(json_first(json_get(member->snapshot, "references")), NULL,
			      id_of(member));
}

static const char *source_of(const struct member *member)
{
	return json_string_or(json_path(member->inspect, "Config", "Labels"), LABEL_IMAGE_ID, "");
}

static size_t layer_count(const struct json *inspect)
{
	return json_count(json_path(inspect, "RootFS", "Layers"));
}

/* ---- what stands on what ---- */

static int fewer_layers_first(const void *a, const void *b)
{
	const struct member *left = a, *right = b;

	if (left->layers != right->layers)
		return left->layers < right->layers ? -1 : 1;
	return strcmp(id_of(left), id_of(right));
}

/* The image goes only when nobody has it: no container, and no other image that says it is the same. */
static bool is_fixed(const struct json *snapshot)
{
	return json_count(json_get(snapshot, "images")) != 1 ||
	       !json_count(json_get(snapshot, "references")) ||
	       json_count(json_get(snapshot, "containers")) || !*json_string_or(snapshot, "id", "");
}

static int add_members(struct chains *chains, const struct json *lineage, struct error **err)
{
	const struct json *snapshots = json_get(lineage, "snapshots");

	chains->members = memory_zalloc((json_count(snapshots) + 1) * sizeof(*chains->members));
	json_for_each(snapshot, snapshots) {
		struct member *member = &chains->members[chains->count];
		const char *image =
			json_string_or(json_first(json_get(snapshot, "images")), NULL, "");

		member->inspect = image_inspect(chains->session->engine, image, err);
		if (!member->inspect)
			return -1;
		chains->count++;
		member->snapshot = snapshot;
		member->layers = layer_count(member->inspect);
		member->is_fixed = is_fixed(snapshot);
	}
	qsort(chains->members, chains->count, sizeof(*chains->members), fewer_layers_first);
	return 0;
}

static bool stands_on(const struct member *member, const struct member *below)
{
	return member->layers > below->layers && images_stands_on(member->inspect, below->inspect);
}

/* Above the image that all of it stands on. Where that is gone nothing can be put on it, either. */
static bool has_gap_below(const struct chains *chains, const struct member *member)
{
	CLEANUP(cleanup_json_free)
	struct json *source =
		*source_of(member) ? image_inspect(chains->session->engine, source_of(member), NULL)
				   : NULL;

	if (!source || !images_stands_on(member->inspect, source)) {
		progress_detail(chains->session->progress,
				"%s: the image below its chain is not here, so it stays as it is",
				name_of(member));
		return false;
	}
	return member->layers > layer_count(source) + 1;
}

static void find_below(struct chains *chains)
{
	for (size_t i = 0; i < chains->count; i++) {
		struct member *member = &chains->members[i];

		for (size_t j = i; j-- > 0 && !member->below;)
			if (stands_on(member, &chains->members[j]))
				member->below = &chains->members[j];
		member->has_gap = member->below ? member->layers > member->below->layers + 1
						: has_gap_below(chains, member);
	}
}

/* Nothing of what lies below is freed as long as one of those above stays where it is. */
static const struct member *find_fixed(const struct chains *chains, const struct member *member)
{
	for (size_t i = 0; i < chains->count; i++) {
		const struct member *other = &chains->members[i];

		if (!other->is_fixed)
			continue;
		for (const struct member *up = other; up; up = up->below)
			if (up == member)
				return other;
	}
	return NULL;
}

/* ---- one snapshot ---- */

static struct member *find_member(const struct chains *chains, const char *id)
{
	for (size_t i = 0; i < chains->count && *id; i++)
		if (strcmp(id_of(&chains->members[i]), id) == 0)
			return &chains->members[i];
	return NULL;
}

/*
 * What it is put on: the one below; or where an earlier prune was killed between the two, the one
 * that it came from, which is on other layers by now but has most of its data.
 */
static const struct member *find_onto(const struct chains *chains, const struct member *member)
{
	const struct member *ancestor =
		find_member(chains, json_string_or(member->snapshot, "ancestor", ""));

	if (ancestor && ancestor < member && ancestor != member->below &&
	    strcmp(source_of(ancestor), source_of(member)) == 0 &&
	    (!member->below || stands_on(ancestor, member->below)))
		return ancestor;
	return member->below;
}

static void report(struct chains *chains, const struct member *member,
		   const struct consolidation *consolidation)
{
	CLEANUP(cleanup_json_free) struct json *figures = consolidation_describe(consolidation);
	struct json *object = json_add_object(chains->rewritten);

	json_set_string(object, "reference", name_of(member));
	json_set_string(object, "id", id_of(member));
	json_set_string(object, "image", member->image);
	json_set_string(object, "previous", image_of(member));
	json_set_int(object, "stored_bytes", json_int(figures, "stored_bytes"));
	json_set_int(object, "duration_ms", json_int(figures, "duration_ms"));
}

static int move_tags(struct chains *chains, struct member *member,
		     struct consolidation *consolidation, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *moved = json_new_array();
	CLEANUP(string_list_release) struct string_list tags;
	int result;

	string_list_init(&tags);
	json_for_each(reference, json_get(member->snapshot, "references"))
		string_list_add(&tags, json_string_or(reference, NULL, ""));
	result = retag(chains->session, image_of(member), consolidation_image(consolidation), &tags,
		       moved, err);
	/* With a name it is a snapshot, and no leftover of a failure. */
	if (json_count(moved))
		member->image = consolidation_keep(consolidation);
	if (result == 0)
		report(chains, member, consolidation);
	failpoint("prune/retagged");
	return result;
}

static struct consolidate_options options_of(const struct chains *chains,
					     const struct member *member, bool must)
{
	const struct member *onto = find_onto(chains, member);
	const char *id = id_of(member);

	return (struct consolidate_options){
		.image = image_of(member),
		.target_id = strspn(id, "0123456789abcdef") == 32 && !id[32] ? id : NULL,
		.is_snapshot = true,
		.reserve_bytes = chains->reserve_bytes,
		.below = onto ? text_or(onto->image, image_of(onto)) : NULL,
		.is_below_known = onto == member->below,
		.least_gain_bytes = must ? 0 : PRUNE_LEAST_GAIN_BYTES,
	};
}

/* 1: it was not worth it. */
static int rewrite(struct chains *chains, struct member *member, bool must, struct error **err)
{
	struct consolidate_options options = options_of(chains, member, must);
	struct error *problem = NULL;
	CLEANUP(cleanup_consolidation_free) struct consolidation *consolidation = NULL;

	consolidation = snapshot_consolidate(chains->session, &options, &problem);
	if (problem) {
		error_append(err, problem);
		return error_prefix(err, "cannot write %s anew", name_of(member));
	}
	if (!consolidation) {
		progress_detail(chains->session->progress,
				"%s: too little would be freed, so it stays as it is",
				name_of(member));
		return 1;
	}
	return move_tags(chains, member, consolidation, err);
}

/* Those above follow: with their old layers they would hold on to all that was below. */
static int rewrite_above(struct chains *chains, const struct member *member, struct error **err)
{
	for (struct member *other = chains->members; other < chains->members + chains->count;
	     other++)
		if (other->below && other->below->image && !other->image &&
		    (session_check(chains->session, err) < 0 ||
		     rewrite(chains, other, true, err) < 0))
			return error_prefix(
				err,
				"%s was written anew, what stands on it only in part, so "
				"that nothing is freed yet (all snapshots are whole; the "
				"next prune goes on)",
				name_of(member));
	return 0;
}

/* ---- one lineage ---- */

/* The last one first: an engine keeps an image as long as another one stands on it. */
static void remove_old(struct chains *chains)
{
	struct engine *engine = chains->session->engine;

	engine_set_cancel(engine, NULL);
	for (size_t i = chains->count; i-- > 0;) {
		const struct member *member = &chains->members[i];
		CLEANUP(cleanup_json_free) struct json *old = NULL;
		cleanup_error struct error *in_use = NULL;

		if (!member->image)
			continue;
		old = image_inspect(engine, image_of(member), NULL);
		if (old && !images_tag_count(old))
			image_remove(engine, image_of(member), false, true, NULL, &in_use);
	}
	engine_set_cancel(engine, chains->session->cancelled);
}

static int rewrite_chains(struct chains *chains, struct error **err)
{
	find_below(chains);
	for (size_t i = 0; i < chains->count; i++) {
		struct member *member = &chains->members[i];
		const struct member *fixed = member->has_gap ? find_fixed(chains, member) : NULL;
		int result;

		if (fixed)
			progress_note(
				chains->session->progress,
				"%s stands on layers of removed snapshots, which stay as long "
				"as something uses %s",
				name_of(member), name_of(fixed));
		if (member->image || !member->has_gap || fixed)
			continue;
		if (session_check(chains->session, err) < 0)
			return -1;
		result = rewrite(chains, member, false, err);
		if (result < 0 || (result == 0 && rewrite_above(chains, member, err) < 0))
			return -1;
	}
	return 0;
}

static int rewrite_lineage(struct session *session, const struct json *lineage,
			   uint64_t reserve_bytes, struct json *rewritten, struct error **err)
{
	struct chains chains = {
		.session = session, .rewritten = rewritten, .reserve_bytes = reserve_bytes};
	int result = add_members(&chains, lineage, err);

	if (result == 0)
		result = rewrite_chains(&chains, err);
	failpoint("prune/rewritten");
	remove_old(&chains);
	chains_release(&chains);
	return result;
}

/* ---- what that would free ---- */

static int estimate(const struct chains *chains, const struct member *member, uint64_t until_ms,
		    struct json *gains, struct error **err)
{
	struct consolidate_options options = options_of(chains, member, false);
	const char *image = image_of(member);
	struct error *problem = NULL;
	uint64_t bytes = 0;

	if (clock_monotonic_ms() > until_ms) {
		json_set(gains, image, json_new_null());
		return session_check(chains->session, err);
	}
	progress_phase(chains->session->progress, "finding out what would be freed");
	if (consolidate_estimate(chains->session, &options, &bytes, &problem) == 0) {
		json_set_int(gains, image, (int64_t)bytes);
		return 0;
	}
	json_set(gains, image, json_new_null());
	progress_detail(chains->session->progress, "%s: not known what would be freed: %s",
			name_of(member), problem->message);
	error_free(problem);
	return session_check(chains->session, err);
}

int prune_rewrite_estimate(struct session *session, const struct json *lineage, uint64_t until_ms,
			   struct json *gains, struct error **err)
{
	struct chains chains = {.session = session};
	int result = add_members(&chains, lineage, err);

	if (result == 0)
		find_below(&chains);
	for (size_t i = 0; i < chains.count && result == 0; i++) {
		const struct member *member = &chains.members[i];

		if (member->has_gap && !find_fixed(&chains, member))
			result = estimate(&chains, member, until_ms, gains, err);
	}
	chains_release(&chains);
	return result;
}

/* ---- all lineages ---- */

/* What is wrong with one snapshot is no reason to leave the others as they are. */
static bool is_of_one_lineage(const struct error *problem)
{
	return problem->kind == ERROR_DAMAGED || problem->kind == ERROR_NOT_FOUND ||
	       problem->kind == ERROR_UNSUPPORTED || problem->kind == ERROR_BUSY;
}

static bool is_wanted(const struct json *lineages, const struct json *lineage)
{
	const char *name = json_string_or(lineage, "lineage", "");

	json_for_each(wanted, lineages)
		if (*name && strcmp(json_string_or(wanted, "lineage", ""), name) == 0)
			return true;
	return false;
}

int prune_rewrite(struct session *session, const struct json *lineages, uint64_t reserve_bytes,
		  struct json *rewritten, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *all = NULL;
	int result = 0;

	if (consolidate_clean(session, false, NULL, NULL, err) < 0)
		return -1;
	all = lineage_tree(session, NULL, false, err);
	if (!all)
		return -1;
	json_for_each(lineage, all) {
		struct error *problem = NULL;
		bool is_over;

		if (!is_wanted(lineages, lineage) ||
		    rewrite_lineage(session, lineage, reserve_bytes, rewritten, &problem) == 0)
			continue;
		is_over = !is_of_one_lineage(problem);
		error_append(err, problem);
		result = -1;
		if (is_over)
			break;
	}
	return result;
}
