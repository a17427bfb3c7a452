/* sidesnap help [VERB]. */
#include "present.h"
#include "verb.h"

int verb_help_run(struct command *command, struct json **result, struct error **err)
{
	const char *name = verb_argument(command, 0);
	const struct verb *verb = name ? verb_find(name) : NULL;

	(void)result;
	if (name && !verb) {
		error_set(err, ERROR_USAGE, "there is no verb \"%s\"", name);
		return error_hint(err, "\"sidesnap help\" lists the verbs");
	}
	present_help(verb, stdout);
	return 0;
}
