/*
 * No grammar of any one format: logs, settings and command lines of anything come by. What follows the
 * name of a secret goes, up to where it surely ends.
 */
#include "bundle/mark.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "bundle/judge.h"

#define QUOTED_NAME_MAX 64

void mark_range(const struct line *line, size_t begin, size_t end, uint8_t mark)
{
	if (end > line->size)
		end = line->size;
	for (size_t i = begin; i < end; i++)
		if (!line->marks[i])
			line->marks[i] = mark;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_quote(char c)
{
	return c == '"' || c == '\'' || c == '`';
}

static char at(const struct line *line, size_t i)
{
	return i < line->size ? line->text[i] : '\0';
}

static size_t skip_blanks(const struct line *line, size_t i)
{
	while (is_blank(at(line, i)))
		i++;
	return i;
}

static size_t word_end(const struct line *line, size_t i)
{
	while (i < line->size && !isspace((unsigned char)line->text[i]))
		i++;
	return i;
}

static bool word_is(const struct line *line, size_t begin, const char *word)
{
	size_t size = strlen(word);

	return line->size - begin >= size && strncasecmp(line->text + begin, word, size) == 0 &&
	       !isalnum((unsigned char)at(line, begin + size));
}

/* ---- values behind names ---- */

struct name {
	size_t begin, end; /* of it */
	size_t value;	   /* where the value begins */
	bool by_blank;	   /* nothing but blanks between: it may be a sentence */
	bool is_first;	   /* of its line */
	bool is_element;   /* <password>...< */
};

static bool is_name_byte(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

static bool is_first_word(const struct line *line, size_t begin)
{
	return skip_blanks(line, 0) == begin;
}

/* As in a sentence: "password authentication failed". */
static bool is_ordinary_word(const struct line *line, size_t begin)
{
	size_t end = word_end(line, begin);

	while (end > begin && strchr(".,:;!?)", line->text[end - 1]))
		end--;
	for (size_t i = begin; i < end; i++)
		if (!islower((unsigned char)line->text[i]))
			return false;
	return true;
}

/* <add key="password" value="..."/>: the value's own attribute follows. */
static bool skip_attribute(const struct line *line, size_t *i)
{
	if (!word_is(line, *i, "value"))
		return false;
	*i = skip_blanks(line, *i + 5);
	return at(line, *i) == '=' || at(line, *i) == ':';
}

/* Blanks alone between name and value: of options, statements, and settings. */
static bool is_value_by_blank(const struct line *line, const struct name *name, size_t value)
{
	const char *text = line->text + name->begin;
	size_t size = name->end - name->begin;
	bool is_plain = judge_name_is_plain(text, size);

	if (value >= line->size)
		return false;
	if (name->begin && line->text[name->begin - 1] == '-')
		return true;
	if (line->kind == REDACT_CONFIG)
		return name->is_first || is_plain;
	if (!is_plain)
		return false;
	return is_quote(line->text[value]) || !is_ordinary_word(line, value);
}

/* Find where its value begins; false: this is no name with a value. */
static bool find_value(const struct line *line, struct name *name)
{
	size_t i = name->end;

	while (at(line, i) == '\\')
		i++;
	if (is_quote(at(line, i)))
		i++;
	if (at(line, i) == ']' || at(line, i) == '}')
		i++;
	name->is_element = at(line, i) == '>' && name->begin && line->text[name->begin - 1] == '<';
	if (name->is_element) {
		name->value = i + 1;
		return true;
	}
	if (at(line, i) == '(' &&
	    judge_name_is_plain(line->text + name->begin, name->end - name->begin)) {
		name->value = skip_blanks(line, i + 1);
		return is_quote(at(line, name->value));
	}
	i = skip_blanks(line, i);
	if (at(line, i) != '=' && at(line, i) != ':' && !skip_attribute(line, &i)) {
		name->by_blank = true;
		name->value = i;
		return i > name->end && is_value_by_blank(line, name, i);
	}
	while (i < line->size && strchr("=:>~?", line->text[i]))
		i++;
	name->value = skip_blanks(line, i);
	return true;
}

/* The quote that closes what begins at ${begin}, behind ${slashes} of its own; the line's size: none does. */
static size_t next_quote(const struct line *line, size_t begin, size_t slashes)
{
	size_t i;

	for (i = begin + slashes + 1; i < line->size; i++) {
		size_t before = 0;

		if (line->text[i] != line->text[begin + slashes])
			continue;
		while (before < i && line->text[i - before - 1] == '\\')
			before++;
		/* within an escaped string it is as often escaped as at its begin */
		if (slashes ? before <= slashes : before % 2 == 0)
			break;
	}
	return i;
}

/* Behind that quote; 0: none. */
static size_t quote_end(const struct line *line, size_t begin)
{
	size_t slashes = 0;

	while (at(line, begin + slashes) == '\\')
		slashes++;
	for (;;) {
		size_t end = next_quote(line, begin, slashes);

		if (end >= line->size)
			return 0;
		/* 'it''s' goes on; "" is empty */
		if (slashes || end == begin + 1 || at(line, end + 1) != line->text[end])
			return end + 1;
		begin = end + 1;
	}
}

static bool takes_whole_line(const struct line *line, const struct name *name)
{
	static const char *const schemes[] = {"basic",	   "bearer", "token", "digest",
					      "negotiate", "apikey", NULL};
	static const char *const names[] = {"authorization", "proxy-authorization", "cookie",
					    "set-cookie", NULL};

	for (const char *const *scheme = schemes; *scheme; scheme++)
		if (word_is(line, name->value, *scheme))
			return true;
	for (const char *const *word = names; *word; word++)
		if (strlen(*word) == name->end - name->begin && word_is(line, name->begin, *word))
			return true;
	return strchr("{[(&!", at(line, name->value)) != NULL;
}

/* Where an unquoted value ends. */
static size_t plain_end(const struct line *line, const struct name *name)
{
	const char *less;

	if (name->is_element) {
		less = memchr(line->text + name->value, '<', line->size - name->value);
		return less ? (size_t)(less - line->text) : line->size;
	}
	if (takes_whole_line(line, name))
		return line->size;
	if (line->kind == REDACT_CONFIG && (!name->by_blank || name->is_first))
		return line->size;
	return word_end(line, name->value);
}

/* A value that is not in this line but below. */
static bool opens_block(const struct line *line, const struct name *name)
{
	size_t i = name->value;

	if (line->kind != REDACT_CONFIG || name->by_blank || name->is_element)
		return false;
	return i >= line->size || line->text[i] == '#' || strchr("|>{[(&!", line->text[i]);
}

static bool is_comment(const struct line *line)
{
	size_t i = skip_blanks(line, 0);

	return at(line, i) == '#' || at(line, i) == ';' ||
	       (at(line, i) == '/' && at(line, i + 1) == '/');
}

static bool is_here_only(const struct line *line, const struct name *name)
{
	if (line->kind == REDACT_CONFIG && is_comment(line))
		return true;
	return name->by_blank && !name->is_first && is_ordinary_word(line, name->value) &&
	       !(name->begin && line->text[name->begin - 1] == '-');
}

/* *next: where to look for more names. */
static enum opened mark_value(const struct line *line, const struct name *name, char *quote,
			      size_t *next)
{
	size_t begin = name->value, end, slashes = 0;
	bool is_quoted;
	uint8_t mark = RULE_NAME | (is_here_only(line, name) ? MARK_HERE_ONLY : 0);

	/* hidden before, as a word of a command line */
	if (redact_rule_of_mark(line->text + begin, line->size - begin, &end) != RULE_NONE) {
		*next = begin + end;
		return OPENED_NOTHING;
	}
	while (at(line, begin + slashes) == '\\')
		slashes++;
	is_quoted = is_quote(at(line, begin + slashes));
	if (is_quoted) {
		end = quote_end(line, begin);
		if (!end) {
			*quote = line->text[begin + slashes];
			*next = line->size;
			mark_range(line, begin + slashes + 1, line->size, mark);
			return line->kind == REDACT_CONFIG ? OPENED_QUOTE : OPENED_NOTHING;
		}
		begin += slashes + 1;
		end -= slashes + 1 < end - begin ? slashes + 1 : 1;
	} else {
		end = plain_end(line, name);
	}
	if (end > begin &&
	    !judge_value_is_harmless(line->text + name->begin, name->end - name->begin,
				     line->text + begin, end - begin)) {
		mark_range(line, begin, end, mark);
		/* key="password" value="...": what is quoted may itself be a name */
		if (!is_quoted || end - begin > QUOTED_NAME_MAX)
			*next = end;
	}
	return opens_block(line, name) ? OPENED_BLOCK : OPENED_NOTHING;
}

/* "IDENTIFIED BY" is one name. */
static size_t statement_end(const struct line *line, size_t begin, size_t end)
{
	size_t by = skip_blanks(line, end);

	return end - begin == 10 && word_is(line, begin, "identified") && by < line->size &&
			       word_is(line, by, "by")
		       ? by + 2
		       : end;
}

enum opened mark_names(const struct line *line, char *quote)
{
	enum opened opened = OPENED_NOTHING;

	for (size_t i = 0; i < line->size;) {
		struct name name = {0};
		enum opened more;

		if (!isalnum((unsigned char)line->text[i]) && line->text[i] != '_') {
			i++;
			continue;
		}
		name.begin = i;
		while (i < line->size && is_name_byte(line->text[i]))
			i++;
		name.end = i;
		name.end = i = statement_end(line, name.begin, i);
		if (!judge_name(line->text + name.begin, name.end - name.begin))
			continue;
		name.is_first = is_first_word(line, name.begin);
		if (!find_value(line, &name))
			continue;
		more = mark_value(line, &name, quote, &i);
		if (more != OPENED_NOTHING)
			opened = more;
	}
	return opened;
}

/* ---- addresses ---- */

static size_t address_end(const struct line *line, size_t i)
{
	while (i < line->size && !isspace((unsigned char)line->text[i]) &&
	       !strchr("\"'`<>", line->text[i]))
		i++;
	return i;
}

static const char *find_in(const struct line *line, size_t begin, size_t end, char c)
{
	return begin < end ? memchr(line->text + begin, c, end - begin) : NULL;
}

/* From behind "://": its user and password end at the last '@' before the path, or, badly escaped, at the last of all. */
static void mark_user(const struct line *line, size_t begin, size_t end)
{
	size_t host = begin;
	const char *colon, *sign = NULL;
	bool is_port = true;

	while (host < end && !strchr("/?#", line->text[host]))
		host++;
	colon = find_in(line, begin, host, ':');
	for (size_t i = colon ? (size_t)(colon - line->text) + 1 : host; i < host; i++)
		is_port = is_port && isdigit((unsigned char)line->text[i]);
	if (begin < host)
		sign = memrchr(line->text + begin, '@', host - begin);
	/* a password with a '/' of its own: what looks like a port is none */
	if (!sign && colon && !is_port)
		sign = memrchr(colon, '@', (size_t)(line->text + end - colon));
	if (!sign)
		return;
	mark_range(line, colon && colon < sign ? (size_t)(colon - line->text) + 1 : begin,
		   (size_t)(sign - line->text), RULE_URL);
}

/* "root:password@tcp(db)/shop": no scheme, as drivers of databases have it. */
static void mark_bare_user(const struct line *line, size_t begin, size_t end)
{
	const char *colon = find_in(line, begin, end, ':'), *sign;
	size_t after;

	if (!colon || colon == line->text + begin)
		return;
	sign = memrchr(colon, '@', (size_t)(line->text + end - colon));
	if (!sign || sign == colon + 1)
		return;
	after = (size_t)(sign - line->text) + 1;
	if (after >= end || word_is(line, after, "sha256") ||
	    !(isalnum((unsigned char)line->text[after]) || strchr("([_", line->text[after])))
		return;
	mark_range(line, (size_t)(colon - line->text) + 1, after - 1, RULE_URL);
}

void mark_urls(const struct line *line)
{
	for (size_t i = 0; i < line->size;) {
		size_t end = address_end(line, i);
		const char *scheme = NULL;

		if (end == i) {
			i++;
			continue;
		}
		scheme = memmem(line->text + i, end - i, "://", 3);
		if (!scheme)
			mark_bare_user(line, i, end);
		while (scheme) {
			size_t begin = (size_t)(scheme - line->text) + 3;
			const char *comma = NULL;

			/* a list of them: the next one begins behind the comma before its scheme */
			scheme = memmem(line->text + begin, end - begin, "://", 3);
			if (scheme)
				comma = memrchr(line->text + begin, ',',
						(size_t)(scheme - line->text) - begin);
			mark_user(line, begin, comma ? (size_t)(comma - line->text) : end);
		}
		i = end;
	}
}

/* ---- tokens ---- */

static bool is_checksum(const struct line *line, size_t begin)
{
	static const char *const names[] = {"sha256:", "sha512:", "sha1:", "md5:", "sha384:", NULL};

	for (const char *const *name = names; *name; name++)
		if (begin >= strlen(*name) &&
		    memcmp(line->text + begin - strlen(*name), *name, strlen(*name)) == 0)
			return true;
	return false;
}

static void mark_token(const struct line *line, size_t begin, size_t end)
{
	bool is_suspicious = line->kind != REDACT_LOG && !is_checksum(line, begin);

	if (judge_token(line->text + begin, end - begin, is_suspicious))
		mark_range(line, begin, end, RULE_TOKEN);
}

void mark_tokens(const struct line *line)
{
	for (size_t i = 0; i < line->size;) {
		size_t begin = i, piece;

		while (i < line->size &&
		       (judge_is_token_byte(line->text[i]) || (i > begin && line->text[i] == '/')))
			i++;
		if (i == begin) {
			i++;
			continue;
		}
		/* '/' is a byte of base64, and of paths */
		if (i - begin >= 32)
			mark_token(line, begin, i);
		for (piece = begin; piece < i; piece++) {
			size_t end = piece;

			while (end < i && line->text[end] != '/')
				end++;
			mark_token(line, piece, end);
			piece = end;
		}
	}
}

/* ---- private keys ---- */

static const char *find_key(const struct line *line, size_t from, const char *dashes)
{
	const char *begin = memmem(line->text + from, line->size - from, dashes, strlen(dashes));
	size_t rest = begin ? line->size - (size_t)(begin - line->text) : 0;

	/* the whole of "-----BEGIN ... PRIVATE KEY" is near its begin */
	return begin && memmem(begin, rest < 80 ? rest : 80, "PRIVATE KEY", 11) ? begin : NULL;
}

void mark_keys(const struct line *line, bool *inside)
{
	size_t from = 0;

	while (from < line->size) {
		const char *begin =
			*inside ? line->text + from : find_key(line, from, "-----BEGIN ");
		const char *end;

		if (!begin && memmem(line->text, line->size, "PuTTY-User-Key-File", 19)) {
			begin = line->text;
			from = line->size;
		}
		if (!begin)
			return;
		end = find_key(line, (size_t)(begin - line->text), "-----END ");
		*inside = !end;
		from = end ? (size_t)(end - line->text) + 9 : line->size;
		if (end) {
			const char *dashes =
				memmem(line->text + from, line->size - from, "-----", 5);

			from = dashes ? (size_t)(dashes - line->text) + 5 : line->size;
		}
		mark_range(line, (size_t)(begin - line->text), from, RULE_KEY);
	}
}
