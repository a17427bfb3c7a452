/*
 * Chains of captures of a tree that changes at random, each over an earlier one, with and
 * without a pre-copy, and restores of any of them over whatever is there: what comes back
 * is compared by a walk of the test's own. SIDESNAP_TEST_SEED repeats a run,
 * SIDESNAP_TEST_ROUNDS makes it longer.
 */
#include "test_tree_support.h"

#include <limits.h>
#include <sys/mman.h>
#include <time.h>

#define GENERATIONS 12 /* of one chain */
#define ROUNDS 240
#define FILE_MAX 200000
#define PAGE 8192
#define PATH_SIZE 400

/* One snapshot of the chain, and what it must restore. */
struct generation {
	struct snapshot snapshot;
	char *expected;
	blkcnt_t blocks; /* of all files, 512 bytes each */
};

struct chain {
	struct scratch scratch;
	int fd; /* of its "source" */
	uint64_t random;
	struct generation generations[GENERATIONS];
	size_t count;
};

static size_t below(struct chain *chain, size_t limit)
{
	return (size_t)(next_random(&chain->random) % limit);
}

/* ---- changes ---------------------------------------------------------------------------------- */

static const char *const odd_names[] = {
	" ",   "-rf", "a\nb",  "\xff\xfe", "..x",	"*",	     "\x01\x7f", "a-b",
	"a.b", "a",   ".wh.a", "a0",	   "one.pages", "two.pages", "\xc3",	 "\\",
	"n1",  "n2",  "n3",    "n4",	   "n5",	"n6",
};

#define NAMES (sizeof(odd_names) / sizeof(odd_names[0]))

/* A path that may be there, may be below what is no directory, or name one. */
static void random_path(struct chain *chain, char *path, size_t size)
{
	static char longest[NAME_MAX + 1];
	const char *name = odd_names[below(chain, NAMES)];

	memset(longest, 'n', NAME_MAX);
	if (below(chain, 30) == 0)
		name = longest;
	if (below(chain, 2))
		snprintf(path, size, "%s", name);
	else if (below(chain, 4))
		snprintf(path, size, "d%zu/%s", below(chain, 3), name);
	else
		snprintf(path, size, "d%zu/a/%s", below(chain, 3), name);
}

static void put_noise(struct chain *chain, int fd, off_t at, size_t size)
{
	static uint8_t data[FILE_MAX];

	if (size > FILE_MAX)
		size = FILE_MAX;
	for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
		uint64_t word = next_random(&chain->random);

		memcpy(data + i, &word, size - i < sizeof(word) ? size - i : sizeof(word));
	}
	assert_int_equal(pwrite(fd, data, size, at), size);
}

/* What changes a regular file's bytes; ${fd} is open for reading and writing. */
static void change_bytes(struct chain *chain, int fd, const struct stat *status)
{
	off_t size = status->st_size, at = size > 0 ? (off_t)below(chain, (size_t)size) : 0;
	uint8_t *memory;
	int unused = 0;

	switch (below(chain, 8)) {
	case 0:
		put_noise(chain, fd, at, 1 + below(chain, 5000));
		break;
	case 1: /* a page */
		put_noise(chain, fd, at / PAGE * PAGE, PAGE);
		break;
	case 2:
		unused = ftruncate(fd, (off_t)below(chain, FILE_MAX));
		break;
	case 3:
		unused = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at / 4096 * 4096,
				   4096 * (off_t)(1 + below(chain, 10)));
		break;
	case 4: /* same size, all else */
		put_noise(chain, fd, 0, (size_t)size);
		break;
	case 5: /* bytes of one's own to the front: everything moves */
		put_noise(chain, fd, 0, 100);
		break;
	case 6:
		put_noise(chain, fd, size + (off_t)below(chain, 70000), 1 + below(chain, 3000));
		break;
	default:
		if (size == 0)
			break;
		memory = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		assert_true(memory != MAP_FAILED);
		memory[at] ^= 0x5a;
		munmap(memory, (size_t)size);
	}
	/* only ctime tells */
	if (below(chain, 3) == 0)
		unused = futimens(fd, (struct timespec[2]){status->st_atim, status->st_mtim});
	(void)unused;
}

static void change_attributes(struct chain *chain, const char *path)
{
	/* user::rw-, user:N:r--, group::r--, mask::rw-, other::--- */
	uint8_t acl[] = {2, 0, 0,   0,	 1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  4,
			 0, 7, 0,   0,	 0,   4,   0,  4, 0,   255, 255, 255, 255, 16, 0,
			 6, 0, 255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255};
	char proc[PATH_SIZE + 40], value[300];
	int unused;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d/%s", chain->fd, path);
	memset(value, 'v', sizeof(value));
	acl[16] = (uint8_t)below(chain, 200);
	switch (below(chain, 5)) {
	case 0:
		unused = lsetxattr(proc, "user.one", value, below(chain, sizeof(value)), 0);
		break;
	case 1:
		unused = lsetxattr(proc, "user.two", value, below(chain, 3), 0);
		break;
	case 2:
		unused = lremovexattr(proc, "user.one");
		break;
	case 3:
		unused = lsetxattr(proc, "system.posix_acl_access", acl, sizeof(acl), 0);
		break;
	default:
		unused = lremovexattr(proc, "system.posix_acl_access");
	}
	(void)unused;
}

