/*
 * The commit body. Commit unions Labels, Env, ExposedPorts and Volumes with the
 * helper's and fills an empty User, WorkingDir or Healthcheck from it (moby,
 * daemon/commit.go, merge()): so every field is set, and every label of the format.
 */
#include "snapshot/create/image_config.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "driver/override.h"
#include "snapshot/helper/command.h"
#include "snapshot/labels.h"

/* Bytes of the label of what is not captured, about. */
#define NOT_CAPTURED_MAX 65536

static void set_strings(struct json *object, const char *key, const struct string_list *list)
{
	struct json *array = json_set_array(object, key);

	for (size_t i = 0; i < list->count; i++)
		json_add_string(array, list->items[i]);
}

/* The digest that the source image had in a registry, "" when it never was in one. */
static const char *repository_digest(const struct json *image)
{
	return json_string_or(json_first(json_get(image, "RepoDigests")), NULL, "");
}

static void set_size(struct json *labels, const char *label, uint64_t size)
{
	cleanup_free char *text = memory_printf("%llu", (unsigned long long)size);

	json_set_string(labels, label, text);
}

static void set_json(struct json *labels, const char *label, const struct json *value)
{
	cleanup_free char *text = json_print(value, false);

	json_set_string(labels, label, text);
}

/*
 * Registries and engines refuse configurations of some megabytes, and a volume may hold any
 * number of sockets: mounts and exclusions come first, and the manifest has the rest.
 */
static void set_not_captured(struct json *labels, const struct json *all)
{
	CLEANUP(cleanup_json_free) struct json *some = json_new_array();
	size_t size = 0, left = 0;

	json_for_each(item, all) {
		size += strlen(json_string_or(item, "path", "")) + 64;
		if (size > NOT_CAPTURED_MAX)
			left++;
		else
			json_add(some, json_copy(item));
	}
	if (left) {
		struct json *item = json_add_object(some);
		cleanup_free char *reason = memory_printf("%zu more", left);

		json_set_string(item, "path", "");
		json_set_string(item, "type", "more");
		json_set_string(item, "reason", reason);
	}
	set_json(labels, LABEL_NOT_CAPTURED, some);
}

/* A masked one is the state of no container: none shall be taken to have come from it. */
static void source_labels(const struct image_facts *facts, struct json *labels)
{
	bool is_apart = facts->options->masked != NULL;
	const struct target *target = facts->target;
	const struct json *config = json_get(target->inspect, "Config");

	json_set_string(labels, LABEL_CONTAINER, target->name);
	json_set_string(labels, LABEL_CONTAINER_ID, is_apart ? "" : target->id);
	json_set_string(labels, LABEL_IMAGE, json_string_or(config, "Image", ""));
	json_set_string(labels, LABEL_IMAGE_ID, target->image_id);
	json_set_string(labels, LABEL_DIGEST, repository_digest(facts->image));
	json_set_string(labels, LABEL_PROJECT, is_apart ? "" : text_or(target->project, ""));
	json_set_string(labels, LABEL_SERVICE, is_apart ? "" : text_or(target->service, ""));
}

void image_config_set_title(struct json *labels, const char *title, const char *container)
{
	cleanup_free char *otherwise = memory_printf("Snapshot of %s", container);

	json_set_string(labels, LABEL_TITLE, text_or(title, ""));
	json_set_string(labels, "org.opencontainers.image.title", text_or(title, otherwise));
}

int image_config_check_text(const char *what, const char *text, size_t limit, struct error **err)
{
	size_t size = text ? strlen(text) : 0;

	return size <= limit ? 0
			     : error_set(err, ERROR_USAGE,
					 "the %s has %zu bytes; at most %zu are allowed", what,
					 size, limit);
}

static void oci_labels(const struct image_facts *facts, struct json *labels)
{
	const struct json *config = json_get(facts->target->inspect, "Config");

	json_set_string(labels, "org.opencontainers.image.created", facts->identity->created);
	image_config_set_title(labels, facts->options->title, facts->target->name);
	json_set_string(labels, "org.opencontainers.image.base.name",
			json_string_or(config, "Image", ""));
	json_set_string(labels, "org.opencontainers.image.base.digest",
			repository_digest(facts->image));
}

