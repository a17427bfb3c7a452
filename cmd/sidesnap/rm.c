/* sidesnap rm: remove tags, and images with their last one. */
#include "project/set.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

int verb_rm_run(struct command *command, struct json **result, struct error **err)
{
	cleanup_free char *freed = NULL;

	if (set_remove(&command->session, &command->options.arguments,
		       options_has(&command->options, "force"), result, err) < 0)
		return -1;
	freed = present_size(*result, "freed_bytes");
	if (json_int(*result, "deleted_images"))
		progress_note(command->session.progress, "about %s freed", freed);
	return 0;
}

void verb_rm_print(const struct command *command, const struct json *result)
{
	(void)command;
	json_for_each(item, json_get(result, "removed")) {
		cleanup_free char *name = escape_text(json_string(item, NULL));

		printf("%s\n", name);
	}
}
