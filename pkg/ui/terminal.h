/* What the terminal behind a file descriptor can show. */
#ifndef SIDESNAP_UI_TERMINAL_H
#define SIDESNAP_UI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

/* terminal_width(fd): Columns (COLUMNS, else as the terminal says, else 80); 0 when it is none. */
size_t terminal_width(int fd);

/* terminal_is_capable(fd): A terminal that can redraw a line: TERM is set and not "dumb". */
bool terminal_is_capable(int fd);

/* terminal_has_colour(fd): Capable, and NO_COLOR is empty or not set. */
bool terminal_has_colour(int fd);

/* terminal_size(fd, columns, rows): False where it is none, or does not tell. */
bool terminal_size(int fd, unsigned *columns, unsigned *rows);

/* A terminal that hands on every key, Ctrl-C too. */
struct terminal_mode;

/* terminal_make_raw(fd): NULL where that cannot be. */
struct terminal_mode *terminal_make_raw(int fd);
void terminal_restore(struct terminal_mode *mode); /* as it was before; frees it; NULL ok */
CLEANUP_DEFINE(struct terminal_mode, terminal_restore)

enum colour {
	COLOUR_NONE,
	COLOUR_BOLD,
	COLOUR_FAINT,
	COLOUR_RED,
	COLOUR_YELLOW,
	COLOUR_GREEN,
	COLOUR_BLUE,
	COLOUR_MAGENTA,
	COLOUR_CYAN,
};

/* colour_on(colour, enabled), colour_off(): The escape sequences; "" when not enabled. */
const char *colour_on(enum colour colour, bool enabled);
const char *colour_off(enum colour colour, bool enabled);

#endif
