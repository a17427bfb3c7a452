/* sidesnap rm: remove tags, and images with their last one. */
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

int verb_rm_run(struct command *command, struct json **result, struct error **err)
{
	return snapshot_remove(&command->session, &command->options.arguments,
			       options_has(&command->options, "force"), result, err);
}

void verb_rm_print(const struct command *command, const struct json *result)
{
	(void)command;
	json_for_each(item, json_get(result, "removed")) {
		cleanup_free char *name = escape_text(json_string(item, NULL));

		printf("%s\n", name);
	}
}
