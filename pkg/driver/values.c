/*
 * Looking values up. The order is from what a person said of this container to
 * what is usual: label, command line or environment, file, default.
 */
#include "driver/values.h"

#include <regex.h>
#include <string.h>

#include "base/memory.h"
#include "base/redact.h"
#include "base/template.h"

#define LABEL_VALUE_PREFIX "sidesnap.driver."

/* Values may name one another so deep; deeper is a circle. */
#define DEPTH_MAX 4
#define VALUE_LIMIT 65536
/* A statement that names all columns of a wide table is some 100 KiB. */
#define EXPANDED_LIMIT (4U << 20)

/* Shorter secrets would blot out half of every message. */
#define SECRET_SIZE_MIN 3

static char *get(struct values *values, const char *name, unsigned depth);

/* ---- processes ---- */

bool word_name_is(const char *word, const struct json *names)
{
	const char *slash = strrchr(word, '/');
	const char *base = slash ? slash + 1 : word;
	size_t size = strlen(base);

	if (size && base[size - 1] == ':')
		size--;
	json_for_each(item, names) {
		const char *name = json_string_or(item, NULL, "");

		if (strlen(name) == size && strncmp(name, base, size) == 0)
			return true;
	}
	return false;
}

bool process_name_is(const char *arguments, const struct json *names)
{
	cleanup_free char *first = memory_strndup(arguments, strcspn(arguments, " "));

	return word_name_is(first, names);
}

bool process_is_server(const char *arguments, const struct json *detect)
{
	const struct json *globs = json_get(detect, "arguments");
	struct string_list words;
	bool fits = process_name_is(arguments, json_get(detect, "processes"));

	if (fits || !json_count(globs))
		return fits;
	string_list_init(&words);
	string_list_split(&words, arguments, ' ');
	for (size_t i = 0; i < words.count && !fits; i++)
		json_for_each(glob, globs)
			fits = fits || text_match(json_string_or(glob, NULL, ""), words.items[i]);
	string_list_release(&words);
	return fits;
}

void process_arguments(const struct json *top, struct string_list *list)
{
	size_t column = 0, index = 0;
	bool known = false;

	string_list_init(list);
	json_for_each(title, json_get(top, "Titles")) {
		const char *text = json_string_or(title, NULL, "");

		if (strcmp(text, "COMMAND") == 0 || strcmp(text, "CMD") == 0 ||
		    strcmp(text, "ARGS") == 0) {
			column = index;
			known = true;
		}
		index++;
	}
	if (!known)
		return;
	json_for_each(process, json_get(top, "Processes")) {
		index = 0;
		json_for_each(field, process) {
			if (index++ == column)
				string_list_add(list, json_string_or(field, NULL, ""));
		}
	}
}

/* ---- the command line of the server ---- */

static void add_words(struct string_list *words, const struct json *list)
{
	json_for_each(item, list)
		string_list_add(words, json_string_or(item, NULL, ""));
}

/* What follows the server's name in the container's command, or its options alone. */
static bool words_of_command(struct string_list *words, const struct json *config,
			     const struct json *names)
{
	struct string_list all;
	size_t start = 0;

	string_list_init(&all);
	add_words(&all, json_get(config, "Entrypoint"));
	add_words(&all, json_get(config, "Cmd"));
	while (start < all.count && !word_name_is(all.items[start], names))
		start++;
	if (start == all.count) {
		const char *first = json_string_or(json_first(json_get(config, "Cmd")), NULL, "");

		start = *first == '-' ? json_count(json_get(config, "Entrypoint")) : all.count;
	}
	for (size_t i = start; i < all.count; i++)
		string_list_add(words, all.items[i]);
	string_list_release(&all);
	return words->count > 0;
}

/* Titles that the server wrote itself ("postgres: checkpointer") hold no options. */
static void words_of_processes(struct string_list *words, const struct json *top,
			       const struct json *detect)
{
	struct string_list processes;

	process_arguments(top, &processes);
	for (size_t i = 0; i < processes.count && !words->count; i++) {
		const char *line = processes.items[i];
		size_t size = strcspn(line, " ");

		if (process_is_server(line, detect) && size && line[size - 1] != ':')
			string_list_split(words, line, ' ');
	}
	string_list_release(&processes);
}

