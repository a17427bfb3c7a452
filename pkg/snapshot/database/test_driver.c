/*
 * sidesnap drivers test: whether a driver does in a container what it says. Each step is done as create,
 * dump and load do it; what is loaded goes into a scratch container that nobody reaches.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "driver/compare.h"
#include "driver/dump.h"
#include "driver/dump_digest.h"
#include "driver/load.h"
#include "snapshot/compare/diff_data.h"
#include "snapshot/database/database.h"
#include "snapshot/helper/scratch.h"
#include "snapshot/snapshot.h"

#define BLOCK_SIZE 65536
#define READY_TIMEOUT_MS 1800000

struct trial {
	struct session *session;
	struct database database;
	struct json *steps;
	struct scratch *copy;
	struct hash dumped;
	bool has_digest; /* of the dump */
	bool has_failed;
};

/* What a step found: 1: right, *detail says more; 0: the driver has nothing of that kind; -1. */
typedef int trial_step(struct trial *trial, char **detail, struct error **err);

static bool has(const struct trial *trial, const char *member)
{
	return json_get(trial->database.match.driver->definition, member);
}

static int ready(struct trial *trial, char **detail, struct error **err)
{
	bool is_ready = false;

	(void)detail;
	if (!has(trial, "ready"))
		return 0;
	if (driver_ready(trial->session->engine, trial->database.target.id, &trial->database.match,
			 &is_ready, err) < 0)
		return -1;
	return is_ready ? 1
			: error_set(err, ERROR_FAILED,
				    "none of its commands says that the "
				    "service can be used");
}

/* The counterpart follows whatever came of it. */
static int prepare(struct trial *trial, char **detail, struct error **err)
{
	struct engine *engine = trial->session->engine;
	const struct driver_match *match = &trial->database.match;
	CLEANUP(cleanup_json_free) struct json *release = driver_release_json(match);
	int result;

	(void)detail;
	if (!has(trial, "prepare"))
		return 0;
	result = driver_prepare(engine, trial->database.target.id, match, err);
	engine_set_cancel(engine, NULL);
	if (release && driver_run_release(engine, trial->database.target.id, release,
					  result < 0 ? NULL : err) < 0)
		result = -1;
	engine_set_cancel(engine, trial->session->cancelled);
	return result < 0 ? -1 : 1;
}

/* The dump of a container, read to its proven end. */
static int read_dump(const struct trial *trial, const char *id, const struct driver_match *match,
		     struct dump_digest *digest, uint64_t *bytes, struct error **err)
{
	CLEANUP(cleanup_driver_dump_free)
	struct dump *dump = driver_dump_open(trial->session->engine, id, match, NULL, err);
	cleanup_free char *block = memory_alloc(BLOCK_SIZE);
	ssize_t count = -1;

	while (dump && (count = driver_dump_read(dump, block, BLOCK_SIZE, err)) > 0) {
		*bytes += (uint64_t)count;
		if (digest)
			dump_digest_take(digest, block, (size_t)count);
		progress_update(trial->session->progress, 0, *bytes, 0);
		if (session_check(trial->session, err) < 0)
			return -1;
	}
	return (int)count;
}

static int dump(struct trial *trial, char **detail, struct error **err)
{
	const struct driver_match *match = &trial->database.match;
	CLEANUP(cleanup_dump_digest_free)
	struct dump_digest *digest = dump_digest_new(match->driver);
	uint64_t bytes = 0;

	if (!driver_dumps(match, false))
		return 0;
	if (read_dump(trial, trial->database.target.id, match, digest, &bytes, err) < 0)
		return -1;
	if (digest)
		dump_digest_end(digest, &trial->dumped);
	trial->has_digest = digest != NULL;
	*detail = text_format_size(bytes);
	return 1;
}

static int boot_made(void *context, const struct json *made, struct error **err)
{
	struct trial *trial = context;
	const struct session *session = trial->session;
	CLEANUP(cleanup_json_free)
	struct json *image = image_inspect(session->engine, json_string_or(made, "image", ""), err);

	if (!image)
		return -1;
	failpoint("test/made");
	trial->copy = scratch_start(session, image, json_string(made, "id"),
				    trial->database.target.inspect, false, err);
	return trial->copy ? 0 : -1;
}

static int check_copy(struct trial *trial, struct error **err)
{
	const struct driver_match *match = scratch_match(trial->copy);
	CLEANUP(cleanup_dump_digest_free) struct dump_digest *digest = NULL;
	uint64_t bytes = 0;
	struct hash hash;

	if (!trial->has_digest || !match->driver)
		return 0;
	digest = dump_digest_new(match->driver);
	if (read_dump(trial, scratch_id(trial->copy), match, digest, &bytes, err) < 0)
		return error_prefix(err, "the dump of what was loaded");
	dump_digest_end(digest, &hash);
	if (hash_equal(&hash, &trial->dumped))
		return 0;
	error_set(err, ERROR_FAILED, "what was loaded is dumped otherwise than what was dumped");
	return error_hint(err, "that is so as well when somebody writes meanwhile: try it while "
			       "nobody does");
}

