/* sidesnap cp: files and folders out of a snapshot. */
#include <string.h>
#include <unistd.h>

#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

const struct option cp_options_table[] = {
	{.name = "archive",
	 .letter = 'a',
	 .help = "keep owners, set-id bits and extended attributes, too"},
	{.name = "follow-link", .letter = 'L', .help = "follow a symbolic link at the end of PATH"},
	{0},
};

static int write_out(void *context, const void *data, size_t size, struct error **err)
{
	(void)context;
	fwrite(data, 1, size, stdout);
	return ferror(stdout) ? present_finish(err) : 0;
}

int verb_cp_run(struct command *command, struct json **result, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *done = NULL;
	const char *destination = verb_argument(command, 1);
	struct copy_options options = {
		.source = verb_argument(command, 0),
		.destination = strcmp(destination, "-") == 0 ? NULL : destination,
		.archive = options_has(&command->options, "archive"),
		.follow = options_has(&command->options, "follow-link"),
		.output = write_out,
	};

	if (!options.destination && command->json)
		return error_set(err, ERROR_USAGE,
				 "the archive is on standard output: leave --json out");
	if (!options.destination && isatty(STDOUT_FILENO)) {
		error_set(err, ERROR_USAGE, "an archive is nothing for a terminal");
		return error_hint(err, "write it to a file, or into tar: ... - | tar -x");
	}
	if (snapshot_copy(&command->session, &options, &done, err) < 0)
		return -1;
	json_for_each(item, json_get(done, "skipped")) {
		cleanup_free char *text = escape_text(json_string(item, NULL));

		progress_warn(command->session.progress, "not made: %s", text);
	}
	if (options.destination)
		*result = STEAL_POINTER(done);
	return 0;
}

void verb_cp_print(const struct command *command, const struct json *result)
{
	cleanup_free char *bytes = present_size(result, "bytes");
	cleanup_free char *to = escape_text(json_string(result, "destination"));
	long long files = (long long)json_int(result, "files");

	if (!command->quiet)
		fprintf(stderr, "%lld %s, %s -> %s\n", files, files == 1 ? "file" : "files", bytes,
			to);
}
