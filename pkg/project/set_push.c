/*
 * A set at a registry is its image and those of its members beside it, in one repository, by names that
 * follow from the set's: who pulls it finds them without a list of where they are.
 */
#include <string.h>

#include "base/memory.h"
#include "project/set.h"
#include "snapshot/images.h"
#include "snapshot/reference.h"

static void choose(struct json *chosen, const struct reference *reference, const char *member,
		   const char *image, const char *id)
{
	struct json *item = json_add_object(chosen);
	cleanup_free char *tag = *member ? memory_printf("%s-%s", reference->tag, member)
					 : memory_strdup(reference->tag);

	json_set_string(item, "repository", reference->repository);
	json_set_string(item, "tag", tag);
	json_set_string(item, "image", image);
	json_set_string(item, "id", id);
}

/* Where a set goes: --to, with its own tag where that names none. */
static int choose_name(const struct json *set, const char *text, const char *to,
		       struct reference *reference, struct error **err)
{
	CLEANUP(reference_release) struct reference own = {0};
	const char *name = json_string(json_first(json_get(set, "references")), NULL);
	const char *slash = to ? strrchr(to, '/') : NULL;
	cleanup_free char *full = NULL;

	if (reference_parse(text, &own, NULL) == 0)
		full = reference_format(&own);
	if (!full || !json_has_string(json_get(set, "references"), full)) {
		reference_release(&own);
		if (!name || reference_parse(name, &own, err) < 0)
			return error_set(err, ERROR_USAGE, "the set \"%s\" has no name", text);
	}
	if (!to) {
		reference->repository = STEAL_POINTER(own.repository);
		reference->tag = STEAL_POINTER(own.tag);
		return 0;
	}
	if (reference_parse(to, reference, err) < 0)
		return error_prefix(err, "--to");
	if (!strchr(slash ? slash : to, ':')) {
		free(reference->tag);
		reference->tag = memory_strdup(own.tag);
	}
	return 0;
}

static int choose_set(struct session *session, const struct json *set, const char *text,
		      const char *to, struct json *chosen, struct error **err)
{
	CLEANUP(reference_release) struct reference reference = {0};

	if (choose_name(set, text, to, &reference, err) < 0)
		return -1;
	json_for_each(member, json_get(set, "members")) {
		const char *name = json_string_or(member, "name", "");
		const char *here = json_string(json_first(json_get(member, "references")), NULL);
		CLEANUP(cleanup_json_free) struct json *inspect = NULL;

		if (!here) {
			error_set(err, ERROR_NOT_FOUND,
				  "member \"%s\" of the set \"%s\" is not here", name, text);
			return error_hint(err,
					  "only a whole set can be pushed; \"sidesnap show %s\" "
					  "lists its members",
					  text);
		}
		inspect = image_inspect(session->engine, here, err);
		if (!inspect)
			return -1;
		choose(chosen, &reference, name, json_string_or(inspect, "Id", ""),
		       json_string_or(member, "id", ""));
	}
	choose(chosen, &reference, "", json_string_or(set, "image", ""),
	       json_string_or(set, "id", ""));
	return 0;
}

int set_push(struct session *session, const struct push_options *options, struct json **result,
	     struct error **err)
{
	CLEANUP(string_list_release) struct string_list others;
	CLEANUP(cleanup_json_free) struct json *chosen = json_new_array();
	struct push_options all = *options;

	string_list_init(&others);
	for (size_t i = 0; i < options->references->count; i++) {
		const char *text = options->references->items[i];
		struct error *problem = NULL;
		CLEANUP(cleanup_json_free) struct json *set = set_find(session, text, &problem);

		if (problem) {
			error_append(err, problem);
			return -1;
		}
		if (!set)
			string_list_add(&others, text);
		else if (choose_set(session, set, text, options->to, chosen, err) < 0)
			return -1;
	}
	all.references = &others;
	all.chosen = chosen;
	return snapshot_push(session, &all, result, err);
}
