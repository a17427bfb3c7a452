/*
 * Values that are known to be secrets, and where they stand in a text, also encoded: what people are
 * shown has them blotted out.
 */
#ifndef SIDESNAP_BASE_REDACT_H
#define SIDESNAP_BASE_REDACT_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/text.h"

/* redact(secrets, text): Every one of them in it becomes "***", in place. Each has at least three bytes. */
void redact(const struct string_list *secrets, char *text);

struct secrets;

/* secrets_new(): None. Never NULL. */
struct secrets *secrets_new(void);
void secrets_free(struct secrets *secrets); /* NULL ok */
CLEANUP_DEFINE(struct secrets, secrets_free)

/* Below this a value is found only as a word of its own, and only as it is. */
#define SECRET_SHORT 6

/* Below this it is not looked for: half of every text would go. */
#define SECRET_MIN 3

/*
 * secrets_add(secrets, value, size):
 * A value, and each of its lines where it has several; white space at its ends is none of it. Words that
 * only switch something ("true", "none") are left out. False: it is not looked for.
 */
bool secrets_add(struct secrets *secrets, const char *value, size_t size);

/* secrets_count(secrets): Values and lines of them, without those that were added twice. */
size_t secrets_count(const struct secrets *secrets);

/*
 * secrets_mark(secrets, text, size, marks, mark):
 * Set the byte of ${marks} to ${mark} for every byte of ${text} that belongs to a known value: as it is,
 * in base64 at whatever place, in hexadecimal, with the quotes or dollars of shells and YAML doubled,
 * URL-encoded, or escaped as in JSON, C, or HTML. A run of base64 or hexadecimal digits goes as a whole.
 */
void secrets_mark(const struct secrets *secrets, const char *text, size_t size, uint8_t *marks,
		  uint8_t mark);

#endif
