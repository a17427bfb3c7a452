/*
 * sidesnap diff --data: what changed in the database. Both states are booted in scratch containers and
 * read side by side: databases, tables and rows are streams that are merged, so that memory does not
 * grow with them.
 */
#include <string.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/text.h"
#include "driver/compare.h"
#include "snapshot/compare/data_merge.h"
#include "snapshot/compare/data_schema.h"
#include "snapshot/compare/data_table.h"
#include "snapshot/compare/diff_data.h"
#include "snapshot/compare/ends.h"
#include "snapshot/helper/scratch.h"
#include "snapshot/labels.h"
#include "snapshot/snapshot.h"
#include "snapshot/compare/text_diff.h"

#define READY_TIMEOUT_MS 600000

struct side {
	struct end end;
	struct scratch *scratch;
	struct compare *compare;
};

struct diff_data {
	struct data_place place;
	struct side sides[2]; /* from, to */
	struct json *result;
	struct json *databases;
	struct json *database; /* the one that is being compared */
	bool is_lone;	       /* only one side has it */
};

static void diff_data_release(struct diff_data *diff)
{
	for (size_t i = 0; i < 2; i++) {
		compare_free(diff->sides[i].compare);
		scratch_free(diff->sides[i].scratch);
		end_release(&diff->sides[i].end);
	}
	json_free(diff->result);
}

/* ---- both containers ---- */

/* Before anything is booted: whether its database can be read at all. */
static int check_driver(const struct session *session, const struct end *end, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *config = json_new_object();
	struct driver_match match;
	int result = 0;

	if (end->image) {
		json_set(config, "Config", json_copy(json_get(end->image, "Config")));
		result = driver_detect(NULL, config, end->image, &match, err);
	} else {
		result = driver_detect(session->engine, end->target.inspect, NULL, &match, err);
	}
	if (result < 0)
		return -1;
	if (!driver_compares(&match)) {
		error_set(err, ERROR_UNSUPPORTED,
			  match.driver ? "the data of \"%s\" cannot be compared: its driver "
					 "(%s) has no \"compare\""
				       : "the data of \"%s\" cannot be compared: no driver knows "
					 "its database",
			  end->name, match.driver ? match.driver->name : "");
		error_hint(err, "compare its files: the same without --data");
		result = -1;
	}
	driver_match_release(&match);
	return result;
}

static int check_space(const struct diff_data *diff, struct error **err)
{
	const struct end *one = &diff->sides[diff->sides[0].end.image ? 0 : 1].end;
	uint64_t needed = 0;

	for (size_t i = 0; i < 2; i++) {
		const struct end *end = diff->sides[i].end.image ? &diff->sides[i].end : one;
		uint64_t bytes = 0;

		text_parse_uint(snapshot_label(end->image, LABEL_BYTES), UINT64_MAX / 4, &bytes);
		needed += bytes;
	}
	return scratch_check_room(diff->place.session, end_image(one), needed, err);
}

struct making {
	const struct session *session;
	struct side *side;
};

static int boot_made(void *context, const struct json *made, struct error **err)
{
	struct making *making = context;
	CLEANUP(cleanup_json_free)
	struct json *image =
		image_inspect(making->session->engine, json_string_or(made, "image", ""), err);

	if (!image)
		return -1;
	failpoint("diff/made");
	making->side->scratch = scratch_start(making->session, image, json_string(made, "id"),
					      making->side->end.target.inspect, true, err);
	return making->side->scratch ? 0 : -1;
}

/*
 * A container is never asked itself: sorting its tables would take its disk and processors. It is
 * captured like by `create`, into an image that goes with the scratch container.
 */
static int boot_container(struct session *session, struct side *side, struct error **err)
{
	struct making making = {session, side};
	const struct create_options options = {
		.target = side->end.target.id,
		.reserve_bytes = UINT64_MAX,
		.made = boot_made,
		.made_context = &making,
	};
	CLEANUP(cleanup_json_free) struct json *made = NULL;

	return snapshot_create(session, &options, &made, err);
}

