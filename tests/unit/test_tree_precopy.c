/*
 * Captures that lean on an earlier one: what has not changed is not opened, what has
 * changed is read however well it hides, and what a pre-copy recorded is believed only
 * where it may be. Compared by a walk of the test's own.
 */
#include "test_tree_bench.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "base/failpoint.h"

/* ---- with a snapshot's catalog ---------------------------------------------------------------- */

/* One byte, with the times put back as they were: only ctime tells. */
static void change_and_hide(struct bench *bench, const char *name, off_t at)
{
	struct stat before;
	uint8_t byte;
	int fd = openat(bench->fd, name, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &before), 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x55;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	assert_int_equal(futimens(fd, (struct timespec[2]){before.st_atim, before.st_mtim}), 0);
	close(fd);
}

static void test_unchanged_files_are_not_read(void **state)
{
	struct bench *bench = *state;
	struct snapshot *first, *second;
	struct capture_pass pass;

	make_noise(bench, "a", 700000);
	make_noise(bench, "b", 5000);
	make_noise(bench, "empty", 0);
	assert_int_equal(
		fsetxattr(openat(bench->fd, "b", O_RDONLY | O_CLOEXEC), "user.x", "y", 1, 0), 0);
	assert_int_equal(linkat(bench->fd, "a", bench->fd, "z", 0), 0);
	cool_down();
	first = take_over(bench, "store", NULL, &pass);
	assert_int_equal(pass.read_bytes, 705000);
	assert_int_equal(pass.reused_bytes, 0);
	second = take_over(bench, "store", first, &pass);
	if (bench->is_trusted) {
		assert_int_equal(pass.read_bytes, 0);
		assert_int_equal(pass.reused_bytes, 705000);
	} else {
		assert_int_equal(pass.read_bytes, 705000);
	}
	assert_true(hash_equal(&first->manifest.trees->hash, &second->manifest.trees->hash));
	assert_restores(bench, second);
}

/* After a crash of the machine a file may hold newer data than its times say. */
static void test_another_run_of_the_machine_proves_nothing(void **state)
{
	struct bench *bench = *state;
	struct snapshot *first, *second;
	struct capture_pass pass;

	make_noise(bench, "a", 700000);
	cool_down();
	first = take_over(bench, "store", NULL, &pass);
	assert_true(manifest_is_of_this_run(&first->manifest));
	json_set_string(first->manifest.extra, "run", "00000000-0000-4000-8000-000000000000");
	assert_false(manifest_is_of_this_run(&first->manifest));
	second = take_over(bench, "store", first, &pass);
	assert_int_equal(pass.read_bytes, 700000);
	assert_int_equal(pass.reused_bytes, 0);
	assert_true(hash_equal(&first->manifest.trees->hash, &second->manifest.trees->hash));
	assert_restores(bench, second);
}

/* Everything that can be done to a file between two snapshots. */
static void make_originals(struct bench *bench)
{
	static const char *const names[] = {
		"hidden", "over",      "grown",	 "cut",	  "to-directory", "to-link", "gone",
		"mode",	  "attribute", "linked", "first", "moved",	  "stays"};
	char text[32];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		make_noise(bench, names[i], 100000 + i);
	assert_int_equal(linkat(bench->fd, "first", bench->fd, "second", 0), 0);
	for (int i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "many-%d", i);
		make_noise(bench, text, (size_t)i * 7);
	}
}

