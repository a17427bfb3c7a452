/*
 * Random trees with everything that a file system can hold: captured, restored into
 * nothing, into a mess and after an interruption, and compared by a walk of the test's own.
 */
#include "test_tree_random.h"
#include "test_tree_support.h"

#include <sys/resource.h>

static const struct tree_source plain_source;

static void take(struct snapshot *snapshot, int parent, const char *tree, const char *store)
{
	struct tree_source source = plain_source;
	struct string_list pages;
	struct error *error = NULL;

	string_list_init(&pages);
	string_list_add(&pages, "[a-m]*");
	source.root_fd = openat(parent, tree, O_PATH | O_DIRECTORY | O_CLOEXEC);
	source.pages = &pages;
	source.page_block = 8192;
	must(snapshot_take(snapshot, parent, store, &source, &error), &error);
	must(tree_verify(snapshot->store, snapshot->manifest.trees, &error), &error);
	close(source.root_fd);
	string_list_release(&pages);
}

static int put(const struct snapshot *snapshot, int parent, const char *name,
	       const struct restore_options *options, struct restore_totals *totals,
	       struct error **err)
{
	int fd = make_directory(parent, name);
	int result =
		tree_restore(fd, snapshot->store, snapshot->manifest.trees, options, totals, err);

	close(fd);
	return result;
}

static void test_random_trees(void **state)
{
	const struct restore_options options = {.workers = 2, .remove_extra = true};

	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct scratch scratch;
		struct snapshot snapshot, again;
		struct restore_totals totals;
		struct error *error = NULL;

		scratch_make(&scratch, "/tmp");
		random_tree(scratch.fd, "source", seed);
		take(&snapshot, scratch.fd, "source", "store");
		must(put(&snapshot, scratch.fd, "target", &options, &totals, &error), &error);
		assert_same_tree(scratch.fd, "source", "target");
		assert_int_equal(totals.entries, snapshot.manifest.trees->entries);
		assert_int_equal(totals.bytes, snapshot.manifest.trees->bytes);
		assert_int_equal(totals.removed, 0);
		/* what was restored has the same hash */
		take(&again, scratch.fd, "target", "store-again");
		assert_true(
			hash_equal(&snapshot.manifest.trees->hash, &again.manifest.trees->hash));
		snapshot_release(&again);
		/* over itself, and over another tree */
		must(put(&snapshot, scratch.fd, "target", &options, &totals, &error), &error);
		assert_same_tree(scratch.fd, "source", "target");
		random_tree(scratch.fd, "other", seed + 1000);
		must(put(&snapshot, scratch.fd, "other", &options, &totals, &error), &error);
		assert_same_tree(scratch.fd, "source", "other");
		snapshot_release(&snapshot);
		scratch_remove(&scratch);
	}
}

static int cancel(void *context, const struct restore_totals *totals, struct error **err)
{
	(void)context;
	(void)totals;
	return error_set(err, ERROR_CANCELLED, "cancelled");
}

static void test_cancelled_then_converges(void **state)
{
	struct restore_options options = {.workers = 2, .remove_extra = true, .progress = cancel};
	struct scratch scratch;
	struct snapshot snapshot;
	struct error *error = NULL;
	int fd;

	(void)state;
	scratch_make(&scratch, "/tmp");
	random_tree(scratch.fd, "source", 77);
	fd = openat(scratch.fd, "source", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 200; i++) {
		char name[32];

		snprintf(name, sizeof(name), "zz%d", i);
		make_text_file(fd, name, name);
	}
	close(fd);
	take(&snapshot, scratch.fd, "source", "store");
	must_fail(put(&snapshot, scratch.fd, "target", &options, NULL, &error), &error,
		  ERROR_CANCELLED);
	options.progress = NULL;
	must(put(&snapshot, scratch.fd, "target", &options, NULL, &error), &error);
	assert_same_tree(scratch.fd, "source", "target");
	snapshot_release(&snapshot);
	scratch_remove(&scratch);
}

