/* sidesnap ls --remote: a few images at a time, of which only the entries are kept. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "snapshot/images.h"
#include "snapshot/share/remote.h"

/* Images whose configurations are in memory at once. */
#define BATCH 64

struct listing {
	struct session *session;
	struct client *client;
	const struct remote_name *name;
	struct json *entries;
	size_t others; /* tags that are no snapshots */
};

/* One entry an image: further tags of it are further references. */
static void add_entry(struct listing *listing, const struct remote_image *image)
{
	CLEANUP(cleanup_json_free)
	struct json *entry = remote_entry(listing->name, image->reference, image);

	json_for_each(other, listing->entries) {
		const char *digest = json_string_or(other, "digest", "");

		if (strcmp(digest, image->digest) != 0)
			continue;
		json_add_string(json_get(other, "references"),
				json_string(json_first(json_get(entry, "references")), NULL));
		return;
	}
	json_add(listing->entries, STEAL_POINTER(entry));
}

/* What fails for all is a failure; what is wrong with one is said. */
static int take_image(struct listing *listing, struct remote_image *image, struct error **err)
{
	const struct error *problem = image->problem;

	if (problem && (problem->kind == ERROR_ENGINE || problem->kind == ERROR_REFUSED)) {
		error_append(err, STEAL_POINTER(image->problem));
		return -1;
	}
	if (problem && problem->kind != ERROR_NOT_FOUND)
		progress_warn(listing->session->progress, "%s:%s: %s", listing->name->repository,
			      image->reference, problem->message);
	else if (!problem && remote_is_snapshot(image))
		add_entry(listing, image);
	else
		listing->others++;
	return 0;
}

static int list_batch(struct listing *listing, char *const *tags, size_t count, struct error **err)
{
	struct remote_image images[BATCH] = {0};
	int result;

	for (size_t i = 0; i < count; i++)
		images[i].reference = tags[i];
	result = distribution_images(listing->client, MANIFEST_ARCHITECTURE, images, count, err);
	for (size_t i = 0; i < count; i++) {
		if (result == 0)
			result = take_image(listing, &images[i], err);
		remote_image_release(&images[i]);
	}
	return result;
}

static int list_tags(struct listing *listing, const struct string_list *tags, struct error **err)
{
	for (size_t i = 0; i < tags->count; i += BATCH) {
		size_t count = tags->count - i < BATCH ? tags->count - i : BATCH;

		progress_update(listing->session->progress, i, client_received(listing->client), 0);
		if (list_batch(listing, tags->items + i, count, err) < 0)
			return -1;
	}
	return 0;
}

/* The tags that fit, all where there is no pattern; a digest is taken as it is. */
static int choose_tags(const struct listing *listing, struct string_list *tags, struct error **err)
{
	CLEANUP(string_list_release) struct string_list all;
	const char *pattern = listing->name->reference;

	string_list_init(&all);
	if (digest_is_valid(pattern)) {
		string_list_add(tags, pattern);
		return 0;
	}
	if (distribution_tags(listing->client, &all, err) < 0)
		return -1;
	for (size_t i = 0; i < all.count; i++)
		if (!pattern || text_match(pattern, all.items[i]))
			string_list_add(tags, all.items[i]);
	return 0;
}

static void note_end(const struct listing *listing, size_t tags)
{
	cleanup_free char *fetched = text_format_size(client_received(listing->client));
	struct progress *progress = listing->session->progress;

	progress_end(progress);
	if (listing->others)
		progress_note(progress, "%zu of %zu tags %s no %s and not listed", listing->others,
			      tags, listing->others == 1 ? "is" : "are",
			      listing->others == 1 ? "snapshot" : "snapshots");
	progress_detail(progress, "%s fetched", fetched);
}

int snapshot_list_remote(struct session *session, const char *name,
			 const struct remote_options *options, struct json **result,
			 struct error **err)
{
	CLEANUP(remote_name_release) struct remote_name parsed = {0};
	CLEANUP(cleanup_client_free) struct client *client = NULL;
	CLEANUP(cleanup_json_free) struct json *entries = json_new_array();
	CLEANUP(string_list_release) struct string_list tags;
	struct listing listing = {.session = session, .name = &parsed, .entries = entries};

	string_list_init(&tags);
	if (remote_name_parse(name, &parsed, err) < 0)
		return -1;
	listing.client = client = remote_client(session, &parsed, options, err);
	if (!client)
		return -1;
	progress_phase(session->progress, "listing %s", parsed.repository);
	if (choose_tags(&listing, &tags, err) < 0 || list_tags(&listing, &tags, err) < 0)
		return error_prefix(err, "cannot list \"%s\"", parsed.repository);
	note_end(&listing, tags.count);
	*result = images_sorted(entries);
	return session_check(session, err);
}
