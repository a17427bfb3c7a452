/*
 * sidesnap create of several: who leads. The members' processes work side by side and wait at each
 * step of create_step; between CREATE_READY and CREATE_CAPTURED all that could write is frozen from
 * here, once. The order among creates that freeze the same containers is that of their helpers: a
 * set has one for that, which names everybody that will be frozen and idles until all have their names.
 */
#include "project/set.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "project/set_definition.h"
#include "project/set_image.h"
#include "project/set_members.h"
#include "snapshot/create/freeze.h"
#include "snapshot/create/image_config.h"
#include "snapshot/helper/helper.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/snapshot.h"

/* As of one create. */
#define ATTEMPTS 3

/* A member that has waited longer for the others reads once more what has changed. */
#define TOO_LONG_AGO_MS 2000

#define LOOK_MS 1000

/* A tag's end in the grammar of references. */
#define TAG_MAX 128

struct lead {
	struct session *session;
	const struct set_options *options;
	struct set_members members;
	struct reference reference;
	char *id, *created;
	struct freeze freeze;
	struct string_list planned; /* ids to freeze, as they were before */
	struct helper *helper;
	char *image;	     /* of the set */
	struct json *tagged; /* [{"reference","before"}]: names given, and which image had each */
	bool disturbed;
	uint64_t started_ms;
};

/* ---- the members' processes ---- */

static size_t count_state(const struct lead *lead, enum member_state state)
{
	size_t count = 0;

	for (size_t i = 0; i < lead->members.count; i++)
		count += lead->members.list[i].process.state == state;
	return count;
}

static void show_sums(const struct lead *lead)
{
	uint64_t files = 0, bytes = 0;

	for (size_t i = 0; i < lead->members.count; i++) {
		files += lead->members.list[i].process.files;
		bytes += lead->members.list[i].process.bytes;
	}
	progress_update(lead->session->progress, files, bytes, 0);
}

/* Whatever any member says within a second or less. */
static void listen(struct lead *lead)
{
	cleanup_free struct pollfd *polled =
		memory_zalloc((lead->members.count + 1) * sizeof(*polled));

	/* Descriptors that are closed are -1, which poll passes over. */
	for (size_t i = 0; i < lead->members.count; i++)
		polled[i] =
			(struct pollfd){.fd = lead->members.list[i].process.from, .events = POLLIN};
	if (poll(polled, lead->members.count, LOOK_MS) < 0)
		return;
	for (size_t i = 0; i < lead->members.count; i++) {
		struct set_member *member = &lead->members.list[i];

		if (polled[i].revents)
			member_process_read(&member->process, lead->session, member->name);
		if (member->process.is_alive_told)
			watchdog_alive(lead->freeze.watchdog);
		member->process.is_alive_told = false;
	}
	show_sums(lead);
}

/* The first failure is the reason; what the others say then is about their being given up. */
static int check_failures(struct lead *lead, struct error **err)
{
	for (size_t i = 0; i < lead->members.count; i++) {
		struct set_member *member = &lead->members.list[i];

		if (member->process.state != MEMBER_FAILED)
			continue;
		lead->disturbed |= member->process.disturbed;
		error_append(err, STEAL_POINTER(member->process.problem));
		return -1;
	}
	return session_check(lead->session, err);
}

static bool has_reached(const struct member_process *process, enum create_step step)
{
	return process->state == MEMBER_AT_STEP && process->step == step;
}

static size_t count_at(const struct lead *lead, enum create_step step)
{
	size_t count = 0;

	for (size_t i = 0; i < lead->members.count; i++)
		count += has_reached(&lead->members.list[i].process, step);
	return count;
}

static int await_step(struct lead *lead, enum create_step step, struct error **err)
{
	while (count_at(lead, step) < lead->members.count) {
		listen(lead);
		if (check_failures(lead, err) < 0)
			return -1;
	}
	return 0;
}

static void tell_all(struct lead *lead)
{
	for (size_t i = 0; i < lead->members.count; i++)
		member_process_tell(&lead->members.list[i].process, false);
}