static void change_everything(struct bench *bench)
{
	struct stat before, after;
	int fd = bench->fd;

	change_and_hide(bench, "hidden", 77777);
	/* the same size and time, another inode */
	assert_int_equal(fstatat(fd, "over", &before, 0), 0);
	make_noise(bench, "over.new", (size_t)before.st_size);
	assert_int_equal(
		utimensat(fd, "over.new", (struct timespec[2]){before.st_atim, before.st_mtim}, 0),
		0);
	assert_int_equal(renameat(fd, "over.new", fd, "over"), 0);
	assert_int_equal(fstatat(fd, "over", &after, 0), 0);
	assert_int_equal(before.st_size, after.st_size);
	assert_int_equal(ftruncate(openat(fd, "grown", O_RDWR | O_CLOEXEC), 300000), 0);
	assert_int_equal(ftruncate(openat(fd, "cut", O_RDWR | O_CLOEXEC), 3), 0);
	assert_int_equal(unlinkat(fd, "to-directory", 0), 0);
	close(make_directory(fd, "to-directory"));
	assert_int_equal(symlinkat("stays", fd, "to-link.new"), 0);
	assert_int_equal(renameat(fd, "to-link.new", fd, "to-link"), 0);
	assert_int_equal(unlinkat(fd, "gone", 0), 0);
	assert_int_equal(fchmodat(fd, "mode", 0640, 0), 0);
	assert_int_equal(
		fsetxattr(openat(fd, "attribute", O_RDONLY | O_CLOEXEC), "user.n", "1", 1, 0), 0);
	assert_int_equal(linkat(fd, "linked", fd, "also-linked", 0), 0);
	assert_int_equal(unlinkat(fd, "first", 0), 0);
	assert_int_equal(renameat(fd, "moved", fd, "moved-away"), 0);
}

static void test_every_change_is_seen(void **state)
{
	struct bench *bench = *state;
	struct snapshot *first, *second, *third;
	struct capture_pass pass;

	make_originals(bench);
	cool_down();
	first = take_over(bench, "store", NULL, &pass);
	change_everything(bench);
	cool_down();
	second = take_over(bench, "store", first, &pass);
	assert_restores(bench, second);
	if (bench->is_trusted)
		assert_true(pass.reused_bytes >= 100000);
	third = take_over(bench, "store", second, &pass);
	if (bench->is_trusted)
		assert_int_equal(pass.read_bytes, 0);
	assert_restores(bench, third);
}

/* What was written a moment before it was read may be written again without a trace. */
static void test_hot_files_are_read_again(void **state)
{
	struct bench *bench = *state;
	struct capture_pass pass;

	make_noise(bench, "old", 1000);
	cool_down();
	make_noise(bench, "hot", 2000);
	take_over(bench, "store", take_over(bench, "store", NULL, NULL), &pass);
	assert_int_equal(pass.read_bytes, bench->is_trusted ? 2000 : 3000);
}

/* A write past the page cache may still be under way, long after the times that it set. */
static void test_direct_io_is_trusted_later(void **state)
{
	struct bench *bench = *state;
	struct snapshot *first, *second, *third;
	struct tree_source source = bench_source(bench);
	struct capture_pass pass;

	source.has_direct_io = true;
	make_noise(bench, "a", 3000);
	cool_down();
	first = bench_snapshot(bench);
	snapshot_take_over(first, bench->scratch.fd, "store", source, NULL, &pass);
	second = bench_snapshot(bench);
	snapshot_take_over(second, bench->scratch.fd, "store", source, first, &pass);
	assert_int_equal(pass.read_bytes, 3000);
	sleep(2);
	third = bench_snapshot(bench);
	snapshot_take_over(third, bench->scratch.fd, "store", source, second, &pass);
	assert_int_equal(pass.read_bytes, 3000);
	snapshot_take_over(bench_snapshot(bench), bench->scratch.fd, "store", source, third, &pass);
	assert_int_equal(pass.read_bytes, bench->is_trusted ? 0 : 3000);
}

static int memory_setup(void **state)
{
	*state = bench_new("/dev/shm");
	return 0;
}

static void test_tmpfs_is_never_trusted(void **state)
{
	struct bench *bench = *state;
	struct snapshot *first, *second;
	struct capture_pass pass;

	if (!bench->is_trusted) {
		make_noise(bench, "a", 3000);
		cool_down();
		first = take_over(bench, "store", NULL, &pass);
		assert_false(pass.is_trusted);
		second = take_over(bench, "store", first, &pass);
		assert_int_equal(pass.read_bytes, 3000);
		assert_restores(bench, second);
	}
}