/* Two names of one inode, one of them outside: the other must keep what it has. */
static void test_never_writes_through_a_link(void **state)
{
	const struct restore_options options = {.workers = 2, .remove_extra = true};
	static uint8_t large[2000000];
	struct scratch scratch;
	struct snapshot snapshot;
	struct error *error = NULL;
	char *before, *after;
	int fd;

	(void)state;
	scratch_make(&scratch, "/tmp");
	fd = make_directory(scratch.fd, "source");
	make_text_file(fd, "small", "restored");
	make_file(fd, "large", large, sizeof(large));
	close(fd);
	take(&snapshot, scratch.fd, "source", "store");
	fd = make_directory(scratch.fd, "outside");
	make_text_file(fd, "small", "precious");
	make_text_file(fd, "large", "precious too");
	close(fd);
	before = describe(scratch.fd, "outside");
	fd = make_directory(scratch.fd, "target");
	assert_int_equal(linkat(scratch.fd, "outside/small", fd, "small", 0), 0);
	assert_int_equal(symlinkat("../outside/large", fd, "large"), 0);
	close(fd);
	must(put(&snapshot, scratch.fd, "target", &options, NULL, &error), &error);
	after = describe(scratch.fd, "outside");
	assert_string_equal(before, after);
	assert_same_tree(scratch.fd, "source", "target");
	free(before);
	free(after);
	snapshot_release(&snapshot);
	scratch_remove(&scratch);
}

static void test_without_removing(void **state)
{
	const struct restore_options options = {.workers = 1};
	struct scratch scratch;
	struct snapshot snapshot;
	struct error *error = NULL;
	int fd;

	(void)state;
	scratch_make(&scratch, "/tmp");
	fd = make_directory(scratch.fd, "source");
	make_text_file(fd, "b", "restored");
	close(fd);
	take(&snapshot, scratch.fd, "source", "store");
	fd = make_directory(scratch.fd, "target");
	make_text_file(fd, "a", "stays");
	make_text_file(fd, "b", "goes");
	close(make_directory(fd, "c"));
	must(put(&snapshot, scratch.fd, "target", &options, NULL, &error), &error);
	assert_int_equal(faccessat(fd, "a", F_OK, 0), 0);
	assert_int_equal(faccessat(fd, "c", F_OK, 0), 0);
	close(fd);
	snapshot_release(&snapshot);
	scratch_remove(&scratch);
}

/* As a user without any capability: 0 as wanted, else what went wrong. */
static int restore_as_nobody(const struct snapshot *snapshot, int fd, bool lenient)
{
	const struct restore_options options = {
		.workers = 1, .remove_extra = true, .lenient = lenient};
	struct error *error = NULL;
	int result;

	if (setgid(65534) < 0 || setuid(65534) < 0)
		return 2;
	result =
		tree_restore(fd, snapshot->store, snapshot->manifest.trees, &options, NULL, &error);
	if (lenient)
		return result == 0 ? 0 : 3;
	return result < 0 && error->kind == ERROR_REFUSED ? 0 : 4;
}

static void test_without_privileges(void **state)
{
	struct scratch scratch;
	struct snapshot snapshot;
	struct stat status;
	int fd, below, child_status;

	(void)state;
	scratch_make(&scratch, "/tmp");
	fd = make_directory(scratch.fd, "source");
	make_text_file(fd, "foreign", "x");
	assert_int_equal(fchmodat(fd, "foreign", 04755, 0), 0);
	assert_int_equal(mknodat(fd, "node", S_IFCHR | 0600, makedev(1, 3)), 0);
	below = make_directory(fd, "read-only");
	make_text_file(below, "f", "x");
	assert_int_equal(fchownat(fd, "read-only/f", 65534, 65534, 0), 0);
	assert_int_equal(fchown(below, 65534, 65534), 0);
	assert_int_equal(fchmod(below, 0500), 0);
	close(below);
	close(fd);
	take(&snapshot, scratch.fd, "source", "store");
	fd = make_directory(scratch.fd, "target");
	assert_int_equal(fchown(fd, 65534, 65534), 0);
	/* the second run meets a directory that its owner may not write */
	for (int i = 0; i < 4; i++) {
		pid_t child = fork();

		if (!child)
			_exit(restore_as_nobody(&snapshot, fd, i % 2));
		assert_int_equal(waitpid(child, &child_status, 0), child);
		assert_int_equal(child_status, 0);
		assert_int_equal(fstatat(fd, "read-only/f", &status, 0), 0);
	}
	assert_int_equal(fstatat(fd, "foreign", &status, 0), 0);
	assert_int_equal(status.st_uid, 65534);
	/* root's setuid bit on a file that is not root's would hand out the wrong power */
	assert_int_equal(status.st_mode & 07777, 0755);
	close(fd);
	snapshot_release(&snapshot);
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_trees),
		cmocka_unit_test(test_cancelled_then_converges),
		cmocka_unit_test(test_never_writes_through_a_link),
		cmocka_unit_test(test_without_removing),
		cmocka_unit_test(test_without_privileges),
	};

	if (geteuid() != 0) {
		print_message("skipped: needs root (devices and owners)\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
