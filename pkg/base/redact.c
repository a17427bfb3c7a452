/*
 * One table of all forms of all values, looked up by their first three bytes, so that the time for a
 * text does not grow with their number. What can be escaped in many ways (URLs, JSON) is undone in a
 * copy of the text instead, which remembers where its bytes came from.
 */
#include "base/redact.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/memory.h"

#define HASH_BITS 14
#define HEADS (1U << HASH_BITS)
#define VALUE_MAX (64u << 10) /* of one value; what is longer is looked for by its lines */

enum form {
	FORM_PLAIN,
	FORM_WORD,   /* counts only between what are no letters or digits */
	FORM_BASE64, /* the run of its alphabet goes */
	FORM_HEX,
};

struct pattern {
	char *bytes;
	size_t size;
	enum form form;
	uint32_t next; /* index of the next one with this hash, plus one */
};

struct secrets {
	struct pattern *patterns;
	size_t count, values;
	uint32_t heads[HEADS];
};

static uint32_t hash3(const char *bytes)
{
	const uint8_t *b = (const uint8_t *)bytes;

	return ((uint32_t)(b[0] | b[1] << 8 | b[2] << 16) * 2654435761u) >> (32 - HASH_BITS);
}

struct secrets *secrets_new(void)
{
	return memory_zalloc(sizeof(struct secrets));
}

void secrets_free(struct secrets *secrets)
{
	if (!secrets)
		return;
	for (size_t i = 0; i < secrets->count; i++) {
		explicit_bzero(secrets->patterns[i].bytes, secrets->patterns[i].size);
		free(secrets->patterns[i].bytes);
	}
	free(secrets->patterns);
	free(secrets);
}

/* False: it is there already. */
static bool add_pattern(struct secrets *secrets, const char *bytes, size_t size, enum form form)
{
	uint32_t *head;
	struct pattern *pattern;

	if (size < SECRET_MIN)
		return false;
	head = &secrets->heads[hash3(bytes)];
	for (uint32_t i = *head; i; i = secrets->patterns[i - 1].next) {
		pattern = &secrets->patterns[i - 1];
		if (pattern->size == size && memcmp(pattern->bytes, bytes, size) == 0)
			return false;
	}
	if ((secrets->count & (secrets->count - 1)) == 0)
		secrets->patterns =
			memory_array(secrets->patterns, secrets->count ? 2 * secrets->count : 1,
				     sizeof(*secrets->patterns));
	pattern = &secrets->patterns[secrets->count];
	pattern->bytes = memory_strndup("", 0);
	pattern->bytes = memory_array(pattern->bytes, size, 1);
	memcpy(pattern->bytes, bytes, size);
	pattern->size = size;
	pattern->form = form;
	pattern->next = *head;
	*head = (uint32_t)++secrets->count;
	return true;
}

/* What depends on the value alone, when ${before} unknown bytes stand in front of it. */
static void add_base64(struct secrets *secrets, const char *value, size_t size, size_t before)
{
	for (int url = 0; url < 2; url++) {
		cleanup_free char *padded = memory_zalloc(before + size);
		cleanup_free char *text = NULL;
		size_t first = (8 * before + 5) / 6, end = 8 * (before + size) / 6;

		memcpy(padded + before, value, size);
		text = text_base64(padded, before + size, url);
		add_pattern(secrets, text + first, end - first, FORM_BASE64);
	}
}

