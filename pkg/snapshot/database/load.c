/*
 * sidesnap load: a dump into a running server. What it replaces is gone, so a safety snapshot comes
 * first; and what does not look like a dump of this database is refused before anything is touched.
 */
#include "driver/load.h"

#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "driver/dump_check.h"
#include "snapshot/database/database.h"
#include "snapshot/database/dump_source.h"
#include "snapshot/labels.h"
#include "snapshot/reference.h"
#include "snapshot/restore/safety.h"
#include "snapshot/snapshot.h"

#define BLOCK_SIZE 65536

struct loading {
	struct session *session;
	const struct load_options *options;
	struct database database;
	char *safety; /* the reference; NULL: none */
	struct dump_check *check;
	char *block;
	size_t size; /* of what is in it */
	bool is_over;
	uint64_t bytes;
};

static void loading_release(struct loading *loading)
{
	database_release(&loading->database);
	dump_check_free(loading->check);
	free(loading->safety);
	free(loading->block);
}

/* Fill the block: pipes give less at a time than tells what it is. */
static int fill(struct loading *loading, struct error **err)
{
	loading->size = 0;
	while (!loading->is_over && loading->size < BLOCK_SIZE) {
		ssize_t count = loading->options->input(loading->options->context,
							loading->block + loading->size,
							BLOCK_SIZE - loading->size, err);

		if (count < 0)
			return -1;
		loading->is_over = count == 0;
		loading->size += (size_t)count;
	}
	loading->bytes += loading->size;
	dump_check_take(loading->check, loading->block, loading->size);
	return session_check(loading->session, err);
}

static int ask(struct loading *loading, struct error **err)
{
	const struct target *target = &loading->database.target;
	const char *database = loading->options->database;
	cleanup_free char *question =
		database ? memory_printf("database \"%s\" in \"%s\" is replaced by what the dump "
					 "holds%s; go on?",
					 database, target->name,
					 loading->options->no_safety ? ", and there is no way back"
								     : "")
			 : memory_printf("what the dump holds replaces the same in the database of "
					 "\"%s\"%s; go on?",
					 target->name,
					 loading->options->no_safety ? ", and there is no way back"
								     : "");

	return session_confirm(loading->session, question, err);
}

static int take_safety(struct loading *loading, struct error **err)
{
	struct target *target = &loading->database.target;
	CLEANUP(cleanup_json_free) struct json *taken = NULL, *kept = json_new_array();
	struct reference reference = {0};
	struct safety_request request = {
		.target = target, .title = "before load", .operation = "load", .goes_on = true};

	if (loading->options->no_safety)
		return 0;
	reference_default(target->name, clock_now(), &reference);
	loading->safety = reference_format(&reference);
	reference_release(&reference);
	request.reference = loading->safety;
	if (safety_take(loading->session, &request, &taken, err) < 0) {
		free(STEAL_POINTER(loading->safety));
		error_prefix(err, "nothing was changed");
		return error_hint(err, "--no-safety loads without one");
	}
	progress_note(loading->session->progress, "safety snapshot: %s", loading->safety);
	json_add_string(kept, loading->safety);
	safety_prune(loading->session, target, kept);
	return failpoint_error("load/safety", err);
}

static int copy(struct loading *loading, struct load *load, struct error **err)
{
	struct progress *progress = loading->session->progress;

	while (loading->size) {
		progress_update(progress, 0, loading->bytes, loading->options->total);
		if (driver_load_write(load, loading->block, loading->size, err) < 0 ||
		    failpoint_error("load/block", err) < 0 || fill(loading, err) < 0)
			return -1;
	}
	if (dump_check_end(loading->check, err) < 0)
		return error_prefix(err, "the dump");
	return driver_load_finish(load, err);
}

