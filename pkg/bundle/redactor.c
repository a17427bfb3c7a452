/*
 * Line by line, each as a whole: so a secret that lies across two pieces of what comes is found. What
 * spans lines (keys, blocks of settings, quotes) is state between them.
 */
#include "bundle/redactor.h"

#include <ctype.h>
#include <string.h>

#include "base/memory.h"
#include "bundle/mark.h"

#define LINE_MAX_SIZE (256u << 10)

static const char *const rule_names[RULES] = {"",    "known", "name",	"url", "argument",
					      "key", "token", "binary", "long"};

struct text_redactor {
	const struct secrets *secrets;
	enum redact_kind kind;
	redact_sink *sink;
	void *context;
	struct secrets *learns; /* NULL: nothing is to be learnt */
	struct buffer line, made, marks;
	bool is_too_long, is_in_key, is_in_block, is_in_quote;
	size_t block_indent;
	char quote;
};

const char *redact_rule_name(enum redact_rule rule)
{
	return rule_names[rule];
}

enum redact_rule redact_rule_of_mark(const char *text, size_t size, size_t *length)
{
	static const char begin[] = "[hidden:";
	size_t at = sizeof(begin) - 1;

	if (size < at || memcmp(text, begin, at) != 0)
		return RULE_NONE;
	for (enum redact_rule rule = RULE_NONE + 1; rule < RULES; rule++) {
		size_t name = strlen(rule_names[rule]);

		if (size > at + name && memcmp(text + at, rule_names[rule], name) == 0 &&
		    text[at + name] == ']') {
			*length = at + name + 1;
			return rule;
		}
	}
	return RULE_NONE;
}

struct text_redactor *text_redactor_new(const struct secrets *secrets, enum redact_kind kind,
					redact_sink *sink, void *context)
{
	struct text_redactor *redactor = memory_zalloc(sizeof(*redactor));

	redactor->secrets = secrets;
	redactor->kind = kind;
	redactor->sink = sink;
	redactor->context = context;
	buffer_init(&redactor->line, LINE_MAX_SIZE);
	buffer_init(&redactor->marks, LINE_MAX_SIZE);
	/* a mark may be longer than what it stands for */
	buffer_init(&redactor->made, 20 * (size_t)LINE_MAX_SIZE);
	return redactor;
}

void text_redactor_free(struct text_redactor *redactor)
{
	if (!redactor)
		return;
	buffer_release(&redactor->line);
	buffer_release(&redactor->marks);
	buffer_release(&redactor->made);
	free(redactor);
}

void text_redactor_learn(struct text_redactor *redactor, struct secrets *into)
{
	redactor->learns = into;
}

/* ---- learning ---- */

