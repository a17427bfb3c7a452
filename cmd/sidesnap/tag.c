/* sidesnap tag: another name for a snapshot. */
#include <stdio.h>

#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

int verb_tag_run(struct command *command, struct json **result, struct error **err)
{
	return snapshot_tag(&command->session, verb_argument(command, 0), verb_argument(command, 1),
			    options_has(&command->options, "force"), result, err);
}

void verb_tag_print(const struct command *command, const struct json *result)
{
	cleanup_free char *name = escape_text(json_string(result, "reference"));

	(void)command;
	puts(name);
}