/* Another snapshot's catalog alone in a store of its own. */
static void copy_catalog(struct bench *bench, const struct snapshot *from, struct snapshot *to)
{
	CLEANUP(cleanup_catalog_close) struct catalog_reader *reader = NULL;
	struct error *error = NULL;
	struct catalog_entry entry;
	struct capture *capture;

	snapshot_begin(to, bench->scratch.fd, "foreign");
	capture = snapshot_capture(to, NULL);
	reader = catalog_open(from->store, &from->manifest.trees->root, &error);
	assert_non_null(reader);
	must(capture_catalog_begin(capture, &error), &error);
	while (catalog_next(reader, &entry, &error) > 0)
		must(capture_catalog_add(capture, &entry, &error), &error);
	must(capture_catalog_end(capture, to->manifest.trees, NULL, &error), &error);
	snapshot_end(to, capture, NULL, NULL);
}

/* A catalog that names chunks that its store does not have, and one that is damaged. */
static void test_bad_earlier_catalogs_cost_only_time(void **state)
{
	struct bench *bench = *state;
	struct snapshot *first, *foreign = bench_snapshot(bench);
	struct capture_pass pass;
	struct hash *id;

	make_noise(bench, "a", 500000);
	make_noise(bench, "b", 500000);
	cool_down();
	first = take_over(bench, "store", NULL, &pass);
	copy_catalog(bench, first, foreign);
	assert_restores(bench, take_over(bench, "foreign", foreign, &pass));
	assert_int_equal(pass.read_bytes, 1000000);
	/* a root that leads nowhere */
	id = &first->manifest.trees->root.refs->id;
	id->bytes[3] ^= 1;
	assert_null(snapshot_files(first, NULL));
	id->bytes[3] ^= 1;
}

/* ---- with a pre-copy -------------------------------------------------------------------------- */

/* A capture whose pre-copy is done, and whose final pass is still to come. */
struct session {
	struct snapshot snapshot;
	struct capture *capture;
	struct draft *draft;
};

static void session_begin(struct session *session, struct bench *bench)
{
	session->draft = NULL;
	snapshot_begin(&session->snapshot, bench->scratch.fd, "precopy-store");
	session->capture = snapshot_capture(&session->snapshot, NULL);
}

static void session_precopy(struct session *session, struct bench *bench, bool defer,
			    struct capture_pass *pass)
{
	session->draft = snapshot_precopy(&session->snapshot, session->capture, bench_source(bench),
					  NULL, session->draft, defer, pass);
}

static void session_finish(struct session *session, struct bench *bench, struct capture_pass *pass)
{
	snapshot_capture_tree(&session->snapshot, session->capture, bench_source(bench), NULL,
			      session->draft, pass);
	snapshot_end(&session->snapshot, session->capture, NULL, NULL);
}

/*
 * Whether what was captured is what is there now, but for the extents: a hole of one block
 * may have been read as zeros, with or without a pre-copy.
 */
static bool session_is_right(struct session *session, struct bench *bench)
{
	cleanup_free char *expected = NULL, *actual = NULL;

	snapshot_restore(&session->snapshot, bench->scratch.fd);
	expected = describe_without_extents(bench->scratch.fd, "source");
	actual = describe_without_extents(bench->scratch.fd, "target");
	return strcmp(expected, actual) == 0;
}

static void session_end(struct session *session)
{
	snapshot_release(&session->snapshot);
}

#define MAPPED_SIZE (1U << 20)

/*
 * A page that is dirty already when it is pre-copied, and stored to again after that: the
 * second store finds it writable and changes no time, unless it was written back.
 */
