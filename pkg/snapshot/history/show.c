/*
 * sidesnap show: labels and configuration from the engine's inspect, the manifest from
 * the image itself, through a container that is made from it and never started.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "snapshot/helper/image_file.h"
#include "snapshot/history/history.h"
#include "snapshot/history/show.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"
#include "tree/manifest.h"

/* manifest.json of a snapshot, checked against its seal and the image's label; to be freed. */
static struct json *read_manifest(const struct session *session, const struct json *inspect,
				  struct error **err)
{
	CLEANUP(cleanup_helper_free) struct helper *helper = NULL;
	CLEANUP(manifest_release) struct manifest manifest;
	CLEANUP(buffer_release) struct buffer text;

	buffer_init(&text, MANIFEST_SIZE_MAX);
	manifest_init(&manifest);
	helper = image_file_helper(session, json_string(inspect, "Id"), err);
	if (!helper ||
	    image_file_read(session, helper, STORE_DIRECTORY "/" MANIFEST_NAME, &text, err) < 0 ||
	    manifest_check_label(&text, snapshot_label(inspect, LABEL_MANIFEST), err) < 0 ||
	    manifest_parse(&manifest, text.data, text.size, err) < 0)
		return NULL;
	return json_parse(text.data, text.size, err);
}

static void add_manifest(const struct session *session, struct json *result,
			 const struct json *inspect)
{
	cleanup_error struct error *problem = NULL;
	struct json *manifest = read_manifest(session, inspect, &problem);

	if (manifest) {
		json_set(result, "manifest", manifest);
		return;
	}
	progress_warn(session->progress, "the manifest cannot be read: %s", problem->message);
	json_set(result, "manifest", json_new_null());
}

static struct json *named(const struct history_node *node)
{
	CLEANUP(cleanup_json_free) struct json *described = history_describe(node);
	struct json *object = json_new_object();

	json_set_string(object, "id", node->id);
	json_set(object, "references", json_copy(json_get(described, "references")));
	return object;
}

/* What it came from and what came from it, as far as it is here. */
static int add_relatives(const struct session *session, struct json *result, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *entries = images_list(session, err), *described = NULL;
	CLEANUP(cleanup_history_free) struct history *history = NULL;
	const struct history_node *node;
	struct json *children;

	if (!entries)
		return -1;
	/* One that was described since has its id from another image; and its own is in no list. */
	history = history_new(entries);
	node = history_find(history, json_string_or(result, "id", ""));
	if (!node)
		node = history_find_image(history, json_string_or(result, "image", ""));
	described = node ? history_describe(node) : NULL;
	json_set_string(result, "parent_state",
			json_string_or(described, "parent_state", "absent"));
	json_set(result, "ancestor",
		 node && node->ancestor ? named(node->ancestor) : json_new_null());
	children = json_set_array(result, "children");
	for (size_t i = 0; node && i < node->child_count; i++)
		json_add(children, named(node->children[i]));
	return 0;
}

int snapshot_show(struct session *session, const char *reference, struct json **result,
		  struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *inspect = snapshot_inspect(session, reference, err);
	CLEANUP(cleanup_json_free) struct json *containers = NULL;
	const struct json *config = json_get(inspect, "Config");
	struct json *entry;

	if (!inspect)
		return -1;
	containers = container_list(session->engine, true, NULL, err);
	if (!containers)
		return error_prefix(err, "cannot list containers");
	entry = images_entry(json_get(config, "Labels"), json_get(inspect, "RepoTags"),
			     json_string(inspect, "Id"));
	json_set_int(entry, "size", json_int(inspect, "Size"));
	json_set(entry, "containers",
		 images_used_by(containers, json_string(inspect, "Id"),
				snapshot_label(inspect, LABEL_ID)));
	json_set_string(entry, "architecture", json_string_or(inspect, "Architecture", ""));
	json_set_int(entry, "layers", (int64_t)json_count(json_path(inspect, "RootFS", "Layers")));
	if (add_relatives(session, entry, err) < 0) {
		json_free(entry);
		return -1;
	}
	show_config(entry, config);
	add_manifest(session, entry, inspect);
	*result = entry;
	return session_check(session, err);
}
