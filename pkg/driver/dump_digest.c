/* The hash of the lines that count; the others are told apart by their beginning. */
#include "driver/dump_digest.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "driver/line_search.h"

/* What differs between two dumps are short lines: of a longer one this much is looked at. */
#define LINE_MAX_SIZE 4096

struct dump_digest {
	regex_t volatile_lines;
	struct hasher *hasher;
	char line[LINE_MAX_SIZE + 1];
	size_t size;
	bool is_long;	 /* the line's beginning was taken already */
	bool is_dropped; /* and it does not count */
};

struct dump_digest *dump_digest_new(const struct driver *driver)
{
	const char *pattern = json_string(json_path(driver->definition, "dump"), "volatile");
	struct dump_digest *digest;

	if (!pattern)
		return NULL;
	digest = memory_zalloc(sizeof(*digest));
	if (pattern_compile(&digest->volatile_lines, pattern, REG_NOSUB) != 0) {
		free(digest);
		return NULL;
	}
	digest->hasher = hasher_new();
	return digest;
}

void dump_digest_free(struct dump_digest *digest)
{
	if (!digest)
		return;
	regfree(&digest->volatile_lines);
	hasher_free(digest->hasher);
	free(digest);
}

/* What is gathered goes into the hash, or not. */
static void take_line(struct dump_digest *digest)
{
	digest->line[digest->size] = '\0';
	if (!digest->is_long)
		digest->is_dropped =
			regexec(&digest->volatile_lines, digest->line, 0, NULL, 0) == 0;
	if (!digest->is_dropped)
		hasher_update(digest->hasher, digest->line, digest->size);
	digest->size = 0;
}

void dump_digest_take(struct dump_digest *digest, const void *data, size_t size)
{
	const char *bytes = data;

	for (size_t i = 0; i < size; i++) {
		if (bytes[i] == '\n') {
			take_line(digest);
			if (!digest->is_dropped)
				hasher_update(digest->hasher, "\n", 1);
			digest->is_long = digest->is_dropped = false;
			continue;
		}
		digest->line[digest->size++] = bytes[i];
		if (digest->size == LINE_MAX_SIZE) {
			take_line(digest);
			digest->is_long = true;
		}
	}
}

void dump_digest_end(struct dump_digest *digest, struct hash *hash)
{
	take_line(digest);
	hasher_finish(digest->hasher, hash);
}