/* ${other}: it may be a container of the same database, whose secrets open both. */
static int boot(struct session *session, struct side *side, const struct side *other,
		struct error **err)
{
	if (side->scratch)
		return 0;
	if (!side->end.image)
		return boot_container(session, side, err);
	progress_phase(session->progress, "starting \"%s\"", side->end.name);
	side->scratch =
		scratch_start(session, side->end.image, NULL,
			      other->end.image ? NULL : other->end.target.inspect, true, err);
	return side->scratch ? 0 : error_prefix(err, "\"%s\"", side->end.name);
}

static int enter(struct session *session, struct side *side, uint64_t timeout_ms,
		 struct error **err)
{
	progress_phase(session->progress, "waiting until \"%s\" is ready", side->end.name);
	if (scratch_wait(side->scratch, timeout_ms, err) < 0)
		return error_prefix(err, "\"%s\" did not come up", side->end.name);
	side->compare = compare_open(session->engine, scratch_id(side->scratch),
				     scratch_match(side->scratch), err);
	if (side->compare)
		return 0;
	error_prefix(err, "\"%s\"", side->end.name);
	return error_hint(err, "its database must let its superuser in from its own container "
			       "without a password, or with one that the snapshot knows "
			       "(create --with-env)");
}

/* The container first: what is compared is its state at the time of the command. */
static int boot_both(struct diff_data *diff, struct error **err)
{
	struct session *session = diff->place.session;
	uint64_t timeout_ms = diff->place.options->timeout_ms;
	size_t first = diff->sides[1].end.image ? 0 : 1;

	if ((!diff->sides[0].scratch && check_space(diff, err) < 0) ||
	    boot(session, &diff->sides[first], &diff->sides[1 - first], err) < 0 ||
	    boot(session, &diff->sides[1 - first], &diff->sides[first], err) < 0)
		return -1;
	for (size_t i = 0; i < 2; i++)
		if (enter(session, &diff->sides[i], timeout_ms ? timeout_ms : READY_TIMEOUT_MS,
			  err) < 0)
			return -1;
	failpoint("diff/booted");
	return 0;
}

static int check_same_driver(const struct diff_data *diff, struct error **err)
{
	const char *from = scratch_match(diff->sides[0].scratch)->driver->name;
	const char *to = scratch_match(diff->sides[1].scratch)->driver->name;

	if (strcmp(from, to) == 0)
		return 0;
	return error_set(err, ERROR_USAGE,
			 "\"%s\" holds %s, \"%s\" %s: these have no data in common",
			 diff->sides[0].end.name, from, diff->sides[1].end.name, to);
}

/* ---- streams of both sides ---- */

struct streams {
	struct compare_stream *streams[2];
	struct record_reader *readers[2]; /* NULL: that side has none */
};

static void streams_release(struct streams *streams)
{
	for (size_t i = 0; i < 2; i++) {
		record_reader_free(streams->readers[i]);
		compare_stream_free(streams->streams[i]);
	}
}

/* Records with one key field, of those sides that have them. */
static int merge_operation(struct diff_data *diff, const char *operation, const bool has[2],
			   data_pair *pair, struct error **err)
{
	struct data_place *place = &diff->place;
	struct streams streams = {{NULL, NULL}, {NULL, NULL}};
	int result = 0;

	for (size_t i = 0; result == 0 && i < 2; i++) {
		if (!has[i])
			continue;
		streams.streams[i] =
			compare_run(place->compare[i], operation, place->database, err);
		streams.readers[i] =
			record_reader_new(compare_read, streams.streams[i], 1, RECORD_WHOLE_KEPT);
		result = streams.streams[i] ? 0 : -1;
	}
	for (size_t i = 0; result == 0 && i < 2; i++)
		if (has[i] && !compare_is_sorted(place->compare[i], operation))
			result = record_reader_sort(streams.readers[i], err);
	if (result == 0)
		result = data_merge(streams.readers[0], streams.readers[1], 1, pair, diff, err);
	streams_release(&streams);
	return result;
}

