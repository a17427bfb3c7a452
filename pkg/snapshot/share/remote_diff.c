/*
 * sidesnap diff --remote: catalogs that a registry has, compared here. They are somebody else's, as those
 * that the agent compares: pkg/tree takes them so.
 */
#include <string.h>

#include "base/memory.h"
#include "snapshot/compare/diff.h"
#include "snapshot/helper/image_file.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "snapshot/share/catalogs.h"
#include "snapshot/share/remote.h"
#include "snapshot/target.h"
#include "store/format.h"
#include "tree/diff/diff_report.h"

/* One of the two. */
struct end {
	const char *word; /* as a person has named it */
	struct remote_name name;
	struct client *client;
	struct remote_image image;
	struct json *inspect; /* of one that is here; NULL: the above are in use */
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
	json_free(end->inspect);
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

/* One that is here, by the same few files. */
static int open_here(struct comparison *comparison, struct end *end, struct error **err)
{
	const struct session *session = comparison->session;
	CLEANUP(cleanup_helper_free) struct helper *helper = NULL;
	CLEANUP(catalogs_release) struct catalogs catalogs = {0};
	CLEANUP(buffer_release) struct buffer text;

	buffer_init(&text, MANIFEST_SIZE_MAX);
	end->inspect = snapshot_inspect(session, end->word, err);
	if (!end->inspect)
		return -1;
	helper = image_file_helper(session, json_string(end->inspect, "Id"), err);
	if (!helper ||
	    image_file_read(session, helper, STORE_DIRECTORY "/" MANIFEST_NAME, &text, err) < 0 ||
	    manifest_check_label(&text, snapshot_label(end->inspect, LABEL_MANIFEST), err) < 0 ||
	    manifest_parse(&end->manifest, text.data, text.size, err) < 0)
		return -1;
	catalogs_init(&catalogs, &end->manifest);
	for (size_t i = 0; i < catalogs.count; i++) {
		cleanup_free char *path = memory_printf(STORE_DIRECTORY "/" PACK_DIRECTORY "/%s",
							catalogs.packs[i].name);
		CLEANUP(buffer_release) struct buffer pack;

		buffer_init(&pack, FRONT_PACKS_MAX);
		if (image_file_read(session, helper, path, &pack, err) < 0)
			return -1;
		catalogs_offer(&catalogs, catalogs.packs[i].name, &pack);
	}
	end->store = catalogs_open(&catalogs, err);
	return end->store ? 0 : -1;
}

static int open_there(struct comparison *comparison, struct end *end,
		      const struct remote_options *options, struct error **err)
{
	CLEANUP(buffer_release) struct buffer text;

	buffer_init(&text, MANIFEST_SIZE_MAX);
	end->client = remote_client(comparison->session, &end->name, options, err);
	if (!end->client || remote_find(end->client, &end->name, &end->image, err) < 0)
		return -1;
	if (remote_read_manifest(end->client, &comparison->fronts, &end->image, &text, err) < 0 ||
	    manifest_parse(&end->manifest, text.data, text.size, err) < 0)
		return -1;
	end->store = remote_read_catalogs(end->client, &comparison->fronts, &end->image,
					  &end->manifest, err);
	return end->store ? 0 : -1;
}

static int open_end(struct comparison *comparison, struct end *end,
		    const struct remote_options *options, struct error **err)
{
	int result = end->name.host ? open_there(comparison, end, options, err)
				    : open_here(comparison, end, err);

	return result < 0 ? error_prefix(err, "\"%s\"", end->word) : 0;
}

/* A name that is of no registry is one of here. */
static int parse_end(struct end *end, struct error **err)
{
	return remote_is_name(end->word) ? remote_name_parse(end->word, &end->name, err) : 0;
}

static struct json *entry_of(const struct end *end)
{
	if (!end->inspect)
		return remote_entry(&end->name, end->image.reference, &end->image);
	return images_entry(json_path(end->inspect, "Config", "Labels"), NULL,
			    json_string(end->inspect, "Id"));
}

static void describe_end(const struct end *end, struct json *result, const char *key)
{
	CLEANUP(cleanup_json_free) struct json *entry = entry_of(end);
	struct json *object = json_set_object(result, key);
	static const char *const members[] = {"id", "image", "digest", "created", "title"};

	json_set_string(object, "reference",
			json_string_or(json_first(json_get(entry, "references")), NULL, end->word));
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (json_get(entry, members[i]))
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

static uint64_t received(const struct end *end)
{
	return end->client ? client_received(end->client) : 0;
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
	json_set_int(result, "fetched", (int64_t)(received(from) + received(to)));
	return 0;
}

bool snapshot_diff_needs_engine(const char *from, const char *to)
{
	return !remote_is_name(from) || !remote_is_name(to);
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
	if (parse_end(&comparison.from, err) < 0 || parse_end(&comparison.to, err) < 0)
		return -1;
	if (!comparison.from.name.host && !comparison.to.name.host) {
		error_set(err, ERROR_USAGE, "neither \"%s\" nor \"%s\" is a name at a registry",
			  from, to);
		return error_hint(err, "write one with its registry, as in "
				       "registry.example/team/db:monday, or leave --remote out");
	}
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
