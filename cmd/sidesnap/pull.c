/* sidesnap pull: snapshots from a registry. */
#include "base/cleanup.h"

#include "registry.h"
#include "verb.h"

const struct option pull_options_table[] = {
	REGISTRY_OPTIONS,
	{0},
};

int verb_pull_run(struct command *command, struct json **result, struct error **err)
{
	cleanup_free char *password = NULL;
	struct registry_login login;

	if (registry_login_take(command, &login, &password, err) < 0)
		return -1;
	return snapshot_pull(&command->session, &command->options.arguments, &login, result, err);
}

void verb_pull_print(const struct command *command, const struct json *result)
{
	registry_print(command, json_get(result, "pulled"));
}