/* The helper's own, which commit would carry over. */
static void hide_helper_labels(struct json *labels)
{
	static const char *const of_helper[] = {LABEL_NONCE,  LABEL_FREEZES, LABEL_PURPOSE,
						LABEL_TARGET, LABEL_RELEASE, LABEL_STARTS,
						LABEL_MAKES,  LABEL_OWNER,   LABEL_JOURNAL};

	for (size_t i = 0; i < sizeof(of_helper) / sizeof(of_helper[0]); i++)
		json_set_string(labels, of_helper[i], "");
}

/* What a person changed of the driver goes with the state; of the parent's nothing is left. */
static void override_labels(const struct image_facts *facts, struct json *labels)
{
	const struct json *own = json_path(facts->target->inspect, "Config", "Labels");

	for (size_t i = 0; override_member(i); i++) {
		cleanup_free char *name = memory_printf(LABEL_DRIVER ".%s", override_member(i));
		cleanup_free char *text = override_text(own, i);

		json_set_string(labels, name, text);
	}
}

static struct json *make_labels(const struct image_facts *facts)
{
	struct json *labels = json_new_object();
	const struct driver_match *driver = &facts->plan->driver;
	cleanup_free char *omitted = string_list_join(facts->omitted, ",");

	hide_helper_labels(labels);
	json_set_string(labels, LABEL_NOTES, "");
	json_set_string(labels, LABEL_PINNED, "");
	/* One for a single use is none to anybody else: nothing is to be built on it. */
	json_set_string(labels, LABEL_ROLE, facts->options->made ? "scratch" : "snapshot");
	json_set_string(labels, LABEL_SET,
			facts->options->member ? facts->options->member->set : "");
	json_set_string(labels, LABEL_KIND, facts->options->safety ? "safety" : "user");
	json_set_string(labels, LABEL_OPERATION, text_or(facts->options->operation, ""));
	set_size(labels, LABEL_FORMAT,
		 facts->plan->dump_paths.count ? MANIFEST_FORMAT : MANIFEST_FORMAT_PLAIN);
	json_set_string(labels, LABEL_DATABASE, text_or(facts->options->database, ""));
	json_set_string(labels, LABEL_MASKED,
			facts->options->masked ? facts->options->masked->name : "");
	json_set_string(labels, LABEL_ID, facts->identity->id);
	json_set_string(labels, LABEL_PARENT, facts->identity->parent);
	json_set_string(labels, LABEL_ANCESTORS, facts->identity->ancestors);
	json_set_string(labels, LABEL_LINEAGE, facts->identity->lineage);
	json_set_string(labels, LABEL_CREATED, facts->identity->created);
	json_set_string(labels, LABEL_CONSISTENCY, facts->consistency);
	json_set_string(labels, LABEL_PREPARE, facts->prepare);
	json_set_string(labels, LABEL_DRIVER, driver->driver ? driver->driver->name : "");
	override_labels(facts, labels);
	set_json(labels, LABEL_TREES, facts->trees);
	set_size(labels, LABEL_BYTES, facts->bytes);
	set_size(labels, LABEL_STORED, (uint64_t)json_int(facts->done, "stored_bytes"));
	json_set_string(labels, LABEL_MANIFEST, json_string_or(facts->done, "manifest", ""));
	set_size(labels, LABEL_LAYERS, facts->layers);
	json_set_string(labels, LABEL_OMITTED, omitted);
	set_not_captured(labels, facts->not_captured);
	json_set_string(labels, LABEL_VERSION, SIDESNAP_VERSION);
	source_labels(facts, labels);
	oci_labels(facts, labels);
	return labels;
}

/* Keys of an object as {"KEY":{}}. */
static void copy_keys(struct json *to, const struct json *from)
{
	json_for_each(item, from)
		json_set_object(to, json_key(item));
}

static void set_volumes(const struct image_facts *facts, struct json *body)
{
	struct json *volumes = json_set_object(body, "Volumes");

	copy_keys(volumes, json_path(facts->target->inspect, "Config", "Volumes"));
	for (size_t i = 0; i < facts->plan->count; i++) {
		const struct plan_tree *tree = &facts->plan->trees[i];

		for (size_t p = 0; p < tree->paths.count && !tree->dropped; p++)
			json_set_object(volumes, tree->paths.items[p]);
	}
	/* A directory of the container's own layer stays one. */
	for (size_t i = 0; i < facts->plan->dump_paths.count; i++)
		if (string_list_has(&facts->plan->mounts, facts->plan->dump_paths.items[i]) &&
		    !facts->options->onto)
			json_set_object(volumes, facts->plan->dump_paths.items[i]);
}

