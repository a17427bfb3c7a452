/*
 * Members of a stranger's snapshot as files of a person: whatever they are called and in
 * whatever order they come, nothing outside of the destination is touched.
 */
#include "test_tree_support.h"

#include "snapshot/compare/extract.h"
#include "snapshot/compare/unpack.h"

struct bench {
	struct scratch scratch;
	int folder_fd;
	char *outside;
	struct unpack *unpack;
	struct extract_taker taker;
};

static void bench_begin(struct bench *bench, const char *name, bool archive)
{
	int fd;

	scratch_make(&bench->scratch, "/tmp");
	bench->folder_fd = make_directory(bench->scratch.fd, "folder");
	fd = make_directory(bench->scratch.fd, "outside");
	make_text_file(fd, "precious", "untouched");
	close(fd);
	bench->outside = describe(bench->scratch.fd, "outside");
	bench->unpack = unpack_new(bench->folder_fd, name, archive);
	bench->taker = unpack_taker(bench->unpack);
}

static void bench_end(struct bench *bench)
{
	cleanup_free char *now = NULL;

	unpack_free(bench->unpack);
	now = describe(bench->scratch.fd, "outside");
	assert_string_equal(bench->outside, now);
	free(bench->outside);
	close(bench->folder_fd);
	scratch_remove(&bench->scratch);
}

static int give(struct bench *bench, const char *path, mode_t mode, const char *text,
		struct error **err)
{
	const struct tar_entry entry = {
		.path = path,
		.mode = mode,
		.uid = 7,
		.gid = 8,
		.size = S_ISREG(mode) && text ? strlen(text) : 0,
		.mtime = {.tv_sec = 981173106, .tv_nsec = 5},
		.link = S_ISLNK(mode) ? text : NULL,
	};

	if (bench->taker.entry(bench->taker.context, &entry, err) < 0)
		return -1;
	return entry.size ? bench->taker.data(bench->taker.context, text, entry.size, err) : 0;
}

static int give_name(struct bench *bench, const char *path, const char *first, struct error **err)
{
	const struct tar_entry entry = {.path = path, .mode = S_IFREG | 0644, .hardlink = first};

	return bench->taker.entry(bench->taker.context, &entry, err);
}

