/*
 * An image that runs nothing: one layer with /.sidesnap/set.json, made by an import, and the labels by
 * a commit of a container that is never started, since only a commit takes a configuration as it is
 * (an import takes lines of a Dockerfile, in which values are expanded).
 */
#include "project/set_image.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/tar.h"
#include "snapshot/create/image_config.h"
#include "snapshot/helper/helper.h"
#include "snapshot/labels.h"
#include "tree/manifest.h"

#define SET_FORMAT "1"
#define SET_FILE "set.json"
#define ARCHIVE_MAX (64U << 20)

static const struct json *result_of(const struct set_member *member)
{
	return member->process.result;
}

const char *set_consistency(const struct set_members *members)
{
	static const char *const weakest_first[] = {"live", "logical", "frozen", "stopped"};

	for (size_t w = 0; w < sizeof(weakest_first) / sizeof(weakest_first[0]); w++)
		for (size_t i = 0; i < members->count; i++)
			if (strcmp(json_string_or(result_of(&members->list[i]), "consistency", ""),
				   weakest_first[w]) == 0)
				return weakest_first[w];
	return "live";
}

uint64_t set_sum(const struct set_members *members, const char *key)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < members->count; i++)
		sum += (uint64_t)json_int(result_of(&members->list[i]), key);
	return sum;
}

/* What a registry's list shows, and what tells one member from another that has taken its name. */
static struct json *describe_members(const struct set_members *members)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < members->count; i++) {
		const struct set_member *member = &members->list[i];
		const struct json *result = result_of(member);
		struct json *item = json_add_object(list);

		json_set_string(item, "name", member->name);
		json_set_string(item, "container", member->container);
		json_set_string(item, "id", json_string_or(result, "id", ""));
		json_set_string(item, "image", json_string_or(result, "image", ""));
		json_set_string(item, "manifest", json_string_or(result, "manifest", ""));
		json_set_string(item, "consistency", json_string_or(result, "consistency", ""));
		json_set_string(item, "driver", json_string_or(result, "driver", ""));
	}
	return list;
}

static void set_number(struct json *labels, const char *label, uint64_t number)
{
	cleanup_free char *text = memory_printf("%llu", (unsigned long long)number);

	json_set_string(labels, label, text);
}

static struct json *make_labels(const struct set_facts *facts)
{
	CLEANUP(cleanup_json_free) struct json *members = describe_members(facts->members);
	cleanup_free char *text = json_print(members, false);
	struct json *labels = json_new_object();
	const char *project = text_or(facts->members->project, "");

	json_set_string(labels, LABEL_ROLE, "set");
	json_set_string(labels, LABEL_FORMAT, SET_FORMAT);
	json_set_string(labels, LABEL_KIND, "user");
	json_set_string(labels, LABEL_ID, facts->id);
	json_set_string(labels, LABEL_CREATED, facts->created);
	json_set_string(labels, LABEL_CONSISTENCY, set_consistency(facts->members));
	json_set_string(labels, LABEL_MEMBERS, text);
	json_set_string(labels, LABEL_PROJECT, project);
	json_set_string(labels, LABEL_VERSION, SIDESNAP_VERSION);
	json_set_string(labels, LABEL_NOTES, "");
	json_set_string(labels, LABEL_PINNED, "");
	set_number(labels, LABEL_BYTES, set_sum(facts->members, "bytes"));
	set_number(labels, LABEL_STORED, set_sum(facts->members, "stored_bytes"));
	json_set_string(labels, "org.opencontainers.image.created", facts->created);
	image_config_set_title(labels, facts->title, *project ? project : "several containers");
	return labels;
}

static int make_archive(const struct set_facts *facts, struct buffer *archive, struct error **err)
{
	cleanup_free char *text = json_print(facts->definition, true);
	const char *folder = STORE_DIRECTORY + 1;
	cleanup_free char *path = memory_printf("%s/" SET_FILE, folder);
	struct tar_entry entries[2] = {
		{.path = folder, .mode = S_IFDIR | 0755, .mtime = clock_now()},
		{.path = path, .mode = S_IFREG | 0644, .mtime = clock_now(), .size = strlen(text)},
	};

	for (size_t i = 0; i < 2; i++)
		if (tar_append_plain(archive, &entries[i], i ? text : NULL, err) < 0)
			return -1;
	return tar_finish_plain(archive, err);
}

char *set_image_make(const struct session *session, const struct set_facts *facts,
		     struct error **err)
{
	CLEANUP(buffer_release) struct buffer archive;
	CLEANUP(cleanup_json_free) struct json *labels = make_labels(facts), *body = NULL;
	CLEANUP(cleanup_helper_free) struct helper *helper = NULL;
	cleanup_free char *plain = NULL, *image = NULL;
	struct helper_specification specification = {
		.purpose = "set", .empty = true, .makes = facts->id, .set = facts->id};

	buffer_init(&archive, ARCHIVE_MAX);
	if (make_archive(facts, &archive, err) < 0)
		return NULL;
	plain = image_import(session->engine, &archive, err);
	if (!plain)
		return NULL;
	specification.image = plain;
	helper = helper_create(session, &specification, err);
	body = image_config_document(labels);
	image = helper ? image_commit(session->engine, helper_id(helper), body,
				      COMMIT_COMMENT_PREFIX "create", "", err)
		       : NULL;
	if (!image)
		image_remove(session->engine, plain, false, true, NULL, NULL);
	return STEAL_POINTER(image);
}
