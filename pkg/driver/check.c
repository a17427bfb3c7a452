/*
 * The parts of a definition that occur everywhere in it, and finding the line of a mistake: the
 * parser of JSON keeps no lines, so the text is walked a second time, for an error only.
 */
#include "driver/check.h"

#include <regex.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "driver/values.h"
#include "store/format.h"
#include "store/page_hash.h"

/* ---- where a member is in the text ---- */

static const char *skip_space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static const char *skip_string(const char *p)
{
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && p[1])
			p++;
	return *p ? p + 1 : p;
}

static const char *skip_value(const char *p)
{
	size_t depth = 0;

	do {
		p = skip_space(p);
		if (*p == '"') {
			p = skip_string(p);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		if ((*p == '}' || *p == ']') && depth)
			depth--;
		if (!*p)
			break;
		if (strchr("{}[],:", *p))
			p++;
		else
			p += strcspn(p, " \t\r\n{}[],:\"");
	} while (depth);
	return p;
}

/* The value of member ${name} (or element [N]) of the value at ${p}; its key's place in *key. */
static const char *find_member(const char *p, const char *name, size_t size, const char **key)
{
	uint64_t index = 0;
	cleanup_free char *wanted = memory_strndup(name, size);

	if (*p != '{' && (*p != '[' || !text_parse_uint(wanted, SIZE_MAX / 2, &index)))
		return NULL;
	for (bool object = *p++ == '{';;) {
		const char *start = skip_space(p);

		if (!*start || *start == '}' || *start == ']')
			return NULL;
		p = start;
		*key = start;
		if (object) {
			p = skip_space(skip_string(start));
			p = skip_space(*p == ':' ? p + 1 : p);
		}
		if (object ? strncmp(start + 1, name, size) == 0 && start[size + 1] == '"'
			   : index-- == 0)
			return p;
		p = skip_space(skip_value(p));
		if (*p == ',')
			p++;
	}
}

/* The line of "a.b[2].c". The text is valid JSON already. */
static size_t line_of(const struct parser *parser, const char *path)
{
	const char *value = skip_space(parser->text), *place = value;
	size_t line = 1;

	while (*path) {
		size_t size = strcspn(path, ".[]");

		value = find_member(value, path, size, &place);
		if (!value)
			break;
		path += size;
		path += strspn(path, ".[]");
	}
	for (const char *p = parser->text; p < place; p++)
		line += *p == '\n';
	return line;
}

int check_failed(const struct parser *parser, const char *path, const char *reason)
{
	return error_set(parser->err, ERROR_USAGE, "%s:%zu: \"%s\" %s", parser->origin,
			 line_of(parser, path), path, reason);
}

static char *member_path(const char *path, const char *name)
{
	return *path ? memory_printf("%s.%s", path, name) : memory_strdup(name);
}

static char *element_path(const char *path, size_t index)
{
	return memory_printf("%s[%zu]", path, index);
}

/* ---- values of the definition ---- */

int check_members(const struct parser *parser, const struct json *object, const char *path,
		  const struct member *members)
{
	if (!json_is_object(object))
		return check_failed(parser, path, "must be an object");
	json_for_each(item, object) {
		cleanup_free char *place = member_path(path, json_key(item));
		const struct member *member = members;

		while (member->name && strcmp(member->name, json_key(item)) != 0)
			member++;
		if (!member->name)
			return check_failed(parser, place,
					    "is no member that a driver may have here");
		if (member->check(parser, item, place) < 0)
			return -1;
	}
	for (; members->name; members++) {
		if (members->required && !json_get(object, members->name)) {
			cleanup_free char *reason =
				memory_printf("lacks the member \"%s\"", members->name);

			return check_failed(parser, *path ? path : "", reason);
		}
	}
	return 0;
}

int check_string(const struct parser *parser, const struct json *item, const char *path)
{
	return json_is_string(item) ? 0 : check_failed(parser, path, "must be a string");
}

int check_list(const struct parser *parser, const struct json *list, const char *path,
	       check_function *check)
{
	size_t index = 0;

	if (!json_is_array(list))
		return check_failed(parser, path, "must be an array");
	json_for_each(item, list) {
		cleanup_free char *place = element_path(path, index++);

		if (check(parser, item, place) < 0)
			return -1;
	}
	return 0;
}

int check_strings(const struct parser *parser, const struct json *list, const char *path)
{
	return check_list(parser, list, path, check_string);
}

int check_bool(const struct parser *parser, const struct json *item, const char *path)
{
	return json_is_bool(item) ? 0 : check_failed(parser, path, "must be true or false");
}

int check_name(const struct parser *parser, const struct json *item, const char *path)
{
	const char *name = json_string(item, NULL);

	if (name && *name &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name) &&
	    strcmp(name, "none") != 0 && strcmp(name, "labels") != 0)
		return 0;
	return check_failed(parser, path,
			    "must be lower-case letters, digits and '-', and not "
			    "\"none\" or \"labels\"");
}

