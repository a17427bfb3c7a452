/* sidesnap ls: the snapshots that the engine has. */
#include <string.h>

#include "base/memory.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "rows.h"
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
	else
		rows_print(result, columns);
}
