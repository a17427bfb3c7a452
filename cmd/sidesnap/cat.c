/*
 * sidesnap cat: a file of a snapshot. A terminal sees it escaped, since it may be anybody's;
 * everything else gets its bytes.
 */
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "snapshot/snapshot.h"
#include "ui/escape.h"

#include "present.h"
#include "verb.h"

#define LINE_MAX_SIZE (64U << 10)

/* Text for a terminal, line by line. */
struct screen {
	struct buffer line;
	bool is_terminal;
};

static void show_line(struct screen *screen)
{
	const char *text = screen->line.data, *end = text + screen->line.size;

	/* a NUL ends what can be escaped at once */
	while (screen->line.size && text <= end) {
		cleanup_free char *escaped = escape_lines(text);

		fputs(escaped, stdout);
		text += strlen(text);
		if (text < end)
			fputs("\\x00", stdout);
		text++;
	}
	buffer_clear(&screen->line);
}

static int show(void *context, const void *data, size_t size, struct error **err)
{
	struct screen *screen = context;
	const char *bytes = data;

	if (!screen->is_terminal) {
		fwrite(bytes, 1, size, stdout);
		return ferror(stdout) ? present_finish(err) : 0;
	}
	for (size_t i = 0; i < size; i++) {
		buffer_append(&screen->line, bytes + i, 1);
		if (bytes[i] == '\n' || screen->line.size >= LINE_MAX_SIZE)
			show_line(screen);
	}
	return ferror(stdout) ? present_finish(err) : 0;
}

int verb_cat_run(struct command *command, struct json **result, struct error **err)
{
	struct screen screen = {.is_terminal = isatty(STDOUT_FILENO)};
	int status;

	(void)result;
	if (command->json)
		return error_set(err, ERROR_USAGE,
				 "cat has no result but the file: leave --json out");
	buffer_init(&screen.line, LINE_MAX_SIZE + 64);
	status = snapshot_cat(&command->session, verb_argument(command, 0), show, &screen, err);
	show_line(&screen);
	buffer_release(&screen.line);
	return status;
}
