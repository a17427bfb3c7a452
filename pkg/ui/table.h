/*
 * Tables for people: a header, aligned columns, clipped to the terminal's width.
 * Cells are escaped; a table that goes into a pipe or a file is never clipped.
 */
#ifndef SIDESNAP_UI_TABLE_H
#define SIDESNAP_UI_TABLE_H

#include <stddef.h>
#include <stdio.h>

#include "base/cleanup.h"

struct table;

enum table_column {
	TABLE_LEFT,	/* text; kept whole as long as there is room */
	TABLE_RIGHT,	/* numbers */
	TABLE_FLEXIBLE, /* text that is shortened first */
};

/* table_new(): Without columns. Never NULL. */
struct table *table_new(void);
void table_free(struct table *table); /* NULL ok */
CLEANUP_DEFINE(struct table, table_free)

/* table_column(table, title, column): One more column; all before the first cell. */
void table_column(struct table *table, const char *title, enum table_column column);

/* table_cell(table, text): The next cell, row by row; copied and escaped. NULL is "". */
void table_cell(struct table *table, const char *text);

/* table_cellf(table, ...): The same, formatted. */
void table_cellf(struct table *table, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* table_rows(table): Whole rows so far. */
size_t table_rows(const struct table *table);

/* table_print(table, file, width): Header and rows; ${width} columns at most, 0: as wide as it is. */
void table_print(const struct table *table, FILE *file, size_t width);

#endif
