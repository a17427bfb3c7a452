/*
 * What a driver refuses: a server that is a part of something (a cluster), so that
 * what one container holds, or dumps, would be no state of it that ever was.
 */
#include <string.h>

#include "driver/refuse.h"

/* "--x" is there as a word of its own or with a value behind "=". */
static bool has_option(const struct string_list *words, const struct json *options)
{
	for (size_t i = 0; i < words->count; i++) {
		json_for_each(option, options) {
			const char *name = json_string_or(option, NULL, "");
			size_t size = strlen(name);
			const char *word = words->items[i];

			if (strncmp(word, name, size) == 0 &&
			    (word[size] == '\0' || word[size] == '='))
				return true;
		}
	}
	return false;
}

static bool has_process(const struct string_list *words, const struct string_list *processes,
			const struct json *names)
{
	if (words->count && word_name_is(words->items[0], names))
		return true;
	for (size_t i = 0; i < processes->count; i++)
		if (process_name_is(processes->items[i], names))
			return true;
	return false;
}

const char *refusal_of(const struct json *definition, const struct values *values,
		       const struct string_list *processes)
{
	json_for_each(item, json_get(definition, "refuse")) {
		const struct json *when = json_get(item, "when");

		if (has_option(&values->words, json_get(when, "options")) ||
		    has_process(&values->words, processes, json_get(when, "processes")))
			return json_string(item, "reason");
	}
	return NULL;
}

int driver_check_refusal(const struct driver_match *match, const char *name, struct error **err)
{
	if (!match->refusal)
		return 0;
	error_set(err, ERROR_REFUSED, "container \"%s\" is refused by the driver \"%s\": %s", name,
		  match->driver->name, match->refusal);
	return error_hint(err,
			  "a container with the label sidesnap.driver=none is captured as files, "
			  "whatever they are worth");
}
