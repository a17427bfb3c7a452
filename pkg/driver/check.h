/* What the readers of a definition's members share: a mistake is an error with its line and reason. */
#ifndef SIDESNAP_DRIVER_CHECK_H
#define SIDESNAP_DRIVER_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/json.h"

struct parser {
	const char *origin, *text; /* the file's name, and all of it */
	const struct json *values; /* names that templates may use */
	const char *const *given;  /* further ones, NULL at the end; or NULL */
	struct error **err;
};

/* Check one value; ${path} says where it is: "a.b[2].c". */
typedef int check_function(const struct parser *parser, const struct json *item, const char *path);

struct member {
	const char *name;
	check_function *check;
	bool required;
};

/* check_failed(parser, path, reason): Make the error "origin:line: "path" reason". Returns -1. */
int check_failed(const struct parser *parser, const char *path, const char *reason);

/* check_members(parser, object, path, members): An object of nothing but these; a name of NULL ends them. */
int check_members(const struct parser *parser, const struct json *object, const char *path,
		  const struct member *members);

/* check_list(parser, list, path, check): An array, all of whose elements are right. */
int check_list(const struct parser *parser, const struct json *list, const char *path,
	       check_function *check);

/* check_each(parser, object, path, check): The same of an object's members, whatever their names are. */
int check_each(const struct parser *parser, const struct json *object, const char *path,
	       check_function *check);

check_function check_string, check_strings, check_bool;

/* A driver's name; a number from 1; the bytes of a block, and of a page, of a file in pages. */
check_function check_name, check_number, check_block, check_page;

/* An extended regular expression. */
check_function check_regex;

/*
 * Texts with "${name}" of names that are known. A secret may stand in a secret template only: in
 * "environment" and in "input".
 */
check_function check_template, check_secret_template, check_templates, check_arguments,
	check_environment;

/* Names of values. */
check_function check_needs;

/* parse.c: the parts that labels may hold, too. */
check_function check_steps, check_ready, check_client;

/* parse_access.c: the members for getting into the database, and what is done there. */
check_function check_access, check_compare, check_dump, check_load, check_script, check_monitor;

#endif
