/*
 * The values that a driver's templates use ("${user}"), looked up in one
 * container: its labels, environment, command line, or files in it.
 */
#ifndef SIDESNAP_DRIVER_VALUES_H
#define SIDESNAP_DRIVER_VALUES_H

#include <stdbool.h>

#include "base/json.h"
#include "base/text.h"
#include "engine/engine.h"

struct values {
	struct engine *engine; /* NULL: nothing is run in the container */
	const char *id;	       /* of the container; borrowed */
	const struct json
		*definition;	  /* of the driver, or a release with the same members; borrowed */
	struct json *inspect;	  /* of the container; owned */
	struct string_list words; /* the server's command line, behind its name */
	struct string_list secrets; /* values that no message may show */
	struct json *found;	    /* what was looked up so far; null: the container has none */
	/* No file of the container is read: a value that may stand in one is its default. */
	bool is_guessing;
	const char
		*lender; /* id of another container, for secrets that this one lacks; NULL: none */
	struct values *lent; /* what was found there; NULL: nobody has looked yet */
};

/*
 * values_open(values, engine, id, definition, err):
 * Inspect the container, and its processes where its command does not name the server.
 * ERROR_FAILED when it does not run.
 */
int values_open(struct values *values, struct engine *engine, const char *id,
		const struct json *definition, struct error **err);

/* values_from(values, inspect, top, definition): From answers that are there; nothing is run. ${top} may be NULL. */
void values_from(struct values *values, const struct json *inspect, const struct json *top,
		 const struct json *definition);

void values_release(struct values *values);

/* values_borrow(values, lender): Secrets that the container lacks are those of ${lender}, an id, borrowed; NULL ok. */
void values_borrow(struct values *values, const char *lender);

/* values_get(values, name): To be freed; NULL where the container has none. "" is a value. */
char *values_get(struct values *values, const char *name);

/* Where a value was found. */
enum value_source {
	VALUE_NONE,
	VALUE_OF_CONTAINER, /* its label, command line, or a file that the server wrote */
	VALUE_REFERENCE,    /* a variable, or a file that a variable names */
	VALUE_DEFAULT,
};

/* values_find(values, name, source): As values_get(), looked up anew, and where it was found. */
char *values_find(struct values *values, const char *name, enum value_source *source);

/* values_set(values, name, value): From now on this value, wherever the container has another; NULL: it has none. */
void values_set(struct values *values, const char *name, const char *value);

/* values_forget(values, name): Look it up anew. */
void values_forget(struct values *values, const char *name);

/* values_expand(values, template): With every "${name}" replaced, to be freed; NULL where one is absent, or it gets too long. */
char *values_expand(struct values *values, const char *template);

/* value_is_built_in(name): "address" and "hostname", which no driver has to define. */
bool value_is_built_in(const char *name);

/* values_redact(values, text): Every secret in it replaced by "***", in place or shorter. */
void values_redact(const struct values *values, char *text);

/* process_name_is(arguments, names): Whether a process with this command line has one of these names. */
bool process_name_is(const char *arguments, const struct json *names);

/* process_is_server(arguments, detect): Whether it is the server's by "detect": one of its "processes", or one with a word of its "arguments". */
bool process_is_server(const char *arguments, const struct json *detect);

/* process_arguments(top): The command lines in an answer of /top; the caller releases the list. */
void process_arguments(const struct json *top, struct string_list *list);

/* word_name_is(word, names): The same for one word: its last path component. */
bool word_name_is(const char *word, const struct json *names);

#endif
