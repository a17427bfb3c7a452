/* sidesnap replace: a container put back into a snapshot's state. */
#include "snapshot/snapshot.h"

#include "restoring.h"
#include "verb.h"

const struct option replace_options_table[] = {
	RESTORING_YES,	     {.name = "no-start", .help = "leave the new container stopped"},
	RESTORING_NO_SAFETY, RESTORING_FINISH,
	RESTORING_TIMEOUT,   {0},
};

int verb_replace_run(struct command *command, struct json **result, struct error **err)
{
	struct restore_options options;

	restoring_options(command, &options);
	if (snapshot_replace(&command->session, &options, result, err) < 0)
		return -1;
	restoring_report(command, *result);
	return 0;
}

void verb_replace_print(const struct command *command, const struct json *result)
{
	restoring_print(command, result);
}
