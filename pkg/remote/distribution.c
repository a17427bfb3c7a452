/* The distribution API's answers, checked before anything in them is believed. */
#include "remote/distribution.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"

#define PAGE_TAGS 1000 /* asked for; a registry may give fewer */
#define PAGE_LIMIT (4U << 20)
#define PAGES_MAX 1000
#define TAGS_MAX 100000
#define TAG_MAX 128 /* characters of one */
/* What registries accept themselves (distribution: registry/handlers/manifests.go). */
#define MANIFEST_LIMIT (4U << 20)
#define CONFIG_LIMIT (8U << 20)
#define LAYERS_MAX 1024
#define INDEX_ENTRIES_MAX 1024

#define DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define ACCEPTED DOCKER_MANIFEST ", " DOCKER_LIST ", " OCI_MANIFEST ", " OCI_INDEX

/* ---- tags ---- */

static bool is_tag(const char *text)
{
	size_t length = text ? strlen(text) : 0;

	return length && length <= TAG_MAX && *text != '.' && *text != '-' &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
		       length;
}

static int take_page(const struct client_request *page, struct string_list *tags,
		     struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *json = json_parse(page->body.data, page->body.size, NULL);

	if (!json_is_object(json))
		return error_set(err, ERROR_ENGINE,
				 "the registry's list of tags is not understood");
	json_for_each(item, json_get(json, "tags")) {
		const char *tag = json_string(item, NULL);

		if (tags->count >= TAGS_MAX)
			return error_set(err, ERROR_UNSUPPORTED,
					 "the repository has more than %u tags", TAGS_MAX);
		if (is_tag(tag))
			string_list_add(tags, tag);
	}
	return 0;
}

int distribution_tags(struct client *client, struct string_list *tags, struct error **err)
{
	cleanup_free char *next = memory_printf("tags/list?n=%u", PAGE_TAGS);

	for (unsigned i = 0; next && i < PAGES_MAX; i++) {
		struct client_request page = {.path = STEAL_POINTER(next), .limit = PAGE_LIMIT};
		int result = client_run(client, &page, 1, err);

		if (result == 0 && page.problem) {
			error_append(err, STEAL_POINTER(page.problem));
			result = -1;
		}
		if (result == 0)
			result = take_page(&page, tags, err);
		next = STEAL_POINTER(page.next);
		client_request_release(&page);
		if (result < 0)
			return -1;
	}
	return next ? error_set(err, ERROR_UNSUPPORTED,
				"the registry's list of tags has more than %u pages", PAGES_MAX)
		    : 0;
}

/* ---- manifests and configurations ---- */

void remote_image_release(struct remote_image *image)
{
	json_free(image->config);
	free(image->layers);
	error_free(image->problem);
	*image = (struct remote_image){0};
}

static int not_understood(struct error **err, const char *what)
{
	return error_set(err, ERROR_DAMAGED, "its manifest is not understood: %s", what);
}

/* It is what was asked for by its digest, and what the registry says that it is. */
static int check_digest(const struct client_request *answer, const char *wanted,
			char digest[DIGEST_SIZE], struct error **err)
{
	digest_of(answer->body.data, answer->body.size, digest);
	if (!wanted && digest_is_valid(answer->digest))
		wanted = answer->digest;
	if (!wanted || !strcmp(wanted, digest))
		return 0;
	error_set(err, ERROR_DAMAGED, "what the registry sent for %s has the digest %s", wanted,
		  digest);
	return error_hint(err, "try again, and if it stays so, it is damaged at the registry or on "
			       "the way: push it anew from where it came");
}

static bool is_type(const struct json *json, const struct client_request *answer,
		    const char *docker, const char *oci)
{
	/* OCI manifests need not say themselves what they are */
	const char *type = json_string_or(json, "mediaType", text_or(answer->type, ""));

	return !strcmp(type, docker) || !strcmp(type, oci);
}

