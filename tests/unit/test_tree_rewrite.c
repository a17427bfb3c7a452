/*
 * Consolidation of a store: what several captures have left in many packs, written anew.
 * The result is restored and compared by a walk of the test's own, and must be what a
 * capture of the same files makes.
 */
#include "test_tree_bench.h"

#include "store/format.h"
#include "tree/catalog_writer.h"
#include "tree/needed.h"

#define BLOCK (32U << 10)
#define PAGE 8192U
#define BLOCKS 24U

static int setup(void **state)
{
	struct bench *bench = bench_new("/tmp");

	string_list_add(&bench->pages, "paged*");
	*state = bench;
	return 0;
}

#define rewrite_test(test) cmocka_unit_test_setup_teardown(test, setup, bench_teardown)

static void remove_below(struct bench *bench, const char *name)
{
	cleanup_free char *path = memory_printf("%s/%s", bench->scratch.path, name);

	remove_all(path);
}

struct permit {
	unsigned calls, refuse_at; /* 0: never */
};

static int permit(void *context, uint64_t bytes, struct error **err)
{
	struct permit *permit = context;

	(void)bytes;
	if (permit->refuse_at && ++permit->calls >= permit->refuse_at)
		return error_set(err, ERROR_NO_SPACE, "the reserve of free space is reached");
	return 0;
}

/* In a store of that name, with all the room there is; the bench's. */
static struct snapshot *rewritten(struct bench *bench, const struct snapshot *from,
				  const char *name)
{
	struct capture_options options = {.workers = 2};
	struct snapshot *to = bench_snapshot(bench);
	struct error *error = NULL;

	must(snapshot_rewrite(to, bench->scratch.fd, name, from, &options, &error), &error);
	return to;
}

/* It fails, and leaves nothing. */
static void assert_not_rewritten(struct bench *bench, const struct snapshot *from,
				 struct permit *space, enum error_kind kind)
{
	struct capture_options options = {.workers = 2, .permit = permit, .permit_context = space};
	cleanup_free char *path = memory_printf("%s/one/packs", bench->scratch.path);
	struct error *error = NULL;
	struct dirent *entry;
	struct snapshot one;
	DIR *directory;

	must_fail(snapshot_rewrite(&one, bench->scratch.fd, "one", from, &options, &error), &error,
		  kind);
	snapshot_release(&one);
	directory = opendir(path);
	assert_non_null(directory);
	while ((entry = readdir(directory)))
		assert_true(entry->d_name[0] == '.');
	closedir(directory);
}

static uint64_t raw_size(const struct manifest *manifest)
{
	uint64_t size = 0;

	for (size_t i = 0; i < manifest->pack_count; i++)
		size += manifest->packs[i].raw_size;
	return size;
}

/* Same records, fingerprints, hints and all; with ${contents} in the same pieces too. */
static void assert_same_records(const struct snapshot *a, const struct snapshot *b, bool contents)
{
	struct error *error = NULL;
	struct catalog_reader *left = catalog_open(a->store, &a->manifest.trees->root, &error);
	struct catalog_reader *right = catalog_open(b->store, &b->manifest.trees->root, &error);
	struct catalog_entry one, other;
	struct buffer x, y;
	int result;

	assert_non_null(left);
	assert_non_null(right);
	buffer_init(&x, 16U << 20);
	buffer_init(&y, 16U << 20);
	while ((result = catalog_next(left, &one, &error)) > 0) {
		assert_int_equal(catalog_next(right, &other, &error), 1);
		assert_int_equal(one.size, other.size);
		if (!contents)
			one.content_count = other.content_count = 0, one.size = other.size = 0;
		buffer_clear(&x);
		buffer_clear(&y);
		assert_int_equal(catalog_encode(&x, &one), 0);
		assert_int_equal(catalog_encode(&y, &other), 0);
		assert_int_equal(x.size, y.size);
		assert_memory_equal(x.data, y.data, x.size);
	}
	assert_int_equal(result, 0);
	assert_int_equal(catalog_next(right, &other, &error), 0);
	buffer_release(&x);
	buffer_release(&y);
	catalog_close(left);
	catalog_close(right);
}

