/*
 * What a history makes of labels: who came from whom, in which order it is drawn, and that
 * labels which contradict themselves give some history all the same, and always the same.
 */
#include "test_support.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/text.h"
#include "snapshot/history/history.h"

struct row {
	const char
		*name; /* sidesnap.id, and the tag; a name of two parts, "a:x", has the tag "x" */
	const char *parent; /* "c", or with what was before it "c,b,a" */
	const char *lineage;
	int minute; /* of its creation; the committing minute, too */
};

static char *part(const char *name, bool tag)
{
	const char *colon = strchr(name, ':');

	if (!colon)
		return memory_strdup(name);
	return tag ? memory_strdup(colon + 1) : memory_strndup(name, (size_t)(colon - name));
}

static void add_entry(struct json *entries, const struct row *row)
{
	struct json *entry = json_add_object(entries), *list;
	CLEANUP(string_list_release) struct string_list ids;
	cleanup_free char *id = part(row->name, false), *tag = part(row->name, true);
	cleanup_free char *image = memory_printf("sha256:%s", row->name);
	cleanup_free char *created = memory_printf("2026-01-01T00:%02d:00.000Z", row->minute);

	string_list_init(&ids);
	string_list_split(&ids, row->parent, ',');
	list = json_set_array(entry, "references");
	if (*tag)
		json_add_string(list, tag);
	json_set_string(entry, "id", id);
	json_set_string(entry, "image", image);
	json_set_string(entry, "created", row->minute < 0 ? "yesterday" : created);
	json_set_string(entry, "parent", ids.count ? ids.items[0] : "");
	json_set_string(entry, "lineage", row->lineage);
	json_set_int(entry, "committed", row->minute);
	json_set_bool(entry, "pinned", strcmp(tag, "pinned") == 0);
	json_set_string(json_set_object(entry, "source"), "container", tag);
	list = json_set_array(entry, "ancestors");
	for (size_t i = 0; i < ids.count; i++)
		json_add_string(list, ids.items[i]);
}

/* Forwards or backwards: an engine's order must not matter. */
static struct json *entries_of(const struct row *rows, size_t count, bool backwards)
{
	struct json *entries = json_new_array();

	for (size_t i = 0; i < count; i++)
		add_entry(entries, &rows[backwards ? count - 1 - i : i]);
	return entries;
}

/* "a .b c~ / d": one word a snapshot, a dot for each level of depth, '~' where the parent is absent, '!' looped. */
static char *drawing(const struct history *history)
{
	CLEANUP(cleanup_json_free) struct json *tree = history_tree(history);
	struct buffer text;

	buffer_init(&text, 1U << 20);
	json_for_each(lineage, tree) {
		if (text.size)
			buffer_append_string(&text, " /");
		json_for_each(node, json_get(lineage, "snapshots")) {
			const char *state = json_string_or(node, "parent_state", "");
			struct buffer dots;

			buffer_init(&dots, 4096);
			for (int64_t i = 0; i < json_int(node, "depth"); i++)
				buffer_append_string(&dots, ".");
			buffer_printf(&text, "%s%s%s%s", text.size ? " " : "",
				      dots.size ? dots.data : "", json_string_or(node, "id", ""),
				      strcmp(state, "absent") == 0   ? "~"
				      : strcmp(state, "looped") == 0 ? "!"
								     : "");
			buffer_release(&dots);
		}
	}
	return buffer_steal(&text);
}

static void expect(const char *expected, const struct row *rows, size_t count)
{
	for (int backwards = 0; backwards < 2; backwards++) {
		CLEANUP(cleanup_json_free)
		struct json *entries = entries_of(rows, count, backwards);
		CLEANUP(cleanup_history_free) struct history *history = history_new(entries);
		cleanup_free char *drawn = drawing(history);

		assert_string_equal(text_or(drawn, ""), expected);
	}
}

#define EXPECT(expected, ...)                                                                      \
	do {                                                                                       \
		const struct row rows[] = {__VA_ARGS__};                                           \
		expect(expected, rows, sizeof(rows) / sizeof(rows[0]));                            \
	} while (0)

static void test_drawing(void **state)
{
	(void)state;
	expect("", NULL, 0);
	EXPECT("a", {"a", "", "L", 1});
	EXPECT("a b c", {"a", "", "L", 1}, {"b", "a", "L", 2}, {"c", "b", "L", 3});
	/* The newest goes straight on, also through an old one. */
	EXPECT("a .c b d", {"a", "", "L", 1}, {"b", "a", "L", 2}, {"c", "a", "L", 3},
	       {"d", "b", "L", 4});
	EXPECT("a .b ..e .d c", {"a", "", "L", 1}, {"b", "a", "L", 2}, {"c", "a", "L", 9},
	       {"d", "b", "L", 5}, {"e", "b", "L", 4});
	/* Two lineages: the one with the newest first. */
	EXPECT("x y / a", {"a", "", "L", 2}, {"x", "", "M", 1}, {"y", "x", "M", 3});
	/* Two sources with nothing between them, in one lineage. */
	EXPECT("a c b", {"a", "", "L", 1}, {"b", "", "L", 2}, {"c", "a", "L", 3});
}

