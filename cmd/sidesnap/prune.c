/* sidesnap prune: the plan, the question, and what became of it. */
#include "base/memory.h"
#include "base/text.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"
#include "ui/terminal.h"

#include "present.h"
#include "verb.h"

#define KEEP_COUNT(period)                                                                         \
	{                                                                                          \
		.name = "keep-" period "ly", .type = OPTION_NUMBER, .value = "N",                  \
		.help = "keep the newest of each of the last N " period "s that have any"          \
	}

const struct option prune_options_table[] = {
	{.name = "keep-last", .type = OPTION_NUMBER, .value = "N", .help = "keep the newest N"},
	KEEP_COUNT("hour"),
	{.name = "keep-daily",
	 .type = OPTION_NUMBER,
	 .value = "N",
	 .help = "keep the newest of each of the last N days that have any"},
	KEEP_COUNT("week"),
	KEEP_COUNT("month"),
	KEEP_COUNT("year"),
	{.name = "keep-within",
	 .type = OPTION_TEXT,
	 .value = "DURATION",
	 .help = "keep all that are at most so much older than the newest: 36h, 30d, 2w, 1y"},
	{.name = "keep-tag",
	 .type = OPTION_TEXT,
	 .repeated = true,
	 .value = "PATTERN",
	 .help = "keep those with such a name: a shell pattern for the tag, or with ':' or '/' in "
		 "it for all of NAME:TAG"},
	{.name = "no-rewrite",
	 .help = "leave the data of removed snapshots where it is below kept ones"},
	{.name = "min-free",
	 .type = OPTION_SIZE,
	 .value = "SIZE",
	 .otherwise = "1 GiB or 5%, whichever is more",
	 .help = "write nothing anew that leaves the engine's disk less room than this"},
	{.name = "dry-run", .help = "show the plan; remove nothing"},
	{.name = "force",
	 .letter = 'f',
	 .help = "also the last one of a lineage; and go on where it cannot be read what resets "
		 "have noted"},
	{.name = "yes", .letter = 'y', .help = "agree to the plan"},
	{0},
};

static int prune_rules(const struct options *options, struct keep_rules *rules, struct error **err)
{
	const char *within = options_text(options, "keep-within");

	rules->last = options_number(options, "keep-last", 0);
	rules->hourly = options_number(options, "keep-hourly", 0);
	rules->daily = options_number(options, "keep-daily", 0);
	rules->weekly = options_number(options, "keep-weekly", 0);
	rules->monthly = options_number(options, "keep-monthly", 0);
	rules->yearly = options_number(options, "keep-yearly", 0);
	rules->all_may_go = options_has(options, "force");
	options_list(options, "keep-tag", &rules->tags);
	if (!within || keep_parse_within(within, &rules->within_s))
		return 0;
	error_set(err, ERROR_USAGE, "--keep-within: \"%s\" is no duration", within);
	return error_hint(err, "hours, days, weeks or years, as 36h, 30d, 2w, 1y, also together: "
			       "1y6w");
}

/* A snapshot that is kept frees something only where it is written anew. */
static char *frees_of(const struct json *snapshot)
{
	const struct json *bytes = json_get(snapshot, "frees_bytes");
	bool goes = json_count(json_get(snapshot, "reasons")) == 0;

	if (!bytes || json_is_null(bytes))
		return memory_strdup("?");
	return goes || json_int(bytes, NULL) ? present_size(snapshot, "frees_bytes")
					     : memory_strdup("-");
}

static void print_planned(struct table *table, const struct json *snapshot)
{
	const struct json *reasons = json_get(snapshot, "reasons");
	cleanup_free char *name = present_snapshot(snapshot);
	cleanup_free char *source = present_source(json_get(snapshot, "source"));
	cleanup_free char *age = present_age(json_string(snapshot, "created"));
	cleanup_free char *stored = present_size(snapshot, "stored");
	cleanup_free char *frees = frees_of(snapshot);
	cleanup_free char *title = present_title(snapshot);
	cleanup_free char *why = present_names(reasons);

	table_cellf(table, json_count(reasons) ? "keep: %s" : "remove", why);
	table_cell(table, name);
	table_cell(table, source);
	table_cell(table, age);
	table_cell(table, stored);
	table_cell(table, frees);
	table_cell(table, title);
}

