/*
 * Restores that change only what differs: whatever is in a volume and whatever its state
 * says, it becomes the tree. Compared by a walk of the test's own.
 */
#include "test_tree_random.h"
#include "test_tree_support.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/failpoint.h"
#include "tree/restore/restore_volume.h"
#include "tree/write_back.h"

#define SNAPSHOTS 4
#define ROUNDS 120

/*
 * Hundreds of restores would wait for the disk most of the time. What a sync is for is a
 * crash of the machine, and a mapping that stays dirty: only where that is tested it is done.
 */
static bool syncs_really;

int syncfs(int fd)
{
	return syncs_really ? (int)syscall(SYS_syncfs, fd) : 0;
}

int fsync(int fd)
{
	return syncs_really ? (int)syscall(SYS_fsync, fd) : 0;
}

/* A tree as it was captured, and as describe() shows it. */
struct captured {
	struct snapshot snapshot;
	char *expected;
};

/* A fixture: each test gets one of its own as its state. */
struct bench {
	struct scratch scratch;
	int volume_fd, states_fd;
	uint64_t random;
	bool is_trusted; /* the file system's times prove something */
	struct captured captured[SNAPSHOTS];
	size_t count;
};

static int bench_setup(void **state)
{
	struct bench *bench = memory_zalloc(sizeof(*bench));

	scratch_make(&bench->scratch, "/tmp");
	bench->volume_fd = make_directory(bench->scratch.fd, "volume");
	bench->states_fd = make_directory(bench->scratch.fd, "states");
	bench->random = 0x9e3779b97f4a7c15ULL;
	bench->is_trusted = write_back_kind(bench->volume_fd) != WRITE_BACK_NONE;
	*state = bench;
	return 0;
}

static int bench_teardown(void **state)
{
	struct bench *bench = *state;

	for (size_t i = 0; i < bench->count; i++) {
		snapshot_release(&bench->captured[i].snapshot);
		free(bench->captured[i].expected);
	}
	close(bench->volume_fd);
	close(bench->states_fd);
	scratch_remove(&bench->scratch);
	free(bench);
	return 0;
}

#define bench_test(test) cmocka_unit_test_setup_teardown(test, bench_setup, bench_teardown)

