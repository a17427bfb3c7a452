/*
 * What is not in a helper's label was not done by us and is left alone: above all a
 * container that a person paused.
 */
#include "snapshot/create/create_repair.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "driver/driver.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/helper/scratch.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"

/* The repairs must not be cut short. */
static const volatile int never_cancelled;

static const char *label(const struct json *helper, const char *name)
{
	return json_string_or(json_path(helper, "Config", "Labels"), name, "");
}

const char *repair_name(const struct json *inspect)
{
	const char *name = json_string_or(inspect, "Name", "");

	return name + (*name == '/');
}

void repair_act(struct repair *repair, const char *what, const char *container, const char *detail)
{
	struct json *action = json_add_object(repair->actions);

	json_set_string(action, "what", what);
	json_set_string(action, "container", container);
	json_set_string(action, "detail", detail);
}

void repair_problem(struct repair *repair, const char *text, struct error *problem)
{
	cleanup_free char *line =
		memory_printf("%s%s%s", text, problem ? ": " : "", problem ? problem->message : "");

	json_add_string(repair->problems, line);
	error_free(problem);
}

static bool is_running(const struct json *inspect)
{
	return json_bool(json_get(inspect, "State"), "Running");
}

/* A live create has frozen it as well: that one thaws it. */
static bool is_frozen_by_another(const struct repair *repair, const struct json *helper,
				 const char *id)
{
	json_for_each(other, repair->helpers) {
		if (other != helper && helper_is_alive(&repair->session, other) &&
		    strstr(label(other, LABEL_FREEZES), id))
			return true;
	}
	return false;
}

static void thaw(struct repair *repair, const struct json *helper, const char *id)
{
	CLEANUP(cleanup_json_free)
	struct json *listed = container_listed(repair->session.engine, id, NULL);
	const char *name = json_string_or(json_first(json_get(listed, "Names")), NULL, "");
	struct error *problem = NULL;

	if (!listed || strcmp(json_string_or(listed, "State", ""), "paused") != 0 ||
	    is_frozen_by_another(repair, helper, id))
		return;
	if (repair->dry_run || container_unpause(repair->session.engine, id, NULL, &problem) == 0)
		repair_act(repair, "thawed", name + (*name == '/'),
			   "frozen by a create that was killed");
	else
		repair_problem(repair, "cannot thaw a container that a killed create had frozen",
			       problem);
}

/* Run again even if the watchdog did already: once too often does no harm, not at all does. */
static void run_release(struct repair *repair, const struct json *helper)
{
	const char *text = label(helper, LABEL_RELEASE), *id = label(helper, LABEL_TARGET);
	size_t size = 0;
	cleanup_free uint8_t *bytes = *text ? text_unbase64(text, &size) : NULL;
	CLEANUP(cleanup_json_free) struct json *release = NULL, *inspect = NULL;
	struct error *problem = NULL;

	release = bytes ? json_parse((const char *)bytes, size, NULL) : NULL;
	inspect = *id ? container_inspect(repair->session.engine, id, NULL) : NULL;
	if (!release || !inspect || !is_running(inspect))
		return;
	if (repair->dry_run ||
	    driver_run_release(repair->session.engine, id, release, &problem) == 0)
		repair_act(repair, "released", repair_name(inspect),
			   "the database was prepared for a create that was killed");
	else
		repair_problem(repair, "a database stays as it was prepared for a snapshot",
			       problem);
}

static void start_again(struct repair *repair, const char *id)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = *id ? container_inspect(repair->session.engine, id, NULL) : NULL;
	struct error *problem = NULL;

	if (!inspect || is_running(inspect))
		return;
	if (repair->dry_run || container_start(repair->session.engine, id, &problem) == 0)
		repair_act(repair, "started", repair_name(inspect),
			   "stopped by a create that was killed");
	else
		repair_problem(repair, "cannot start a container that a killed create had stopped",
			       problem);
}

static void remove_helper(struct repair *repair, const struct json *helper)
{
	struct error *problem = NULL;

	if (repair->dry_run || container_remove(repair->session.engine, json_string(helper, "Id"),
						true, true, &problem) == 0)
		repair_act(repair, "removed", repair_name(helper),
			   "helper of a run that was killed");
	else
		repair_problem(repair, "cannot remove an orphaned helper", problem);
}

static int remove_image(struct repair *repair, const struct json *image, struct error **err)
{
	const char *id = json_string_or(image, "Id", "");

	/* With several names it would have to be forced, which takes one that a person gave as well. */
	if (!repair->dry_run &&
	    image_remove(repair->session.engine, id, false, false, NULL, err) < 0)
		return -1;
	repair_act(repair, "removed", id, "image of a create that was killed");
	return 0;
}

