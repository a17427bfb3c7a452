/*
 * Digests as registries write them: "sha256:" and 64 lower-case digits.
 */
#ifndef SIDESNAP_REMOTE_DIGEST_H
#define SIDESNAP_REMOTE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#define DIGEST_SIZE 72 /* with its NUL */

/* digest_is_valid(text): Whether it is one; NULL is none, nor is one of another algorithm. */
bool digest_is_valid(const char *text);

/* digest_of(data, size, digest): Of those bytes. */
void digest_of(const void *data, size_t size, char digest[DIGEST_SIZE]);

#endif