/* A directory as it is; files whose names begin with a to m count as page-structured. */
static const struct captured *take(struct bench *bench, const char *tree)
{
	struct captured *captured = &bench->captured[bench->count];
	cleanup_free char *store = memory_printf("store%zu", bench->count++);
	struct tree_source source = {.page_block = 8192};
	struct string_list pages;
	struct error *error = NULL;

	assert_true(bench->count <= SNAPSHOTS);
	string_list_init(&pages);
	string_list_add(&pages, "[a-m]*");
	source.root_fd = openat(bench->scratch.fd, tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	source.pages = &pages;
	must(snapshot_take(&captured->snapshot, bench->scratch.fd, store, &source, &error), &error);
	close(source.root_fd);
	string_list_release(&pages);
	captured->expected = describe(bench->scratch.fd, tree);
	return captured;
}

static struct volume_plan plan_of(const struct bench *bench, const struct captured *captured)
{
	const struct snapshot *snapshot = &captured->snapshot;

	return (struct volume_plan){
		.root_fd = bench->volume_fd,
		.store = snapshot->store,
		.tree = snapshot->manifest.trees,
		.options = {.workers = 2, .remove_extra = true, .delta = true},
		.restoring = {.state = MARK_RESTORING, .tree = snapshot->manifest.trees->hash},
		.restored = {.state = MARK_RESTORED, .tree = snapshot->manifest.trees->hash},
		.state_fd = bench->states_fd,
		.state_name = "v.state",
		.key = {.volume = "v", .created = "today"},
		.boot_state_fd = -1,
	};
}

static struct restore_totals put(const struct bench *bench, const struct captured *captured)
{
	struct volume_plan plan = plan_of(bench, captured);
	struct restore_totals totals;
	struct error *error = NULL;

	must(volume_restore_all(&plan, &totals, &error), &error);
	return totals;
}

/* The volume is what was captured; its mark is taken off for the comparison. */
static void assert_is(const struct bench *bench, const struct captured *captured)
{
	const struct mark none = {.state = MARK_NONE};
	struct error *error = NULL;
	cleanup_free char *actual = NULL;
	struct mark mark;

	mark_read(bench->volume_fd, &mark);
	assert_int_equal(mark.state, MARK_RESTORED);
	must(mark_write(bench->volume_fd, &none, &error), &error);
	actual = describe(bench->scratch.fd, "volume");
	assert_described("the volume", captured->expected, actual);
	must(mark_write(bench->volume_fd, &mark, &error), &error);
}

/* ---- states that are not what they should be -------------------------------------------------- */

static void spoil_state(const struct bench *bench, const char *other, uint64_t *random)
{
	struct buffer buffer;
	struct error *error = NULL;
	size_t at;

	buffer_init(&buffer, 64U << 20);
	must(io_read_file(bench->states_fd, other ? other : "v.state", &buffer, &error), &error);
	at = (size_t)next_random(random) % buffer.size;
	if (!other && next_random(random) % 2)
		buffer.size = at;
	else if (!other)
		buffer.data[at] = (char)(buffer.data[at] ^ 1 << next_random(random) % 8);
	make_file(bench->states_fd, "v.state", buffer.data, buffer.size);
	buffer_release(&buffer);
}

static void copy_state(const struct bench *bench, const char *name)
{
	struct buffer buffer;
	struct error *error = NULL;

	buffer_init(&buffer, 64U << 20);
	must(io_read_file(bench->states_fd, "v.state", &buffer, &error), &error);
	make_file(bench->states_fd, name, buffer.data, buffer.size);
	buffer_release(&buffer);
}

static void choose_state(struct bench *bench)
{
	switch (next_random(&bench->random) % 8) {
	case 0:
		unlinkat(bench->states_fd, "v.state", 0);
		break;
	case 1:
	case 2:
		spoil_state(bench, NULL, &bench->random);
		break;
	case 3:
		/* well-formed, of the same volume, but old */
		spoil_state(bench, "old.state", &bench->random);
		break;
	default:
		break;
	}
}

static void test_random_rounds(void **state)
{
	struct bench *bench = *state;
	uint64_t kept = 0;

	random_tree(bench->scratch.fd, "source", 5);
	for (uint64_t i = 0; i < SNAPSHOTS; i++) {
		take(bench, "source");
		change_tree(bench->scratch.fd, "source", i + 100);
	}
	put(bench, &bench->captured[0]);
	copy_state(bench, "old.state");
	for (uint64_t round = 0; round < ROUNDS; round++) {
		size_t i = (size_t)next_random(&bench->random) % SNAPSHOTS;

		if (next_random(&bench->random) % 3)
			change_tree(bench->scratch.fd, "volume", round + 1000);
		if (bench->is_trusted)
			choose_state(bench);
		kept += put(bench, &bench->captured[i]).kept_files;
		assert_is(bench, &bench->captured[i]);
		if (bench->is_trusted && next_random(&bench->random) % 4 == 0)
			copy_state(bench, "old.state");
	}
	assert_true(!bench->is_trusted || kept > 100);
}

/* ---- what is opened and written ---------------------------------------------------------------- */

#define PAGES 4096U /* of 4 KiB */

static void fill_pages(int fd, uint64_t seed)
{
	cleanup_free uint8_t *data = memory_alloc((size_t)PAGES * 4096);

	for (size_t i = 0; i < (size_t)PAGES * 4096; i += 8) {
		uint64_t value = next_random(&seed);

		memcpy(data + i, &value, 8);
	}
	make_file(fd, "base", data, (size_t)PAGES * 4096);
}

static void change_pages(int fd, uint64_t *random)
{
	int file = openat(fd, "base", O_WRONLY | O_CLOEXEC);

	for (unsigned i = 0; i < PAGES / 100; i++)
		assert_int_equal(
			io_pwrite_full(file, "changed", 7, next_random(random) % PAGES * 4096 + 77),
			0);
	close(file);
}

static void test_writes_what_differs(void **state)
{
	struct bench *bench = *state;
	const uint64_t most = PAGES / 100 * 4096;
	struct restore_totals totals;
	const struct captured *captured;
	int fd;

	fd = make_directory(bench->scratch.fd, "source");
	fill_pages(fd, 7);
	make_text_file(fd, "other", "unchanged");
	close(fd);
	captured = take(bench, "source");
	totals = put(bench, captured);
	assert_int_equal(totals.written_bytes, PAGES * 4096 + 9);
	/* nothing has changed: nothing is opened */
	totals = put(bench, captured);
	assert_int_equal(totals.written_bytes, 0);
	if (bench->is_trusted) {
		assert_int_equal(totals.kept_files, 2);
		assert_int_equal(totals.read_bytes, 0);
	}
	assert_is(bench, captured);
	/* one page of a hundred: these are written, of the file that has them all is read */
	change_pages(bench->volume_fd, &bench->random);
	totals = put(bench, captured);
	assert_in_range(totals.written_bytes, 1, most);
	assert_int_equal(totals.kept_files, bench->is_trusted ? 1 : 0);
	assert_is(bench, captured);
	/* the same without a state: all is read, as much is written */
	change_pages(bench->volume_fd, &bench->random);
	unlinkat(bench->states_fd, "v.state", 0);
	totals = put(bench, captured);
	assert_in_range(totals.written_bytes, 1, most);
	assert_int_equal(totals.kept_files, 0);
	assert_in_range(totals.read_bytes, PAGES * 4096, 2 * PAGES * 4096);
	assert_is(bench, captured);
}

/* What a state knows of one tree serves a restore to another: only blocks that differ are read. */
static void test_known_blocks(void **state)
{
	struct bench *bench = *state;
	const struct captured *before, *after;
	struct restore_totals totals;
	int fd;

	fd = make_directory(bench->scratch.fd, "source");
	fill_pages(fd, 9);
	before = take(bench, "source");
	change_pages(fd, &bench->random);
	close(fd);
	after = take(bench, "source");
	put(bench, before);
	totals = put(bench, after);
	assert_in_range(totals.written_bytes, 1, PAGES / 100 * 4096);
	if (bench->is_trusted)
		assert_in_range(totals.read_bytes, 1, PAGES / 100 * 8192);
	assert_is(bench, after);
}

static void kill_at(struct bench *bench, const struct volume_plan *plan, const char *name)
{
	cleanup_free char *specification = memory_printf("%s=exit", name);
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		struct error *error = NULL;

		failpoint_set(specification);
		(void)volume_restore_all(plan, NULL, &error);
		_exit(error ? 1 : 0);
	}
	(void)bench;
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 99)
		fail_msg("\"%s\" was not reached: status %d", name, status);
}