int check_number(const struct parser *parser, const struct json *item, const char *path)
{
	uint64_t value;

	if (json_uint_checked(item, NULL, 86400000, &value) && value > 0)
		return 0;
	return check_failed(parser, path, "must be a whole number from 1 to 86400000");
}

static int check_power(const struct parser *parser, const struct json *item, const char *path,
		       unsigned least, unsigned most)
{
	cleanup_free char *problem = NULL;
	uint64_t value;

	if (json_uint_checked(item, NULL, most, &value) && value >= least &&
	    (value & (value - 1)) == 0)
		return 0;
	problem = memory_printf("must be a power of two from %u to %u", least, most);
	return check_failed(parser, path, problem);
}

/* What a store takes: the agent accepts no more. */
int check_block(const struct parser *parser, const struct json *item, const char *path)
{
	return check_power(parser, item, path, CHUNK_BLOCK_SIZE_MIN, CHUNK_SIZE_MAX);
}

int check_page(const struct parser *parser, const struct json *item, const char *path)
{
	return check_power(parser, item, path, PAGE_SIZE_MIN, PAGE_SIZE_MAX);
}

int check_regex(const struct parser *parser, const struct json *item, const char *path)
{
	regex_t regex;

	if (!json_is_string(item) ||
	    regcomp(&regex, json_string(item, NULL), REG_EXTENDED | REG_NOSUB) != 0)
		return check_failed(parser, path, "must be an extended regular expression");
	regfree(&regex);
	return 0;
}

static bool is_given(const struct parser *parser, const char *name)
{
	for (const char *const *given = parser->given; given && *given; given++)
		if (strcmp(*given, name) == 0)
			return true;
	return value_is_built_in(name);
}

/* "${name}" must be known; a secret only where ${secrets}. */
static int check_references(const struct parser *parser, const struct json *item, const char *path,
			    bool secrets)
{
	const char *p = json_string(item, NULL);

	if (!p)
		return check_failed(parser, path, "must be a string");
	while ((p = strstr(p, "${")) != NULL) {
		size_t size = strcspn(p + 2, "}");
		cleanup_free char *name = memory_strndup(p + 2, size);
		const struct json *value = json_get(parser->values, name);

		if (p[2 + size] != '}')
			return check_failed(parser, path, "has a \"${\" without \"}\"");
		if (!value && !is_given(parser, name))
			return check_failed(parser, path,
					    "uses a value that \"values\" does not define");
		if (json_bool(value, "secret") && !secrets)
			return check_failed(
				parser, path,
				"uses a secret: those go into \"environment\" or \"input\" only");
		p += 2 + size;
	}
	return 0;
}

int check_template(const struct parser *parser, const struct json *item, const char *path)
{
	return check_references(parser, item, path, false);
}

int check_secret_template(const struct parser *parser, const struct json *item, const char *path)
{
	return check_references(parser, item, path, true);
}

int check_templates(const struct parser *parser, const struct json *list, const char *path)
{
	return check_list(parser, list, path, check_template);
}

int check_arguments(const struct parser *parser, const struct json *list, const char *path)
{
	if (json_count(list) == 0)
		return check_failed(parser, path, "must name a command");
	return check_templates(parser, list, path);
}

int check_each(const struct parser *parser, const struct json *object, const char *path,
	       check_function *check)
{
	if (!json_is_object(object))
		return check_failed(parser, path, "must be an object");
	json_for_each(item, object) {
		cleanup_free char *place = member_path(path, json_key(item));

		if (check(parser, item, place) < 0)
			return -1;
	}
	return 0;
}

int check_environment(const struct parser *parser, const struct json *object, const char *path)
{
	return check_each(parser, object, path, check_secret_template);
}

static int check_need(const struct parser *parser, const struct json *item, const char *path)
{
	const char *name = json_string(item, NULL);

	if (name && (json_get(parser->values, name) || value_is_built_in(name)))
		return 0;
	return check_failed(parser, path, "must name one of \"values\"");
}

int check_needs(const struct parser *parser, const struct json *list, const char *path)
{
	return check_list(parser, list, path, check_need);
}