static int load(struct trial *trial, char **detail, struct error **err)
{
	const struct create_options options = {
		.target = trial->database.target.id,
		.logical = true,
		.reserve_bytes = UINT64_MAX,
		.made = boot_made,
		.made_context = trial,
	};
	CLEANUP(cleanup_json_free) struct json *made = NULL;

	if (!has(trial, "load"))
		return 0;
	if (snapshot_create(trial->session, &options, &made, err) < 0)
		return -1;
	progress_phase(trial->session->progress, "waiting until it is loaded");
	if (scratch_wait(trial->copy, READY_TIMEOUT_MS, err) < 0 || check_copy(trial, err) < 0)
		return -1;
	if (trial->has_digest)
		*detail = memory_strdup("its own dump is the same");
	return 1;
}

static int compare(struct trial *trial, char **detail, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *difference = NULL;

	if (!driver_compares(&trial->database.match) || !trial->copy)
		return 0;
	if (diff_data_with_copy(trial->session, STEAL_POINTER(trial->copy),
				trial->database.target.id, &difference, err) < 0)
		return -1;
	if (json_bool(difference, "same")) {
		*detail = memory_strdup("the same rows and definitions");
		return 1;
	}
	error_set(err, ERROR_FAILED,
		  "what was loaded differs: %lld rows added, %lld removed, %lld changed, %lld "
		  "definitions",
		  (long long)json_int(difference, "added"),
		  (long long)json_int(difference, "removed"),
		  (long long)json_int(difference, "changed"),
		  (long long)json_int(difference, "objects"));
	return error_hint(err, "that is so as well when somebody writes meanwhile: try it while "
			       "nobody does");
}

static void note(struct trial *trial, const char *step, const char *outcome, const char *detail,
		 uint64_t duration_ms)
{
	struct json *item = json_add_object(trial->steps);

	json_set_string(item, "step", step);
	json_set_string(item, "result", outcome);
	json_set_string(item, "detail", text_or(detail, ""));
	json_set_int(item, "duration_ms", (int64_t)duration_ms);
}

/* -1 only where the person has ended it: all else is a result. */
static int try_step(struct trial *trial, const char *name, trial_step *step, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	cleanup_free char *detail = NULL;
	uint64_t began = clock_monotonic_ms();
	int outcome;

	if (trial->has_failed && (step == load || step == compare)) {
		note(trial, name, "skipped", "another step failed", 0);
		return 0;
	}
	progress_phase(trial->session->progress, "%s", name);
	outcome = step(trial, &detail, &problem);
	if (session_check(trial->session, err) < 0)
		return -1;
	if (outcome < 0) {
		trial->has_failed = true;
		detail = problem->hint ? memory_printf("%s; %s", problem->message, problem->hint)
				       : memory_strdup(problem->message);
	}
	note(trial, name,
	     outcome > 0    ? "ok"
	     : outcome == 0 ? "absent"
			    : "failed",
	     detail, clock_monotonic_ms() - began);
	return 0;
}

/* It must be the one that all other verbs would take. */
static int detect(struct trial *trial, const char *name, const char *target, struct error **err)
{
	const struct driver *found;
	uint64_t began = clock_monotonic_ms();
	struct driver *wanted = driver_find(name, err);

	driver_free(wanted);
	if (!wanted || database_find(trial->session, target, NULL, &trial->database, err) < 0 ||
	    driver_check_refusal(&trial->database.match, trial->database.target.name, err) < 0)
		return -1;
	found = trial->database.match.driver;
	if (found && strcmp(found->name, name) == 0) {
		note(trial, "detect", "ok", found->origin, clock_monotonic_ms() - began);
		return 0;
	}
	error_set(err, ERROR_FAILED, "container \"%s\" is not recognised as %s but as %s",
		  trial->database.target.name, name, found ? found->name : "none");
	return error_hint(err,
			  "its \"detect\" must fit, or the container have the label "
			  "sidesnap.driver=%s; docker top %s shows what runs",
			  name, trial->database.target.name);
}

int snapshot_test_driver(struct session *session, const char *driver, const char *target,
			 struct json **result, struct error **err)
{
	static const struct {
		const char *name;
		trial_step *step;
	} steps[] = {
		{"ready", ready}, {"prepare", prepare}, {"dump", dump},
		{"load", load},	  {"compare", compare},
	};
	struct trial trial = {.session = session, .steps = json_new_array()};
	int status = detect(&trial, driver, target, err);

	for (size_t i = 0; status == 0 && i < sizeof(steps) / sizeof(*steps); i++)
		status = try_step(&trial, steps[i].name, steps[i].step, err);
	if (status == 0) {
		*result = json_new_object();
		json_set_string(*result, "driver", driver);
		json_set_string(*result, "target", trial.database.target.name);
		json_set_string(*result, "target_id", trial.database.target.id);
		json_set_bool(*result, "ok", !trial.has_failed);
		json_set(*result, "steps", STEAL_POINTER(trial.steps));
	}
	json_free(trial.steps);
	scratch_free(trial.copy);
	database_release(&trial.database);
	return status;
}
