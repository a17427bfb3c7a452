/* What a table shows of each entry stands in one array, not in calls that must match. */
#include "rows.h"

#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"

#include "present.h"

const struct row_column rows_not_captured[] = {
	{"NOT CAPTURED", TABLE_FLEXIBLE, "path", NULL},
	{"TYPE", TABLE_LEFT, "type", NULL},
	{"REASON", TABLE_FLEXIBLE, "reason", NULL},
	{NULL, TABLE_LEFT, NULL, NULL},
};

struct table *rows_table(const struct json *list, const struct row_column *columns)
{
	struct table *table = table_new();

	for (const struct row_column *column = columns; column->title; column++)
		table_column(table, column->title, column->kind);
	json_for_each(entry, list) {
		for (const struct row_column *column = columns; column->title; column++) {
			cleanup_free char *text =
				column->text ? column->text(entry, column->key) : NULL;

			table_cell(table,
				   text ? text : text_or(json_string(entry, column->key), "-"));
		}
	}
	return table;
}

void rows_print(const struct json *list, const struct row_column *columns)
{
	CLEANUP(cleanup_table_free) struct table *table = rows_table(list, columns);

	present_table(table);
}

void rows_print_below(const struct json *list, const struct row_column *columns)
{
	if (!json_count(list))
		return;
	putchar('\n');
	rows_print(list, columns);
}

char *rows_count(const struct json *entry, const char *key)
{
	return memory_printf("%lld", (long long)json_int(entry, key));
}

char *rows_age(const struct json *entry, const char *key)
{
	return present_age(json_string(entry, key));
}

char *rows_tree_path(const struct json *entry, const char *key)
{
	(void)key;
	return present_tree_path(entry);
}
