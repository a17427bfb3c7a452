/*
 * Whether there is a terminal, how wide it is and whether colours are wanted
 * (https://no-color.org), asked for each stream on its own.
 */
#include "ui/terminal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

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
	};

	return enabled ? sequences[colour] : "";
}

const char *colour_off(enum colour colour, bool enabled)
{
	return enabled && colour != COLOUR_NONE ? "\033[0m" : "";
}
