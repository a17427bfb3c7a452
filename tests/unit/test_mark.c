/*
 * Marks on volumes: round trip as attribute and as file, nothing made of garbage,
 * one restore at a time.
 */
#include "test_own_support.h"

#include <sys/file.h>
#include <sys/xattr.h>

#include "tree/mark.h"

static void assert_mark(int root, enum mark_state state, const struct hash *tree, bool replaced)
{
	struct mark mark;

	mark_read(root, &mark);
	assert_int_equal(mark.state, state);
	if (state == MARK_NONE)
		return;
	assert_true(hash_equal(&mark.tree, tree));
	assert_int_equal(mark.replaced, replaced);
}

static void mark_goes_through_its_states(void **state)
{
	char *path = make_directory();
	int root = open_root(path);
	struct mark mark = {.state = MARK_RESTORING};
	struct error *err = NULL;
	struct stat before, after;
	const struct timespec times[2] = {{1000, 1}, {2000, 2}};

	(void)state;
	hash_data(&mark.tree, "tree", 4);
	assert_int_equal(futimens(root, times), 0);
	assert_int_equal(fstat(root, &before), 0);
	assert_mark(root, MARK_NONE, NULL, false);
	must(mark_write(root, &mark, &err), &err);
	assert_mark(root, MARK_RESTORING, &mark.tree, false);
	mark.state = MARK_RESTORED;
	mark.replaced = true;
	must(mark_write(root, &mark, &err), &err);
	assert_mark(root, MARK_RESTORED, &mark.tree, true);
	mark.state = MARK_NONE;
	must(mark_write(root, &mark, &err), &err);
	assert_mark(root, MARK_NONE, NULL, false);
	assert_absent(root, MARK_FILE);
	assert_int_equal(fstat(root, &after), 0);
	assert_int_equal(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
	assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
	close(root);
	remove_directory(path);
}

static void file_is_read_where_there_is_no_attribute(void **state)
{
	char *path = make_directory(), digits[HASH_HEX_SIZE];
	int root = open_root(path);
	cleanup_free char *text = NULL;
	struct hash tree;

	(void)state;
	hash_data(&tree, "x", 1);
	hash_format(&tree, digits);
	text = memory_printf("1 restored %s\n", digits);
	put_file(root, MARK_FILE, text);
	assert_mark(root, MARK_RESTORED, &tree, false);
	close(root);
	remove_directory(path);
}

static void garbage_is_no_mark(void **state)
{
	char *path = make_directory(), digits[HASH_HEX_SIZE];
	int root = open_root(path);
	struct hash tree;

	(void)state;
	hash_data(&tree, "x", 1);
	hash_format(&tree, digits);
	const char *const texts[] = {
		"",
		"\n",
		"1 restored ",
		"1 restored zz",
		"2 restored ",
		"restored",
		"1 restored 0123456789012345678901234567890123456789012345678901234567890123 more",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		put_file(root, MARK_FILE, texts[i]);
		assert_mark(root, MARK_NONE, NULL, false);
	}
	cleanup_free char *other_version = memory_printf("2 restored %s\n", digits);
	put_file(root, MARK_FILE, other_version);
	assert_mark(root, MARK_NONE, NULL, false);
	/* A link to a good mark is somebody's trick. */
	cleanup_free char *good = memory_printf("1 restored %s\n", digits);
	put_file(root, "elsewhere", good);
	assert_int_equal(unlinkat(root, MARK_FILE, 0), 0);
	assert_int_equal(symlinkat("elsewhere", root, MARK_FILE), 0);
	assert_mark(root, MARK_NONE, NULL, false);
	/* A FIFO must not hold up a start. */
	assert_int_equal(unlinkat(root, MARK_FILE, 0), 0);
	assert_int_equal(mkfifoat(root, MARK_FILE, 0600), 0);
	assert_mark(root, MARK_NONE, NULL, false);
	close(root);
	remove_directory(path);
}

static void second_lock_waits_and_gives_up(void **state)
{
	char *path = make_directory();
	int first = open_root(path), second = open_root(path);
	struct error *err = NULL;

	(void)state;
	must(mark_lock(first, 0, &err), &err);
	assert_int_equal(mark_lock(second, 50, &err), -1);
	assert_int_equal(err->kind, ERROR_BUSY);
	error_free(err);
	err = NULL;
	close(first);
	must(mark_lock(second, 1000, &err), &err);
	close(second);
	remove_directory(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mark_goes_through_its_states),
		cmocka_unit_test(file_is_read_where_there_is_no_attribute),
		cmocka_unit_test(garbage_is_no_mark),
		cmocka_unit_test(second_lock_waits_and_gives_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
