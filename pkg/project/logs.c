/*
 * The logs of a stack as one, in the order of their times: each is a sorted stream, and of their first
 * lines the oldest is next. While they are followed nobody knows whether one that is silent will say
 * something older, so it is waited for only a moment.
 */
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "project/log_source.h"
#include "project/project.h"
#include "project/stack.h"
#include "snapshot/labels.h"
#include "snapshot/target.h"

#define HOLD_MS 200
#define TURN_MS 50
#define LOOK_AGAIN_MS 1000

struct merge {
	struct session *session;
	const struct project_logs_options *options;
	struct log_options how;
	struct timespec since, until;
	struct log_source *sources;
	size_t count;
	char *project; /* whose new containers are taken in; NULL: none */
	regex_t pattern;
	bool has_pattern;
	uint64_t looked_ms; /* when containers were looked at last */
};

static void merge_release(struct merge *merge)
{
	for (size_t i = 0; i < merge->count; i++)
		log_source_release(&merge->sources[i]);
	free(merge->sources);
	free(merge->project);
	if (merge->has_pattern)
		regfree(&merge->pattern);
}

/* ---- what was asked for ---- */

static int engine_now(const struct session *session, struct timespec *now, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *info = engine_info(session->engine, err);

	if (!info)
		return -1;
	if (!clock_parse(json_string_or(info, "SystemTime", ""), now))
		*now = clock_now();
	return 0;
}

