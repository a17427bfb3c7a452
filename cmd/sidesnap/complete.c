/*
 * sidesnap __complete KIND: the candidates that only an engine knows, one a line, for
 * the scripts of `sidesnap completion`; and what docker asks its plugins for. It never
 * fails: a shell has no use for errors.
 */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "driver/driver.h"
#include "snapshot/images.h"
#include "snapshot/labels.h"
#include "ui/escape.h"

#include "verb.h"

/* A line that a shell could take for something else is no candidate. */
static void offer(struct string_list *offered, const char *word)
{
	if (!word || !*word || strpbrk(word, " \t\n'\"\\$`;&|<>(){}*?[]!#~") ||
	    string_list_has(offered, word))
		return;
	string_list_add(offered, word);
}

static void offer_label(struct string_list *offered, const struct json *containers,
			const char *label)
{
	json_for_each(entry, containers)
		offer(offered, json_string(json_get(entry, "Labels"), label));
}

static void offer_targets(struct engine *engine, struct string_list *offered)
{
	CLEANUP(cleanup_json_free)
	struct json *containers = container_list(engine, true, NULL, NULL);

	json_for_each(entry, containers)
		offer(offered, target_entry_name(entry));
	offer_label(offered, containers, COMPOSE_SERVICE);
}

static void offer_projects(struct engine *engine, struct string_list *offered)
{
	CLEANUP(cleanup_json_free)
	struct json *containers = container_list(engine, true, NULL, NULL);

	offer_label(offered, containers, COMPOSE_PROJECT);
}

static void offer_snapshots(const struct session *session, struct string_list *offered)
{
	CLEANUP(cleanup_json_free) struct json *images = images_list(session, NULL);

	json_for_each(image, images)
		json_for_each(reference, json_get(image, "references"))
			offer(offered, json_string(reference, NULL));
}

static void offer_drivers(struct string_list *offered)
{
	CLEANUP(cleanup_driver_all_free) struct driver **drivers = driver_all(NULL);

	for (size_t i = 0; drivers && drivers[i]; i++)
		offer(offered, drivers[i]->name);
}

static void offer_names(const struct session *session, enum completion completion,
			struct string_list *offered)
{
	if (completion == COMPLETE_DRIVERS)
		offer_drivers(offered);
	if (!session->engine)
		return;
	if (completion == COMPLETE_TARGETS || completion == COMPLETE_NAMES)
		offer_targets(session->engine, offered);
	if (completion == COMPLETE_SNAPSHOTS || completion == COMPLETE_NAMES)
		offer_snapshots(session, offered);
	if (completion == COMPLETE_PROJECTS)
		offer_projects(session->engine, offered);
}

int verb_complete_run(struct command *command, struct json **result, struct error **err)
{
	static const struct {
		const char *kind;
		enum completion completion;
	} kinds[] = {{"targets", COMPLETE_TARGETS},
		     {"snapshots", COMPLETE_SNAPSHOTS},
		     {"names", COMPLETE_NAMES},
		     {"projects", COMPLETE_PROJECTS},
		     {"drivers", COMPLETE_DRIVERS}};
	const char *kind = verb_argument(command, 0);
	CLEANUP(cleanup_engine_free) struct engine *engine = engine_open(command->host, NULL);
	CLEANUP(string_list_release) struct string_list offered;
	struct session session = command->session;

	(void)result;
	(void)err;
	string_list_init(&offered);
	if (!kind)
		return 0;
	session.engine = engine;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kind, kinds[i].kind))
			offer_names(&session, kinds[i].completion, &offered);
	for (size_t i = 0; i < offered.count; i++) {
		cleanup_free char *word = escape_text(offered.items[i]);

		puts(word);
	}
	return 0;
}

/* ---- docker's own completion of "docker sidesnap ..." ---- */

/* What the shell is to do with the words, as cobra's ShellCompDirective numbers it. */
enum directive { DIRECTIVE_FILES = 0, DIRECTIVE_NO_FILES = 4, DIRECTIVE_DIRECTORIES = 16 };

/* What the words before the present one say. */
struct line {
	const struct verb *verb;
	const struct option *option; /* whose value is the present word */
	int position;		     /* of the present word among the verb's arguments */
	bool is_wrong;
};

