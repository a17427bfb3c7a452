/*
 * Secrets blotted out of what people are shown.
 */
#ifndef SIDESNAP_BASE_REDACT_H
#define SIDESNAP_BASE_REDACT_H

#include "base/text.h"

/* redact(secrets, text): Every one of them in it becomes "***", in place. Each has at least three bytes. */
void redact(const struct string_list *secrets, char *text);

#endif