/* ---- tables ---- */

static void count(struct json *object, const char *key, int64_t more)
{
	json_set_int(object, key, json_int(object, key) + more);
}

static void add_table(struct diff_data *diff, struct json *table)
{
	static const char *const counts[] = {"added", "removed", "changed"};
	const char *state = json_string_or(table, "state", "");
	bool is_skipped = strcmp(state, "skipped") == 0;

	count(diff->database, "tables_compared", is_skipped ? 0 : 1);
	count(diff->result, "skipped", is_skipped ? 1 : 0);
	for (size_t i = 0; i < 3; i++) {
		count(diff->database, counts[i], json_int(table, counts[i]));
		count(diff->result, counts[i], json_int(table, counts[i]));
	}
	if (!is_skipped && strcmp(state, "same") != 0)
		json_set_string(diff->database, "state", "changed");
	/* That a whole database is there says enough of what is empty in it. */
	if (diff->is_lone && !json_int(table, "rows_from") && !json_int(table, "rows_to"))
		state = "same";
	if (strcmp(state, "same") != 0)
		json_add(json_get(diff->database, "tables"), table);
	else
		json_free(table);
}

static int take_table(void *context, const struct record *from, const struct record *to,
		      struct error **err)
{
	struct diff_data *diff = context;
	const struct record *records[2] = {from, to};
	struct data_table read[2] = {{0}, {0}};
	const struct data_table *tables[2] = {NULL, NULL};
	struct json *result = NULL;
	int status = session_check(diff->place.session, err);

	for (size_t i = 0; status == 0 && i < 2; i++) {
		if (!records[i])
			continue;
		status = data_table_read(&read[i], records[i], err);
		tables[i] = &read[i];
	}
	if (status == 0) {
		const char *name = tables[1] ? tables[1]->name : tables[0]->name;

		progress_phase(diff->place.session->progress, "comparing %s%s%s",
			       diff->place.database, *diff->place.database ? ": " : "", name);
		diff->place.bytes = 0;
		status = data_table_compare(&diff->place, tables, &result, err);
		if (status < 0)
			error_prefix(err, "\"%s\"", name);
	}
	if (status == 0)
		add_table(diff, result);
	data_table_release(&read[0]);
	data_table_release(&read[1]);
	return status;
}

/* ${operation}: "tables", or "server". */
static int compare_tables(struct diff_data *diff, const char *operation, const bool has[2],
			  struct error **err)
{
	struct data_place *place = &diff->place;
	int result = 0;

	for (size_t i = 0; result == 0 && i < 2; i++)
		if (has[i]) {
			place->sources[i] = data_source_open(place, i, err);
			result = place->sources[i] ? 0 : -1;
		}
	if (result == 0)
		result = merge_operation(diff, operation, has, take_table, err);
	for (size_t i = 0; i < 2; i++)
		data_source_free(STEAL_POINTER(place->sources[i]));
	return result;
}

/* ---- definitions ---- */

static int add_object(void *context, const struct data_object *object, struct error **err)
{
	struct diff_data *diff = context;
	struct json *entry = json_add_object(json_get(diff->database, "schema"));

	json_set_string(entry, "change", object->change);
	json_set_bytes(entry, "type", object->type);
	json_set_bytes(entry, "name", object->name);
	json_set_string(diff->database, "state", "changed");
	count(diff->result, "objects", 1);
	if (object->from) {
		const struct text_side from = {diff->sides[0].end.name, object->from},
				       to = {diff->sides[1].end.name, object->to};
		cleanup_free char *text =
			text_diff(&from, &to, diff->place.session->cancelled, err);

		if (!text)
			return -1;
		json_set_bytes(entry, "diff", text);
	}
	return 0;
}

static int read_schemas(struct diff_data *diff, const bool has[2], struct data_schema *schemas[2],
			struct error **err)
{
	struct data_place *place = &diff->place;
	struct compare_stream *streams[2] = {NULL, NULL};
	int result = 0;

