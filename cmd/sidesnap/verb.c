/*
 * What is done with any entry of the table of verbs: finding it, its grammar, checking what it was given.
 */
#include "verb.h"

#include <stdint.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "ui/escape.h"

const struct verb *verb_find(const char *name)
{
	for (const struct verb *verb = verbs; verb->name; verb++)
		if (!strcmp(verb->name, name))
			return verb;
	return NULL;
}

struct options_grammar verb_grammar(const struct verb *verb)
{
	return (struct options_grammar){
		.verb = verb->name,
		.own = verb->options,
		.global = global_options,
		.takes_command = verb->takes_command,
	};
}

static bool has_control(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == '\x7f')
			return true;
	}
	return false;
}

int verb_check_word(const char *word, struct error **err)
{
	cleanup_free char *shown = NULL;

	if (!word || !has_control(word))
		return 0;
	shown = escape_text(word);
	return error_set(err, ERROR_USAGE, "\"%s\" has a control character in it", shown);
}

int verb_check_arguments(const struct verb *verb, const struct options *options, struct error **err)
{
	cleanup_free char *synopsis = verb_synopsis(verb);
	const struct argument *argument = verb->arguments;
	size_t index = 0, names = verb->takes_command ? 1 : SIZE_MAX;

	for (size_t i = 0; i < options->arguments.count && i < names; i++)
		if (verb_check_word(options->arguments.items[i], err) < 0)
			return -1;
	for (; argument && argument->name; argument++, index++) {
		if (index >= options->arguments.count && !argument->optional) {
			error_set(err, ERROR_USAGE, "%s needs %s", verb->name, argument->name);
			return error_hint(err, "usage: %s", synopsis);
		}
		if (argument->repeated)
			return 0;
	}
	if (options->arguments.count > index) {
		error_set(err, ERROR_USAGE, "too many arguments for %s: \"%s\"", verb->name,
			  options->arguments.items[index]);
		return error_hint(err, "usage: %s", synopsis);
	}
	return 0;
}

int verb_open_engine(struct command *command, struct error **err)
{
	struct session *session = &command->session;

	if (session->engine)
		return 0;
	session->engine = engine_open(command->host, err);
	if (!session->engine)
		return -1;
	engine_set_cancel(session->engine, session->cancelled);
	return 0;
}

const char *verb_argument(const struct command *command, size_t index)
{
	const struct string_list *arguments = &command->options.arguments;

	return index < arguments->count ? arguments->items[index] : NULL;
}

char *verb_synopsis(const struct verb *verb)
{
	struct buffer text;

	buffer_init(&text, 4096);
	buffer_printf(&text, "sidesnap %s", verb->name);
	if (verb->options)
		buffer_append_string(&text, " [OPTION...]");
	for (const struct argument *a = verb->arguments; a && a->name; a++)
		buffer_printf(&text, a->optional ? " [%s%s]" : " %s%s", a->name,
			      a->repeated ? "..." : "");
	return buffer_steal(&text);
}