static int load(struct loading *loading, struct error **err)
{
	const struct target *target = &loading->database.target;
	struct session *session = loading->session;
	struct load *load;
	int result;

	progress_phase(session->progress, "loading into \"%s\"", target->name);
	load = driver_load_open(session->engine, target->id, &loading->database.match,
				loading->options->database, err);
	if (!load)
		return error_prefix(err, "\"%s\"", target->name);
	result = copy(loading, load, err);
	/* A person's Ctrl-C must not keep us from waiting for the tool's end. */
	engine_set_cancel(session->engine, NULL);
	driver_load_free(load);
	engine_set_cancel(session->engine, session->cancelled);
	if (result == 0)
		return 0;
	error_prefix(err, "\"%s\" may hold a part of the dump now", target->name);
	if (loading->safety)
		return error_hint(err, "to return to the state before: sidesnap undo %s",
				  target->name);
	return error_hint(err, "there is no safety snapshot; put the cause right and load again");
}

static struct json *result_of(const struct loading *loading, uint64_t began)
{
	struct json *result = json_new_object();

	json_set_string(result, "target", loading->database.target.name);
	json_set_string(result, "target_id", loading->database.target.id);
	json_set_string(result, "driver", loading->database.match.driver->name);
	json_set_string(result, "database", text_or(loading->options->database, ""));
	json_set_string(result, "safety", text_or(loading->safety, ""));
	json_set_int(result, "bytes", (int64_t)loading->bytes);
	json_set_int(result, "duration_ms", (int64_t)(clock_monotonic_ms() - began));
	return result;
}

static int load_all(struct loading *loading, struct error **err)
{
	const struct driver_match *match = &loading->database.match;
	const char *database = loading->options->database;

	if (driver_load_check(match, database, err) < 0)
		return -1;
	loading->check =
		dump_check_new(match->driver, database ? DUMP_OF_DATABASE : DUMP_OF_EITHER, err);
	if (!loading->check || fill(loading, err) < 0)
		return -1;
	if (dump_check_start(loading->check, err) < 0)
		return error_prefix(err, "what was given is no dump for the driver \"%s\"",
				    match->driver->name);
	if (database && dump_check_database(loading->check, database, err) < 0)
		return -1;
	if (ask(loading, err) < 0 || take_safety(loading, err) < 0)
		return -1;
	return load(loading, err);
}

/* The dump that a logical snapshot holds, in place of an input. */
static int load_snapshot(struct loading *loading, struct load_options *options, struct error **err)
{
	const char *reference = options->reference;
	const struct driver *driver = loading->database.match.driver;
	CLEANUP(cleanup_json_free)
	struct json *image = snapshot_inspect(loading->session, reference, err);
	CLEANUP(cleanup_dump_source_free) struct dump_source *source = NULL;
	const char *database, *from;

	if (!image)
		return -1;
	from = snapshot_label(image, LABEL_DRIVER);
	if (driver && !options->driver && strcmp(from, driver->name) != 0)
		return error_set(err, ERROR_USAGE, "%s holds a dump of %s, and \"%s\" is %s",
				 reference, from, loading->database.target.name, driver->name);
	database = snapshot_label(image, LABEL_DATABASE);
	if (options->database && strcmp(options->database, database) != 0)
		return error_set(err, ERROR_USAGE,
				 "%s does not hold a dump of database \"%s\" alone", reference,
				 options->database);
	options->database = *database ? database : NULL;
	source = dump_source_open(loading->session, image, reference, err);
	if (!source)
		return -1;
	options->input = dump_source_read;
	options->context = source;
	options->total = dump_source_size(source);
	return load_all(loading, err);
}

int snapshot_load(struct session *session, const struct load_options *options, struct json **result,
		  struct error **err)
{
	struct load_options chosen = *options;
	CLEANUP(loading_release) struct loading loading = {.session = session, .options = &chosen};
	uint64_t began = clock_monotonic_ms();

	loading.block = memory_alloc(BLOCK_SIZE);
	if (database_find(session, options->target, options->driver, &loading.database, err) < 0)
		return -1;
	if ((options->reference ? load_snapshot(&loading, &chosen, err) : load_all(&loading, err)) <
	    0)
		return -1;
	/* That of the snapshot went with it. */
	chosen.database = options->database;
	*result = result_of(&loading, began);
	return 0;
}
