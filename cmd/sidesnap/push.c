/* sidesnap push: snapshots to a registry. */
#include <string.h>

#include "base/cleanup.h"
#include "project/set.h"

#include "registry.h"
#include "verb.h"

const struct option push_options_table[] = {
	{.name = "to",
	 .type = OPTION_TEXT,
	 .value = "REPOSITORY[:TAG]",
	 .help = "what to call it at the registry; without :TAG each keeps the tag that it has"},
	{.name = "lineage",
	 .help = "the snapshots that it came from as well, under the same repository"},
	REGISTRY_OPTIONS,
	{0},
};

int verb_push_run(struct command *command, struct json **result, struct error **err)
{
	cleanup_free char *password = NULL;
	struct push_options options = {
		.references = &command->options.arguments,
		.to = options_text(&command->options, "to"),
		.lineage = options_has(&command->options, "lineage"),
	};

	if (registry_login_take(command, &options.login, &password, err) < 0)
		return -1;
	return set_push(&command->session, &options, result, err);
}

void verb_push_print(const struct command *command, const struct json *result)
{
	registry_print(command, json_get(result, "pushed"));
}
