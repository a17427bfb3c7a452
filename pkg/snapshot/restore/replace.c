/*
 * sidesnap replace: the container, made again from a snapshot's image with its
 * volumes in the snapshot's state. The journal exists before the first change and
 * goes last; in between every failure, and doctor after a crash, goes back by it.
 */
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/text.h"
#include "snapshot/restore/journal.h"
#include "snapshot/restore/recreate.h"
#include "snapshot/restore/restoration.h"

/* Going back must not be interrupted. */
static const volatile int never_cancelled;

struct replace {
	struct restoration common;
	struct session *session; /* that of common */
	char **new_ids;		 /* of the journal's containers, NULL where none was made */
};

static void release(struct replace *replace)
{
	size_t count = json_count(json_get(replace->common.journal, "containers"));

	for (size_t i = 0; replace->new_ids && i < count; i++)
		free(replace->new_ids[i]);
	free(replace->new_ids);
	restoration_release(&replace->common);
}

static bool is_user(const struct json *container)
{
	return strcmp(json_string_or(container, "role", ""), ROLE_USER) == 0;
}

/* The inspect that the new one is made from: stopped, but with the policy and the image it had. */
static struct json *inspect_as_it_was(const struct replace *replace, const struct json *container,
				      struct error **err)
{
	struct json *inspect =
		container_inspect(replace->session->engine, json_string(container, "id"), err);
	struct json *host = json_get(inspect, "HostConfig");
	struct json *from;

	if (!inspect)
		return NULL;
	json_set(host, "RestartPolicy", json_copy(json_get(container, "restart")));
	if (!json_is_array(json_get(host, "VolumesFrom")))
		return inspect;
	from = json_new_array();
	/* The mounts of containers that are gone can only be had by the volumes' names. */
	json_for_each(item, json_get(host, "VolumesFrom")) {
		const char *text = json_string_or(item, NULL, "");
		cleanup_free char *name = memory_strndup(text, strcspn(text, ":"));
		CLEANUP(cleanup_json_free)
		struct json *other = container_inspect(replace->session->engine, name, NULL);

		if (other)
			json_add_string(from, text);
	}
	json_set(host, "VolumesFrom", from);
	return inspect;
}

/* A tag may have moved on since: then the image's id. To be freed. */
static char *image_of(const struct replace *replace, const struct json *inspect)
{
	const char *id = json_string_or(inspect, "Image", "");
	const char *name = json_string_or(json_get(inspect, "Config"), "Image", "");
	CLEANUP(cleanup_json_free)
	struct json *image = *name ? image_inspect(replace->session->engine, name, NULL) : NULL;

	return memory_strdup(strcmp(json_string_or(image, "Id", ""), id) == 0 ? name : id);
}

/* The snapshot as it was named, where the name means it by itself (a sidesnap.id does not). */
static char *snapshot_name(const struct replace *replace)
{
	CLEANUP(cleanup_json_free)
	struct json *image =
		image_inspect(replace->session->engine, replace->common.reference, NULL);

	return memory_strdup(strcmp(json_string_or(image, "Id", ""), replace->common.image) == 0
				     ? replace->common.reference
				     : replace->common.image);
}

static int join_networks(const struct replace *replace, const char *id,
			 const struct recreation *recreation, struct error **err)
{
	json_for_each(item, recreation->connect) {
		const char *network = json_string(item, "network");

		if (network_connect(replace->session->engine, network, id,
				    json_get(item, "endpoint"), err) < 0)
			return error_prefix(err, "cannot connect it to network \"%s\"", network);
	}
	if (recreation->disconnect &&
	    network_disconnect(replace->session->engine, recreation->disconnect, id, false, err) <
		    0)
		return error_prefix(err, "cannot take it off network \"%s\"",
				    recreation->disconnect);
	return 0;
}

/* Make the new one of the journal's container ${index}, under its preliminary name. */
static int make_one(struct replace *replace, const struct json *container, size_t index,
		    const char *const *old_ids, struct error **err)
{
	bool is_target = index == 0;
	cleanup_free char *name = journal_suffixed(container, SUFFIX_NEW), *image = NULL;
	CLEANUP(cleanup_json_free)
	struct json *inspect = inspect_as_it_was(replace, container, err);
	CLEANUP(cleanup_json_free) struct json *old_image = NULL;
	struct recreate_source source = {.inspect = inspect, .boot = is_target, .old_ids = old_ids};
	struct recreation recreation;
	int result;

	if (!inspect)
		return -1;
	old_image =
		image_inspect(replace->session->engine, json_string_or(inspect, "Image", ""), NULL);
	image = is_target ? snapshot_name(replace) : image_of(replace, inspect);
	source.old_image = old_image;
	source.image = image;
	source.new_ids = (const char *const *)replace->new_ids;
	source.id_count = index;
	recreate(&source, &recreation);
	replace->new_ids[index] =
		container_create(replace->session->engine, name, recreation.body, err);
	result = replace->new_ids[index]
			 ? join_networks(replace, replace->new_ids[index], &recreation, err)
			 : -1;
	if (result < 0)
		error_prefix(err, "cannot make \"%s\" again", json_string(container, "name"));
	recreation_release(&recreation);
	return result;
}

