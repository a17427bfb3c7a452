/* What engines and compose files say, where a member's name tells what its value is. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "bundle/judge.h"
#include "bundle/redactor.h"

/* One walk: to hide, or to learn what would be hidden. */
struct walk {
	const struct secrets *secrets;
	struct secrets *learns; /* NULL: to hide */
};

static int drop(void *context, const void *data, size_t size, struct error **err)
{
	(void)context;
	(void)data;
	(void)size;
	(void)err;
	return 0;
}

/* To be freed. */
static char *walk_text(const struct walk *walk, enum redact_kind kind, const char *text)
{
	CLEANUP(cleanup_text_redactor_free) struct text_redactor *redactor = NULL;

	if (!walk->learns)
		return redact_text(walk->secrets, kind, text, strlen(text));
	redactor = text_redactor_new(NULL, kind, drop, NULL);
	text_redactor_learn(redactor, walk->learns);
	if (text_redactor_feed(redactor, text, strlen(text), NULL) == 0)
		text_redactor_finish(redactor, NULL);
	return memory_strdup("");
}

static char *hidden(const struct walk *walk, enum redact_rule rule, const char *value)
{
	if (walk->learns)
		secrets_add(walk->learns, value, strlen(value));
	return memory_printf("[hidden:%s]", redact_rule_name(rule));
}

static size_t name_size(const char *word)
{
	size_t size = strspn(word, "-");

	while (isalnum((unsigned char)word[size]) || (word[size] && strchr("_-.", word[size])))
		size++;
	return size;
}

/* "NAME=value", all behind the sign being the value, whatever is in it. */
static char *walk_assignment(const struct walk *walk, const char *text)
{
	size_t size = name_size(text);
	const char *value = text + size + 1;
	cleanup_free char *made = NULL;

	if (!size || text[size] != '=')
		return walk_text(walk, REDACT_VALUE, text);
	if (judge_name(text, size) && !judge_value_is_harmless(text, size, value, strlen(value)))
		made = hidden(walk, RULE_NAME, value);
	else
		made = walk_text(walk, REDACT_VALUE, value);
	return memory_printf("%.*s=%s", (int)size, text, made);
}

/* ---- command lines ---- */

static bool program_is(const char *word, const char *beginning)
{
	const char *slash = strrchr(word, '/');

	return strncmp(slash ? slash + 1 : word, beginning, strlen(beginning)) == 0;
}

/* What has gone by of a command line. */
struct words {
	const char *previous;
	bool is_redis, is_mysql, is_sshpass, is_curl;
};

static void words_note(struct words *words, const char *word)
{
	words->previous = word;
	words->is_redis |= program_is(word, "redis-") || program_is(word, "valkey-");
	words->is_mysql |= program_is(word, "mysql") || program_is(word, "mariadb");
	words->is_sshpass |= program_is(word, "sshpass");
	words->is_curl |= program_is(word, "curl");
}

static bool previous_is(const struct words *words, const char *option)
{
	return words->previous && strcmp(words->previous, option) == 0;
}

/* The word is the value of the option before it. */
static bool is_option_value(const struct words *words, const char *word)
{
	const char *previous = words->previous;

	if ((words->is_redis && previous_is(words, "-a")) ||
	    (words->is_sshpass && previous_is(words, "-p")) || previous_is(words, "requirepass") ||
	    previous_is(words, "masterauth"))
		return true;
	return previous && previous[0] == '-' && !strpbrk(previous, "= ") &&
	       judge_name(previous, strlen(previous)) && word[0] != '-' &&
	       !judge_value_is_harmless(previous, strlen(previous), word, strlen(word));
}

static char *walk_word(const struct walk *walk, const struct words *words, const char *word)
{
	const char *colon;

	if (is_option_value(words, word))
		return hidden(walk, RULE_ARGUMENT, word);
	/* -pPASSWORD */
	if (words->is_mysql && word[0] == '-' && word[1] == 'p' && word[2]) {
		cleanup_free char *value = hidden(walk, RULE_ARGUMENT, word + 2);

		return memory_printf("-p%s", value);
	}
	/* -u NAME:PASSWORD */
	colon = strchr(word, ':');
	if (colon && words->is_curl &&
	    (previous_is(words, "-u") || previous_is(words, "--user") ||
	     previous_is(words, "--proxy-user"))) {
		cleanup_free char *value = hidden(walk, RULE_ARGUMENT, colon + 1);

		return memory_printf("%.*s:%s", (int)(colon - word), word, value);
	}
	return walk_assignment(walk, word);
}

/* The words of a line for a shell, or of a process; blanks are kept as one. */
static char *walk_command(const struct walk *walk, const char *line)
{
	struct string_list list;
	struct string_list made;
	struct words words = {0};
	cleanup_free char *joined = NULL;

	string_list_init(&list);
	string_list_init(&made);
	string_list_split(&list, line, ' ');
	for (size_t i = 0; i < list.count; i++) {
		cleanup_free char *word = walk_word(walk, &words, list.items[i]);

		string_list_add(&made, word);
		words_note(&words, list.items[i]);
	}
	joined = string_list_join(&made, " ");
	string_list_release(&list);
	string_list_release(&made);
	/* and once more as text, since quotes hold blanks */
	return walk_text(walk, REDACT_LOG, walk->learns ? line : joined);
}

