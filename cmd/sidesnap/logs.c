/* sidesnap logs: the logs of several containers as one, for people or a line of JSON each. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "engine/engine.h"
#include "project/project.h"
#include "ui/escape.h"
#include "ui/terminal.h"

#include "verb.h"

#define NAME_MIN 8

const struct option logs_options_table[] = {
	{.name = "follow", .letter = 'f', .help = "go on with what they write from now on"},
	{.name = "since",
	 .type = OPTION_TEXT,
	 .value = "TIME",
	 .help = "not what is older: 90s, 10m, 2h, 3d, or 2026-01-31T13:15:00Z"},
	{.name = "until",
	 .type = OPTION_TEXT,
	 .value = "TIME",
	 .help = "not what is younger, in the same way"},
	{.name = "tail",
	 .letter = 'n',
	 .type = OPTION_NUMBER,
	 .value = "COUNT",
	 .help = "only the last lines of each container"},
	{.name = "grep",
	 .letter = 'g',
	 .type = OPTION_TEXT,
	 .value = "PATTERN",
	 .help = "only lines that this extended regular expression fits"},
	{.name = "timestamps", .letter = 't', .help = "the time of each line before it"},
	{0},
};

struct printer {
	bool json, times, colours;
	struct string_list names; /* in the order in which they were seen: of each its colour */
	size_t width;
};

/* "\033[1;31m" and the like say nothing in a file, and belong to another line on a terminal. */
static void drop_colours(char *text)
{
	char *to = text;

	for (const char *from = text; *from;) {
		size_t size = from[0] == '\033' && from[1] == '['
				      ? 2 + strspn(from + 2, "0123456789;")
				      : 0;

		if (size && from[size] == 'm') {
			from += size + 1;
			continue;
		}
		*to++ = *from++;
	}
	*to = '\0';
}

static size_t place_of(struct printer *printer, const char *name)
{
	size_t width = escape_width(name);

	for (size_t i = 0; i < printer->names.count; i++)
		if (strcmp(printer->names.items[i], name) == 0)
			return i;
	string_list_add(&printer->names, name);
	if (width > printer->width)
		printer->width = width;
	return printer->names.count - 1;
}

static void print_person(struct printer *printer, const struct project_log_line *line)
{
	static const enum colour colours[] = {COLOUR_CYAN, COLOUR_YELLOW,  COLOUR_GREEN,
					      COLOUR_BLUE, COLOUR_MAGENTA, COLOUR_RED};
	cleanup_free char *name = escape_text(line->service ? line->service : line->name);
	cleanup_free char *copy = memory_strdup(line->text), *text = NULL;
	enum colour colour =
		colours[place_of(printer, name) % (sizeof(colours) / sizeof(colours[0]))];
	size_t width = escape_width(name);
	cleanup_free char *time = escape_text(printer->times ? line->time : "");

	drop_colours(copy);
	text = escape_lines(copy);
	printf("%s%s%*s |%s %s%s%s\n", colour_on(colour, printer->colours), name,
	       (int)(printer->width - width), "", colour_off(colour, printer->colours), time,
	       *time ? " " : "", text);
}

static void set_or_null(struct json *object, const char *key, const char *value)
{
	json_set(object, key, value ? json_new_string(value) : json_new_null());
}

static void print_json(const struct project_log_line *line)
{
	CLEANUP(cleanup_json_free) struct json *entry = json_new_object();
	cleanup_free char *text = NULL;

	json_set_string(entry, "time", line->time);
	set_or_null(entry, "project", line->project);
	set_or_null(entry, "service", line->service);
	json_set_string(entry, "container", line->name);
	json_set_string(entry, "stream", line->stream == 2 ? "stderr" : "stdout");
	json_set_bytes(entry, "text", line->text);
	text = json_print(entry, false);
	puts(text);
}

static int print_line(void *context, const struct project_log_line *line, struct error **err)
{
	struct printer *printer = context;

	if (printer->json)
		print_json(line);
	else
		print_person(printer, line);
	return ferror(stdout) ? error_set_errno(err, errno, "cannot write to standard output") : 0;
}

static int show_now(void *context, struct error **err)
{
	(void)context;
	if (fflush(stdout) == 0)
		return 0;
	return error_set_errno(err, errno, "cannot write to standard output");
}

int verb_logs_run(struct command *command, struct json **result, struct error **err)
{
	const struct options *options = &command->options;
	struct printer printer = {
		.json = command->json,
		.times = options_has(options, "timestamps"),
		.colours = terminal_has_colour(STDOUT_FILENO),
		.width = NAME_MIN,
	};
	const struct project_logs_options request = {
		.names = &options->arguments,
		.since = options_text(options, "since"),
		.until = options_text(options, "until"),
		.tail = options_number(options, "tail", LOG_TAIL_ALL),
		.pattern = options_text(options, "grep"),
		.follow = options_has(options, "follow"),
		.line = print_line,
		.idle = show_now,
		.context = &printer,
	};
	int status;

	(void)result;
	string_list_init(&printer.names);
	status = project_logs(&command->session, &request, err);
	string_list_release(&printer.names);
	return status;
}
