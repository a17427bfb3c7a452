/*
 * Text from images, containers and engines before a person's terminal sees it:
 * nothing in it may move the cursor, change colours or turn the line around.
 */
#ifndef SIDESNAP_UI_ESCAPE_H
#define SIDESNAP_UI_ESCAPE_H

#include <stddef.h>

/*
 * escape_text(text):
 * A copy, to be freed, with every byte of control characters (C0, DEL, C1), of
 * invisible and direction-changing characters and of invalid UTF-8 as \xNN.
 * NULL gives "".
 */
char *escape_text(const char *text);

/*
 * escape_lines(text):
 * The same for text of several lines: newlines stay, and tabs become a space.
 */
char *escape_lines(const char *text);

/* escape_width(text): Terminal columns of valid UTF-8: wide characters 2, combining ones 0. */
size_t escape_width(const char *text);

/*
 * escape_clip(text, columns):
 * A copy, to be freed, of at most ${columns} columns; what was cut ends in "..."
 * (fewer dots below 4 columns).
 */
char *escape_clip(const char *text, size_t columns);

/*
 * escape_decode(text, character):
 * The first character of ${text}, checked strictly (no overlong forms, surrogates, or
 * values above U+10FFFF). Returns its length in bytes, 0 at the end, -1 for an invalid byte.
 */
int escape_decode(const char *text, unsigned *character);

#endif
