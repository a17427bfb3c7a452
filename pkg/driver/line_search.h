/* Whether a line of a stream fits a pattern, at the stream's speed: most lines are told apart by their first bytes. */
#ifndef SIDESNAP_DRIVER_LINE_SEARCH_H
#define SIDESNAP_DRIVER_LINE_SEARCH_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

/* One pattern that is looked for until a line fits. */
struct line_pattern {
	regex_t regex;
	char *prefix; /* what a line that fits begins with, "" where the pattern does not say */
	size_t prefix_size;
	const char *problem; /* for its owner; borrowed */
	bool found;
};

struct line_search {
	struct line_pattern *patterns;
	size_t count;
	struct buffer line; /* the one that has no end yet, cut */
};

/*
 * pattern_compile(regex, pattern, flags): As regcomp() with REG_EXTENDED, of what is to fit the *bytes* of a
 * dump: a character from U+0080 to U+00FF in the pattern stands for the byte of that number.
 */
int pattern_compile(regex_t *regex, const char *pattern, int flags);

void line_search_init(struct line_search *search);
void line_search_release(struct line_search *search);

/* line_search_add(search, pattern, problem, err): An extended regular expression; its number, or -1. */
int line_search_add(struct line_search *search, const char *pattern, const char *problem,
		    struct error **err);

/* line_search_take(search, data, size), line_search_end(search): What came; and that nothing more does. */
void line_search_take(struct line_search *search, const void *data, size_t size);
void line_search_end(struct line_search *search);

#endif
