/*
 * getopt knows neither what an option means nor what a person may have meant by a
 * wrong one, and permutes the vector; the verb table knows both.
 */
#include "ui/options.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "ui/escape.h"

/* Words longer than this are not compared: nobody mistypes them into one another. */
#define WORD_MAX 64
#define CANDIDATES_MAX 128

void options_init(struct options *options)
{
	*options = (struct options){0};
	string_list_init(&options->arguments);
}

void options_release(struct options *options)
{
	free(options->values);
	string_list_release(&options->arguments);
	*options = (struct options){0};
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t options_distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1], *before = rows[0], *above = rows[1], *row = rows[2];
	size_t a_length = strlen(a), b_length = strlen(b);

	if (a_length > WORD_MAX || b_length > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_length; j++)
		above[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t *oldest = before;

		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			bool same = tolower((unsigned char)a[i - 1]) ==
				    tolower((unsigned char)b[j - 1]);

			row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + !same);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
		before = above;
		above = row;
		row = oldest;
	}
	return above[b_length];
}

size_t options_limit(const char *word, const char *candidate)
{
	size_t a = strlen(word), b = strlen(candidate);

	return ((a > b ? a : b) + 1) / 3;
}

const char *options_nearest(const char *word, const char *const *candidates, size_t count)
{
	const char *best = NULL;
	size_t best_distance = SIZE_MAX;

	for (size_t i = 0; i < count; i++) {
		size_t distance = options_distance(word, candidates[i]);

		if (distance <= options_limit(word, candidates[i]) && distance < best_distance) {
			best = candidates[i];
			best_distance = distance;
		}
	}
	return best;
}

static const struct option *find_in(const struct option *table, const char *name, size_t length,
				    char letter)
{
	for (; table && table->name; table++) {
		if (letter ? table->letter == letter
			   : strlen(table->name) == length && !memcmp(table->name, name, length))
			return table;
	}
	return NULL;
}

static const struct option *find_option(const struct options_grammar *grammar, const char *name,
					size_t length, char letter)
{
	const struct option *option = find_in(grammar->own, name, length, letter);

	return option ? option : find_in(grammar->global, name, length, letter);
}

static int unknown_option(const struct options_grammar *grammar, const char *word, size_t length,
			  struct error **err)
{
	const char *candidates[CANDIDATES_MAX], *nearest = NULL;
	cleanup_free char *raw = memory_strndup(word, length), *given = escape_text(raw);
	size_t count = 0;

	for (const struct option *o = grammar->own; o && o->name && count < CANDIDATES_MAX; o++)
		candidates[count++] = o->name;
	for (const struct option *o = grammar->global; o && o->name && count < CANDIDATES_MAX; o++)
		candidates[count++] = o->name;
	if (text_has_prefix(given, "--"))
		nearest = options_nearest(given + 2, candidates, count);
	if (grammar->verb)
		error_set(err, ERROR_USAGE, "unknown option %s for %s", given, grammar->verb);
	else
		error_set(err, ERROR_USAGE, "unknown option %s", given);
	if (nearest)
		return error_hint(err, "did you mean --%s?", nearest);
	if (grammar->takes_command)
		return error_hint(err,
				  "put -- before a command whose first word begins with -; "
				  "\"sidesnap %s --help\" lists the options",
				  grammar->verb);
	if (grammar->verb)
		return error_hint(err, "\"sidesnap %s --help\" lists the options", grammar->verb);
	return error_hint(err, "\"sidesnap --help\" lists verbs and options");
}

static bool parse_milliseconds(const char *text, uint64_t *value)
{
	static const struct {
		const char *unit;
		uint64_t milliseconds;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"", 1000}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		cleanup_free char *number = NULL;

		if (!text_has_suffix(text, units[i].unit))
			continue;
		number = memory_strndup(text, strlen(text) - strlen(units[i].unit));
		if (!text_parse_uint(number, 1000000000, value))
			return false;
		*value *= units[i].milliseconds;
		return true;
	}
	return false;
}

static int check_value(const struct option *option, const char *value, struct error **err)
{
	cleanup_free char *shown = escape_text(value);
	uint64_t number;

	switch (option->type) {
	case OPTION_SIZE:
		if (!text_parse_size(value, &number))
			return error_set(err, ERROR_USAGE,
					 "--%s: \"%s\" is no size; write for example 512M or 2GiB",
					 option->name, shown);
		break;
	case OPTION_SECONDS:
		if (!parse_milliseconds(value, &number))
			return error_set(err, ERROR_USAGE,
					 "--%s: \"%s\" is no duration; write for example 90s or 5m",
					 option->name, shown);
		break;
	case OPTION_NUMBER:
		if (!text_parse_uint(value, UINT64_MAX, &number))
			return error_set(err, ERROR_USAGE, "--%s: \"%s\" is no whole number",
					 option->name, shown);
		break;
	case OPTION_PATH:
		if (value[0] != '/')
			return error_set(err, ERROR_USAGE,
					 "--%s: \"%s\" is no absolute path in the container",
					 option->name, shown);
		break;
	case OPTION_FLAG:
	case OPTION_TEXT:
		break;
	}
	return 0;
}

