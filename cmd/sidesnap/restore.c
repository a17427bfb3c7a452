/*
 * sidesnap restore: a word that people try first and that could mean three things, two
 * of which overwrite data. They are asked to say which.
 */
#include "present.h"
#include "verb.h"

int verb_restore_run(struct command *command, struct json **result, struct error **err)
{
	(void)command;
	(void)result;
	error_set(err, ERROR_USAGE, "restore could mean several things; say which");
	return error_hint(
		err, "sidesnap reset CONTAINER [REF]: put a container's data back, and nothing "
		     "else\n      sidesnap replace CONTAINER REF: put a container back into a "
		     "snapshot's state\n      sidesnap run REF: boot a snapshot beside what "
		     "runs");
}