/* "90", "90s", "10m", "2h", "3d" */
static bool parse_ago(const char *text, uint64_t *seconds)
{
	static const struct {
		char unit;
		unsigned seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	size_t size = strlen(text);
	unsigned factor = 1;
	cleanup_free char *digits = NULL;

	for (size_t i = 0; size && i < sizeof(units) / sizeof(units[0]); i++)
		if (text[size - 1] == units[i].unit) {
			factor = units[i].seconds;
			size--;
			break;
		}
	digits = memory_strndup(text, size);
	if (!text_parse_uint(digits, UINT32_MAX, seconds))
		return false;
	*seconds *= factor;
	return true;
}

static int parse_time(const struct session *session, const char *option, const char *text,
		      struct timespec *time, struct error **err)
{
	uint64_t ago;

	if (clock_parse(text, time))
		return 0;
	if (!parse_ago(text, &ago)) {
		error_set(err, ERROR_USAGE, "--%s: \"%s\" is no time", option, text);
		return error_hint(err, "give how long ago (90s, 10m, 2h, 3d), or a time as "
				       "2026-01-31T13:15:00Z");
	}
	if (engine_now(session, time, err) < 0)
		return -1;
	time->tv_sec -= (time_t)ago;
	return 0;
}

static int parse_options(struct merge *merge, struct error **err)
{
	const struct project_logs_options *options = merge->options;
	int result;

	merge->how.tail = options->tail;
	merge->how.follow = options->follow;
	if (options->since) {
		if (parse_time(merge->session, "since", options->since, &merge->since, err) < 0)
			return -1;
		merge->how.since = &merge->since;
	}
	if (options->until) {
		if (parse_time(merge->session, "until", options->until, &merge->until, err) < 0)
			return -1;
		merge->how.until = &merge->until;
	}
	if (!options->pattern)
		return 0;
	result = regcomp(&merge->pattern, options->pattern, REG_EXTENDED | REG_NOSUB);
	if (result != 0) {
		char reason[200];

		regerror(result, &merge->pattern, reason, sizeof(reason));
		return error_set(err, ERROR_USAGE, "--grep: \"%s\": %s", options->pattern, reason);
	}
	merge->has_pattern = true;
	return 0;
}

static struct log_source *find_source(struct merge *merge, const char *id)
{
	for (size_t i = 0; i < merge->count; i++)
		if (strcmp(merge->sources[i].id, id) == 0)
			return &merge->sources[i];
	return NULL;
}

static struct log_source *add_source(struct merge *merge, const struct json *inspect)
{
	struct log_source *known = find_source(merge, json_string_or(inspect, "Id", ""));

	if (known)
		return known;
	merge->sources = memory_array(merge->sources, merge->count + 1, sizeof(*merge->sources));
	log_source_init(&merge->sources[merge->count], inspect);
	return &merge->sources[merge->count++];
}

/* Services and containers of the stack that fit; false: none. */
static bool add_named(struct merge *merge, const struct stack *stack, const char *word)
{
	CLEANUP(string_list_release) struct string_list words;
	cleanup_free bool *chosen = memory_zalloc((stack->count + 1) * sizeof(*chosen));

	string_list_init(&words);
	string_list_add(&words, word);
	if (stack_choose(stack, &words, chosen, NULL) < 0)
		return false;
	for (size_t i = 0; i < stack->count; i++)
		if (chosen[i])
			add_source(merge, stack->members[i].inspect);
	return true;
}

/* A word may name a service of the project, or any container; without a project only the latter. */
static int find_sources(struct merge *merge, struct error **err)
{
	const struct string_list *names = merge->options->names;
	cleanup_error struct error *no_project = NULL;
	CLEANUP(stack_release) struct stack stack = {0};
	int found = stack_find(merge->session, false, &stack, &no_project);

	if (found < 0 && (!names->count || merge->session->project)) {
		error_append(err, STEAL_POINTER(no_project));
		return -1;
	}
	for (size_t i = 0; !names->count && i < stack.count; i++)
		add_source(merge, stack.members[i].inspect);
	if (found == 0)
		merge->project = memory_strdup(stack.project);
	for (size_t i = 0; i < names->count; i++) {
		CLEANUP(target_release) struct target target = {0};

		if (found == 0 && add_named(merge, &stack, names->items[i]))
			continue;
		if (target_find(merge->session, names->items[i], &target, err) < 0)
			return -1;
		add_source(merge, target.inspect);
	}
	return 0;
}

/* ---- merging ---- */

static int show(struct merge *merge, struct log_source *source, struct error **err)
{
	const struct project_log_line line = {
		.time = source->time,
		.project = source->project,
		.service = source->service,
		.name = source->name,
		.stream = source->head_stream,
		.text = log_source_text(source),
	};

	if (merge->has_pattern && regexec(&merge->pattern, line.text, 0, NULL, 0) != 0)
		return 0;
	return merge->options->line(merge->options->context, &line, err);
}

/* Times of the engine are of one width and zone: as text they compare. */
static bool is_older(const struct log_source *a, const struct log_source *b)
{
	return strcmp(a->time, b->time) < 0;
}

/*
 * The oldest line: 1; 0: it is not known yet which that is; 2: all logs have ended. A log that broke off,
 * as of a container that vanishes, has ended.
 */
static int find_oldest(struct merge *merge, struct log_source **oldest, struct error **err)
{
	uint64_t now = clock_monotonic_ms();
	bool is_open = false, must_wait = false;

	*oldest = NULL;
	for (size_t i = 0; i < merge->count; i++) {
		struct log_source *source = &merge->sources[i];
		cleanup_error struct error *problem = NULL;
		int result = log_source_fill(source, &problem);

		if (result < 0 && (problem->kind == ERROR_CANCELLED || !merge->how.follow)) {
			error_append(err, STEAL_POINTER(problem));
			return -1;
		}
		if (result < 0) {
			progress_warn(merge->session->progress, "%s", problem->message);
			log_stream_free(STEAL_POINTER(source->stream));
		}
		if (result == 0) {
			is_open = true;
			must_wait = must_wait || !merge->how.follow ||
				    now - source->empty_since_ms < HOLD_MS;
		}
		if (result == 1 && (!*oldest || is_older(source, *oldest)))
			*oldest = source;
	}
	if (*oldest)
		return !must_wait;
	return is_open ? 0 : 2;
}

/* All that is there and whose turn has come; 0 nothing more at the moment, 2 all have ended, -1. */
static int show_all(struct merge *merge, struct error **err)
{
	struct log_source *oldest;
	int result;

	while ((result = find_oldest(merge, &oldest, err)) == 1) {
		if (show(merge, oldest, err) < 0)
			return -1;
		log_source_drop(oldest);
	}
	return result;
}

/* ---- following ---- */

static bool is_asked_for(const struct merge *merge, const struct json *entry)
{
	const struct json *labels = json_get(entry, "Labels");
	const char *project = json_string_or(labels, COMPOSE_PROJECT, "");
	const char *service = json_string_or(labels, COMPOSE_SERVICE, "");
	const struct string_list *names = merge->options->names;

	if (!merge->project || strcmp(project, merge->project) != 0 ||
	    strcasecmp(json_string_or(labels, COMPOSE_ONEOFF, ""), "true") == 0)
		return false;
	return !names->count || string_list_has(names, service) ||
	       string_list_has(names, target_entry_name(entry));
}

/* One that runs and is not read is read on, or from its beginning where it is new. */
static int take_in(struct merge *merge, const struct json *entry, struct error **err)
{
	struct log_source *source = find_source(merge, json_string_or(entry, "Id", ""));
	struct log_options how = merge->how;
	cleanup_error struct error *problem = NULL;

	if (!source && is_asked_for(merge, entry)) {
		CLEANUP(cleanup_json_free)
		struct json *inspect = container_inspect(merge->session->engine,
							 json_string_or(entry, "Id", ""), NULL);

		if (!inspect)
			return 0;
		source = add_source(merge, inspect);
		how.tail = LOG_TAIL_ALL;
	}
	if (!source || source->stream)
		return 0;
	if (log_source_open(source, merge->session->engine, &how, &problem) == 0)
		return 0;
	/* It is gone again, or cannot be read, which was said: the next look tells. */
	if (problem->kind != ERROR_ENGINE && problem->kind != ERROR_CANCELLED)
		return 0;
	error_append(err, STEAL_POINTER(problem));
	return -1;
}

static bool is_alive(const struct json *entry)
{
	const char *state = json_string_or(entry, "State", "");

	return strcmp(state, "running") == 0 || strcmp(state, "restarting") == 0 ||
	       strcmp(state, "paused") == 0;
}

/* Whether one of those that are followed runs, or will again: 1, 0, -1. */
static int look_again(struct merge *merge, struct error **err)
{
	CLEANUP(cleanup_json_free)
	struct json *list = container_list(merge->session->engine, true, NULL, err);
	int alive = 0;

	if (!list)
		return error_prefix(err, "cannot list containers");
	json_for_each(entry, list) {
		if (!is_alive(entry) || (!find_source(merge, json_string_or(entry, "Id", "")) &&
					 !is_asked_for(merge, entry)))
			continue;
		alive = 1;
		if (strcmp(json_string_or(entry, "State", ""), "running") == 0 &&
		    take_in(merge, entry, err) < 0)
			return -1;
	}
	merge->looked_ms = clock_monotonic_ms();
	return alive;
}

static int follow(struct merge *merge, struct error **err)
{
	for (;;) {
		int result = show_all(merge, err), alive = 1;

		if (result < 0)
			return -1;
		if (merge->options->idle(merge->options->context, err) < 0)
			return -1;
		if (clock_monotonic_ms() - merge->looked_ms >= LOOK_AGAIN_MS) {
			alive = look_again(merge, err);
			if (alive < 0)
				return -1;
			/* What the last ones said may still be on its way. */
			if (!alive && result == 2)
				return 0;
		}
		if (engine_wait(merge->session->engine, TURN_MS, err) < 0)
			return -1;
	}
}

static int read_on(struct merge *merge, struct error **err)
{
	int result;

	while ((result = show_all(merge, err)) == 0)
		if (engine_wait(merge->session->engine, TURN_MS, err) < 0)
			return -1;
	return result < 0 ? -1 : 0;
}

/* One whose log cannot be read, as with some log drivers, must not hide the others. */
static int open_source(struct merge *merge, struct log_source *source, struct error **err)
{
	cleanup_error struct error *problem = NULL;

	if (log_source_open(source, merge->session->engine, &merge->how, &problem) == 0)
		return 0;
	if (problem->kind == ERROR_ENGINE || problem->kind == ERROR_CANCELLED) {
		error_append(err, STEAL_POINTER(problem));
		return -1;
	}
	progress_warn(merge->session->progress, "%s", problem->message);
	return 0;
}

static int run(struct merge *merge, struct error **err)
{
	for (size_t i = 0; i < merge->count; i++)
		if (open_source(merge, &merge->sources[i], err) < 0)
			return -1;
	merge->looked_ms = clock_monotonic_ms();
	return merge->how.follow ? follow(merge, err) : read_on(merge, err);
}

int project_logs(struct session *session, const struct project_logs_options *options,
		 struct error **err)
{
	CLEANUP(merge_release) struct merge merge = {.session = session, .options = options};
	cleanup_error struct error *problem = NULL;

	if (parse_options(&merge, err) < 0 || find_sources(&merge, err) < 0)
		return -1;
	if (run(&merge, &problem) == 0)
		return 0;
	/* To end what is followed is how it ends. */
	if (options->follow && problem->kind == ERROR_CANCELLED)
		return 0;
	error_append(err, STEAL_POINTER(problem));
	return -1;
}
