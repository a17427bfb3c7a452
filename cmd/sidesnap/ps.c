/* sidesnap ps: containers as somebody who wants to snapshot them sees them. */
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/text.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "rows.h"
#include "verb.h"

int verb_ps_run(struct command *command, struct json **result, struct error **err)
{
	return snapshot_containers(&command->session, options_has(&command->options, "all"), result,
				   err);
}

/* "data:/var/lib/x, /srv (bind)": anonymous volumes have names that say nothing. */
static char *volumes_of(const struct json *entry, const char *key)
{
	struct buffer text;

	buffer_init(&text, 1U << 16);
	json_for_each(volume, json_get(entry, key)) {
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

static char *last_of(const struct json *entry, const char *key)
{
	const struct json *last = json_get(entry, key);
	cleanup_free char *age = present_age(json_string(last, "created"));

	return json_is_object(last)
		       ? memory_printf("%s (%s)", json_string_or(last, "reference", "-"), age)
		       : NULL;
}

void verb_ps_print(const struct command *command, const struct json *result)
{
	static const struct row_column columns[] = {
		{"NAME", TABLE_LEFT, "name", NULL},
		{"SERVICE", TABLE_LEFT, "service", NULL},
		{"STATE", TABLE_LEFT, "state", NULL},
		{"DRIVER", TABLE_LEFT, "driver", NULL},
		{"IMAGE", TABLE_FLEXIBLE, "image", NULL},
		{"LAST SNAPSHOT", TABLE_FLEXIBLE, "last_snapshot", last_of},
		{"VOLUMES", TABLE_FLEXIBLE, "volumes", volumes_of},
		{NULL, TABLE_LEFT, NULL, NULL},
	};

	if (!command->quiet) {
		rows_print(result, columns);
		return;
	}
	json_for_each(entry, result) {
		cleanup_free char *name = escape_text(json_string(entry, "name"));

		puts(name);
	}
}
