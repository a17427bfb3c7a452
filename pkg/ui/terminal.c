/*
 * Whether there is a terminal, how wide it is and whether colours are wanted
 * (https://no-color.org), asked for each stream on its own.
 */
#include "ui/terminal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"

size_t terminal_width(int fd)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size = {0};
	uint64_t value;

	if (!isatty(fd))
		return 0;
	if (columns && text_parse_uint(columns, 10000, &value) && value >= 20)
		return (size_t)value;
	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

bool terminal_is_capable(int fd)
{
	const char *type = getenv("TERM");

	return isatty(fd) && type && *type && strcmp(type, "dumb") != 0;
}

bool terminal_has_colour(int fd)
{
	const char *unwanted = getenv("NO_COLOR");

	return terminal_is_capable(fd) && !(unwanted && *unwanted);
}

const char *colour_on(enum colour colour, bool enabled)
{
	static const char *const sequences[] = {
		[COLOUR_NONE] = "",	      [COLOUR_BOLD] = "\033[1m",
		[COLOUR_FAINT] = "\033[2m",   [COLOUR_RED] = "\033[1;31m",
		[COLOUR_YELLOW] = "\033[33m", [COLOUR_GREEN] = "\033[32m",
		[COLOUR_BLUE] = "\033[34m",   [COLOUR_MAGENTA] = "\033[35m",
		[COLOUR_CYAN] = "\033[36m",
	};

	return enabled ? sequences[colour] : "";
}

const char *colour_off(enum colour colour, bool enabled)
{
	return enabled && colour != COLOUR_NONE ? "\033[0m" : "";
}

bool terminal_size(int fd, unsigned *columns, unsigned *rows)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) != 0 || !size.ws_col || !size.ws_row)
		return false;
	*columns = size.ws_col;
	*rows = size.ws_row;
	return true;
}

struct terminal_mode {
	int fd;
	struct termios before;
};

struct terminal_mode *terminal_make_raw(int fd)
{
	struct terminal_mode *mode;
	struct termios raw;

	if (tcgetattr(fd, &raw) < 0)
		return NULL;
	mode = memory_zalloc(sizeof(*mode));
	mode->fd = fd;
	mode->before = raw;
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSADRAIN, &raw) == 0)
		return mode;
	free(mode);
	return NULL;
}

void terminal_restore(struct terminal_mode *mode)
{
	if (!mode)
		return;
	tcsetattr(mode->fd, TCSADRAIN, &mode->before);
	free(mode);
}
