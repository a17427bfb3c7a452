/*
 * Fronts of layers, fetched in growing parts until what is wanted has come. The newest layer is asked
 * first: it has the manifest, which says which packs are still missing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "snapshot/labels.h"
#include "snapshot/share/catalogs.h"
#include "snapshot/share/remote.h"

#define FIRST_PART (16U << 10)
#define PART_MAX (4U << 20)
/* Layers that are asked at once, after the newest. */
#define GROUP 4

struct layer_front {
	char digest[DIGEST_SIZE];
	uint64_t have; /* compressed bytes that were fed to it */
	struct front front;
	bool is_done;
};

void remote_fronts_release(struct remote_fronts *fronts)
{
	for (size_t i = 0; i < fronts->count; i++)
		front_release(&fronts->list[i].front);
	free(fronts->list);
	*fronts = (struct remote_fronts){0};
}

/* Where the list is holds until the next is added. */
static size_t front_of(struct remote_fronts *fronts, const struct remote_layer *layer)
{
	struct layer_front *front;

	for (size_t i = 0; i < fronts->count; i++)
		if (!strcmp(fronts->list[i].digest, layer->digest))
			return i;
	fronts->list = memory_array(fronts->list, fronts->count + 1, sizeof(*fronts->list));
	front = &fronts->list[fronts->count];
	*front = (struct layer_front){0};
	memcpy(front->digest, layer->digest, DIGEST_SIZE);
	front_init(&front->front, fronts->manifest_only);
	return fronts->count++;
}

static int take_part(struct layer_front *front, const struct remote_part *part, struct error **err)
{
	bool is_last = part->size < part->length;
	enum front_end end;

	front->have += part->size;
	end = front_feed(&front->front, part->data, part->size, is_last, err);
	if (end == FRONT_FAILED) {
		if (err && *err && (*err)->kind == ERROR_UNSUPPORTED)
			error_hint(err, "pull it, and name it without --remote");
		return error_prefix(err, "layer %.19s", front->digest);
	}
	front->is_done = end == FRONT_ENOUGH;
	return 0;
}

/* One more part of each of these layers that is not done. 1: all are. */
static int fetch_parts(struct client *client, struct remote_fronts *fronts,
		       const struct remote_layer *layers, size_t count, struct error **err)
{
	struct remote_part parts[GROUP];
	size_t indexes[GROUP], wanted = 0;
	int result;

	for (size_t i = 0; i < count; i++) {
		size_t index = front_of(fronts, &layers[i]);
		uint64_t have = fronts->list[index].have;

		if (fronts->list[index].is_done)
			continue;
		indexes[wanted] = index;
		parts[wanted++] = (struct remote_part){
			.layer = &layers[i],
			.offset = have,
			.length = have / 2 < FIRST_PART ? FIRST_PART
				  : have / 2 > PART_MAX ? PART_MAX
							: have / 2,
		};
	}
	if (!wanted)
		return 1;
	result = distribution_read(client, parts, wanted, err);
	for (size_t i = 0; i < wanted; i++) {
		if (result == 0)
			result = take_part(&fronts->list[indexes[i]], &parts[i], err);
		free(parts[i].data);
	}
	return result;
}

/* Read fronts of layers from the newest on, until is_enough() says so. 1: it did. */
struct search {
	struct client *client;
	struct remote_fronts *fronts;
	const struct remote_image *image;
	bool (*is_enough)(struct search *search, const struct front *front);
	void *context;
};

static int search_layers(struct search *search, struct error **err)
{
	size_t left = search->image->layer_count, group = 1;

	while (left) {
		const struct remote_layer *layers;
		int result;

		group = group < left ? group : left;
		left -= group;
		layers = search->image->layers + left;
		do
			result = fetch_parts(search->client, search->fronts, layers, group, err);
		while (result == 0);
		if (result < 0)
			return -1;
		for (size_t i = group; i-- > 0;) {
			size_t index = front_of(search->fronts, &layers[i]);

			if (search->is_enough(search, &search->fronts->list[index].front))
				return 1;
		}
		group = GROUP;
	}
	return 0;
}

/* ---- the manifest ---- */

static bool has_manifest(struct search *search, const struct front *front)
{
	const struct front **found = search->context;

	if (!front->manifest.data.size)
		return false;
	*found = front;
	return true;
}

int remote_read_manifest(struct client *client, struct remote_fronts *fronts,
			 const struct remote_image *image, struct buffer *text, struct error **err)
{
	const struct front *front = NULL;
	struct search search = {client, fronts, image, has_manifest, &front};
	int result = search_layers(&search, err);

	if (result < 0)
		return error_prefix(err, "cannot read the manifest");
	if (result == 0)
		return error_set(err, ERROR_DAMAGED, "no layer has a manifest");
	if (manifest_check_label(&front->manifest.data,
				 json_string_or(remote_labels(image), LABEL_MANIFEST, ""), err) < 0)
		return -1;
	if (buffer_append(text, front->manifest.data.data, front->manifest.data.size) < 0)
		return error_set(err, ERROR_DAMAGED, "its manifest is too large");
	return 0;
}

/* ---- catalogs ---- */

static bool takes_packs(struct search *search, const struct front *front)
{
	struct catalogs *catalogs = search->context;

	for (size_t i = 0; i < front->pack_count; i++)
		catalogs_offer(catalogs, front->packs[i].name, &front->packs[i].data);
	return catalogs_are_complete(catalogs);
}

struct store *remote_read_catalogs(struct client *client, struct remote_fronts *fronts,
				   const struct remote_image *image,
				   const struct manifest *manifest, struct error **err)
{
	CLEANUP(catalogs_release) struct catalogs catalogs;
	struct search search = {client, fronts, image, takes_packs, &catalogs};

	catalogs_init(&catalogs, manifest);
	if (catalogs.count && search_layers(&search, err) < 0) {
		error_prefix(err, "cannot read the catalogs");
		return NULL;
	}
	return catalogs_open(&catalogs, err);
}
