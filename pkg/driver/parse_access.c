/*
 * The members of a definition that get into the database and do something there. They are read the
 * same whether the verb that uses them is asked for or not, so that a mistake shows at once.
 */
#include <string.h>

#include "base/memory.h"
#include "driver/check.h"

/* ---- ways and operations ---- */

/* A way's own values for templates: a tool that has two names, for one. */
static int check_way_value(const struct parser *parser, const struct json *item, const char *path)
{
	const struct json *value = json_get(parser->values, json_key(item));

	if (!value || json_bool(value, "secret"))
		return check_failed(parser, path, "must be one of \"values\", and no secret");
	return check_string(parser, item, path);
}

static int check_way_values(const struct parser *parser, const struct json *object,
			    const char *path)
{
	return check_each(parser, object, path, check_way_value);
}

static int check_way(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {
		{"arguments", check_templates, false},	   {"user", check_template, false},
		{"environment", check_environment, false}, {"needs", check_needs, false},
		{"values", check_way_values, false},	   {NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_ways(const struct parser *parser, const struct json *list, const char *path)
{
	if (json_count(list) == 0)
		return check_failed(parser, path, "must hold at least one way");
	return check_list(parser, list, path, check_way);
}

static int check_input(const struct parser *parser, const struct json *list, const char *path)
{
	return check_list(parser, list, path, check_secret_template);
}

#define OPERATION_MEMBERS                                                                          \
	{"arguments", check_arguments, true}, {"environment", check_environment, false},           \
		{"input", check_input, false},                                                     \
	{                                                                                          \
		"needs", check_needs, false                                                        \
	}

static int check_operation(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {OPERATION_MEMBERS, {NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_operations(const struct parser *parser, const struct json *list, const char *path)
{
	return check_list(parser, list, path, check_operation);
}

/* With further names that are given. */
static int check_given(const struct parser *parser, const struct json *item, const char *path,
		       const char *const *given, check_function *check)
{
	struct parser within = *parser;

	within.given = given;
	return check(&within, item, path);
}

static const char *const database_given[] = {"database", NULL};

static int check_in_database(const struct parser *parser, const struct json *item, const char *path)
{
	return check_given(parser, item, path, database_given, check_operation);
}

static int check_operations_anywhere(const struct parser *parser, const struct json *list,
				     const char *path)
{
	return check_given(parser, list, path, database_given, check_operations);
}

static int check_environment_anywhere(const struct parser *parser, const struct json *object,
				      const char *path)
{
	return check_given(parser, object, path, database_given, check_environment);
}

static int check_scratch(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"arguments", check_strings, true},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_version(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {
		OPERATION_MEMBERS, {"pattern", check_regex, false}, {NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

int check_access(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"environment", check_environment, false},
						{"ways", check_ways, true},
						{"version", check_version, true},
						{"scratch", check_scratch, false},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

/* ---- monitor ---- */

static int check_named_operations(const struct parser *parser, const struct json *object,
				  const char *path)
{
	json_for_each(item, object)
		if (strspn(json_key(item), "abcdefghijklmnopqrstuvwxyz0123456789-") !=
			    strlen(json_key(item)) ||
		    !*json_key(item))
			return check_failed(parser, path,
					    "has a name that is not of lower case letters, digits "
					    "and \"-\"");
	return check_each(parser, object, path, check_operation);
}

int check_monitor(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"environment", check_environment, false},
						{"operations", check_named_operations, true},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

/* ---- compare ---- */

static int check_quoting(const struct parser *parser, const struct json *item, const char *path)
{
	const char *as = json_string_or(item, NULL, "");

	if (strcmp(as, "quoted") == 0 || strcmp(as, "base64") == 0)
		return 0;
	return check_failed(parser, path, "must be \"quoted\" or \"base64\"");
}

static int check_format_line(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"line", check_regex, true},
						{"as", check_quoting, false},
						{"begins", check_bool, false},
						{"secret", check_bool, false},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_format_lines(const struct parser *parser, const struct json *list,
			      const char *path)
{
	return check_list(parser, list, path, check_format_line);
}

static int check_format(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"lines", check_format_lines, true},
						{"ignore", check_regex, false},
						{"folded", check_bool, false},
						{"each", check_bool, false},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_fixed_field(const struct parser *parser, const struct json *item, const char *path)
{
	if (json_is_null(item) || json_is_string(item))
		return 0;
	if (!json_is_array(item))
		return check_failed(parser, path, "must be a text, null, or a list of texts");
	return check_strings(parser, item, path);
}

static int check_fixed_record(const struct parser *parser, const struct json *item,
			      const char *path)
{
	return check_list(parser, item, path, check_fixed_field);
}

static int check_fixed(const struct parser *parser, const struct json *list, const char *path)
{
	return check_list(parser, list, path, check_fixed_record);
}

/* One whose output is records, or made into them; or nothing is run. */
static int check_records(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member run[] = {OPERATION_MEMBERS,
					    {"format", check_format, false},
					    {"sorted", check_bool, false},
					    {NULL, NULL, false}};
	static const struct member fixed[] = {{"fixed", check_fixed, true}, {NULL, NULL, false}};

	return check_members(parser, item, path, json_get(item, "fixed") ? fixed : run);
}

static int check_tables(const struct parser *parser, const struct json *item, const char *path)
{
	return check_given(parser, item, path, database_given, check_records);
}

static int check_rows(const struct parser *parser, const struct json *item, const char *path)
{
	static const char *const given[] = {"database", "statement", NULL};

	if (json_get(item, "fixed"))
		return check_failed(parser, path, "must be a command");
	return check_given(parser, item, path, given, check_records);
}

static int check_schema_members(const struct parser *parser, const struct json *item,
				const char *path)
{
	static const struct member members[] = {OPERATION_MEMBERS,
						{"heading", check_regex, true},
						{"type", check_template, true},
						{"within", check_template, false},
						{"object", check_template, true},
						{"ignore", check_regex, false},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_schema(const struct parser *parser, const struct json *item, const char *path)
{
	static const char *const given[] = {"database", "1", "2", "3", "4", NULL};

	return check_given(parser, item, path, given, check_schema_members);
}

int check_compare(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"environment", check_environment_anywhere, false},
						{"databases", check_records, true},
						{"server", check_records, false},
						{"tables", check_tables, true},
						{"rows", check_rows, true},
						{"schema", check_schema, false},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

/* ---- dump ---- */

static int check_required_line(const struct parser *parser, const struct json *item,
			       const char *path)
{
	static const struct member members[] = {{"pattern", check_regex, true},
						{"problem", check_string, true},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_required_lines(const struct parser *parser, const struct json *list,
				const char *path)
{
	return check_list(parser, list, path, check_required_line);
}

/* What tells a good dump: of every dump of the driver, or of this operation's alone. */
#define PROOF_MEMBERS                                                                              \
	{"starts", check_regex, false}, {"complete", check_regex, false},                          \
		{"holds", check_regex, false}, {"empty_size", check_number, false},                \
	{                                                                                          \
		"requires", check_required_lines, false                                            \
	}

static int check_dump_members(const struct parser *parser, const struct json *item,
			      const char *path)
{
	static const struct member members[] = {
		OPERATION_MEMBERS, PROOF_MEMBERS, {NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_database_members(const struct parser *parser, const struct json *item,
				  const char *path)
{
	static const struct member members[] = {OPERATION_MEMBERS,
						PROOF_MEMBERS,
						{"names", check_regex, false},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_database_dump(const struct parser *parser, const struct json *item,
			       const char *path)
{
	return check_given(parser, item, path, database_given, check_database_members);
}

static int check_file_name(const struct parser *parser, const struct json *item, const char *path)
{
	const char *name = json_string(item, NULL);

	if (!name || !*name || *name == '.' || strpbrk(name, "/${}"))
		return check_failed(parser, path, "must be the name of a file, without a folder");
	return 0;
}

int check_dump(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"file", check_file_name, true},
						{"without", check_string, false},
						{"environment", check_environment_anywhere, false},
						{"begin", check_operations_anywhere, false},
						{"server", check_dump_members, true},
						{"database", check_database_dump, false},
						{"end", check_operations_anywhere, false},
						{"clean", check_operations_anywhere, false},
						{"contents", check_operation, false},
						{"database_contents", check_in_database, false},
						{"volatile", check_regex, false},
						PROOF_MEMBERS,
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

/* ---- load ---- */

static int check_how(const struct parser *parser, const struct json *item, const char *path)
{
	const char *how = json_string_or(item, NULL, "");

	if (strcmp(how, "server") == 0 || strcmp(how, "before") == 0 || strcmp(how, "file") == 0)
		return 0;
	return check_failed(parser, path, "must be \"server\", \"before\" or \"file\"");
}

static int check_initial_value(const struct parser *parser, const struct json *item,
			       const char *path)
{
	static const char *const given[] = {"random", NULL};

	return check_given(parser, item, path, given, check_template);
}

static int check_initial_variable(const struct parser *parser, const struct json *item,
				  const char *path)
{
	static const struct member members[] = {{"unless", check_strings, false},
						{"value", check_initial_value, true},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_initial(const struct parser *parser, const struct json *object, const char *path)
{
	return check_each(parser, object, path, check_initial_variable);
}

static int check_boot_value(const struct parser *parser, const struct json *item, const char *path)
{
	if (!json_get(parser->values, json_key(item)))
		return check_failed(parser, path, "must be one of \"values\"");
	return check_string(parser, item, path);
}

static int check_boot_values(const struct parser *parser, const struct json *object,
			     const char *path)
{
	return check_each(parser, object, path, check_boot_value);
}

static int check_boot(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {
		{"arguments", check_templates, false}, {"initial", check_initial, false},
		{"values", check_boot_values, false},  {"file", check_template, false},
		{"remove", check_templates, false},    {NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

int check_load(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"how", check_how, true},
						{"environment", check_environment_anywhere, false},
						{"begin", check_operations_anywhere, false},
						{"server", check_operation, false},
						{"database", check_in_database, false},
						{"end", check_operations_anywhere, false},
						{"clean", check_operations_anywhere, false},
						{"errors", check_regex, false},
						{"ignored", check_regex, false},
						{"boot", check_boot, false},
						{NULL, NULL, false}};

	if (check_members(parser, item, path, members) < 0)
		return -1;
	if (strcmp(json_string_or(item, "how", ""), "file") == 0)
		return json_path(item, "boot", "file")
			       ? 0
			       : check_failed(parser, path,
					      "is of a file, and lacks the member \"boot.file\"");
	return json_get(item, "server") ? 0
					: check_failed(parser, path, "lacks the member \"server\"");
}

/* ---- script ---- */

int check_script(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {OPERATION_MEMBERS,
						{"extension", check_file_name, false},
						{"errors", check_regex, false},
						{"ignored", check_regex, false},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}
