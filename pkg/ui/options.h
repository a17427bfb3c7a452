/*
 * Options and arguments of a command line, described by tables, so that parsing,
 * help, completion, manual pages and the documentation all read the same words.
 */
#ifndef SIDESNAP_UI_OPTIONS_H
#define SIDESNAP_UI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

enum option_type {
	OPTION_FLAG,	/* takes no value */
	OPTION_TEXT,	/* any value */
	OPTION_SIZE,	/* text_parse_size() understands it */
	OPTION_SECONDS, /* "90", "90s", "5m", "2h" */
	OPTION_NUMBER,	/* a whole number */
	OPTION_PATH,	/* absolute, in the container */
};

/* What a shell offers for a value or an argument. */
enum completion {
	COMPLETE_NOTHING,
	COMPLETE_TARGETS,   /* containers and compose services */
	COMPLETE_SNAPSHOTS, /* references */
	COMPLETE_NAMES,	    /* both of these */
	COMPLETE_PROJECTS,  /* compose projects */
	COMPLETE_DRIVERS,   /* names of drivers */
	COMPLETE_VERBS,
	COMPLETE_FILES,
	COMPLETE_DIRECTORIES,
	COMPLETE_WORDS, /* those in ${words} */
};

struct option {
	const char *name; /* long, without dashes; NULL ends a table */
	char letter;	  /* short, or 0 */
	enum option_type type;
	bool repeated;	       /* may be given several times */
	const char *value;     /* what help calls the value; NULL for a flag */
	const char *otherwise; /* the default, as help says it; NULL: not worth saying */
	const char *help;
	enum completion completion;
	const char *words; /* for COMPLETE_WORDS: separated by spaces */
};

struct argument {
	const char *name; /* "TARGET"; NULL ends a table */
	bool optional, repeated;
	enum completion completion;
	const char *words;
};

/* What was given, in order. Strings are borrowed from the argument vector. */
struct options {
	struct option_value {
		const struct option *option;
		const char *value; /* NULL for a flag */
	} * values;
	size_t count;
	struct string_list arguments;
};

struct options_grammar {
	const char *verb;	     /* for messages: "create", NULL before the verb */
	const struct option *own;    /* may be NULL */
	const struct option *global; /* may be NULL; an own letter or name hides one of these */
	bool stops_at_first;	     /* the first argument and all behind it are left alone */
	bool takes_command;	     /* all from the second argument on is taken as it is */
};

void options_init(struct options *options);
void options_release(struct options *options);

/*
 * options_parse(options, grammar, count, words, used, err):
 * Take options and arguments from ${words}. *used: how many were taken (all of them but
 * with stops_at_first). Checks types. ERROR_USAGE names the word and, where one is near,
 * what may have been meant.
 */
int options_parse(struct options *options, const struct options_grammar *grammar, int count,
		  char *const *words, int *used, struct error **err);

/* options_has(options, name), options_text(options, name): the last one given, or NULL. */
bool options_has(const struct options *options, const char *name);
const char *options_text(const struct options *options, const char *name);

/* options_size(), options_milliseconds(), options_number(): ${otherwise} when not given. */
uint64_t options_size(const struct options *options, const char *name, uint64_t otherwise);
uint64_t options_milliseconds(const struct options *options, const char *name, uint64_t otherwise);
uint64_t options_number(const struct options *options, const char *name, uint64_t otherwise);

/* options_list(options, name, list): Append every value given. */
void options_list(const struct options *options, const char *name, struct string_list *list);

/* options_limit(word, candidate): So many edits may be a typing error between words this long. */
size_t options_limit(const char *word, const char *candidate);

/* options_nearest(word, candidates, count): The likely meant one of some words, or NULL. */
const char *options_nearest(const char *word, const char *const *candidates, size_t count);

/* options_distance(a, b): Edits (insert, delete, replace, swap) between two words, case ignored. */
size_t options_distance(const char *a, const char *b);

#endif
