/*
 * What is left out, refused or out of reach: exclusions, sockets, mounts, overlay
 * storage, marks, deep and long paths, access times, sizes.
 */
#include "test_tree_support.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tree/beneath.h"
#include "tree/mark.h"
#include "tree/write_back.h"

static void make_socket(int parent, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", parent, name);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static void test_left_out_and_never_touched(void **state)
{
	struct scratch scratch;
	struct snapshot snapshot;
	struct string_list excluded;
	struct tree_source source = {.excluded = &excluded};
	struct tree_record *tree;
	struct error *error = NULL;
	int fd, below;

	(void)state;
	scratch_make(&scratch, "/tmp");
	string_list_init(&excluded);
	string_list_add(&excluded, "cache");
	string_list_add(&excluded, "a/*.tmp");
	string_list_add(&excluded, "not/there/yet");
	source.root_fd = fd = make_directory(scratch.fd, "source");
	make_text_file(fd, "kept", "kept");
	below = make_directory(fd, "cache");
	make_text_file(below, "x", "x");
	close(below);
	below = make_directory(fd, "a");
	make_text_file(below, "x.tmp", "x");
	make_text_file(below, "x.txt", "x");
	make_socket(below, "sock");
	close(below);
	make_text_file(fd, MARK_FILE, "mark");
	assert_int_equal(fsetxattr(fd, MARK_ATTRIBUTE, "mark", 4, 0), 0);
	must(snapshot_take(&snapshot, scratch.fd, "store", &source, &error), &error);
	close(fd);
	tree = snapshot.manifest.trees;
	assert_int_equal(tree->entries, 4); /* root, a, a/x.txt, kept */
	assert_int_equal(tree->skipped.count, 1);
	assert_string_equal(tree->skipped.items[0], "a/sock");
	assert_true(string_list_has(&tree->excluded, "cache"));
	assert_true(string_list_has(&tree->excluded, "a/x.tmp"));
	assert_true(string_list_has(&tree->excluded, "not/there/yet"));
	/* a target where all of that is, and more */
	fd = make_directory(scratch.fd, "target");
	make_text_file(fd, MARK_FILE, "mark");
	assert_int_equal(fsetxattr(fd, MARK_ATTRIBUTE, "other", 5, 0), 0);
	assert_int_equal(fsetxattr(fd, "user.else", "x", 1, 0), 0);
	below = make_directory(fd, "cache");
	make_text_file(below, "precious", "x");
	close(below);
	below = make_directory(fd, "not");
	close(make_directory(below, "gone"));
	below = make_directory(below, "there");
	make_text_file(below, "yet", "precious");
	make_text_file(below, "goes", "x");
	close(below);
	below = make_directory(fd, "a");
	make_text_file(below, "sock", "precious");
	make_text_file(below, "x.tmp", "precious");
	make_text_file(below, "goes", "x");
	close(below);
	close(make_directory(fd, "lost+found"));
	must(tree_restore(fd, snapshot.store, tree, &replace_all, NULL, &error), &error);
	assert_int_equal(faccessat(fd, "cache/precious", F_OK, 0), 0);
	assert_int_equal(faccessat(fd, "not/there/yet", F_OK, 0), 0);
	assert_int_equal(faccessat(fd, "a/sock", F_OK, 0), 0);
	assert_int_equal(faccessat(fd, "a/x.tmp", F_OK, 0), 0);
	assert_int_equal(faccessat(fd, "lost+found", F_OK, 0), 0);
	assert_int_equal(faccessat(fd, MARK_FILE, F_OK, 0), 0);
	assert_int_equal(faccessat(fd, "not/there/goes", F_OK, 0), -1);
	assert_int_equal(faccessat(fd, "not/gone", F_OK, 0), -1);
	assert_int_equal(faccessat(fd, "a/goes", F_OK, 0), -1);
	assert_int_equal(fgetxattr(fd, MARK_ATTRIBUTE, NULL, 0), 5);
	assert_int_equal(fgetxattr(fd, "user.else", NULL, 0), -1);
	close(fd);
	string_list_release(&excluded);
	snapshot_release(&snapshot);
	scratch_remove(&scratch);
}

static void test_excluded_is_in_the_way(void **state)
{
	struct scratch scratch;
	struct snapshot snapshot;
	struct string_list excluded;
	struct tree_source source = {.excluded = &excluded};
	struct error *error = NULL;
	int fd, below;

	(void)state;
	scratch_make(&scratch, "/tmp");
	string_list_init(&excluded);
	string_list_add(&excluded, "a/keep");
	source.root_fd = make_directory(scratch.fd, "source");
	make_text_file(source.root_fd, "a", "a file");
	must(snapshot_take(&snapshot, scratch.fd, "store", &source, &error), &error);
	fd = make_directory(scratch.fd, "target");
	below = make_directory(fd, "a");
	make_text_file(below, "keep", "precious");
	must_fail(tree_restore(fd, snapshot.store, snapshot.manifest.trees, &replace_all, NULL,
			       &error),
		  &error, ERROR_REFUSED);
	assert_int_equal(faccessat(below, "keep", F_OK, 0), 0);
	close(below);
	close(fd);
	close(source.root_fd);
	string_list_release(&excluded);
	snapshot_release(&snapshot);
	scratch_remove(&scratch);
}

static void test_bad_exclusions(void **state)
{
	struct scratch scratch;
	struct string_list excluded;
	struct tree_source source = {.excluded = &excluded};
	struct tree_measure measure;
	struct error *error = NULL;

	(void)state;
	scratch_make(&scratch, "/tmp");
	source.root_fd = scratch.fd;
	string_list_init(&excluded);
	string_list_add(&excluded, "/absolute");
	must_fail(tree_measure(&source, &measure, NULL, &error), &error, ERROR_USAGE);
	string_list_release(&excluded);
	scratch_remove(&scratch);
}

static void test_overlay_storage(void **state)
{
	struct scratch scratch;
	struct snapshot snapshot;
	struct tree_source source = {.allow_overlay = false};
	struct error *error = NULL;
	int fd;

	(void)state;
	scratch_make(&scratch, "/tmp");
	source.root_fd = fd = make_directory(scratch.fd, "source");
	assert_int_equal(mknodat(fd, "whiteout", S_IFCHR | 0600, makedev(0, 0)), 0);
	must_fail(snapshot_take(&snapshot, scratch.fd, "store", &source, &error), &error,
		  ERROR_REFUSED);
	snapshot_release(&snapshot);
	source.allow_overlay = true;
	must(snapshot_take(&snapshot, scratch.fd, "store2", &source, &error), &error);
	fd = make_directory(scratch.fd, "target");
	must(tree_restore(fd, snapshot.store, snapshot.manifest.trees, &replace_all, NULL, &error),
	     &error);
	assert_same_tree(scratch.fd, "source", "target");
	close(fd);
	close(source.root_fd);
	snapshot_release(&snapshot);
	scratch_remove(&scratch);
}

/* A chain of directories; returns the deepest. */
static int make_chain(int parent, const char *name, unsigned depth)
{
	int fd = dup(parent);

	for (unsigned i = 0; i < depth; i++) {
		int next = make_directory(fd, name);

		close(fd);
		fd = next;
	}
	return fd;
}

static void test_deep_and_long(void **state)
{
	struct scratch scratch;
	struct snapshot snapshot;
	struct tree_source source = {.root_fd = -1};
	struct error *error = NULL;
	char name[256];
	int fd, target;

	(void)state;
	scratch_make(&scratch, "/tmp");
	source.root_fd = make_directory(scratch.fd, "source");
	/* deeper than directories are kept open, with something on each way back */
	fd = make_chain(source.root_fd, "d", 400);
	make_text_file(fd, "deep", "x");
	close(fd);
	fd = make_chain(source.root_fd, "d", 150);
	make_text_file(fd, "e", "behind a closed directory");
	close(fd);
	make_text_file(source.root_fd, "z", "x");
	/* 15 names of 255 bytes, 15 slashes, 255 more: 4095 */
	memset(name, 'n', 255);
	name[255] = '\0';
	fd = make_chain(source.root_fd, name, 15);
	make_text_file(fd, name, "longest");
	must(snapshot_take(&snapshot, scratch.fd, "store", &source, &error), &error);
	target = make_directory(scratch.fd, "target");
	must(tree_restore(target, snapshot.store, snapshot.manifest.trees, &replace_all, NULL,
			  &error),
	     &error);
	assert_same_tree(scratch.fd, "source", "target");
	snapshot_release(&snapshot);
	/* one byte more has no record: a clear error, not a hole in the snapshot */
	assert_int_equal(unlinkat(fd, name, 0), 0);
	close(fd);
	fd = make_chain(source.root_fd, name, 16);
	make_text_file(fd, "f", "too long");
	close(fd);
	must_fail(snapshot_take(&snapshot, scratch.fd, "store2", &source, &error), &error,
		  ERROR_UNSUPPORTED);
	snapshot_release(&snapshot);
	close(source.root_fd);
	/* a restore removes what is too deep and too long all the same */
	memset(name, 'm', 255);
	fd = make_chain(target, name, 20);
	close(fd);
	fd = make_chain(target, "very-deep", 700);
	make_text_file(fd, "f", "x");
	close(fd);
	source.root_fd = make_directory(scratch.fd, "empty");
	must(snapshot_take(&snapshot, scratch.fd, "store3", &source, &error), &error);
	must(tree_restore(target, snapshot.store, snapshot.manifest.trees, &replace_all, NULL,
			  &error),
	     &error);
	assert_same_tree(scratch.fd, "empty", "target");
	close(target);
	close(source.root_fd);
	snapshot_release(&snapshot);
	scratch_remove(&scratch);
}

static void mounted(int root, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", root, name);
	assert_int_equal(mount("test", path, "tmpfs", 0, NULL), 0);
}

static void unmounted(int root, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", root, name);
	assert_int_equal(umount2(path, MNT_DETACH), 0);
}

static void test_other_mounts(void **state)
{
	struct scratch scratch;
	struct snapshot snapshot;
	struct tree_source source = {.root_fd = -1};
	struct tree_measure measure;
	struct error *error = NULL;
	int fd, below;

	(void)state;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip();
	scratch_make(&scratch, "/tmp");
	source.root_fd = fd = make_directory(scratch.fd, "source");
	make_text_file(fd, "a", "a");
	close(make_directory(fd, "mount"));
	mounted(fd, "mount");
	below = make_directory(fd, "mount");
	make_text_file(below, "foreign", "x");
	close(below);
	must(tree_measure(&source, &measure, NULL, &error), &error);
	assert_int_equal(measure.files, 1);
	assert_int_equal(measure.directories, 2);
	must(snapshot_take(&snapshot, scratch.fd, "store", &source, &error), &error);
	assert_int_equal(snapshot.manifest.trees->entries, 3);
	unmounted(fd, "mount");
	close(fd);
	/* mounts in the target: one that the catalog knows, one in an extra directory */
	fd = make_directory(scratch.fd, "target");
	close(make_directory(fd, "mount"));
	below = make_directory(fd, "extra");
	close(make_directory(below, "mount"));
	make_text_file(below, "goes", "x");
	mounted(fd, "mount");
	mounted(below, "mount");
	make_text_file(fd, "mount/foreign", "precious");
	make_text_file(below, "mount/foreign", "precious");
	must(tree_restore(fd, snapshot.store, snapshot.manifest.trees, &replace_all, NULL, &error),
	     &error);
	assert_int_equal(faccessat(fd, "mount/foreign", F_OK, 0), 0);
	assert_int_equal(faccessat(below, "mount/foreign", F_OK, 0), 0);
	assert_int_equal(faccessat(below, "goes", F_OK, 0), -1);
	unmounted(fd, "mount");
	unmounted(below, "mount");
	close(below);
	close(fd);
	snapshot_release(&snapshot);
	scratch_remove(&scratch);
}

static void test_measure(void **state)
{
	struct scratch scratch;
	struct tree_source source = {.root_fd = -1};
	struct tree_measure measure;
	struct string_list skipped;
	struct error *error = NULL;
	static const uint8_t data[10000];

	(void)state;
	scratch_make(&scratch, "/tmp");
	string_list_init(&skipped);
	source.root_fd = make_directory(scratch.fd, "source");
	make_file(source.root_fd, "a", data, sizeof(data));
	assert_int_equal(linkat(source.root_fd, "a", source.root_fd, "b", 0), 0);
	assert_int_equal(mkfifoat(source.root_fd, "p", 0600), 0);
	make_socket(source.root_fd, "s");
	must(tree_measure(&source, &measure, &skipped, &error), &error);
	assert_int_equal(measure.files, 2);
	assert_int_equal(measure.bytes, sizeof(data));
	assert_int_equal(measure.others, 1);
	assert_int_equal(measure.directories, 1);
	assert_int_equal(skipped.count, 1);
	string_list_release(&skipped);
	close(source.root_fd);
	scratch_remove(&scratch);
}

static void test_reading_leaves_no_trace(void **state)
{
	struct scratch scratch;
	struct snapshot snapshot;
	struct tree_source source = {.root_fd = -1};
	struct timespec times[2] = {{1000, 5}, {2000, 6}};
	struct error *error = NULL;
	struct stat status;

	(void)state;
	scratch_make(&scratch, "/tmp");
	source.root_fd = make_directory(scratch.fd, "source");
	make_text_file(source.root_fd, "a", "a");
	assert_int_equal(utimensat(source.root_fd, "a", times, 0), 0);
	must(snapshot_take(&snapshot, scratch.fd, "store", &source, &error), &error);
	assert_int_equal(fstatat(source.root_fd, "a", &status, 0), 0);
	assert_int_equal(status.st_atim.tv_sec, 1000);
	close(source.root_fd);
	snapshot_release(&snapshot);
	scratch_remove(&scratch);
}

/* What is unchanged costs nothing again, the catalog included. */
static void test_second_capture_is_free(void **state)
{
	static uint8_t data[3000000];
	struct scratch scratch;
	struct snapshot first;
	struct tree_source source = {.root_fd = -1};
	struct capture_options options = {.workers = 1};
	struct store_writer_totals totals;
	struct tree_record tree;
	struct pack_info *packs;
	struct capture *capture;
	struct error *error = NULL;
	uint64_t random = 99;
	size_t count;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)next_random(&random);
	scratch_make(&scratch, "/tmp");
	source.root_fd = make_directory(scratch.fd, "source");
	make_file(source.root_fd, "a", data, sizeof(data));
	cool_down(); /* else the records say that they are hot */
	must(snapshot_take(&first, scratch.fd, "store", &source, &error), &error);
	options.store_fd = make_directory(scratch.fd, "store2");
	options.known = first.store;
	capture = capture_open(&options, &error);
	assert_non_null(capture);
	tree_record_init(&tree);
	must(capture_tree(capture, &source, &tree, NULL, &error), &error);
	must(capture_finish(capture, &packs, &count, &totals, &error), &error);
	assert_int_equal(count, 0);
	assert_int_equal(totals.new_bytes, 0);
	assert_true(hash_equal(&tree.hash, &first.manifest.trees->hash));
	free(packs);
	capture_free(capture);
	tree_record_release(&tree);
	close(options.store_fd);
	close(source.root_fd);
	snapshot_release(&first);
	scratch_remove(&scratch);
}

