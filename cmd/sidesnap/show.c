/* sidesnap show: everything that is known of one snapshot. */
#include <string.h>

#include "base/memory.h"
#include "project/set.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "registry.h"
#include "rows.h"
#include "verb.h"

const struct option show_options_table[] = {
	REMOTE_OPTIONS("read it at the registry that REF names"),
	{0},
};

static int show_here(struct command *command, struct json **result, struct error **err)
{
	struct error *problem = NULL;
	CLEANUP(cleanup_json_free)
	struct json *set = set_find(&command->session, verb_argument(command, 0), &problem);

	if (problem) {
		error_append(err, problem);
		return -1;
	}
	if (set)
		return set_show(&command->session, verb_argument(command, 0), result, err);
	return snapshot_show(&command->session, verb_argument(command, 0), result, err);
}

int verb_show_run(struct command *command, struct json **result, struct error **err)
{
	cleanup_free char *password = NULL;
	struct remote_options remote;
	int is_remote = registry_remote_take(command, &remote, &password, err);

	if (is_remote < 0)
		return -1;
	if (is_remote)
		return snapshot_show_remote(&command->session, verb_argument(command, 0), &remote,
					    result, err);
	return show_here(command, result, err);
}

static void line(const char *name, const char *value)
{
	cleanup_free char *escaped = escape_text(text_or(value, "-"));

	printf("%-14s %s\n", name, escaped);
}

static void list_line(const char *name, const struct json *list)
{
	cleanup_free char *names = present_names(list);

	line(name, names);
}

/* An argument vector as a person would type it; only to be read. */
static char *words_of(const struct json *list)
{
	CLEANUP(string_list_release) struct string_list words;

	string_list_init(&words);
	json_for_each(item, list) {
		const char *word = json_string_or(item, NULL, "?");
		cleanup_free char *quoted = *word && !strpbrk(word, " '\"\\\n\t")
						    ? memory_strdup(word)
						    : memory_printf("'%s'", word);

		string_list_add(&words, quoted);
	}
	return string_list_join(&words, " ");
}

static void words_line(const char *name, const struct json *list)
{
	cleanup_free char *words = words_of(list);

	line(name, words);
}

static const struct row_column tree_columns[] = {
	{"TREE", TABLE_LEFT, "kind", NULL},
	{"NAME", TABLE_FLEXIBLE, "name", NULL},
	{"ENTRIES", TABLE_RIGHT, "entries", rows_count},
	{"SIZE", TABLE_RIGHT, "bytes", present_size},
	{"PATH", TABLE_FLEXIBLE, NULL, rows_tree_path},
	{NULL, TABLE_LEFT, NULL, NULL},
};

/* With its names, where it is here; else who stands in. */
static void parent_line(const struct json *result)
{
	const struct json *ancestor = json_get(result, "ancestor");
	cleanup_free char *names = present_snapshot(ancestor), *text = NULL;
	const char *parent = json_string_or(result, "parent", "");
	const char *state = json_string_or(result, "parent_state", "");

	if (!strcmp(state, "here"))
		text = memory_printf("%s (%s)", parent, names);
	else if (!strcmp(state, "looped"))
		text = memory_printf("%s (which comes from this one: that cannot be)", parent);
	else if (!*parent)
		text = memory_strdup("-");
	else if (!strcmp(state, "unknown"))
		text = memory_strdup(parent);
	else if (json_is_object(ancestor))
		text = memory_printf("%s (not here; the nearest before it: %s)", parent, names);
	else
		text = memory_printf("%s (not here)", parent);
	line("parent", text);
}

static void children_line(const struct json *result)
{
	CLEANUP(string_list_release) struct string_list names;
	cleanup_free char *text = NULL;

	string_list_init(&names);
	json_for_each(child, json_get(result, "children")) {
		cleanup_free char *name = present_snapshot(child);

		string_list_add(&names, name);
	}
	text = string_list_join(&names, ", ");
	line("children", text);
}

/* What of the database is in no dump, and so not in this one. */
static void without_line(const struct json *trees)
{
	json_for_each(tree, trees)
		if (*json_string_or(tree, "without", ""))
			line("not in dump", json_string(tree, "without"));
}

