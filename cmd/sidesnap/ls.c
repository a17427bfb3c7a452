/* sidesnap ls: the snapshots that the engine has, or a registry. */
#include <string.h>

#include "base/memory.h"
#include "project/set.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "registry.h"
#include "rows.h"
#include "verb.h"

const struct option ls_options_table[] = {
	REMOTE_OPTIONS("those of REPOSITORY at its registry; with :PATTERN of the tags that fit"),
	{.name = "sets", .help = "the sets, and which of their members are here"},
	{0},
};

int verb_ls_run(struct command *command, struct json **result, struct error **err)
{
	cleanup_free char *password = NULL;
	struct remote_options remote;
	int is_remote = registry_remote_take(command, &remote, &password, err);

	if (is_remote < 0)
		return -1;
	if (options_has(&command->options, "sets")) {
		if (is_remote || verb_argument(command, 0))
			return error_set(err, ERROR_USAGE,
					 "--sets is for all that are here: no TARGET, no --remote");
		return set_list(&command->session, result, err);
	}
	if (is_remote && !verb_argument(command, 0)) {
		error_set(err, ERROR_USAGE, "--remote needs the name of a repository");
		return error_hint(err, "as in: sidesnap ls --remote registry.example/team/db");
	}
	if (is_remote)
		return snapshot_list_remote(&command->session, verb_argument(command, 0), &remote,
					    result, err);
	return snapshot_list(&command->session, verb_argument(command, 0), result, err);
}

/* One line a reference; an image without a tag by its snapshot id. */
static void print_references(const struct json *result)
{
	json_for_each(entry, result) {
		const struct json *references = json_get(entry, "references");

		json_for_each(reference, references) {
			cleanup_free char *text = escape_text(json_string(reference, NULL));

			puts(text);
		}
		if (!json_count(references)) {
			cleanup_free char *text = escape_text(json_string(entry, "id"));

			puts(text);
		}
	}
}

static char *names_of(const struct json *entry, const char *key)
{
	const struct json *references = json_get(entry, key);

	return json_count(references) ? present_names(references)
				      : memory_strdup(json_string(entry, "id"));
}

static char *source_of(const struct json *entry, const char *key)
{
	return memory_strdup(json_string_or(json_get(entry, key), "container", ""));
}

static char *title_of(const struct json *entry, const char *key)
{
	(void)key;
	return present_title(entry);
}

/* The tag of the parent where it is in the list, else the parent's id. */
static void set_parent_name(struct json *entry, const struct json *list)
{
	const char *parent = json_string_or(entry, "parent", "");
	cleanup_free char *name = memory_strndup(*parent ? parent : "-", SHORT_ID);

	json_for_each(other, list) {
		const char *reference =
			json_string(json_first(json_get(other, "references")), NULL);

		if (*parent && reference && !strcmp(json_string_or(other, "id", ""), parent)) {
			const char *colon = strrchr(reference, ':');

			free(name);
			name = memory_strdup(colon ? colon + 1 : reference);
			break;
		}
	}
	json_set_string(entry, "parent", name);
}

static void print_remote(const struct json *result)
{
	static const struct row_column columns[] = {
		{"REFERENCE", TABLE_FLEXIBLE, "references", names_of},
		{"SOURCE", TABLE_FLEXIBLE, "source", source_of},
		{"CREATED", TABLE_LEFT, "created", rows_age},
		{"PARENT", TABLE_LEFT, "parent", NULL},
		{"DATA", TABLE_RIGHT, "bytes", present_size},
		{"STORED", TABLE_RIGHT, "stored", present_size},
		{"SIZE", TABLE_RIGHT, "size", present_size},
		{"TITLE", TABLE_FLEXIBLE, NULL, title_of},
		{NULL, TABLE_LEFT, NULL, NULL},
	};
	CLEANUP(cleanup_json_free) struct json *list = json_copy(result);

	json_for_each(entry, list)
		set_parent_name(entry, result);
	rows_print(list, columns);
}

/* "cache, db, web (not here)". */
static char *members_of(const struct json *entry, const char *key)
{
	CLEANUP(string_list_release) struct string_list names;

	string_list_init(&names);
	json_for_each(member, json_get(entry, key)) {
		bool is_here = json_count(json_get(member, "references")) > 0;
		cleanup_free char *name = memory_printf("%s%s", json_string_or(member, "name", "?"),
							is_here ? "" : " (not here)");

		string_list_add(&names, name);
	}
	return string_list_join(&names, ", ");
}

static void print_sets(const struct json *result)
{
	static const struct row_column columns[] = {
		{"SET", TABLE_FLEXIBLE, "references", names_of},
		{"PROJECT", TABLE_FLEXIBLE, "project", NULL},
		{"CREATED", TABLE_LEFT, "created", rows_age},
		{"STATE", TABLE_LEFT, "consistency", NULL},
		{"DATA", TABLE_RIGHT, "bytes", present_size},
		{"STORED", TABLE_RIGHT, "stored", present_size},
		{"MEMBERS", TABLE_FLEXIBLE, "members", members_of},
		{"TITLE", TABLE_FLEXIBLE, NULL, title_of},
		{NULL, TABLE_LEFT, NULL, NULL},
	};

	rows_print(result, columns);
}

void verb_ls_print(const struct command *command, const struct json *result)
{
	static const struct row_column columns[] = {
		{"REFERENCE", TABLE_FLEXIBLE, "references", names_of},
		{"SOURCE", TABLE_FLEXIBLE, "source", source_of},
		{"CREATED", TABLE_LEFT, "created", rows_age},
		{"DRIVER", TABLE_LEFT, "driver", NULL},
		{"STATE", TABLE_LEFT, "consistency", NULL},
		{"DATA", TABLE_RIGHT, "bytes", present_size},
		{"STORED", TABLE_RIGHT, "stored", present_size},
		{"TITLE", TABLE_FLEXIBLE, NULL, title_of},
		{NULL, TABLE_LEFT, NULL, NULL},
	};

	if (command->quiet)
		print_references(result);
	else if (options_has(&command->options, "sets"))
		print_sets(result);
	else if (options_has(&command->options, "remote"))
		print_remote(result);
	else
		rows_print(result, columns);
}