static void change_metadata(struct chain *chain, const char *path)
{
	const struct timespec times[2] = {
		{.tv_sec = 1},
		{.tv_sec = (time_t)below(chain, 4) * 1000000000 - 500000000,
		 .tv_nsec = (long)below(chain, 1000000000)}};
	int unused;

	switch (below(chain, 4)) {
	case 0:
		unused = fchmodat(chain->fd, path, (mode_t)below(chain, 010000), 0);
		break;
	case 1:
		unused = fchownat(chain->fd, path, (uid_t)below(chain, 5), (gid_t)below(chain, 5),
				  AT_SYMLINK_NOFOLLOW);
		break;
	case 2:
		unused = utimensat(chain->fd, path, times, AT_SYMLINK_NOFOLLOW);
		break;
	default:
		unused = 0;
		change_attributes(chain, path);
	}
	(void)unused;
}

static void remove_path(struct chain *chain, const char *path)
{
	char full[PATH_SIZE + 100];

	if (unlinkat(chain->fd, path, 0) == 0 || unlinkat(chain->fd, path, AT_REMOVEDIR) == 0)
		return;
	if (errno == ENOTEMPTY) {
		snprintf(full, sizeof(full), "%s/source/%s", chain->scratch.path, path);
		remove_all(full);
	}
}

