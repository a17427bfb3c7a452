/*
 * The lists of layers, sorted, are a tree: each image stands below those that begin as it does.
 * Where two part between images, a point without an image is put there, with a size by estimate.
 */
#include "snapshot/history/room.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "snapshot/labels.h"

struct member {
	char *id;
	struct json *layers;
	size_t depth; /* layers */
	uint64_t size, own;
	bool is_snapshot, is_before, is_after;
	uint64_t freed; /* as room_freed() found it last */
};

struct room {
	struct member *members;
	size_t count;
};

struct room *room_new(void)
{
	return memory_zalloc(sizeof(struct room));
}

void room_free(struct room *room)
{
	if (!room)
		return;
	for (size_t i = 0; i < room->count; i++) {
		free(room->members[i].id);
		json_free(room->members[i].layers);
	}
	free(room->members);
	free(room);
}

void room_add(struct room *room, const struct room_image *image, bool is_before)
{
	struct member *member;

	room->members = memory_array(room->members, room->count + 1, sizeof(*room->members));
	member = &room->members[room->count++];
	*member = (struct member){
		.id = memory_strdup(image->id),
		.layers = json_copy(image->layers),
		.depth = json_count(image->layers),
		.size = image->size,
		.own = image->own < image->size ? image->own : 0,
		.is_snapshot = image->is_snapshot,
		.is_before = is_before,
		.is_after = true,
	};
}

static struct member *find_member(const struct room *room, const char *id)
{
	for (size_t i = 0; i < room->count; i++)
		if (strcmp(room->members[i].id, id) == 0)
			return &room->members[i];
	return NULL;
}

void room_remove(struct room *room, const char *id)
{
	struct member *member = find_member(room, id);

	if (member)
		member->is_after = false;
}

/* ---- the tree ---- */

struct node {
	struct node *below; /* NULL: the root, which has no layer */
	size_t depth;
	uint64_t size, own;
	bool is_before, is_after, is_snapshot; /* whether such an image stands here or above */
};

struct tree {
	struct member **order;
	struct node *nodes; /* of order[i] is nodes[at[i]] */
	size_t *at;
	size_t count; /* of nodes */
};

static void tree_release(struct tree *tree)
{
	free(tree->order);
	free(tree->nodes);
	free(tree->at);
}

static int by_layers(const void *a, const void *b)
{
	const struct member *left = *(struct member *const *)a;
	const struct member *right = *(struct member *const *)b;
	const struct json *x = json_first(left->layers), *y = json_first(right->layers);

	for (; x && y; x = json_next(x), y = json_next(y)) {
		int order = strcmp(json_string_or(x, NULL, ""), json_string_or(y, NULL, ""));

		if (order)
			return order;
	}
	return x ? 1 : y ? -1 : strcmp(left->id, right->id);
}

static size_t common_depth(const struct member *a, const struct member *b)
{
	const struct json *x = json_first(a->layers), *y = json_first(b->layers);
	size_t depth = 0;

	for (; x && y && json_equal(x, y); x = json_next(x), y = json_next(y))
		depth++;
	return depth;
}

/* Between ${top}, the last one there, and what comes next, which has as many layers of it. */
static struct node *part(struct tree *tree, struct node *top, const struct member *next,
			 size_t depth)
{
	struct node *last = NULL, *point;
	uint64_t other = next->size - next->own;

	while (top->depth > depth) {
		last = top;
		top = top->below;
	}
	if (!last || top->depth == depth)
		return top;
	point = &tree->nodes[tree->count++];
	*point = (struct node){.below = top, .depth = depth, .size = last->size - last->own};
	if (point->size > other)
		point->size = other;
	if (point->size < top->size)
		point->size = top->size;
	last->below = point;
	return point;
}

static void mark(struct node *node, const struct member *member)
{
	for (; node; node = node->below) {
		node->is_before |= member->is_before;
		node->is_after |= member->is_after;
		node->is_snapshot |= member->is_snapshot;
	}
}