/*
 * It was committed, but its creator died before it gave it a name: nobody knows of it. One with a
 * name is a whole snapshot, whoever gave it that; of a set, when the set is whole.
 */
static void remove_nameless(struct repair *repair, const struct json *helper)
{
	CLEANUP(cleanup_json_free) struct json *filters = json_new_object(), *images = NULL;
	cleanup_free char *made = memory_printf(LABEL_ID "=%s", label(helper, LABEL_MAKES));
	const char *set = label(helper, LABEL_SET);
	struct error *problem = NULL;
	bool is_whole;

	if (!*label(helper, LABEL_MAKES))
		return;
	json_add_string(json_set_array(filters, "label"), made);
	is_whole = !*set || images_set_is_whole(&repair->session, set, &problem);
	images = problem ? NULL : image_list(repair->session.engine, filters, &problem);
	json_for_each(image, images) {
		const char *role = json_string_or(json_get(image, "Labels"), LABEL_ROLE, "");

		if (strcmp(role, "snapshot") != 0 && strcmp(role, "scratch") != 0 &&
		    strcmp(role, "set") != 0)
			continue;
		if (is_whole && images_tag_count(image))
			continue;
		if (remove_image(repair, image, &problem) < 0)
			break;
	}
	if (problem)
		repair_problem(repair, "cannot remove the image of a create that was killed",
			       problem);
}

/* ---- comparisons of data ---- */

static void remove_scratch(struct repair *repair, const struct json *scratch)
{
	struct error *problem = NULL;

	if (!repair->dry_run && container_remove(repair->session.engine, json_string(scratch, "Id"),
						 true, true, &problem) < 0) {
		repair_problem(repair, "cannot remove a scratch container", problem);
		return;
	}
	repair_act(repair, "removed", repair_name(scratch),
		   "booted by a comparison that was killed");
	remove_nameless(repair, scratch);
}

void repair_scratch(struct repair *repair)
{
	struct error *problem = NULL;
	CLEANUP(cleanup_json_free) struct json *list = NULL;

	if (repair->is_scratch_clean)
		return;
	repair->is_scratch_clean = true;
	list = scratch_list(&repair->session, &problem);
	if (!list)
		repair_problem(repair, "cannot look for scratch containers", problem);
	json_for_each(scratch, list) {
		enum scratch_state state = scratch_state(&repair->session, scratch);
		cleanup_free char *text = NULL;

		if (state == SCRATCH_ORPHAN)
			remove_scratch(repair, scratch);
		if (state != SCRATCH_UNKNOWN)
			continue;
		text = memory_printf(
			"scratch container \"%s\" belongs to a comparison whose "
			"process cannot be seen from here: run doctor where it ran, or, "
			"when it is over: docker rm -fv %s",
			repair_name(scratch), repair_name(scratch));
		json_add_string(repair->problems, text);
	}
}

/* ---- the whole ---- */

void repair_create(struct repair *repair, const struct json *helper)
{
	struct string_list frozen;
	size_t problems = json_count(repair->problems);

	string_list_init(&frozen);
	string_list_split(&frozen, label(helper, LABEL_FREEZES), ',');
	for (size_t i = 0; i < frozen.count; i++)
		thaw(repair, helper, frozen.items[i]);
	string_list_release(&frozen);
	run_release(repair, helper);
	start_again(repair, label(helper, LABEL_STARTS));
	/* One may run on the image that has no name. */
	repair_scratch(repair);
	remove_nameless(repair, helper);
	/* Its labels are needed as long as something is left to do. */
	if (json_count(repair->problems) == problems)
		remove_helper(repair, helper);
}

int repair_create_alone(const struct session *session, const struct json *helper,
			struct error **err)
{
	struct repair repair = {.session = *session};
	CLEANUP(cleanup_json_free) struct json *helpers = helper_list(session, err);
	CLEANUP(cleanup_json_free) struct json *actions = json_new_array();
	CLEANUP(cleanup_json_free) struct json *problems = json_new_array();

	if (!helpers)
		return -1;
	repair.session.cancelled = &never_cancelled;
	repair.helpers = helpers;
	repair.actions = actions;
	repair.problems = problems;
	repair_create(&repair, helper);
	if (!json_count(problems))
		return 0;
	return error_set(err, ERROR_FAILED, "%s", json_string_or(json_first(problems), NULL, ""));
}