/* ${top} is asked for (a process of the host for the engine) only where it has to be. */
static void find_words(struct values *values, const struct json *top)
{
	const struct json *detect = json_get(values->definition, "detect");
	CLEANUP(cleanup_json_free) struct json *asked = NULL;

	if (words_of_command(&values->words, json_get(values->inspect, "Config"),
			     json_get(detect, "commands")))
		return;
	if (!top && values->engine)
		top = asked = container_top(values->engine, values->id, NULL);
	words_of_processes(&values->words, top, detect);
}

static void values_begin(struct values *values, const struct json *inspect, const struct json *top,
			 const struct json *definition)
{
	values->definition = definition;
	values->inspect = json_copy(inspect);
	string_list_init(&values->words);
	string_list_init(&values->secrets);
	values->found = json_new_object();
	find_words(values, top);
}

void values_from(struct values *values, const struct json *inspect, const struct json *top,
		 const struct json *definition)
{
	memset(values, 0, sizeof(*values));
	values_begin(values, inspect, top, definition);
}

int values_open(struct values *values, struct engine *engine, const char *id,
		const struct json *definition, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *inspect = container_inspect(engine, id, err);

	memset(values, 0, sizeof(*values));
	if (!inspect)
		return -1;
	if (!json_bool(json_get(inspect, "State"), "Running"))
		return error_set(err, ERROR_FAILED, "container \"%s\" does not run",
				 json_string_or(inspect, "Name", id));
	values->engine = engine;
	values->id = id;
	values_begin(values, inspect, NULL, definition);
	return 0;
}

void values_borrow(struct values *values, const char *lender)
{
	values->lender = lender;
}

void values_release(struct values *values)
{
	if (values->lent)
		values_release(values->lent);
	free(values->lent);
	json_free(values->inspect);
	json_free(values->found);
	string_list_release(&values->words);
	string_list_release(&values->secrets);
	memset(values, 0, sizeof(*values));
}

/* ---- sources ---- */

static char *from_environment(const struct values *values, const char *name)
{
	size_t size = strlen(name);

	json_for_each(item, json_path(values->inspect, "Config", "Env")) {
		const char *text = json_string_or(item, NULL, "");

		if (strncmp(text, name, size) == 0 && text[size] == '=')
			return memory_strdup(text + size + 1);
	}
	return NULL;
}

/*
 * The value of an option at word ${index}: "-p" takes the next word or what is glued to
 * it, "port=" and "--port=" the rest of their word, also behind "-c". NULL: another option.
 */
static const char *option_value(const struct string_list *words, size_t index, const char *option)
{
	const char *word = words->items[index];
	size_t size = strlen(option);
	bool is_short = size == 2 && option[0] == '-';

	if (size && option[size - 1] == '=') {
		if (text_has_prefix(word, "-c") && text_has_prefix(word + 2, option))
			return word + 2 + size;
		return text_has_prefix(word, option) ? word + size : NULL;
	}
	if (strcmp(word, option) == 0)
		return index + 1 < words->count ? words->items[index + 1] : NULL;
	return is_short && text_has_prefix(word, option) ? word + size : NULL;
}

/* The last one on the command line counts, as with the servers. */
static char *from_options(const struct values *values, const struct json *options)
{
	const char *found = NULL;

	for (size_t i = 0; i < values->words.count; i++) {
		json_for_each(option, options) {
			const char *value =
				option_value(&values->words, i, json_string_or(option, NULL, ""));

			found = value ? value : found;
		}
	}
	return memory_strdup(found);
}

/* The first word that one of the patterns fits: a configuration file that stands there without an option. */
static char *from_words(const struct values *values, const struct json *patterns)
{
	for (size_t i = 1; i < values->words.count; i++) {
		json_for_each(pattern, patterns) {
			if (text_match(json_string_or(pattern, NULL, ""), values->words.items[i]))
				return memory_strdup(values->words.items[i]);
		}
	}
	return NULL;
}