static int add_value(struct options *options, const struct option *option, const char *value,
		     struct error **err)
{
	for (size_t i = 0; i < options->count; i++) {
		if (options->values[i].option != option || option->repeated)
			continue;
		if (option->type == OPTION_FLAG)
			return 0;
		return error_set(err, ERROR_USAGE, "--%s was given twice", option->name);
	}
	if (value && check_value(option, value, err) < 0)
		return -1;
	options->values =
		memory_array(options->values, options->count + 1, sizeof(*options->values));
	options->values[options->count].option = option;
	options->values[options->count++].value = value;
	return 0;
}

/* The words as they are parsed: ${position} is the word to look at next. */
struct words {
	char *const *list;
	int count, position;
};

static int take_value(const struct option *option, struct words *words, const char **value,
		      struct error **err)
{
	if (words->position >= words->count) {
		error_set(err, ERROR_USAGE, "--%s needs a value", option->name);
		return error_hint(err, "--%s %s: %s", option->name, option->value, option->help);
	}
	*value = words->list[words->position++];
	return 0;
}

static int parse_long(struct options *options, const struct options_grammar *grammar,
		      struct words *words, const char *word, struct error **err)
{
	const char *equals = strchr(word, '='), *value = equals ? equals + 1 : NULL;
	size_t length = equals ? (size_t)(equals - word) : strlen(word);
	const struct option *option = find_option(grammar, word + 2, length - 2, 0);

	if (!option)
		return unknown_option(grammar, word, length, err);
	if (option->type == OPTION_FLAG) {
		if (value && !strcmp(value, "true"))
			value = NULL;
		if (value && !strcmp(value, "false"))
			return 0;
		if (value)
			return error_set(err, ERROR_USAGE, "--%s takes no value", option->name);
	} else if (!value && take_value(option, words, &value, err) < 0) {
		return -1;
	}
	return add_value(options, option, value, err);
}

static int parse_short(struct options *options, const struct options_grammar *grammar,
		       struct words *words, const char *word, struct error **err)
{
	for (const char *letter = word + 1; *letter; letter++) {
		const struct option *option = find_option(grammar, NULL, 0, *letter);
		const char *value = NULL;

		if (!option) {
			char given[3] = {'-', *letter, 0};

			return unknown_option(grammar, given, 2, err);
		}
		if (option->type != OPTION_FLAG) {
			if (letter[1])
				value = letter + 1 + (letter[1] == '=');
			else if (take_value(option, words, &value, err) < 0)
				return -1;
			return add_value(options, option, value, err);
		}
		if (add_value(options, option, NULL, err) < 0)
			return -1;
	}
	return 0;
}

int options_parse(struct options *options, const struct options_grammar *grammar, int count,
		  char *const *list, int *used, struct error **err)
{
	struct words words = {.list = list, .count = count};
	bool literal = false;

	while (words.position < count) {
		const char *word = list[words.position];
		int result = 0;

		if (literal || word[0] != '-' || !word[1]) {
			if (grammar->stops_at_first)
				break;
			string_list_add(&options->arguments, word);
			words.position++;
			if (grammar->takes_command && options->arguments.count > 1)
				literal = true;
			continue;
		}
		words.position++;
		if (!strcmp(word, "--"))
			literal = true;
		else if (word[1] == '-')
			result = parse_long(options, grammar, &words, word, err);
		else
			result = parse_short(options, grammar, &words, word, err);
		if (result < 0)
			return -1;
	}
	if (used)
		*used = words.position;
	return 0;
}

static const struct option_value *last_value(const struct options *options, const char *name)
{
	for (size_t i = options->count; i > 0; i--)
		if (!strcmp(options->values[i - 1].option->name, name))
			return &options->values[i - 1];
	return NULL;
}

bool options_has(const struct options *options, const char *name)
{
	return last_value(options, name) != NULL;
}

const char *options_text(const struct options *options, const char *name)
{
	const struct option_value *value = last_value(options, name);

	return value ? value->value : NULL;
}

uint64_t options_size(const struct options *options, const char *name, uint64_t otherwise)
{
	const char *text = options_text(options, name);
	uint64_t value;

	return text && text_parse_size(text, &value) ? value : otherwise;
}

uint64_t options_milliseconds(const struct options *options, const char *name, uint64_t otherwise)
{
	const char *text = options_text(options, name);
	uint64_t value;

	return text && parse_milliseconds(text, &value) ? value : otherwise;
}

uint64_t options_number(const struct options *options, const char *name, uint64_t otherwise)
{
	const char *text = options_text(options, name);
	uint64_t value;

	return text && text_parse_uint(text, UINT64_MAX, &value) ? value : otherwise;
}

void options_list(const struct options *options, const char *name, struct string_list *list)
{
	for (size_t i = 0; i < options->count; i++)
		if (!strcmp(options->values[i].option->name, name) && options->values[i].value)
			string_list_add(list, options->values[i].value);
}