/* The digest of the manifest for a platform in an index; NULL: there is none. */
static const char *choose(const struct json *index, const char *architecture)
{
	const char *only = NULL;
	size_t count = 0, entries = 0;

	json_for_each(item, json_get(index, "manifests")) {
		const struct json *platform = json_get(item, "platform");
		const char *digest = json_string(item, "digest");
		const char *os = json_string_or(platform, "os", "");

		if (++entries > INDEX_ENTRIES_MAX)
			return NULL;
		/* attestations are "unknown" */
		if (!digest_is_valid(digest) || !strcmp(os, "unknown"))
			continue;
		if (!strcmp(os, "linux") &&
		    !strcmp(json_string_or(platform, "architecture", ""), architecture))
			return digest;
		only = digest;
		count++;
	}
	return count == 1 ? only : NULL;
}

static int take_layers(struct remote_image *image, const struct json *layers, struct error **err)
{
	size_t count = json_count(layers);

	if (!json_is_array(layers) || count > LAYERS_MAX)
		return not_understood(err, "it lists no layers, or too many");
	image->layers = memory_zalloc((count + 1) * sizeof(*image->layers));
	json_for_each(item, layers) {
		struct remote_layer *layer = &image->layers[image->layer_count++];
		const char *digest = json_string(item, "digest");

		if (!digest_is_valid(digest) ||
		    !json_uint_checked(item, "size", (uint64_t)1 << 50, &layer->size))
			return not_understood(err, "a layer without a digest or a size");
		memcpy(layer->digest, digest, DIGEST_SIZE);
		image->size += layer->size;
	}
	return 0;
}

/* Of something that is no image nothing is kept but its digest. */
static int take_manifest(struct remote_image *image, const struct json *manifest,
			 struct error **err)
{
	const struct json *config = json_get(manifest, "config");
	const char *type = json_string_or(config, "mediaType", "");
	const char *digest = json_string(config, "digest");

	if (strcmp(type, DOCKER_CONFIG) != 0 && strcmp(type, OCI_CONFIG) != 0)
		return 0;
	if (!digest_is_valid(digest))
		return not_understood(err, "it names no configuration");
	if (take_layers(image, json_get(manifest, "layers"), err) < 0)
		return -1;
	memcpy(image->config_digest, digest, DIGEST_SIZE);
	return 0;
}

static int take_config(struct remote_image *image, const struct client_request *answer,
		       struct error **err)
{
	char digest[DIGEST_SIZE];

	if (check_digest(answer, image->config_digest, digest, err) < 0)
		return -1;
	image->config = json_parse(answer->body.data, answer->body.size, err);
	if (!image->config)
		return error_prefix(err, "its configuration");
	if (!json_is_object(image->config))
		return error_set(err, ERROR_DAMAGED, "its configuration is no object");
	return 0;
}

/* One round: a request for each image that wants one. */
struct round {
	struct client *client;
	struct client_request *requests;
	struct remote_image **images; /* whose they are */
	size_t count;
};

static void round_init(struct round *round, struct client *client, size_t count)
{
	round->client = client;
	round->requests = memory_zalloc((count + 1) * sizeof(*round->requests));
	round->images = memory_zalloc((count + 1) * sizeof(*round->images));
	round->count = 0;
}

static void round_release(struct round *round)
{
	for (size_t i = 0; i < round->count; i++)
		client_request_release(&round->requests[i]);
	free(round->requests);
	free(round->images);
}

static void round_add(struct round *round, struct remote_image *image, const char *kind,
		      const char *name, const char *accept, size_t limit)
{
	struct client_request *request = &round->requests[round->count];

	request->path = memory_printf("%s/%s", kind, name);
	request->accept = accept;
	request->limit = limit;
	round->images[round->count++] = image;
}

/* Each answer to its image, in its own words where something is wrong. */
static int round_run(struct round *round,
		     int (*take)(void *context, struct remote_image *image,
				 const struct client_request *answer, struct error **err),
		     void *context, struct error **err)
{
	if (client_run(round->client, round->requests, round->count, err) < 0)
		return -1;
	for (size_t i = 0; i < round->count; i++) {
		struct remote_image *image = round->images[i];

		if (round->requests[i].problem)
			image->problem = STEAL_POINTER(round->requests[i].problem);
		else
			take(context, image, &round->requests[i], &image->problem);
	}
	return 0;
}

struct choice {
	const char *architecture;
	char (*chosen)[DIGEST_SIZE]; /* by image; "": its manifest is there */
	const struct remote_image *images;
};

