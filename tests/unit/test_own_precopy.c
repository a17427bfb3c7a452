/*
 * Own files found and pre-copied without a list of changes, on real overlay mounts: two
 * over the same layers, as a target and a helper are. Whatever happens in the target between
 * pre-copy and freeze, in the end the layer is as the target is. Needs root (a mount
 * namespace of its own); skipped elsewhere.
 */
#include "test_own_support.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#include "base/failpoint.h"
#include "tree/own/own_state.h"

#define SOURCE 0x1234567812345678ULL

struct overlays {
	char *path;
	int target, layer;   /* roots of the mounts */
	unsigned generation; /* of snapshots under the layer */
	struct scratch_store scratch;
	struct tree_record record;
	struct own *own;
	struct own_totals totals;
	uint64_t random;
};

static bool can_mount;
/* Where times prove nothing all is read under the freeze; nothing waits for a disk there. */
static const char *const memory = "/dev/shm", *const disk = "/var/tmp";

static int begin_group(void **state)
{
	(void)state;
	can_mount = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return 0;
}

static void make_under(const struct overlays *overlays, const char *name)
{
	cleanup_free char *path = memory_printf("%s/%s", overlays->path, name);

	assert_int_equal(mkdir(path, 0755), 0);
}

/* "generation": uppers of snapshots that lie between the image and this mount. */
static bool mount_over(const struct overlays *overlays, const char *name, unsigned generation)
{
	cleanup_free char *point = memory_printf("%s/%s", overlays->path, name);
	cleanup_free char *lower = memory_printf("%s/image", overlays->path), *options = NULL;

	for (unsigned i = 0; i < generation; i++) {
		char *more = memory_printf("%s/layer%u-upper:%s", overlays->path, i, lower);

		free(lower);
		lower = more;
	}
	options = memory_printf("lowerdir=%s,upperdir=%s/%s-upper,workdir=%s/%s-work,index=off",
				lower, overlays->path, name, overlays->path, name);
	return mount("overlay", point, "overlay", 0, options) == 0;
}

static int mounted(const struct overlays *overlays, const char *name, unsigned generation)
{
	static const char *const suffixes[] = {"", "-upper", "-work"};
	cleanup_free char *point = memory_printf("%s/%s", overlays->path, name);

	for (size_t i = 0; i < 3; i++) {
		cleanup_free char *directory = memory_printf("%s%s", name, suffixes[i]);

		make_under(overlays, directory);
	}
	return mount_over(overlays, name, generation) ? open_root(point) : -1;
}

static void fill_image(const struct overlays *overlays)
{
	cleanup_free char *path = memory_printf("%s/image", overlays->path);
	int fd;

	make_under(overlays, "image");
	fd = open_root(path);
	for (unsigned i = 0; i < 40; i++) {
		cleanup_free char *directory = memory_printf("d%u", i);

		put_directory(fd, directory);
		for (unsigned j = 0; j < 6; j++) {
			cleanup_free char *inner = memory_printf("d%u/s%u", i, j);
			cleanup_free char *file = memory_printf("d%u/f%u", i, j);
			cleanup_free char *deep = memory_printf("d%u/s%u/file", i, j);

			put_directory(fd, inner);
			put_file(fd, file, "of the image\n");
			put_file(fd, deep, "deep in the image\n");
		}
	}
	put_file(fd, "linked", "two names\n");
	assert_int_equal(linkat(fd, "linked", fd, "d0/linked", 0), 0);
	assert_int_equal(symlinkat("d0/f0", fd, "link"), 0);
	close(fd);
}

static struct own *new_own(struct overlays *overlays)
{
	const struct own_options options = {
		.target_fd = overlays->target,
		.layer_fd = overlays->layer,
		.source = SOURCE,
		.scratch_fd = overlays->layer,
		.mount_options = "rw,index=off",
	};

	return own_new(&options);
}

