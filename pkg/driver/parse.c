/*
 * Reading a driver's definition. Whatever is not understood is an error that
 * names the line: a misspelt member must not silently change how a database
 * is captured.
 */
#include <string.h>

#include "base/memory.h"
#include "driver/check.h"
#include "driver/driver.h"

/* ---- the parts ---- */

static int check_line(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"file", check_template, true},
						{"line", check_number, false},
						{"pattern", check_regex, false},
						{NULL, NULL, false}};

	if (check_members(parser, item, path, members) < 0)
		return -1;
	if (!json_get(item, "line") == !json_get(item, "pattern"))
		return check_failed(parser, path, "must have one of \"line\" and \"pattern\"");
	return 0;
}

static int check_lines(const struct parser *parser, const struct json *list, const char *path)
{
	return check_list(parser, list, path, check_line);
}

static int check_value(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {
		{"variables", check_strings, false}, {"options", check_strings, false},
		{"words", check_strings, false},     {"files", check_strings, false},
		{"lines", check_lines, false},	     {"default", check_template, false},
		{"secret", check_bool, false},	     {NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

/* Labels of a container have these names: sidesnap.driver.prepare is no value "prepare". */
static const char *const label_members[] = {"prepare", "release", "ready", "client",
					    "finish",  "dump",	  "load",  "script"};

static int check_named_value(const struct parser *parser, const struct json *item, const char *path)
{
	const char *name = json_key(item);

	if (strcmp(name, "address") == 0)
		return check_failed(parser, path, "is the container's own address already");
	if (strcmp(name, "hostname") == 0)
		return check_failed(parser, path, "is the container's host name already");
	for (size_t i = 0; i < sizeof(label_members) / sizeof(label_members[0]); i++)
		if (strcmp(name, label_members[i]) == 0)
			return check_failed(parser, path,
					    "is the name of a label that changes the driver");
	return check_value(parser, item, path);
}

static int check_values(const struct parser *parser, const struct json *object, const char *path)
{
	return check_each(parser, object, path, check_named_value);
}

/* A name is looked for in the container's PATH: what is not there is not listed, so there are no patterns. */
static int check_executable(const struct parser *parser, const struct json *item, const char *path)
{
	const char *name = json_string(item, NULL);

	if (name && *name && !strpbrk(name, "*?[") && (*name == '/' || !strchr(name, '/')))
		return 0;
	return check_failed(parser, path, "must be a program's name, or its absolute path");
}

static int check_executables(const struct parser *parser, const struct json *list, const char *path)
{
	return check_list(parser, list, path, check_executable);
}

static int check_state_values(const struct parser *parser, const struct json *object,
			      const char *path)
{
	return check_each(parser, object, path, check_template);
}

static int check_when(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"options", check_strings, false},
						{"processes", check_strings, false},
						{NULL, NULL, false}};

	if (check_members(parser, item, path, members) < 0)
		return -1;
	if (json_count(json_get(item, "options")) || json_count(json_get(item, "processes")))
		return 0;
	return check_failed(parser, path, "must name an option or a process");
}

static int check_refusal(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {
		{"when", check_when, true}, {"reason", check_string, true}, {NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_refusals(const struct parser *parser, const struct json *list, const char *path)
{
	return check_list(parser, list, path, check_refusal);
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
		return check_failed(parser, path,
				    "has a \"page\" that is larger than its \"block\"");
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
		return check_failed(parser, path, "must hold at least one command");
	return check_list(parser, list, path, check_command);
}

/* What proves whose server it is that runs by a name of another's, too. */
static int check_shared(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"names", check_strings, true},
						{"variables", check_strings, false},
						{"files", check_templates, false},
						{"any", check_any, false},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static int check_detect(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"images", check_strings, false},
						{"processes", check_strings, false},
						{"arguments", check_strings, false},
						{"commands", check_strings, false},
						{"executables", check_executables, false},
						{"files", check_templates, false},
						{"variables", check_strings, false},
						{"ports", check_strings, false},
						{"mounts", check_strings, false},
						{"shared", check_shared, false},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
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

int check_steps(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"steps", check_steps_list, true},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

int check_ready(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"any", check_any, true}, {NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

int check_client(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"arguments", check_arguments, true},
						{"shell", check_ready, false},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

/* ---- all of it ---- */

/* Their content belongs to verbs that read it; here they only have their place. */
static int check_config(const struct parser *parser, const struct json *item, const char *path)
{
	static const struct member members[] = {{"files", check_templates, true},
						{NULL, NULL, false}};

	return check_members(parser, item, path, members);
}

static const struct member top_members[] = {
	{"name", check_name, true},
	{"title", check_string, false},
	{"detect", check_detect, true},
	{"refuse", check_refusals, false},
	{"values", check_values, false},
	{"data", check_templates, true},
	{"more_data", check_ready, false},
	{"pages", check_pages, false},
	{"state_variables", check_strings, false},
	{"state_values", check_state_values, false},
	{"hosts", check_templates, false},
	{"direct_io", check_bool, false},
	{"guard", check_templates, false},
	{"prepare", check_steps, false},
	{"release", check_steps, false},
	{"ready", check_ready, false},
	{"client", check_client, false},
	{"access", check_access, false},
	{"compare", check_compare, false},
	{"dump", check_dump, false},
	{"load", check_load, false},
	{"script", check_script, false},
	{"finish", check_steps, false},
	{"config", check_config, false},
	{"monitor", check_monitor, false},
	{NULL, NULL, false},
};

/* What is done in the database needs a way into it, and names of its own for what is given there. */
static int check_has_access(const struct parser *parser, const struct json *definition)
{
	static const char *const members[] = {"compare", "dump", "load", "script", "monitor"};

	if (json_get(definition, "access") && json_get(parser->values, "database"))
		return check_failed(parser, "values.database",
				    "is the database that is dumped, loaded or compared");
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (json_get(definition, members[i]) && !json_get(definition, "access"))
			return check_failed(parser, members[i],
					    "needs \"access\": the ways into the database");
	return 0;
}

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
	if (check_members(&parser, definition, "", top_members) < 0 ||
	    check_has_access(&parser, definition) < 0)
		return NULL;
	driver = memory_zalloc(sizeof(*driver));
	driver->definition = STEAL_POINTER(definition);
	driver->name = json_string(driver->definition, "name");
	driver->origin = memory_strdup(origin);
	return driver;
}
