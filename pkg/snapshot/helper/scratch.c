/*
 * Scratch containers. Their owner is in a label, so that doctor knows which of them nobody will
 * remove any more.
 */
#include "snapshot/helper/scratch.h"

#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/text.h"
#include "snapshot/helper/helper.h"
#include "snapshot/helper/owner.h"
#include "snapshot/helper/helper_lock.h"
#include "snapshot/labels.h"

#define ROLE "scratch"
#define LOG_LINES 20

/* Less than the default of 1024: what people run comes first. */
#define CPU_SHARES 256
/* When memory runs out, this is what is to end: proc(5), oom_score_adj. */
#define OOM_SCORE 500
#define PROCESSES_MAX 4096
#define SPACE_KEPT (1ULL << 30)

struct scratch {
	const struct session *session;
	char *id, *name;
	char *nameless; /* the image to be removed with it; NULL: none */
	struct driver_match match;
};

const char *scratch_id(const struct scratch *scratch)
{
	return scratch->id;
}

const struct driver_match *scratch_match(const struct scratch *scratch)
{
	return &scratch->match;
}

static struct json *host_config(void)
{
	struct json *host = json_new_object(), *log;

	json_set_string(host, "NetworkMode", "none");
	json_set_string(json_set_object(host, "RestartPolicy"), "Name", "no");
	json_add_string(json_set_array(host, "CapDrop"), "NET_RAW");
	json_set_int(host, "CpuShares", CPU_SHARES);
	json_set_int(host, "OomScoreAdj", OOM_SCORE);
	json_set_int(host, "PidsLimit", PROCESSES_MAX);
	/* It is read when the service does not come up, and must not fill the disk. */
	log = json_set_object(host, "LogConfig");
	json_set_string(log, "Type", "json-file");
	json_set_string(json_set_object(log, "Config"), "max-size", "4m");
	return host;
}

/* What people have told of the database, "sidesnap.driver" and below. */
static void copy_driver_labels(const struct json *source, struct json *labels)
{
	json_for_each(label, json_path(source, "Config", "Labels"))
		if (strcmp(json_key(label), LABEL_DRIVER_OVERRIDE) == 0 ||
		    text_has_prefix(json_key(label), LABEL_DRIVER_OVERRIDE "."))
			json_set_string(labels, json_key(label), json_string_or(label, NULL, ""));
}

/* No secret of the source's is in an image: some servers let in who has none when they are told so. */
static int set_command(const struct session *session, const struct json *image,
		       const struct json *source, struct json *body, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *like = json_new_object();
	CLEANUP(driver_match_release) struct driver_match match;
	const struct json *config = json_get(image, "Config"), *arguments;
	struct json *command;

	json_set(like, "Config", json_copy(config));
	copy_driver_labels(source, json_get(json_get(like, "Config"), "Labels"));
	if (driver_detect(session->engine, like, image, &match, err) < 0)
		return -1;
	arguments = match.driver
			    ? json_path(match.driver->definition, "access", "scratch", "arguments")
			    : NULL;
	if (!arguments)
		return 0;
	command = json_set_array(body, "Cmd");
	json_for_each(word, json_get(config, "Cmd"))
		json_add_string(command, json_string_or(word, NULL, ""));
	json_for_each(word, arguments)
		json_add_string(command, json_string_or(word, NULL, ""));
	return 0;
}

static struct json *create_body(const struct session *session, const struct json *image,
				const char *nonce, const char *makes, const struct json *source)
{
	struct json *body = json_new_object(), *labels;
	cleanup_free char *owner = owner_label(session);

	json_set_string(body, "Image", json_string(image, "Id"));
	json_add_string(json_set_array(json_set_object(body, "Healthcheck"), "Test"), "NONE");
	labels = json_set_object(body, "Labels");
	json_set_string(labels, LABEL_ROLE, ROLE);
	json_set_string(labels, LABEL_NONCE, nonce);
	json_set_string(labels, LABEL_MAKES, text_or(makes, ""));
	json_set_string(labels, LABEL_OWNER, owner);
	copy_driver_labels(source, labels);
	json_set(body, "HostConfig", host_config());
	return body;
}

static int detect(struct scratch *scratch, const struct json *image, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *inspect = container_inspect(scratch->session->engine, scratch->id, err);

	return inspect ? driver_detect(scratch->session->engine, inspect, image, &scratch->match,
				       err)
		       : -1;
}

struct scratch *scratch_start(const struct session *session, const struct json *image,
			      const char *makes, const struct json *source, bool opens,
			      struct error **err)
{
	CLEANUP(cleanup_scratch_free) struct scratch *scratch = memory_zalloc(sizeof(*scratch));
	cleanup_free char *nonce = text_random_hex(16);
	CLEANUP(cleanup_json_free)
	struct json *body = create_body(session, image, nonce, makes, source);

	scratch->session = session;
	scratch->name = helper_lock_name(nonce, ROLE);
	if (makes)
		scratch->nameless = memory_strdup(json_string(image, "Id"));
	if (opens && set_command(session, image, source, body, err) < 0)
		return NULL;
	scratch->id = container_create(session->engine, scratch->name, body, err);
	if (!scratch->id) {
		error_prefix(err, "cannot create a scratch container");
		return NULL;
	}
	failpoint("scratch/created");
	if (detect(scratch, image, err) < 0)
		return NULL;
	scratch->match.lender = memory_strdup(json_string(source, "Id"));
	if (container_start(session->engine, scratch->id, err) < 0) {
		error_prefix(err, "cannot start a scratch container");
		return NULL;
	}
	failpoint("scratch/started");
	return STEAL_POINTER(scratch);
}