static void close_processes(struct lead *lead)
{
	for (size_t i = 0; i < lead->members.count; i++)
		member_process_end(&lead->members.list[i].process);
}

/* They say what a person has to know of their end. */
static void give_up(struct lead *lead)
{
	for (size_t i = 0; i < lead->members.count; i++)
		member_process_give_up(&lead->members.list[i].process);
	for (;;) {
		bool open = false;

		for (size_t i = 0; i < lead->members.count; i++)
			open |= lead->members.list[i].process.from >= 0;
		if (!open)
			return;
		listen(lead);
	}
}

/* ---- before anything is touched ---- */

static void fill_options(struct lead *lead, struct set_member *member)
{
	const struct set_options *options = lead->options;

	member->role = (struct create_member){.set = lead->id, .elsewhere = member->elsewhere};
	member->create = (struct create_options){
		.target = member->id,
		.title = options->title,
		.stopped = options->stopped,
		/* Of what must never be frozen, what can be had. */
		.live = options->live || member->never_frozen,
		.image_command = options->image_command,
		.allow_overlay_volume = options->allow_overlay_volume,
		.ignore_prepare = options->ignore_prepare,
		.reserve_bytes = options->reserve_bytes,
		.member = &member->role,
	};
	if (member->never_frozen && !options->live)
		member->create.stopped = false;
}

static int check_reference(const struct lead *lead, const char *text, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	CLEANUP(cleanup_json_free)
	struct json *taken = image_inspect(lead->session->engine, text, &problem);

	if (!taken && problem->kind == ERROR_NOT_FOUND)
		return 0;
	if (!taken) {
		error_append(err, STEAL_POINTER(problem));
		return -1;
	}
	if (lead->options->force)
		return images_check_move(taken, text, err);
	error_set(err, ERROR_EXISTS, "\"%s\" exists already", text);
	return error_hint(err, "choose another tag, or use --force to move it");
}

static int choose_references(struct lead *lead, struct error **err)
{
	cleanup_free char *text = NULL;

	if (!lead->options->reference)
		reference_default(text_or(lead->members.project, "set"), clock_now(),
				  &lead->reference);
	else if (reference_parse(lead->options->reference, &lead->reference, err) < 0)
		return -1;
	text = reference_format(&lead->reference);
	if (check_reference(lead, text, err) < 0)
		return -1;
	for (size_t i = 0; i < lead->members.count; i++) {
		struct set_member *member = &lead->members.list[i];
		cleanup_free char *own = NULL;

		member->reference.repository = memory_strdup(lead->reference.repository);
		member->reference.tag = memory_printf("%s-%s", lead->reference.tag, member->name);
		if (strlen(member->reference.tag) > TAG_MAX) {
			error_set(err, ERROR_USAGE,
				  "the tag \"%s\" of member \"%s\" would have more than %d "
				  "characters",
				  member->reference.tag, member->name, TAG_MAX);
			return error_hint(err, "give the set a shorter one: -t NAME:TAG");
		}
		own = reference_format(&member->reference);
		if (check_reference(lead, own, err) < 0)
			return -1;
	}
	return 0;
}

static int look(struct lead *lead, struct error **err)
{
	struct string_list *ids = &lead->freeze.ids, *paused = &lead->freeze.paused;

	for (size_t i = 0; i < lead->members.count; i++) {
		struct string_list own = {0}, own_paused = {0};
		struct set_member *member = &lead->members.list[i];
		int result;

		fill_options(lead, member);
		result = snapshot_freezes(lead->session, &member->create, &own, &own_paused, err);
		for (size_t k = 0; k < own.count; k++)
			if (!string_list_has(ids, own.items[k]))
				string_list_add(ids, own.items[k]);
		for (size_t k = 0; k < own_paused.count; k++)
			if (!string_list_has(paused, own_paused.items[k]))
				string_list_add(paused, own_paused.items[k]);
		string_list_release(&own);
		string_list_release(&own_paused);
		if (result < 0)
			return error_prefix(err, "member \"%s\"", member->name);
		if (member->never_frozen)
			progress_note(lead->session->progress,
				      "\"%s\" is captured without being frozen: %s", member->name,
				      member->never_frozen);
	}
	return 0;
}