static const struct option *find_option(const struct option *list, const char *word)
{
	for (; list && list->name; list++)
		if (word[1] == '-' ? !strcmp(word + 2, list->name)
				   : word[1] && word[1] == list->letter && !word[2])
			return list;
	return NULL;
}

static void read_word(struct line *line, const char *word)
{
	if (line->option) {
		line->option = NULL;
	} else if (word[0] == '-' && word[1]) {
		const struct option *option =
			line->verb ? find_option(line->verb->options, word) : NULL;

		if (!option)
			option = find_option(global_options, word);
		line->option = option && option->type != OPTION_FLAG ? option : NULL;
	} else if (line->verb) {
		line->position++;
	} else {
		line->verb = verb_find(word);
		line->is_wrong |= !line->verb;
	}
}

static void print_candidate(const char *current, const char *prefix, const char *word,
			    const char *help)
{
	cleanup_free char *whole = memory_printf("%s%s", prefix, word);

	if (text_has_prefix(whole, current))
		printf("%s%s%s\n", whole, help ? "\t" : "", text_or(help, ""));
}

static void print_verbs(const char *current)
{
	for (const struct verb *verb = verbs; verb->name; verb++)
		if (!verb->hidden)
			print_candidate(current, "", verb->name, verb->summary);
}

static void print_options(const struct option *options, const char *current)
{
	for (; options && options->name; options++)
		print_candidate(current, "--", options->name, options->help);
}

static void print_names(enum completion completion, const char *current)
{
	CLEANUP(cleanup_engine_free) struct engine *engine = engine_open(NULL, NULL);
	CLEANUP(cleanup_progress_free)
	struct progress *progress = progress_new(VERBOSITY_QUIET);
	struct session session = {.engine = engine, .progress = progress};
	CLEANUP(string_list_release) struct string_list offered;

	string_list_init(&offered);
	offer_names(&session, completion, &offered);
	for (size_t i = 0; i < offered.count; i++) {
		cleanup_free char *word = escape_text(offered.items[i]);

		print_candidate(current, "", word, NULL);
	}
}

static enum directive print_values(enum completion completion, const char *words,
				   const char *current)
{
	CLEANUP(string_list_release) struct string_list list;

	string_list_init(&list);
	switch (completion) {
	case COMPLETE_FILES:
		return DIRECTIVE_FILES;
	case COMPLETE_DIRECTORIES:
		return DIRECTIVE_DIRECTORIES;
	case COMPLETE_VERBS:
		print_verbs(current);
		break;
	case COMPLETE_WORDS:
		string_list_split(&list, words, ' ');
		for (size_t i = 0; i < list.count; i++)
			print_candidate(current, "", list.items[i], NULL);
		break;
	case COMPLETE_TARGETS:
	case COMPLETE_SNAPSHOTS:
	case COMPLETE_NAMES:
	case COMPLETE_PROJECTS:
	case COMPLETE_DRIVERS:
		print_names(completion, current);
		break;
	case COMPLETE_NOTHING:
		break;
	}
	return DIRECTIVE_NO_FILES;
}

static enum directive print_argument(const struct line *line, const char *current)
{
	const struct argument *argument = line->verb->arguments;

	for (int i = 0; i < line->position && argument && argument->name; i++)
		if (!argument->repeated)
			argument++;
	if (!argument || !argument->name)
		return DIRECTIVE_NO_FILES;
	return print_values(argument->completion, argument->words, current);
}

void complete_for_docker(int count, char **words)
{
	enum directive directive = DIRECTIVE_NO_FILES;
	const char *current = count ? words[count - 1] : "";
	struct line line = {0};

	for (int i = 0; i + 1 < count; i++)
		read_word(&line, words[i]);
	if (line.option) {
		directive = print_values(line.option->completion, line.option->words, current);
	} else if (current[0] == '-') {
		print_options(line.verb ? line.verb->options : NULL, current);
		print_options(global_options, current);
	} else if (line.verb) {
		directive = print_argument(&line, current);
	} else if (!line.is_wrong) {
		print_verbs(current);
	}
	printf(":%d\n", (int)directive);
}