static struct json *walk_words(const struct walk *walk, const struct json *array)
{
	struct json *made = json_new_array();
	struct words words = {0};

	json_for_each(item, array) {
		const char *word = json_string(item, NULL);
		cleanup_free char *text = NULL;

		if (!word) {
			json_add_string(made, "[hidden:binary]");
			continue;
		}
		/* a line for a shell is words of its own */
		text = strchr(word, ' ') && !is_option_value(&words, word)
			       ? walk_command(walk, word)
			       : walk_word(walk, &words, word);
		json_add_string(made, text);
		words_note(&words, word);
	}
	return made;
}

/* ---- members ---- */

static bool key_is_one_of(const char *key, const char *const *list)
{
	for (; key && *list; list++)
		if (strcasecmp(key, *list) == 0)
			return true;
	return false;
}

static bool holds_variables(const char *key)
{
	static const char *const keys[] = {"Env", "environment", NULL};

	return key_is_one_of(key, keys);
}

static bool holds_command(const char *key)
{
	static const char *const keys[] = {"Cmd",     "Entrypoint", "Args", "Test",
					   "Command", "OnBuild",    NULL};

	return key_is_one_of(key, keys);
}

static bool holds_values(const char *key)
{
	static const char *const keys[] = {"Labels",  "environment", "annotations",
					   "Options", "DriverOpts",  NULL};

	return key_is_one_of(key, keys);
}

/* Where a value stands. */
struct place {
	const char *key; /* of the nearest member, or NULL */
	bool is_hidden;	 /* below the name of a secret */
	bool is_value;	 /* among labels or variables */
};

static struct json *walk_node(const struct walk *walk, const struct json *node, struct place place);

static struct json *walk_string(const struct walk *walk, const char *text, struct place place)
{
	cleanup_free char *made = NULL;

	if (place.is_hidden)
		made = judge_value_is_harmless(place.key ? place.key : "",
					       place.key ? strlen(place.key) : 0, text,
					       strlen(text))
			       ? memory_strdup(text)
			       : hidden(walk, RULE_NAME, text);
	else if (holds_command(place.key))
		made = walk_command(walk, text);
	else
		made = walk_text(walk, place.is_value ? REDACT_VALUE : REDACT_LOG, text);
	return json_new_string(made);
}

static struct json *walk_variables(const struct walk *walk, const struct json *array)
{
	struct json *made = json_new_array();

	json_for_each(item, array) {
		cleanup_free char *text = walk_assignment(walk, json_string_or(item, NULL, ""));

		json_add_string(made, text);
	}
	return made;
}

static struct json *walk_array(const struct walk *walk, const struct json *array,
			       struct place place)
{
	struct json *made;

	if (!place.is_hidden && holds_variables(place.key))
		return walk_variables(walk, array);
	if (!place.is_hidden && holds_command(place.key))
		return walk_words(walk, array);
	made = json_new_array();
	json_for_each(item, array)
		json_add(made, walk_node(walk, item, place));
	return made;
}

/* {"name": "DB_PASSWORD", "value": "..."} */
static bool names_a_secret(const struct json *object)
{
	const char *name = json_string(object, "name");

	if (!name)
		name = json_string(object, "Name");
	if (!name)
		name = json_string(object, "key");
	return name && judge_name(name, strlen(name));
}

static bool is_value_key(const char *key)
{
	return strcasecmp(key, "value") == 0;
}

static struct json *walk_object(const struct walk *walk, const struct json *object,
				struct place place)
{
	struct json *made = json_new_object();
	bool pair = names_a_secret(object);

	json_for_each(member, object) {
		const char *key = json_key(member);
		cleanup_free char *shown = walk_text(walk, REDACT_LOG, key);
		struct place inner = {
			.key = key,
			.is_hidden = place.is_hidden || judge_name(key, strlen(key)) ||
				     (pair && is_value_key(key)),
			.is_value = place.is_value || holds_values(place.key) || holds_values(key),
		};

		json_set(made, shown, walk_node(walk, member, inner));
	}
	return made;
}

static struct json *walk_node(const struct walk *walk, const struct json *node, struct place place)
{
	if (json_is_object(node))
		return walk_object(walk, node, place);
	if (json_is_array(node))
		return walk_array(walk, node, place);
	if (json_is_string(node))
		return walk_string(walk, json_string(node, NULL), place);
	if (json_is_number(node) && place.is_hidden) {
		cleanup_free char *text = json_print(node, false);
		cleanup_free char *made = hidden(walk, RULE_NAME, text);

		return json_new_string(made);
	}
	return json_is_null(node) ? json_new_null() : json_copy(node);
}

struct json *redact_json(const struct secrets *secrets, const struct json *json)
{
	struct walk walk = {.secrets = secrets};

	return walk_node(&walk, json, (struct place){0});
}

struct json *redact_words(const struct secrets *secrets, const struct json *words)
{
	struct walk walk = {.secrets = secrets};

	return walk_words(&walk, words);
}

char *redact_command(const struct secrets *secrets, const char *line)
{
	struct walk walk = {.secrets = secrets};

	return walk_command(&walk, line);
}

void redact_learn(struct secrets *secrets, const struct json *json)
{
	struct walk walk = {.learns = secrets};

	json_free(walk_node(&walk, json, (struct place){0}));
}
