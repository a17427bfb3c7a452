/* Within one line: the bytes that are, or may be, a secret. */
#ifndef SIDESNAP_BUNDLE_MARK_H
#define SIDESNAP_BUNDLE_MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bundle/redactor.h"

/* On a mark: it is hidden here, and not looked for elsewhere, being perhaps an ordinary word. */
#define MARK_HERE_ONLY 0x80

struct line {
	const char *text;
	size_t size;
	uint8_t *marks; /* a redact_rule for each byte, RULE_NONE before */
	enum redact_kind kind;
};

/* What is left open at the end of a line. */
enum opened {
	OPENED_NOTHING,
	OPENED_BLOCK, /* the value is what is indented below */
	OPENED_QUOTE, /* it goes on until this quote: *quote */
};

/* mark_range(line, begin, end, mark): Where nothing is marked yet. */
void mark_range(const struct line *line, size_t begin, size_t end, uint8_t mark);

/* mark_names(line, quote): Values behind names. */
enum opened mark_names(const struct line *line, char *quote);

/* mark_urls(line): Passwords in addresses, also without a scheme ("user:password@host"). */
void mark_urls(const struct line *line);

/* mark_tokens(line): Runs of letters and digits as nobody types them. */
void mark_tokens(const struct line *line);

/* mark_keys(line, inside): Blocks of private keys; *inside: whether one is open, before and after. */
void mark_keys(const struct line *line, bool *inside);

#endif