static int setup_in(const char *parent, void **state)
{
	struct overlays *overlays = memory_zalloc(sizeof(*overlays));

	*state = overlays;
	overlays->target = overlays->layer = -1;
	overlays->random = (uint64_t)time(NULL);
	if (!can_mount)
		return 0;
	overlays->path = memory_printf("%s/sidesnap-test-XXXXXX", parent);
	assert_non_null(mkdtemp(overlays->path));
	fill_image(overlays);
	cool_down();
	overlays->target = mounted(overlays, "target", 0);
	overlays->layer = overlays->target < 0 ? -1 : mounted(overlays, "layer0", 0);
	tree_record_init(&overlays->record);
	scratch_store_begin(&overlays->scratch);
	if (overlays->layer >= 0)
		overlays->own = new_own(overlays);
	return 0;
}

static int setup(void **state)
{
	return setup_in(memory, state);
}

static int setup_on_disk(void **state)
{
	return setup_in(disk, state);
}

static void unmount(const struct overlays *overlays, const char *name)
{
	cleanup_free char *path = memory_printf("%s/%s", overlays->path, name);

	umount2(path, MNT_DETACH);
}

static int teardown(void **state)
{
	struct overlays *overlays = *state;

	failpoint_set(NULL);
	if (overlays->path) {
		own_free(overlays->own);
		tree_record_release(&overlays->record);
		scratch_store_release(&overlays->scratch);
		if (overlays->target >= 0)
			close(overlays->target);
		if (overlays->layer >= 0)
			close(overlays->layer);
		unmount(overlays, "target");
		for (unsigned i = 0; i <= overlays->generation; i++) {
			cleanup_free char *name = memory_printf("layer%u", i);

			unmount(overlays, name);
		}
		remove_directory(overlays->path);
	}
	free(overlays);
	return 0;
}

static struct overlays *of(void **state)
{
	struct overlays *overlays = *state;

	if (overlays->layer < 0)
		skip();
	return overlays;
}

static void precopy(struct overlays *overlays)
{
	struct error *err = NULL;

	must(own_precopy(overlays->own, &err), &err);
	assert_true(own_is_covered(overlays->own));
}

static void run(struct overlays *overlays)
{
	struct error *err = NULL;

	must(own_run(overlays->own, &err), &err);
	own_get_totals(overlays->own, &overlays->totals);
	must(own_write_catalog(overlays->own, overlays->scratch.capture, &overlays->record, &err),
	     &err);
	scratch_store_finish(&overlays->scratch);
	must(own_verify(overlays->layer, overlays->scratch.store, &overlays->record, true, &err),
	     &err);
}

/* The layer becomes an image layer, with a new one on top; what was recorded is its parent. */
static void next_generation(struct overlays *overlays)
{
	cleanup_free char *name = memory_printf("layer%u", ++overlays->generation);
	struct tree_record parent = overlays->record;
	struct scratch_store store = overlays->scratch;
	struct error *err = NULL;

	own_free(overlays->own);
	close(overlays->layer);
	overlays->layer = mounted(overlays, name, overlays->generation);
	assert_true(overlays->layer >= 0);
	tree_record_init(&overlays->record);
	scratch_store_begin(&overlays->scratch);
	overlays->own = new_own(overlays);
	must(own_add_parent(overlays->own, store.store, &parent.root, &err), &err);
	precopy(overlays);
	tree_record_release(&parent);
	scratch_store_release(&store);
}

/* ---- comparing, by a walk of the test's own ---- */

static void assert_same(int target, int layer, const char *path);

