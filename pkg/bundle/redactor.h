/*
 * Text and JSON on their way into a bundle: what is, or may be, a secret is replaced by a mark that
 * names the rule. What cannot be judged (no text, lines without an end) is hidden as a whole.
 */
#ifndef SIDESNAP_BUNDLE_REDACTOR_H
#define SIDESNAP_BUNDLE_REDACTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/redact.h"

/* Why something is hidden. */
enum redact_rule {
	RULE_NONE,
	RULE_KNOWN,    /* a value that is known to be a secret */
	RULE_NAME,     /* behind a name as "password" */
	RULE_URL,      /* the password of an address */
	RULE_ARGUMENT, /* a word of a command line */
	RULE_KEY,      /* in a block of a private key */
	RULE_TOKEN,    /* as nobody types it */
	RULE_BINARY,   /* no text: it cannot be judged */
	RULE_LONG,     /* a line of more than 256 KiB: it is not judged */
	RULES,
};

/* redact_rule_name(rule): "known", "name"...: in marks as "[hidden:name]". */
const char *redact_rule_name(enum redact_rule rule);

/* redact_rule_of_mark(text, size, length): The rule of a mark that ${text} begins with, and the mark's bytes; else RULE_NONE. */
enum redact_rule redact_rule_of_mark(const char *text, size_t size, size_t *length);

/* What a text is, which says where a value ends and what else looks like one. */
enum redact_kind {
	REDACT_LOG,    /* sentences: a value ends with its word */
	REDACT_CONFIG, /* settings: with its line, and what is indented below is part of it */
	REDACT_VALUE,  /* one value of a variable, label or argument: suspicious in itself */
};

typedef int redact_sink(void *context, const void *data, size_t size, struct error **err);

/* Lines as they come, in whatever pieces. */
struct text_redactor;

/*
 * text_redactor_new(secrets, kind, sink, context):
 * ${secrets} is borrowed. Each whole line goes to ${sink}, redacted; NULL: nothing is written.
 */
struct text_redactor *text_redactor_new(const struct secrets *secrets, enum redact_kind kind,
					redact_sink *sink, void *context);
void text_redactor_free(struct text_redactor *redactor); /* NULL ok */
CLEANUP_DEFINE(struct text_redactor, text_redactor_free)

/* text_redactor_learn(redactor, into): What it hides by name, address or argument becomes known there. */
void text_redactor_learn(struct text_redactor *redactor, struct secrets *into);

int text_redactor_feed(struct text_redactor *redactor, const void *data, size_t size,
		       struct error **err);

/* text_redactor_finish(redactor, err): The last line, where it has no end. */
int text_redactor_finish(struct text_redactor *redactor, struct error **err);

/* redact_text(secrets, kind, text, size): All at once, to be freed. */
char *redact_text(const struct secrets *secrets, enum redact_kind kind, const char *text,
		  size_t size);

/* redact_words(secrets, words): A copy of an array, the words of one command line. */
struct json *redact_words(const struct secrets *secrets, const struct json *words);

/* redact_command(secrets, line): A command line, its words with blanks between; to be freed. */
char *redact_command(const struct secrets *secrets, const char *line);

/*
 * redact_json(secrets, json): A copy, as engines describe containers and compose files describe
 * services: variables, command lines and labels are known by their names.
 */
struct json *redact_json(const struct secrets *secrets, const struct json *json);

/* redact_learn(secrets, json): What redact_json() would hide by name, address or argument becomes known. */
void redact_learn(struct secrets *secrets, const struct json *json);

#endif