#define SEGMENT (1U << 20)

static void make_segment(int fd, const char *name, uint64_t seed)
{
	cleanup_free uint8_t *data = memory_alloc(SEGMENT);

	for (size_t i = 0; i < SEGMENT; i += 8) {
		uint64_t value = next_random(&seed);

		memcpy(data + i, &value, 8);
	}
	make_file(fd, name, data, SEGMENT);
}

static void rename_and_write(int fd, const char *from, const char *to)
{
	int file = openat(fd, from, O_WRONLY | O_CLOEXEC);

	assert_int_equal(io_pwrite_full(file, "changed", 7, 12345), 0);
	close(file);
	assert_int_equal(renameat(fd, from, fd, to), 0);
}

/* A file under another name gets its own back: of it, too, only what differs is written. */
static void renamed(struct bench *bench, bool is_captured)
{
	struct restore_totals totals;
	const struct captured *captured;
	struct volume_plan plan;
	struct error *error = NULL;
	int fd, outside;

	fd = make_directory(bench->scratch.fd, is_captured ? "volume" : "source");
	for (char name[] = "wal1"; name[3] < '6'; name[3]++)
		make_segment(fd, name, (uint64_t)name[3]);
	make_text_file(fd, "small", "is written sooner than found");
	close(fd);
	cool_down();
	captured = take(bench, is_captured ? "volume" : "source");
	plan = plan_of(bench, captured);
	plan.options.trust_catalog = is_captured;
	if (!is_captured)
		put(bench, captured);
	/* recycled; recycled and overwritten; one takes the place of another; small */
	rename_and_write(bench->volume_fd, "wal1", "wal6");
	rename_and_write(bench->volume_fd, "wal2", "wal7");
	rename_and_write(bench->volume_fd, "wal4", "wal5");
	rename_and_write(bench->volume_fd, "small", "smaller");
	if (bench->is_trusted)
		kill_at(bench, &plan, "volume/moved");
	else
		print_message("no file is known here\n");
	must(volume_restore_all(&plan, &totals, &error), &error);
	assert_is(bench, captured);
	/* wal1 to wal5 again, each changed */
	rename_and_write(bench->volume_fd, "wal1", "wal6");
	rename_and_write(bench->volume_fd, "wal2", "wal7");
	if (is_captured)
		unlinkat(bench->states_fd, "v.state", 0);
	must(volume_restore_all(&plan, &totals, &error), &error);
	assert_is(bench, captured);
	if (bench->is_trusted)
		assert_in_range(totals.written_bytes, 1, 3 * 4096);
	/* what has a second name elsewhere must not change there */
	outside = make_directory(bench->scratch.fd, "outside");
	assert_int_equal(linkat(bench->volume_fd, "wal3", outside, "linked", 0), 0);
	rename_and_write(bench->volume_fd, "wal3", "wal9");
	must(volume_restore_all(&plan, &totals, &error), &error);
	assert_is(bench, captured);
	assert_in_range(totals.written_bytes, SEGMENT, SEGMENT + 4096);
	fd = openat(outside, "linked", O_RDONLY | O_CLOEXEC);
	{
		char found[7];

		assert_int_equal(io_pread_full(fd, found, 7, 12345), 7);
		assert_memory_equal(found, "changed", 7);
	}
	close(fd);
	close(outside);
}

