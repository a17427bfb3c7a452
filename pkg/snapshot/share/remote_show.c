/* sidesnap show --remote. */
#include <string.h>

#include "snapshot/share/remote.h"
#include "snapshot/history/show.h"

/* As show does of one that is here: without a manifest the rest is worth showing all the same. */
static int add_manifest(struct session *session, struct client *client,
			const struct remote_image *image, struct json *entry, struct error **err)
{
	CLEANUP(remote_fronts_release) struct remote_fronts fronts = {.manifest_only = true};
	CLEANUP(manifest_release) struct manifest manifest;
	CLEANUP(buffer_release) struct buffer text;
	cleanup_error struct error *problem = NULL;
	struct json *json = NULL;

	buffer_init(&text, MANIFEST_SIZE_MAX);
	manifest_init(&manifest);
	if (remote_read_manifest(client, &fronts, image, &text, &problem) == 0 &&
	    manifest_parse(&manifest, text.data, text.size, &problem) == 0)
		json = json_parse(text.data, text.size, &problem);
	if (problem && problem->kind == ERROR_CANCELLED) {
		error_append(err, STEAL_POINTER(problem));
		return -1;
	}
	if (!json)
		progress_warn(session->progress, "the manifest cannot be read: %s",
			      problem->message);
	json_set(entry, "manifest", json ? json : json_new_null());
	return 0;
}

/* Which others are there only a list of all tags could tell. */
static void add_relatives(struct json *entry)
{
	json_set_string(entry, "parent_state",
			*json_string_or(entry, "parent", "") ? "unknown" : "none");
	json_set(entry, "ancestor", json_new_null());
	json_set_array(entry, "children");
}

int snapshot_show_remote(struct session *session, const char *name,
			 const struct remote_options *options, struct json **result,
			 struct error **err)
{
	CLEANUP(remote_name_release) struct remote_name parsed = {0};
	CLEANUP(cleanup_client_free) struct client *client = NULL;
	CLEANUP(remote_image_release) struct remote_image image = {0};
	CLEANUP(cleanup_json_free) struct json *entry = NULL;

	if (remote_name_parse(name, &parsed, err) < 0)
		return -1;
	client = remote_client(session, &parsed, options, err);
	if (!client)
		return -1;
	progress_phase(session->progress, "reading %s", name);
	if (remote_find(client, &parsed, &image, err) < 0)
		return -1;
	entry = remote_entry(&parsed, image.reference, &image);
	json_set_string(entry, "architecture", json_string_or(image.config, "architecture", ""));
	json_set_int(entry, "layers", (int64_t)image.layer_count);
	add_relatives(entry);
	show_config(entry, json_get(image.config, "config"));
	if (add_manifest(session, client, &image, entry, err) < 0)
		return -1;
	json_set_int(entry, "fetched", (int64_t)client_received(client));
	progress_end(session->progress);
	*result = STEAL_POINTER(entry);
	return session_check(session, err);
}
