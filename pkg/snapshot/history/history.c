/*
 * Everything is ordered by what the labels say, never by the order in which an engine lists
 * its images, so that the same snapshots look the same everywhere.
 */
#include "snapshot/history/history.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/text.h"

struct node {
	struct history_node public;	 /* first: a node's address is that of what others see */
	struct node *above;		 /* the same as public.ancestor */
	struct timespec created, newest; /* of it; of it and all its descendants */
	size_t visit;			 /* the walk that met it last */
};

struct image {
	const struct json *entry;
	const char *id;
};

struct history {
	struct image *images; /* by id, who speaks first */
	struct node *nodes;   /* by id, those without one last to first in the same order */
	struct node **order;  /* oldest first */
	size_t count;
};

static int compare_times(struct timespec a, struct timespec b)
{
	if (a.tv_sec != b.tv_sec)
		return a.tv_sec < b.tv_sec ? -1 : 1;
	if (a.tv_nsec != b.tv_nsec)
		return a.tv_nsec < b.tv_nsec ? -1 : 1;
	return 0;
}

static const char *image_of(const struct node *node)
{
	return json_string_or(node->public.entry, "image", "");
}

/* Without a valid time: the oldest. */
static int oldest_first(const void *a, const void *b)
{
	const struct node *left = *(struct node *const *)a, *right = *(struct node *const *)b;
	int order = compare_times(left->created, right->created);

	if (!order)
		order = strcmp(left->public.id, right->public.id);
	return order ? order : strcmp(image_of(left), image_of(right));
}

static int newest_descendant_last(const void *a, const void *b)
{
	const struct node *left = *(struct node *const *)a, *right = *(struct node *const *)b;
	int order = compare_times(left->newest, right->newest);

	return order ? order : oldest_first(a, b);
}

/* ---- nodes ---- */

static int by_id(const void *a, const void *b)
{
	const struct image *left = a, *right = b;
	bool left_named = json_count(json_get(left->entry, "references")) > 0;
	bool right_named = json_count(json_get(right->entry, "references")) > 0;
	int64_t left_time = json_int(left->entry, "committed");
	int64_t right_time = json_int(right->entry, "committed");
	int order = strcmp(left->id, right->id);

	if (order)
		return order;
	if (left_named != right_named)
		return left_named ? -1 : 1;
	if (left_time != right_time)
		return left_time > right_time ? -1 : 1;
	return strcmp(json_string_or(left->entry, "image", ""),
		      json_string_or(right->entry, "image", ""));
}

static void collect_images(struct history *history, const struct json *entries)
{
	size_t count = json_count(entries), index = 0;

	history->images = memory_array(NULL, count + 1, sizeof(*history->images));
	json_for_each(entry, entries)
		history->images[index++] =
			(struct image){.entry = entry, .id = json_string_or(entry, "id", "")};
	qsort(history->images, count, sizeof(*history->images), by_id);
}

static void init_node(struct node *node, const struct image *images, size_t count)
{
	struct history_node *public = &node->public;

	*node = (struct node){0};
	public->entry = images[0].entry;
	public->id = images[0].id;
	public->lineage = json_string_or(public->entry, "lineage", "");
	public->images = memory_array(NULL, count, sizeof(*public->images));
	public->image_count = count;
	for (size_t i = 0; i < count; i++)
	public->images[i] = images[i].entry;
	clock_parse(json_string_or(public->entry, "created", ""), &node->created);
	node->newest = node->created;
}

static void make_nodes(struct history *history, size_t image_count)
{
	history->nodes = memory_array(NULL, image_count + 1, sizeof(*history->nodes));
	history->order = memory_array(NULL, image_count + 1, sizeof(struct node *));
	for (size_t i = 0; i < image_count;) {
		const struct image *first = &history->images[i];
		size_t count = 1;

		while (*first->id && i + count < image_count &&
		       strcmp(first[count].id, first->id) == 0)
			count++;
		init_node(&history->nodes[history->count], first, count);
		history->order[history->count] = &history->nodes[history->count];
		history->count++;
		i += count;
	}
	qsort(history->order, history->count, sizeof(struct node *), oldest_first);
}

static int compare_to_id(const void *key, const void *element)
{
	const struct node *node = element;

	return strcmp(key, node->public.id);
}

static struct node *find(const struct history *history, const char *id)
{
	return *id ? bsearch(id, history->nodes, history->count, sizeof(*history->nodes),
			     compare_to_id)
		   : NULL;
}

/* ---- edges ---- */

static void find_ancestor(const struct history *history, struct node *node)
{
	const char *parent = json_string_or(node->public.entry, "parent", "");

	node->above = find(history, parent);
	node->public.parent = node->above ? HISTORY_HERE : *parent ? HISTORY_ABSENT : HISTORY_NONE;
	if (node->public.parent != HISTORY_ABSENT)
		return;
	json_for_each(ancestor, json_get(node->public.entry, "ancestors")) {
		node->above = find(history, json_string_or(ancestor, NULL, ""));
		if (node->above)
			return;
	}
}

/* The circle that ${node} is on begins anew with its oldest. */
static void break_circle(struct node *node)
{
	struct node *oldest = node;

	for (struct node *other = node->above; other != node; other = other->above)
		if (oldest_first(&other, &oldest) < 0)
			oldest = other;
	oldest->above = NULL;
	oldest->public.parent = HISTORY_LOOPED;
}