static uint32_t flags_of(const struct snapshot *snapshot, const char *path)
{
	struct error *error = NULL;
	struct catalog_reader *reader =
		catalog_open(snapshot->store, &snapshot->manifest.trees->root, &error);
	struct catalog_entry entry;

	assert_non_null(reader);
	while (catalog_next(reader, &entry, &error) > 0) {
		if (strcmp(entry.path, path) == 0) {
			uint32_t flags = entry.flags;

			catalog_close(reader);
			return flags;
		}
	}
	fail_msg("no record of \"%s\"", path);
	return 0;
}

/*
 * A change within the clock's tick after the read would leave no trace in the times. On a busy
 * machine a file may have cooled down before it is looked at: then once more.
 */
static void test_hot(void **state)
{
	struct scratch scratch;
	struct tree_source source = {.root_fd = -1};
	struct error *error = NULL;
	bool is_told = false;

	(void)state;
	scratch_make(&scratch, "/tmp");
	source.root_fd = make_directory(scratch.fd, "source");
	make_text_file(source.root_fd, "cold", "x");
	cool_down();
	for (unsigned attempt = 0; attempt < 50 && !is_told; attempt++) {
		cleanup_free char *store = memory_printf("store%u", attempt);
		struct snapshot snapshot;
		uint64_t began = clock_monotonic_ms(), ended;

		make_text_file(source.root_fd, "hot", "x");
		must(snapshot_take(&snapshot, scratch.fd, store, &source, &error), &error);
		ended = clock_monotonic_ms();
		assert_false(flags_of(&snapshot, "cold") & ENTRY_HOT);
		is_told = flags_of(&snapshot, "hot") & ENTRY_HOT;
		assert_true(is_told || ended - began > 80);
		snapshot_release(&snapshot);
	}
	assert_true(is_told);
	close(source.root_fd);
	scratch_remove(&scratch);
}

