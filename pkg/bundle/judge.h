/* What tells a secret where its value is not known: the name before it, or how it looks. */
#ifndef SIDESNAP_BUNDLE_JUDGE_H
#define SIDESNAP_BUNDLE_JUDGE_H

#include <stdbool.h>
#include <stddef.h>

/* judge_name(name, size): Whether a variable, option, key or setting of this name holds a secret. */
bool judge_name(const char *name, size_t size);

/* judge_name_is_plain(name, size): One of those that mean nothing else ("password"), also in a sentence. */
bool judge_name_is_plain(const char *name, size_t size);

/*
 * judge_value_is_harmless(name, name_size, value, size):
 * Of a name that judge_name() took: a switch ("true"), nothing at all, a reference to a variable, or, where
 * the name is that of a file, an absolute path.
 */
bool judge_value_is_harmless(const char *name, size_t name_size, const char *value, size_t size);

/*
 * judge_token(text, size, is_suspicious):
 * Whether a run of letters and digits is one that nobody has typed: a token with a known beginning, or
 * upper case, lower case and digits mixed at random. With ${is_suspicious} (a value, an argument) also
 * one of hexadecimal digits, which elsewhere is a checksum or an id.
 */
bool judge_token(const char *text, size_t size, bool is_suspicious);

/* judge_is_token_byte(c): What such a run consists of. */
bool judge_is_token_byte(char c);

#endif