/* What an ended one has said is in the message already. */
static void add_log(const struct scratch *scratch, struct error *problem)
{
	struct buffer log;

	if (strstr(problem->message, "its last lines"))
		return;
	buffer_init(&log, 1U << 20);
	container_logs(scratch->session->engine, scratch->id, LOG_LINES, &log, NULL);
	while (log.size && strchr("\r\n ", log.data[log.size - 1]))
		log.data[--log.size] = '\0';
	if (log.size) {
		char *message =
			memory_printf("%s; its last lines:\n%s", problem->message, log.data);

		free(problem->message);
		problem->message = message;
	}
	buffer_release(&log);
}

int scratch_wait(struct scratch *scratch, uint64_t timeout_ms, struct error **err)
{
	const struct session *session = scratch->session;
	cleanup_error struct error *problem = NULL;

	if (driver_wait_ready(session->engine, scratch->id, &scratch->match, timeout_ms,
			      session->cancelled, &problem) == 0)
		return 0;
	if (problem->kind == ERROR_FAILED) {
		add_log(scratch, problem);
		/* There is no container any more that could be looked at. */
		free(STEAL_POINTER(problem->hint));
	}
	error_append(err, STEAL_POINTER(problem));
	return -1;
}

/* ---- room ---- */

/* The engine's free bytes, as a helper sees them; it executes nothing of the image. */
static int ask_free_space(const struct session *session, const char *image, uint64_t *bytes,
			  struct error **err)
{
	const struct helper_specification specification = {.image = image, .purpose = "measure"};
	CLEANUP(cleanup_helper_free)
	struct helper *helper = helper_create(session, &specification, err);
	CLEANUP(cleanup_json_free) struct json *job = json_new_object(), *done = NULL;

	if (!helper)
		return -1;
	json_set_string(job, "operation", "measure");
	json_set_array(job, "trees");
	json_set_int(job, "min_free", 0);
	if (helper_start(helper, job, NULL, err) < 0 ||
	    helper_wait(helper, WIRE_DONE, &done, err) < 0)
		return -1;
	*bytes = (uint64_t)json_int(done, "free");
	return helper_close(helper, err);
}

int scratch_check_room(const struct session *session, const char *image, uint64_t bytes,
		       struct error **err)
{
	cleanup_free char *wanted = text_format_size(bytes), *left = NULL;
	uint64_t available = 0;

	if (ask_free_space(session, image, &available, err) < 0)
		return error_prefix(err, "cannot ask for the engine's free space");
	if (available >= bytes + SPACE_KEPT)
		return 0;
	left = text_format_size(available);
	error_set(err, ERROR_NO_SPACE,
		  "booting it takes up to %s; the engine's disk has %s left, of which 1 GiB is to "
		  "stay free",
		  wanted, left);
	return error_hint(err, "make room at the engine: sidesnap prune, docker system df");
}

/* ---- the end ---- */

int scratch_close(struct scratch *scratch, struct error **err)
{
	struct engine *engine = scratch->session->engine;
	int result = 0;

	/* Cleaning up must go on after Ctrl-C. */
	engine_set_cancel(engine, NULL);
	if (scratch->id) {
		result = container_remove(engine, scratch->id, true, true, err);
		if (result == 0 && scratch->nameless)
			result = image_remove(engine, scratch->nameless, false, false, NULL, err);
	}
	engine_set_cancel(engine, scratch->session->cancelled);
	if (result < 0)
		error_prefix(err, "cannot remove scratch container \"%s\"", scratch->name);
	driver_match_release(&scratch->match);
	free(scratch->id);
	free(scratch->name);
	free(scratch->nameless);
	free(scratch);
	return result;
}

void scratch_free(struct scratch *scratch)
{
	cleanup_error struct error *problem = NULL;
	struct progress *progress;

	if (!scratch)
		return;
	progress = scratch->session->progress;
	if (scratch_close(scratch, &problem) < 0)
		progress_warn(progress, "%s; \"sidesnap doctor\" removes it later",
			      problem->message);
}

/* ---- those that others have left ---- */

bool scratch_is_ours(const struct json *inspect)
{
	const struct json *labels = json_path(inspect, "Config", "Labels");
	const char *nonce = json_string_or(labels, LABEL_NONCE, "");
	const char *name = json_string_or(inspect, "Name", "");
	cleanup_free char *expected = helper_lock_name(nonce, ROLE);

	return strcmp(json_string_or(labels, LABEL_ROLE, ""), ROLE) == 0 && strlen(nonce) == 32 &&
	       strspn(nonce, "0123456789abcdef") == 32 &&
	       strcmp(name + (*name == '/'), expected) == 0;
}

enum scratch_state scratch_state(const struct session *session, const struct json *inspect)
{
	const char *owner = json_string_or(json_path(inspect, "Config", "Labels"), LABEL_OWNER, "");

	if (!helper_is_alive(session, inspect))
		return SCRATCH_ORPHAN;
	if (!json_bool(json_get(inspect, "State"), "Running"))
		return SCRATCH_IN_USE;
	/* Unlike a helper's, its end does not come with that of its owner. */
	return owner_state(session, owner) == OWNER_ALIVE ? SCRATCH_IN_USE : SCRATCH_UNKNOWN;
}

struct json *scratch_list(const struct session *session, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *filters = json_new_object(), *found = NULL;
	struct json *list;

	json_add_string(json_set_array(filters, "label"), LABEL_ROLE "=" ROLE);
	found = container_list(session->engine, true, filters, err);
	if (!found)
		return NULL;
	list = json_new_array();
	json_for_each(item, found) {
		/* One that is gone meanwhile is no error. */
		struct json *inspect =
			container_inspect(session->engine, json_string(item, "Id"), NULL);

		if (inspect && scratch_is_ours(inspect))
			json_add(list, inspect);
		else
			json_free(inspect);
	}
	return list;
}
