/*
 * Own files: a target's root and a layer side by side as plain directories. Wherever
 * the layer starts, it ends as the target is, and nothing outside of it is touched.
 */
#include "test_own_support.h"

#include <sys/xattr.h>

struct sides {
	char *target_path, *layer_path;
	int target, layer;
	struct scratch_store scratch;
	struct string_list dropped;
	struct own *own;
	struct tree_record record;
};

static void both_put(struct sides *sides, const char *path, const char *text)
{
	const struct timespec times[2] = {{1000, 0}, {1000, 0}};

	put_file(sides->target, path, text);
	put_file(sides->layer, path, text);
	utimensat(sides->target, path, times, 0);
	utimensat(sides->layer, path, times, 0);
}

static void both_directory(struct sides *sides, const char *path)
{
	put_directory(sides->target, path);
	put_directory(sides->layer, path);
}

static struct own *new_own(struct sides *sides)
{
	const struct own_options options = {
		.target_fd = sides->target, .layer_fd = sides->layer, .dropped = &sides->dropped};

	return own_new(&options);
}

static int setup(void **state)
{
	struct sides *sides = memory_zalloc(sizeof(*sides));

	sides->target_path = make_directory();
	sides->layer_path = make_directory();
	sides->target = open_root(sides->target_path);
	sides->layer = open_root(sides->layer_path);
	string_list_init(&sides->dropped);
	string_list_add(&sides->dropped, "/proc");
	string_list_add(&sides->dropped, "/data");
	string_list_add(&sides->dropped, "/etc/hosts");
	tree_record_init(&sides->record);
	scratch_store_begin(&sides->scratch);
	both_directory(sides, "etc");
	both_directory(sides, "opt");
	both_put(sides, "etc/config", "old\n");
	both_put(sides, "opt/a", "a");
	both_put(sides, "opt/b", "b");
	sides->own = new_own(sides);
	*state = sides;
	return 0;
}

static int teardown(void **state)
{
	struct sides *sides = *state;

	own_free(sides->own);
	tree_record_release(&sides->record);
	string_list_release(&sides->dropped);
	scratch_store_release(&sides->scratch);
	close(sides->target);
	close(sides->layer);
	remove_directory(sides->target_path);
	remove_directory(sides->layer_path);
	free(sides);
	return 0;
}

static void candidates(struct sides *sides, const char *const *paths)
{
	for (; *paths; paths++)
		own_add_candidate(sides->own, *paths);
}

static void run_and_write(struct sides *sides)
{
	struct error *err = NULL;

	must(own_run(sides->own, &err), &err);
	must(own_write_catalog(sides->own, sides->scratch.capture, &sides->record, &err), &err);
	scratch_store_finish(&sides->scratch);
	must(own_verify(sides->layer, sides->scratch.store, &sides->record, true, &err), &err);
}

/* The record's flags, or -1 where the catalog has none of that path. */
static int catalog_flags(struct sides *sides, const char *path)
{
	struct error *err = NULL;
	struct catalog_reader *reader =
		catalog_open(sides->scratch.store, &sides->record.root, &err);
	struct catalog_entry entry;
	int result = -1, more;

	assert_non_null(reader);
	while ((more = catalog_next(reader, &entry, &err)) > 0) {
		if (strcmp(entry.path, path) == 0)
			result = (int)entry.flags;
	}
	must(more, &err);
	catalog_close(reader);
	return result;
}

