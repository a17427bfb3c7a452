/*
 * Reading a driver's definition. Whatever is not understood is an error that
 * names the line: a misspelt member must not silently change how a database
 * is captured.
 */
#include <regex.h>
#include <string.h>

#include "base/memory.h"
#include "driver/driver.h"
#include "store/format.h"
#include "store/page_hash.h"

struct parser {
	const char *origin, *text;
	const struct json *values; /* names that templates may use */
	const char *const *given;  /* further ones, NULL at the end; or NULL */
	struct error **err;
};

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

static int fail(const struct parser *parser, const char *path, const char *reason)
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

typedef int check_function(const struct parser *parser, const struct json *item, const char *path);

struct member {
	const char *name;
	check_function *check;
	bool required;
};

static int check_members(const struct parser *parser, const struct json *object, const char *path,
			 const struct member *members)
{
	if (!json_is_object(object))
		return fail(parser, path, "must be an object");
	json_for_each(item, object) {
		cleanup_free char *place = member_path(path, json_key(item));
		const struct member *member = members;

		while (member->name && strcmp(member->name, json_key(item)) != 0)
			member++;
		if (!member->name)
			return fail(parser, place, "is no member that a driver may have here");
		if (member->check(parser, item, place) < 0)
			return -1;
	}
	for (; members->name; members++) {
		if (members->required && !json_get(object, members->name)) {
			cleanup_free char *reason =
				memory_printf("lacks the member \"%s\"", members->name);

			return fail(parser, *path ? path : "", reason);
		}
	}
	return 0;
}

static int check_string(const struct parser *parser, const struct json *item, const char *path)
{
	return json_is_string(item) ? 0 : fail(parser, path, "must be a string");
}

static int check_list(const struct parser *parser, const struct json *list, const char *path,
		      check_function *check)
{
	size_t index = 0;

	if (!json_is_array(list))
		return fail(parser, path, "must be an array");
	json_for_each(item, list) {
		cleanup_free char *place = element_path(path, index++);

		if (check(parser, item, place) < 0)
			return -1;
	}
	return 0;
}

static int check_strings(const struct parser *parser, const struct json *list, const char *path)
{
	return check_list(parser, list, path, check_string);
}

static int check_bool(const struct parser *parser, const struct json *item, const char *path)
{
	return json_is_bool(item) ? 0 : fail(parser, path, "must be true or false");
}

static int check_name(const struct parser *parser, const struct json *item, const char *path)
{
	const char *name = json_string(item, NULL);

	if (name && *name &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name) &&
	    strcmp(name, "none") != 0)
		return 0;
	return fail(parser, path, "must be lower-case letters, digits and '-', and not \"none\"");
}

static int check_number(const struct parser *parser, const struct json *item, const char *path)
{
	uint64_t value;

	if (json_uint_checked(item, NULL, 86400000, &value) && value > 0)
		return 0;
	return fail(parser, path, "must be a whole number from 1 to 86400000");
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
	return fail(parser, path, problem);
}

/* What a store takes: the agent accepts no more. */
static int check_block(const struct parser *parser, const struct json *item, const char *path)
{
	return check_power(parser, item, path, CHUNK_BLOCK_SIZE_MIN, CHUNK_SIZE_MAX);
}

static int check_page(const struct parser *parser, const struct json *item, const char *path)
{
	return check_power(parser, item, path, PAGE_SIZE_MIN, PAGE_SIZE_MAX);
}

static int check_regex(const struct parser *parser, const struct json *item, const char *path)
{
	regex_t regex;

	if (!json_is_string(item) ||
	    regcomp(&regex, json_string(item, NULL), REG_EXTENDED | REG_NOSUB) != 0)
		return fail(parser, path, "must be an extended regular expression");
	regfree(&regex);
	return 0;
}

static bool is_given(const struct parser *parser, const char *name)
{
	for (const char *const *given = parser->given; given && *given; given++)
		if (strcmp(*given, name) == 0)
			return true;
	return strcmp(name, "address") == 0;
}