static bool mapped_store_is_captured(struct bench *bench)
{
	struct session session;
	struct capture_pass pass;
	uint8_t *memory;
	bool is_right;
	int fd;

	make_noise(bench, "mapped", MAPPED_SIZE);
	make_noise(bench, "other", 100000);
	fd = openat(bench->fd, "mapped", O_RDWR | O_CLOEXEC);
	assert_int_equal(fsync(fd), 0);
	memory = mmap(NULL, MAPPED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(memory != MAP_FAILED);
	memset(memory + 4096, 'a', 4096);
	cool_down();
	session_begin(&session, bench);
	session_precopy(&session, bench, false, &pass);
	memset(memory + 4096, 'b', 4096);
	session_finish(&session, bench, &pass);
	is_right = session_is_right(&session, bench);
	session_end(&session);
	munmap(memory, MAPPED_SIZE);
	close(fd);
	return is_right;
}

static void test_stores_through_a_mapping(void **state)
{
	struct bench *bench = *state;

	for (int i = 0; i < 5; i++)
		assert_true(mapped_store_is_captured(bench));
}

/* The same with the write-back left out must fail: else the test above proves nothing. */
static void test_stores_through_a_mapping_need_the_write_back(void **state)
{
	struct bench *bench = *state;
	bool is_right = true;

	if (bench->is_trusted) {
		failpoint_set("tree/write-back=error");
		/* somebody else's sync, of the same disk, may do by chance what was left out */
		for (int i = 0; i < 250 && is_right; i++)
			is_right = mapped_store_is_captured(bench);
		failpoint_set(NULL);
		assert_false(is_right);
	}
}

/* What is read under the freeze may be dirty and mapped: the next capture reads it again. */
static void test_what_was_read_frozen_is_hot(void **state)
{
	struct bench *bench = *state;
	struct session session;
	struct capture_pass pass;

	make_noise(bench, "stays", 50000);
	make_noise(bench, "changes", 60000);
	cool_down();
	session_begin(&session, bench);
	session_precopy(&session, bench, true, &pass);
	assert_int_equal(pass.read_bytes, 110000);
	change_and_hide(bench, "changes", 5);
	cool_down();
	session_finish(&session, bench, &pass);
	assert_int_equal(pass.read_bytes, bench->is_trusted ? 60000 : 110000);
	assert_true(session_is_right(&session, bench));
	take_over(bench, "precopy-store", &session.snapshot, &pass);
	assert_int_equal(pass.read_bytes, bench->is_trusted ? 60000 : 110000);
	session_end(&session);
}

static void test_hot_files_are_deferred(void **state)
{
	struct bench *bench = *state;
	struct session session;
	struct capture_pass pass;

	make_noise(bench, "cold", 50000);
	cool_down();
	make_noise(bench, "hot", 60000);
	session_begin(&session, bench);
	session_precopy(&session, bench, true, &pass);
	assert_int_equal(pass.read_bytes, bench->is_trusted ? 50000 : 110000);
	assert_int_equal(pass.deferred_bytes, bench->is_trusted ? 60000 : 0);
	cool_down();
	session_precopy(&session, bench, false, &pass);
	assert_int_equal(pass.read_bytes, bench->is_trusted ? 60000 : 110000);
	session_finish(&session, bench, &pass);
	assert_int_equal(pass.read_bytes, bench->is_trusted ? 0 : 110000);
	assert_true(session_is_right(&session, bench));
	session_end(&session);
}

/* Rewrites of the same size, as fast as they come, up to the moment of the pre-copy. */
static void rewrite_in_one_tick(struct bench *bench, int round)
{
	struct session session;
	struct capture_pass pass;

	make_noise(bench, "a", 4096);
	make_noise(bench, "b", 4096);
	if (round % 2)
		cool_down();
	session_begin(&session, bench);
	make_noise(bench, "a", 4096);
	session_precopy(&session, bench, false, &pass);
	make_noise(bench, "a", 4096);
	change_and_hide(bench, "b", round);
	session_finish(&session, bench, &pass);
	assert_true(session_is_right(&session, bench));
	session_end(&session);
}

static void test_same_tick_rewrites(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		struct bench *bench = bench_new("/var/tmp");

		rewrite_in_one_tick(bench, round);
		bench_free(bench);
	}
}

/* ---- a random writer -------------------------------------------------------------------------- */