static void test_renamed(void **state)
{
	renamed(*state, false);
}

static void test_renamed_since_create(void **state)
{
	renamed(*state, true);
}

/* The volume that was captured itself: its own catalog's fingerprints tell. */
static void test_unchanged_since_create(void **state)
{
	struct bench *bench = *state;
	const struct captured *captured;
	struct restore_totals totals;
	struct volume_plan plan;
	struct error *error = NULL;

	random_tree(bench->scratch.fd, "volume", 12);
	fill_pages(bench->volume_fd, 3);
	cool_down();
	captured = take(bench, "volume");
	plan = plan_of(bench, captured);
	plan.options.trust_catalog = true;
	must(volume_restore_all(&plan, &totals, &error), &error);
	assert_int_equal(totals.written_bytes, 0);
	if (bench->is_trusted)
		assert_int_equal(totals.read_bytes, 0);
	assert_is(bench, captured);
	change_pages(bench->volume_fd, &bench->random);
	unlinkat(bench->states_fd, "v.state", 0);
	must(volume_restore_all(&plan, &totals, &error), &error);
	assert_is(bench, captured);
}

/* Only the mode of a known file is to change, and it is closed to who is not root. */
static void test_known_file_that_cannot_be_opened(void **state)
{
	struct bench *bench = *state;
	const struct captured *closed, *opened;
	struct stat status;
	int fd, child_status;
	pid_t child;

	fd = make_directory(bench->scratch.fd, "source");
	make_text_file(fd, "data", "the same");
	assert_int_equal(fchownat(fd, "data", 65534, 65534, 0), 0);
	assert_int_equal(fchmodat(fd, "data", 0, 0), 0);
	assert_int_equal(fchown(fd, 65534, 65534), 0);
	assert_int_equal(fchown(bench->volume_fd, 65534, 65534), 0);
	assert_int_equal(fchown(bench->states_fd, 65534, 65534), 0);
	closed = take(bench, "source");
	assert_int_equal(fchmodat(fd, "data", 0640, 0), 0);
	opened = take(bench, "source");
	put(bench, closed);
	assert_int_equal(fchownat(bench->states_fd, "v.state", 65534, 65534, 0), 0);
	child = fork();
	if (!child) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		put(bench, opened);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &child_status, 0), child);
	assert_int_equal(child_status, 0);
	assert_int_equal(fstatat(bench->volume_fd, "data", &status, 0), 0);
	assert_int_equal(status.st_mode & 07777, 0640);
	assert_int_equal(status.st_size, 8);
	close(fd);
}

/* Changes that hide: the same size and time, a store through a mapping, another file's times. */
static void test_changes_that_hide(void **state)
{
	struct bench *bench = *state;
	const struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};
	const struct captured *captured;
	struct stat status;
	char *map;
	int fd;

	fd = make_directory(bench->scratch.fd, "source");
	make_text_file(fd, "rewritten", "12345678");
	make_text_file(fd, "mapped", "12345678");
	make_text_file(fd, "replaced", "12345678");
	make_text_file(fd, "swapped-a", "aaaaaaaa");
	make_text_file(fd, "swapped-b", "bbbbbbbb");
	assert_int_equal(utimensat(fd, "rewritten", old, 0), 0);
	close(fd);
	captured = take(bench, "source");
	syncs_really = true;
	put(bench, captured);
	for (int i = 0; i < 10; i++) {
		/* at once: in the same tick of the clock, if the restore has not waited it out */
		fd = openat(bench->volume_fd, "rewritten", O_WRONLY | O_CLOEXEC);
		assert_int_equal(fstat(fd, &status), 0);
		assert_int_equal(io_pwrite_full(fd, "X", 1, 3), 0);
		close(fd);
		assert_int_equal(utimensat(bench->volume_fd, "rewritten",
					   (struct timespec[2]){status.st_atim, status.st_mtim}, 0),
				 0);
		fd = openat(bench->volume_fd, "mapped", O_RDWR | O_CLOEXEC);
		map = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		assert_true(map != MAP_FAILED);
		map[4] = 'Y';
		munmap(map, 8);
		close(fd);
		assert_int_equal(fstatat(bench->volume_fd, "replaced", &status, 0), 0);
		assert_int_equal(unlinkat(bench->volume_fd, "replaced", 0), 0);
		make_text_file(bench->volume_fd, "replaced", "87654321");
		assert_int_equal(utimensat(bench->volume_fd, "replaced",
					   (struct timespec[2]){status.st_atim, status.st_mtim}, 0),
				 0);
		assert_int_equal(renameat2(bench->volume_fd, "swapped-a", bench->volume_fd,
					   "swapped-b", 2 /* RENAME_EXCHANGE */),
				 0);
		put(bench, captured);
		assert_is(bench, captured);
	}
	syncs_really = false;
}