/* "${name}" must be known; a secret only where ${secrets}. */
static int check_references(const struct parser *parser, const struct json *item, const char *path,
			    bool secrets)
{
	const char *p = json_string(item, NULL);

	if (!p)
		return fail(parser, path, "must be a string");
	while ((p = strstr(p, "${")) != NULL) {
		size_t size = strcspn(p + 2, "}");
		cleanup_free char *name = memory_strndup(p + 2, size);
		const struct json *value = json_get(parser->values, name);

		if (p[2 + size] != '}')
			return fail(parser, path, "has a \"${\" without \"}\"");
		if (!value && !is_given(parser, name))
			return fail(parser, path, "uses a value that \"values\" does not define");
		if (json_bool(value, "secret") && !secrets)
			return fail(
				parser, path,
				"uses a secret: those go into \"environment\" or \"input\" only");
		p += 2 + size;
	}
	return 0;
}

static int check_template(const struct parser *parser, const struct json *item, const char *path)
{
	return check_references(parser, item, path, false);
}

static int check_secret_template(const struct parser *parser, const struct json *item,
				 const char *path)
{
	return check_references(parser, item, path, true);
}

static int check_templates(const struct parser *parser, const struct json *list, const char *path)
{
	return check_list(parser, list, path, check_template);
}

static int check_arguments(const struct parser *parser, const struct json *list, const char *path)
{
	if (json_count(list) == 0)
		return fail(parser, path, "must name a command");
	return check_templates(parser, list, path);
}

static int check_environment(const struct parser *parser, const struct json *object,
			     const char *path)
{
	if (!json_is_object(object))
		return fail(parser, path, "must be an object");
	json_for_each(item, object) {
		cleanup_free char *place = member_path(path, json_key(item));

		if (check_secret_template(parser, item, place) < 0)
			return -1;
	}
	return 0;
}

static int check_need(const struct parser *parser, const struct json *item, const char *path)
{
	const char *name = json_string(item, NULL);

	if (name && (json_get(parser->values, name) || strcmp(name, "address") == 0))
		return 0;
	return fail(parser, path, "must name one of \"values\"");
}

static int check_needs(const struct parser *parser, const struct json *list, const char *path)
{
	return check_list(parser, list, path, check_need);
}

/* ---- the parts ---- */

