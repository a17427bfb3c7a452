/*
 * Strings, their lists and encodings. Encodings are here and not a library's
 * because the agent, which travels in every snapshot, uses them too.
 */
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/memory.h"

void string_list_init(struct string_list *list)
{
	list->items = NULL;
	list->count = 0;
}

void string_list_release(struct string_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	string_list_init(list);
}

char *string_list_add(struct string_list *list, const char *string)
{
	list->items = memory_array(list->items, list->count + 2, sizeof(*list->items));
	list->items[list->count] = memory_strdup(string);
	list->items[++list->count] = NULL;
	return list->items[list->count - 1];
}

void string_list_add_all(struct string_list *list, const struct string_list *other)
{
	for (size_t i = 0; i < other->count; i++)
		string_list_add(list, other->items[i]);
}

bool string_list_has(const struct string_list *list, const char *string)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i], string) == 0)
			return true;
	return false;
}

void string_list_split(struct string_list *list, const char *string, char separator)
{
	while (*string) {
		const char *end = strchrnul(string, separator);

		if (end != string) {
			char *part = memory_strndup(string, (size_t)(end - string));

			string_list_add(list, part);
			free(part);
		}
		string = *end ? end + 1 : end;
	}
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void string_list_sort(struct string_list *list)
{
	if (list->count)
		qsort(list->items, list->count, sizeof(*list->items), compare_strings);
}

char *string_list_join(const struct string_list *list, const char *separator)
{
	size_t size = 1, gap = strlen(separator);
	char *result, *end;

	for (size_t i = 0; i < list->count; i++)
		size += strlen(list->items[i]) + gap;
	result = end = memory_alloc(size);
	*end = '\0';
	for (size_t i = 0; i < list->count; i++) {
		if (i)
			end = stpcpy(end, separator);
		end = stpcpy(end, list->items[i]);
	}
	return result;
}

bool text_has_prefix(const char *string, const char *prefix)
{
	return strncmp(string, prefix, strlen(prefix)) == 0;
}

bool text_has_suffix(const char *string, const char *suffix)
{
	size_t length = strlen(string), tail = strlen(suffix);

	return length >= tail && strcmp(string + length - tail, suffix) == 0;
}

const char *text_or(const char *string, const char *otherwise)
{
	return string && *string ? string : otherwise;
}

bool text_parse_uint(const char *string, uint64_t maximum, uint64_t *value)
{
	uint64_t result = 0;

	if (!*string)
		return false;
	for (; *string; string++) {
		unsigned digit = (unsigned)(*string - '0');

		if (digit > 9 || result > (UINT64_MAX - digit) / 10)
			return false;
		result = result * 10 + digit;
	}
	if (result > maximum)
		return false;
	*value = result;
	return true;
}

bool text_parse_size(const char *string, uint64_t *value)
{
	static const char units[] = "kmgtp";
	char *end;
	double number;
	const char *unit;

	if (!isdigit((unsigned char)*string))
		return false;
	errno = 0;
	number = strtod(string, &end);
	if (errno || strpbrk(string, "xX"))
		return false;
	if (*end && (unit = strchr(units, tolower((unsigned char)*end))) != NULL) {
		for (const char *p = units; p <= unit; p++)
			number *= 1024;
		end++;
		if (tolower((unsigned char)end[0]) == 'i')
			end++;
	}
	if (tolower((unsigned char)end[0]) == 'b')
		end++;
	if (*end || number > 9e18)
		return false;
	*value = (uint64_t)number;
	return true;
}

char *text_format_size(uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;

	if (bytes < 1024)
		return memory_printf("%u B", (unsigned)bytes);
	for (value /= 1024; value >= 1023.95 && unit < 5; unit++)
		value /= 1024;
	return memory_printf(value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

char *text_hex(const void *data, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *bytes = data;
	char *result = memory_alloc(2 * size + 1);

	for (size_t i = 0; i < size; i++) {
		result[2 * i] = digits[bytes[i] >> 4];
		result[2 * i + 1] = digits[bytes[i] & 15];
	}
	result[2 * size] = '\0';
	return result;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool text_unhex(const char *string, void *data, size_t size)
{
	uint8_t *bytes = data;

	if (strlen(string) != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		int high = hex_digit(string[2 * i]), low = hex_digit(string[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static const char base64_common[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static char base64_digit(unsigned value, bool url)
{
	if (value < 62)
		return base64_common[value];
	if (value == 62)
		return url ? '-' : '+';
	return url ? '_' : '/';
}

char *text_base64(const void *data, size_t size, bool url)
{
	const uint8_t *bytes = data;
	char *result = memory_alloc((size + 2) / 3 * 4 + 1), *end = result;

	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i;
		uint32_t group = (uint32_t)bytes[i] << 16;

		if (left > 1)
			group |= (uint32_t)bytes[i + 1] << 8;
		if (left > 2)
			group |= bytes[i + 2];
		*end++ = base64_digit(group >> 18, url);
		*end++ = base64_digit(group >> 12 & 63, url);
		*end++ = left > 1 ? base64_digit(group >> 6 & 63, url) : '=';
		*end++ = left > 2 ? base64_digit(group & 63, url) : '=';
	}
	*end = '\0';
	return result;
}

static int base64_value(char c)
{
	const char *place;

	if (c == '+' || c == '-')
		return 62;
	if (c == '/' || c == '_')
		return 63;
	place = c ? strchr(base64_common, c) : NULL;
	return place ? (int)(place - base64_common) : -1;
}

uint8_t *text_unbase64(const char *string, size_t *size)
{
	size_t length = strlen(string), out = 0;
	uint32_t group = 0;
	unsigned bits = 0;
	uint8_t *result;

	while (length && string[length - 1] == '=')
		length--;
	if (length % 4 == 1)
		return NULL;
	result = memory_alloc(length * 3 / 4 + 1);
	for (size_t i = 0; i < length; i++) {
		int value = base64_value(string[i]);

		if (value < 0) {
			free(result);
			return NULL;
		}
		group = group << 6 | (uint32_t)value;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			result[out++] = (uint8_t)(group >> bits);
		}
	}
	result[out] = '\0';
	*size = out;
	return result;
}

char *text_random_hex(size_t bytes)
{
	uint8_t data[64];

	if (bytes > sizeof(data))
		bytes = sizeof(data);
	/* Up to 256 bytes are given whole, and only an ancient kernel refuses. */
	if (getrandom(data, bytes, 0) != (ssize_t)bytes)
		abort();
	return text_hex(data, bytes);
}

/* One '[...]' at *pattern against ${c}; moves *pattern behind it. */
static bool match_set(const char **pattern, char c)
{
	const char *p = *pattern + 1;
	bool negated = *p == '!' || *p == '^', found = false;

	if (negated)
		p++;
	for (bool first = true; *p && (first || *p != ']'); first = false) {
		char low = *p++, high = low;

		if (p[0] == '-' && p[1] && p[1] != ']') {
			high = p[1];
			p += 2;
		}
		found |= low <= c && c <= high;
	}
	*pattern = *p ? p + 1 : p;
	return c != '/' && found != negated;
}

bool text_match(const char *pattern, const char *path)
{
	for (; *pattern; path++) {
		if (*pattern == '*') {
			bool deep = pattern[1] == '*';

			pattern += deep ? 2 : 1;
			if (deep && *pattern == '/' && text_match(pattern + 1, path))
				return true;
			for (;; path++) {
				if (text_match(pattern, path))
					return true;
				if (!*path || (!deep && *path == '/'))
					return false;
			}
		}
		if (!*path)
			return false;
		if (*pattern == '[') {
			if (!match_set(&pattern, *path))
				return false;
			continue;
		}
		if (*pattern == '?' ? *path == '/' : *pattern != *path)
			return false;
		pattern++;
	}
	return !*path;
}

/* Number of bytes of the UTF-8 sequence at ${p}; 0: it is none. */
static size_t utf8_size(const unsigned char *p)
{
	size_t size = *p < 0x80	  ? 1
		      : *p < 0xc2 ? 0
		      : *p < 0xe0 ? 2
		      : *p < 0xf0 ? 3
		      : *p < 0xf5 ? 4
				  : 0;

	for (size_t i = 1; i < size; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
	    (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
		return 0;
	return size;
}

bool text_is_utf8(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t size;

	for (; *p; p += size) {
		size = utf8_size(p);
		if (!size)
			return false;
	}
	return true;
}