	/* Both tools run while the first is read. */
	for (size_t i = 0; result == 0 && i < 2; i++)
		if (has[i]) {
			streams[i] = compare_run(place->compare[i], "schema", place->database, err);
			result = streams[i] ? 0 : -1;
		}
	for (size_t i = 0; result == 0 && i < 2; i++)
		if (has[i]) {
			schemas[i] = data_schema_read(place->compare[i], streams[i], err);
			result = schemas[i] ? 0 : -1;
		}
	compare_stream_free(streams[0]);
	compare_stream_free(streams[1]);
	return result;
}

static int compare_schema(struct diff_data *diff, const bool has[2], struct error **err)
{
	struct data_schema *schemas[2] = {NULL, NULL};
	int result;

	if (!compare_has(diff->place.compare[0], "schema"))
		return 0;
	progress_phase(diff->place.session->progress, "comparing the schema of %s",
		       diff->place.database);
	result = read_schemas(diff, has, schemas, err);
	if (result == 0)
		result = data_schema_compare(schemas[0], schemas[1],
					     diff->place.options->definitions, add_object, diff,
					     err);
	data_schema_free(schemas[0]);
	data_schema_free(schemas[1]);
	return result;
}

/* ---- databases ---- */

static struct json *begin_database(struct diff_data *diff, const char *name)
{
	struct json *database = json_add_object(diff->databases);

	json_set_bytes(database, "name", name);
	json_set_string(database, "state", "same");
	json_set_array(database, "schema");
	json_set_array(database, "tables");
	json_set_int(database, "tables_compared", 0);
	json_set_int(database, "added", 0);
	json_set_int(database, "removed", 0);
	json_set_int(database, "changed", 0);
	diff->database = database;
	diff->place.database = name;
	return database;
}

static void skip_database(struct diff_data *diff, const char *reason)
{
	json_set_string(diff->database, "state", "skipped");
	json_set_string(diff->database, "reason", reason);
	count(diff->result, "skipped", 1);
}

static int take_database(void *context, const struct record *from, const struct record *to,
			 struct error **err)
{
	struct diff_data *diff = context;
	const bool has[2] = {from != NULL, to != NULL};
	cleanup_free char *name = record_text(to ? to : from, 0);
	cleanup_free char *reason_from = from ? record_text(from, 1) : NULL;
	cleanup_free char *reason_to = to ? record_text(to, 1) : NULL;
	const char *reason = reason_to ? reason_to : reason_from;
	int result = 0;

	if (!name)
		return error_set(err, ERROR_FAILED, "the driver lists a database without a name");
	begin_database(diff, name);
	diff->is_lone = !from || !to;
	/* It reaches the tools by JSON, which takes nothing else. */
	if (!reason && !text_is_utf8(name))
		reason = "its name is no UTF-8";
	if (reason) {
		skip_database(diff, reason);
	} else if (compare_schema(diff, has, err) < 0 ||
		   compare_tables(diff, "tables", has, err) < 0) {
		result = error_prefix(err, "database \"%s\"", name);
	}
	if (result == 0 && diff->is_lone)
		json_set_string(diff->database, "state", to ? "added" : "removed");
	/* it was for this call only */
	diff->place.database = "";
	return result;
}

static int compare_all(struct diff_data *diff, struct error **err)
{
	static const bool both[2] = {true, true};

	diff->place.compare[0] = diff->sides[0].compare;
	diff->place.compare[1] = diff->sides[1].compare;
	begin_database(diff, "");
	if (compare_has(diff->place.compare[0], "server") &&
	    compare_tables(diff, "server", both, err) < 0)
		return error_prefix(err, "what belongs to the server");
	return merge_operation(diff, "databases", both, take_database, err);
}

/* ---- the whole ---- */

static void note_versions(struct diff_data *diff)
{
	struct json *notes = json_get(diff->result, "notes");
	const char *versions[2];

	for (size_t i = 0; i < 2; i++) {
		versions[i] = compare_version(diff->sides[i].compare);
		json_set_bytes(json_get(diff->result, i ? "to" : "from"), "version", versions[i]);
	}
	if (strcmp(versions[0], versions[1]) != 0)
		json_add_string(notes, "the servers have different versions, which print some "
				       "definitions and values in another way");
}