static void set_command(const struct image_facts *facts, struct json *body)
{
	const struct json *source = facts->options->image_command
					    ? json_get(facts->image, "Config")
					    : json_get(facts->target->inspect, "Config");
	const struct json *command = json_get(source, "Cmd");

	json_set(body, "Entrypoint", command_entrypoint(source));
	json_set(body, "Cmd", json_is_array(command) ? json_copy(command) : json_new_array());
}

static void set_healthcheck(const struct json *config, struct json *body)
{
	const struct json *check = json_get(config, "Healthcheck");

	if (json_count(json_get(check, "Test"))) {
		json_set(body, "Healthcheck", json_copy(check));
		return;
	}
	json_add_string(json_set_array(json_set_object(body, "Healthcheck"), "Test"), "NONE");
}

struct json *image_config(const struct image_facts *facts)
{
	const struct json *config = json_get(facts->target->inspect, "Config");
	const struct json *image = json_get(facts->image, "Config");
	struct json *body = json_new_object();

	/* An empty User would become the helper's; "0" is what empty means. */
	json_set_string(body, "User", text_or(json_string(config, "User"), "0"));
	json_set_string(body, "WorkingDir", text_or(json_string(config, "WorkingDir"), "/"));
	set_command(facts, body);
	set_strings(body, "Env", facts->environment);
	set_healthcheck(facts->options->image_command ? image : config, body);
	copy_keys(json_set_object(body, "ExposedPorts"), json_get(config, "ExposedPorts"));
	set_volumes(facts, body);
	if (json_string(config, "StopSignal"))
		json_set_string(body, "StopSignal", json_string(config, "StopSignal"));
	if (json_is_array(json_get(config, "Shell")))
		json_set(body, "Shell", json_copy(json_get(config, "Shell")));
	json_set_array(body, "OnBuild");
	json_set(body, "Labels", make_labels(facts));
	return body;
}

struct json *image_config_document(const struct json *labels)
{
	static const char *const arrays[] = {"Entrypoint", "Cmd", "Env", "OnBuild"};
	static const char *const objects[] = {"ExposedPorts", "Volumes"};
	struct json *body = json_new_object(), *all;

	json_set_string(body, "User", "0");
	json_set_string(body, "WorkingDir", "/");
	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
		json_set_array(body, arrays[i]);
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
		json_set_object(body, objects[i]);
	set_healthcheck(NULL, body);
	all = json_set_object(body, "Labels");
	hide_helper_labels(all);
	json_for_each(label, labels)
		json_set_string(all, json_key(label), json_string_or(label, NULL, ""));
	return body;
}

static void copy_array(struct json *to, const struct json *from, const char *key)
{
	const struct json *array = json_get(from, key);

	json_set(to, key, json_is_array(array) ? json_copy(array) : json_new_array());
}

struct json *image_config_again(const struct json *image, const struct json *labels)
{
	const struct json *config = json_get(image, "Config"), *old = json_get(config, "Labels");
	struct json *body = json_new_object(), *all;

	json_set_string(body, "User", text_or(json_string(config, "User"), "0"));
	json_set_string(body, "WorkingDir", text_or(json_string(config, "WorkingDir"), "/"));
	copy_array(body, config, "Entrypoint");
	copy_array(body, config, "Cmd");
	copy_array(body, config, "Env");
	set_healthcheck(config, body);
	copy_keys(json_set_object(body, "ExposedPorts"), json_get(config, "ExposedPorts"));
	copy_keys(json_set_object(body, "Volumes"), json_get(config, "Volumes"));
	if (json_string(config, "StopSignal"))
		json_set_string(body, "StopSignal", json_string(config, "StopSignal"));
	if (json_is_array(json_get(config, "Shell")))
		json_set(body, "Shell", json_copy(json_get(config, "Shell")));
	json_set_array(body, "OnBuild");
	all = json_set_object(body, "Labels");
	json_for_each(label, old)
		json_set_string(all, json_key(label), json_string_or(label, NULL, ""));
	hide_helper_labels(all);
	json_for_each(label, labels)
		json_set_string(all, json_key(label), json_string_or(label, NULL, ""));
	return body;
}
