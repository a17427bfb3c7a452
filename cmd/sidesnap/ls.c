/* sidesnap ls: the snapshots that the engine has. */
#include <string.h>

#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

int verb_ls_run(struct command *command, struct json **result, struct error **err)
{
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

void verb_ls_print(const struct command *command, const struct json *result)
{
	CLEANUP(cleanup_table_free) struct table *table = table_new();

	if (command->quiet) {
		print_references(result);
		return;
	}
	table_column(table, "REFERENCE", TABLE_FLEXIBLE);
	table_column(table, "SOURCE", TABLE_FLEXIBLE);
	table_column(table, "CREATED", TABLE_LEFT);
	table_column(table, "DRIVER", TABLE_LEFT);
	table_column(table, "STATE", TABLE_LEFT);
	table_column(table, "DATA", TABLE_RIGHT);
	table_column(table, "STORED", TABLE_RIGHT);
	table_column(table, "TITLE", TABLE_FLEXIBLE);
	json_for_each(entry, result) {
		const struct json *references = json_get(entry, "references");
		cleanup_free char *names = present_names(references);
		cleanup_free char *age = present_age(json_string(entry, "created"));
		cleanup_free char *bytes = present_size(entry, "bytes");
		cleanup_free char *stored = present_size(entry, "stored");
		const char *kind = json_string_or(entry, "kind", "");

		table_cell(table, json_count(references) ? names : json_string(entry, "id"));
		table_cell(table, json_string(json_get(entry, "source"), "container"));
		table_cell(table, age);
		table_cell(table, text_or(json_string(entry, "driver"), "-"));
		table_cell(table, json_string_or(entry, "consistency", "-"));
		table_cell(table, bytes);
		table_cell(table, stored);
		if (!strcmp(kind, "safety"))
			table_cellf(table, "[safety] %s", json_string_or(entry, "title", ""));
		else
			table_cell(table, json_string(entry, "title"));
	}
	present_table(table);
}