static void names_of(int root, const char *path, struct string_list *names)
{
	int fd = openat(root, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	assert_non_null(directory);
	while ((entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			string_list_add(names, entry->d_name);
	closedir(directory);
	string_list_sort(names);
}

static void assert_same_content(int target, int layer, const char *path)
{
	CLEANUP(buffer_release) struct buffer a, b;
	struct error *err = NULL;

	buffer_init(&a, 1U << 24);
	buffer_init(&b, 1U << 24);
	must(io_read_file(target, path, &a, &err), &err);
	must(io_read_file(layer, path, &b, &err), &err);
	if (a.size != b.size || memcmp(a.data, b.data, a.size) != 0)
		fail_msg("%s has another content", path);
}

static void assert_same_directory(int target, int layer, const char *path)
{
	struct string_list a, b;

	string_list_init(&a);
	string_list_init(&b);
	names_of(target, path, &a);
	names_of(layer, path, &b);
	for (size_t i = 0; i < a.count || i < b.count; i++) {
		cleanup_free char *child = NULL;

		if (i >= a.count || i >= b.count || strcmp(a.items[i], b.items[i]) != 0)
			fail_msg("\"%s\": \"%s\" in the target, \"%s\" in the layer", path,
				 i < a.count ? a.items[i] : "nothing",
				 i < b.count ? b.items[i] : "nothing");
		child = *path ? memory_printf("%s/%s", path, a.items[i])
			      : memory_strdup(a.items[i]);
		assert_same(target, layer, child);
	}
	string_list_release(&a);
	string_list_release(&b);
}

static void assert_same(int target, int layer, const char *path)
{
	struct stat a, b;
	char x[256] = "", y[256] = "";

	assert_int_equal(fstatat(target, path, &a, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH), 0);
	assert_int_equal(fstatat(layer, path, &b, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH), 0);
	if (a.st_mode != b.st_mode || a.st_uid != b.st_uid || a.st_gid != b.st_gid ||
	    (!S_ISDIR(a.st_mode) && a.st_mtim.tv_sec != b.st_mtim.tv_sec))
		fail_msg("%s: mode %o, %o; owner %u, %u; mtime %lld, %lld", path, a.st_mode,
			 b.st_mode, a.st_uid, b.st_uid, (long long)a.st_mtim.tv_sec,
			 (long long)b.st_mtim.tv_sec);
	if (S_ISDIR(a.st_mode)) {
		assert_same_directory(target, layer, path);
		return;
	}
	if (S_ISREG(a.st_mode)) {
		cleanup_free char *left = memory_printf("/proc/self/fd/%d/%s", target, path);
		cleanup_free char *right = memory_printf("/proc/self/fd/%d/%s", layer, path);

		assert_same_content(target, layer, path);
		assert_int_equal(lgetxattr(left, "user.x", x, sizeof(x)),
				 lgetxattr(right, "user.x", y, sizeof(y)));
	}
	if (S_ISLNK(a.st_mode)) {
		assert_true(readlinkat(target, path, x, sizeof(x) - 1) > 0);
		assert_true(readlinkat(layer, path, y, sizeof(y) - 1) > 0);
	}
	assert_string_equal(x, y);
}

/* ---- one change of each kind, after the pre-copy ---- */

static void store_mapped(int root, const char *path, char value)
{
	int fd = openat(root, path, O_RDWR);
	char *page;

	assert_true(fd >= 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(page != MAP_FAILED);
	page[0] = value;
	munmap(page, 4096);
	close(fd);
}

static void set_attribute(int root, const char *path, const char *value)
{
	cleanup_free char *full = memory_printf("/proc/self/fd/%d/%s", root, path);

	assert_int_equal(setxattr(full, "user.x", value, strlen(value), 0), 0);
}

static void change_chmod(int fd)
{
	assert_int_equal(fchmodat(fd, "d1/f1", 0600, 0), 0);
}

static void change_chown(int fd)
{
	assert_int_equal(fchownat(fd, "d2/f1", 7, 8, AT_SYMLINK_NOFOLLOW), 0);
}

static void change_owner_of_link(int fd)
{
	assert_int_equal(fchownat(fd, "link", 7, 8, AT_SYMLINK_NOFOLLOW), 0);
}

static void change_attribute(int fd)
{
	set_attribute(fd, "d3/f1", "value");
}

static void change_times_back(int fd)
{
	struct stat status;
	struct timespec times[2];

	assert_int_equal(fstatat(fd, "d4/f1", &status, 0), 0);
	put_file(fd, "d4/f1", "OF THE IMAGE\n");
	times[0] = status.st_atim;
	times[1] = status.st_mtim;
	assert_int_equal(utimensat(fd, "d4/f1", times, 0), 0);
}

static void change_truncate(int fd)
{
	int file = openat(fd, "d5/s0/file", O_WRONLY);

	assert_int_equal(ftruncate(file, 3), 0);
	close(file);
}

static void change_mapped(int fd)
{
	store_mapped(fd, "d6/f2", 'X');
}

static void change_link(int fd)
{
	assert_int_equal(linkat(fd, "d7/f1", fd, "d8/also", 0), 0);
}

static void change_one_of_two_names(int fd)
{
	put_file(fd, "linked", "one of two names\n");
}

static void change_rename(int fd)
{
	assert_int_equal(renameat(fd, "d9/f1", fd, "d9/f2"), 0);
}

static void change_unlink(int fd)
{
	assert_int_equal(unlinkat(fd, "d10/s2/file", 0), 0);
}

static void change_remove_directory(int fd)
{
	assert_int_equal(unlinkat(fd, "d11/s3/file", 0), 0);
	assert_int_equal(unlinkat(fd, "d11/s3", AT_REMOVEDIR), 0);
}

static void change_opaque(int fd)
{
	change_remove_directory(fd);
	put_directory(fd, "d11/s3");
	put_file(fd, "d11/s3/other", "in the new one\n");
}

static void change_opaque_same_names(int fd)
{
	change_remove_directory(fd);
	put_directory(fd, "d11/s3");
	put_file(fd, "d11/s3/file", "not of the image\n");
}

static void change_directory_to_file(int fd)
{
	change_remove_directory(fd);
	put_file(fd, "d11/s3", "a file now\n");
}

static void change_directory_to_link(int fd)
{
	change_remove_directory(fd);
	assert_int_equal(symlinkat("s4", fd, "d11/s3"), 0);
}

static void change_file_to_directory(int fd)
{
	assert_int_equal(unlinkat(fd, "d12/f3", 0), 0);
	put_directory(fd, "d12/f3");
	put_directory(fd, "d12/f3/deep");
	put_file(fd, "d12/f3/deep/file", "below what was a file\n");
}

/* What has no directories in it is not listed: this gives it some. */
static void change_below_a_leaf(int fd)
{
	put_directory(fd, "d15/s2/in");
	put_directory(fd, "d15/s2/in/deep");
	put_file(fd, "d15/s2/in/deep/file", "below a leaf\n");
	put_file(fd, "d15/s3/more", "in a leaf\n");
}

static void change_make_in_root(int fd)
{
	put_file(fd, "new", "in the root\n");
	assert_int_equal(unlinkat(fd, "link", 0), 0);
}

static void change_mode_of_directory(int fd)
{
	assert_int_equal(fchmodat(fd, "d13/s1", 0700, 0), 0);
}

static void change_special(int fd)
{
	assert_int_equal(mkfifoat(fd, "d14/pipe", 0600), 0);
	assert_int_equal(mknodat(fd, "d14/null", S_IFCHR | 0600, makedev(1, 3)), 0);
}

static void (*const changes[])(int fd) = {
	change_chmod,
	change_chown,
	change_owner_of_link,
	change_attribute,
	change_times_back,
	change_truncate,
	change_mapped,
	change_link,
	change_one_of_two_names,
	change_rename,
	change_unlink,
	change_remove_directory,
	change_opaque,
	change_opaque_same_names,
	change_directory_to_file,
	change_directory_to_link,
	change_file_to_directory,
	change_below_a_leaf,
	change_make_in_root,
	change_mode_of_directory,
	change_special,
};

/* Each alone, so that none is found only because of another in the same directory. */
static void every_change_after_the_precopy_is_found(void **state)
{
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		struct overlays *overlays = of(state);

		cool_down();
		precopy(overlays);
		changes[i](overlays->target);
		run(overlays);
		assert_same(overlays->target, overlays->layer, "");
		if (i + 1 < sizeof(changes) / sizeof(*changes)) {
			teardown(state);
			setup(state);
		}
	}
}

/* The same before it, and then none. */
static void every_change_before_the_precopy_is_found(void **state)
{
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		struct overlays *overlays = of(state);

		changes[i](overlays->target);
		cool_down();
		precopy(overlays);
		run(overlays);
		assert_same(overlays->target, overlays->layer, "");
		if (i + 1 < sizeof(changes) / sizeof(*changes)) {
			teardown(state);
			setup(state);
		}
	}
}

static void nothing_changed_costs_no_record(void **state)
{
	struct overlays *overlays = of(state);

	precopy(overlays);
	run(overlays);
	assert_int_equal(overlays->totals.files, 0);
	assert_int_equal(overlays->own->record_count, 1);
}

/* A crash may have left newer bytes on the disk under the times that a snapshot knows. */
static void after_a_restart_of_the_machine_all_is_compared(void **state)
{
	struct overlays *overlays = of(state);
	struct error *err = NULL;

	put_file(overlays->target, "d1/f0", "changed\n");
	cool_down();
	precopy(overlays);
	run(overlays);
	for (unsigned i = 0; i < 2; i++) {
		struct own_options options = overlays->own->options;
		struct own *next;

		options.is_new_run = i;
		next = own_new(&options);
		must(own_add_parent(next, overlays->scratch.store, &overlays->record.root, &err),
		     &err);
		if (options.is_new_run)
			assert_null(own_known_find(next, "d1"));
		else
			assert_non_null(own_known_find(next, "d1"));
		assert_true(own_paths(next)->count > 0);
		own_free(next);
	}
}

static void many(struct overlays *overlays, unsigned count, unsigned number)
{
	for (unsigned i = 0; i < count; i++) {
		cleanup_free char *path = memory_printf("many/%u/file%u", i % 20, i);
		cleanup_free char *text = memory_printf("content %u of %u\n", number, i);

		if (i < 20) {
			cleanup_free char *directory = memory_printf("many/%u", i);

			mkdirat(overlays->target, "many", 0755);
			mkdirat(overlays->target, directory, 0755);
		}
		put_file(overlays->target, path, text);
	}
}

/* Pre-copied once, known by the next snapshot: then nobody opens them. */
static void many_files_are_read_once(void **state)
{
	struct overlays *overlays = of(state);
	struct own_totals first;

	many(overlays, 1000, 1);
	cool_down();
	precopy(overlays);
	assert_int_equal(unlinkat(overlays->target, "many/7/file7", 0), 0);
	put_file(overlays->target, "many/8/file8", "changed\n");
	run(overlays);
	assert_same(overlays->target, overlays->layer, "");
	first = overlays->totals;
	assert_int_equal(first.files, 999);
	assert_int_equal(first.deleted, 0);
	assert_int_equal(first.read_bytes, strlen("changed\n"));
	cool_down();
	next_generation(overlays);
	run(overlays);
	/* what was read under the freeze proves nothing, and is too little to be written back */
	assert_int_equal(overlays->totals.read_bytes, first.read_bytes);
	assert_int_equal(overlays->totals.files, first.files);
	assert_same(overlays->target, overlays->layer, "");
	/* and the new layer has nothing in it */
	{
		cleanup_free char *path = memory_printf("%s/layer1-upper/many", overlays->path);
		struct stat status;

		assert_int_equal(stat(path, &status), -1);
	}
}

/* In the layer and in the last snapshot, then gone, or of another type, in any order. */
static void what_was_captured_may_vanish(void **state)
{
	struct overlays *overlays = of(state);

	many(overlays, 100, 1);
	put_directory(overlays->target, "comes");
	put_file(overlays->target, "comes/and-goes", "x");
	cool_down();
	precopy(overlays);
	assert_int_equal(unlinkat(overlays->target, "comes/and-goes", 0), 0);
	assert_int_equal(unlinkat(overlays->target, "comes", AT_REMOVEDIR), 0);
	run(overlays);
	assert_int_equal(overlays->totals.deleted, 0);
	assert_same(overlays->target, overlays->layer, "");
	next_generation(overlays);
	for (unsigned i = 0; i < 100; i++) {
		cleanup_free char *path = memory_printf("many/%u/file%u", i % 20, i);

		if (i % 20 == 3)
			assert_int_equal(unlinkat(overlays->target, path, 0), 0);
	}
	assert_int_equal(unlinkat(overlays->target, "many/3", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("4", overlays->target, "many/3"), 0);
	run(overlays);
	assert_same(overlays->target, overlays->layer, "");
	next_generation(overlays);
	assert_int_equal(unlinkat(overlays->target, "many/3", 0), 0);
	assert_int_equal(renameat(overlays->target, "many/4", overlays->target, "many/3"), 0);
	run(overlays);
	assert_same(overlays->target, overlays->layer, "");
}

/* ---- stores that no time tells of ---- */

static bool is_missed(struct overlays *overlays, const char *failpoints)
{
	int fd;
	char *page, value;

	put_file(overlays->target, "mapped", "0123456789");
	fd = openat(overlays->target, "mapped", O_RDWR);
	assert_true(fd >= 0);
	/* too large to be read under the freeze anyway */
	assert_int_equal(ftruncate(fd, 2 << 20), 0);
	/* what has its blocks is not written by the next commit of the journal, whoever asks for that */
	assert_int_equal(fsync(fd), 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(page != MAP_FAILED);
	page[0] = 'a';
	cool_down();
	failpoint_set(failpoints);
	precopy(overlays);
	failpoint_set(NULL);
	page[0] = 'b';
	run(overlays);
	munmap(page, 4096);
	close(fd);
	fd = openat(overlays->layer, "mapped", O_RDONLY);
	assert_int_equal(read(fd, &value, 1), 1);
	close(fd);
	return value != 'b';
}

static void a_store_through_a_mapping_is_seen(void **state)
{
	assert_false(is_missed(of(state), NULL));
}

/* Else the test above proves nothing. Somebody else's sync may come in between. */
static void without_the_write_back_it_is_missed(void **state)
{
	for (unsigned attempt = 0; attempt < 40; attempt++) {
		if (is_missed(of(state), "tree/write-back=error"))
			return;
		teardown(state);
		setup_on_disk(state);
	}
	fail_msg("without the write-back nothing was missed");
}

/* ---- at random ---- */

static unsigned below(struct overlays *overlays, unsigned limit)
{
	overlays->random = overlays->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(overlays->random >> 33) % limit;
}

static char *any_path(struct overlays *overlays)
{
	unsigned i = below(overlays, 6), j = below(overlays, 4);

	switch (below(overlays, 4)) {
	case 0:
		return memory_printf("d%u/f%u", i, j);
	case 1:
		return memory_printf("d%u/s%u", i, j);
	case 2:
		return memory_printf("d%u/s%u/file", i, j);
	default:
		return memory_printf("d%u/s%u/new%u", i, j, below(overlays, 3));
	}
}

static void remove_below(struct overlays *overlays, const char *path)
{
	cleanup_free char *full = memory_printf("%s/target/%s", overlays->path, path);

	nftw(full, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

/* Most of these fail when there is no such path: that is as well. */
static void change_at_random(struct overlays *overlays)
{
	cleanup_free char *path = any_path(overlays), *other = any_path(overlays), *text = NULL;
	int root = overlays->target, fd;

	switch (below(overlays, 9)) {
	case 0:
		remove_below(overlays, path);
		break;
	case 1:
		(void)mkdirat(root, path, 0755);
		break;
	case 2:
		(void)renameat(root, path, root, other);
		break;
	case 3:
		(void)symlinkat("somewhere", root, path);
		break;
	case 4:
		(void)fchmodat(root, path, 0700 + below(overlays, 8), 0);
		break;
	case 5:
		(void)linkat(root, path, root, other, 0);
		break;
	default:
		text = memory_printf("%u\n", below(overlays, 1000));
		fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);
		if (fd >= 0 && write(fd, text, strlen(text)) < 0)
			fail_msg("cannot write %s", path);
		if (fd >= 0)
			close(fd);
	}
}

static void rounds_of_random_changes(void **state)
{
	struct overlays *overlays = of(state);

	print_message("seed %llu\n", (unsigned long long)overlays->random);
	for (unsigned round = 0; round < 25; round++) {
		for (unsigned i = 0; i < 30; i++)
			change_at_random(overlays);
		if (round % 3 == 0)
			cool_down();
		if (round)
			next_generation(overlays);
		else
			precopy(overlays);
		for (unsigned i = 0; i < 30; i++)
			change_at_random(overlays);
		run(overlays);
		assert_same(overlays->target, overlays->layer, "");
	}
}

/* All the time somebody changes files at random: only what is read at the end counts. */
static void a_busy_target_during_the_precopy(void **state)
{
	struct overlays *overlays = of(state);

	for (unsigned round = 0; round < 12; round++) {
		pid_t writer = fork();

		if (writer == 0) {
			overlays->random += round * 977;
			for (;;)
				change_at_random(overlays);
		}
		assert_true(writer > 0);
		if (round)
			next_generation(overlays);
		else
			precopy(overlays);
		usleep(20000);
		kill(writer, SIGKILL);
		waitpid(writer, NULL, 0);
		run(overlays);
		assert_same(overlays->target, overlays->layer, "");
	}
}

/*
 * What changes between the scan and the look at a directory is below that directory's new
 * times: those must not stand for files that nobody has compared.
 */
static void a_directory_that_changes_behind_the_scan(void **state)
{
	struct overlays *overlays = of(state);

	/* known from the last snapshot, with times that are no longer hot */
	put_file(overlays->target, "d1/f0", "changed\n");
	put_file(overlays->target, "in-root", "x");
	cool_down();
	precopy(overlays);
	run(overlays);
	for (unsigned round = 0; round < 2; round++) {
		pid_t writer = fork();

		if (writer == 0) {
			usleep(200000);
			put_file(overlays->target, round ? "d1/f2" : "d1/f1", "behind the scan\n");
			put_file(overlays->target, round ? "root1" : "root0", "behind the scan\n");
			_exit(0);
		}
		assert_true(writer > 0);
		failpoint_set("own/scanned=sleep:0.8");
		next_generation(overlays);
		failpoint_set(NULL);
		assert_int_equal(waitpid(writer, NULL, 0), writer);
		run(overlays);
		assert_same(overlays->target, overlays->layer, "");
	}
}

static void other_file_systems_need_a_list(void **state)
{
	char *target = make_directory(), *layer = make_directory();
	const struct own_options options = {.target_fd = open_root(target),
					    .layer_fd = open_root(layer),
					    .source = SOURCE,
					    .scratch_fd = -1,
					    .mount_options = "rw,index=off"};
	struct own *own = own_new(&options);
	struct error *err = NULL;

	(void)state;
	must(own_precopy(own, &err), &err);
	assert_false(own_is_covered(own));
	own_free(own);
	close(options.target_fd);
	close(options.layer_fd);
	remove_directory(target);
	remove_directory(layer);
}

/* There a file changes through another name of it, and its directory knows nothing of that. */
static void an_index_needs_a_list(void **state)
{
	struct overlays *overlays = of(state);
	struct error *err = NULL;

	overlays->own->options.mount_options = "rw,index=on";
	must(own_precopy(overlays->own, &err), &err);
	assert_false(own_is_covered(overlays->own));
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define test_on_disk(name) cmocka_unit_test_setup_teardown(name, setup_on_disk, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(every_change_after_the_precopy_is_found),
		test(every_change_before_the_precopy_is_found),
		test(nothing_changed_costs_no_record),
		test(after_a_restart_of_the_machine_all_is_compared),
		test_on_disk(many_files_are_read_once),
		test(what_was_captured_may_vanish),
		test_on_disk(a_store_through_a_mapping_is_seen),
		test_on_disk(without_the_write_back_it_is_missed),
		test(rounds_of_random_changes),
		test(a_busy_target_during_the_precopy),
		test(a_directory_that_changes_behind_the_scan),
		test(an_index_needs_a_list),
		cmocka_unit_test(other_file_systems_need_a_list),
	};

	return cmocka_run_group_tests(tests, begin_group, NULL);
}