/* Of any number of lines, below all that is short. */
static void print_notes(const struct json *result)
{
	const char *notes = json_string_or(result, "notes", "");
	cleanup_free char *escaped = escape_lines(notes);

	if (*escaped)
		printf("\n%s\n", escaped);
}

static char *member_references(const struct json *member, const char *key)
{
	const struct json *list = json_get(member, key);

	return json_count(list) ? present_names(list) : memory_strdup("(not here)");
}

static char *names_in(const struct json *list)
{
	CLEANUP(string_list_release) struct string_list names;

	string_list_init(&names);
	json_for_each(item, list)
		string_list_add(&names, json_string_or(item, "name", "?"));
	return string_list_join(&names, ", ");
}

static void print_set(const struct json *set)
{
	static const struct row_column columns[] = {
		{"MEMBER", TABLE_LEFT, "name", NULL},
		{"CONTAINER", TABLE_FLEXIBLE, "container", NULL},
		{"DRIVER", TABLE_LEFT, "driver", NULL},
		{"STATE", TABLE_LEFT, "consistency", NULL},
		{"SNAPSHOT", TABLE_FLEXIBLE, "references", member_references},
		{NULL, TABLE_LEFT, NULL, NULL},
	};
	const struct json *definition = json_get(set, "definition");
	cleanup_free char *when = present_time(json_string(set, "created"));
	cleanup_free char *bytes = present_size(set, "bytes");
	cleanup_free char *stored = present_size(set, "stored");
	cleanup_free char *networks = names_in(json_get(definition, "networks"));
	cleanup_free char *volumes = names_in(json_get(definition, "volumes"));

	list_line("references", json_get(set, "references"));
	line("title", json_string(set, "title"));
	line("id", json_string(set, "id"));
	line("image", json_string(set, "image"));
	line("created", when);
	line("project", json_string(set, "project"));
	line("consistency", json_string(set, "consistency"));
	line("pinned", json_bool(set, "pinned") ? "yes" : "no");
	line("data", bytes);
	line("stored", stored);
	line("networks", networks);
	line("volumes", volumes);
	list_line("needs", json_get(definition, "needs"));
	rows_print_below(json_get(set, "members"), columns);
}

void verb_show_print(const struct command *command, const struct json *result)
{
	const struct json *source = json_get(result, "source");
	const struct json *run = json_get(result, "command");
	cleanup_free char *when = present_time(json_string(result, "created"));
	cleanup_free char *size = present_size(result, "size");
	cleanup_free char *bytes = present_size(result, "bytes");
	cleanup_free char *stored = present_size(result, "stored");

	(void)command;
	if (json_get(result, "members")) {
		print_set(result);
		return;
	}
	list_line("references", json_get(result, "references"));
	line("title", json_string(result, "title"));
	line("id", json_string(result, "id"));
	line("image", json_string(result, "image"));
	if (json_get(result, "digest"))
		line("digest", json_string(result, "digest"));
	line("created", when);
	line("kind", json_string(result, "kind"));
	line("consistency", json_string(result, "consistency"));
	line("driver", json_string(result, "driver"));
	if (*json_string_or(result, "prepare", ""))
		line("prepare", json_string(result, "prepare"));
	line("pinned", json_bool(result, "pinned") ? "yes" : "no");
	parent_line(result);
	children_line(result);
	line("lineage", json_string(result, "lineage"));
	line("container", json_string(source, "container"));
	line("source image", json_string(source, "image"));
	line("project", json_string(source, "project"));
	line("service", json_string(source, "service"));
	line("data", bytes);
	line("stored", stored);
	line("image size", size);
	without_line(json_get(result, "trees"));
	words_line("entrypoint", json_get(run, "entrypoint"));
	words_line("command", json_get(run, "cmd"));
	line("user", json_string(run, "user"));
	line("directory", json_string(run, "working_dir"));
	line("stop signal", json_string(run, "stop_signal"));
	list_line("ports", json_get(run, "ports"));
	list_line("volumes", json_get(result, "volumes"));
	list_line("variables", json_get(run, "environment"));
	list_line("variables out", json_get(result, "omitted_variables"));
	list_line("containers", json_get(result, "containers"));
	print_notes(result);
	rows_print_below(json_get(result, "trees"), tree_columns);
	rows_print_below(json_get(result, "not_captured"), rows_not_captured);
}