/* The file's text by `cat` in the container: never by the archive API, see field notes on CVEs. */
static char *read_inside(const struct values *values, const char *path)
{
	const char *arguments[] = {"cat", path, NULL};
	struct buffer output, errors;
	struct container_exec exec = {.user = "0",
				      .arguments = arguments,
				      .timeout_ms = 10000,
				      .output = &output,
				      .errors = &errors};
	char *text = NULL;

	if (!values->engine)
		return NULL;
	buffer_init(&output, VALUE_LIMIT);
	buffer_init(&errors, 4096);
	if (container_exec(values->engine, values->id, &exec, NULL) == 0 && exec.exit_code == 0)
		text = buffer_steal(&output);
	buffer_release(&output);
	buffer_release(&errors);
	return text;
}

static char *from_file_variable(const struct values *values, const char *name)
{
	cleanup_free char *path = from_environment(values, name);
	char *text = path && *path ? read_inside(values, path) : NULL;
	size_t size = text ? strlen(text) : 0;

	/* As a shell's $(cat FILE), which the official entrypoints use. */
	while (size && text[size - 1] == '\n')
		text[--size] = '\0';
	return text;
}

/* A look-up within a look-up, and how deep it is. */
struct expansion {
	struct values *values;
	unsigned depth;
};

static char *find_name(void *context, const char *name)
{
	const struct expansion *expansion = context;

	return get(expansion->values, name, expansion->depth);
}

static char *expand(struct values *values, const char *template, unsigned depth)
{
	struct expansion expansion = {values, depth};

	return template_expand(template, EXPANDED_LIMIT, find_name, &expansion);
}

/* Line ${number} of a text, counted from 1; NULL: it is empty, or not there. */
static char *numbered_line(const char *text, int64_t number)
{
	const char *p = text;

	for (int64_t i = 1; p && i < number; i++) {
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	return p && strcspn(p, "\r\n") ? memory_strndup(p, strcspn(p, "\r\n")) : NULL;
}

/* What the first group of the pattern holds in the last line that it fits, as with a server's settings. */
static char *matched_line(const char *text, const char *pattern)
{
	regmatch_t groups[2];
	regex_t regex;
	char *found = NULL;

	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NEWLINE) != 0)
		return NULL;
	for (const char *p = text; regexec(&regex, p, 2, groups, 0) == 0 && groups[1].rm_so >= 0;) {
		free(found);
		found = memory_strndup(p + groups[1].rm_so,
				       (size_t)(groups[1].rm_eo - groups[1].rm_so));
		p += groups[0].rm_eo;
		p += strcspn(p, "\n");
		if (!*p++)
			break;
	}
	regfree(&regex);
	return found;
}

static char *from_line(struct values *values, const struct json *line, unsigned depth)
{
	const char *pattern = json_string(line, "pattern");
	cleanup_free char *path = NULL, *text = NULL;

	if (!values->engine)
		return NULL;
	path = expand(values, json_string_or(line, "file", ""), depth);
	text = path ? read_inside(values, path) : NULL;
	if (!text)
		return NULL;
	return pattern ? matched_line(text, pattern) : numbered_line(text, json_int(line, "line"));
}

static char *from_label(const struct values *values, const char *name)
{
	cleanup_free char *label = memory_printf(LABEL_VALUE_PREFIX "%s", name);

	return memory_strdup(json_string(json_path(values->inspect, "Config", "Labels"), label));
}

/* The first address that other containers reach this one by. */
static char *own_address(const struct values *values)
{
	static const char *const members[] = {"IPAddress", "GlobalIPv6Address"};

	for (size_t i = 0; i < 2; i++) {
		json_for_each(network, json_path(values->inspect, "NetworkSettings", "Networks")) {
			const char *address = json_string_or(network, members[i], "");

			if (*address)
				return memory_strdup(address);
		}
	}
	return NULL;
}