static int take_any_manifest(void *context, struct remote_image *image,
			     const struct client_request *answer, struct error **err)
{
	struct choice *choice = context;
	char *chosen = choice->chosen[image - choice->images];
	CLEANUP(cleanup_json_free)
	struct json *json = json_parse(answer->body.data, answer->body.size, NULL);
	const char *wanted = *chosen				 ? chosen
			     : digest_is_valid(image->reference) ? image->reference
								 : NULL;
	const char *digest;
	bool was_chosen = *chosen;

	if (check_digest(answer, wanted, image->digest, err) < 0)
		return -1;
	*chosen = '\0';
	if (is_type(json, answer, DOCKER_MANIFEST, OCI_MANIFEST))
		return take_manifest(image, json, err);
	if (!is_type(json, answer, DOCKER_LIST, OCI_INDEX) || was_chosen)
		return 0;
	digest = choose(json, choice->architecture);
	if (digest)
		memcpy(chosen, digest, DIGEST_SIZE);
	return 0;
}

static int take_config_of(void *context, struct remote_image *image,
			  const struct client_request *answer, struct error **err)
{
	(void)context;
	return take_config(image, answer, err);
}

/* Manifests, then those that were chosen in an index. */
static int get_manifests(struct client *client, struct choice *choice, struct remote_image *images,
			 size_t count, bool chosen, struct error **err)
{
	CLEANUP(round_release) struct round round;

	round_init(&round, client, count);
	for (size_t i = 0; i < count; i++) {
		const char *name = chosen ? choice->chosen[i] : images[i].reference;

		if (*name && !images[i].problem)
			round_add(&round, &images[i], "manifests", name, ACCEPTED, MANIFEST_LIMIT);
	}
	return round_run(&round, take_any_manifest, choice, err);
}

/* An earlier one with the same configuration, which is asked for once; NULL: none. */
static const struct remote_image *same_config(const struct remote_image *images, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (!strcmp(images[i].config_digest, images[index].config_digest))
			return &images[i];
	return NULL;
}

static void share_config(struct remote_image *image, const struct remote_image *other)
{
	image->config = json_copy(other->config);
	if (!other->problem)
		return;
	error_set(&image->problem, other->problem->kind, "%s", other->problem->message);
	if (other->problem->hint)
		error_hint(&image->problem, "%s", other->problem->hint);
}

static int get_configs(struct client *client, struct remote_image *images, size_t count,
		       struct error **err)
{
	CLEANUP(round_release) struct round round;

	round_init(&round, client, count);
	for (size_t i = 0; i < count; i++)
		if (*images[i].config_digest && !same_config(images, i))
			round_add(&round, &images[i], "blobs", images[i].config_digest, NULL,
				  CONFIG_LIMIT);
	if (round_run(&round, take_config_of, NULL, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		const struct remote_image *other =
			*images[i].config_digest ? same_config(images, i) : NULL;

		if (other)
			share_config(&images[i], other);
	}
	return 0;
}

int distribution_images(struct client *client, const char *architecture,
			struct remote_image *images, size_t count, struct error **err)
{
	cleanup_free void *chosen = memory_zalloc((count + 1) * DIGEST_SIZE);
	struct choice choice = {.architecture = architecture, .chosen = chosen, .images = images};

	if (get_manifests(client, &choice, images, count, false, err) < 0 ||
	    get_manifests(client, &choice, images, count, true, err) < 0)
		return -1;
	return get_configs(client, images, count, err);
}

/* ---- layers ---- */

int distribution_read(struct client *client, struct remote_part *parts, size_t count,
		      struct error **err)
{
	cleanup_free struct client_request *requests =
		memory_zalloc((count + 1) * sizeof(*requests));
	int result;

	for (size_t i = 0; i < count; i++) {
		requests[i].path = memory_printf("blobs/%s", parts[i].layer->digest);
		requests[i].offset = parts[i].offset;
		requests[i].length = parts[i].length;
	}
	result = client_run(client, requests, count, err);
	for (size_t i = 0; i < count; i++) {
		struct client_request *request = &requests[i];

		if (result == 0 && request->problem) {
			error_append(err, STEAL_POINTER(request->problem));
			result = -1;
		}
		parts[i].size = request->body.data ? request->body.size : 0;
		parts[i].data = parts[i].size ? buffer_steal(&request->body) : NULL;
		client_request_release(request);
	}
	return result;
}
