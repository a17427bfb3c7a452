/* sidesnap reset: the same container with a snapshot's data. */
#include "base/memory.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "restoring.h"
#include "verb.h"

const struct option reset_options_table[] = {
	RESTORING_YES,	     {.name = "no-start", .help = "leave the container stopped"},
	RESTORING_NO_SAFETY, RESTORING_FINISH,
	RESTORING_TIMEOUT,   {0},
};

int verb_reset_run(struct command *command, struct json **result, struct error **err)
{
	struct restore_options options;

	restoring_options(command, &options);
	if (snapshot_reset(&command->session, &options, result, err) < 0)
		return -1;
	restoring_report(command, *result);
	return 0;
}

void verb_reset_print(const struct command *command, const struct json *result)
{
	restoring_print(command, result);
}
