/* sidesnap cancel: stop a create that no signal reaches. */
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

int verb_cancel_run(struct command *command, struct json **result, struct error **err)
{
	return snapshot_cancel(&command->session, verb_argument(command, 0), result, err);
}

void verb_cancel_print(const struct command *command, const struct json *result)
{
	cleanup_free char *name = escape_text(json_string(result, "target"));

	(void)command;
	printf("%s: the create was stopped\n", name);
}