static void random_change(struct bench *bench, char (*names)[16], size_t count, uint8_t *memory)
{
	uint64_t *random = &bench->random;
	const char *a = names[next_random(random) % count], *b = names[next_random(random) % count];
	struct timespec times[2] = {{1000000000, 0}, {1000000000, 0}};
	uint8_t byte = (uint8_t)next_random(random);
	int fd, unused;

	switch (next_random(random) % 14) {
	case 0:
	case 1:
	case 2:
		memory[next_random(random) % MAPPED_SIZE] = byte;
		return;
	case 3:
	case 4:
		fd = openat(bench->fd, a, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
		unused = (int)pwrite(fd, &byte, 1, (off_t)(next_random(random) % 60000));
		break;
	case 5:
		fd = openat(bench->fd, a, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
		unused = (int)pwrite(fd, names, count * 16, (off_t)(next_random(random) % 200000));
		break;
	case 6:
		fd = openat(bench->fd, a, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
		unused = ftruncate(fd, (off_t)(next_random(random) % 300000));
		break;
	case 7:
		fd = -1;
		unused = renameat(bench->fd, a, bench->fd, b);
		break;
	case 8:
		fd = -1;
		unused = linkat(bench->fd, a, bench->fd, b, 0);
		break;
	case 9:
		fd = -1;
		unused = unlinkat(bench->fd, a, next_random(random) % 2 ? AT_REMOVEDIR : 0);
		break;
	case 10:
		fd = -1;
		unused = mkdirat(bench->fd, a, 0755);
		break;
	case 11:
		fd = -1;
		unused = symlinkat(b, bench->fd, a);
		break;
	case 12:
		fd = openat(bench->fd, a, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		unused = next_random(random) % 2 ? fsetxattr(fd, "user.r", &byte, 1, 0)
						 : fchmod(fd, 0600 | (byte & 077));
		break;
	default:
		fd = -1;
		unused = utimensat(bench->fd, a, times, AT_SYMLINK_NOFOLLOW);
	}
	(void)unused;
	if (fd >= 0)
		close(fd);
}

/* Never returns. */
static void write_for_ever(struct bench *bench, unsigned pause_us)
{
	static char names[40][16];
	int fd = openat(bench->fd, "mapped", O_RDWR | O_CLOEXEC);
	uint8_t *memory = mmap(NULL, MAPPED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	for (size_t i = 0; i < 40; i++)
		snprintf(names[i], sizeof(names[i]), "n%zu", i);
	if (memory == MAP_FAILED)
		_exit(1);
	for (;;) {
		random_change(bench, names, 40, memory);
		if (pause_us)
			usleep(pause_us);
	}
}

static void stop_and_wait(pid_t child)
{
	int status;

	assert_int_equal(kill(child, SIGSTOP), 0);
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_true(WIFSTOPPED(status));
}

static void test_random_writer(void **state)
{
	struct bench *bench = *state;
	int status;

	make_noise(bench, "mapped", MAPPED_SIZE);
	for (int i = 0; i < 40; i += 2) {
		char name[16];

		snprintf(name, sizeof(name), "n%d", i);
		make_noise(bench, name, (size_t)i * 5000);
	}
	for (uint64_t round = 0; round < 50; round++) {
		struct session session;
		struct capture_pass pass;
		/* from every microsecond to so seldom that most files have cooled down */
		static const unsigned pauses[] = {0, 100, 2000, 20000, 60000};
		pid_t child = fork();

		assert_true(child >= 0);
		if (!child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			bench->random += round * 7919;
			write_for_ever(bench, pauses[round % 5]);
		}
		usleep(20000);
		session_begin(&session, bench);
		session_precopy(&session, bench, round % 2, &pass);
		if (round % 3)
			session_precopy(&session, bench, false, &pass);
		usleep((useconds_t)(round % 4) * 20000);
		stop_and_wait(child);
		session_finish(&session, bench, &pass);
		print_message("round %d: %llu bytes under the freeze\n", (int)round,
			      (unsigned long long)pass.read_bytes);
		if (!session_is_right(&session, bench))
			assert_same_tree(bench->scratch.fd, "source", "target");
		session_end(&session);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
	}
}

/* ---- the draft's file ------------------------------------------------------------------------- */

static void test_draft_has_no_name(void **state)
{
	struct scratch scratch;
	struct error *error = NULL;
	struct draft *draft;
	struct draft_reader *reader;
	struct content contents[2] = {{.kind = CONTENT_CHUNK, .length = 5, .chunk = {.size = 5}},
				      {.kind = CONTENT_HOLE, .length = 7}};
	struct catalog_entry entry = {
		.mode = S_IFREG | 0644, .size = 12, .contents = contents, .content_count = 2};
	char path[32];
	bool is_reused;

	(void)state;
	scratch_make(&scratch, "/var/tmp");
	draft = draft_new(scratch.fd, &error);
	assert_non_null(draft);
	for (int i = 0; i < 20000; i++) {
		snprintf(path, sizeof(path), "f%06d", i);
		entry.path = path;
		must(draft_add(draft, &entry, i % 3 == 0, &error), &error);
	}
	must(draft_end(draft, &error), &error);
	/* rmdir says whether anything is there */
	assert_int_equal(rmdir(scratch.path), 0);
	for (int again = 0; again < 2; again++) {
		reader = draft_read(draft, NULL);
		for (int i = 0; i < 20000; i++) {
			assert_int_equal(draft_next(reader, &entry, &is_reused, &error), 1);
			snprintf(path, sizeof(path), "f%06d", i);
			assert_string_equal(entry.path, path);
			assert_int_equal(is_reused, i % 3 == 0);
			assert_int_equal(entry.content_count, 2);
			assert_int_equal(entry.contents[1].length, 7);
		}
		assert_int_equal(draft_next(reader, &entry, &is_reused, &error), 0);
		draft_reader_free(reader);
	}
	draft_free(draft);
	close(scratch.fd);
}

static void test_times_that_prove_nothing(void **state)
{
	const struct timespec now = {.tv_sec = 1000, .tv_nsec = 50000000};
	struct file_status status = {.mtime = {500, 0}, .ctime = {500, 0}};

	(void)state;
	assert_false(is_hot(&status, &now));
	status.ctime = (struct timespec){1000, 0};
	assert_true(is_hot(&status, &now));
	status.ctime = (struct timespec){999, 960000000};
	assert_true(is_hot(&status, &now));
	status.ctime = (struct timespec){999, 900000000};
	assert_false(is_hot(&status, &now));
	/* the clock was set back: that time may come by again */
	status.ctime = (struct timespec){5000, 0};
	assert_true(is_hot(&status, &now));
	/* somebody set mtime to the future, long ago */
	status.ctime = (struct timespec){500, 0};
	status.mtime = (struct timespec){5000, 0};
	assert_false(is_hot(&status, &now));
	status.mtime = (struct timespec){1000, 60000000};
	assert_true(is_hot(&status, &now));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times_that_prove_nothing),
		cmocka_unit_test(test_draft_has_no_name),
		bench_test(test_unchanged_files_are_not_read),
		bench_test(test_another_run_of_the_machine_proves_nothing),
		bench_test(test_every_change_is_seen),
		bench_test(test_hot_files_are_read_again),
		bench_test(test_direct_io_is_trusted_later),
		cmocka_unit_test_setup_teardown(test_tmpfs_is_never_trusted, memory_setup,
						bench_teardown),
		bench_test(test_bad_earlier_catalogs_cost_only_time),
		bench_test(test_stores_through_a_mapping),
		bench_test(test_stores_through_a_mapping_need_the_write_back),
		bench_test(test_what_was_read_frozen_is_hot),
		bench_test(test_hot_files_are_deferred),
		cmocka_unit_test(test_same_tick_rewrites),
		bench_test(test_random_writer),
	};

	if (geteuid() != 0) {
		print_message("skipped: needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
