/*
 * For the tests of trees: a scratch directory, a description of a tree that is made
 * with nothing of ours (so that what capture and restore both miss is seen), captures
 * in one call, and catalogs out of arbitrary bytes.
 */
#ifndef TEST_TREE_SUPPORT_H
#define TEST_TREE_SUPPORT_H

#include "test_support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"
#include "tree/capture/capture.h"
#include "tree/capture/rewrite.h"
#include "tree/draft.h"
#include "tree/earlier.h"
#include "tree/format.h"
#include "tree/restore/restore.h"

static UNUSED uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 16;
}

/* ---- a scratch directory ------------------------------------------------------------------- */

struct scratch {
	char path[64];
	int fd;
};

/* ${parent}: "/tmp", or "/dev/shm" where nothing needs a disk. */
static UNUSED void scratch_make(struct scratch *scratch, const char *parent)
{
	if (access(parent, W_OK) < 0)
		parent = "/tmp";
	snprintf(scratch->path, sizeof(scratch->path), "%s/test_tree.XXXXXX", parent);
	assert_non_null(mkdtemp(scratch->path));
	scratch->fd = open(scratch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(scratch->fd >= 0);
}

/* Not with our own code: it is what is tested. */
static UNUSED void remove_all(const char *path)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		execlp("rm", "rm", "-rf", "--", path, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
}

static UNUSED void scratch_remove(struct scratch *scratch)
{
	close(scratch->fd);
	remove_all(scratch->path);
}

static UNUSED int make_directory(int parent, const char *name)
{
	int fd;

	assert_true(mkdirat(parent, name, 0755) == 0 || errno == EEXIST);
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static UNUSED void make_file(int parent, const char *name, const void *data, size_t size)
{
	int fd = openat(parent, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_write_full(fd, data, size), 0);
	close(fd);
}

static UNUSED void make_text_file(int parent, const char *name, const char *text)
{
	make_file(parent, name, text, strlen(text));
}

/* ---- what is there, as text ----------------------------------------------------------------- */

struct description {
	struct buffer text;
	struct {
		ino_t inode;
		char *path;
	} * links;
	size_t link_count;
};

static UNUSED int compare_name_pointers(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void describe_attributes(struct description *description, int fd)
{
	char proc[40], names[65536], value[65536];
	char *list[512];
	size_t count = 0;
	ssize_t size;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	size = listxattr(proc, names, sizeof(names));
	for (char *name = names; name < names + size && count < 512; name += strlen(name) + 1)
		list[count++] = name;
	qsort(list, count, sizeof(*list), compare_name_pointers);
	for (size_t i = 0; i < count; i++) {
		ssize_t got = getxattr(proc, list[i], value, sizeof(value));
		cleanup_free char *hex = text_hex(value, got > 0 ? (size_t)got : 0);

		buffer_printf(&description->text, "\t%s=%s\n", list[i], hex);
	}
}

/* The data extents and a sum of the bytes. */
static void describe_content(struct description *description, int parent, const char *name,
			     off_t size)
{
	int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	uint64_t sum = 14695981039346656037ULL;
	uint8_t data[65536];
	off_t at = 0, hole;
	ssize_t got;

	assert_true(fd >= 0);
	while ((got = read(fd, data, sizeof(data))) > 0)
		for (ssize_t i = 0; i < got; i++)
			sum = (sum ^ data[i]) * 1099511628211ULL;
	buffer_printf(&description->text, "\tsum %llx", (unsigned long long)sum);
	while (at < size && (at = lseek(fd, at, SEEK_DATA)) >= 0) {
		hole = lseek(fd, at, SEEK_HOLE);
		buffer_printf(&description->text, " %lld-%lld", (long long)at, (long long)hole);
		at = hole;
	}
	buffer_append_string(&description->text, "\n");
	close(fd);
}

static void describe_links(struct description *description, const struct stat *status,
			   const char *path)
{
	size_t i = 0;

	while (i < description->link_count && description->links[i].inode != status->st_ino)
		i++;
	if (i == description->link_count) {
		description->links =
			memory_array(description->links, i + 1, sizeof(*description->links));
		description->links[i].inode = status->st_ino;
		description->links[i].path = memory_strdup(path);
		description->link_count++;
	}
	buffer_printf(&description->text, "\tsame as %s\n", description->links[i].path);
}

static void describe_directory(struct description *description, int fd, const char *path);

static void describe_one(struct description *description, int parent, const char *name,
			 const char *path)
{
	char target[4096] = "";
	struct stat status;
	int fd;

	assert_int_equal(fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW), 0);
	if (S_ISLNK(status.st_mode))
		assert_true(readlinkat(parent, name, target, sizeof(target) - 1) > 0);
	buffer_printf(
		&description->text, "%s %o %u:%u %lld %lld.%09ld %x:%x %s\n", path, status.st_mode,
		status.st_uid, status.st_gid,
		S_ISREG(status.st_mode) ? (long long)status.st_size : 0,
		(long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
		S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode) ? major(status.st_rdev) : 0,
		S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode) ? minor(status.st_rdev) : 0,
		target);
	fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	assert_true(fd >= 0);
	if (!S_ISLNK(status.st_mode))
		describe_attributes(description, fd);
	close(fd);
	if (status.st_nlink > 1 && !S_ISDIR(status.st_mode))
		describe_links(description, &status, path);
	if (S_ISREG(status.st_mode))
		describe_content(description, parent, name, status.st_size);
	if (S_ISDIR(status.st_mode)) {
		fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		assert_true(fd >= 0);
		describe_directory(description, fd, path);
	}
}

/* What is in it, to be released. */
static UNUSED void sorted_names(DIR *directory, struct string_list *names)
{
	struct dirent *entry;

	string_list_init(names);
	while ((entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			string_list_add(names, entry->d_name);
	string_list_sort(names);
}

static void describe_directory(struct description *description, int fd, const char *path)
{
	struct string_list names;
	DIR *directory = fdopendir(fd);

	assert_non_null(directory);
	sorted_names(directory, &names);
	for (size_t i = 0; i < names.count; i++) {
		cleanup_free char *below = memory_printf("%s/%s", path, names.items[i]);

		describe_one(description, fd, names.items[i], below);
	}
	string_list_release(&names);
	closedir(directory);
}

/* Everything about the tree below ${name}, to be freed. */
static UNUSED char *describe(int parent, const char *name)
{
	struct description description = {.link_count = 0};

	buffer_init(&description.text, 64U << 20);
	describe_one(&description, parent, name, ".");
	assert_false(description.text.failed);
	for (size_t i = 0; i < description.link_count; i++)
		free(description.links[i].path);
	free(description.links);
	return buffer_steal(&description.text);
}

/*
 * Without the extents: blocks of the file system's own (attributes, many extents) count as
 * a file's, so that a small hole may have been read as zeros.
 */
static UNUSED char *describe_without_extents(int parent, const char *name)
{
	char *text = describe(parent, name), *to = text, *line, *end;

	for (line = text; *line; line = end + 1) {
		size_t size;

		end = strchr(line, '\n');
		size = (size_t)(end - line);
		if (strncmp(line, "\tsum ", 5) == 0)
			size = 5 + strcspn(line + 5, " \n");
		memmove(to, line, size);
		to += size;
		*to++ = '\n';
	}
	*to = '\0';
	return text;
}

/* Two descriptions; the lines from the first one that differs are shown. */
static UNUSED void assert_described(const char *what, const char *expected, const char *actual)
{
	size_t line = 0;

	if (strcmp(expected, actual) == 0)
		return;
	for (size_t i = 0; expected[i] && expected[i] == actual[i]; i++)
		if (expected[i] == '\n')
			line = i + 1;
	fail_msg("%s is\n%.400s\n---- instead of\n%.400s", what, actual + line, expected + line);
}

static UNUSED void assert_same_tree(int parent, const char *a, const char *b)
{
	cleanup_free char *expected = describe(parent, a), *actual = describe(parent, b);

	assert_described(b, expected, actual);
}

/* ---- captures -------------------------------------------------------------------------------- */

struct snapshot {
	struct manifest manifest;
	struct store *store;
	int store_fd;
};

/* One tree in a store of that name, which is still to be captured. */
static UNUSED void snapshot_begin(struct snapshot *snapshot, int parent, const char *store_name)
{
	struct manifest *manifest = &snapshot->manifest;
	struct tree_record *tree;

	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->store_fd = make_directory(parent, store_name);
	manifest_init(manifest);
	manifest_note_run(manifest);
	manifest->id = memory_strdup("id");
	tree = manifest_add_tree(manifest);
	tree->name = memory_strdup("volume");
	string_list_add(&tree->paths, "/data");
}

/* Its capture, over the snapshot before (NULL: none). */
static UNUSED struct capture *snapshot_capture(const struct snapshot *snapshot,
					       const struct snapshot *before)
{
	struct capture_options options = {.workers = 2,
					  .store_fd = snapshot->store_fd,
					  .known = before ? before->store : NULL};
	struct error *error = NULL;
	struct capture *capture = capture_open(&options, &error);

	if (!capture)
		fail_msg("%s", error->message);
	return capture;
}

/* What a capture leans on: a draft, else the snapshot before, else nothing. */
static UNUSED struct earlier *snapshot_files(const struct snapshot *before,
					     const struct draft *draft)
{
	if (draft)
		return earlier_of_draft(draft, before ? before->store : NULL);
	return before ? earlier_of_catalog(before->store, &before->manifest.trees->root,
					   manifest_is_of_this_run(&before->manifest))
		      : NULL;
}

/* A pass of a pre-copy over the last one's draft (NULL: none yet), which it frees. */
static UNUSED struct draft *snapshot_precopy(const struct snapshot *snapshot,
					     struct capture *capture, struct tree_source source,
					     const struct snapshot *before, struct draft *last,
					     bool defer, struct capture_pass *pass)
{
	struct error *error = NULL;
	struct draft *draft = draft_new(snapshot->store_fd, &error);
	struct tree_record record;

	assert_non_null(draft);
	source.earlier = snapshot_files(before, last);
	tree_record_init(&record);
	must(capture_draft(capture, &source, draft, defer, &record, pass, &error), &error);
	must(capture_renew(capture, &error), &error);
	tree_record_release(&record);
	earlier_free(source.earlier);
	draft_free(last);
	return draft;
}

/* The tree itself, under a freeze if a pre-copy has left a draft, which is freed. */
static UNUSED void snapshot_capture_tree(struct snapshot *snapshot, struct capture *capture,
					 struct tree_source source, const struct snapshot *before,
					 struct draft *draft, struct capture_pass *pass)
{
	struct error *error = NULL;

	source.earlier = snapshot_files(before, draft);
	source.is_frozen = draft != NULL;
	must(capture_tree(capture, &source, snapshot->manifest.trees, pass, &error), &error);
	earlier_free(source.earlier);
	draft_free(draft);
}

/*
 * The capture is done: the manifest is written, and read with the store as a restore would.
 * Older packs are there too, as in a helper that is made from the snapshot before.
 */
static UNUSED void snapshot_end(struct snapshot *snapshot, struct capture *capture,
				const struct snapshot *before, struct store_writer_totals *totals)
{
	struct manifest *manifest = &snapshot->manifest;
	struct error *error = NULL;

	must(capture_finish(capture, &manifest->packs, &manifest->pack_count, totals, &error),
	     &error);
	capture_free(capture);
	if (before)
		manifest_add_packs(manifest, before->manifest.packs, before->manifest.pack_count);
	must(manifest_write(manifest, snapshot->store_fd, NULL, &error), &error);
	manifest_release(manifest);
	manifest_init(manifest);
	must(manifest_read(manifest, snapshot->store_fd, NULL, &error), &error);
	snapshot->store = manifest_store(manifest, snapshot->store_fd, &error);
	if (!snapshot->store)
		fail_msg("%s", error->message);
}

/* All of it, over the snapshot before (NULL: none); ${pass} may be NULL. */
static UNUSED void snapshot_take_over(struct snapshot *snapshot, int parent, const char *store_name,
				      struct tree_source source, const struct snapshot *before,
				      struct capture_pass *pass)
{
	struct capture *capture;

	snapshot_begin(snapshot, parent, store_name);
	capture = snapshot_capture(snapshot, before);
	snapshot_capture_tree(snapshot, capture, source, before, NULL, pass);
	snapshot_end(snapshot, capture, before, NULL);
}

/* All of it over nothing, where the capture may fail. */
static UNUSED int snapshot_take(struct snapshot *snapshot, int parent, const char *store_name,
				const struct tree_source *source, struct error **err)
{
	struct capture *capture;

	snapshot_begin(snapshot, parent, store_name);
	capture = snapshot_capture(snapshot, NULL);
	if (capture_tree(capture, source, snapshot->manifest.trees, NULL, err) < 0) {
		capture_free(capture);
		return -1;
	}
	snapshot_end(snapshot, capture, NULL, NULL);
	return 0;
}

/* ${from} written anew in a store of that name; to be released also after a failure. */
static UNUSED int snapshot_rewrite(struct snapshot *to, int parent, const char *store_name,
				   const struct snapshot *from, struct capture_options *options,
				   struct error **err)
{
	struct manifest *manifest = &to->manifest;
	struct rewrite *rewrite;
	int result;

	snapshot_begin(to, parent, store_name);
	tree_record_release(manifest->trees);
	options->store_fd = to->store_fd;
	rewrite = rewrite_open(options, err);
	assert_non_null(rewrite);
	result = rewrite_tree(rewrite, from->store, from->manifest.trees, manifest->trees, err);
	if (result == 0)
		result =
			rewrite_finish(rewrite, &manifest->packs, &manifest->pack_count, NULL, err);
	rewrite_free(rewrite);
	if (result == 0)
		to->store = manifest_store(manifest, to->store_fd, err);
	return result < 0 || !to->store ? -1 : 0;
}

static UNUSED void snapshot_release(struct snapshot *snapshot)
{
	store_free(snapshot->store);
	manifest_release(&snapshot->manifest);
	close(snapshot->store_fd);
}

static const struct restore_options UNUSED replace_all = {.workers = 2, .remove_extra = true};

/* Check it, and make "target" what it holds, whatever is there. */
static UNUSED void snapshot_restore(const struct snapshot *snapshot, int parent)
{
	struct error *error = NULL;
	int fd = make_directory(parent, "target");

	must(tree_verify(snapshot->store, snapshot->manifest.trees, &error), &error);
	must(tree_restore(fd, snapshot->store, snapshot->manifest.trees, &replace_all, NULL,
			  &error),
	     &error);
	close(fd);
}

/* ---- catalogs out of arbitrary bytes ----------------------------------------------------------- */

struct raw_catalogs {
	int store_fd;
	struct store_writer *writer;
	struct catalog_root *roots;
	size_t count;
	struct buffer list;
	struct store *store;
	struct pack_info *packs;
	size_t pack_count;
};

static UNUSED int raw_sink(void *context, uint64_t cookie, const struct chunk_ref *refs,
			   size_t count, bool last, struct error **err)
{
	struct raw_catalogs *raw = context;
	struct catalog_root *root = &raw->roots[cookie / 2];

	(void)last;
	(void)err;
	for (size_t i = 0; i < count; i++) {
		if (cookie % 2) {
			root->refs = memory_array(root->refs, root->count + 1, sizeof(*refs));
			root->refs[root->count++] = refs[i];
		} else {
			buffer_append(&raw->list, refs[i].id.bytes, HASH_SIZE);
			buffer_append_u32(&raw->list, refs[i].size);
		}
	}
	return 0;
}

static UNUSED void raw_open(struct raw_catalogs *raw, int parent, size_t most)
{
	struct store_writer_options options = {.workers = 1, .sink = raw_sink};
	struct error *error = NULL;

	memset(raw, 0, sizeof(*raw));
	raw->store_fd = options.directory_fd = make_directory(parent, "store");
	options.sink_context = raw;
	raw->roots = memory_zalloc(most * sizeof(*raw->roots));
	buffer_init(&raw->list, 1U << 20);
	raw->writer = store_writer_open(&options, &error);
	assert_non_null(raw->writer);
}

/* A catalog whose stream has exactly these bytes. */
static UNUSED size_t raw_add(struct raw_catalogs *raw, const void *bytes, size_t size)
{
	struct error *error = NULL;
	struct buffer list;
	size_t i = raw->count++;

	buffer_clear(&raw->list);
	must(store_writer_put(raw->writer, 2 * i, CHUNKING_CONTENT, 0, bytes, size, &error),
	     &error);
	must(store_writer_flush(raw->writer, &error), &error);
	buffer_init(&list, 1U << 20);
	buffer_append(&list, CATALOG_LIST_MAGIC, CATALOG_MAGIC_SIZE);
	buffer_append_u64(&list, size);
	buffer_append(&list, raw->list.data, raw->list.size);
	must(store_writer_put(raw->writer, 2 * i + 1, CHUNKING_CONTENT, 0, list.data, list.size,
			      &error),
	     &error);
	must(store_writer_flush(raw->writer, &error), &error);
	buffer_release(&list);
	return i;
}

static UNUSED void raw_finish(struct raw_catalogs *raw)
{
	struct error *error = NULL;

	must(store_writer_finish(raw->writer, &raw->packs, &raw->pack_count, &error), &error);
	raw->store = store_open(raw->store_fd, raw->packs, raw->pack_count, 0, &error);
	if (!raw->store)
		fail_msg("%s", error->message);
}

static UNUSED void raw_release(struct raw_catalogs *raw)
{
	store_free(raw->store);
	store_writer_free(raw->writer);
	for (size_t i = 0; i < raw->count; i++)
		catalog_root_release(&raw->roots[i]);
	free(raw->roots);
	free(raw->packs);
	buffer_release(&raw->list);
	close(raw->store_fd);
}

/* A catalog's stream made of entries, whatever they say. */
static UNUSED void encode_catalog(struct buffer *stream, const struct catalog_entry *entries,
				  size_t count, uint32_t flags)
{
	buffer_append(stream, CATALOG_MAGIC, CATALOG_MAGIC_SIZE);
	buffer_append_u32(stream, flags);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(catalog_encode(stream, &entries[i]), 0);
	buffer_append_u32(stream, 0);
	buffer_append_u64(stream, count);
}

#endif