/* In the first tenth of a second, so that what follows happens in the same one. */
static void await_second(void)
{
	const struct timespec pause = {.tv_nsec = 5 * 1000000L};
	struct timespec now;

	do {
		nanosleep(&pause, NULL);
		clock_gettime(CLOCK_REALTIME, &now);
	} while (now.tv_nsec > 100 * 1000000L);
}

/* A service that starts, and writes, in the second in which the restore has ended. */
static void test_times_in_whole_seconds(void **state)
{
	struct bench *bench = *state;
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	struct error *error = NULL;
	const struct captured *captured;
	struct buffer buffer;
	int fd;

	failpoint_set("tree/whole-seconds=error");
	fd = make_directory(bench->scratch.fd, "source");
	await_second();
	clock_gettime(CLOCK_REALTIME, &times[1]);
	times[1].tv_nsec = 0;
	make_text_file(fd, "data", "as it was");
	assert_int_equal(utimensat(fd, "data", times, 0), 0);
	captured = take(bench, "source");
	put(bench, captured);
	make_text_file(bench->volume_fd, "data", "as it is.");
	assert_int_equal(utimensat(bench->volume_fd, "data", times, 0), 0);
	assert_int_equal(time(NULL), times[1].tv_sec);
	put(bench, captured);
	failpoint_set(NULL);
	buffer_init(&buffer, 64);
	must(io_read_file(bench->volume_fd, "data", &buffer, &error), &error);
	assert_string_equal(buffer.data, "as it was");
	buffer_release(&buffer);
	close(fd);
}

/* ---- states of other volumes ------------------------------------------------------------------- */

