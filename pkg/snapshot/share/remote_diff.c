/*
 * sidesnap diff --remote: catalogs that a registry has, compared here. They are somebody else's, as those
 * that the agent compares: pkg/tree takes them so.
 */
#include <string.h>

#include "base/memory.h"
#include "snapshot/compare/diff.h"
#include "snapshot/share/remote.h"
#include "tree/diff/diff_report.h"

/* One of the two. */
struct end {
	const char *word; /* as a person has named it */
	struct remote_name name;
	struct client *client;
	struct remote_image image;
	struct manifest manifest;
	struct store *store;
};

struct comparison {
	struct session *session;
	struct diff diff;
	struct end from, to;
	struct remote_fronts fronts; /* of both: they share layers mostly */
};

static void end_release(struct end *end)
{
	store_free(end->store);
	manifest_release(&end->manifest);
	remote_image_release(&end->image);
	client_free(end->client);
	remote_name_release(&end->name);
}

static void comparison_release(struct comparison *comparison)
{
	end_release(&comparison->from);
	end_release(&comparison->to);
	remote_fronts_release(&comparison->fronts);
}

static int open_end(struct comparison *comparison, struct end *end,
		    const struct remote_options *options, struct error **err)
{
	CLEANUP(buffer_release) struct buffer text;

	buffer_init(&text, MANIFEST_SIZE_MAX);
	end->client = remote_client(comparison->session, &end->name, options, err);
	if (!end->client || remote_find(end->client, &end->name, &end->image, err) < 0)
		return -1;
	if (remote_read_manifest(end->client, &comparison->fronts, &end->image, &text, err) < 0 ||
	    manifest_parse(&end->manifest, text.data, text.size, err) < 0)
		return error_prefix(err, "\"%s\"", end->word);
	end->store = remote_read_catalogs(end->client, &comparison->fronts, &end->image,
					  &end->manifest, err);
	return end->store ? 0 : error_prefix(err, "\"%s\"", end->word);
}

static void describe_end(const struct end *end, struct json *result, const char *key)
{
	CLEANUP(cleanup_json_free)
	struct json *entry = remote_entry(&end->name, end->image.reference, &end->image);
	struct json *object = json_set_object(result, key);
	static const char *const members[] = {"id", "image", "digest", "created", "title"};

	json_set_string(object, "reference",
			json_string(json_first(json_get(entry, "references")), NULL));
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		json_set_string(object, members[i], json_string_or(entry, members[i], ""));
}

static int take_message(void *context, struct json *message, struct error **err)
{
	struct comparison *comparison = context;
	int result = diff_take(&comparison->diff, message, err);

	json_free(message);
	return result;
}

static int report_progress(void *context, uint64_t records, struct error **err)
{
	const struct comparison *comparison = context;

	progress_update(comparison->session->progress, records, 0, 0);
	return session_check(comparison->session, err);
}

static int compare(struct comparison *comparison, struct json *result, struct error **err)
{
	const struct end *from = &comparison->from, *to = &comparison->to;
	const struct diff_report_side sides[2] = {
		{.manifest = &from->manifest, .store = from->store},
		{.manifest = &to->manifest, .store = to->store},
	};
	const struct diff_report_options options = {
		.no_contents = true,
		.send = take_message,
		.progress = report_progress,
		.context = comparison,
	};
	struct diff_totals totals;

	if (diff_report(&sides[0], &sides[1], &options, &totals, err) < 0)
		return -1;
	diff_sum_up(&comparison->diff);
	json_set_int(result, "records", (int64_t)totals.records);
	json_set_int(result, "skipped", (int64_t)totals.skipped);
	json_set_int(result, "read_bytes", 0);
	json_set_int(result, "fetched",
		     (int64_t)(client_received(from->client) + client_received(to->client)));
	return 0;
}

int snapshot_diff_remote(struct session *session, const char *from, const char *to,
			 const struct remote_options *options, const struct diff_sink *sink,
			 struct json **result, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *object = json_new_object();
	CLEANUP(comparison_release)
	struct comparison comparison = {.session = session, .from.word = from, .to.word = to};
	uint64_t started_ms = clock_monotonic_ms();

	manifest_init(&comparison.from.manifest);
	manifest_init(&comparison.to.manifest);
	if (remote_name_parse(from, &comparison.from.name, err) < 0 ||
	    remote_name_parse(to, &comparison.to.name, err) < 0)
		return -1;
	progress_phase(session->progress, "reading %s and %s", from, to);
	if (open_end(&comparison, &comparison.from, options, err) < 0 ||
	    open_end(&comparison, &comparison.to, options, err) < 0)
		return -1;
	describe_end(&comparison.from, object, "from");
	describe_end(&comparison.to, object, "to");
	diff_init(&comparison.diff, sink, object);
	if (compare(&comparison, object, err) < 0)
		return error_prefix(err, "cannot compare \"%s\" with \"%s\"", from, to);
	json_set_int(object, "duration_ms", (int64_t)(clock_monotonic_ms() - started_ms));
	*result = STEAL_POINTER(object);
	return session_check(session, err);
}
