/* sidesnap tree: lineages, drawn with nothing but ASCII, so that every terminal and log shows them. */
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "snapshot/snapshot.h"

#include "present.h"
#include "verb.h"

/* What is drawn before a snapshot is cut here: a deeper one could only be forged. */
#define DEPTH_SHOWN 64
#define TREE_COLUMNS 6

int verb_tree_run(struct command *command, struct json **result, struct error **err)
{
	return snapshot_tree(&command->session, verb_argument(command, 0), result, err);
}

/* The lines beside which a snapshot stands: "| |-" where it begins a branch, else "| | ". */
static char *tree_lines(int64_t depth, bool branches_off)
{
	struct buffer text;

	buffer_init(&text, 4 * DEPTH_SHOWN);
	for (int64_t i = 0; i < depth && i < DEPTH_SHOWN; i++)
		buffer_append_string(&text, branches_off && i == depth - 1 ? "|-" : "| ");
	return buffer_steal(&text);
}

static void print_snapshot(struct table *table, const struct json *entry, bool branches_off)
{
	cleanup_free char *drawn = tree_lines(json_int(entry, "depth"), branches_off);
	cleanup_free char *name = present_snapshot(entry);
	cleanup_free char *source = present_source(json_get(entry, "source"));
	cleanup_free char *age = present_age(json_string(entry, "created"));
	cleanup_free char *stored = present_size(entry, "stored");
	cleanup_free char *now = present_names(json_get(entry, "current"));
	cleanup_free char *title = present_title(entry);
	bool gap = !strcmp(json_string_or(entry, "parent_state", ""), "absent");

	table_cellf(table, "%s%s%s", drawn, gap ? "... " : "* ", name);
	table_cell(table, source);
	table_cell(table, age);
	table_cell(table, stored);
	table_cell(table, now);
	table_cell(table, title);
}

static void print_lineage(struct table *table, const struct json *lineage)
{
	const struct json *snapshots = json_get(lineage, "snapshots");
	/* Who stood last at each depth: only what came from it goes straight on. */
	cleanup_free const char **above =
		memory_zalloc((json_count(snapshots) + 1) * sizeof(*above));

	json_for_each(entry, snapshots) {
		size_t depth = (size_t)json_int(entry, "depth");
		const char *ancestor = json_string_or(entry, "ancestor", "");
		bool straight = !depth || (above[depth] && !strcmp(above[depth], ancestor));

		print_snapshot(table, entry, !straight);
		above[depth] = json_string_or(entry, "id", "");
	}
}

void verb_tree_print(const struct command *command, const struct json *result)
{
	CLEANUP(cleanup_table_free) struct table *table = table_new();

	(void)command;
	table_column(table, "SNAPSHOT", TABLE_FLEXIBLE);
	table_column(table, "SOURCE", TABLE_FLEXIBLE);
	table_column(table, "CREATED", TABLE_LEFT);
	table_column(table, "ADDED", TABLE_RIGHT);
	table_column(table, "NOW", TABLE_FLEXIBLE);
	table_column(table, "TITLE", TABLE_FLEXIBLE);
	json_for_each(lineage, result) {
		if (table_rows(table))
			for (int i = 0; i < TREE_COLUMNS; i++)
				table_cell(table, "");
		print_lineage(table, lineage);
	}
	present_table(table);
}