static int hex_value(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* Of an address: what the password is when nothing is escaped. */
static void learn_unescaped(struct secrets *secrets, const char *text, size_t size)
{
	cleanup_free char *plain = memory_alloc(size + 1);
	size_t made = 0;

	for (size_t i = 0; i < size; i++) {
		if (text[i] == '%' && size - i > 2 && isxdigit((unsigned char)text[i + 1]) &&
		    isxdigit((unsigned char)text[i + 2])) {
			plain[made++] =
				(char)(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
			i += 2;
		} else {
			plain[made++] = text[i];
		}
	}
	if (made != size)
		secrets_add(secrets, plain, made);
	explicit_bzero(plain, made);
}

static void learn_value(struct secrets *secrets, const char *text, size_t size)
{
	const char *blank;

	while (size && (isspace((unsigned char)*text) || strchr("\"'`", *text))) {
		text++;
		size--;
	}
	while (size && (isspace((unsigned char)text[size - 1]) || strchr("\"'`,;", text[size - 1])))
		size--;
	secrets_add(secrets, text, size);
	learn_unescaped(secrets, text, size);
	/* a comment may follow it, or other words of a line that was hidden to its end */
	blank = memchr(text, ' ', size);
	if (blank && blank - text >= SECRET_SHORT)
		secrets_add(secrets, text, (size_t)(blank - text));
}

/* "  name: value" below the name of a secret, or the value alone. */
static void learn_block(struct secrets *secrets, const struct line *line)
{
	size_t at = 0;

	while (at < line->size && !strchr(":=", line->text[at]))
		at++;
	if (at + 1 < line->size)
		learn_value(secrets, line->text + at + 1, line->size - at - 1);
	else
		learn_value(secrets, line->text, line->size);
}

static bool is_learnt(uint8_t mark)
{
	return mark == RULE_NAME || mark == RULE_URL || mark == RULE_ARGUMENT ||
	       mark == RULE_TOKEN || mark == RULE_KEY;
}

/*
 * A value that is an object of its own, hidden to the end of the line: what is secret in it are the
 * strings that are no names.
 */
static void learn_object(struct secrets *secrets, const char *text, size_t size)
{
	const char *end = text + size, *begin, *stop;

	for (; (begin = memchr(text, '"', (size_t)(end - text))); text = stop + 1) {
		const char *after;

		stop = memchr(begin + 1, '"', (size_t)(end - begin - 1));
		if (!stop)
			return;
		after = stop + 1;
		while (after < end && (*after == ' ' || *after == '\t'))
			after++;
		if ((after == end || *after != ':') && stop - begin > SECRET_SHORT)
			secrets_add(secrets, begin + 1, (size_t)(stop - begin - 1));
	}
}

static void learn(struct text_redactor *redactor, const struct line *line)
{
	for (size_t begin = 0, end; begin < line->size; begin = end) {
		for (end = begin + 1; end < line->size && line->marks[end] == line->marks[begin];)
			end++;
		if (!is_learnt(line->marks[begin]))
			continue;
		learn_value(redactor->learns, line->text + begin, end - begin);
		if (strchr("{[(", line->text[begin]))
			learn_object(redactor->learns, line->text + begin, end - begin);
	}
}

/* ---- one line ---- */

/* Colours between a name and its value would part them. */
static size_t strip_escapes(char *text, size_t size)
{
	size_t made = 0;

	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\033' && i + 1 < size && text[i + 1] == '[') {
			i += 2;
			while (i < size && !(text[i] >= '@' && text[i] <= '~'))
				i++;
			continue;
		}
		text[made++] = text[i];
	}
	return made;
}

static bool is_binary(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < ' ' && c != '\t' && c != '\r' && c != '\f' && c != '\b' && c != '\033' &&
		    c != '\a' && c != '\v')
			return true;
	}
	return false;
}

static size_t indent_of(const struct line *line)
{
	size_t i = 0;

	while (i < line->size && (line->text[i] == ' ' || line->text[i] == '\t'))
		i++;
	return i;
}

/* Whether the line belongs to what an earlier one has opened; then it is marked. */
static bool mark_continued(struct text_redactor *redactor, const struct line *line)
{
	size_t indent = indent_of(line);

	if (redactor->is_in_quote) {
		const char *end = memchr(line->text, redactor->quote, line->size);

		redactor->is_in_quote = !end;
		mark_range(line, 0, end ? (size_t)(end - line->text) : line->size, RULE_NAME);
		return !end;
	}
	if (!redactor->is_in_block || indent == line->size)
		return redactor->is_in_block;
	/* YAML: the items of a list may stand right below its name */
	if (indent > redactor->block_indent ||
	    (indent == redactor->block_indent && line->text[indent] == '-')) {
		mark_range(line, indent, line->size, RULE_NAME);
		if (redactor->learns)
			learn_block(redactor->learns, line);
		return true;
	}
	redactor->is_in_block = false;
	return false;
}

