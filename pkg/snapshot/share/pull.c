/*
 * sidesnap pull. The engine moves the tag when all of an image is there; a snapshot that would
 * be left without a name by that gets one first, so that no prune takes it.
 */
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/share/transfer.h"
#include "snapshot/target.h"

/* Of one name. */
struct pull {
	struct session *session;
	const struct reference *reference;
	char *name;
	struct json *before;	/* the inspect of who has the name; NULL: nobody */
	struct reference spare; /* the name that one gets; repository NULL: it needs none */
};

static void pull_release(struct pull *pull)
{
	free(pull->name);
	json_free(pull->before);
	reference_release(&pull->spare);
}

static const char *image_before(const struct pull *pull)
{
	return json_string_or(pull->before, "Id", "");
}

/* As its default name was, and a part of the image's id, so that it is never another's. */
static void choose_spare(struct pull *pull)
{
	const char *image = strrchr(image_before(pull), ':');
	struct reference name = {0};
	struct timespec time = {0};

	clock_parse(snapshot_label(pull->before, LABEL_CREATED), &time);
	reference_default(text_or(snapshot_label(pull->before, LABEL_CONTAINER),
				  text_or(snapshot_label(pull->before, LABEL_PROJECT), "set")),
			  time, &name);
	pull->spare.repository = STEAL_POINTER(name.repository);
	pull->spare.tag = memory_printf("%s-%.12s", name.tag, image ? image + 1 : "");
	reference_release(&name);
}

static int name_spare(struct pull *pull, struct error **err)
{
	const char *role = snapshot_label(pull->before, LABEL_ROLE);

	if ((strcmp(role, "snapshot") != 0 && strcmp(role, "set") != 0) ||
	    images_tag_count(pull->before) != 1)
		return 0;
	choose_spare(pull);
	if (image_tag(pull->session->engine, image_before(pull), pull->spare.repository,
		      pull->spare.tag, err) < 0)
		return error_prefix(err, "cannot give the present \"%s\" a second name",
				    pull->name);
	return 0;
}

/* The spare name goes unless it is the only one that is left; its text where it stays, or "". To be freed. */
static char *drop_spare(const struct pull *pull)
{
	struct engine *engine = pull->session->engine;
	cleanup_free char *spare = NULL;
	CLEANUP(cleanup_json_free) struct json *inspect = NULL;

	if (!pull->spare.repository)
		return memory_strdup("");
	spare = reference_format(&pull->spare);
	inspect = image_inspect(engine, spare, NULL);
	if (inspect && images_tag_count(inspect) < 2)
		return STEAL_POINTER(spare);
	image_remove(engine, spare, false, false, NULL, NULL);
	return memory_strdup("");
}

/* What came is no snapshot: the name goes back to who had it, and it goes unless it has others. */
static void put_back(const struct pull *pull)
{
	struct engine *engine = pull->session->engine;
	CLEANUP(cleanup_json_free) struct json *came = NULL, *left = NULL;
	const char *image;

	if (!pull->before) {
		image_remove(engine, pull->name, false, true, NULL, NULL);
		return;
	}
	came = image_inspect(engine, pull->name, NULL);
	image = json_string_or(came, "Id", "");
	if (image_tag(engine, image_before(pull), pull->reference->repository, pull->reference->tag,
		      NULL) < 0)
		return;
	/* By its id the last tag would go as well. */
	left = *image ? image_inspect(engine, image, NULL) : NULL;
	if (left && !images_tag_count(left))
		image_remove(engine, image, false, true, NULL, NULL);
}

static bool is_set(const struct json *inspect)
{
	return inspect && strcmp(snapshot_label(inspect, LABEL_ROLE), "set") == 0;
}

static struct json *check_pulled(const struct pull *pull, struct error **err)
{
	struct error *problem = NULL;
	struct json *inspect = image_inspect(pull->session->engine, pull->name, NULL);

	if (is_set(inspect))
		return inspect;
	json_free(inspect);
	inspect = snapshot_inspect(pull->session, pull->name, &problem);
	if (inspect)
		return inspect;
	if (problem->kind == ERROR_USAGE) {
		put_back(pull);
		error_hint(&problem, "it was removed again; \"docker pull\" is for other images");
	}
	error_append(err, problem);
	return NULL;
}

static void report(const struct pull *pull, struct json *result, const struct json *inspect,
		   const char *kept)
{
	const char *image = json_string_or(inspect, "Id", "");

	json_set_string(result, "reference", pull->name);
	json_set_string(result, "id", snapshot_label(inspect, LABEL_ID));
	json_set_string(result, "image", image);
	json_set_bool(result, "changed", strcmp(image, image_before(pull)) != 0);
	json_set_string(result, "kept", kept);
	if (*kept)
		progress_note(pull->session->progress,
			      "the snapshot that was \"%s\" here until now is \"%s\"", pull->name,
			      kept);
}

