/*
 * sidesnap restore: a word that people try first and that could mean two things, one
 * of which replaces data. They are asked to say which.
 */
#include "present.h"
#include "verb.h"

int verb_restore_run(struct command *command, struct json **result, struct error **err)
{
	const char *reset =
		verb_find("reset") ? "sidesnap reset CONTAINER [REF]: only its data\n      " : "";

	(void)command;
	(void)result;
	error_set(err, ERROR_USAGE, "restore could mean several things; say which");
	return error_hint(
		err,
		"%ssidesnap replace CONTAINER REF: put a container back into a snapshot's "
		"state\n      sidesnap run REF: boot a snapshot beside what runs%s",
		reset,
		*reset ? ""
		       : "\n      (reset, which changes only the data in "
			 "place, is not in this version)");
}
