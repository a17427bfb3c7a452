/* sidesnap show: everything that is known of one snapshot. */
#include <string.h>

#include "base/memory.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

int verb_show_run(struct command *command, struct json **result, struct error **err)
{
	return snapshot_show(&command->session, verb_argument(command, 0), result, err);
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

static void print_trees(const struct json *result)
{
	CLEANUP(cleanup_table_free) struct table *table = table_new();

	table_column(table, "TREE", TABLE_LEFT);
	table_column(table, "NAME", TABLE_FLEXIBLE);
	table_column(table, "ENTRIES", TABLE_RIGHT);
	table_column(table, "SIZE", TABLE_RIGHT);
	table_column(table, "PATH", TABLE_FLEXIBLE);
	json_for_each(tree, json_get(result, "trees")) {
		cleanup_free char *size = present_size(tree, "bytes");
		cleanup_free char *path = present_tree_path(tree);

		table_cell(table, json_string(tree, "kind"));
		table_cell(table, text_or(json_string(tree, "name"), "-"));
		table_cellf(table, "%lld", (long long)json_int(tree, "entries"));
		table_cell(table, size);
		table_cell(table, path);
	}
	if (table_rows(table)) {
		putchar('\n');
		present_table(table);
	}
}

static void print_not_captured(const struct json *result)
{
	CLEANUP(cleanup_table_free) struct table *table = table_new();

	table_column(table, "NOT CAPTURED", TABLE_FLEXIBLE);
	table_column(table, "TYPE", TABLE_LEFT);
	table_column(table, "REASON", TABLE_FLEXIBLE);
	json_for_each(item, json_get(result, "not_captured")) {
		table_cell(table, json_string(item, "path"));
		table_cell(table, json_string(item, "type"));
		table_cell(table, json_string(item, "reason"));
	}
	if (table_rows(table)) {
		putchar('\n');
		present_table(table);
	}
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
	list_line("references", json_get(result, "references"));
	line("title", json_string(result, "title"));
	line("id", json_string(result, "id"));
	line("image", json_string(result, "image"));
	line("created", when);
	line("kind", json_string(result, "kind"));
	line("consistency", json_string(result, "consistency"));
	line("driver", json_string(result, "driver"));
	line("parent", json_string(result, "parent"));
	line("lineage", json_string(result, "lineage"));
	line("container", json_string(source, "container"));
	line("source image", json_string(source, "image"));
	line("project", json_string(source, "project"));
	line("service", json_string(source, "service"));
	line("data", bytes);
	line("stored", stored);
	line("image size", size);
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
	print_trees(result);
	print_not_captured(result);
}