static int pull_one(struct transfer *transfer, const struct reference *reference,
		    const struct json *member, struct json *pulled, struct error **err);

/* What has the name of a member must be what it was when the set was made. */
static int check_member(const struct pull *pull, const struct json *inspect,
			const struct json *member, struct error **err)
{
	const char *manifest = json_string_or(member, "manifest", "");

	if (!member ||
	    (strcmp(snapshot_label(inspect, LABEL_ID), json_string_or(member, "id", "")) == 0 &&
	     strcmp(snapshot_label(inspect, LABEL_MANIFEST), manifest) == 0))
		return 0;
	error_set(err, ERROR_DAMAGED, "\"%s\" is not the snapshot that the set names", pull->name);
	return error_hint(err, "somebody has pushed another one under its name: push the set again "
			       "from where it is whole");
}

/* A set without its members is nothing: where one cannot be had, its name goes back. */
static int pull_members(struct transfer *transfer, const struct pull *pull,
			const struct json *inspect, struct json *pulled, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *members =
		images_label_json(json_path(inspect, "Config", "Labels"), LABEL_MEMBERS);

	if (!json_count(members)) {
		put_back(pull);
		return error_set(err, ERROR_DAMAGED, "the set \"%s\" names no members", pull->name);
	}
	json_for_each(member, members) {
		cleanup_free char *name =
			memory_printf("%s-%s", pull->name, json_string_or(member, "name", ""));
		CLEANUP(reference_release) struct reference reference = {0};

		if (reference_parse(name, &reference, err) == 0 &&
		    pull_one(transfer, &reference, member, pulled, err) == 0)
			continue;
		engine_set_cancel(transfer->session->engine, NULL);
		put_back(pull);
		engine_set_cancel(transfer->session->engine, transfer->session->cancelled);
		return error_prefix(err, "set \"%s\"", pull->name);
	}
	return 0;
}

static int pull_one(struct transfer *transfer, const struct reference *reference,
		    const struct json *member, struct json *pulled, struct error **err)
{
	struct session *session = transfer->session;
	CLEANUP(pull_release)
	struct pull pull = {
		.session = session,
		.reference = reference,
		.name = reference_format(reference),
	};
	CLEANUP(cleanup_json_free) struct json *result = NULL, *inspect = NULL;
	cleanup_free char *kept = NULL;

	pull.before = image_inspect(session->engine, pull.name, NULL);
	if (name_spare(&pull, err) < 0)
		return -1;
	failpoint("pull/named");
	result = transfer_run(transfer, reference, err);
	failpoint("pull/pulled");
	/* Whoever interrupts now would leave a name too many. */
	engine_set_cancel(session->engine, NULL);
	if (result)
		inspect = check_pulled(&pull, err);
	kept = drop_spare(&pull);
	engine_set_cancel(session->engine, session->cancelled);
	if (!inspect || check_member(&pull, inspect, member, err) < 0 ||
	    (is_set(inspect) && pull_members(transfer, &pull, inspect, pulled, err) < 0))
		return -1;
	report(&pull, result, inspect, kept);
	json_add(pulled, STEAL_POINTER(result));
	return 0;
}

static int parse(struct transfer *transfer, const char *text, struct reference *reference,
		 struct error **err)
{
	if (reference_parse(text, reference, err) < 0)
		return -1;
	return transfer_check(transfer, reference, err);
}

int snapshot_pull(struct session *session, const struct string_list *references,
		  const struct registry_login *login, struct json **result, struct error **err)
{
	CLEANUP(transfer_release) struct transfer transfer;
	CLEANUP(cleanup_json_free) struct json *report_all = json_new_object();
	struct json *pulled = json_set_array(report_all, "pulled");
	struct reference *parsed =
		memory_zalloc((references->count + 1) * sizeof(struct reference));
	uint64_t start = clock_monotonic_ms();
	int status = 0;

	transfer_init(&transfer, session, TRANSFER_PULL, login);
	for (size_t i = 0; i < references->count && status == 0; i++)
		status = parse(&transfer, references->items[i], &parsed[i], err);
	for (size_t i = 0; i < references->count && status == 0; i++) {
		status = pull_one(&transfer, &parsed[i], NULL, pulled, err);
		if (status < 0 && i)
			progress_warn(session->progress, "%zu of %zu were pulled before it failed",
				      i, references->count);
	}
	for (size_t i = 0; i < references->count; i++)
		reference_release(&parsed[i]);
	free(parsed);
	if (status < 0)
		return -1;
	json_set_int(report_all, "duration_ms", (int64_t)(clock_monotonic_ms() - start));
	*result = STEAL_POINTER(report_all);
	return 0;
}