static void changed_added_and_deleted(void **state)
{
	struct sides *sides = *state;
	const char *const paths[] = {"/etc/config", "/opt",    "/opt/a",     "/opt/new",
				     "/opt/never",  "/data/x", "/etc/hosts", NULL};
	struct own_totals totals;
	struct stat before, after;

	put_file(sides->target, "etc/config", "new content\n");
	assert_int_equal(fchmodat(sides->target, "etc/config", 0640, 0), 0);
	unlinkat(sides->target, "opt/a", 0);
	put_file(sides->target, "opt/new", "n");
	put_directory(sides->target, "data");
	put_file(sides->target, "data/x", "volume");
	put_file(sides->target, "etc/hosts", "engine's");
	fstatat(sides->layer, "opt/b", &before, 0);
	candidates(sides, paths);
	run_and_write(sides);
	assert_file(sides->layer, "etc/config", "new content\n");
	assert_file(sides->layer, "opt/new", "n");
	assert_absent(sides->layer, "opt/a");
	assert_absent(sides->layer, "data");
	assert_absent(sides->layer, "etc/hosts");
	fstatat(sides->layer, "etc/config", &after, 0);
	assert_int_equal(after.st_mode & 07777, 0640);
	fstatat(sides->layer, "opt/b", &after, 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(catalog_flags(sides, "opt/a"), ENTRY_DELETED);
	assert_int_equal(catalog_flags(sides, "opt/new"), 0);
	assert_int_equal(catalog_flags(sides, "opt/never"), -1);
	assert_int_equal(catalog_flags(sides, "data/x"), -1);
	own_get_totals(sides->own, &totals);
	assert_int_equal(totals.files, 2);
	assert_int_equal(totals.deleted, 1);
}

static void unchanged_files_are_not_written(void **state)
{
	struct sides *sides = *state;
	const char *const paths[] = {"/etc/config", "/opt/a", NULL};
	struct stat before, after;

	fstatat(sides->layer, "etc/config", &before, 0);
	candidates(sides, paths);
	run_and_write(sides);
	fstatat(sides->layer, "etc/config", &after, 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(after.st_ctim.tv_sec, before.st_ctim.tv_sec);
	assert_int_equal(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
	assert_int_equal(catalog_flags(sides, "etc/config"), 0);
}

static void hidden_deletions_of_a_recreated_directory(void **state)
{
	struct sides *sides = *state;
	const char *const paths[] = {"/opt", "/opt/x", NULL};

	/* Deleted and made again: the list of changes names only what is there now. */
	unlinkat(sides->target, "opt/a", 0);
	unlinkat(sides->target, "opt/b", 0);
	unlinkat(sides->target, "opt", AT_REMOVEDIR);
	put_directory(sides->target, "opt");
	put_file(sides->target, "opt/x", "x");
	candidates(sides, paths);
	run_and_write(sides);
	assert_absent(sides->layer, "opt/a");
	assert_absent(sides->layer, "opt/b");
	assert_file(sides->layer, "opt/x", "x");
	assert_int_equal(catalog_flags(sides, "opt/a"), ENTRY_DELETED);
}

static void types_change_both_ways(void **state)
{
	struct sides *sides = *state;
	const char *const paths[] = {"/opt", "/etc/config", "/etc/config/deep", "/opt/a", NULL};
	char target[16];

	/* opt: directory -> file; etc/config: file -> directory, taken whole */
	unlinkat(sides->target, "opt/a", 0);
	unlinkat(sides->target, "opt/b", 0);
	unlinkat(sides->target, "opt", AT_REMOVEDIR);
	assert_int_equal(symlinkat("etc", sides->target, "opt"), 0);
	unlinkat(sides->target, "etc/config", 0);
	put_directory(sides->target, "etc/config");
	put_directory(sides->target, "etc/config/deep");
	put_file(sides->target, "etc/config/deep/f", "f");
	put_file(sides->target, "etc/config/unlisted", "u");
	candidates(sides, paths);
	run_and_write(sides);
	memset(target, 0, sizeof(target));
	assert_int_equal(readlinkat(sides->layer, "opt", target, sizeof(target) - 1), 3);
	assert_string_equal(target, "etc");
	assert_file(sides->layer, "etc/config/deep/f", "f");
	assert_file(sides->layer, "etc/config/unlisted", "u");
	/* Reached through the new link it must not count as etc/a. */
	assert_int_equal(catalog_flags(sides, "opt/a"), -1);
}

static void hard_links_fifos_sockets_attributes(void **state)
{
	struct sides *sides = *state;
	const char *const paths[] = {"/home", NULL};
	struct stat one, two;
	char value[8] = "";
	bool has_attributes;

	put_directory(sides->target, "home");
	put_file(sides->target, "home/z", "linked");
	assert_int_equal(linkat(sides->target, "home/z", sides->target, "home/a", 0), 0);
	assert_int_equal(mkfifoat(sides->target, "home/pipe", 0600), 0);
	assert_int_equal(fchmodat(sides->target, "home/pipe", 0620, 0), 0);
	assert_int_equal(mknodat(sides->target, "home/sock", S_IFSOCK | 0600, 0), 0);
	cleanup_free char *path = memory_printf("%s/home/z", sides->target_path);
	has_attributes = setxattr(path, "user.test", "abc", 3, 0) == 0;
	candidates(sides, paths);
	run_and_write(sides);
	fstatat(sides->layer, "home/a", &one, 0);
	fstatat(sides->layer, "home/z", &two, 0);
	assert_int_equal(one.st_ino, two.st_ino);
	assert_file(sides->layer, "home/z", "linked");
	fstatat(sides->layer, "home/pipe", &one, 0);
	assert_true(S_ISFIFO(one.st_mode));
	assert_int_equal(one.st_mode & 07777, 0620);
	assert_absent(sides->layer, "home/sock");
	assert_true(string_list_has(&sides->record.skipped, "home/sock"));
	cleanup_free char *copy = memory_printf("%s/home/z", sides->layer_path);
	if (has_attributes) {
		assert_int_equal(getxattr(copy, "user.test", value, sizeof(value)), 3);
		assert_memory_equal(value, "abc", 3);
	}
}

static void links_in_the_layer_lead_nowhere(void **state)
{
	struct sides *sides = *state;
	const char *const paths[] = {"/opt/evil", "/opt/evil/f", "/gone/x", NULL};
	char *outside = make_directory();
	int fd = open_root(outside);

	put_file(fd, "x", "not ours");
	put_directory(sides->target, "opt/evil");
	put_file(sides->target, "opt/evil/f", "f");
	assert_int_equal(symlinkat(outside, sides->layer, "opt/evil"), 0);
	assert_int_equal(symlinkat(outside, sides->layer, "gone"), 0);
	candidates(sides, paths);
	run_and_write(sides);
	assert_absent(fd, "f");
	assert_file(fd, "x", "not ours");
	assert_file(sides->layer, "opt/evil/f", "f");
	close(fd);
	remove_directory(outside);
}

static void parents_times_are_kept(void **state)
{
	struct sides *sides = *state;
	const char *const paths[] = {"/opt/new", NULL};
	const struct timespec times[2] = {{5000, 123}, {5000, 123456789}};
	struct stat status;

	put_file(sides->target, "opt/new", "n");
	assert_int_equal(utimensat(sides->target, "opt", times, 0), 0);
	candidates(sides, paths);
	run_and_write(sides);
	fstatat(sides->layer, "opt", &status, 0);
	assert_int_equal(status.st_mtim.tv_sec, 5000);
	assert_int_equal(status.st_mtim.tv_nsec, 123456789);
	assert_int_equal(catalog_flags(sides, "opt"), 0);
}

static void parents_catalog_gives_candidates(void **state)
{
	struct sides *sides = *state;
	const char *const paths[] = {"/opt/a", "/opt/mine", NULL};
	struct error *err = NULL;
	struct own *second;
	struct own_totals totals;

	/* The parent had deleted opt/a and added opt/mine ... */
	unlinkat(sides->target, "opt/a", 0);
	put_file(sides->target, "opt/mine", "m");
	candidates(sides, paths);
	run_and_write(sides);
	/* ... then the container was recreated from the original image, with no changes. */
	put_file(sides->target, "opt/a", "a");
	unlinkat(sides->target, "opt/mine", 0);
	second = new_own(sides);
	must(own_add_parent(second, sides->scratch.store, &sides->record.root, &err), &err);
	must(own_run(second, &err), &err);
	assert_file(sides->layer, "opt/a", "a");
	assert_absent(sides->layer, "opt/mine");
	own_get_totals(second, &totals);
	assert_int_equal(totals.deleted, 1);
	own_free(second);
}

/* What was deleted in a directory is no record any more once the directory is none. */
static void deletions_go_with_their_directory(void **state)
{
	struct sides *sides = *state;
	const char *const paths[] = {"/opt/a", "/opt/b", "/etc/config", NULL};
	struct scratch_store scratch;
	struct tree_record record;
	struct error *err = NULL;
	struct own *second;

	for (size_t i = 0; paths[i]; i++)
		unlinkat(sides->target, paths[i] + 1, 0);
	candidates(sides, paths);
	run_and_write(sides);
	assert_int_equal(catalog_flags(sides, "opt/a"), ENTRY_DELETED);
	unlinkat(sides->target, "opt", AT_REMOVEDIR);
	unlinkat(sides->target, "etc", AT_REMOVEDIR);
	put_file(sides->target, "etc", "a file now");
	second = new_own(sides);
	must(own_add_parent(second, sides->scratch.store, &sides->record.root, &err), &err);
	own_add_candidate(second, "/opt");
	own_add_candidate(second, "/etc");
	must(own_run(second, &err), &err);
	scratch_store_begin(&scratch);
	tree_record_init(&record);
	must(own_write_catalog(second, scratch.capture, &record, &err), &err);
	scratch_store_finish(&scratch);
	must(own_verify(sides->layer, scratch.store, &record, true, &err), &err);
	assert_absent(sides->layer, "opt");
	assert_file(sides->layer, "etc", "a file now");
	own_free(second);
	tree_record_release(&record);
	scratch_store_release(&scratch);
}

static void included_file_follows_links_inside(void **state)
{
	struct sides *sides = *state;
	struct string_list included;
	struct error *err = NULL;
	const struct own_options options = {.target_fd = sides->target,
					    .layer_fd = sides->layer,
					    .dropped = &sides->dropped,
					    .included = &included};

	string_list_init(&included);
	string_list_add(&included, "/var/run/secret");
	both_directory(sides, "run");
	both_directory(sides, "var");
	assert_int_equal(symlinkat("/run", sides->target, "var/run"), 0);
	assert_int_equal(symlinkat("/run", sides->layer, "var/run"), 0);
	put_file(sides->target, "run/secret", "s");
	own_free(sides->own);
	sides->own = own_new(&options);
	must(own_run(sides->own, &err), &err);
	assert_file(sides->layer, "run/secret", "s");
	string_list_release(&included);
}

static void measuring_changes_nothing(void **state)
{
	struct sides *sides = *state;
	const struct own_options options = {.target_fd = sides->target,
					    .layer_fd = sides->layer,
					    .dropped = &sides->dropped,
					    .measure_only = true};
	struct own_totals totals;
	struct error *err = NULL;

	put_file(sides->target, "etc/config", "new content\n");
	unlinkat(sides->target, "opt/a", 0);
	own_free(sides->own);
	sides->own = own_new(&options);
	own_add_candidate(sides->own, "/etc/config");
	own_add_candidate(sides->own, "/opt/a");
	must(own_run(sides->own, &err), &err);
	own_get_totals(sides->own, &totals);
	assert_int_equal(totals.files, 1);
	assert_int_equal(totals.bytes, 12);
	assert_int_equal(totals.deleted, 1);
	assert_file(sides->layer, "etc/config", "old\n");
	assert_file(sides->layer, "opt/a", "a");
}

static void damage_in_the_layer_is_found(void **state)
{
	struct sides *sides = *state;
	const char *const paths[] = {"/etc/config", "/opt/a", NULL};
	struct error *err = NULL;

	unlinkat(sides->target, "opt/a", 0);
	candidates(sides, paths);
	run_and_write(sides);
	put_file(sides->layer, "etc/config", "OLD\n");
	assert_int_equal(own_verify(sides->layer, sides->scratch.store, &sides->record, true, &err),
			 -1);
	assert_int_equal(err->kind, ERROR_DAMAGED);
	error_free(err);
	err = NULL;
	put_file(sides->layer, "etc/config", "old\n");
	put_file(sides->layer, "opt/a", "back");
	assert_int_equal(own_verify(sides->layer, sides->scratch.store, &sides->record, true, &err),
			 -1);
	assert_int_equal(err->kind, ERROR_DAMAGED);
	error_free(err);
}

static void times_are_put_right(void **state)
{
	struct sides *sides = *state;
	const char *const paths[] = {"/etc/config", "/opt/a", "/opt/b", NULL};
	const struct timespec exact[2] = {{7000, 0}, {7000, 987654321}};
	const struct timespec cut[2] = {{7000, 0}, {7000, 0}};
	const struct timespec early[2] = {{0, 0}, {-5000, 42}}, never[2] = {{0, 0}, {0, 0}};
	struct error *err = NULL;
	struct stat status;

	utimensat(sides->target, "etc/config", exact, 0);
	utimensat(sides->target, "opt/b", exact, 0);
	utimensat(sides->target, "opt/a", early, 0);
	candidates(sides, paths);
	run_and_write(sides);
	utimensat(sides->layer, "etc/config", cut, 0);
	utimensat(sides->layer, "opt/a", never, 0);
	/* Somebody's own file in an image that was made from ours. */
	put_file(sides->layer, "opt/b", "another");
	utimensat(sides->layer, "opt/b", cut, 0);
	must(own_put_right(sides->layer, sides->scratch.store, &sides->record, &err), &err);
	fstatat(sides->layer, "etc/config", &status, 0);
	assert_int_equal(status.st_mtim.tv_nsec, 987654321);
	fstatat(sides->layer, "opt/b", &status, 0);
	assert_int_equal(status.st_mtim.tv_nsec, 0);
	fstatat(sides->layer, "opt/a", &status, 0);
	assert_int_equal(status.st_mtim.tv_sec, -5000);
	assert_int_equal(status.st_mtim.tv_nsec, 42);
}

static void stream_member(struct own *own, const char *path, mode_t mode, const char *text,
			  const char *hardlink)
{
	const struct own_member member = {.path = path,
					  .mode = mode,
					  .uid = geteuid(),
					  .gid = getegid(),
					  .size = text ? strlen(text) : 0,
					  .mtime = {1000, 0},
					  .hardlink = hardlink};
	struct error *err = NULL;

	must(own_stream_entry(own, &member, &err), &err);
	/* In two pieces, so that a difference may lie in the second. */
	if (text && *text) {
		must(own_stream_data(own, text, 1, &err), &err);
		if (text[1])
			must(own_stream_data(own, text + 1, strlen(text) - 1, &err), &err);
	}
}

static void stream_gives_the_same(void **state)
{
	struct sides *sides = *state;
	const struct own_member deleted = {.path = "opt/a", .deleted = true};
	const struct own_member climbing = {.path = "../x", .mode = S_IFREG | 0644};
	struct error *err = NULL;
	struct stat one, two, before;

	fstatat(sides->layer, "opt/b", &before, 0);
	stream_member(sides->own, "etc/config", S_IFREG | 0600, "old?", NULL);
	stream_member(sides->own, "opt/b", S_IFREG | 0644, "b", NULL);
	stream_member(sides->own, "data/ignored", S_IFREG | 0644, "volume", NULL);
	stream_member(sides->own, "new", S_IFDIR | 0750, NULL, NULL);
	stream_member(sides->own, "new/z", S_IFREG | 0644, "zz", NULL);
	stream_member(sides->own, "new/a", 0, NULL, "new/z");
	stream_member(sides->own, "new/pipe", S_IFIFO | 0620, NULL, NULL);
	stream_member(sides->own, "new/pipe-too", 0, NULL, "new/pipe");
	assert_int_equal(own_stream_entry(sides->own, &climbing, &err), -1);
	error_free(err);
	err = NULL;
	must(own_stream_entry(sides->own, &deleted, &err), &err);
	assert_int_equal(own_stream_data(sides->own, "x", 1, &err), -1);
	error_free(err);
	err = NULL;
	must(own_stream_end(sides->own, &err), &err);
	must(own_write_catalog(sides->own, sides->scratch.capture, &sides->record, &err), &err);
	scratch_store_finish(&sides->scratch);
	must(own_verify(sides->layer, sides->scratch.store, &sides->record, true, &err), &err);
	assert_file(sides->layer, "etc/config", "old?");
	assert_file(sides->layer, "new/a", "zz");
	assert_absent(sides->layer, "opt/a");
	assert_absent(sides->layer, "data");
	fstatat(sides->layer, "new/a", &one, 0);
	fstatat(sides->layer, "new/z", &two, 0);
	assert_int_equal(one.st_ino, two.st_ino);
	fstatat(sides->layer, "opt/b", &one, 0);
	assert_int_equal(one.st_ino, before.st_ino);
	fstatat(sides->layer, "new/pipe-too", &one, 0);
	assert_int_equal(one.st_mode, S_IFIFO | 0620);
	fstatat(sides->layer, "new", &one, 0);
	assert_int_equal(one.st_mode & 07777, 0750);
}

static void stream_that_breaks_off_is_refused(void **state)
{
	struct sides *sides = *state;
	const struct own_member member = {.path = "etc/new", .mode = S_IFREG | 0644, .size = 10};
	struct error *err = NULL;

	must(own_stream_entry(sides->own, &member, &err), &err);
	must(own_stream_data(sides->own, "12345", 5, &err), &err);
	assert_int_equal(own_stream_end(sides->own, &err), -1);
	assert_non_null(err);
	error_free(err);
}

static int refuse_all(void *context, uint64_t bytes, struct error **err)
{
	(void)context;
	(void)bytes;
	return error_set(err, ERROR_NO_SPACE, "no room");
}

static void no_permit_no_bytes(void **state)
{
	struct sides *sides = *state;
	const struct own_options options = {
		.target_fd = sides->target, .layer_fd = sides->layer, .permit = refuse_all};
	struct error *err = NULL;

	put_file(sides->target, "etc/config", "new\n");
	own_free(sides->own);
	sides->own = own_new(&options);
	own_add_candidate(sides->own, "/etc/config");
	assert_int_equal(own_run(sides->own, &err), -1);
	assert_int_equal(err->kind, ERROR_NO_SPACE);
	error_free(err);
}

/* ---- which process is proven ---------------------------------------------------------------- */

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void fake_process(const char *proc, const char *pid, const char *cgroup,
			 const char *hostname, unsigned start, const char *root, bool is_rooted)
{
	cleanup_free char *directory = memory_printf("%s/%s", proc, pid);
	cleanup_free char *stat_text = memory_printf(
		"%s (a) b) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %u 552 0\n", pid, start);
	cleanup_free char *mounts = memory_printf(
		"%s400 399 0:50 /%s /etc/hostname rw - ext4 /dev/vda rw\n"
		"401 399 0:50 /x/" ID_A "/hosts /etc/hosts rw - ext4 /dev/vda rw\n",
		is_rooted ? "399 398 0:51 / / rw - overlay overlay rw,lowerdir=/a:/b,index=off\n"
			  : "",
		hostname);
	int fd;

	assert_int_equal(mkdir(directory, 0755), 0);
	fd = open_root(directory);
	put_file(fd, "cgroup", cgroup);
	put_file(fd, "mountinfo", mounts);
	put_file(fd, "stat", stat_text);
	assert_int_equal(symlinkat(root, fd, "root"), 0);
	close(fd);
}

static unsigned find(const char *proc, int *fd)
{
	struct error *err = NULL;
	struct own_root found = {.fd = 99, .proven = 99};

	must(own_find_root(proc, ID_A, &found, &err), &err);
	if (found.fd >= 0)
		assert_string_equal(found.overlay, "rw,lowerdir=/a:/b,index=off");
	else
		assert_null(found.overlay);
	free(found.overlay);
	*fd = found.fd;
	return found.proven;
}

static void only_proven_processes_count(void **state)
{
	char *proc = make_directory(), *host = make_directory(), *target = make_directory();
	int fd, root;

	(void)state;
	root = open_root(target);
	put_file(root, "is-target", "");
	/* pid: host: process 1 is the host's; another container shares our target's network. */
	fake_process(proc, "1", "0::/init.scope\n", "etc/hostname", 1, host, true);
	fake_process(proc, "50", "0::/docker/" ID_B "\n", "x/" ID_B "/hostname", 2, host, true);
	/* without cgroup, sharing only the network: its /etc/hosts is the target's */
	fake_process(proc, "60", "0::/\n", "x/" ID_B "/hostname", 3, host, true);
	assert_int_equal(find(proc, &fd), 0);
	assert_int_equal(fd, -1);
	/* a container nested in the target is not the target */
	fake_process(proc, "70", "0::/docker/" ID_A "/docker/" ID_B "\n", "x/" ID_B "/hostname", 4,
		     host, true);
	/* a process in a chroot shows the wrong root */
	fake_process(proc, "80", "1:cpu:/docker/" ID_A "\n0::/docker/" ID_A "\n",
		     "x/" ID_A "/hostname", 5, host, false);
	assert_int_equal(find(proc, &fd), 0);
	/* two real ones: the older wins */
	fake_process(proc, "90", "0::/../" ID_A "\n", "x/" ID_A "/hostname", 20, host, true);
	fake_process(proc, "91", "0::/../docker-" ID_A ".scope\n", "x/" ID_A "/hostname", 10,
		     target, true);
	assert_int_equal(find(proc, &fd), 2);
	assert_int_equal(faccessat(fd, "is-target", F_OK, 0), 0);
	close(fd);
	close(root);
	remove_directory(proc);
	remove_directory(host);
	remove_directory(target);
}

static void first_process_is_preferred(void **state)
{
	char *proc = make_directory(), *other = make_directory(), *target = make_directory();
	int fd, root = open_root(target);

	(void)state;
	put_file(root, "is-target", "");
	fake_process(proc, "7", "0::/\n", "x/" ID_A "/hostname", 1, other, true);
	fake_process(proc, "1", "0::/\n", "x/" ID_A "/hostname", 5, target, true);
	assert_int_equal(find(proc, &fd), 2);
	assert_int_equal(faccessat(fd, "is-target", F_OK, 0), 0);
	close(fd);
	assert_int_equal(own_find_root(proc, "abc", &(struct own_root){0}, NULL), -1);
	close(root);
	remove_directory(proc);
	remove_directory(other);
	remove_directory(target);
}

#define test_with_sides(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_with_sides(changed_added_and_deleted),
		test_with_sides(unchanged_files_are_not_written),
		test_with_sides(hidden_deletions_of_a_recreated_directory),
		test_with_sides(types_change_both_ways),
		test_with_sides(hard_links_fifos_sockets_attributes),
		test_with_sides(links_in_the_layer_lead_nowhere),
		test_with_sides(parents_times_are_kept),
		test_with_sides(parents_catalog_gives_candidates),
		test_with_sides(deletions_go_with_their_directory),
		test_with_sides(included_file_follows_links_inside),
		test_with_sides(measuring_changes_nothing),
		test_with_sides(damage_in_the_layer_is_found),
		test_with_sides(times_are_put_right),
		test_with_sides(stream_gives_the_same),
		test_with_sides(stream_that_breaks_off_is_refused),
		test_with_sides(no_permit_no_bytes),
		cmocka_unit_test(only_proven_processes_count),
		cmocka_unit_test(first_process_is_preferred),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
