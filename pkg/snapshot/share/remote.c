/* Names, credentials and images at a registry. */
#include "snapshot/share/remote.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "remote/registry.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/reference.h"
#include "snapshot/share/transfer.h"

void remote_name_release(struct remote_name *name)
{
	free(name->repository);
	free(name->host);
	free(name->path);
	free(name->reference);
	*name = (struct remote_name){0};
}

/* Behind the repository: a tag or a digest; NULL: nothing. */
static const char *end_of_repository(const char *text)
{
	const char *slash = strrchr(text, '/'), *at = strchr(text, '@');

	return at ? at : strchr(slash ? slash : text, ':');
}

bool remote_is_name(const char *text)
{
	const char *end = end_of_repository(text);
	cleanup_free char *repository =
		memory_strndup(text, end ? (size_t)(end - text) : strlen(text));

	return registry_takes(repository);
}

int remote_name_parse(const char *text, struct remote_name *name, struct error **err)
{
	CLEANUP(reference_release) struct reference checked = {0};
	const char *end = end_of_repository(text);
	size_t length = end ? (size_t)(end - text) : strlen(text), host;

	*name = (struct remote_name){.repository = memory_strndup(text, length)};
	if (end)
		name->reference = memory_strdup(end + 1);
	if (reference_parse(name->repository, &checked, err) < 0)
		goto fail;
	if (end && *end == '@' && !digest_is_valid(end + 1)) {
		error_set(err, ERROR_USAGE, "\"%s\" has no digest behind the @", text);
		error_hint(err,
			   "a digest is sha256: and 64 digits; \"sidesnap ls --remote %s\" "
			   "shows those of its tags with --json",
			   name->repository);
		goto fail;
	}
	if (!registry_takes(name->repository)) {
		error_set(err, ERROR_USAGE, "\"%s\" is no name at a registry", name->repository);
		error_hint(err,
			   "write it with its registry, as in registry.example/team/db:monday, "
			   "or USER/db:monday for Docker Hub");
		goto fail;
	}
	host = registry_host_length(name->repository);
	name->host = registry_host(name->repository);
	name->path = memory_strdup(name->repository + host + (host ? 1 : 0));
	return 0;
fail:
	remote_name_release(name);
	return -1;
}

static void note_retry(void *context, const char *reason)
{
	const struct session *session = context;

	progress_note(session->progress, "%s; trying again", reason);
}

struct client *remote_client(struct session *session, const struct remote_name *name,
			     const struct remote_options *options, struct error **err)
{
	CLEANUP(credentials_release) struct credentials credentials = {0};
	struct client_options client = {
		.host = name->host,
		.repository = name->path,
		.credentials = &credentials,
		.insecure = options->insecure,
		.cancel = session->cancelled,
		.retrying = note_retry,
		.context = session,
	};

	if (transfer_credentials(session, &options->login, name->host, &credentials, err) < 0)
		return NULL;
	return client_new(&client, err);
}

const struct json *remote_labels(const struct remote_image *image)
{
	return json_path(image->config, "config", "Labels");
}

bool remote_is_snapshot(const struct remote_image *image)
{
	const struct json *labels = remote_labels(image);
	uint64_t layers;

	return !strcmp(json_string_or(labels, LABEL_ROLE, ""), "snapshot") &&
	       text_parse_uint(json_string_or(labels, LABEL_LAYERS, ""), UINT32_MAX, &layers) &&
	       layers == json_count(json_path(image->config, "rootfs", "diff_ids"));
}

int remote_find(struct client *client, const struct remote_name *name, struct remote_image *image,
		struct error **err)
{
	const char *reference = name->reference ? name->reference : "latest";

	*image = (struct remote_image){.reference = reference};
	if (distribution_images(client, MANIFEST_ARCHITECTURE, image, 1, err) < 0)
		return -1;
	if (image->problem) {
		error_append(err, STEAL_POINTER(image->problem));
		return error_prefix(err, "cannot read \"%s:%s\"", name->repository, reference);
	}
	if (remote_is_snapshot(image))
		return 0;
	error_set(err, ERROR_USAGE, "\"%s:%s\" is no snapshot", name->repository, reference);
	return error_hint(err, "\"sidesnap ls --remote %s\" lists those that are there",
			  name->repository);
}

struct json *remote_entry(const struct remote_name *name, const char *reference,
			  const struct remote_image *image)
{
	CLEANUP(cleanup_json_free) struct json *references = json_new_array();
	cleanup_free char *text = memory_printf("%s%c%s", name->repository,
						digest_is_valid(reference) ? '@' : ':', reference);
	struct timespec committed = {0};
	struct json *entry;

	json_add_string(references, text);
	entry = images_entry(remote_labels(image), references, image->config_digest);
	json_set_string(entry, "digest", image->digest);
	json_set_int(entry, "size", (int64_t)image->size);
	clock_parse(json_string_or(image->config, "created", ""), &committed);
	json_set_int(entry, "committed", (int64_t)committed.tv_sec);
	json_set_array(entry, "containers");
	return entry;
}
