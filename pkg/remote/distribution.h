/*
 * Images as a registry has them (distribution's docs/content/spec; the OCI distribution and image
 * specifications): names of tags, manifests and configurations, all of which are checked by their
 * digests, and parts of layers, which are not: whoever reads these has other hashes to check.
 */
#ifndef SIDESNAP_REMOTE_DISTRIBUTION_H
#define SIDESNAP_REMOTE_DISTRIBUTION_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "remote/client.h"
#include "remote/digest.h"

/*
 * distribution_tags(client, tags, err): All tags of the repository, as the registry sorts them; names
 * that are no tags are left out. ERROR_NOT_FOUND: there is no such repository.
 */
int distribution_tags(struct client *client, struct string_list *tags, struct error **err);

struct remote_layer {
	char digest[DIGEST_SIZE];
	uint64_t size; /* compressed */
};

struct remote_image {
	const char *reference; /* a tag, or a digest; set by the caller, borrowed */

	char digest[DIGEST_SIZE];	 /* of its manifest, that of one platform */
	char config_digest[DIGEST_SIZE]; /* what docker's own store takes for its id */
	struct json
		*config; /* {"architecture","config":{"Labels",...},...}; NULL: it is no image */
	struct remote_layer *layers; /* from the lowest on */
	size_t layer_count;
	uint64_t size;	       /* of all layers */
	struct error *problem; /* why nothing is known of it; NULL: see above */
};

void remote_image_release(struct remote_image *image);

/*
 * distribution_images(client, architecture, images, count, err):
 * What ${count} references are, several at once; all configurations are then in memory. Of an image for several platforms it is linux with
 * ${architecture}. -1 when a person has interrupted; all else is each image's own problem.
 */
int distribution_images(struct client *client, const char *architecture,
			struct remote_image *images, size_t count, struct error **err);

/* A part of a layer. What comes is unchecked, and less where the layer has less. */
struct remote_part {
	const struct remote_layer *layer; /* set by the caller */
	uint64_t offset, length;

	char *data; /* owned */
	size_t size;
};

/* distribution_read(client, parts, count, err): All of them, several at once. The first problem is *err. */
int distribution_read(struct client *client, struct remote_part *parts, size_t count,
		      struct error **err);

#endif
