/*
 * sidesnap push. All is looked up and checked before the first byte is sent; what others came
 * from is sent first, so that a push that breaks off leaves a history without holes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "remote/registry.h"
#include "snapshot/history/history.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/share/transfer.h"
#include "snapshot/target.h"

/* One name to push. */
struct item {
	struct reference reference;
	char *image; /* the engine's id */
	char *id;    /* sidesnap.id */
	bool is_new; /* the image has not got this name yet */
	size_t turn; /* when it is sent, from 1; 0: not decided yet */
};

struct push {
	struct session *session;
	const struct push_options *options;
	struct transfer transfer;
	struct reference to; /* --to; repository NULL: not given */
	bool to_has_tag;
	struct item *items; /* what was named on the command line, then what that came from */
	size_t count, turns;
	struct json *entries; /* with --lineage: images_list() */
	struct history *history;
};

static void push_release(struct push *push)
{
	for (size_t i = 0; i < push->count; i++) {
		reference_release(&push->items[i].reference);
		free(push->items[i].image);
		free(push->items[i].id);
	}
	free(push->items);
	reference_release(&push->to);
	history_free(push->history);
	json_free(push->entries);
	transfer_release(&push->transfer);
}

static bool same_reference(const struct reference *a, const struct reference *b)
{
	return !strcmp(a->repository, b->repository) && !strcmp(a->tag, b->tag);
}

static struct item *planned(const struct push *push, const struct reference *reference)
{
	for (size_t i = 0; i < push->count; i++)
		if (same_reference(&push->items[i].reference, reference))
			return &push->items[i];
	return NULL;
}

/* Whose name it is now: an image's id, "" for nobody's; to be freed. */
static char *holder_of(const struct push *push, const struct reference *reference)
{
	cleanup_free char *name = reference_format(reference);
	CLEANUP(cleanup_json_free)
	struct json *inspect = image_inspect(push->session->engine, name, NULL);

	return memory_strdup(json_string_or(inspect, "Id", ""));
}

/* Whether ${reference} may become, or is, a name of ${image}. */
static bool is_free_for(const struct push *push, const struct reference *reference,
			const char *image)
{
	const struct item *item = planned(push, reference);
	cleanup_free char *holder = NULL;

	if (item)
		return !strcmp(item->image, image);
	holder = holder_of(push, reference);
	return !*holder || !strcmp(holder, image);
}

static int refuse_taken(const struct push *push, const struct reference *reference,
			struct error **err)
{
	cleanup_free char *name = reference_format(reference);

	if (planned(push, reference)) {
		error_set(err, ERROR_USAGE, "two snapshots would be \"%s\"", name);
		return error_hint(err, "push them one after the other, with --to REPOSITORY:TAG");
	}
	error_set(err, ERROR_EXISTS, "\"%s\" is the name of another image here", name);
	return error_hint(err,
			  "choose another one: --to REPOSITORY:TAG; or \"sidesnap tag --force\" "
			  "moves it");
}

/* It is sent behind all that have a turn already, unless it is one of those. */
static void give_turn(struct push *push, struct item *item)
{
	if (!item->turn)
		item->turn = ++push->turns;
}

static int add_item(struct push *push, const struct reference *reference, const char *image,
		    const char *id, struct error **err)
{
	cleanup_free char *holder = NULL;

	if (!is_free_for(push, reference, image))
		return refuse_taken(push, reference, err);
	if (planned(push, reference))
		return 0;
	if (transfer_check(&push->transfer, reference, err) < 0)
		return -1;
	holder = holder_of(push, reference);
	push->items = memory_array(push->items, push->count + 1, sizeof(*push->items));
	push->items[push->count++] = (struct item){
		.reference = {memory_strdup(reference->repository), memory_strdup(reference->tag)},
		.image = memory_strdup(image),
		.id = memory_strdup(id),
		.is_new = !*holder,
	};
	return 0;
}

/* ---- names ---- */

/* The tag that a default name has: the instant of the state; to be freed. */
static char *tag_of_time(const char *created)
{
	struct timespec time = {0};

	clock_parse(created, &time);
	return clock_format_tag(time);
}

/*
 * The tag part of a name that an image has, one of no registry before others, else that of its
 * time; to be freed.
 */
static char *some_tag(const struct json *names, const char *created)
{
	char *found = NULL;

	json_for_each(name, names) {
		CLEANUP(reference_release) struct reference parsed = {0};
		bool is_better;

		if (reference_parse(json_string_or(name, NULL, "-"), &parsed, NULL) < 0 ||
		    !strcmp(parsed.tag, "latest"))
			continue;
		is_better = !registry_takes(parsed.repository);
		if (found && !is_better)
			continue;
		free(found);
		found = STEAL_POINTER(parsed.tag);
		if (is_better)
			break;
	}
	return found ? found : tag_of_time(created);
}

