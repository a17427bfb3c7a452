/*
 * Random trees with everything that a file system can hold: captured, restored into
 * nothing, into a mess and after an interruption, and compared by a walk of the test's own.
 */
#include "test_tree_support.h"

#include <sys/resource.h>

static const struct tree_source plain_source;

/* A POSIX ACL as the kernel stores it: owner, one user, group, mask, others. */
static void random_acl(uint8_t acl[44], uint64_t *random)
{
	static const uint16_t tags[] = {1, 2, 4, 16, 32};

	memset(acl, 0, 44);
	acl[0] = 2;
	for (size_t i = 0; i < 5; i++) {
		uint8_t *entry = acl + 4 + 8 * i;

		entry[0] = (uint8_t)tags[i];
		entry[2] = (uint8_t)(next_random(random) % 8);
		memset(entry + 4, 0xff, 4);
		if (tags[i] == 2) {
			entry[4] = 0xe8;
			entry[5] = 3;
			entry[6] = entry[7] = 0;
		}
	}
}

static void random_attributes(int fd, bool is_directory, uint64_t *random)
{
	uint8_t value[400], acl[44];

	for (size_t i = next_random(random) % 4; i; i--) {
		char name[64];
		size_t size = next_random(random) % 10 ? next_random(random) % 60 : sizeof(value);

		snprintf(name, sizeof(name), "user.test.%llu",
			 (unsigned long long)(next_random(random) % 50));
		for (size_t j = 0; j < size; j++)
			value[j] = (uint8_t)next_random(random);
		assert_int_equal(fsetxattr(fd, name, value, size, 0), 0);
	}
	random_acl(acl, random);
	if (next_random(random) % 8 == 0)
		assert_int_equal(fsetxattr(fd, "system.posix_acl_access", acl, 44, 0), 0);
	if (is_directory && next_random(random) % 4 == 0)
		assert_int_equal(fsetxattr(fd, "system.posix_acl_default", acl, 44, 0), 0);
}

static void random_name(char name[256], uint64_t *random)
{
	size_t size = next_random(random) % 12 ? 1 + next_random(random) % 12
					       : 1 + next_random(random) % 255;

	for (size_t i = 0; i < size; i++) {
		name[i] = (char)(1 + next_random(random) % 255);
		if (name[i] == '/')
			name[i] = '-';
	}
	name[size] = '\0';
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		name[0] = 'x';
}

static void random_bytes(int fd, size_t size, off_t at, uint64_t *random)
{
	cleanup_free uint8_t *data = memory_alloc(size + 1);
	bool repeats = next_random(random) % 2;

	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(repeats ? i / 1000 : next_random(random));
	assert_int_equal(io_pwrite_full(fd, data, size, (uint64_t)at), 0);
}

static void random_file(int parent, const char *name, uint64_t *random)
{
	static const size_t sizes[] = {0,     1,      100,    4096,   8192,
				       70000, 300000, 524288, 524289, 3000001};
	int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t size = sizes[next_random(random) % (sizeof(sizes) / sizeof(sizes[0]))];

	assert_true(fd >= 0);
	if (next_random(random) % 5) {
		random_bytes(fd, size, 0, random);
	} else {
		/* data somewhere, holes around it */
		off_t at = 0;

		for (size_t i = next_random(random) % 4; i; i--) {
			at += (off_t)(next_random(random) % 9 * 16384);
			random_bytes(fd, next_random(random) % 50000, at, random);
			at += 65536;
		}
		assert_int_equal(ftruncate(fd, at + (off_t)(next_random(random) % 3 * 1234567)), 0);
	}
	random_attributes(fd, false, random);
	close(fd);
}

static void random_metadata(int parent, const char *name, mode_t type, uint64_t *random)
{
	struct timespec times[2] = {{0, UTIME_OMIT},
				    {(time_t)(next_random(random) % 4000000000U),
				     (long)(next_random(random) % 1000000000U)}};

	assert_int_equal(fchownat(parent, name, (uid_t)(next_random(random) % 70000),
				  (gid_t)(next_random(random) % 70000), AT_SYMLINK_NOFOLLOW),
			 0);
	if (!S_ISLNK(type))
		assert_int_equal(fchmodat(parent, name, (mode_t)(next_random(random) & 07777), 0),
				 0);
	assert_int_equal(utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

struct maker {
	uint64_t random;
	int root_fd;
	char *some_file; /* to link to */
};

static void random_directory(struct maker *maker, int fd, const char *path, unsigned depth);

static void random_entry(struct maker *maker, int parent, const char *name, const char *path,
			 unsigned depth)
{
	uint64_t *random = &maker->random;
	mode_t type = S_IFREG;
	int fd;

	switch (next_random(random) % 12) {
	case 0:
	case 1:
	case 2:
		if (!depth)
			return;
		assert_int_equal(mkdirat(parent, name, 0700), 0);
		fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		random_directory(maker, fd, path, depth - 1);
		random_attributes(fd, true, random);
		close(fd);
		type = S_IFDIR;
		break;
	case 3:
		assert_int_equal(symlinkat(path, parent, name), 0);
		type = S_IFLNK;
		break;
	case 4:
		type = next_random(random) % 2 ? S_IFIFO : S_IFCHR;
		assert_int_equal(mknodat(parent, name, type | 0600, makedev(7, 1048575)), 0);
		break;
	case 5:
		if (maker->some_file &&
		    linkat(maker->root_fd, maker->some_file, parent, name, 0) == 0)
			return;
		/* fallthrough */
	default:
		random_file(parent, name, random);
		if (next_random(random) % 4 == 0) {
			free(maker->some_file);
			maker->some_file = memory_strdup(path);
		}
	}
	random_metadata(parent, name, type, random);
}

static void random_directory(struct maker *maker, int fd, const char *path, unsigned depth)
{
	for (size_t i = next_random(&maker->random) % 9; i; i--) {
		char name[256];
		cleanup_free char *below = NULL;

		random_name(name, &maker->random);
		if (faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		below = *path ? memory_printf("%s/%s", path, name) : memory_strdup(name);
		random_entry(maker, fd, name, below, depth);
	}
}

static void random_tree(int parent, const char *name, uint64_t seed)
{
	struct maker maker = {.random = seed * 0x9e3779b97f4a7c15ULL + 1};

	maker.root_fd = make_directory(parent, name);
	for (int i = 0; i < 3; i++)
		random_directory(&maker, maker.root_fd, "", 4);
	random_attributes(maker.root_fd, true, &maker.random);
	random_metadata(parent, name, S_IFDIR, &maker.random);
	free(maker.some_file);
	close(maker.root_fd);
}

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
