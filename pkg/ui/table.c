/*
 * Aligned columns for people. The widest flexible column gives way first, so that
 * names at the left stay whole on a narrow terminal.
 */
#include "ui/table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "ui/escape.h"

#define COLUMNS_MAX 16
#define GAP 2
#define NARROWEST 8 /* a flexible column is never made narrower than this */

struct table {
	struct {
		char *title;
		enum table_column kind;
	} columns[COLUMNS_MAX];
	size_t column_count;
	char **cells;
	size_t cell_count;
};

struct table *table_new(void)
{
	return memory_zalloc(sizeof(struct table));
}

void table_free(struct table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->column_count; i++)
		free(table->columns[i].title);
	for (size_t i = 0; i < table->cell_count; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}

void table_column(struct table *table, const char *title, enum table_column column)
{
	if (table->column_count == COLUMNS_MAX)
		return;
	table->columns[table->column_count].title = escape_text(title);
	table->columns[table->column_count].kind = column;
	table->column_count++;
}

void table_cell(struct table *table, const char *text)
{
	table->cells = memory_array(table->cells, table->cell_count + 1, sizeof(char *));
	table->cells[table->cell_count++] = escape_text(text);
}

void table_cellf(struct table *table, const char *format, ...)
{
	cleanup_free char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = memory_vprintf(format, arguments);
	va_end(arguments);
	table_cell(table, text);
}

size_t table_rows(const struct table *table)
{
	return table->column_count ? table->cell_count / table->column_count : 0;
}

/* Take what is too much from the widest flexible columns, one column at a time. */
static void shrink(const struct table *table, size_t *widths, size_t width)
{
	for (;;) {
		size_t total = GAP * (table->column_count - 1), widest = table->column_count;

		for (size_t i = 0; i < table->column_count; i++) {
			total += widths[i];
			if (table->columns[i].kind == TABLE_FLEXIBLE && widths[i] > NARROWEST &&
			    (widest == table->column_count || widths[i] > widths[widest]))
				widest = i;
		}
		if (total <= width || widest == table->column_count)
			return;
		widths[widest]--;
	}
}

static void print_cell(FILE *file, const char *text, size_t width, enum table_column kind,
		       bool last)
{
	cleanup_free char *clipped = escape_clip(text, width);
	size_t pad = width - escape_width(clipped);

	if (kind == TABLE_RIGHT)
		fprintf(file, "%*s", (int)pad, "");
	fputs(clipped, file);
	if (!last)
		fprintf(file, "%*s", (int)(GAP + (kind == TABLE_RIGHT ? 0 : pad)), "");
}

void table_print(const struct table *table, FILE *file, size_t width)
{
	size_t widths[COLUMNS_MAX], count = table->column_count;

	if (!count)
		return;
	for (size_t i = 0; i < count; i++)
		widths[i] = escape_width(table->columns[i].title);
	for (size_t i = 0; i < table->cell_count; i++) {
		size_t cell = escape_width(table->cells[i]);

		if (cell > widths[i % count])
			widths[i % count] = cell;
	}
	if (width)
		shrink(table, widths, width);
	for (size_t i = 0; i < count; i++)
		print_cell(file, table->columns[i].title, widths[i], table->columns[i].kind,
			   i + 1 == count);
	fputc('\n', file);
	for (size_t i = 0; i < table_rows(table) * count; i++) {
		size_t column = i % count;

		print_cell(file, table->cells[i], widths[column], table->columns[column].kind,
			   column + 1 == count);
		if (column + 1 == count)
			fputc('\n', file);
	}
}