/* Containers in the order of the journal: a follower comes behind whom it follows, a user last. */
static int make_all(struct replace *replace, struct error **err)
{
	const struct json *containers = json_get(replace->common.journal, "containers");
	cleanup_free const char **old_ids =
		memory_array(NULL, json_count(containers), sizeof(*old_ids));
	size_t index = 0;

	json_for_each(container, containers) {
		old_ids[index] = json_string(container, "id");
		if (is_user(container))
			break;
		if (make_one(replace, container, index, old_ids, err) < 0)
			return -1;
		index++;
	}
	return failpoint_error("replace/created", err);
}

static int take_names(struct replace *replace, struct error **err)
{
	size_t index = 0;

	json_for_each(container, json_get(replace->common.journal, "containers")) {
		const char *id = replace->new_ids[index++], *name = json_string(container, "name");

		if (id && container_rename(replace->session->engine, id, name, err) < 0)
			return error_prefix(err, "cannot give the new container the name \"%s\"",
					    name);
	}
	return failpoint_error("replace/named", err);
}

static int start_all(struct replace *replace, struct error **err)
{
	size_t index = 0;

	json_for_each(container, json_get(replace->common.journal, "containers")) {
		const char *id = replace->new_ids[index++];
		const char *name = json_string(container, "name");

		if (is_user(container))
			break;
		if (!restoration_starts(&replace->common, container))
			continue;
		progress_phase(replace->session->progress, "starting %s", name);
		if (container_start(replace->session->engine, id, err) < 0)
			return error_prefix(err, "cannot start \"%s\"", name);
	}
	if (restoration_start_users(&replace->common, err) < 0)
		return -1;
	return failpoint_error("replace/started", err);
}

static int change(struct replace *replace, struct error **err)
{
	struct restoration *common = &replace->common;

	replace->new_ids =
		memory_zalloc(json_count(json_get(common->journal, "containers")) * sizeof(char *));
	if (restoration_halt(common, err) < 0 || session_check(replace->session, err) < 0 ||
	    make_all(replace, err) < 0 || restoration_restore(common, err) < 0 ||
	    take_names(replace, err) < 0 || start_all(replace, err) < 0 ||
	    restoration_wait_ready(common, replace->new_ids[0], err) < 0)
		return -1;
	return session_check(replace->session, err);
}

/* ---- the end ---- */

/* From here on there is no way back, so nothing is an error that ends it. */
static void remove_old(struct replace *replace)
{
	const struct session *session = replace->session;

	engine_set_cancel(session->engine, &never_cancelled);
	json_for_each(container, json_get(replace->common.journal, "containers")) {
		cleanup_error struct error *problem = NULL;

		/* Without its volumes: anonymous ones are the new one's now. */
		if (!is_user(container) &&
		    container_remove(session->engine, json_string(container, "id"), false, true,
				     &problem) < 0)
			progress_warn(
				session->progress,
				"cannot remove the old container %.12s: %s; \"sidesnap doctor\" "
				"goes on",
				json_string(container, "id"), problem->message);
		failpoint("replace/removed");
	}
	engine_set_cancel(session->engine, session->cancelled);
}

int restoration_replace(struct session *session, const struct restore_options *options,
			const char *verb, struct json **result, struct error **err)
{
	struct replace replace = {.session = session};
	struct restoration *common = &replace.common;
	int outcome = -1;

	restoration_init(common, session, options, "replace", verb);
	if (restoration_find_target(common, err) < 0 ||
	    restoration_choose(common, options->reference, err) < 0 ||
	    restoration_ask(common, err) < 0 || restoration_make_helper(common, err) < 0 ||
	    change(&replace, err) < 0) {
		restoration_fail(common, err);
		goto out;
	}
	remove_old(&replace);
	restoration_prune(common);
	outcome = restoration_finish(common, replace.new_ids[0], err);
	if (outcome == 0)
		*result = restoration_result(common, replace.new_ids[0]);
	/* The journal goes last; if it cannot, doctor finishes it. */
out:
	release(&replace);
	return outcome;
}

int snapshot_replace(struct session *session, const struct restore_options *options,
		     struct json **result, struct error **err)
{
	return restoration_replace(session, options, "replace", result, err);
}
