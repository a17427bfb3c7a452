/*
 * What a boot makes of a volume: whether it counts as empty, and what is done then.
 */
#include "test_own_support.h"

#include "tree/mark.h"
#include "tree/own/seed.h"

static void add(struct seed *seed, const char *path, mode_t mode, const char *text,
		const char *link, const char *hardlink)
{
	struct own_member member = {.path = path,
				    .mode = mode,
				    .size = text ? strlen(text) : 0,
				    .link = link,
				    .hardlink = hardlink};
	struct error *err = NULL;

	must(seed_add(seed, &member, &err), &err);
	if (text && *text)
		must(seed_data(seed, text, strlen(text), &err), &err);
}

struct volume {
	struct scratch_store scratch;
	struct catalog_root seed;
	char *path;
	int root;
};

/* A volume as an engine seeds it, and the seed in a store; members in no order. */
static int setup(void **state)
{
	struct volume *volume = memory_zalloc(sizeof(*volume));
	struct seed *seed = seed_new();
	struct error *err = NULL;

	scratch_store_begin(&volume->scratch);
	add(seed, "conf.d/main", S_IFREG | 0644, "setting\n", NULL, NULL);
	add(seed, "conf.d", S_IFDIR | 0755, NULL, NULL, NULL);
	add(seed, "empty", S_IFREG | 0644, "", NULL, NULL);
	add(seed, "link", S_IFLNK | 0777, NULL, "conf.d/main", NULL);
	add(seed, "conf.d/again", 0, NULL, NULL, "conf.d/main");
	must(seed_write(seed, volume->scratch.capture, &volume->seed, &err), &err);
	seed_free(seed);
	scratch_store_finish(&volume->scratch);
	volume->path = make_directory();
	volume->root = open_root(volume->path);
	put_directory(volume->root, "conf.d");
	put_file(volume->root, "conf.d/main", "setting\n");
	put_file(volume->root, "conf.d/again", "setting\n");
	put_file(volume->root, "empty", "");
	assert_int_equal(symlinkat("conf.d/main", volume->root, "link"), 0);
	*state = volume;
	return 0;
}

static int teardown(void **state)
{
	struct volume *volume = *state;

	close(volume->root);
	remove_directory(volume->path);
	catalog_root_release(&volume->seed);
	scratch_store_release(&volume->scratch);
	free(volume);
	return 0;
}

static bool is_empty(struct volume *volume, bool with_seed, const struct string_list *inner,
		     const char *foreign_expected)
{
	struct error *err = NULL;
	char *foreign = NULL;
	int result = volume_is_empty(volume->root, volume->scratch.store,
				     with_seed ? &volume->seed : NULL, inner, &foreign, &err);

	must(result, &err);
	if (foreign_expected)
		assert_string_equal(foreign, foreign_expected);
	else
		assert_null(foreign);
	free(foreign);
	return result > 0;
}

static void seed_counts_as_empty(void **state)
{
	struct volume *volume = *state;

	assert_true(is_empty(volume, true, NULL, NULL));
	assert_false(is_empty(volume, false, NULL, "conf.d/again"));
	/* Less than the seed, our mark and the file system's own directory change nothing. */
	assert_int_equal(unlinkat(volume->root, "empty", 0), 0);
	put_file(volume->root, MARK_FILE, "x");
	put_directory(volume->root, "lost+found");
	put_file(volume->root, "lost+found/#1", "x");
	assert_true(is_empty(volume, true, NULL, NULL));
}

static void anything_else_is_foreign(void **state)
{
	struct volume *volume = *state;

	put_file(volume->root, "conf.d/main", "changed\n");
	assert_false(is_empty(volume, true, NULL, "conf.d/main"));
	put_file(volume->root, "conf.d/main", "setting\n");
	put_file(volume->root, "empty", "1");
	assert_false(is_empty(volume, true, NULL, "empty"));
	put_file(volume->root, "empty", "");
	assert_int_equal(unlinkat(volume->root, "link", 0), 0);
	assert_int_equal(symlinkat("elsewhere", volume->root, "link"), 0);
	assert_false(is_empty(volume, true, NULL, "link"));
	assert_int_equal(unlinkat(volume->root, "link", 0), 0);
	put_file(volume->root, "link", "conf.d/main");
	assert_false(is_empty(volume, true, NULL, "link"));
	assert_int_equal(unlinkat(volume->root, "link", 0), 0);
	put_file(volume->root, "conf.d/" MARK_FILE, "x");
	assert_false(is_empty(volume, true, NULL, "conf.d/" MARK_FILE));
	assert_int_equal(unlinkat(volume->root, "conf.d/" MARK_FILE, 0), 0);
	put_directory(volume->root, "directory");
	assert_false(is_empty(volume, true, NULL, "directory"));
}