/* ---- until all are ready ---- */

static int open_helper(struct lead *lead, struct error **err)
{
	cleanup_free char *freezes = string_list_join(&lead->freeze.ids, ",");
	struct helper_specification specification = {
		.image = json_string_or(lead->members.list[0].inspect, "Image", ""),
		.purpose = "set",
		.freezes = freezes,
		.makes = lead->id,
		.set = lead->id,
	};

	lead->helper = helper_create(lead->session, &specification, err);
	return lead->helper ? helper_open(lead->helper, err) : -1;
}

static size_t at_once(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores > 1 ? (size_t)cores : 2;
}

/* As many as there are cores read at the same time; each that is done makes room for the next. */
static int precopy(struct lead *lead, struct error **err)
{
	size_t started = 0, count = lead->members.count;

	while (count_at(lead, CREATE_PRECOPIED) < count) {
		progress_phase(lead->session->progress, "pre-copying %zu containers (%zu done)",
			       count, count_at(lead, CREATE_PRECOPIED));
		while (started < count && count_state(lead, MEMBER_WORKS) < at_once()) {
			struct set_member *member = &lead->members.list[started++];

			if (member_process_start(&member->process, lead->session, &member->create,
						 err) < 0)
				return -1;
		}
		/* Before the last of them is done: it takes half a second. */
		if (started == count && !lead->helper && open_helper(lead, err) < 0)
			return -1;
		listen(lead);
		if (check_failures(lead, err) < 0)
			return -1;
	}
	return 0;
}

static int refresh(struct lead *lead, struct error **err)
{
	uint64_t now = clock_monotonic_ms();

	for (size_t i = 0; i < lead->members.count; i++) {
		struct member_process *process = &lead->members.list[i].process;

		if (now - process->reached_ms > TOO_LONG_AGO_MS)
			member_process_tell(process, true);
	}
	progress_phase(lead->session->progress, "reading what has changed meanwhile");
	return await_step(lead, CREATE_PRECOPIED, err);
}

static int get_ready(struct lead *lead, struct error **err)
{
	if (precopy(lead, err) < 0 || refresh(lead, err) < 0)
		return -1;
	failpoint("set/precopied");
	tell_all(lead);
	return await_step(lead, CREATE_READY, err);
}

/* ---- the freeze ---- */

static int read_frozen(struct lead *lead, struct error **err)
{
	struct freeze *freeze = &lead->freeze;
	const char *helper = helper_id(lead->helper);

	if (freeze_arm(freeze, helper, NULL, err) < 0 || freeze_await_watchdog(freeze, err) < 0 ||
	    freeze_wait_turn(freeze, helper, err) < 0)
		return -1;
	progress_phase(lead->session->progress, "reading (%zu container%s frozen)",
		       freeze->ids.count, freeze->ids.count == 1 ? "" : "s");
	if (freeze_begin(freeze, helper, err) < 0) {
		lead->disturbed |= freeze->disturbed;
		return -1;
	}
	failpoint("set/frozen");
	lead->created = clock_format(clock_now());
	tell_all(lead);
	if (await_step(lead, CREATE_CAPTURED, err) < 0)
		return -1;
	failpoint("set/captured");
	if (freeze_check(freeze, helper, err) < 0) {
		lead->disturbed |= freeze->disturbed;
		return -1;
	}
	return 0;
}

static int capture(struct lead *lead, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	int result;

	if (get_ready(lead, err) < 0)
		return -1;
	result = read_frozen(lead, err);
	if (freeze_end(&lead->freeze, &problem) < 0) {
		error_append(err, STEAL_POINTER(problem));
		result = -1;
	}
	failpoint("set/thawed");
	if (result < 0)
		return -1;
	watchdog_dismiss(STEAL_POINTER(lead->freeze.watchdog));
	progress_phase(lead->session->progress, "writing and committing %zu images",
		       lead->members.count);
	tell_all(lead);
	return await_step(lead, CREATE_MADE, err);
}