static void break_circles(struct history *history)
{
	for (size_t i = 0; i < history->count; i++) {
		struct node *node = history->order[i];

		while (node && !node->visit) {
			node->visit = i + 1;
			node = node->above;
		}
		/* Met again by the walk that met it first. */
		if (node && node->visit == i + 1)
			break_circle(node);
	}
}

static bool is_root(const struct node *node)
{
	return !node->above || strcmp(node->above->public.lineage, node->public.lineage) != 0;
}

static void add_child(struct node *node, const struct node *child)
{
	struct history_node *public = &node->public;

	public->children =
		memory_array(public->children, public->child_count + 1, sizeof(*public->children));
	public->children[public->child_count++] = &child->public;
}

static void join_nodes(struct history *history)
{
	/* Newest first: who meets an ancestor that knows of a newer one is done. */
	for (size_t i = history->count; i-- > 0;) {
		struct node *node = history->order[i];
		struct timespec newest = node->newest;

		for (struct node *up = node; !is_root(up); up = up->above) {
			if (compare_times(up->above->newest, newest) >= 0)
				break;
			up->above->newest = newest;
		}
	}
	for (size_t i = 0; i < history->count; i++) {
		struct node *node = history->order[i];

		node->public.ancestor = node->above ? &node->above->public : NULL;
		if (!is_root(node))
			add_child(node->above, node);
	}
	for (size_t i = 0; i < history->count; i++)
		if (history->nodes[i].public.child_count)
			qsort(history->nodes[i].public.children,
			      history->nodes[i].public.child_count, sizeof(struct node *),
			      newest_descendant_last);
}

struct history *history_new(const struct json *entries)
{
	struct history *history = memory_zalloc(sizeof(*history));

	collect_images(history, entries);
	make_nodes(history, json_count(entries));
	for (size_t i = 0; i < history->count; i++)
		find_ancestor(history, &history->nodes[i]);
	break_circles(history);
	join_nodes(history);
	return history;
}

void history_free(struct history *history)
{
	if (!history)
		return;
	for (size_t i = 0; i < history->count; i++) {
		free(history->nodes[i].public.images);
		free(history->nodes[i].public.children);
	}
	free(history->images);
	free(history->nodes);
	free(history->order);
	free(history);
}

const struct history_node *history_find(const struct history *history, const char *id)
{
	const struct node *node = find(history, id);

	return node ? &node->public : NULL;
}

const struct history_node *history_find_image(const struct history *history, const char *image)
{
	for (size_t i = 0; i < history->count; i++) {
		const struct history_node *node = &history->nodes[i].public;

		for (size_t j = 0; j < node->image_count; j++)
			if (strcmp(json_string_or(node->images[j], "image", ""), image) == 0)
				return node;
	}
	return NULL;
}

/* ---- as JSON ---- */

static const char *parent_state(const struct history_node *node)
{
	switch (node->parent) {
	case HISTORY_HERE:
		return "here";
	case HISTORY_ABSENT:
		return "absent";
	case HISTORY_LOOPED:
		return "looped";
	case HISTORY_NONE:
		break;
	}
	return "none";
}

struct json *history_describe(const struct history_node *node)
{
	struct json *object = json_copy(node->entry);
	struct json *references = json_set_array(object, "references");
	struct json *images = json_set_array(object, "images");
	bool pinned = false;

	for (size_t i = 0; i < node->image_count; i++) {
		json_for_each(reference, json_get(node->images[i], "references"))
			json_add_string(references, json_string(reference, NULL));
		json_add_string(images, json_string_or(node->images[i], "image", ""));
		pinned = pinned || json_bool(node->images[i], "pinned");
	}
	json_set_bool(object, "pinned", pinned);
	json_set_string(object, "parent_state", parent_state(node));
	json_set_string(object, "ancestor", node->ancestor ? node->ancestor->id : "");
	return object;
}

static void draw(const struct history_node *node, int64_t depth, struct json *list)
{
	for (;;) {
		json_set_int(json_add(list, history_describe(node)), "depth", depth);
		if (!node->child_count)
			return;
		for (size_t i = 0; i + 1 < node->child_count; i++)
			draw(node->children[i], depth + 1, list);
		node = node->children[node->child_count - 1];
	}
}

static void draw_lineage(const struct history *history, const struct node *newest,
			 struct json *tree)
{
	struct json *lineage = json_add_object(tree), *list;
	const struct json *source = json_get(newest->public.entry, "source");

	json_set_string(lineage, "lineage", newest->public.lineage);
	json_set(lineage, "source", source ? json_copy(source) : json_new_object());
	list = json_set_array(lineage, "snapshots");
	for (size_t i = 0; i < history->count; i++) {
		const struct node *node = history->order[i];

		if (is_root(node) && strcmp(node->public.lineage, newest->public.lineage) == 0)
			draw(&node->public, 0, list);
	}
}

struct json *history_tree(const struct history *history)
{
	struct json *tree = json_new_array();
	CLEANUP(string_list_release) struct string_list done;

	string_list_init(&done);
	for (size_t i = history->count; i-- > 0;) {
		const struct node *node = history->order[i];

		if (string_list_has(&done, node->public.lineage))
			continue;
		string_list_add(&done, node->public.lineage);
		draw_lineage(history, node, tree);
	}
	return tree;
}

struct json *history_log(const struct history_node *node)
{
	struct json *list = json_new_array();

	for (; node; node = node->ancestor)
		json_add(list, history_describe(node));
	return list;
}