static void add_hex(struct secrets *secrets, const char *value, size_t size)
{
	cleanup_free char *text = text_hex(value, size);

	add_pattern(secrets, text, 2 * size, FORM_HEX);
	for (char *c = text; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	add_pattern(secrets, text, 2 * size, FORM_HEX);
}

/* With every ${from} as ${to}, as quotes in YAML, dollars in compose files, blanks in forms. */
static void add_replaced(struct secrets *secrets, const char *value, size_t size, char from,
			 const char *to)
{
	struct buffer text;

	if (!memchr(value, from, size))
		return;
	buffer_init(&text, 8 * VALUE_MAX);
	for (size_t i = 0; i < size; i++)
		if (value[i] == from)
			buffer_append_string(&text, to);
		else
			buffer_append(&text, value + i, 1);
	if (!text.failed)
		add_pattern(secrets, text.data, text.size, FORM_PLAIN);
	buffer_release(&text);
}

static bool only_switches(const char *value, size_t size)
{
	static const char *const words[] = {"true",	"false", "yes",	  "no",
					    "on",	"off",	 "none",  "enabled",
					    "disabled", "null",	 "empty", "default"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == size && strncasecmp(words[i], value, size) == 0)
			return true;
	return false;
}

static bool add_value(struct secrets *secrets, const char *value, size_t size)
{
	while (size && isspace((unsigned char)*value)) {
		value++;
		size--;
	}
	while (size && isspace((unsigned char)value[size - 1]))
		size--;
	if (size < SECRET_MIN || size > VALUE_MAX || only_switches(value, size))
		return false;
	if (!add_pattern(secrets, value, size, size < SECRET_SHORT ? FORM_WORD : FORM_PLAIN))
		return true;
	secrets->values++;
	if (size < SECRET_SHORT)
		return true;
	for (size_t before = 0; before < 3; before++)
		add_base64(secrets, value, size, before);
	add_hex(secrets, value, size);
	add_replaced(secrets, value, size, '\'', "''");
	add_replaced(secrets, value, size, '\'', "'\\''");
	add_replaced(secrets, value, size, '"', "\"\"");
	add_replaced(secrets, value, size, '$', "$$");
	add_replaced(secrets, value, size, ' ', "+");
	return true;
}

bool secrets_add(struct secrets *secrets, const char *value, size_t size)
{
	const char *end = value + size, *line = value;
	bool added = add_value(secrets, value, size);

	if (!memchr(value, '\n', size))
		return added;
	while (line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));

		if (!stop)
			stop = end;
		/* a line of a few bytes (braces, a blank) tells nothing */
		if (stop - line >= SECRET_SHORT)
			added |= add_value(secrets, line, (size_t)(stop - line));
		line = stop + 1;
	}
	return added;
}

size_t secrets_count(const struct secrets *secrets)
{
	return secrets->values;
}

/* ---- looking for them ---- */

static bool is_base64(char c)
{
	return isalnum((unsigned char)c) || c == '+' || c == '/' || c == '-' || c == '_' ||
	       c == '=';
}

static bool is_hex(char c)
{
	return isxdigit((unsigned char)c);
}

static bool is_letter(char c)
{
	return isalnum((unsigned char)c) || (c & 0x80);
}

/* Where in the text a byte of a copy of it came from; of none: the text itself. */
static size_t origin(const uint32_t *origins, size_t at)
{
	return origins ? origins[at] : at;
}

struct search {
	const struct secrets *secrets;
	const char *text;
	size_t size;
	const uint32_t *origins; /* size + 1 of them, or NULL */
	uint8_t *marks, mark;
};

static void mark_match(const struct search *search, size_t at, const struct pattern *pattern)
{
	size_t begin = at, end = at + pattern->size;
	bool (*belongs)(char) = pattern->form == FORM_BASE64 ? is_base64
				: pattern->form == FORM_HEX  ? is_hex
							     : NULL;

	if (pattern->form == FORM_WORD && ((begin && is_letter(search->text[begin - 1])) ||
					   (end < search->size && is_letter(search->text[end]))))
		return;
	/* the whole run is marked already */
	if (belongs && search->marks[origin(search->origins, at)] == search->mark)
		return;
	while (belongs && begin && belongs(search->text[begin - 1]))
		begin--;
	while (belongs && end < search->size && belongs(search->text[end]))
		end++;
	/* "key=" before base64 is its alphabet as well, and says what was there */
	if (pattern->form == FORM_BASE64)
		for (size_t i = at; i > begin; i--)
			if (search->text[i - 1] == '=') {
				begin = i;
				break;
			}
	begin = origin(search->origins, begin);
	end = origin(search->origins, end);
	memset(search->marks + begin, search->mark, end - begin);
}

static void run_search(const struct search *search)
{
	const struct secrets *secrets = search->secrets;

	for (size_t at = 0; at + SECRET_MIN <= search->size; at++) {
		uint32_t index = secrets->heads[hash3(search->text + at)];

		for (; index; index = secrets->patterns[index - 1].next) {
			const struct pattern *pattern = &secrets->patterns[index - 1];

			if (pattern->size <= search->size - at &&
			    memcmp(pattern->bytes, search->text + at, pattern->size) == 0)
				mark_match(search, at, pattern);
		}
	}
}

/* ---- the same behind escapes ---- */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static bool hex_number(const char *text, size_t size, size_t digits, uint32_t *number)
{
	*number = 0;
	if (size < digits)
		return false;
	for (size_t i = 0; i < digits; i++) {
		int digit = hex_digit(text[i]);

		if (digit < 0)
			return false;
		*number = *number << 4 | (uint32_t)digit;
	}
	return true;
}

/* Bytes read of an escape, 0 where there is none; what it stands for in *character. */
typedef size_t escape_reader(const char *text, size_t size, uint32_t *character);

