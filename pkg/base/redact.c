/* The command and the boot of a snapshot show what a database's tools say, and both know secrets. */
#include "base/redact.h"

#include <string.h>

void redact(const struct string_list *secrets, char *text)
{
	for (size_t i = 0; i < secrets->count; i++) {
		size_t size = strlen(secrets->items[i]);

		for (char *p = text; (p = strstr(p, secrets->items[i])) != NULL; p += 3) {
			memcpy(p, "***", 3);
			memmove(p + 3, p + size, strlen(p + size) + 1);
		}
	}
}