static void print_prune_plan(const struct json *plan, FILE *file, size_t width)
{
	CLEANUP(cleanup_table_free) struct table *table = table_new();

	table_column(table, "PLAN", TABLE_LEFT);
	table_column(table, "SNAPSHOT", TABLE_FLEXIBLE);
	table_column(table, "SOURCE", TABLE_FLEXIBLE);
	table_column(table, "CREATED", TABLE_LEFT);
	table_column(table, "ADDED", TABLE_RIGHT);
	table_column(table, "FREES", TABLE_RIGHT);
	table_column(table, "TITLE", TABLE_FLEXIBLE);
	json_for_each(lineage, json_get(plan, "lineages"))
		json_for_each(snapshot, json_get(lineage, "snapshots"))
			print_planned(table, snapshot);
	table_print(table, file, width);
}

static bool is_all_known(const struct json *plan)
{
	json_for_each(lineage, json_get(plan, "lineages"))
		json_for_each(snapshot, json_get(lineage, "snapshots"))
			if (json_is_null(json_get(snapshot, "frees_bytes")))
				return false;
	return true;
}

static char *summary_of(const struct json *plan)
{
	cleanup_free char *bytes = present_size(plan, "frees_bytes");
	int64_t count = json_int(plan, "removed_snapshots");

	return memory_printf("remove %lld snapshot%s and free %s %s", (long long)count,
			     count == 1 ? "" : "s", is_all_known(plan) ? "about" : "at least",
			     bytes);
}

static int confirm_plan(struct command *command, const struct prune_options *options,
			struct json *plan, struct error **err)
{
	cleanup_free char *what = NULL, *question = NULL;

	/* Without a terminal it is what the refusal is about. */
	if (command->session.assume_yes && (command->quiet || command->json))
		return 0;
	if (snapshot_prune_estimate(&command->session, options, plan, err) < 0)
		return -1;
	what = summary_of(plan);
	question = memory_printf("%s?", what);
	progress_end(command->session.progress);
	print_prune_plan(plan, stderr, terminal_width(STDERR_FILENO));
	fflush(stderr);
	return session_confirm(&command->session, question, err);
}

static void tell_outcome(const struct command *command, const struct json *result)
{
	cleanup_free char *freed = present_size(result, "freed_bytes");
	int64_t removed = json_int(result, "removed_snapshots");
	int64_t kept = json_int(result, "kept_snapshots");
	size_t rewritten = json_count(json_get(result, "rewritten"));

	if (!removed && !rewritten)
		progress_note(command->session.progress, "nothing to remove, %lld kept",
			      (long long)kept);
	else
		progress_note(command->session.progress,
			      "%lld snapshot%s removed, %lld kept, %zu of those written anew; "
			      "about %s freed",
			      (long long)removed, removed == 1 ? "" : "s", (long long)kept,
			      rewritten, freed);
}

static int plan_and_prune(struct command *command, const struct prune_options *options,
			  struct json **result, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *plan = NULL;

	if (snapshot_prune_plan(&command->session, options, &plan, err) < 0)
		return -1;
	if (options_has(&command->options, "dry-run")) {
		if (snapshot_prune_estimate(&command->session, options, plan, err) < 0)
			return -1;
		*result = STEAL_POINTER(plan);
		return 0;
	}
	if (json_int(plan, "removed_snapshots") && confirm_plan(command, options, plan, err) < 0)
		return -1;
	if (snapshot_prune(&command->session, options, plan, result, err) < 0)
		return -1;
	progress_end(command->session.progress);
	tell_outcome(command, *result);
	return 0;
}

int verb_prune_run(struct command *command, struct json **result, struct error **err)
{
	struct prune_options options = {
		.target = verb_argument(command, 0),
		.no_rewrite = options_has(&command->options, "no-rewrite"),
		.reserve_bytes = options_size(&command->options, "min-free", UINT64_MAX),
	};
	int outcome;

	string_list_init(&options.rules.tags);
	outcome = prune_rules(&command->options, &options.rules, err);
	if (outcome == 0)
		outcome = plan_and_prune(command, &options, result, err);
	string_list_release(&options.rules.tags);
	return outcome;
}

void verb_prune_print(const struct command *command, const struct json *result)
{
	if (json_bool(result, "dry_run")) {
		cleanup_free char *what = summary_of(result);

		(void)command;
		print_prune_plan(result, stdout, terminal_width(STDOUT_FILENO));
		printf("would %s\n", what);
		return;
	}
	json_for_each(item, json_get(result, "removed")) {
		cleanup_free char *name = escape_text(json_string(item, NULL));

		printf("%s\n", name);
	}
}