static void mark_line(struct text_redactor *redactor, const struct line *line)
{
	bool was_in_key = redactor->is_in_key;
	enum opened opened;

	mark_keys(line, &redactor->is_in_key);
	if (was_in_key && redactor->is_in_key)
		return;
	if (mark_continued(redactor, line))
		return;
	if (redactor->secrets)
		secrets_mark(redactor->secrets, line->text, line->size, line->marks, RULE_KNOWN);
	mark_urls(line);
	opened = mark_names(line, &redactor->quote);
	mark_tokens(line);
	redactor->is_in_block = opened == OPENED_BLOCK;
	redactor->is_in_quote = opened == OPENED_QUOTE;
	if (redactor->is_in_block)
		redactor->block_indent = indent_of(line);
}

static void put_mark(struct buffer *made, uint8_t mark)
{
	buffer_printf(made, "[hidden:%s]", rule_names[mark & ~MARK_HERE_ONLY]);
}

static void put_line(struct text_redactor *redactor, const struct line *line)
{
	for (size_t begin = 0, end; begin < line->size; begin = end) {
		for (end = begin + 1; end < line->size && line->marks[end] == line->marks[begin];)
			end++;
		if (line->marks[begin])
			put_mark(&redactor->made, line->marks[begin]);
		else
			buffer_append(&redactor->made, line->text + begin, end - begin);
	}
}

static int end_line(struct text_redactor *redactor, bool has_end, struct error **err)
{
	struct buffer *made = &redactor->made;
	struct line line = {.text = redactor->line.data, .kind = redactor->kind};

	buffer_clear(made);
	buffer_clear(&redactor->marks);
	if (redactor->is_too_long) {
		put_mark(made, RULE_LONG);
	} else if (is_binary(line.text, redactor->line.size)) {
		put_mark(made, RULE_BINARY);
	} else if (redactor->line.size) {
		line.size = strip_escapes(redactor->line.data, redactor->line.size);
		buffer_reserve(&redactor->marks, line.size + 1);
		line.marks = (uint8_t *)redactor->marks.data;
		memset(line.marks, 0, line.size);
		if (line.size) {
			mark_line(redactor, &line);
			put_line(redactor, &line);
			if (redactor->learns)
				learn(redactor, &line);
		}
	}
	if (has_end)
		buffer_append(made, "\n", 1);
	redactor->is_too_long = false;
	buffer_clear(&redactor->line);
	if (made->failed)
		return error_set(err, ERROR_FAILED, "no memory to redact a line");
	return redactor->sink ? redactor->sink(redactor->context, made->data, made->size, err) : 0;
}

int text_redactor_feed(struct text_redactor *redactor, const void *data, size_t size,
		       struct error **err)
{
	const char *text = data;

	while (size) {
		const char *end = memchr(text, '\n', size);
		size_t part = end ? (size_t)(end - text) : size;

		if (!redactor->is_too_long && part < LINE_MAX_SIZE - redactor->line.size)
			buffer_append(&redactor->line, text, part);
		else
			redactor->is_too_long = true;
		if (redactor->line.failed)
			return error_set(err, ERROR_FAILED, "no memory to redact a line");
		if (end && end_line(redactor, true, err) < 0)
			return -1;
		part += end != NULL;
		text += part;
		size -= part;
	}
	return 0;
}

int text_redactor_finish(struct text_redactor *redactor, struct error **err)
{
	if (!redactor->line.size && !redactor->is_too_long)
		return 0;
	return end_line(redactor, false, err);
}

static int append(void *context, const void *data, size_t size, struct error **err)
{
	return buffer_append(context, data, size) < 0
		       ? error_set(err, ERROR_FAILED, "a text is too long")
		       : 0;
}

char *redact_text(const struct secrets *secrets, enum redact_kind kind, const char *text,
		  size_t size)
{
	struct buffer made;
	CLEANUP(cleanup_text_redactor_free)
	struct text_redactor *redactor = text_redactor_new(secrets, kind, append, &made);

	buffer_init(&made, 64u << 20);
	if (text_redactor_feed(redactor, text, size, NULL) < 0 ||
	    text_redactor_finish(redactor, NULL) < 0) {
		buffer_clear(&made);
		put_mark(&made, RULE_LONG);
	}
	return buffer_steal(&made);
}
