/* sidesnap undo: back to before the last reset or replace. */
#include "snapshot/snapshot.h"

#include "restoring.h"
#include "verb.h"

const struct option undo_options_table[] = {
	RESTORING_YES,
	{.name = "no-start", .help = "leave the container stopped"},
	RESTORING_TIMEOUT,
	{0},
};

int verb_undo_run(struct command *command, struct json **result, struct error **err)
{
	struct restore_options options;

	restoring_options(command, &options);
	if (snapshot_undo(&command->session, &options, result, err) < 0)
		return -1;
	restoring_report(command, *result);
	return 0;
}

void verb_undo_print(const struct command *command, const struct json *result)
{
	restoring_print(command, result);
}