static void test_parents_that_are_missing(void **state)
{
	(void)state;
	EXPECT("b~ c", {"b", "a", "L", 2}, {"c", "b", "L", 3});
	/* The nearest that is known stands in. */
	EXPECT("a d~", {"a", "", "L", 1}, {"d", "c,b,a", "L", 4});
	EXPECT("a b d~", {"a", "", "L", 1}, {"b", "a", "L", 2}, {"d", "c,b,a", "L", 4});
	EXPECT("d~", {"d", "c,b,a", "L", 4});
	/* From a snapshot of something else: a tree of its own in its lineage. */
	EXPECT("b / a", {"a", "", "L", 1}, {"b", "a", "M", 2});
}

static void test_forged_labels(void **state)
{
	(void)state;
	/* A circle begins with its oldest, a snapshot that is its own parent with itself. */
	EXPECT("b! c a", {"a", "c", "L", 3}, {"b", "a", "L", 1}, {"c", "b", "L", 2});
	EXPECT("a!", {"a", "a", "L", 1});
	EXPECT("a! b c d", {"a", "b", "L", 1}, {"b", "a", "L", 1}, {"c", "b", "L", 3},
	       {"d", "c", "L", 0});
	/* One through the ancestors of a label. */
	EXPECT("a! b~", {"a", "b", "L", 1}, {"b", "x,y,a", "L", 2});
	/* Without an id each image is its own, and nobody's parent. */
	EXPECT("b  ", {":x", "", "", 1}, {":y", "", "", 1}, {"b", "", "", 0});
	/* No valid time: the oldest. */
	EXPECT("a b", {"b", "a", "L", -1}, {"a", "", "L", 3});
	/* Older than its parent. */
	EXPECT("a .b c", {"a", "", "L", 5}, {"b", "a", "L", 1}, {"c", "a", "L", 2});
	EXPECT("a", {"a", "", "", 5});
}

static void test_several_images_of_one_snapshot(void **state)
{
	static const struct row rows[] = {{"a:old", "", "L", 1},
					  {"a:", "", "L", 9},
					  {"a:new", "", "L", 5},
					  {"a:pinned", "", "L", 2},
					  {"b", "a", "L", 6}};

	(void)state;
	for (int backwards = 0; backwards < 2; backwards++) {
		CLEANUP(cleanup_json_free) struct json *entries = entries_of(rows, 5, backwards);
		CLEANUP(cleanup_history_free) struct history *history = history_new(entries);
		const struct history_node *node = history_find(history, "a");
		CLEANUP(cleanup_json_free) struct json *described = NULL;
		cleanup_free char *drawn = drawing(history);

		assert_string_equal(drawn, "a b");
		assert_non_null(node);
		assert_int_equal(node->image_count, 4);
		/* One with a tag speaks, of those the one committed last. */
		assert_string_equal(json_string(node->entry, "image"), "sha256:a:new");
		assert_ptr_equal(history_find_image(history, "sha256:a:"), node);
		assert_null(history_find_image(history, "sha256:c"));
		assert_null(history_find(history, "c"));
		assert_null(history_find(history, ""));
		described = history_describe(node);
		assert_true(json_bool(described, "pinned"));
		assert_int_equal(json_count(json_get(described, "references")), 3);
		assert_int_equal(json_count(json_get(described, "images")), 4);
		assert_string_equal(
			json_string(json_first(json_get(described, "references")), NULL), "new");
	}
}

static void test_log(void **state)
{
	static const struct row rows[] = {
		{"a", "", "L", 1}, {"b", "a", "M", 2}, {"d", "c,b,a", "M", 4}, {"e", "d", "M", 5}};
	CLEANUP(cleanup_json_free) struct json *entries = entries_of(rows, 4, false), *log = NULL;
	CLEANUP(cleanup_history_free) struct history *history = history_new(entries);
	cleanup_free char *names = memory_strdup("");

	(void)state;
	log = history_log(history_find(history, "e"));
	json_for_each(node, log) {
		char *more = memory_printf("%s%s(%s)", names, json_string(node, "id"),
					   json_string(node, "ancestor"));

		free(names);
		names = more;
	}
	/* On into another lineage, and over what is missing. */
	assert_string_equal(names, "e(d)d(b)b(a)a()");
	json_free(log);
	log = history_log(NULL);
	assert_int_equal(json_count(log), 0);
}

/* A chain as long as an engine's list, and one that branches at each step: neither may take long. */
static void test_many(void **state)
{
	enum { COUNT = 4000 };

	(void)state;
	for (int comb = 0; comb < 2; comb++) {
		CLEANUP(cleanup_json_free) struct json *entries = json_new_array(), *tree = NULL;
		CLEANUP(cleanup_history_free) struct history *history = NULL;

		for (int i = 0; i < COUNT; i++) {
			cleanup_free char *id = memory_printf("%d", i);
			cleanup_free char *parent = memory_printf("%d", comb ? (i - 1) / 2 : i - 1);
			const struct row row = {id, i ? parent : "", "L", i % 60};

			add_entry(entries, &row);
		}
		history = history_new(entries);
		tree = history_tree(history);
		assert_int_equal(json_count(json_get(json_first(tree), "snapshots")), COUNT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drawing),
		cmocka_unit_test(test_parents_that_are_missing),
		cmocka_unit_test(test_forged_labels),
		cmocka_unit_test(test_several_images_of_one_snapshot),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
