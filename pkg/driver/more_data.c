/*
 * Data that lie outside of the data directory, where only the database knows: tablespaces, a log of its
 * own. What a container answers is a claim: it makes no mount of it that the container has not.
 */
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "driver/command.h"
#include "driver/driver.h"

#define TIMEOUT_MS 20000
#define DIRECTORIES_MAX 256
#define ANSWER_LIMIT 65536

static void take(struct string_list *directories, const char *answer)
{
	struct string_list lines;

	string_list_init(&lines);
	string_list_split(&lines, answer, '\n');
	for (size_t i = 0; i < lines.count && directories->count < DIRECTORIES_MAX; i++) {
		cleanup_free char *path = NULL;

		if (lines.items[i][0] != '/')
			continue;
		path = path_clean(lines.items[i]);
		/* all of a container is nobody's data directory */
		if (strcmp(path, "/") != 0 && !string_list_has(directories, path))
			string_list_add(directories, path);
	}
	string_list_release(&lines);
}

void driver_find_more_data(struct engine *engine, const char *id, struct driver_match *match)
{
	const struct json *definition = match->driver ? match->driver->definition : NULL;
	const struct json *commands = json_path(definition, "more_data", "any");
	enum command_result result = COMMAND_SKIPPED;
	struct values values;

	if (!commands || match->idle)
		return;
	if (values_open(&values, engine, id, definition, NULL) == 0) {
		json_for_each(command, commands) {
			CLEANUP(buffer_release) struct buffer answer;

			buffer_init(&answer, ANSWER_LIMIT);
			if (result != COMMAND_OK)
				result = command_run(&values, command, TIMEOUT_MS, &answer, NULL);
			if (result == COMMAND_OK)
				take(&match->data_directories, answer.data ? answer.data : "");
		}
	}
	values_release(&values);
}
