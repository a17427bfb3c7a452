/* sidesnap dump: the database's own dump, for plain use in pipes and files. */
#include "driver/dump.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "snapshot/database/database.h"
#include "snapshot/snapshot.h"

#define BLOCK_SIZE 65536

static int copy(const struct session *session, const struct dump_options *options,
		struct dump *dump, uint64_t *bytes, struct error **err)
{
	cleanup_free char *block = memory_alloc(BLOCK_SIZE);

	for (;;) {
		ssize_t count = driver_dump_read(dump, block, BLOCK_SIZE, err);

		if (count <= 0)
			return (int)count;
		*bytes += (uint64_t)count;
		progress_update(session->progress, 0, *bytes, 0);
		if (session_check(session, err) < 0 || failpoint_error("dump/block", err) < 0 ||
		    options->output(options->context, block, (size_t)count, err) < 0)
			return -1;
	}
}

int snapshot_dump(struct session *session, const struct dump_options *options, struct json **result,
		  struct error **err)
{
	CLEANUP(database_release) struct database database;
	CLEANUP(cleanup_driver_dump_free) struct dump *dump = NULL;
	uint64_t began = clock_monotonic_ms(), bytes = 0;

	if (database_find(session, options->target, options->driver, &database, err) < 0)
		return -1;
	progress_phase(session->progress, "dumping \"%s\"", database.target.name);
	dump = driver_dump_open(session->engine, database.target.id, &database.match,
				options->database, err);
	if (!dump || copy(session, options, dump, &bytes, err) < 0)
		return error_prefix(err, "\"%s\"", database.target.name);
	*result = json_new_object();
	json_set_string(*result, "target", database.target.name);
	json_set_string(*result, "target_id", database.target.id);
	json_set_string(*result, "driver", database.match.driver->name);
	json_set_string(*result, "version", driver_dump_version(dump));
	json_set_string(*result, "database", options->database ? options->database : "");
	json_set_string(*result, "warnings", driver_dump_said(dump));
	json_set_int(*result, "bytes", (int64_t)bytes);
	json_set_int(*result, "duration_ms", (int64_t)(clock_monotonic_ms() - began));
	return 0;
}