/* In whole seconds a change leaves no trace for up to a second. */
static void test_hot_in_whole_seconds(void **state)
{
	const struct timespec looked = {1000, 900000000};
	struct file_status status = {.mtime = {1000, 0}, .ctime = {1000, 0}};

	(void)state;
	assert_true(is_hot(&status, &looked));
	status.ctime.tv_sec = status.mtime.tv_sec = 999;
	assert_false(is_hot(&status, &looked));
	status.ctime = status.mtime = (struct timespec){1000, 700000000};
	assert_false(is_hot(&status, &looked));
	status.ctime.tv_nsec = status.mtime.tv_nsec = 850000000;
	assert_true(is_hot(&status, &looked));
}

/*
 * Blocks are those of attributes too, and of what a file system has put by: how many there are
 * does not tell whether there is a hole.
 */
static void test_holes_beside_attributes(void **state)
{
	char value[400];
	struct scratch scratch;
	struct snapshot snapshot;
	struct tree_source source = {.root_fd = -1};
	struct catalog_reader *reader;
	struct catalog_entry entry;
	struct error *error = NULL;
	int fd;

	(void)state;
	memset(value, 'v', sizeof(value));
	scratch_make(&scratch, "/tmp");
	source.root_fd = make_directory(scratch.fd, "source");
	make_text_file(source.root_fd, "hole", "");
	fd = openat(source.root_fd, "hole", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, 4096), 0);
	(void)fsetxattr(fd, "user.large", value, sizeof(value), 0);
	close(fd);
	must(snapshot_take(&snapshot, scratch.fd, "store", &source, &error), &error);
	reader = catalog_open(snapshot.store, &snapshot.manifest.trees->root, &error);
	assert_non_null(reader);
	assert_int_equal(catalog_next(reader, &entry, &error), 1);
	assert_int_equal(catalog_next(reader, &entry, &error), 1);
	assert_string_equal(entry.path, "hole");
	assert_int_equal(entry.content_count, 1);
	assert_int_equal(entry.contents[0].kind, CONTENT_HOLE);
	assert_int_equal(entry.contents[0].length, 4096);
	catalog_close(reader);
	close(source.root_fd);
	snapshot_release(&snapshot);
	scratch_remove(&scratch);
}

