/*
 * References are checked here, before anything is frozen or written: an engine that
 * refuses a tag at the end of a create would have cost the whole of it.
 */
#include "snapshot/reference.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/memory.h"
#include "base/text.h"
#include "remote/registry.h"

#define REPOSITORY_MAX 255
#define TAG_MAX 128
/* Leaves room for "localhost/sidesnap/" and more. */
#define DEFAULT_NAME_MAX 128

void reference_release(struct reference *reference)
{
	free(reference->repository);
	free(reference->tag);
	*reference = (struct reference){0};
}

static int refuse(const char *text, size_t position, const char *why, struct error **err)
{
	error_set(err, ERROR_USAGE, "\"%s\" is no image reference: %s at character %zu", text, why,
		  position + 1);
	return error_hint(err, "write NAME or NAME:TAG, as in demo:before or "
			       "registry.example:5000/team/db:monday");
}

static bool is_lower_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Length of a separator within a path component: ".", "_", "__" or dashes; 0: none is here. */
static size_t separator_length(const char *text)
{
	if (text[0] == '.')
		return 1;
	if (text[0] == '_')
		return text[1] == '_' ? 2 : 1;
	return strspn(text, "-");
}

/* One component of the path, [a-z0-9]+ joined by separators; ${end} is behind it. */
static int check_component(const char *text, size_t start, size_t end, struct error **err)
{
	size_t position = start;

	if (start == end)
		return refuse(text, start, "an empty name", err);
	while (position < end) {
		size_t begin = position, length;

		while (position < end && is_lower_or_digit(text[position]))
			position++;
		if (position == begin && isupper((unsigned char)text[position]))
			return refuse(text, position, "an upper-case letter", err);
		if (position == begin)
			return refuse(text, position,
				      position == start ? "a name must begin with a letter or digit"
							: "a character that may not stand",
				      err);
		if (position == end)
			return 0;
		length = separator_length(text + position);
		if (!length)
			return refuse(text, position,
				      isupper((unsigned char)text[position])
					      ? "an upper-case letter"
					      : "a character that may not stand",
				      err);
		position += length;
	}
	return refuse(text, end - 1, "a name must end with a letter or digit, not with a separator",
		      err);
}

/* A host as the grammar has it: letters, digits, '-' and '.', or an IPv6 address, then a port. */
static int check_domain(const char *text, size_t end, struct error **err)
{
	size_t position = 0, digits;

	if (text[0] == '[') {
		position = 1 + strspn(text + 1, "0123456789abcdefABCDEF:");
		if (text[position] != ']')
			return refuse(text, position, "no end of the address", err);
		position++;
	} else {
		while (position < end &&
		       (isalnum((unsigned char)text[position]) || text[position] == '-' ||
			(text[position] == '.' && position && text[position - 1] != '.')))
			position++;
	}
	if (position == end)
		return 0;
	if (text[position] != ':' || position == 0)
		return refuse(text, position, "a character that may not stand in a host", err);
	digits = strspn(text + position + 1, "0123456789");
	if (!digits || position + 1 + digits != end)
		return refuse(text, position + 1, "no port number", err);
	return 0;
}

static int check_tag(const char *text, size_t start, struct error **err)
{
	size_t length = strlen(text + start);

	if (!length)
		return refuse(text, start, "an empty tag", err);
	for (size_t i = 0; i < length; i++) {
		char c = text[start + i];

		if (isalnum((unsigned char)c) || c == '_' || (i && (c == '.' || c == '-')))
			continue;
		return refuse(text, start + i,
			      i ? "a character that may not stand in a tag"
				: "a tag must begin with a letter, digit or _",
			      err);
	}
	if (length > TAG_MAX)
		return refuse(text, start + TAG_MAX, "a tag of more than 128 characters", err);
	return 0;
}

static bool is_image_id(const char *text, size_t length)
{
	return length == 64 && strspn(text, "0123456789abcdef") >= 64;
}

int reference_parse(const char *text, struct reference *reference, struct error **err)
{
	const char *slash = strrchr(text, '/');
	const char *colon = strchr(slash ? slash : text, ':');
	size_t end = colon ? (size_t)(colon - text) : strlen(text), position = 0;

	if (strchr(text, '@'))
		return refuse(text, (size_t)(strchr(text, '@') - text),
			      "a digest, which cannot be chosen,", err);
	if (is_image_id(text, end))
		return refuse(text, 0, "64 hexadecimal digits would be taken for an image's id",
			      err);
	position = registry_host_length(text);
	if (position) {
		if (check_domain(text, position, err) < 0)
			return -1;
		position++;
	}
	while (true) {
		size_t next = position + strcspn(text + position, "/");

		if (next > end)
			next = end;
		if (check_component(text, position, next, err) < 0)
			return -1;
		if (next == end)
			break;
		position = next + 1;
	}
	if (end > REPOSITORY_MAX)
		return refuse(text, REPOSITORY_MAX, "a name of more than 255 characters", err);
	if (colon && check_tag(text, end + 1, err) < 0)
		return -1;
	reference->repository = memory_strndup(text, end);
	reference->tag = memory_strdup(colon ? colon + 1 : "latest");
	return 0;
}

char *reference_format(const struct reference *reference)
{
	return memory_printf("%s:%s", reference->repository, reference->tag);
}

/* Any container's name as one path component: lower case, all that may not stand as '-'. */
static char *component_of(const char *name)
{
	struct buffer result;

	buffer_init(&result, DEFAULT_NAME_MAX);
	while (*name && result.size < DEFAULT_NAME_MAX - 2) {
		size_t others = 0;
		char c = (char)tolower((unsigned char)*name);

		if (is_lower_or_digit(c)) {
			buffer_append(&result, &c, 1);
			name++;
			continue;
		}
		while (name[others] && !isalnum((unsigned char)name[others]))
			others++;
		/* Neither leading nor trailing, and only what the grammar has between two names. */
		if (result.size && name[others]) {
			bool kept = others == 1 && strchr("._-", name[0]);

			buffer_append(&result, kept ? name : "-", 1);
		}
		name += others;
	}
	if (!result.size)
		buffer_append_string(&result, "container");
	if (!is_lower_or_digit(result.data[result.size - 1]))
		buffer_append_string(&result, "0");
	return buffer_steal(&result);
}

void reference_default(const char *name, struct timespec time, struct reference *reference)
{
	cleanup_free char *component = component_of(name);

	reference->repository = memory_printf("localhost/sidesnap/%s", component);
	reference->tag = clock_format_tag(time);
}
