/*
 * A tool's own form is told by expressions: which line begins a record, which ones hold its fields,
 * and how what they hold is quoted. So one rule does for what is printed as a list of names and
 * values, as LDIF, or as JSON with a line a value, and nothing here knows a tool.
 */
#include "driver/lines.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "store/hash.h"

#define GROUPS 5
/* Of a value in the text that tells rows apart; the rest by its hash. */
#define CONTENT_MAX 4096

enum quoting {
	AS_TEXT,
	AS_QUOTED,
	AS_BASE64,
};

struct line_rule {
	regex_t line;
	enum quoting quoting;
	bool begins, is_secret;
};

struct lines {
	struct line_rule *rules;
	size_t count;
	regex_t ignore;
	bool ignores;
	bool is_folded; /* a line that begins with a blank goes on with the one before */
	bool is_each;	/* each line is a record, behind what the line holds that began it */
	struct buffer line;
	bool has_line;	      /* it has come to its end */
	struct buffer record; /* the fields so far, a tab behind each */
	bool is_begun;
};

struct lines *lines_new(const struct json *format)
{
	struct lines *lines = memory_zalloc(sizeof(*lines));
	const char *ignore = json_string(format, "ignore");

	buffer_init(&lines->line, LINES_LINE_MAX);
	buffer_init(&lines->record, LINES_RECORD_MAX);
	lines->ignores = ignore && regcomp(&lines->ignore, ignore, REG_EXTENDED | REG_NOSUB) == 0;
	lines->is_folded = json_bool(format, "folded");
	lines->is_each = json_bool(format, "each");
	lines->rules = memory_array(NULL, json_count(json_get(format, "lines")) + 1,
				    sizeof(*lines->rules));
	json_for_each(item, json_get(format, "lines")) {
		struct line_rule *rule = &lines->rules[lines->count];
		const char *as = json_string_or(item, "as", "");

		if (regcomp(&rule->line, json_string_or(item, "line", ""), REG_EXTENDED) != 0)
			continue;
		rule->quoting = strcmp(as, "quoted") == 0   ? AS_QUOTED
				: strcmp(as, "base64") == 0 ? AS_BASE64
							    : AS_TEXT;
		rule->begins = json_bool(item, "begins");
		rule->is_secret = json_bool(item, "secret");
		lines->count++;
	}
	return lines;
}

void lines_free(struct lines *lines)
{
	if (!lines)
		return;
	for (size_t i = 0; i < lines->count; i++)
		regfree(&lines->rules[i].line);
	free(lines->rules);
	if (lines->ignores)
		regfree(&lines->ignore);
	buffer_release(&lines->line);
	buffer_release(&lines->record);
	free(lines);
}

/* ---- fields ---- */

void lines_append_field(struct buffer *records, const char *data, size_t size)
{
	size_t start = 0;

	for (size_t i = 0; i < size; i++) {
		const char *escaped = data[i] == '\\'	? "\\\\"
				      : data[i] == '\t' ? "\\t"
				      : data[i] == '\n' ? "\\n"
							: NULL;

		if (!escaped)
			continue;
		buffer_append(records, data + start, i - start);
		buffer_append(records, escaped, 2);
		start = i + 1;
	}
	buffer_append(records, data + start, size - start);
}

static void append_utf8(struct buffer *text, uint32_t code)
{
	char bytes[4];
	size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = size; i-- > 1; code >>= 6)
		bytes[i] = (char)(0x80 | (code & 0x3f));
	bytes[0] = (char)(first[size] | code);
	buffer_append(text, bytes, size);
}

/* ${digits} hexadecimal ones at *p, which moves behind them. */
static bool read_code(const char **p, const char *end, size_t digits, uint32_t *code)
{
	*code = 0;
	if ((size_t)(end - *p) < digits)
		return false;
	for (; digits; digits--, (*p)++) {
		static const char known[] = "0123456789abcdefABCDEF";
		const char *found = **p ? strchr(known, **p) : NULL;
		uint32_t value;

		if (!found)
			return false;
		value = (uint32_t)(found - known);
		*code = *code << 4 | (value < 16 ? value : value - 6);
	}
	return *code <= 0x10ffff;
}