/* The name that the container had when it was made; none where it shares another's. */
static char *own_hostname(const struct values *values)
{
	const char *name = json_string_or(json_get(values->inspect, "Config"), "Hostname", "");

	return *name ? memory_strdup(name) : NULL;
}

bool value_is_built_in(const char *name)
{
	return strcmp(name, "address") == 0 || strcmp(name, "hostname") == 0;
}

static char *first_of(struct values *values, const struct json *value, enum value_source *source,
		      unsigned depth)
{
	char *found = NULL;

	*source = VALUE_REFERENCE;
	for (struct json *i = json_first(json_get(value, "variables")); i && !found;
	     i = json_next(i)) {
		found = from_environment(values, json_string_or(i, NULL, ""));
		if (found && !*found)
			free(STEAL_POINTER(found));
	}
	for (struct json *i = json_first(json_get(value, "files")); i && !found; i = json_next(i))
		found = from_file_variable(values, json_string_or(i, NULL, ""));
	if (found)
		return found;
	*source = VALUE_OF_CONTAINER;
	for (struct json *i = values->is_guessing ? NULL : json_first(json_get(value, "lines"));
	     i && !found; i = json_next(i))
		found = from_line(values, i, depth);
	return found;
}

/* One that does not run lends what its inspect says. */
static char *from_lender(struct values *values, const char *name)
{
	if (!values->lender || !values->engine)
		return NULL;
	if (!values->lent) {
		CLEANUP(cleanup_json_free)
		struct json *inspect = container_inspect(values->engine, values->lender, NULL);

		values->lent = memory_zalloc(sizeof(*values->lent));
		values_from(values->lent, inspect, NULL, values->definition);
		if (json_bool(json_get(inspect, "State"), "Running")) {
			values->lent->engine = values->engine;
			values->lent->id = values->lender;
		}
	}
	return values_get(values->lent, name);
}

static char *look_up(struct values *values, const char *name, const struct json *value,
		     enum value_source *source, unsigned depth)
{
	char *found = json_bool(value, "secret") ? NULL : from_label(values, name);

	*source = VALUE_OF_CONTAINER;
	if (!found)
		found = from_options(values, json_get(value, "options"));
	if (!found)
		found = from_words(values, json_get(value, "words"));
	if (!found)
		found = first_of(values, value, source, depth);
	if (!found && json_bool(value, "secret"))
		found = from_lender(values, name);
	if (!found && json_string(value, "default")) {
		*source = VALUE_DEFAULT;
		found = expand(values, json_string(value, "default"), depth);
	}
	if (!found)
		*source = VALUE_NONE;
	return found;
}

static char *get(struct values *values, const char *name, unsigned depth)
{
	const struct json *value = json_path(values->definition, "values", name);
	enum value_source source;
	char *found;

	if (strcmp(name, "address") == 0)
		return own_address(values);
	if (strcmp(name, "hostname") == 0)
		return own_hostname(values);
	/* A look-up may run a command in the container: once is enough. */
	if (json_get(values->found, name))
		return memory_strdup(json_string(values->found, name));
	if (!value || depth >= DEPTH_MAX)
		return NULL;
	found = look_up(values, name, value, &source, depth + 1);
	if (!values->is_guessing)
		json_set(values->found, name, json_new_string(found));
	if (found && json_bool(value, "secret") && strlen(found) >= SECRET_SIZE_MIN &&
	    !string_list_has(&values->secrets, found))
		string_list_add(&values->secrets, found);
	return found;
}

char *values_get(struct values *values, const char *name)
{
	return get(values, name, 0);
}

char *values_find(struct values *values, const char *name, enum value_source *source)
{
	return look_up(values, name, json_path(values->definition, "values", name), source, 1);
}

void values_set(struct values *values, const char *name, const char *value)
{
	json_set(values->found, name, json_new_string(value));
}

void values_forget(struct values *values, const char *name)
{
	json_remove(values->found, name);
}

char *values_expand(struct values *values, const char *template)
{
	return expand(values, template, 0);
}

void values_redact(const struct values *values, char *text)
{
	redact(&values->secrets, text);
}