/* What the snapshot given as ${text} is to be called at the registry. */
static int choose_name(const struct push *push, const char *text, const struct json *inspect,
		       struct reference *reference, struct error **err)
{
	struct reference given = {0};
	bool by_name =
		images_tag_named(inspect, text) != NULL && reference_parse(text, &given, NULL) == 0;

	if (!push->to.repository) {
		if (by_name) {
			*reference = given;
			return 0;
		}
		error_set(err, ERROR_USAGE, "\"%s\" names an image, but no registry", text);
		return error_hint(err, "say where to: --to registry.example/team/db");
	}
	reference->repository = memory_strdup(push->to.repository);
	if (push->to_has_tag)
		reference->tag = memory_strdup(push->to.tag);
	else if (by_name)
		reference->tag = memory_strdup(given.tag);
	else
		reference->tag = some_tag(json_get(inspect, "RepoTags"),
					  snapshot_label(inspect, LABEL_CREATED));
	reference_release(&given);
	return 0;
}

/* ---- the chain ---- */

/* What an image will be called at that repository, NULL: it is not to be pushed yet. */
static struct item *planned_image(const struct push *push, const char *repository,
				  const char *image)
{
	for (size_t i = 0; i < push->count; i++)
		if (!strcmp(push->items[i].reference.repository, repository) &&
		    !strcmp(push->items[i].image, image))
			return &push->items[i];
	return NULL;
}

/* The names that a snapshot has at that repository; false: none, or *err. */
static bool add_names_there(struct push *push, const char *repository, const struct json *entry,
			    struct error **err)
{
	bool found = false;

	json_for_each(name, json_get(entry, "references")) {
		CLEANUP(reference_release) struct reference parsed = {0};
		cleanup_free char *holder = NULL;

		if (reference_parse(json_string_or(name, NULL, "-"), &parsed, NULL) < 0 ||
		    strcmp(parsed.repository, repository) != 0)
			continue;
		holder = holder_of(push, &parsed);
		if (add_item(push, &parsed, holder, json_string_or(entry, "id", ""), err) < 0)
			return false;
		give_turn(push, planned(push, &parsed));
		found = true;
	}
	return found;
}

/* An ancestor, under its own tag, or where that is another's, under its time. */
static int add_ancestor(struct push *push, const char *repository, const struct json *entry,
			struct error **err)
{
	const char *image = json_string_or(entry, "image", "");
	const char *created = json_string_or(entry, "created", "");
	struct item *named = planned_image(push, repository, image);
	struct reference reference = {0};
	struct error *problem = NULL;
	int result;

	if (named) {
		give_turn(push, named);
		return 0;
	}
	if (add_names_there(push, repository, entry, &problem))
		return 0;
	if (problem) {
		error_append(err, problem);
		return -1;
	}
	reference.repository = memory_strdup(repository);
	reference.tag = some_tag(json_get(entry, "references"), created);
	if (!is_free_for(push, &reference, image)) {
		free(reference.tag);
		reference.tag = tag_of_time(created);
	}
	result = add_item(push, &reference, image, json_string_or(entry, "id", ""), err);
	if (result == 0)
		give_turn(push, planned(push, &reference));
	reference_release(&reference);
	return result;
}

/* What the item of that number came from, at the same repository. */
static int add_ancestors(struct push *push, size_t number, struct error **err)
{
	cleanup_free char *repository = memory_strdup(push->items[number].reference.repository);
	const struct history_node *node = history_find(push->history, push->items[number].id);
	CLEANUP(cleanup_json_free) struct json *log = NULL;
	const struct json **oldest_first;
	size_t count = 0;
	int result = 0;

	if (!node)
		node = history_find_image(push->history, push->items[number].image);
	log = history_log(node ? node->ancestor : NULL);
	oldest_first = memory_array(NULL, json_count(log) + 1, sizeof(struct json *));
	json_for_each(entry, log)
		oldest_first[count++] = entry;
	while (count && result == 0)
		result = add_ancestor(push, repository, oldest_first[--count], err);
	free(oldest_first);
	return result;
}

/* ---- the plan ---- */