static bool unquote_unicode(const char **p, const char *end, size_t digits, struct buffer *text)
{
	uint32_t code, low;

	if (!read_code(p, end, digits, &code))
		return false;
	/* JSON has what lies above U+FFFF in two halves. */
	if (code >= 0xd800 && code < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
		*p += 2;
		if (!read_code(p, end, 4, &low) || low < 0xdc00 || low > 0xdfff)
			return false;
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	}
	append_utf8(text, code);
	return true;
}

/* Behind a backslash, in JSON and in the languages that quote like C. */
static bool unquote_one(const char **p, const char *end, struct buffer *text)
{
	static const char letters[] = "abfnrtv\\\"'/", meant[] = "\a\b\f\n\r\t\v\\\"'/";
	char letter = *(*p)++;
	const char *found = letter ? strchr(letters, letter) : NULL;
	uint32_t code;

	if (found) {
		buffer_append(text, &meant[found - letters], 1);
		return true;
	}
	if (letter == 'x') {
		char byte;

		if (!read_code(p, end, 2, &code))
			return false;
		byte = (char)code;
		buffer_append(text, &byte, 1);
		return true;
	}
	return (letter == 'u' && unquote_unicode(p, end, 4, text)) ||
	       (letter == 'U' && unquote_unicode(p, end, 8, text));
}

static int unquote(const char *data, size_t size, struct buffer *text, struct error **err)
{
	const char *end = data + size - 1;

	for (const char *p = data + 1; p < end;) {
		const char *next = memchr(p, '\\', (size_t)(end - p));

		buffer_append(text, p, (size_t)((next ? next : end) - p));
		if (!next)
			break;
		p = next + 1;
		if (p == end || !unquote_one(&p, end, text))
			return error_set(err, ERROR_FAILED,
					 "a quoted text has a backslash before what means nothing");
	}
	return 0;
}

static int append_quoted(struct buffer *fields, const char *data, size_t size, struct error **err)
{
	CLEANUP(buffer_release) struct buffer text;

	buffer_init(&text, LINES_LINE_MAX);
	if (size < 2 || data[0] != '"' || data[size - 1] != '"') {
		if (size == 4 && memcmp(data, "null", 4) == 0)
			buffer_append(fields, "\\N", 2);
		else
			lines_append_field(fields, data, size);
		return 0;
	}
	if (unquote(data, size, &text, err) < 0)
		return -1;
	lines_append_field(fields, text.data, text.size);
	return 0;
}

static int append_base64(struct buffer *fields, const char *data, size_t size, struct error **err)
{
	cleanup_free char *text = memory_strndup(data, size);
	size_t decoded_size = 0;
	cleanup_free uint8_t *decoded = text_unbase64(text, &decoded_size);

	if (!decoded)
		return error_set(err, ERROR_FAILED, "a value is no base64");
	lines_append_field(fields, (const char *)decoded, decoded_size);
	return 0;
}

static void append_fingerprint(struct buffer *fields, const char *data, size_t size)
{
	struct hash hash;
	char text[HASH_HEX_SIZE];

	hash_data(&hash, data, size);
	hash_format(&hash, text);
	buffer_printf(fields, "one with fingerprint %.8s", text);
}

static int append_fields(struct lines *lines, const struct line_rule *rule,
			 const regmatch_t groups[GROUPS], struct buffer *fields, struct error **err)
{
	size_t last = GROUPS - 1;

	while (last && groups[last].rm_so < 0)
		last--;
	for (size_t i = 1; i <= last; i++) {
		const char *data;
		size_t size;
		int result = 0;

		if (groups[i].rm_so < 0)
			continue;
		data = lines->line.data + groups[i].rm_so;
		size = (size_t)(groups[i].rm_eo - groups[i].rm_so);
		if (i == last && rule->is_secret)
			append_fingerprint(fields, data, size);
		else if (i < last || rule->quoting == AS_TEXT)
			lines_append_field(fields, data, size);
		else if (rule->quoting == AS_QUOTED)
			result = append_quoted(fields, data, size, err);
		else
			result = append_base64(fields, data, size, err);
		if (result < 0)
			return -1;
		buffer_append(fields, "\t", 1);
	}
	return 0;
}