/* Files of many kinds; those that change are in "hot". */
static void make_files(struct bench *bench)
{
	struct stat status;
	int fd, directory = make_directory(bench->fd, "dir");

	make_noise(bench, "cold", 700000);
	make_noise(bench, "hot", 900000);
	make_noise(bench, "paged", BLOCKS * BLOCK + 1000);
	make_noise(bench, "small", 100);
	make_noise(bench, "empty", 0);
	assert_int_equal(linkat(bench->fd, "cold", directory, "also-cold", 0), 0);
	assert_int_equal(symlinkat("../cold", directory, "link"), 0);
	assert_int_equal(mkfifoat(directory, "pipe", 0640), 0);
	fd = openat(bench->fd, "paged-sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "begin", 5, 0), 5);
	assert_int_equal(pwrite(fd, "middle", 6, 5 * BLOCK + 4096), 6);
	assert_int_equal(ftruncate(fd, 9 * BLOCK), 0);
	assert_int_equal(fstat(fd, &status), 0);
	close(fd);
	fd = openat(bench->fd, "small", O_RDONLY | O_CLOEXEC);
	(void)fsetxattr(fd, "user.test", "value", 5, 0);
	close(fd);
	close(directory);
}

static void test_a_chain_becomes_one(void **state)
{
	struct bench *bench = *state;
	struct snapshot *last = NULL, *one;

	make_files(bench);
	for (size_t i = 0; i < 5; i++) {
		if (i)
			make_noise(bench, "hot", 900000 + 1000 * i);
		last = take_over(bench, "chain", last, NULL);
	}
	assert_true(last->manifest.pack_count >= 5);
	one = rewritten(bench, last, "one");
	/* one of data and one of catalogs */
	assert_int_equal(one->manifest.pack_count, 2);
	assert_same_records(last, one, true);
	assert_true(hash_equal(&one->manifest.trees->hash, &last->manifest.trees->hash));
	assert_int_equal(one->manifest.trees->former_count, 0);
	assert_string_equal(one->manifest.trees->paths.items[0], "/data");
	/* four versions of 900 kB are not there any more */
	assert_true(raw_size(&one->manifest) + 3500000 < raw_size(&last->manifest));
	/* and nothing needs the others */
	remove_below(bench, "chain");
	assert_restores(bench, one);
}

static uint64_t needed(const struct snapshot *from, const struct store *known)
{
	struct error *error = NULL;
	uint64_t bytes = 0;

	must(needed_bytes(from->store, &from->manifest, known, &bytes, &error), &error);
	return bytes;
}

/* What is foretold is what is then written, but for the index of the catalog's chunks. */
static void test_what_is_needed(void **state)
{
	struct bench *bench = *state;
	struct snapshot *last = NULL, *one;
	uint64_t all;

	make_files(bench);
	for (size_t i = 0; i < 3; i++) {
		make_noise(bench, "hot", 900000 + 1000 * i);
		last = take_over(bench, "chain", last, NULL);
	}
	all = needed(last, NULL);
	one = rewritten(bench, last, "one");
	assert_true(all <= raw_size(&one->manifest));
	assert_true(all + 10000 > raw_size(&one->manifest));
	assert_true(all + 1700000 < raw_size(&last->manifest));
	/* of what is known the catalog alone */
	assert_true(needed(last, one->store) < 10000);
	assert_true(needed(last, one->store) > 0);
}

static void test_unchanged_files_are_known_afterwards(void **state)
{
	struct bench *bench = *state;
	struct snapshot *one, *next;
	struct capture_pass pass;

	make_files(bench);
	cool_down();
	one = rewritten(bench, take_over(bench, "chain", NULL, NULL), "one");
	next = take_over(bench, "one", one, &pass);
	if (pass.is_trusted) {
		assert_int_equal(pass.read_bytes, 0);
		assert_int_equal(pass.reused_bytes, next->manifest.trees->bytes);
	}
	assert_true(hash_equal(&next->manifest.trees->hash, &one->manifest.trees->hash));
}

/* ---- blocks that are pieced together ----------------------------------------------------------- */

static struct content part(const struct chunk_ref *chunk, uint32_t offset, uint32_t length)
{
	return (struct content){
		.kind = CONTENT_CHUNK, .length = length, .chunk = *chunk, .offset = offset};
}

static int keep_refs(void *context, uint64_t cookie, const struct chunk_ref *refs, size_t count,
		     bool last, struct error **err)
{
	struct chunk_ref *kept = context;

	(void)last;
	(void)err;
	for (size_t i = 0; i < count; i++)
		kept[cookie] = refs[i];
	return 0;
}

/* Pages of "paged" are changed: their new contents as chunks of their own, in order. */
static struct pack_info *store_pages(struct bench *bench, int store_fd, const unsigned *pages,
				     struct chunk_ref *refs, size_t count)
{
	struct store_writer_options options = {
		.directory_fd = store_fd, .workers = 1, .sink = keep_refs, .sink_context = refs};
	struct error *error = NULL;
	struct store_writer *writer = store_writer_open(&options, &error);
	int fd = openat(bench->fd, "paged", O_RDWR | O_CLOEXEC);
	struct pack_info *packs;
	size_t pack_count;

	assert_non_null(writer);
	for (size_t i = 0; i < count; i++) {
		uint8_t data[PAGE];

		noise(bench, data, PAGE);
		assert_int_equal(pwrite(fd, data, PAGE, (off_t)pages[i] * PAGE), PAGE);
		must(store_writer_put(writer, i, CHUNKING_FIXED, PAGE, data, PAGE, &error), &error);
	}
	must(store_writer_finish(writer, &packs, &pack_count, &error), &error);
	assert_int_equal(pack_count, 1);
	store_writer_free(writer);
	close(fd);
	return packs;
}

/* The contents of "paged" with those pages in the place of what ${entry} has there. */
static size_t patch(const struct catalog_entry *entry, const unsigned *pages,
		    const struct chunk_ref *refs, size_t count, struct content *contents)
{
	size_t made = 0;

	for (size_t i = 0; i < entry->content_count; i++) {
		uint64_t begin = (uint64_t)i * BLOCK;
		uint32_t at = 0, size = entry->contents[i].chunk.size;

		for (size_t p = 0; p < count; p++) {
			uint64_t page = (uint64_t)pages[p] * PAGE;

			if (page < begin || page >= begin + size)
				continue;
			if (page - begin > at)
				contents[made++] = part(&entry->contents[i].chunk, at,
							(uint32_t)(page - begin) - at);
			contents[made++] = part(&refs[p], 0, PAGE);
			at = (uint32_t)(page - begin) + PAGE;
		}
		if (at < size)
			contents[made++] = part(&entry->contents[i].chunk, at, size - at);
	}
	return made;
}

/* ${to}: the tree of ${from}, but that pages of "paged" are changed, in the source as well. */
static void make_patched(struct bench *bench, struct snapshot *from, const unsigned *pages,
			 size_t count, struct snapshot *to)
{
	struct chunk_ref refs[16];
	struct pack_info *changed = store_pages(bench, from->store_fd, pages, refs, count), *packs;
	struct content contents[16 * BLOCKS];
	struct store_writer_options options = {
		.directory_fd = from->store_fd, .workers = 1, .sink = catalog_writer_sink};
	struct catalog_writer *catalog = catalog_writer_new();
	struct error *error = NULL;
	struct catalog_reader *reader;
	struct catalog_entry entry;
	struct store_writer *store;
	size_t pack_count;

	snapshot_begin(to, bench->scratch.fd, "chain");
	options.sink_context = catalog;
	store = store_writer_open(&options, &error);
	assert_non_null(store);
	catalog_writer_attach(catalog, store);
	must(catalog_writer_begin(catalog, false, &error), &error);
	reader = catalog_open(from->store, &from->manifest.trees->root, &error);
	assert_non_null(reader);
	while (catalog_next(reader, &entry, &error) > 0) {
		struct pending_entry *pending;

		if (strcmp(entry.path, "paged") == 0) {
			entry.content_count = patch(&entry, pages, refs, count, contents);
			entry.contents = contents;
		}
		pending = catalog_writer_push(catalog, &entry);
		catalog_writer_contents(catalog, pending, &entry, false);
		must(catalog_writer_complete(catalog, pending, 0, false, &error), &error);
	}
	assert_null(error);
	must(catalog_writer_end(catalog, to->manifest.trees, NULL, &error), &error);
	must(store_writer_finish(store, &packs, &pack_count, &error), &error);
	manifest_add_packs(&to->manifest, from->manifest.packs, from->manifest.pack_count);
	manifest_add_packs(&to->manifest, changed, 1);
	manifest_add_packs(&to->manifest, packs, pack_count);
	to->store = manifest_store(&to->manifest, to->store_fd, &error);
	assert_non_null(to->store);
	catalog_close(reader);
	store_writer_free(store);
	catalog_writer_free(catalog);
	free(packs);
	free(changed);
}

static void test_patched_blocks_are_whole_again(void **state)
{
	static const unsigned pages[] = {0, 5, 6, 7, 20, 43, 44, 45, 46, 47};
	const size_t count = sizeof(pages) / sizeof(*pages);
	struct bench *bench = *state;
	struct snapshot *first, *patched = bench_snapshot(bench), *one, *fresh, *again;
	struct stat status;

	make_files(bench);
	first = take_over(bench, "chain", NULL, NULL);
	assert_int_equal(fstatat(bench->fd, "paged", &status, 0), 0);
	make_patched(bench, first, pages, count, patched);
	assert_int_equal(utimensat(bench->fd, "paged",
				   (struct timespec[2]){status.st_atim, status.st_mtim}, 0),
			 0);
	assert_restores(bench, patched);
	one = rewritten(bench, patched, "one");
	assert_same_records(patched, one, false);
	remove_below(bench, "target");
	assert_restores(bench, one);
	/* the hash is the one that a capture of the whole has, the old one is kept */
	fresh = take_over(bench, "fresh", NULL, NULL);
	assert_true(hash_equal(&one->manifest.trees->hash, &fresh->manifest.trees->hash));
	assert_false(hash_equal(&one->manifest.trees->hash, &patched->manifest.trees->hash));
	assert_int_equal(one->manifest.trees->former_count, 1);
	assert_true(tree_record_is(one->manifest.trees, &patched->manifest.trees->hash));
	assert_true(tree_record_is(one->manifest.trees, &one->manifest.trees->hash));
	assert_false(tree_record_is(one->manifest.trees, &first->manifest.trees->hash));
	/* and once more changes nothing, former hashes included */
	again = rewritten(bench, one, "again");
	assert_same_records(one, again, true);
	assert_true(tree_record_is(again->manifest.trees, &patched->manifest.trees->hash));
	assert_int_equal(again->manifest.trees->former_count, 1);
}

/* ---- sources that are not what they say ---------------------------------------------------------- */

static void test_a_wrong_tree_is_refused(void **state)
{
	struct bench *bench = *state;
	struct permit space = {0};
	struct snapshot *first;
	struct tree_record *tree;

	make_files(bench);
	first = take_over(bench, "chain", NULL, NULL);
	tree = first->manifest.trees;
	for (unsigned what = 0; what < 4; what++) {
		struct tree_record before = *tree;

		if (what == 0)
			tree->hash.bytes[3] ^= 1;
		else if (what == 1)
			tree->entries++;
		else if (what == 2)
			tree->bytes--;
		else
			tree->kind = TREE_OWN;
		assert_not_rewritten(bench, first, &space, ERROR_DAMAGED);
		*tree = before;
	}
}

static void flip(int fd, off_t at)
{
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static void test_a_damaged_pack_is_refused(void **state)
{
	struct bench *bench = *state;
	struct permit space = {0};
	struct error *error = NULL;
	cleanup_free char *name = NULL;
	struct snapshot *first;
	int fd;

	make_files(bench);
	first = take_over(bench, "chain", NULL, NULL);
	name = memory_printf("packs/%s", first->manifest.packs->name);
	fd = openat(first->store_fd, name, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	for (off_t at = 1000; at < 1500000; at += 400000) {
		flip(fd, at);
		assert_not_rewritten(bench, first, &space, ERROR_DAMAGED);
		flip(fd, at);
		/* what is in the store's cache is of before */
		store_free(first->store);
		first->store = manifest_store(&first->manifest, first->store_fd, &error);
		assert_non_null(first->store);
	}
	close(fd);
	rewritten(bench, first, "one");
}

static void test_no_room_leaves_nothing(void **state)
{
	struct bench *bench = *state;
	struct snapshot *first;

	make_files(bench);
	first = take_over(bench, "chain", NULL, NULL);
	for (unsigned at = 1; at < 4; at++) {
		struct permit space = {.refuse_at = at};

		assert_not_rewritten(bench, first, &space, ERROR_NO_SPACE);
	}
}

/* Own files and seeds have hashes instead of contents, and keep them. */
static void test_own_files_and_seeds_are_copied(void **state)
{
	struct content content = {.kind = CONTENT_HASH, .length = 3};
	struct catalog_entry root = {.path = "", .mode = S_IFDIR | 0755},
			     file = {.path = "etc/x",
				     .mode = S_IFREG | 0644,
				     .size = 3,
				     .contents = &content,
				     .content_count = 1},
			     gone = {.path = "etc/y", .flags = ENTRY_DELETED};
	struct bench *bench = *state;
	struct snapshot *first = bench_snapshot(bench), *one;
	struct error *error = NULL;
	struct tree_record *tree;
	struct capture *capture;

	snapshot_begin(first, bench->scratch.fd, "chain");
	tree = first->manifest.trees;
	tree->kind = TREE_OWN;
	string_list_release(&tree->paths);
	string_list_init(&tree->paths);
	string_list_add(&tree->paths, "/");
	hash_data(&content.chunk.id, "abc", 3);
	capture = snapshot_capture(first, NULL);
	must(capture_catalog_begin(capture, &error), &error);
	must(capture_catalog_add(capture, &root, &error), &error);
	must(capture_catalog_add(capture, &file, &error), &error);
	must(capture_catalog_end(capture, NULL, &tree->seed, &error), &error);
	must(capture_catalog_begin(capture, &error), &error);
	must(capture_catalog_add(capture, &root, &error), &error);
	must(capture_catalog_add(capture, &file, &error), &error);
	must(capture_catalog_add(capture, &gone, &error), &error);
	must(capture_catalog_end(capture, tree, NULL, &error), &error);
	snapshot_end(first, capture, NULL, NULL);
	one = rewritten(bench, first, "one");
	tree = one->manifest.trees;
	assert_int_equal(tree->kind, TREE_OWN);
	assert_true(hash_equal(&tree->hash, &first->manifest.trees->hash));
	assert_same_records(first, one, true);
	assert_int_equal(tree->seed.count, 1);
	assert_true(hash_equal(&tree->seed.refs->id, &first->manifest.trees->seed.refs->id));
	assert_true(store_has(one->store, &tree->seed.refs->id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rewrite_test(test_a_chain_becomes_one),
		rewrite_test(test_what_is_needed),
		rewrite_test(test_unchanged_files_are_known_afterwards),
		rewrite_test(test_patched_blocks_are_whole_again),
		rewrite_test(test_a_wrong_tree_is_refused),
		rewrite_test(test_a_damaged_pack_is_refused),
		rewrite_test(test_no_room_leaves_nothing),
		rewrite_test(test_own_files_and_seeds_are_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
