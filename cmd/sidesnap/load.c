/* sidesnap load: a dump into a running server. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "restoring.h"
#include "verb.h"

const struct option load_options_table[] = {
	{.name = "input",
	 .letter = 'i',
	 .type = OPTION_TEXT,
	 .value = "FILE",
	 .otherwise = "-, standard input",
	 .help = "the dump",
	 .completion = COMPLETE_FILES},
	{.name = "database",
	 .type = OPTION_TEXT,
	 .value = "NAME",
	 .help = "it is a dump of this database alone"},
	{.name = "driver",
	 .type = OPTION_TEXT,
	 .value = "NAME",
	 .otherwise = "that of the container",
	 .help = "by this driver",
	 .completion = COMPLETE_DRIVERS},
	RESTORING_NO_SAFETY,
	{.name = "yes", .letter = 'y', .help = "agree to what would be asked"},
	{0},
};

static ssize_t read_in(void *context, void *data, size_t size, struct error **err)
{
	const int *fd = context;

	for (;;) {
		ssize_t count = read(*fd, data, size);

		if (count >= 0)
			return count;
		if (errno != EINTR)
			return error_set_errno(err, errno, "cannot read the dump");
	}
}

static int open_input(const char *path, uint64_t *total, struct error **err)
{
	struct stat status;
	int fd;

	if (!path || strcmp(path, "-") == 0) {
		if (path || !isatty(STDIN_FILENO))
			return STDIN_FILENO;
		error_set(err, ERROR_USAGE, "no dump is given");
		return error_hint(err, "-i FILE, or < FILE");
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		*total = (uint64_t)status.st_size;
	return fd;
}

int verb_load_run(struct command *command, struct json **result, struct error **err)
{
	const char *path = options_text(&command->options, "input");
	struct load_options options = {
		.target = verb_argument(command, 0),
		.driver = options_text(&command->options, "driver"),
		.database = options_text(&command->options, "database"),
		.no_safety = options_has(&command->options, "no-safety"),
		.input = read_in,
	};
	int fd = -1, status;

	options.reference = verb_argument(command, 1);
	if (options.reference && path)
		return error_set(err, ERROR_USAGE, "REF and --input exclude each other");
	if (!options.reference) {
		fd = open_input(path, &options.total, err);
		if (fd < 0)
			return -1;
	}
	options.context = &fd;
	status = snapshot_load(&command->session, &options, result, err);
	if (fd > STDIN_FILENO)
		close(fd);
	if (status < 0 && options.reference && access(options.reference, F_OK) == 0)
		error_hint(err, "if \"%s\" is the file with the dump: -i %s", options.reference,
			   options.reference);
	progress_end(command->session.progress);
	if (status == 0 && *json_string_or(*result, "safety", ""))
		progress_note(command->session.progress,
			      "the state before is in %s; to return to it: sidesnap undo %s",
			      json_string_or(*result, "safety", ""),
			      json_string_or(*result, "target", ""));
	return status;
}

void verb_load_print(const struct command *command, const struct json *result)
{
	cleanup_free char *target = escape_text(json_string(result, "target"));
	cleanup_free char *bytes = present_size(result, "bytes");
	cleanup_free char *took = clock_format_duration((uint64_t)json_int(result, "duration_ms"));

	(void)command;
	printf("%s: %s loaded in %s\n", target, bytes, took);
}
