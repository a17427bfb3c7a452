/*
 * One line that is redrawn on a terminal, plain lines elsewhere. What is shown never
 * costs the work time: updates that nobody takes are dropped (ui/output.h).
 */
#include "ui/progress.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "ui/escape.h"
#include "ui/output.h"
#include "ui/terminal.h"

#define REDRAW_MS 100
#define PLAIN_MS 10000

struct progress {
	enum verbosity verbosity;
	const struct progress_sink *sink; /* NULL: it is shown here */
	struct output output;
	bool redraws, colours;
	bool drawn; /* a line stands on the terminal that must be cleared first */
	char *phase;
	uint64_t files, bytes, total;
	uint64_t phase_began, last_shown; /* monotonic milliseconds */
};

struct progress *progress_new(enum verbosity verbosity)
{
	struct progress *progress = memory_zalloc(sizeof(*progress));

	progress->verbosity = verbosity;
	progress->redraws = terminal_is_capable(STDERR_FILENO);
	progress->colours = terminal_has_colour(STDERR_FILENO);
	output_init(&progress->output, STDERR_FILENO);
	return progress;
}

struct progress *progress_new_relay(const struct progress_sink *sink)
{
	struct progress *progress = memory_zalloc(sizeof(*progress));

	progress->sink = sink;
	output_init(&progress->output, STDERR_FILENO);
	return progress;
}

/* The line of the phase without its end: "reading db: 1.2 GiB of 3 GiB (40%), 95 MiB/s". */
static char *describe(const struct progress *progress)
{
	uint64_t now = clock_monotonic_ms(), elapsed = now - progress->phase_began;
	cleanup_free char *bytes = text_format_size(progress->bytes);
	cleanup_free char *total = text_format_size(progress->total);
	cleanup_free char *rate = NULL;
	struct buffer line;

	buffer_init(&line, 4096);
	buffer_append_string(&line, progress->phase);
	if (progress->bytes || progress->total) {
		buffer_printf(&line, ": %s", bytes);
		if (progress->total && progress->total >= progress->bytes)
			buffer_printf(&line, " of %s (%u%%)", total,
				      (unsigned)((double)progress->bytes * 100.0 /
						 (double)progress->total));
	}
	if (progress->files)
		buffer_printf(&line, ", %llu file%s", (unsigned long long)progress->files,
			      progress->files == 1 ? "" : "s");
	if (progress->bytes && elapsed >= 500) {
		rate = text_format_size(
			(uint64_t)((double)progress->bytes * 1000.0 / (double)elapsed));
		buffer_printf(&line, ", %s/s", rate);
	}
	return buffer_steal(&line);
}

static void redraw(struct progress *progress)
{
	cleanup_free char *line = describe(progress), *clipped = NULL, *drawn = NULL;
	size_t width = terminal_width(STDERR_FILENO);

	/* The last column stays free: some terminals wrap as soon as it is filled. */
	clipped = escape_clip(line, width > 1 ? width - 1 : 79);
	drawn = memory_printf("\r%s\033[K", clipped);
	progress->last_shown = clock_monotonic_ms();
	if (output_offer(&progress->output, drawn, strlen(drawn)))
		progress->drawn = true;
}

static void keep_line(struct progress *progress, const char *line)
{
	cleanup_free char *text = memory_printf("%s%s\n", progress->drawn ? "\r\033[K" : "", line);

	output_keep(&progress->output, text, strlen(text));
	progress->drawn = false;
}

static void show(struct progress *progress, bool phase_begins)
{
	if (!progress->phase || progress->verbosity == VERBOSITY_QUIET)
		return;
	if (progress->redraws) {
		if (phase_begins || clock_monotonic_ms() - progress->last_shown >= REDRAW_MS)
			redraw(progress);
	} else if (phase_begins || clock_monotonic_ms() - progress->last_shown >= PLAIN_MS) {
		cleanup_free char *line = describe(progress);

		progress->last_shown = clock_monotonic_ms();
		keep_line(progress, line);
	}
}

void progress_phase(struct progress *progress, const char *format, ...)
{
	cleanup_free char *text = NULL, *phase = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = memory_vprintf(format, arguments);
	va_end(arguments);
	if (progress->sink) {
		progress->sink->phase(progress->sink->context, text);
		return;
	}
	phase = escape_text(text);
	if (progress->phase && strcmp(progress->phase, phase) == 0)
		return;
	free(progress->phase);
	progress->phase = STEAL_POINTER(phase);
	progress->files = progress->bytes = progress->total = 0;
	progress->phase_began = clock_monotonic_ms();
	show(progress, true);
}

static void clear_line(struct progress *progress)
{
	if (progress->drawn)
		output_keep(&progress->output, "\r\033[K", 4);
	progress->drawn = false;
}

void progress_end(struct progress *progress)
{
	free(STEAL_POINTER(progress->phase));
	clear_line(progress);
}

void progress_update(struct progress *progress, uint64_t files, uint64_t bytes, uint64_t total)
{
	if (progress->sink) {
		progress->sink->update(progress->sink->context, files, bytes, total);
		return;
	}
	progress->files = files;
	progress->bytes = bytes;
	progress->total = total;
	show(progress, false);
}

static void show_line(struct progress *progress, enum progress_line kind, const char *text)
{
	static const struct {
		const char *before;
		enum colour colour;
	} looks[] = {
		[PROGRESS_NOTE] = {"", COLOUR_NONE},
		[PROGRESS_WARNING] = {"warning: ", COLOUR_YELLOW},
		[PROGRESS_DETAIL] = {"", COLOUR_FAINT},
	};
	cleanup_free char *escaped = escape_lines(text);
	cleanup_free char *line = memory_printf(
		"%s%s%s%s", colour_on(looks[kind].colour, progress->colours), looks[kind].before,
		colour_off(looks[kind].colour, progress->colours), escaped);

	keep_line(progress, line);
	if (progress->redraws && progress->phase && progress->verbosity != VERBOSITY_QUIET)
		redraw(progress);
}

void progress_line(struct progress *progress, enum progress_line kind, const char *text)
{
	if (progress->sink)
		progress->sink->line(progress->sink->context, kind, text);
	else if (kind == PROGRESS_WARNING ||
		 (kind == PROGRESS_NOTE && progress->verbosity != VERBOSITY_QUIET) ||
		 progress->verbosity == VERBOSITY_VERBOSE)
		show_line(progress, kind, text);
}

static void format_line(struct progress *progress, enum progress_line kind, const char *format,
			va_list arguments)
{
	cleanup_free char *text = memory_vprintf(format, arguments);

	progress_line(progress, kind, text);
}

void progress_note(struct progress *progress, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	format_line(progress, PROGRESS_NOTE, format, arguments);
	va_end(arguments);
}

void progress_warn(struct progress *progress, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	format_line(progress, PROGRESS_WARNING, format, arguments);
	va_end(arguments);
}

void progress_detail(struct progress *progress, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	format_line(progress, PROGRESS_DETAIL, format, arguments);
	va_end(arguments);
}

void progress_free(struct progress *progress)
{
	if (!progress)
		return;
	/* The line was about what goes on; nothing does any more. */
	clear_line(progress);
	output_release(&progress->output);
	free(progress->phase);
	free(progress);
}