/* ---- the names, all or none ---- */

static int give_name(struct lead *lead, const char *image, const struct reference *reference,
		     struct error **err)
{
	cleanup_free char *text = reference_format(reference);
	CLEANUP(cleanup_json_free)
	struct json *before = image_inspect(lead->session->engine, text, NULL);
	struct json *item;

	/* One that somebody made meanwhile. */
	if (before && !lead->options->force) {
		error_set(err, ERROR_EXISTS, "\"%s\" was given to another image meanwhile", text);
		return error_hint(err, "choose another tag, or use --force to move it");
	}
	item = json_add_object(lead->tagged);
	json_set_string(item, "reference", text);
	json_set_string(item, "repository", reference->repository);
	json_set_string(item, "tag", reference->tag);
	json_set_string(item, "before", json_string_or(before, "Id", ""));
	if (image_tag(lead->session->engine, image, reference->repository, reference->tag, err) < 0)
		return error_prefix(err, "cannot tag \"%s\"", text);
	return 0;
}

static void take_names_back(struct lead *lead)
{
	struct engine *engine = lead->session->engine;

	engine_set_cancel(engine, NULL);
	json_for_each(item, lead->tagged) {
		const char *before = json_string_or(item, "before", "");

		if (*before)
			image_tag(engine, before, json_string(item, "repository"),
				  json_string(item, "tag"), NULL);
		else
			image_remove(engine, json_string(item, "reference"), false, false, NULL,
				     NULL);
	}
	if (lead->image)
		image_remove(engine, lead->image, false, true, NULL, NULL);
	engine_set_cancel(engine, lead->session->cancelled);
}

static int name_all(struct lead *lead, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *definition = set_definition(lead->session, &lead->members, err);
	struct set_facts facts = {
		.members = &lead->members,
		.id = lead->id,
		.created = lead->created,
		.title = text_or(lead->options->title, ""),
		.definition = definition,
	};

	if (!definition)
		return -1;
	lead->image = set_image_make(lead->session, &facts, err);
	if (!lead->image)
		return error_prefix(err, "cannot make the image of the set");
	failpoint("set/committed");
	for (size_t i = 0; i < lead->members.count; i++) {
		struct set_member *member = &lead->members.list[i];

		if (give_name(lead, json_string_or(member->process.result, "image", ""),
			      &member->reference, err) < 0)
			return -1;
		failpoint("set/tagging");
	}
	if (session_check(lead->session, err) < 0 ||
	    give_name(lead, lead->image, &lead->reference, err) < 0)
		return -1;
	failpoint("set/tagged");
	return 0;
}

/* ---- the whole ---- */

static struct json *make_result(struct lead *lead)
{
	struct json *result = json_new_object(), *members, *frozen;
	cleanup_free char *reference = reference_format(&lead->reference);

	json_set_string(result, "reference", reference);
	json_set_string(result, "id", lead->id);
	json_set_string(result, "image", lead->image);
	json_set_string(result, "project", text_or(lead->members.project, ""));
	json_set_string(result, "title", text_or(lead->options->title, ""));
	json_set_string(result, "created", lead->created);
	json_set_string(result, "consistency", set_consistency(&lead->members));
	json_set_int(result, "frozen_ms", (int64_t)lead->freeze.duration_ms);
	json_set_int(result, "hot_bytes", (int64_t)set_sum(&lead->members, "hot_bytes"));
	json_set_int(result, "duration_ms", (int64_t)(clock_monotonic_ms() - lead->started_ms));
	json_set_int(result, "bytes", (int64_t)set_sum(&lead->members, "bytes"));
	json_set_int(result, "stored_bytes", (int64_t)set_sum(&lead->members, "stored_bytes"));
	frozen = json_set_array(result, "frozen");
	for (size_t i = 0; i < lead->freeze.ids.count; i++) {
		CLEANUP(cleanup_json_free)
		struct json *inspect =
			container_inspect(lead->session->engine, lead->freeze.ids.items[i], NULL);
		const char *name = json_string_or(inspect, "Name", lead->freeze.ids.items[i]);

		json_add_string(frozen, name + (*name == '/'));
	}
	members = json_set_array(result, "members");
	for (size_t i = 0; i < lead->members.count; i++) {
		struct set_member *member = &lead->members.list[i];
		struct json *item = json_add_object(members);
		cleanup_free char *own = reference_format(&member->reference);

		json_set_string(item, "name", member->name);
		json_for_each(value, member->process.result)
			json_set(item, json_key(value), json_copy(value));
		json_set_string(item, "reference", own);
		json_set_int(item, "frozen_ms",
			     json_count(json_get(item, "frozen"))
				     ? (int64_t)lead->freeze.duration_ms
				     : 0);
	}
	return result;
}

