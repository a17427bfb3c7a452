/*
 * The values that the operations of a load use ("${user}"), looked up in the container that
 * boots: its own environment, and files that this names.
 */
#ifndef SIDESNAP_AGENT_LOAD_VALUES_H
#define SIDESNAP_AGENT_LOAD_VALUES_H

#include <stdbool.h>

#include "base/json.h"
#include "base/text.h"

struct load_values {
	const struct json *load; /* "load" of the manifest's extra; borrowed */
	const struct json *way;	 /* whose "values" count before all others; NULL: none; borrowed */
	struct json *found;	 /* what was looked up or set */
	unsigned depth;		 /* of a default that is a template itself */
	struct string_list secrets; /* values that no message may show */
};

void load_values_init(struct load_values *values, const struct json *load);
void load_values_release(struct load_values *values);

/* load_values_set(values, name, value, is_secret): From now on it has this value. */
void load_values_set(struct load_values *values, const char *name, const char *value,
		     bool is_secret);

/* load_values_get(values, name): To be freed; NULL where there is none. */
char *load_values_get(struct load_values *values, const char *name);

/* load_values_expand(values, template): To be freed; NULL where a value is absent, or it gets too long. */
char *load_values_expand(struct load_values *values, const char *template);

/* load_values_have(values, needs): Whether every one of a list of names has a value. */
bool load_values_have(struct load_values *values, const struct json *needs);

/* load_values_redact(values, text): Every secret in it replaced, in place. */
void load_values_redact(const struct load_values *values, char *text);

#endif