static void make_something(struct chain *chain, const char *path)
{
	char target[PATH_SIZE];
	struct stat status;
	int fd, unused = 0;

	switch (below(chain, 8)) {
	case 0:
		unused = mkdirat(chain->fd, path, (mode_t)below(chain, 010000));
		break;
	case 1:
		random_path(chain, target, sizeof(target));
		unused = symlinkat(target, chain->fd, path);
		break;
	case 2: /* of a driver that nobody has */
		unused = mknodat(chain->fd, path, (below(chain, 2) ? S_IFIFO : S_IFCHR) | 0640,
				 makedev(4000, 1 + below(chain, 9)));
		break;
	default:
		if (fstatat(chain->fd, path, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
		    !S_ISREG(status.st_mode))
			break;
		fd = openat(chain->fd, path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
		/* many small ones, few large ones */
		if (fd >= 0) {
			put_noise(chain, fd, 0, below(chain, below(chain, 3) ? 3000 : FILE_MAX));
			close(fd);
		}
	}
	(void)unused;
}

static void change_once(struct chain *chain)
{
	char path[PATH_SIZE], other[PATH_SIZE];
	struct stat status;
	int fd, unused = 0;

	random_path(chain, path, sizeof(path));
	random_path(chain, other, sizeof(other));
	switch (below(chain, 10)) {
	case 0:
		unused = renameat(chain->fd, path, chain->fd, other);
		break;
	case 1:
		unused = linkat(chain->fd, path, chain->fd, other, 0);
		break;
	case 2: /* and perhaps another type at once */
		remove_path(chain, path);
		if (below(chain, 2))
			make_something(chain, path);
		break;
	case 3:
	case 4:
		make_something(chain, path);
		break;
	case 5:
	case 6:
		change_metadata(chain, below(chain, 20) ? path : ".");
		break;
	default:
		if (fstatat(chain->fd, path, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(status.st_mode))
			break;
		fd = openat(chain->fd, path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
		assert_true(fd >= 0);
		change_bytes(chain, fd, &status);
		close(fd);
	}
	(void)unused;
}

static void change(struct chain *chain, size_t most)
{
	for (size_t i = below(chain, most + 1); i > 0; i--)
		change_once(chain);
}

/* ---- what is there ---------------------------------------------------------------------------- */

static void add_blocks(int parent, const char *name, blkcnt_t *blocks)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	struct stat status;

	assert_non_null(directory);
	while ((entry = readdir(directory))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		assert_int_equal(fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW), 0);
		if (S_ISREG(status.st_mode))
			*blocks += status.st_blocks;
		if (S_ISDIR(status.st_mode))
			add_blocks(fd, entry->d_name, blocks);
	}
	closedir(directory);
}

static blkcnt_t count_blocks(struct chain *chain, const char *name)
{
	blkcnt_t blocks = 0;

	add_blocks(chain->scratch.fd, name, &blocks);
	return blocks;
}

/* ---- captures and restores -------------------------------------------------------------------- */

/* Passes of a pre-copy with changes after each; the last one's draft. */
static struct draft *precopy(struct chain *chain, const struct snapshot *snapshot,
			     struct capture *capture, struct tree_source source,
			     const struct snapshot *before)
{
	struct draft *draft = NULL;
	struct capture_pass pass;

	for (size_t passes = 1 + below(chain, 2); passes > 0; passes--) {
		draft = snapshot_precopy(snapshot, capture, source, before, draft, passes > 1,
					 &pass);
		change(chain, 20);
	}
	return draft;
}

/* Read "source" into ${snapshot}, over the one before (NULL: none). */
static void capture_chain(struct chain *chain, struct snapshot *snapshot,
			  const struct snapshot *before)
{
	static char page_glob[] = "*.pages";
	static char *globs[] = {page_glob};
	static const struct string_list pages = {.items = globs, .count = 1};
	const struct tree_source source = {
		.root_fd = chain->fd, .pages = &pages, .page_block = 4 * PAGE, .page_size = PAGE};
	struct error *error = NULL;
	struct draft *draft = NULL;
	struct capture *capture;

	snapshot_begin(snapshot, chain->scratch.fd, "store");
	capture = snapshot_capture(snapshot, before);
	if (below(chain, 2))
		draft = precopy(chain, snapshot, capture, source, before);
	snapshot_capture_tree(snapshot, capture, source, before, draft, NULL);
	snapshot_end(snapshot, capture, before, NULL);
	must(tree_verify(snapshot->store, snapshot->manifest.trees, &error), &error);
}

/* Put a generation into a directory, over what is there. */
static void restore_over(struct chain *chain, const struct generation *generation, const char *name)
{
	const struct snapshot *snapshot = &generation->snapshot;
	struct error *error = NULL;
	int fd = make_directory(chain->scratch.fd, name);
	cleanup_free char *actual = NULL;
	blkcnt_t blocks;

	must(tree_restore(fd, snapshot->store, snapshot->manifest.trees, &replace_all, NULL,
			  &error),
	     &error);
	assert_int_equal(syncfs(fd), 0);
	close(fd);
	actual = describe_without_extents(chain->scratch.fd, name);
	assert_described(name, generation->expected, actual);
	blocks = count_blocks(chain, name);
	/* the file system's own blocks may differ, and holes of a few */
	if (blocks > generation->blocks + generation->blocks / 4 + 512)
		fail_msg("%s takes %lld blocks instead of %lld: holes were filled", name,
			 (long long)blocks, (long long)generation->blocks);
}

static void play_round(struct chain *chain)
{
	struct generation *next = &chain->generations[chain->count];
	struct snapshot *earlier = NULL;

	change(chain, chain->count ? 30 : 300);
	/* mostly the newest, as a create takes; any other must do as well */
	if (chain->count && below(chain, 10))
		earlier = &chain->generations[chain->count - 1].snapshot;
	else if (chain->count)
		earlier = &chain->generations[below(chain, chain->count)].snapshot;
	capture_chain(chain, &next->snapshot, earlier);
	next->expected = describe_without_extents(chain->scratch.fd, "source");
	assert_int_equal(syncfs(chain->fd), 0);
	next->blocks = count_blocks(chain, "source");
	chain->count++;
	if (below(chain, 4) == 0) {
		char path[128];

		snprintf(path, sizeof(path), "%s/target", chain->scratch.path);
		remove_all(path);
	}
	restore_over(chain, next, "target");
	/* a reset: the chain goes on from there */
	if (below(chain, 4) == 0)
		restore_over(chain, &chain->generations[below(chain, chain->count)], "source");
	/* long enough ago that fingerprints are believed */
	if (below(chain, 4) == 0)
		nanosleep(&(struct timespec){.tv_nsec = 130 * 1000000L}, NULL);
}

static void test_random_chains(void **state)
{
	const char *given = getenv("SIDESNAP_TEST_SEED"), *wanted = getenv("SIDESNAP_TEST_ROUNDS");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	unsigned long rounds = wanted ? strtoul(wanted, NULL, 10) : ROUNDS;

	(void)state;
	print_message("SIDESNAP_TEST_SEED=%llu\n", (unsigned long long)seed);
	for (unsigned long round = 0; round < rounds;) {
		struct chain chain = {.random = (seed + round) * 0x9e3779b97f4a7c15ULL | 1};

		scratch_make(&chain.scratch, "/var/tmp");
		chain.fd = make_directory(chain.scratch.fd, "source");
		for (int i = 0; i < 3; i++)
			close(make_directory(chain.fd, (char[]){'d', (char)('0' + i), 0}));
		for (; chain.count < GENERATIONS && round < rounds; round++)
			play_round(&chain);
		for (size_t i = 0; i < chain.count; i++) {
			snapshot_release(&chain.generations[i].snapshot);
			free(chain.generations[i].expected);
		}
		close(chain.fd);
		scratch_remove(&chain.scratch);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_chains),
	};

	if (geteuid() != 0) {
		print_message("skipped: needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