/* Deleted, made again under the same name, and filled by somebody else with the same times. */
static void test_volume_made_again(void **state)
{
	struct bench *bench = *state;
	struct restore_totals totals;
	const struct captured *captured;
	struct volume_restore *volume;
	struct volume_plan plan;
	struct error *error = NULL;
	pid_t child;
	int fd, status;

	random_tree(bench->scratch.fd, "source", 21);
	captured = take(bench, "source");
	put(bench, captured);
	close(bench->volume_fd);
	assert_int_equal(renameat(bench->scratch.fd, "volume", bench->scratch.fd, "away"), 0);
	child = fork();
	if (!child) {
		if (fchdir(bench->scratch.fd) < 0)
			_exit(1);
		execlp("cp", "cp", "-a", "source", "volume", (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	/* ... and a lie in it that neither size nor mtime tells */
	fd = openat(bench->scratch.fd, "volume", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	change_tree(bench->scratch.fd, "volume", 3);
	bench->volume_fd = fd;
	plan = plan_of(bench, captured);
	volume = volume_restore_open(&plan, &error);
	assert_non_null(volume);
	if (bench->is_trusted)
		assert_int_equal(volume_restore_verdict(volume), STATE_FOREIGN);
	must(volume_restore_begin(volume, &error), &error);
	must(volume_restore_fill(volume, &error), &error);
	must(volume_restore_end(volume, &error), &error);
	volume_restore_totals(volume, &totals);
	assert_int_equal(totals.kept_files, 0);
	volume_restore_free(volume);
	assert_is(bench, captured);
	/* another time of creation is another volume, and so is another name */
	plan.key.created = "tomorrow";
	volume = volume_restore_open(&plan, &error);
	assert_int_equal(volume_restore_verdict(volume),
			 bench->is_trusted ? STATE_FOREIGN : STATE_NONE);
	volume_restore_free(volume);
	plan.key = (struct state_key){.volume = "w", .created = "today"};
	volume = volume_restore_open(&plan, &error);
	assert_int_equal(volume_restore_verdict(volume),
			 bench->is_trusted ? STATE_FOREIGN : STATE_NONE);
	volume_restore_free(volume);
	/* a boot's state is told by the root's inode alone */
	plan.state_fd = -1;
	plan.boot_state_fd = bench->states_fd;
	volume = volume_restore_open(&plan, &error);
	assert_int_equal(volume_restore_verdict(volume),
			 bench->is_trusted ? STATE_USED : STATE_NONE);
	volume_restore_free(volume);
}

/* The header of the state that is there; records, end and seal are made anew. */
static void forge_state(const struct bench *bench, const struct catalog_entry *entries,
			size_t count)
{
	struct error *error = NULL;
	struct buffer buffer;
	struct hash seal;
	size_t at = 8 + 8 + 8 + HASH_SIZE;

	buffer_init(&buffer, 64U << 20);
	must(io_read_file(bench->states_fd, "v.state", &buffer, &error), &error);
	for (int text = 0; text < 3; text++)
		at += 3U + (uint8_t)buffer.data[at] + ((size_t)(uint8_t)buffer.data[at + 1] << 8);
	buffer.size = at;
	for (size_t i = 0; i < count; i++)
		assert_int_equal(catalog_encode(&buffer, &entries[i]), 0);
	buffer_append_u32(&buffer, 0);
	buffer_append_u64(&buffer, count);
	hash_data(&seal, buffer.data, buffer.size);
	buffer_append(&buffer, seal.bytes, HASH_SIZE);
	make_file(bench->states_fd, "v.state", buffer.data, buffer.size);
	buffer_release(&buffer);
}

/*
 * Well-formed and lying, as only root could make one: it may spoil what it lies about, but it
 * leads nowhere else, and a restore without it puts all right.
 */
static void test_forged_state(void **state)
{
	struct bench *bench = *state;
	static const char *const paths[] = {"../outside", "a/../../outside", "data", "data/x",
					    "zz"};
	const char *lie = "the truth";
	const struct captured *captured;
	struct stat status;
	char *outside, *after;
	int fd;

	random_tree(bench->scratch.fd, "source", 33);
	fd = make_directory(bench->scratch.fd, "source");
	make_text_file(fd, "data", lie);
	close(fd);
	make_text_file(bench->scratch.fd, "outside", "precious");
	captured = take(bench, "source");
	outside = describe(bench->scratch.fd, "outside");
	for (size_t i = 0; i < 30 && bench->is_trusted; i++) {
		struct content content = {.kind = (enum content_kind)(i % 3),
					  .length = 1 + next_random(&bench->random) % 100};
		struct catalog_entry entries[5];

		put(bench, captured);
		content.chunk.size = (uint32_t)content.length;
		assert_int_equal(fstatat(bench->volume_fd, "data", &status, 0), 0);
		for (size_t j = 0; j < 5; j++)
			entries[j] = (struct catalog_entry){
				.path = paths[j],
				.mode = i % 2 ? S_IFREG | 04777 : S_IFIFO,
				.size = content.length,
				.mtime = status.st_mtim,
				.fingerprint = {status.st_dev, status.st_ino, status.st_ctim},
				.contents = &content,
				.content_count = 1,
			};
		forge_state(bench, entries + i % 5, 5 - i % 5);
		put(bench, captured);
		assert_is(bench, captured);
	}
	/* the worst: it knows the file's stat and says that it holds something else */
	if (bench->is_trusted) {
		struct content content = {.kind = CONTENT_HOLE, .length = strlen(lie)};
		struct catalog_entry entry = {
			.path = "data",
			.mode = S_IFREG | 0644,
			.size = content.length,
			.contents = &content,
			.content_count = 1,
		};

		assert_int_equal(fstatat(bench->volume_fd, "data", &status, 0), 0);
		entry.mtime = status.st_mtim;
		entry.fingerprint =
			(struct fingerprint){status.st_dev, status.st_ino, status.st_ctim};
		forge_state(bench, &entry, 1);
		put(bench, captured);
		assert_is(bench, captured);
	}
	after = describe(bench->scratch.fd, "outside");
	assert_string_equal(outside, after);
	free(outside);
	free(after);
}

/* ---- killed ------------------------------------------------------------------------------------- */

static bool exists(int fd, const char *name)
{
	return faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int fail_in_progress(void *context, const struct restore_totals *totals, struct error **err)
{
	(void)context;
	(void)totals;
	return failpoint_error("restore/mid", err);
}

static void test_killed_at_every_step(void **state)
{
	struct bench *bench = *state;
	static const struct {
		const char *name;
		bool has_state, has_guard;
		enum mark_state mark;
	} steps[] = {
		{"volume/state-removed", false, true, MARK_RESTORED},
		{"volume/marked", false, true, MARK_RESTORING},
		{"volume/before", false, false, MARK_RESTORING},
		{"restore/mid", false, false, MARK_RESTORING},
		{"volume/file-updated", false, false, MARK_RESTORING},
		{"volume/filled", false, false, MARK_RESTORING},
		{"volume/guard-written", false, true, MARK_RESTORING},
		{"volume/before-mark", false, true, MARK_RESTORING},
		{"volume/restored", false, true, MARK_RESTORED},
		{"volume/state-writing", false, true, MARK_RESTORED},
		{"volume/done", true, true, MARK_RESTORED},
	};
	struct string_list guards;
	const struct captured *a, *b;
	int fd;

	string_list_init(&guards);
	string_list_add(&guards, "global/pg_control");
	string_list_add(&guards, "absent/guard");
	random_tree(bench->scratch.fd, "source", 44);
	fd = make_directory(bench->scratch.fd, "source");
	assert_int_equal(mkdirat(fd, "global", 0750), 0);
	make_text_file(fd, "global/pg_control", "control a");
	make_text_file(fd, "global/other", "other a");
	fill_pages(fd, 5);
	a = take(bench, "source");
	change_tree(bench->scratch.fd, "source", 9);
	fill_pages(fd, 6);
	mkdirat(fd, "global", 0700);
	unlinkat(fd, "global/pg_control", 0);
	make_text_file(fd, "global/pg_control", "control b");
	close(fd);
	b = take(bench, "source");
	put(bench, a);
	for (size_t i = 0; i < 2 * sizeof(steps) / sizeof(steps[0]); i++) {
		size_t step = i / 2;
		struct volume_plan plan = plan_of(bench, i % 2 ? a : b);
		struct error *error = NULL;
		struct mark mark;

		plan.options.guards = &guards;
		plan.options.progress = fail_in_progress;
		kill_at(bench, &plan, steps[step].name);
		mark_read(bench->volume_fd, &mark);
		assert_int_equal(mark.state, steps[step].mark);
		assert_int_equal(exists(bench->volume_fd, "global/pg_control"),
				 steps[step].has_guard);
		assert_int_equal(exists(bench->states_fd, "v.state"),
				 steps[step].has_state && bench->is_trusted);
		must(volume_restore_all(&plan, NULL, &error), &error);
		assert_is(bench, i % 2 ? a : b);
	}
	string_list_release(&guards);
}

/* ---- several names, holes, files that cannot be written ------------------------------------------- */

/* Whatever other names a file has, only those of the tree are changed with it. */
static void test_links_in_place(void **state)
{
	struct bench *bench = *state;
	const struct captured *captured;
	struct stat status;
	char *outside, *after;
	ino_t group;
	int fd;

	fd = make_directory(bench->scratch.fd, "source");
	make_text_file(fd, "alone", "alone");
	make_text_file(fd, "group-a", "group");
	assert_int_equal(linkat(fd, "group-a", fd, "group-b", 0), 0);
	assert_int_equal(linkat(fd, "group-a", fd, "group-c", 0), 0);
	assert_int_equal(symlinkat("alone", fd, "link"), 0);
	assert_int_equal(linkat(fd, "link", fd, "link2", 0), 0);
	fill_pages(fd, 2);
	close(fd);
	captured = take(bench, "source");
	put(bench, captured);
	assert_int_equal(fstatat(bench->volume_fd, "group-a", &status, 0), 0);
	group = status.st_ino;
	/* the group is right: it is written where it is */
	fd = openat(bench->volume_fd, "group-b", O_WRONLY | O_CLOEXEC);
	assert_int_equal(io_write_full(fd, "GROUP", 5), 0);
	close(fd);
	put(bench, captured);
	assert_is(bench, captured);
	assert_int_equal(fstatat(bench->volume_fd, "group-c", &status, 0), 0);
	assert_int_equal(status.st_ino, group);
	/* names outside of the tree keep what they have */
	fd = make_directory(bench->scratch.fd, "outside");
	assert_int_equal(linkat(bench->volume_fd, "group-b", fd, "g", 0), 0);
	assert_int_equal(linkat(bench->volume_fd, "base", fd, "base", 0), 0);
	change_pages(fd, &bench->random);
	make_text_file(fd, "g", "changed");
	close(fd);
	outside = describe(bench->scratch.fd, "outside");
	for (int i = 0; i < 2; i++) {
		char *sum, *sum_after;

		put(bench, captured);
		assert_is(bench, captured);
		after = describe(bench->scratch.fd, "outside");
		sum = strstr(outside, "\tsum");
		sum_after = strstr(after, "\tsum");
		assert_memory_equal(sum, sum_after, 20);
		sum = strstr(sum + 1, "\tsum");
		sum_after = strstr(sum_after + 1, "\tsum");
		assert_memory_equal(sum, sum_after, 20);
		free(after);
	}
	free(outside);
	/* a name of the group is another file, one of another group joins it */
	assert_int_equal(unlinkat(bench->volume_fd, "group-c", 0), 0);
	make_text_file(bench->volume_fd, "group-c", "group");
	assert_int_equal(unlinkat(bench->volume_fd, "alone", 0), 0);
	assert_int_equal(linkat(bench->volume_fd, "group-a", bench->volume_fd, "alone", 0), 0);
	put(bench, captured);
	assert_is(bench, captured);
}

/* Where no hole can be made there are zeros: the data is the same. */
static void test_without_holes(void **state)
{
	struct bench *bench = *state;
	static uint8_t data[1000000];
	const struct captured *captured;
	struct buffer found;
	struct error *error = NULL;
	int fd;

	memset(data, 'x', sizeof(data));
	fd = make_directory(bench->scratch.fd, "source");
	make_file(fd, "holes", data, 100000);
	close(fd);
	fd = openat(bench->scratch.fd, "source/holes", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, sizeof(data)), 0);
	close(fd);
	captured = take(bench, "source");
	make_file(bench->volume_fd, "holes", data, sizeof(data));
	failpoint_set("tree/punch=error");
	put(bench, captured);
	failpoint_set(NULL);
	buffer_init(&found, 2000000);
	must(io_read_file(bench->volume_fd, "holes", &found, &error), &error);
	memset(data + 100000, 0, sizeof(data) - 100000);
	assert_int_equal(found.size, sizeof(data));
	assert_memory_equal(found.data, data, sizeof(data));
	buffer_release(&found);
}

static int set_flag(int parent, const char *name, int flag)
{
	int fd = openat(parent, name, O_RDONLY | O_CLOEXEC), result;

	assert_true(fd >= 0);
	result = ioctl(fd, FS_IOC_SETFLAGS, &flag);
	close(fd);
	return result;
}

static void test_immutable(void **state)
{
	struct bench *bench = *state;
	static const int flags[] = {FS_IMMUTABLE_FL, FS_APPEND_FL};
	const struct captured *captured;
	int fd;

	fd = make_directory(bench->scratch.fd, "source");
	make_text_file(fd, "locked", "as captured");
	make_file(fd, "large", bench->scratch.path, 10);
	close(fd);
	captured = take(bench, "source");
	for (size_t i = 0; i < 2; i++) {
		struct volume_plan plan = plan_of(bench, captured);
		struct error *error = NULL;

		make_text_file(bench->volume_fd, "locked", "something else");
		if (set_flag(bench->volume_fd, "locked", flags[i]) < 0)
			break; /* this file system has no such flags */
		assert_int_equal(volume_restore_all(&plan, NULL, &error), -1);
		assert_non_null(error->hint);
		assert_non_null(strstr(error->message, "locked"));
		assert_non_null(strstr(error->hint, "lsattr"));
		error_free(error);
		assert_int_equal(set_flag(bench->volume_fd, "locked", 0), 0);
		put(bench, captured);
		assert_is(bench, captured);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		bench_test(test_random_rounds),
		bench_test(test_writes_what_differs),
		bench_test(test_known_blocks),
		bench_test(test_renamed),
		bench_test(test_renamed_since_create),
		bench_test(test_unchanged_since_create),
		bench_test(test_changes_that_hide),
		bench_test(test_known_file_that_cannot_be_opened),
		bench_test(test_times_in_whole_seconds),
		bench_test(test_volume_made_again),
		bench_test(test_forged_state),
		bench_test(test_killed_at_every_step),
		bench_test(test_links_in_place),
		bench_test(test_without_holes),
		bench_test(test_immutable),
	};

	if (geteuid() != 0) {
		print_message("skipped: needs root (devices and owners)\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
