/* A line is judged by its first 4 KiB: what makes an object stands at its beginning. */
#include "driver/line_search.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"

#define LINE_LIMIT 4096

void line_search_init(struct line_search *search)
{
	memset(search, 0, sizeof(*search));
	buffer_init(&search->line, LINE_LIMIT);
}

void line_search_release(struct line_search *search)
{
	for (size_t i = 0; i < search->count; i++) {
		regfree(&search->patterns[i].regex);
		free(search->patterns[i].prefix);
	}
	free(search->patterns);
	buffer_release(&search->line);
	memset(search, 0, sizeof(*search));
}

/* Whether "|" stands outside of parentheses: then no beginning is common to what fits. */
static bool has_branches(const char *pattern)
{
	int depth = 0;

	for (; *pattern; pattern++) {
		if (*pattern == '\\' && pattern[1])
			pattern++;
		else if (*pattern == '[' || *pattern == '|')
			return *pattern == '|' ? depth == 0 : true;
		else
			depth += (*pattern == '(') - (*pattern == ')');
	}
	return false;
}

/* "^CREATE (TABLE|VIEW)" begins with "CREATE ". */
static char *prefix_of(const char *pattern)
{
	size_t size;

	if (*pattern != '^' || has_branches(pattern))
		return memory_strdup("");
	size = strcspn(++pattern, "\\[](){}.*+?|^$");
	for (size_t i = 0; i < size; i++)
		if (pattern[i] & 0x80)
			return memory_strdup("");
	/* The last character may be there any number of times. */
	if (size && pattern[size] && strchr("*?{", pattern[size]))
		size--;
	return memory_strndup(pattern, size);
}

int pattern_compile(regex_t *regex, const char *pattern, int flags)
{
	cleanup_free char *bytes = memory_strdup(pattern);
	char *to = bytes;

	/* c2 and c3 begin U+0080 to U+00FF in UTF-8 */
	for (const unsigned char *p = (const unsigned char *)pattern; *p; p++) {
		if ((*p == 0xc2 || *p == 0xc3) && (p[1] & 0xc0) == 0x80) {
			*to++ = (char)((*p & 3) << 6 | (p[1] & 0x3f));
			p++;
		} else {
			*to++ = (char)*p;
		}
	}
	*to = '\0';
	return regcomp(regex, bytes, REG_EXTENDED | flags);
}

int line_search_add(struct line_search *search, const char *pattern, const char *problem,
		    struct error **err)
{
	struct line_pattern *item;

	search->patterns = memory_array(search->patterns, search->count + 1, sizeof(*item));
	item = &search->patterns[search->count];
	memset(item, 0, sizeof(*item));
	if (pattern_compile(&item->regex, pattern, REG_NOSUB) != 0)
		return error_set(err, ERROR_USAGE, "\"%s\" is no extended regular expression",
				 pattern);
	item->prefix = prefix_of(pattern);
	item->prefix_size = strlen(item->prefix);
	item->problem = problem;
	return (int)search->count++;
}

static bool may_fit(const struct line_pattern *item, const char *line, size_t size)
{
	return !item->found && size >= item->prefix_size &&
	       memcmp(line, item->prefix, item->prefix_size) == 0;
}

static bool any_may_fit(const struct line_search *search, const char *line, size_t size)
{
	for (size_t i = 0; i < search->count; i++)
		if (may_fit(&search->patterns[i], line, size))
			return true;
	return false;
}

static void keep(struct buffer *line, const char *data, size_t size)
{
	size_t room = line->limit - line->size, start = line->size;

	buffer_append(line, data, size < room ? size : room);
	for (size_t i = start; i < line->size; i++)
		if (!line->data[i])
			line->data[i] = ' ';
}

static void judge(struct line_search *search)
{
	struct buffer *line = &search->line;

	for (size_t i = 0; i < search->count; i++) {
		struct line_pattern *item = &search->patterns[i];

		if (may_fit(item, line->data, line->size))
			item->found = regexec(&item->regex, line->data, 0, NULL, 0) == 0;
	}
	buffer_clear(line);
}

static bool is_over(const struct line_search *search)
{
	for (size_t i = 0; i < search->count; i++)
		if (!search->patterns[i].found)
			return false;
	return true;
}

void line_search_take(struct line_search *search, const void *data, size_t size)
{
	const char *p = data;

	while (size && !is_over(search)) {
		const char *end = memchr(p, '\n', size);
		size_t length = end ? (size_t)(end - p) : size;

		/* Nothing is copied of a whole line that cannot fit. */
		if (!end || search->line.size || any_may_fit(search, p, length))
			keep(&search->line, p, length);
		if (end && search->line.size)
			judge(search);
		length += end != NULL;
		p += length;
		size -= length;
	}
}

void line_search_end(struct line_search *search)
{
	if (search->line.size)
		judge(search);
}
