/*
 * Tables whose rows are the entries of a JSON list.
 */
#ifndef SIDESNAP_CMD_ROWS_H
#define SIDESNAP_CMD_ROWS_H

#include "base/json.h"
#include "ui/table.h"

/* One column; a list of them ends with one without a title. */
struct row_column {
	const char *title;
	enum table_column kind;
	const char *key; /* of an entry: a string, shown as "-" where it is none */
	/* What else stands there, to be freed; NULL: the string. present_size() is one of these. */
	char *(*text)(const struct json *entry, const char *key);
};

/* rows_table(list, columns): All entries, to be freed with table_free(). */
struct table *rows_table(const struct json *list, const struct row_column *columns);

/* rows_print(list, columns): The table on stdout. */
void rows_print(const struct json *list, const struct row_column *columns);

/* rows_print_below(list, columns): Behind an empty line, and only where there is an entry. */
void rows_print_below(const struct json *list, const struct row_column *columns);

/* rows_count(entry, key), rows_age(): A number; how long ago a time was. For columns. */
char *rows_count(const struct json *entry, const char *key);
char *rows_age(const struct json *entry, const char *key);

/* rows_tree_path(entry, key): present_tree_path() of the entry. */
char *rows_tree_path(const struct json *entry, const char *key);

/* What "show" and a dry run say of "not_captured". */
extern const struct row_column rows_not_captured[];

#endif