static bool is_same(const struct json *result)
{
	json_for_each(database, json_get(result, "databases")) {
		const char *state = json_string_or(database, "state", "");

		if (strcmp(state, "same") != 0 && strcmp(state, "skipped") != 0)
			return false;
	}
	return true;
}

static void begin_result(struct diff_data *diff)
{
	struct json *result = diff->result = json_new_object();

	end_describe(&diff->sides[0].end, json_set_object(result, "from"));
	end_describe(&diff->sides[1].end, json_set_object(result, "to"));
	json_set_string(result, "driver", "");
	json_set_bool(result, "same", true);
	json_set_int(result, "added", 0);
	json_set_int(result, "removed", 0);
	json_set_int(result, "changed", 0);
	json_set_int(result, "objects", 0);
	json_set_int(result, "skipped", 0);
	diff->databases = json_set_array(result, "databases");
	json_set_array(result, "notes");
}

static bool is_same_image(const struct diff_data *diff)
{
	const char *from = end_image(&diff->sides[0].end);

	return *from && strcmp(from, end_image(&diff->sides[1].end)) == 0;
}

static int compare_booted(struct diff_data *diff, struct error **err)
{
	if (boot_both(diff, err) < 0 || check_same_driver(diff, err) < 0)
		return -1;
	json_set_string(diff->result, "driver",
			scratch_match(diff->sides[0].scratch)->driver->name);
	note_versions(diff);
	if (compare_all(diff, err) < 0)
		return error_prefix(err, "cannot compare the data of \"%s\" with that of \"%s\"",
				    diff->sides[0].end.name, diff->sides[1].end.name);
	json_set_bool(diff->result, "same", is_same(diff->result));
	for (size_t i = 0; i < 2; i++)
		if (scratch_close(STEAL_POINTER(diff->sides[i].scratch), err) < 0)
			return -1;
	return 0;
}

int diff_data_with_copy(struct session *session, struct scratch *copy, const char *target,
			struct json **result, struct error **err)
{
	const struct diff_data_options options = {0};
	CLEANUP(diff_data_release)
	struct diff_data diff = {
		.place = {.session = session, .options = &options, .database = ""},
		.sides[0].scratch = copy,
	};

	if (target_find(session, scratch_id(copy), &diff.sides[0].end.target, err) < 0 ||
	    target_find(session, target, &diff.sides[1].end.target, err) < 0)
		return -1;
	diff.sides[0].end.name = memory_strdup("the copy");
	diff.sides[1].end.name = memory_strdup(diff.sides[1].end.target.name);
	begin_result(&diff);
	if (compare_booted(&diff, err) < 0)
		return -1;
	*result = STEAL_POINTER(diff.result);
	return session_check(session, err);
}

int snapshot_diff_data(struct session *session, const char *from, const char *to,
		       const struct diff_data_options *options, const struct diff_data_sink *sink,
		       struct json **result, struct error **err)
{
	uint64_t started_ms = clock_monotonic_ms();
	CLEANUP(diff_data_release)
	struct diff_data diff = {
		.place = {.session = session, .options = options, .sink = sink, .database = ""},
	};

	progress_phase(session->progress, "looking for what is to be compared");
	if (ends_find(session, from, to, &diff.sides[0].end, &diff.sides[1].end, err) < 0)
		return -1;
	for (size_t i = 0; i < 2; i++)
		if (check_driver(session, &diff.sides[i].end, err) < 0)
			return -1;
	begin_result(&diff);
	/* One image, so one state: there is nothing to boot. */
	if (!is_same_image(&diff) && compare_booted(&diff, err) < 0)
		return -1;
	json_set_int(diff.result, "duration_ms", (int64_t)(clock_monotonic_ms() - started_ms));
	*result = STEAL_POINTER(diff.result);
	return session_check(session, err);
}