static int plan_one(struct push *push, const char *text, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = snapshot_inspect(push->session, text, err);
	CLEANUP(reference_release) struct reference reference = {0};

	if (!inspect || choose_name(push, text, inspect, &reference, err) < 0)
		return -1;
	return add_item(push, &reference, json_string_or(inspect, "Id", ""),
			snapshot_label(inspect, LABEL_ID), err);
}

static int plan_chosen(struct push *push, const struct json *chosen, struct error **err)
{
	CLEANUP(reference_release)
	struct reference reference = {memory_strdup(json_string_or(chosen, "repository", "")),
				      memory_strdup(json_string_or(chosen, "tag", ""))};

	return add_item(push, &reference, json_string_or(chosen, "image", ""),
			json_string_or(chosen, "id", ""), err);
}

static int compare_turns(const void *a, const void *b)
{
	const struct item *left = a, *right = b;

	return left->turn < right->turn ? -1 : left->turn > right->turn;
}

static int plan(struct push *push, struct error **err)
{
	const struct push_options *options = push->options;
	const char *to = options->to;
	size_t named, first;

	if (to) {
		const char *slash = strrchr(to, '/');

		if (reference_parse(to, &push->to, err) < 0)
			return error_prefix(err, "--to");
		push->to_has_tag = strchr(slash ? slash : to, ':') != NULL;
		if (push->to_has_tag && (options->references->count > 1 ||
					 (options->lineage && options->references->count)))
			return error_set(
				err, ERROR_USAGE,
				"--to names a tag, but there are several snapshots to push");
	}
	if (options->lineage) {
		push->entries = images_list(push->session, err);
		if (!push->entries)
			return -1;
		push->history = history_new(push->entries);
	}
	json_for_each(chosen, options->chosen)
		if (plan_chosen(push, chosen, err) < 0)
			return -1;
	/* First all that have been named: their ancestors take what names are left. */
	first = push->count;
	for (size_t i = 0; i < options->references->count; i++)
		if (plan_one(push, options->references->items[i], err) < 0)
			return -1;
	named = push->count;
	for (size_t i = 0; i < named; i++) {
		if (i >= first && push->history && add_ancestors(push, i, err) < 0)
			return -1;
		give_turn(push, &push->items[i]);
	}
	qsort(push->items, push->count, sizeof(*push->items), compare_turns);
	return session_check(push->session, err);
}

/* ---- doing it ---- */

/* Take back a name that was made for a push that failed; the image has others. */
static void take_back(const struct push *push, const struct item *item)
{
	struct engine *engine = push->session->engine;
	cleanup_free char *name = reference_format(&item->reference);
	CLEANUP(cleanup_json_free) struct json *inspect = NULL;

	engine_set_cancel(engine, NULL);
	inspect = image_inspect(engine, name, NULL);
	if (!strcmp(json_string_or(inspect, "Id", ""), item->image) &&
	    images_tag_count(inspect) > 1)
		image_remove(engine, name, false, false, NULL, NULL);
	engine_set_cancel(engine, push->session->cancelled);
}

static int push_one(struct push *push, const struct item *item, struct json *pushed,
		    struct error **err)
{
	cleanup_free char *name = reference_format(&item->reference);
	struct json *result;

	if (item->is_new && image_tag(push->session->engine, item->image,
				      item->reference.repository, item->reference.tag, err) < 0)
		return error_prefix(err, "cannot name the snapshot \"%s\"", name);
	failpoint("push/named");
	result = transfer_run(&push->transfer, &item->reference, err);
	if (!result) {
		if (item->is_new)
			take_back(push, item);
		return -1;
	}
	json_set_string(result, "reference", name);
	json_set_string(result, "id", item->id);
	json_set_string(result, "image", item->image);
	json_add(pushed, result);
	return 0;
}

int snapshot_push(struct session *session, const struct push_options *options, struct json **result,
		  struct error **err)
{
	CLEANUP(push_release)
	struct push push = {.session = session, .options = options};
	CLEANUP(cleanup_json_free) struct json *report = json_new_object();
	struct json *pushed = json_set_array(report, "pushed");
	uint64_t start = clock_monotonic_ms();

	transfer_init(&push.transfer, session, TRANSFER_PUSH, &options->login);
	if (plan(&push, err) < 0)
		return -1;
	for (size_t i = 0; i < push.count; i++) {
		if (push_one(&push, &push.items[i], pushed, err) == 0)
			continue;
		if (i)
			progress_warn(session->progress, "%zu of %zu were pushed before it failed",
				      i, push.count);
		return -1;
	}
	json_set_int(report, "duration_ms", (int64_t)(clock_monotonic_ms() - start));
	*result = STEAL_POINTER(report);
	return 0;
}
