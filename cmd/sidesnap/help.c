/* sidesnap help [VERB]. */
#include "base/memory.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

int verb_unknown(const char *word, struct error **err)
{
	const char *names[64], *nearest;
	cleanup_free char *shown = escape_text(word);
	size_t count = 0;

	for (const struct verb *verb = verbs; verb->name && count < 64; verb++)
		if (!verb->hidden)
			names[count++] = verb->name;
	nearest = options_nearest(word, names, count);
	error_set(err, ERROR_USAGE, "unknown verb \"%s\"", shown);
	if (nearest)
		return error_hint(err, "did you mean %s?", nearest);
	return error_hint(err, "\"sidesnap --help\" lists the verbs");
}

int verb_help_run(struct command *command, struct json **result, struct error **err)
{
	const char *name = verb_argument(command, 0);
	const struct verb *verb = name ? verb_find(name) : NULL;

	(void)result;
	if (name && !verb)
		return verb_unknown(name, err);
	present_help(verb, stdout);
	return 0;
}
