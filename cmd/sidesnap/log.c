/* sidesnap log: how a state came to be, with room for what people have written about it. */
#include <string.h>

#include "base/memory.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

int verb_log_run(struct command *command, struct json **result, struct error **err)
{
	return snapshot_log(&command->session, verb_argument(command, 0), result, err);
}

static void log_line(const char *name, const char *value)
{
	cleanup_free char *escaped = escape_text(value);

	if (*escaped)
		printf("%-10s %s\n", name, escaped);
}

/* Below an empty line, indented. */
static void log_text(const char *text)
{
	cleanup_free char *escaped = escape_lines(text);
	char *rest = escaped, *line;

	if (!*escaped)
		return;
	putchar('\n');
	while ((line = strsep(&rest, "\n")))
		printf(*line ? "    %s\n" : "\n", line);
}

static void log_entry(const struct json *entry)
{
	cleanup_free char *name = present_snapshot(entry);
	cleanup_free char *source = present_source(json_get(entry, "source"));
	cleanup_free char *when = present_time(json_string_or(entry, "created", "-"));
	cleanup_free char *bytes = present_size(entry, "bytes");
	cleanup_free char *stored = present_size(entry, "stored");
	cleanup_free char *data = memory_printf("%s, %s added", bytes, stored);
	cleanup_free char *now = present_names(json_get(entry, "current"));
	const char *kind = json_string_or(entry, "kind", "");
	const char *consistency = json_string_or(entry, "consistency", "");
	cleanup_free char *state = memory_printf("%s%s%s", consistency,
						 !strcmp(kind, "safety") ? ", safety snapshot" : "",
						 json_bool(entry, "pinned") ? ", pinned" : "");

	log_line("snapshot", name);
	log_line("id", json_string_or(entry, "id", ""));
	log_line("source", source);
	log_line("created", when);
	log_line("state", state);
	log_line("data", data);
	if (json_count(json_get(entry, "current")))
		log_line("now", now);
	log_text(json_string_or(entry, "title", ""));
	log_text(json_string_or(entry, "notes", ""));
}

/* What stands between it and the next, where something is missing there. */
static void log_gap(const struct json *entry)
{
	const char *state = json_string_or(entry, "parent_state", "");
	cleanup_free char *parent = escape_text(json_string_or(entry, "parent", ""));

	if (!strcmp(state, "absent"))
		printf("\n... its parent %.*s is not here\n", SHORT_ID, parent);
	else if (!strcmp(state, "looped"))
		printf("\n... its parent %.*s would come from it itself: that cannot be\n",
		       SHORT_ID, parent);
}

void verb_log_print(const struct command *command, const struct json *result)
{
	bool first = true;

	json_for_each(entry, result) {
		if (command->quiet) {
			const char *reference =
				json_string(json_first(json_get(entry, "references")), NULL);
			cleanup_free char *name =
				escape_text(reference ? reference : json_string(entry, "id"));

			puts(name);
			continue;
		}
		if (!first)
			putchar('\n');
		first = false;
		log_entry(entry);
		log_gap(entry);
	}
}
