/* sidesnap verify: every hash of one snapshot. */
#include "base/text.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

int verb_verify_run(struct command *command, struct json **result, struct error **err)
{
	return snapshot_verify(&command->session, verb_argument(command, 0), result, err);
}

void verb_verify_print(const struct command *command, const struct json *result)
{
	cleanup_free char *name = escape_text(json_string(result, "reference"));
	cleanup_free char *bytes = present_size(result, "bytes");

	(void)command;
	printf("%s: whole: %lld packs, %lld chunks, %lld entries, %s\n", name,
	       (long long)json_int(result, "packs"), (long long)json_int(result, "chunks"),
	       (long long)json_int(result, "entries"), bytes);
}
