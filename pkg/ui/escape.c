/*
 * Names, titles and labels come from images that anybody may have made; a terminal
 * obeys what is in them. They are made harmless here, in one place.
 */
#include "ui/escape.h"

#include <stdbool.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"

struct range {
	unsigned first, last;
};

/* Controls, and characters without a shape of their own that reorder or hide others. */
static const struct range hidden[] = {
	{0x00, 0x1f},	  {0x7f, 0x9f},	    {0xad, 0xad},	{0x61c, 0x61c},	  {0x180e, 0x180e},
	{0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},	{0xfeff, 0xfeff}, {0xfff9, 0xfffb},
	{0xfdd0, 0xfdef}, {0xfffe, 0xffff}, {0xe0000, 0xe0fff},
};

static const struct range wide[] = {
	{0x1100, 0x115f},   {0x2e80, 0x303e},	{0x3041, 0xa4cf},   {0xac00, 0xd7a3},
	{0xf900, 0xfaff},   {0xfe30, 0xfe6f},	{0xff00, 0xff60},   {0xffe0, 0xffe6},
	{0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
};

static const struct range combining[] = {
	{0x300, 0x36f},	  {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},	{0x64b, 0x65f},
	{0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
};

#define IN(character, ranges) in_ranges(character, ranges, sizeof(ranges) / sizeof((ranges)[0]))

static bool in_ranges(unsigned character, const struct range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (character >= ranges[i].first && character <= ranges[i].last)
			return true;
	return false;
}

int escape_decode(const char *text, unsigned *character)
{
	static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *bytes = (const unsigned char *)text;
	int length;

	if (!bytes[0])
		return 0;
	if (bytes[0] < 0x80)
		length = 1;
	else if ((bytes[0] & 0xe0) == 0xc0)
		length = 2;
	else if ((bytes[0] & 0xf0) == 0xe0)
		length = 3;
	else if ((bytes[0] & 0xf8) == 0xf0)
		length = 4;
	else
		return -1;
	*character = length == 1 ? bytes[0] : bytes[0] & (0x7fU >> length);
	for (int i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return -1;
		*character = *character << 6 | (bytes[i] & 0x3fU);
	}
	if (*character < least[length] || *character > 0x10ffff ||
	    (*character >= 0xd800 && *character <= 0xdfff))
		return -1;
	return length;
}

static char *escape(const char *text, bool lines)
{
	struct buffer result;
	unsigned character = 0;

	if (!text)
		text = "";
	buffer_init(&result, strlen(text) * 4 + 1);
	while (*text) {
		int length = escape_decode(text, &character);
		bool plain = length > 0 && !IN(character, hidden);

		if (length < 1)
			length = 1;
		if (lines && *text == '\n')
			plain = true;
		if (lines && *text == '\t')
			buffer_append(&result, " ", 1);
		else if (plain)
			buffer_append(&result, text, (size_t)length);
		else
			for (int i = 0; i < length; i++)
				buffer_printf(&result, "\\x%02x", (unsigned char)text[i]);
		text += length;
	}
	return buffer_steal(&result);
}

char *escape_text(const char *text)
{
	return escape(text, false);
}

char *escape_lines(const char *text)
{
	return escape(text, true);
}

/* Bytes of the first character and, in *columns, its width. At least 1 byte. */
static size_t step(const char *text, size_t *columns)
{
	unsigned character = 0;
	int length = escape_decode(text, &character);

	*columns = 1;
	if (length < 1)
		return 1;
	if (IN(character, wide))
		*columns = 2;
	else if (IN(character, combining))
		*columns = 0;
	return (size_t)length;
}

size_t escape_width(const char *text)
{
	size_t width = 0, columns;

	while (*text) {
		text += step(text, &columns);
		width += columns;
	}
	return width;
}

char *escape_clip(const char *text, size_t columns)
{
	size_t dots = columns < 4 ? columns / 2 : 3, room = columns - dots, width = 0, used = 0;

	if (escape_width(text) <= columns)
		return memory_strdup(text);
	while (text[used]) {
		size_t one, length = step(text + used, &one);

		if (width + one > room)
			break;
		width += one;
		used += length;
	}
	return memory_printf("%.*s%.*s", (int)used, text, (int)dots, "...");
}
