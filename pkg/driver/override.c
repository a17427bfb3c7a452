/*
 * A label holds the member in the driver's own syntax, or one command as a person types it: split as
 * a shell does, but there is none, so nothing in it is expanded except "${name}" of a value.
 */
#include "driver/override.h"

#include <string.h>

#include "base/memory.h"
#include "driver/check.h"

#define PREFIX "sidesnap.driver."

/* How a single command becomes the member. */
enum shape { SHAPE_STEPS, SHAPE_ANY, SHAPE_ARGUMENTS, SHAPE_DUMP, SHAPE_LOAD };

static const struct overridable {
	const char *name;
	enum shape shape;
	check_function *check;
	bool enters; /* needs a way into the database */
} members[] = {
	{"prepare", SHAPE_STEPS, check_steps, false},
	{"release", SHAPE_STEPS, check_steps, false},
	{"finish", SHAPE_STEPS, check_steps, false},
	{"ready", SHAPE_ANY, check_ready, false},
	{"client", SHAPE_ARGUMENTS, check_client, false},
	{"script", SHAPE_ARGUMENTS, check_script, true},
	{"dump", SHAPE_DUMP, check_dump, true},
	{"load", SHAPE_LOAD, check_load, true},
};

const char *override_member(size_t index)
{
	return index < sizeof(members) / sizeof(members[0]) ? members[index].name : NULL;
}

static const char *label_of(const struct json *labels, const char *member)
{
	cleanup_free char *name = memory_printf(PREFIX "%s", member);

	return json_string_or(labels, name, "");
}

char *override_text(const struct json *labels, size_t index)
{
	const char *text = label_of(labels, override_member(index));
	CLEANUP(cleanup_json_free) struct json *value = NULL;

	if (*text == '{' || *text == '[')
		value = json_parse(text, strlen(text), NULL);
	return value ? json_print(value, false) : memory_strdup(text);
}

bool override_is_used(const struct json *labels)
{
	for (size_t i = 0; override_member(i); i++)
		if (*label_of(labels, override_member(i)))
			return true;
	return false;
}

/* ---- words, as a shell splits them ---- */

/* One word from ${p} on, unquoted, into ${word}; where it ends, NULL: a quote has no end. */
static const char *take_word(const char *p, struct buffer *word)
{
	char quote = '\0';

	for (; *p && (quote || !strchr(" \t\r\n", *p)); p++) {
		if (quote && *p == quote)
			quote = '\0';
		else if (!quote && (*p == '\'' || *p == '"'))
			quote = *p;
		else if (*p == '\\' && quote != '\'' && p[1] &&
			 (!quote || p[1] == '"' || p[1] == '\\'))
			buffer_append(word, ++p, 1);
		else
			buffer_append(word, p, 1);
	}
	return quote ? NULL : p;
}

static struct json *split(const char *text)
{
	CLEANUP(cleanup_json_free) struct json *words = json_new_array();
	CLEANUP(buffer_release) struct buffer word;

	buffer_init(&word, strlen(text) + 1);
	for (;;) {
		text += strspn(text, " \t\r\n");
		if (!*text)
			return STEAL_POINTER(words);
		text = take_word(text, &word);
		if (!text)
			return NULL;
		json_add_string(words, word.data);
		buffer_clear(&word);
	}
}

/* ---- a command as a member ---- */

static struct json *shaped(const struct overridable *member, struct json *arguments)
{
	struct json *result = json_new_object();
	struct json *command = result;

	if (member->shape == SHAPE_STEPS) {
		struct json *step = json_add_object(json_set_array(result, "steps"));
		cleanup_free char *name = memory_printf("label " PREFIX "%s", member->name);

		json_set_string(step, "name", name);
		command = json_add_object(json_set_array(step, "any"));
	} else if (member->shape == SHAPE_ANY) {
		command = json_add_object(json_set_array(result, "any"));
	} else if (member->shape == SHAPE_DUMP) {
		json_set_string(result, "file", "dump");
		command = json_set_object(result, "server");
	} else if (member->shape == SHAPE_LOAD) {
		json_set_string(result, "how", "server");
		command = json_set_object(result, "server");
	}
	json_set(command, "arguments", arguments);
	return result;
}

static struct json *parse(const struct overridable *member, const char *origin, const char *text,
			  struct error **err)
{
	struct json *value = NULL;

	text += strspn(text, " \t\r\n");
	if (*text == '{' || *text == '[') {
		value = json_parse(text, strlen(text), err);
		if (!value)
			error_prefix(err, "%s", origin);
	} else {
		value = split(text);
		if (!value)
			error_set(err, ERROR_USAGE, "%s: a quote has no end", origin);
	}
	return json_is_array(value) ? shaped(member, value) : value;
}

/* Of a driver without ways, and of labels alone: as the container's own user, and nothing is asked first. */
static void add_access(struct json *definition)
{
	struct json *access;

	if (json_get(definition, "access"))
		return;
	access = json_set_object(definition, "access");
	json_add_object(json_set_array(access, "ways"));
}

static int apply(struct driver *driver, const struct overridable *member, const char *text,
		 struct error **err)
{
	cleanup_free char *origin = memory_printf("label " PREFIX "%s", member->name);
	CLEANUP(cleanup_json_free) struct json *value = NULL;
	cleanup_free char *printed = NULL;
	struct parser parser = {
		.origin = origin, .values = json_get(driver->definition, "values"), .err = err};

	if (strcmp(text, "none") == 0) {
		json_remove(driver->definition, member->name);
		return 0;
	}
	value = parse(member, origin, text, err);
	if (!value)
		return -1;
	/* Lines are those of the label where it holds JSON. */
	printed = *text == '{' ? memory_strdup(text) : json_print(value, false);
	parser.text = printed;
	if (member->check(&parser, value, "") < 0)
		return -1;
	json_set(driver->definition, member->name, STEAL_POINTER(value));
	if (member->enters)
		add_access(driver->definition);
	return 0;
}

int override_apply(struct driver *driver, const struct json *labels, struct error **err)
{
	for (size_t i = 0; override_member(i); i++) {
		const char *text = label_of(labels, members[i].name);

		if (*text && apply(driver, &members[i], text, err) < 0)
			return -1;
	}
	return 0;
}

struct driver *override_driver(void)
{
	struct driver *driver = memory_zalloc(sizeof(*driver));

	driver->definition = json_new_object();
	json_set_string(driver->definition, "name", DRIVER_OF_LABELS);
	json_set_string(driver->definition, "title", "what the container's labels say");
	json_set_object(driver->definition, "detect");
	json_set_array(driver->definition, "data");
	driver->name = json_string(driver->definition, "name");
	driver->origin = memory_strdup("labels of the container");
	return driver;
}