static void tree_init(struct tree *tree, const struct room *room)
{
	struct node *top;

	tree->order = memory_array(NULL, room->count + 1, sizeof(*tree->order));
	tree->at = memory_array(NULL, room->count + 1, sizeof(*tree->at));
	/* Each image is a node and parts at most one edge. */
	tree->nodes = memory_array(NULL, 2 * room->count + 1, sizeof(*tree->nodes));
	tree->nodes[0] = (struct node){0};
	tree->count = 1;
	for (size_t i = 0; i < room->count; i++)
		tree->order[i] = &room->members[i];
	qsort(tree->order, room->count, sizeof(*tree->order), by_layers);
	top = tree->nodes;
	for (size_t i = 0; i < room->count; i++) {
		const struct member *member = tree->order[i];

		top = part(tree, top, member, i ? common_depth(tree->order[i - 1], member) : 0);
		if (top->depth < member->depth) {
			tree->nodes[tree->count] = (struct node){.below = top,
								 .depth = member->depth,
								 .size = member->size,
								 .own = member->own};
			top = &tree->nodes[tree->count++];
		}
		tree->at[i] = (size_t)(top - tree->nodes);
	}
	/* Only now, as a point comes in below what was there before it. */
	for (size_t i = 0; i < room->count; i++)
		mark(&tree->nodes[tree->at[i]], tree->order[i]);
}

/* Of the layers between a node and the one below it. */
static int64_t freed_at(const struct node *node)
{
	uint64_t size;

	if (!node->below || !node->is_snapshot || node->is_before == node->is_after ||
	    node->size < node->below->size)
		return 0;
	size = node->size - node->below->size;
	return node->is_before ? (int64_t)size : -(int64_t)size;
}

int64_t room_freed(struct room *room)
{
	CLEANUP(tree_release) struct tree tree;
	int64_t sum = 0;

	tree_init(&tree, room);
	for (size_t i = 0; i < tree.count; i++)
		sum += freed_at(&tree.nodes[i]);
	for (size_t i = 0; i < room->count; i++) {
		int64_t bytes = freed_at(&tree.nodes[tree.at[i]]);

		tree.order[i]->freed = !tree.order[i]->is_after && bytes > 0 ? (uint64_t)bytes : 0;
	}
	return sum;
}

uint64_t room_freed_by(const struct room *room, const char *id)
{
	const struct member *member = find_member(room, id);

	return member ? member->freed : 0;
}

/* ---- an engine's images ---- */

static int add_listed(struct room *room, const struct session *session, const struct json *item,
		      bool is_before, struct error **err)
{
	const char *id = json_string_or(item, "Id", "");
	const struct json *labels = json_get(item, "Labels");
	struct room_image image = {.id = id, .size = (uint64_t)json_int(item, "Size")};
	CLEANUP(cleanup_json_free) struct json *inspect = NULL;

	if (session_check(session, err) < 0)
		return -1;
	/* One that is gone by now takes no room. */
	inspect = image_inspect(session->engine, id, NULL);
	if (!inspect)
		return 0;
	image.layers = json_path(inspect, "RootFS", "Layers");
	image.is_snapshot = *json_string_or(labels, LABEL_ROLE, "") != '\0';
	if (image.is_snapshot && !text_parse_uint(json_string_or(labels, LABEL_STORED, ""),
						  (uint64_t)1 << 53, &image.own))
		image.own = 0;
	room_add(room, &image, is_before);
	return 0;
}

struct room *room_open(const struct session *session, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *images = image_list(session->engine, NULL, err);
	CLEANUP(cleanup_room_free) struct room *room = room_new();

	if (!images) {
		error_prefix(err, "cannot list images");
		return NULL;
	}
	json_for_each(item, images)
		if (add_listed(room, session, item, true, err) < 0)
			return NULL;
	return STEAL_POINTER(room);
}

int room_update(struct room *room, const struct session *session, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *images = image_list(session->engine, NULL, err);

	if (!images)
		return error_prefix(err, "cannot list images");
	for (size_t i = 0; i < room->count; i++)
		room->members[i].is_after = false;
	json_for_each(item, images) {
		struct member *member = find_member(room, json_string_or(item, "Id", ""));

		if (member)
			member->is_after = true;
		else if (add_listed(room, session, item, false, err) < 0)
			return -1;
	}
	return 0;
}
