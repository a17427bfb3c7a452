/* sidesnap dump: the database's own dump, to standard output or a file that is there only when it is whole. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/part_file.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

const struct option dump_options_table[] = {
	{.name = "output",
	 .letter = 'o',
	 .type = OPTION_TEXT,
	 .value = "FILE",
	 .otherwise = "-, standard output",
	 .help = "where to; the name appears only when the dump is whole and on the disk",
	 .completion = COMPLETE_FILES},
	{.name = "database",
	 .type = OPTION_TEXT,
	 .value = "NAME",
	 .help = "of this database alone, not of the whole server"},
	{.name = "driver",
	 .type = OPTION_TEXT,
	 .value = "NAME",
	 .otherwise = "that of the container",
	 .help = "by this driver",
	 .completion = COMPLETE_DRIVERS},
	{0},
};

/* Unbuffered: who reads the pipe gets what there is. ${context}: whether that was something. */
static int write_out(void *context, const void *data, size_t size, struct error **err)
{
	bool *has_written = context;

	*has_written = true;
	if (io_write_full(STDOUT_FILENO, data, size) < 0)
		return error_set_errno(err, errno, "cannot write to standard output");
	return 0;
}

static int write_file(void *context, const void *data, size_t size, struct error **err)
{
	return part_file_write(context, data, size, err);
}

static void report(const struct command *command, const struct json *done)
{
	struct progress *progress = command->session.progress;
	const char *warnings = json_string_or(done, "warnings", "");
	cleanup_free char *bytes = present_size(done, "bytes");
	cleanup_free char *took = clock_format_duration((uint64_t)json_int(done, "duration_ms"));
	cleanup_free char *version = escape_text(json_string(done, "version"));

	progress_end(progress);
	if (*warnings) {
		cleanup_free char *text = escape_lines(warnings);

		progress_warn(progress, "%s says:\n%s", json_string_or(done, "driver", ""), text);
	}
	progress_note(progress, "%s %s: %s in %s", json_string_or(done, "driver", ""), version,
		      bytes, took);
}

/* NULL: standard output, which many know as "-". */
static const char *output_path(const struct command *command)
{
	const char *path = options_text(&command->options, "output");

	return path && strcmp(path, "-") != 0 ? path : NULL;
}

static int check_output(const struct command *command, const char *file, struct error **err)
{
	if (file)
		return 0;
	if (command->json)
		return error_set(err, ERROR_USAGE,
				 "the dump is on standard output: give -o FILE, or leave --json "
				 "out");
	if (isatty(STDOUT_FILENO)) {
		error_set(err, ERROR_USAGE, "a dump is nothing for a terminal");
		return error_hint(err, "write it to a file: -o FILE, or > FILE");
	}
	return 0;
}

/* Who reads a pipe has got something all the same. */
static int worth_nothing(struct error **err)
{
	cleanup_free char *hint = err && *err ? memory_strdup((*err)->hint) : NULL;

	return error_hint(err, "%s%swhat was written to standard output is worth nothing",
			  text_or(hint, ""), hint ? "; " : "");
}

int verb_dump_run(struct command *command, struct json **result, struct error **err)
{
	const char *path = output_path(command);
	bool has_written = false;
	CLEANUP(cleanup_part_file_free) struct part_file *file = NULL;
	CLEANUP(cleanup_json_free) struct json *done = NULL;
	struct dump_options options = {
		.target = verb_argument(command, 0),
		.driver = options_text(&command->options, "driver"),
		.database = options_text(&command->options, "database"),
		.output = write_out,
		.context = &has_written,
	};

	if (check_output(command, path, err) < 0)
		return -1;
	if (path) {
		file = part_file_open(path, err);
		if (!file)
			return -1;
		options.output = write_file;
		options.context = file;
	}
	if (snapshot_dump(&command->session, &options, &done, err) < 0)
		return has_written ? worth_nothing(err) : -1;
	if (file && part_file_finish(file, err) < 0)
		return -1;
	report(command, done);
	if (path) {
		json_set_string(done, "file", path);
		*result = STEAL_POINTER(done);
	}
	return 0;
}

void verb_dump_print(const struct command *command, const struct json *result)
{
	(void)command;
	(void)result;
}
