/* SHA-256 of the TLS library that is here anyway. */
#include "remote/digest.h"

#include <mbedtls/sha256.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

#define PREFIX "sha256:"

bool digest_is_valid(const char *text)
{
	return text && text_has_prefix(text, PREFIX) && strlen(text) == DIGEST_SIZE - 1 &&
	       strspn(text + strlen(PREFIX), "0123456789abcdef") ==
		       DIGEST_SIZE - 1 - strlen(PREFIX);
}

void digest_of(const void *data, size_t size, char digest[DIGEST_SIZE])
{
	uint8_t hash[32];
	cleanup_free char *digits = NULL;

	/* It fails only where a device computes it. */
	if (mbedtls_sha256(data, size, hash, 0) != 0)
		abort();
	digits = text_hex(hash, sizeof(hash));
	snprintf(digest, DIGEST_SIZE, PREFIX "%s", digits);
}