static size_t read_percent(const char *text, size_t size, uint32_t *character)
{
	return text[0] == '%' && hex_number(text + 1, size - 1, 2, character) ? 3 : 0;
}

static size_t read_backslash(const char *text, size_t size, uint32_t *character)
{
	static const char letters[] = "ntrbf", meanings[] = "\n\t\r\b\f";
	const char *letter;
	uint32_t low;

	if (size < 2 || text[0] != '\\')
		return 0;
	if (text[1] == 'x' && hex_number(text + 2, size - 2, 2, character))
		return 4;
	if (text[1] == 'u' && hex_number(text + 2, size - 2, 4, character)) {
		if ((*character & 0xfc00) != 0xd800 || size < 12 || text[6] != '\\' ||
		    text[7] != 'u' || !hex_number(text + 8, size - 8, 4, &low))
			return 6;
		*character = 0x10000 + ((*character & 0x3ff) << 10 | (low & 0x3ff));
		return 12;
	}
	letter = text[1] ? strchr(letters, text[1]) : NULL;
	*character = letter ? (uint32_t)meanings[letter - letters] : (uint8_t)text[1];
	return 2;
}

static size_t read_entity(const char *text, size_t size, uint32_t *character)
{
	static const struct {
		const char *text;
		char character;
	} entities[] = {{"&amp;", '&'},	  {"&lt;", '<'},   {"&gt;", '>'},  {"&quot;", '"'},
			{"&apos;", '\''}, {"&#39;", '\''}, {"&#34;", '"'}, {"&#x27;", '\''}};

	for (size_t i = 0; text[0] == '&' && i < sizeof(entities) / sizeof(entities[0]); i++) {
		size_t length = strlen(entities[i].text);

		if (length <= size && memcmp(text, entities[i].text, length) == 0) {
			*character = (uint8_t)entities[i].character;
			return length;
		}
	}
	return 0;
}

static size_t read_backslash_or_entity(const char *text, size_t size, uint32_t *character)
{
	size_t length = read_backslash(text, size, character);

	return length ? length : read_entity(text, size, character);
}

static size_t put_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | (c >> 18 & 7));
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* No escape is shorter than what it stands for, so a copy of the same size holds all. */
static void search_behind(struct search search, const char *starts, escape_reader *read,
			  bool is_bytes)
{
	cleanup_free char *copy = NULL;
	cleanup_free uint32_t *origins = NULL;
	const char *text = search.text;
	size_t size = search.size, made = 0;
	bool found = false;

	for (const char *c = starts; *c && !found; c++)
		found = memchr(text, *c, size) != NULL;
	if (!found)
		return;
	copy = memory_alloc(size + 4);
	origins = memory_array(NULL, size + 5, sizeof(*origins));
	for (size_t at = 0; at < size;) {
		uint32_t character = (uint8_t)text[at];
		size_t length = read(text + at, size - at, &character), put = 1;

		if (length && !is_bytes)
			put = put_utf8(copy + made, character);
		else
			copy[made] = (char)character;
		for (size_t i = 0; i < put; i++)
			origins[made++] = (uint32_t)at;
		at += length ? length : 1;
	}
	origins[made] = (uint32_t)size;
	search.text = copy;
	search.size = made;
	search.origins = origins;
	run_search(&search);
	explicit_bzero(copy, made);
}

void secrets_mark(const struct secrets *secrets, const char *text, size_t size, uint8_t *marks,
		  uint8_t mark)
{
	struct search search = {
		.secrets = secrets, .text = text, .size = size, .marks = marks, .mark = mark};

	if (!secrets->count || size >= UINT32_MAX)
		return;
	run_search(&search);
	search_behind(search, "%", read_percent, true);
	search_behind(search, "\\&", read_backslash_or_entity, false);
}

void redact(const struct string_list *list, char *text)
{
	CLEANUP(cleanup_secrets_free) struct secrets *secrets = secrets_new();
	size_t size = strlen(text), made = 0;
	cleanup_free uint8_t *marks = memory_zalloc(size + 1);
	struct search search = {
		.secrets = secrets, .text = text, .size = size, .marks = marks, .mark = 1};

	for (size_t i = 0; i < list->count; i++)
		add_pattern(secrets, list->items[i], strlen(list->items[i]), FORM_PLAIN);
	run_search(&search);
	for (size_t at = 0; at < size; at++) {
		if (!marks[at]) {
			text[made++] = text[at];
		} else if (!at || !marks[at - 1]) {
			memcpy(text + made, "***", 3);
			made += 3;
		}
	}
	text[made] = '\0';
}