static void assert_content(struct bench *bench, const char *path, const char *expected)
{
	char text[256] = "";
	int fd = openat(bench->folder_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	close(fd);
	assert_string_equal(text, expected);
}

static struct stat status_of(struct bench *bench, const char *path)
{
	struct stat status;

	assert_int_equal(fstatat(bench->folder_fd, path, &status, AT_SYMLINK_NOFOLLOW), 0);
	return status;
}

static void test_a_folder(void **state)
{
	struct error *error = NULL;
	struct bench bench;
	struct stat status;

	(void)state;
	bench_begin(&bench, "top", false);
	must(give(&bench, "", S_IFDIR | 0500, NULL, &error), &error);
	must(give(&bench, "program", S_IFREG | 04755, "text", &error), &error);
	must(give(&bench, "link", S_IFLNK | 0777, "../../outside/precious", &error), &error);
	must(give(&bench, "pipe", S_IFIFO | 0600, NULL, &error), &error);
	must(give_name(&bench, "second", "program", &error), &error);
	/* a folder that was not told of: a volume below another's path */
	must(give(&bench, "a/b/c", S_IFREG | 0600, "deep", &error), &error);
	must(unpack_finish(bench.unpack, &error), &error);
	assert_content(&bench, "top/program", "text");
	assert_content(&bench, "top/a/b/c", "deep");
	status = status_of(&bench, "top/program");
	/* who copies owns it, so it must not run with his rights */
	assert_int_equal(status.st_mode, S_IFREG | 0755);
	assert_int_equal(status.st_uid, geteuid());
	assert_int_equal(status.st_nlink, 2);
	assert_int_equal(status.st_mtim.tv_nsec, 5);
	status = status_of(&bench, "top");
	assert_int_equal(status.st_mode, S_IFDIR | 0500);
	assert_int_equal(status.st_mtim.tv_sec, 981173106);
	bench_end(&bench);
}

static void test_archive_keeps_everything(void **state)
{
	static const struct tar_attribute attribute = {"user.note", "kept", 4};
	const struct tar_entry entry = {.path = "",
					.mode = S_IFREG | 04755,
					.uid = 7,
					.gid = 8,
					.attributes = &attribute,
					.attribute_count = 1};
	struct error *error = NULL;
	struct bench bench;
	struct stat status;
	char value[8], path[96];

	(void)state;
	bench_begin(&bench, "file", true);
	must(bench.taker.entry(bench.taker.context, &entry, &error), &error);
	must(unpack_finish(bench.unpack, &error), &error);
	status = status_of(&bench, "file");
	assert_int_equal(status.st_mode, S_IFREG | 04755);
	assert_int_equal(status.st_uid, 7);
	snprintf(path, sizeof(path), "%s/folder/file", bench.scratch.path);
	assert_int_equal(getxattr(path, "user.note", value, sizeof(value)), 4);
	bench_end(&bench);
}

/* Through a link that came before, or that a person has there. */
static void test_links_are_never_followed(void **state)
{
	struct error *error = NULL;
	struct bench bench;

	(void)state;
	bench_begin(&bench, NULL, false);
	must(give(&bench, "", S_IFDIR | 0755, NULL, &error), &error);
	must(give(&bench, "way-out", S_IFLNK | 0777, "../outside", &error), &error);
	must_fail(give(&bench, "way-out/new", S_IFREG | 0644, "evil", &error), &error,
		  ERROR_FAILED);
	must_fail(give(&bench, "way-out/deep/new", S_IFREG | 0644, "evil", &error), &error,
		  ERROR_FAILED);
	must_fail(give_name(&bench, "stolen", "way-out/precious", &error), &error, ERROR_FAILED);
	must_fail(give(&bench, "way-out", S_IFDIR | 0755, NULL, &error), &error, ERROR_FAILED);
	assert_int_equal(symlinkat("../outside/precious", bench.folder_fd, "theirs"), 0);
	must(give(&bench, "theirs", S_IFREG | 0644, "mine", &error), &error);
	must(unpack_finish(bench.unpack, &error), &error);
	assert_content(&bench, "theirs", "mine");
	bench_end(&bench);
}

/* A hard link to a link is a link, not what it points to. */
static void test_name_of_a_link(void **state)
{
	struct error *error = NULL;
	struct bench bench;

	(void)state;
	bench_begin(&bench, NULL, false);
	must(give(&bench, "link", S_IFLNK | 0777, "../outside/precious", &error), &error);
	must(give_name(&bench, "name", "link", &error), &error);
	assert_true(S_ISLNK(status_of(&bench, "name").st_mode));
	bench_end(&bench);
}

static void test_what_is_there_stays_until_the_new_is_whole(void **state)
{
	struct error *error = NULL;
	const struct tar_entry entry = {.path = "", .mode = S_IFREG | 0644, .size = 10};
	struct bench bench;
	DIR *directory;
	unsigned count = 0;

	(void)state;
	bench_begin(&bench, "file", false);
	make_text_file(bench.folder_fd, "file", "before");
	must(bench.taker.entry(bench.taker.context, &entry, &error), &error);
	must(bench.taker.data(bench.taker.context, "half", 4, &error), &error);
	assert_content(&bench, "file", "before");
	unpack_free(bench.unpack);
	bench.unpack = NULL;
	assert_content(&bench, "file", "before");
	directory = fdopendir(dup(bench.folder_fd));
	while (readdir(directory))
		count++;
	closedir(directory);
	assert_int_equal(count, 3); /* with . and .. */
	bench_end(&bench);
}

static void test_folders_are_not_replaced(void **state)
{
	struct error *error = NULL;
	struct bench bench;

	(void)state;
	bench_begin(&bench, NULL, false);
	close(make_directory(bench.folder_fd, "theirs"));
	must(give(&bench, "theirs", S_IFREG | 0644, "x", &error), &error);
	must_fail(unpack_finish(bench.unpack, &error), &error, ERROR_FAILED);
	must_fail(give(&bench, "theirs", S_IFLNK | 0777, "x", &error), &error, ERROR_FAILED);
	bench_end(&bench);
}

static void test_holes(void **state)
{
	struct error *error = NULL;
	const struct tar_entry entry = {.path = "", .mode = S_IFREG | 0644, .size = 9 << 20};
	struct bench bench;
	struct stat status;

	(void)state;
	bench_begin(&bench, "file", false);
	must(bench.taker.entry(bench.taker.context, &entry, &error), &error);
	must(bench.taker.hole(bench.taker.context, 4 << 20, &error), &error);
	must(bench.taker.data(bench.taker.context, "x", 1, &error), &error);
	must(bench.taker.hole(bench.taker.context, (5 << 20) - 1, &error), &error);
	must(unpack_finish(bench.unpack, &error), &error);
	status = status_of(&bench, "file");
	assert_int_equal(status.st_size, 9 << 20);
	assert_true(status.st_blocks * 512 < 1 << 20);
	bench_end(&bench);
}

static void test_words(void **state)
{
	static const char *const bad[] = {"",	   "demo",	  "demo:before",
					  ":/etc", "/etc/passwd", "demo:etc"};
	struct extract_source source;
	struct error *error = NULL;

	(void)state;
	must(extract_parse("demo:before:/etc/a:/b", &source, &error), &error);
	assert_string_equal(source.reference, "demo:before");
	assert_string_equal(source.path, "/etc/a:/b");
	extract_source_release(&source);
	must(extract_parse("host:5000/a/b:t:/", &source, &error), &error);
	assert_string_equal(source.reference, "host:5000/a/b:t");
	assert_string_equal(source.path, "/");
	extract_source_release(&source);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		must_fail(extract_parse(bad[i], &source, &error), &error, ERROR_USAGE);
		extract_source_release(&source);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_folder),
		cmocka_unit_test(test_archive_keeps_everything),
		cmocka_unit_test(test_links_are_never_followed),
		cmocka_unit_test(test_name_of_a_link),
		cmocka_unit_test(test_what_is_there_stays_until_the_new_is_whole),
		cmocka_unit_test(test_folders_are_not_replaced),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