static void release(struct lead *lead, bool keep)
{
	cleanup_error struct error *problem = NULL;

	if (freeze_end(&lead->freeze, &problem) < 0)
		progress_warn(lead->session->progress, "%s", problem->message);
	if (!keep) {
		give_up(lead);
		take_names_back(lead);
	}
	/* What is still to be thawed stands in its label. */
	if (lead->freeze.frozen.count)
		helper_abandon(lead->helper);
	else
		helper_free(lead->helper);
	freeze_release(&lead->freeze);
	close_processes(lead);
	set_members_release(&lead->members);
	reference_release(&lead->reference);
	json_free(lead->tagged);
	free(lead->id);
	free(lead->created);
	free(lead->image);
}

static void finish_members(struct lead *lead)
{
	tell_all(lead);
	while (count_state(lead, MEMBER_WORKS))
		listen(lead);
}

static int create_once(struct session *session, const struct set_options *options, bool *again,
		       struct json **result, struct error **err)
{
	struct lead lead = {
		.session = session,
		.options = options,
		.id = text_random_hex(16),
		.tagged = json_new_array(),
		.started_ms = clock_monotonic_ms(),
	};
	int status = -1;

	freeze_init(&lead.freeze, session);
	progress_phase(session->progress, "looking at the containers");
	if (set_members_find(session, options, &lead.members, err) == 0 &&
	    image_config_check_text("title", options->title, TITLE_MAX, err) == 0 &&
	    choose_references(&lead, err) == 0 && look(&lead, err) == 0 &&
	    capture(&lead, err) == 0 && name_all(&lead, err) == 0)
		status = 0;
	if (status == 0) {
		finish_members(&lead);
		*result = make_result(&lead);
	}
	*again = lead.disturbed;
	release(&lead, status == 0);
	return status;
}

int set_create(struct session *session, const struct set_options *options, struct json **result,
	       struct error **err)
{
	for (int attempt = 1;; attempt++) {
		cleanup_error struct error *problem = NULL;
		bool again = false;

		if (create_once(session, options, &again, result, &problem) == 0)
			return 0;
		if (again && attempt < ATTEMPTS && session_check(session, NULL) == 0) {
			progress_warn(session->progress, "%s; starting again", problem->message);
			continue;
		}
		error_append(err, STEAL_POINTER(problem));
		return error_prefix(err, "no set was made");
	}
}

int set_plan(struct session *session, const struct set_options *options, struct json **result,
	     struct error **err)
{
	struct lead lead = {.session = session, .options = options, .id = text_random_hex(16)};
	struct json *list;
	int status = -1;

	freeze_init(&lead.freeze, session);
	*result = json_new_object();
	list = json_set_array(*result, "members");
	if (set_members_find(session, options, &lead.members, err) < 0 ||
	    choose_references(&lead, err) < 0)
		goto out;
	for (size_t i = 0; i < lead.members.count; i++) {
		struct set_member *member = &lead.members.list[i];
		struct json *plan = NULL;
		cleanup_free char *own = reference_format(&member->reference);

		fill_options(&lead, member);
		if (snapshot_plan(session, &member->create, &plan, err) < 0)
			goto out;
		json_set_string(plan, "name", member->name);
		json_set_string(plan, "reference", own);
		json_add(list, plan);
	}
	status = 0;
out:
	release(&lead, true);
	if (status < 0)
		json_free(STEAL_POINTER(*result));
	return status;
}
