/* Texts with names in them, "${name}", that become values. */
#ifndef SIDESNAP_BASE_TEMPLATE_H
#define SIDESNAP_BASE_TEMPLATE_H

#include <stddef.h>

/* The value of a name, to be freed; NULL: there is none. */
typedef char *template_find(void *context, const char *name);

/*
 * template_expand(template, limit, find, context):
 * With every "${name}" replaced, to be freed. NULL where one has no value, or it gets longer than
 * ${limit} bytes. What a value holds is not looked through again.
 */
char *template_expand(const char *template, size_t limit, template_find *find, void *context);

#endif
