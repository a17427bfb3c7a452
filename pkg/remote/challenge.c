/* Headers of answers, taken apart. */
#include "remote/challenge.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/text.h"

#define SPACE " \t"
#define TOKEN_END " \t,;=\""

void challenge_release(struct challenge *challenge)
{
	free(challenge->realm);
	free(challenge->service);
	*challenge = (struct challenge){0};
}

static void skip(const char **at, const char *characters)
{
	*at += strspn(*at, characters);
}

static char *take_token(const char **at)
{
	size_t length = strcspn(*at, TOKEN_END);
	char *token = memory_strndup(*at, length);

	*at += length;
	return token;
}

/* A token, or a quoted string with its backslashes resolved. */
static char *take_value(const char **at)
{
	char *value, *to;

	if (**at != '"')
		return take_token(at);
	to = value = memory_strdup(++*at);
	while (**at && **at != '"') {
		if (**at == '\\' && (*at)[1])
			++*at;
		*to++ = *(*at)++;
	}
	*to = '\0';
	*at += **at == '"';
	return value;
}

/* "NAME=VALUE, NAME=VALUE" up to the next scheme, which is a token without "=". */
static void take_parameters(struct challenge *challenge, const char **at)
{
	while (**at) {
		cleanup_free char *name = NULL, *value = NULL;
		const char *begin;

		skip(at, SPACE ",");
		begin = *at;
		name = take_token(at);
		skip(at, SPACE);
		if (**at != '=') {
			*at = begin;
			/* neither a name nor a scheme: what is left says nothing */
			if (!*name)
				*at += strlen(*at);
			return;
		}
		++*at;
		skip(at, SPACE);
		value = take_value(at);
		if (!strcasecmp(name, "realm") && !challenge->realm)
			challenge->realm = STEAL_POINTER(value);
		else if (!strcasecmp(name, "service") && !challenge->service)
			challenge->service = STEAL_POINTER(value);
	}
}

void challenge_take(struct challenge *challenge, const char *header)
{
	while (*header) {
		struct challenge found = {0};
		cleanup_free char *scheme = NULL;

		skip(&header, SPACE ",");
		scheme = take_token(&header);
		if (!*scheme)
			return;
		take_parameters(&found, &header);
		if (!strcasecmp(scheme, "Bearer") && found.realm)
			found.kind = CHALLENGE_BEARER;
		else if (!strcasecmp(scheme, "Basic"))
			found.kind = CHALLENGE_BASIC;
		if (found.kind > challenge->kind) {
			challenge_release(challenge);
			*challenge = found;
		} else {
			challenge_release(&found);
		}
	}
}

/* Whether the parameters of one link, up to its ",", say rel="next". */
static bool is_next(const char **at)
{
	bool result = false;

	while (**at && **at != ',') {
		cleanup_free char *name = NULL, *value = NULL;

		skip(at, SPACE ";");
		name = take_token(at);
		skip(at, SPACE);
		if (**at == '=') {
			++*at;
			skip(at, SPACE);
			value = take_value(at);
			result |= !strcasecmp(name, "rel") && !strcasecmp(value, "next");
		} else if (!*name && **at && **at != ',') {
			++*at;
		}
	}
	return result;
}

char *challenge_next_link(const char *header)
{
	while (*(header += strcspn(header, "<"))) {
		const char *begin = header + 1, *end = strchr(begin, '>');

		if (!end)
			return NULL;
		header = end + 1;
		if (is_next(&header))
			return memory_strndup(begin, (size_t)(end - begin));
	}
	return NULL;
}