static int check_line(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {
		{"file", check_template, true}, {"line", check_number, true}, {NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_lines(const struct parser *parser, const struct json *list, const char *path)
{
	return check_list(parser, list, path, check_line);
}

static int check_value(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"variables", check_strings, false},
						{"options", check_strings, false},
						{"files", check_strings, false},
						{"lines", check_lines, false},
						{"default", check_string, false},
						{"secret", check_bool, false},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_values(const struct parser *parser, const struct json *object, const char *path)
{
	if (!json_is_object(object))
		return fail(parser, path, "must be an object");
	json_for_each(item, object) {
		cleanup_free char *place = member_path(path, json_key(item));

		if (strcmp(json_key(item), "address") == 0)
			return fail(parser, place, "is the container's own address already");
		if (check_value(parser, item, place) < 0)
			return -1;
	}
	return 0;
}

static int check_detect(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"images", check_strings, false},
						{"processes", check_strings, false},
						{"commands", check_strings, false},
						{"variables", check_strings, false},
						{"ports", check_strings, false},
						{"mounts", check_strings, false},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_pages(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"files", check_strings, true},
						{"block", check_block, true},
						{"page", check_page, false},
						{NULL, NULL, false}};

	if (check_members(parser, item, path, members) < 0)
		return -1;
	/* Both are powers of two: then it divides. */
	if (json_int(item, "page") > json_int(item, "block"))
		return fail(parser, path, "has a \"page\" that is larger than its \"block\"");
	return 0;
}

static int check_command(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"arguments", check_arguments, true},
						{"user", check_template, false},
						{"environment", check_environment, false},
						{"input", check_secret_template, false},
						{"needs", check_needs, false},
						{"expect", check_regex, false},
						{"guess", check_bool, false},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_any(const struct parser *parser, const struct json *list, const char *path)
{
	if (json_count(list) == 0)
		return fail(parser, path, "must hold at least one command");
	return check_list(parser, list, path, check_command);
}

static int check_step(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"name", check_string, true},
						{"any", check_any, true},
						{"continue_when", check_regex, false},
						{"retry_when", check_regex, false},
						{"retry_ms", check_number, false},
						{"timeout_ms", check_number, false},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_steps_list(const struct parser *parser, const struct json *list, const char *path)
{
	return check_list(parser, list, path, check_step);
}

static int check_steps(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"steps", check_steps_list, true},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_ready(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"any", check_any, true}, {NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_client(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"arguments", check_arguments, true},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

/* ---- compare ---- */

static int check_way(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"arguments", check_templates, false},
						{"user", check_template, false},
						{"environment", check_environment, false},
						{"needs", check_needs, false},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_ways(const struct parser *parser, const struct json *list, const char *path)
{
	if (json_count(list) == 0)
		return fail(parser, path, "must hold at least one way");
	return check_list(parser, list, path, check_way);
}

static int check_lines_of_input(const struct parser *parser, const struct json *list,
				const char *path)
{
	return check_list(parser, list, path, check_secret_template);
}

static const struct member operation_members[] = {{"arguments", check_arguments, true},
						  {"environment", check_environment, false},
						  {"input", check_lines_of_input, false},
						  {NULL, NULL, false}};

static int check_operation(const struct parser *parser, const struct json *item, const char *path)
{
	return check_members(parser, item, path, operation_members);
}

static int check_in_database(const struct parser *parser, const struct json *item, const char *path)
{
	static const char *const given[] = {"database", NULL};
	struct parser within = *parser;

	within.given = given;
	return check_operation(&within, item, path);
}

static int check_rows(const struct parser *parser, const struct json *item, const char *path)
{
	static const char *const given[] = {"database", "statement", NULL};
	struct parser within = *parser;

	within.given = given;
	return check_operation(&within, item, path);
}

static int check_schema(const struct parser *parser, const struct json *item, const char *path)
{
	static const char *const given[] = {"database", "1", "2", "3", "4", NULL};
	static const struct member members[] = {{"arguments", check_arguments, true},
						{"environment", check_environment, false},
						{"input", check_lines_of_input, false},
						{"heading", check_regex, true},
						{"type", check_template, true},
						{"within", check_template, false},
						{"object", check_template, true},
						{"ignore", check_regex, false},
						{NULL, NULL, false}};
	struct parser within = *parser;

	within.given = given;
	return check_members(&within, item, path, members);
}

static int check_compare(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"environment", check_environment, false},
						{"ways", check_ways, true},
						{"version", check_operation, true},
						{"databases", check_operation, true},
						{"server", check_operation, false},
						{"tables", check_in_database, true},
						{"rows", check_rows, true},
						{"schema", check_schema, false},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

/* Their content belongs to verbs that read it; here they only have their place. */
static int check_object(const struct parser *parser, const struct json *item, const char *path)
{
	return json_is_object(item) ? 0 : fail(parser, path, "must be an object");
}

static const struct member top_members[] = {
	{"name", check_name, true},
	{"title", check_string, false},
	{"detect", check_detect, true},
	{"values", check_values, false},
	{"data", check_templates, true},
	{"pages", check_pages, false},
	{"state_variables", check_strings, false},
	{"guard", check_templates, false},
	{"prepare", check_steps, false},
	{"release", check_steps, false},
	{"ready", check_ready, false},
	{"client", check_client, false},
	{"compare", check_compare, false},
	{"dump", check_object, false},
	{"load", check_object, false},
	{"finish", check_object, false},
	{"config", check_object, false},
	{"monitor", check_object, false},
	{NULL, NULL, false},
};

struct driver *driver_parse(const char *origin, const char *text, size_t size, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *definition = json_parse(text, size, err);
	/* Searching for lines wants an end. */
	cleanup_free char *copy = memory_strndup(text, size);
	struct parser parser = {.origin = origin, .text = copy, .err = err};
	struct driver *driver;

	if (!definition) {
		error_prefix(err, "%s", origin);
		return NULL;
	}
	parser.values = json_get(definition, "values");
	if (!json_is_object(definition)) {
		error_set(err, ERROR_USAGE, "%s: a driver is a JSON object", origin);
		return NULL;
	}
	if (check_members(&parser, definition, "", top_members) < 0)
		return NULL;
	driver = memory_zalloc(sizeof(*driver));
	driver->definition = STEAL_POINTER(definition);
	driver->name = json_string(driver->definition, "name");
	return driver;
}
