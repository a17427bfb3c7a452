/* sidesnap ps: containers as somebody who wants to snapshot them sees them. */
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/text.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

int verb_ps_run(struct command *command, struct json **result, struct error **err)
{
	return snapshot_containers(&command->session, options_has(&command->options, "all"), result,
				   err);
}

/* "data:/var/lib/x, /srv (bind)": anonymous volumes have names that say nothing. */
static char *volumes_of(const struct json *entry)
{
	struct buffer text;

	buffer_init(&text, 1U << 16);
	json_for_each(volume, json_get(entry, "volumes")) {
		const char *name = json_string_or(volume, "name", "");
		const char *path = json_string_or(volume, "path", "");
		const char *type = json_string_or(volume, "type", "volume");

		if (text.size)
			buffer_append_string(&text, ", ");
		if (strcmp(type, "volume") != 0)
			buffer_printf(&text, "%s (%s)", path, type);
		else if (strlen(name) == 64)
			buffer_append_string(&text, path);
		else
			buffer_printf(&text, "%s:%s", name, path);
	}
	if (!text.size)
		buffer_append_string(&text, "-");
	return buffer_steal(&text);
}

void verb_ps_print(const struct command *command, const struct json *result)
{
	CLEANUP(cleanup_table_free) struct table *table = table_new();

	if (command->quiet) {
		json_for_each(entry, result) {
			cleanup_free char *name = escape_text(json_string(entry, "name"));

			puts(name);
		}
		return;
	}
	table_column(table, "NAME", TABLE_LEFT);
	table_column(table, "SERVICE", TABLE_LEFT);
	table_column(table, "STATE", TABLE_LEFT);
	table_column(table, "DRIVER", TABLE_LEFT);
	table_column(table, "IMAGE", TABLE_FLEXIBLE);
	table_column(table, "LAST SNAPSHOT", TABLE_FLEXIBLE);
	table_column(table, "VOLUMES", TABLE_FLEXIBLE);
	json_for_each(entry, result) {
		const struct json *last = json_get(entry, "last_snapshot");
		cleanup_free char *volumes = volumes_of(entry);
		cleanup_free char *age = present_age(json_string(last, "created"));

		table_cell(table, json_string(entry, "name"));
		table_cell(table, text_or(json_string(entry, "service"), "-"));
		table_cell(table, json_string(entry, "state"));
		table_cell(table, text_or(json_string(entry, "driver"), "-"));
		table_cell(table, json_string(entry, "image"));
		if (json_is_object(last))
			table_cellf(table, "%s (%s)", json_string_or(last, "reference", "-"), age);
		else
			table_cell(table, "-");
		table_cell(table, volumes);
	}
	present_table(table);
}
