/*
 * Snapshots as a history: which came from which. It is made of labels alone, which are
 * whatever an image's author wrote: ids may be missing, claimed twice, or run in a circle.
 */
#ifndef SIDESNAP_SNAPSHOT_HISTORY_H
#define SIDESNAP_SNAPSHOT_HISTORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/json.h"

enum history_parent {
	HISTORY_NONE,	/* it has no parent: the first of its source */
	HISTORY_HERE,	/* its parent is among the snapshots */
	HISTORY_ABSENT, /* it is not; the nearest known ancestor stands in where there is one */
	HISTORY_LOOPED, /* its parent would descend from itself: taken for none */
};

/* One snapshot: all images that say the same sidesnap.id. An image without one is its own. */
struct history_node {
	const char *id;		    /* sidesnap.id, or "" */
	const char *lineage;	    /* sidesnap.lineage, or "" */
	const struct json *entry;   /* of the image that speaks for it; borrowed */
	const struct json **images; /* entries of all its images, that one first */
	size_t image_count;
	enum history_parent parent;
	const struct history_node *ancestor; /* its parent, or who stands in; NULL: none is known */
	const struct history_node **children; /* whose ancestor it is, in the same lineage */
	size_t child_count;
};

struct history;

/*
 * history_new(entries):
 * From entries of images_list(), which are borrowed until history_free(). Of several images with
 * one id that speaks which has a tag, then the one that was committed last. A circle is broken
 * at its oldest snapshot. Never NULL.
 */
struct history *history_new(const struct json *entries);
void history_free(struct history *history); /* NULL ok */
CLEANUP_DEFINE(struct history, history_free)

/* history_find(history, id): By the whole sidesnap.id; NULL: none, also for "". */
const struct history_node *history_find(const struct history *history, const char *id);

/* history_find_image(history, image): Whose image that is, by the engine's id; NULL: none. */
const struct history_node *history_find_image(const struct history *history, const char *image);

/*
 * history_describe(node):
 * The entry with "references" and "pinned" of all its images, and {"images":[ID],
 * "parent_state":"none"|"here"|"absent"|"looped","ancestor":ID or ""}; to be freed.
 */
struct json *history_describe(const struct history_node *node);

/*
 * history_tree(history):
 * [{"lineage","source":{...},"snapshots":[{...,"depth"}]}], the lineage with the newest snapshot
 * first, its source that of its newest. Snapshots stand in the order in which they are drawn:
 * one, then what came from it; the way to the newest descendant goes on at the same depth, and
 * the others come before it, one deeper. To be freed.
 */
struct json *history_tree(const struct history *history);

/* history_log(node): It and its ancestors, newest first, as history_describe() has them; to be freed. */
struct json *history_log(const struct history_node *node);

#endif