static void directories_for_inner_volumes_do_not_count(void **state)
{
	struct volume *volume = *state;
	struct string_list inner;

	string_list_init(&inner);
	string_list_add(&inner, "a/b");
	put_directory(volume->root, "a");
	assert_true(is_empty(volume, true, &inner, NULL));
	put_directory(volume->root, "a/b");
	assert_true(is_empty(volume, true, &inner, NULL));
	put_file(volume->root, "a/c", "");
	assert_false(is_empty(volume, true, &inner, "a/c"));
	assert_int_equal(unlinkat(volume->root, "a/c", 0), 0);
	put_directory(volume->root, "ab");
	assert_false(is_empty(volume, true, &inner, "ab"));
	string_list_release(&inner);
}

static void incomplete_seed_is_refused(void **state)
{
	struct scratch_store scratch;
	struct catalog_root root = {0};
	struct seed *seed = seed_new();
	struct own_member member = {.path = "f", .mode = S_IFREG | 0644, .size = 5};
	struct error *err = NULL;

	(void)state;
	scratch_store_begin(&scratch);
	must(seed_add(seed, &member, &err), &err);
	must(seed_data(seed, "1234", 4, &err), &err);
	assert_int_equal(seed_data(seed, "56", 2, NULL), -1);
	assert_int_equal(seed_write(seed, scratch.capture, &root, &err), -1);
	assert_non_null(err);
	error_free(err);
	member.path = "../f";
	assert_int_equal(seed_data(seed, "5", 1, NULL), 0);
	assert_int_equal(seed_add(seed, &member, NULL), -1);
	seed_free(seed);
	scratch_store_release(&scratch);
}

static void decisions(void **state)
{
	struct hash tree, other;
	struct mark none = {0}, restored = {.state = MARK_RESTORED},
		    restoring = {.state = MARK_RESTORING}, replaced, foreign, half;

	(void)state;
	hash_data(&tree, "a", 1);
	hash_data(&other, "b", 1);
	restored.tree = restoring.tree = tree;
	replaced = restored;
	replaced.replaced = true;
	foreign = restored;
	foreign.tree = other;
	half = restoring;
	half.tree = other;
	const struct {
		const struct mark *mark;
		enum volume_wish wish;
		bool is_writable, is_empty;
		enum volume_action expected;
	} cases[] = {
		/* a fresh volume */
		{&none, VOLUME_ASK, true, true, VOLUME_RESTORE},
		{&none, VOLUME_KEEP, true, true, VOLUME_RESTORE},
		{&none, VOLUME_REPLACE, true, true, VOLUME_RESTORE},
		{&none, VOLUME_ASK, false, true, VOLUME_WAIT},
		/* a second start */
		{&restored, VOLUME_ASK, true, false, VOLUME_LEAVE},
		{&restored, VOLUME_ASK, false, false, VOLUME_LEAVE},
		{&restored, VOLUME_KEEP, true, false, VOLUME_LEAVE},
		{&restored, VOLUME_ASK, true, true, VOLUME_LEAVE},
		/* replace acts once */
		{&restored, VOLUME_REPLACE, true, false, VOLUME_RESTORE},
		{&replaced, VOLUME_REPLACE, true, false, VOLUME_LEAVE},
		{&restored, VOLUME_REPLACE, false, false, VOLUME_LEAVE},
		/* an interrupted restore goes on, whatever is wished */
		{&restoring, VOLUME_ASK, true, false, VOLUME_RESTORE},
		{&restoring, VOLUME_KEEP, true, false, VOLUME_RESTORE},
		{&restoring, VOLUME_ASK, false, false, VOLUME_WAIT},
		/* somebody else's data */
		{&none, VOLUME_ASK, true, false, VOLUME_REFUSE},
		{&none, VOLUME_KEEP, true, false, VOLUME_LEAVE},
		{&none, VOLUME_KEEP, false, false, VOLUME_LEAVE},
		{&none, VOLUME_REPLACE, true, false, VOLUME_RESTORE},
		{&none, VOLUME_REPLACE, false, false, VOLUME_REFUSE},
		{&foreign, VOLUME_ASK, true, false, VOLUME_REFUSE},
		{&foreign, VOLUME_REPLACE, true, false, VOLUME_RESTORE},
		/* half of another snapshot is never started on */
		{&half, VOLUME_ASK, true, false, VOLUME_REFUSE},
		{&half, VOLUME_KEEP, true, false, VOLUME_REFUSE},
		{&half, VOLUME_REPLACE, true, false, VOLUME_RESTORE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		enum volume_action action = volume_decide(cases[i].mark, &tree, cases[i].wish,
							  cases[i].is_writable, cases[i].is_empty);

		if (action != cases[i].expected)
			fail_msg("case %zu: %d instead of %d", i, (int)action,
				 (int)cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(seed_counts_as_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(anything_else_is_foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(directories_for_inner_volumes_do_not_count, setup,
						teardown),
		cmocka_unit_test(incomplete_seed_is_refused),
		cmocka_unit_test(decisions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