/* The one way to open that a restore has: each of these would lead out of the tree. */
static void test_beneath(void **state)
{
	static const char *const bad[] = {"..",	      "../outside", "in/../../outside",
					  "/",	      "link",	    "link/x",
					  "absolute", "up/in",	    "in/link"};
	struct scratch scratch;
	int fd, below;

	(void)state;
	scratch_make(&scratch, "/tmp");
	below = make_directory(scratch.fd, "outside");
	close(make_directory(below, "x"));
	close(below);
	fd = make_directory(scratch.fd, "root");
	below = make_directory(fd, "in");
	assert_int_equal(symlinkat("../outside", fd, "link"), 0);
	assert_int_equal(symlinkat(scratch.path, fd, "absolute"), 0);
	assert_int_equal(symlinkat(".", fd, "up"), 0);
	assert_int_equal(symlinkat("../in", below, "link"), 0);
	close(below);
	below = beneath_open(fd, "in", O_RDONLY | O_DIRECTORY, 0);
	assert_true(below >= 0);
	close(below);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		below = beneath_open(fd, bad[i], O_RDONLY | O_DIRECTORY, 0);
		if (below >= 0)
			fail_msg("\"%s\" was opened", bad[i]);
	}
	close(fd);
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_left_out_and_never_touched),
		cmocka_unit_test(test_excluded_is_in_the_way),
		cmocka_unit_test(test_bad_exclusions),
		cmocka_unit_test(test_overlay_storage),
		cmocka_unit_test(test_deep_and_long),
		cmocka_unit_test(test_measure),
		cmocka_unit_test(test_hot),
		cmocka_unit_test(test_hot_in_whole_seconds),
		cmocka_unit_test(test_holes_beside_attributes),
		cmocka_unit_test(test_beneath),
		cmocka_unit_test(test_reading_leaves_no_trace),
		cmocka_unit_test(test_second_capture_is_free),
		cmocka_unit_test(test_other_mounts),
	};

	if (geteuid() != 0) {
		print_message("skipped: needs root (devices, owners and mounts)\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