/* ---- records ---- */

/* Behind the last field is the end of the line. */
static void append_last(struct buffer *records, const struct buffer *fields)
{
	buffer_append(records, fields->data, fields->size ? fields->size - 1 : 0);
	buffer_append(records, "\n", 1);
}

static void end_record(struct lines *lines, struct buffer *records)
{
	if (lines->is_begun && !lines->is_each)
		append_last(records, &lines->record);
	lines->is_begun = false;
}

/* A text that tells rows apart, then what began it and what this line holds. */
static void add_each(const struct lines *lines, const struct buffer *fields, struct buffer *records)
{
	size_t size = fields->size < CONTENT_MAX ? fields->size : CONTENT_MAX;

	lines_append_field(records, lines->record.data, lines->record.size);
	lines_append_field(records, fields->data, size);
	if (size < fields->size) {
		struct hash hash;
		char text[HASH_HEX_SIZE];

		hash_data(&hash, fields->data, fields->size);
		hash_format(&hash, text);
		buffer_append_string(records, text);
	}
	buffer_append(records, "\t", 1);
	buffer_append(records, lines->record.data, lines->record.size);
	append_last(records, fields);
}

static int take_fields(struct lines *lines, const struct line_rule *rule,
		       const regmatch_t groups[GROUPS], struct buffer *records, struct error **err)
{
	CLEANUP(buffer_release) struct buffer fields;

	buffer_init(&fields, LINES_RECORD_MAX);
	if (rule->begins) {
		end_record(lines, records);
		buffer_clear(&lines->record);
		lines->is_begun = true;
		return append_fields(lines, rule, groups, &lines->record, err);
	}
	/* What comes before is the tool's own heading. */
	if (!lines->is_begun)
		return 0;
	if (!lines->is_each)
		return append_fields(lines, rule, groups, &lines->record, err);
	if (append_fields(lines, rule, groups, &fields, err) < 0)
		return -1;
	add_each(lines, &fields, records);
	return fields.failed ? error_set(err, ERROR_FAILED, "a record is too large") : 0;
}

static int take_line(struct lines *lines, struct buffer *records, struct error **err)
{
	const char *text = lines->line.data;
	regmatch_t groups[GROUPS];
	int result = 0;

	if (memchr(text, '\0', lines->line.size))
		return error_set(err, ERROR_FAILED, "a line of the output holds a NUL");
	if (lines->ignores && regexec(&lines->ignore, text, 0, NULL, 0) == 0)
		return 0;
	for (size_t i = 0; i < lines->count; i++)
		if (regexec(&lines->rules[i].line, text, GROUPS, groups, 0) == 0) {
			result = take_fields(lines, &lines->rules[i], groups, records, err);
			break;
		}
	if (result == 0 && (lines->record.failed || records->failed))
		return error_set(err, ERROR_FAILED, "a record is too large");
	return result;
}

static int end_line(struct lines *lines, struct buffer *records, struct error **err)
{
	int result = take_line(lines, records, err);

	lines->has_line = false;
	buffer_clear(&lines->line);
	return result;
}

ssize_t lines_take(struct lines *lines, const char *data, size_t size, struct buffer *records,
		   struct error **err)
{
	const char *newline;
	size_t take;

	if (lines->has_line) {
		if (!lines->is_folded || *data != ' ')
			return end_line(lines, records, err);
		lines->has_line = false;
		return 1;
	}
	newline = memchr(data, '\n', size);
	take = newline ? (size_t)(newline - data) : size;
	if (take && buffer_append(&lines->line, data, take) < 0)
		return error_set(err, ERROR_FAILED, "a line of the output is longer than %u MiB",
				 LINES_LINE_MAX >> 20);
	lines->has_line = newline;
	return (ssize_t)take + (newline ? 1 : 0);
}

int lines_end(struct lines *lines, struct buffer *records, struct error **err)
{
	if ((lines->has_line || lines->line.size) && end_line(lines, records, err) < 0)
		return -1;
	end_record(lines, records);
	return records->failed ? error_set(err, ERROR_FAILED, "a record is too large") : 0;
}
