/*
 * Dumps in a store: what arrived in portions comes back byte for byte, costs little a second
 * time, and survives a consolidation; and every catalog that is not just one file is refused.
 */
#include "test_tree_support.h"

#include "tree/dump.h"

#define LINES 60000U
#define CRAFTED_MOST 16

/* About 3 MB of text that looks like a dump; ${changed}: one line in the middle differs. */
static void make_text(struct buffer *text, bool changed)
{
	uint64_t random = 42;

	buffer_init(text, 16U << 20);
	for (unsigned i = 0; i < LINES; i++) {
		cleanup_free char *line = memory_printf(
			"%u\t%016llx\tsome value of %s\n", i,
			(unsigned long long)next_random(&random),
			changed && i == LINES / 2 ? "another row, which is longer" : "a row");

		assert_int_equal(buffer_append(text, line, strlen(line)), 0);
	}
}

static void take(struct snapshot *snapshot, int parent, const char *store_name,
		 const struct buffer *text, const struct snapshot *before,
		 struct store_writer_totals *totals)
{
	const struct timespec mtime = {.tv_sec = 1700000000};
	struct error *error = NULL;
	struct capture *capture;
	struct tree_record *tree;
	uint64_t random = 7;

	snapshot_begin(snapshot, parent, store_name);
	tree = snapshot->manifest.trees;
	tree->kind = TREE_DUMP;
	capture = snapshot_capture(snapshot, before);
	must(capture_dump_begin(capture, "dump.sql", &mtime, &error), &error);
	for (size_t done = 0, portion; done < text->size; done += portion) {
		portion = 1 + next_random(&random) % 300000;
		portion = portion < text->size - done ? portion : text->size - done;
		must(capture_dump_data(capture, text->data + done, portion, &error), &error);
	}
	must(capture_dump_end(capture, tree, &error), &error);
	snapshot_end(snapshot, capture, before, totals);
}

static void assert_holds(struct snapshot *snapshot, const struct buffer *text)
{
	const struct tree_record *tree = manifest_dump(&snapshot->manifest);
	struct error *error = NULL;
	struct dump_reader *reader;
	const uint8_t *data;
	size_t size, done = 0;
	int result;

	assert_non_null(tree);
	must(tree_verify(snapshot->store, tree, &error), &error);
	reader = dump_open(snapshot->store, tree, &error);
	must(reader ? 0 : -1, &error);
	assert_string_equal(dump_name(reader), "dump.sql");
	assert_int_equal(dump_size(reader), text->size);
	while ((result = dump_next(reader, &data, &size, &error)) > 0) {
		assert_true(size <= text->size - done);
		assert_memory_equal(data, text->data + done, size);
		done += size;
	}
	must(result, &error);
	assert_int_equal(done, text->size);
	dump_close(reader);
}

static void test_round_trip(void **state)
{
	struct capture_options options = {.workers = 1};
	struct store_writer_totals first, second;
	struct snapshot one, two, anew;
	struct buffer text, changed;
	struct scratch scratch;
	struct error *error = NULL;

	(void)state;
	scratch_make(&scratch, "/dev/shm");
	make_text(&text, false);
	make_text(&changed, true);
	take(&one, scratch.fd, "one", &text, NULL, &first);
	assert_holds(&one, &text);
	/* as in a helper that is made from the first: its packs are there */
	take(&two, scratch.fd, "one", &changed, &one, &second);
	assert_holds(&two, &changed);
	assert_true(second.new_bytes < first.new_bytes / 4);
	must(snapshot_rewrite(&anew, scratch.fd, "anew", &two, &options, &error), &error);
	assert_true(hash_equal(&anew.manifest.trees->hash, &two.manifest.trees->hash));
	assert_holds(&anew, &changed);
	snapshot_release(&anew);
	snapshot_release(&two);
	snapshot_release(&one);
	buffer_release(&text);
	buffer_release(&changed);
	scratch_remove(&scratch);
}

static void test_empty(void **state)
{
	struct scratch scratch;
	struct snapshot one;
	struct buffer none;

	(void)state;
	scratch_make(&scratch, "/dev/shm");
	buffer_init(&none, 16);
	take(&one, scratch.fd, "one", &none, NULL, NULL);
	assert_holds(&one, &none);
	snapshot_release(&one);
	buffer_release(&none);
	scratch_remove(&scratch);
}

static struct catalog_entry entry_of(const char *path, mode_t mode)
{
	return (struct catalog_entry){.path = path, .mode = mode, .link = "/etc/shadow"};
}

static void add_catalog(struct raw_catalogs *raw, const struct catalog_entry *entries, size_t count,
			uint32_t flags)
{
	struct buffer stream;

	buffer_init(&stream, 1U << 20);
	encode_catalog(&stream, entries, count, flags);
	raw_add(raw, stream.data, stream.size);
	buffer_release(&stream);
}

/* The first is right, whatever the hashes of its chunks are; no other is. */
static void add_crafted(struct raw_catalogs *raw)
{
	static const struct content chunk = {.kind = CONTENT_CHUNK, .length = 5, .chunk.size = 5};
	static const struct content part = {.kind = CONTENT_CHUNK, .length = 5, .chunk.size = 9};
	static const struct content later = {
		.kind = CONTENT_CHUNK, .length = 5, .offset = 4, .chunk.size = 9};
	static const struct content hole = {.kind = CONTENT_HOLE, .length = 5};
	static const struct content hash = {.kind = CONTENT_HASH, .length = 5};
	static const struct content *const contents[] = {&chunk, &part, &later, &hole, &hash};
	const struct catalog_entry root = entry_of("", S_IFDIR | 0700);
	struct catalog_entry good = entry_of("dump.sql", S_IFREG | 0600), other = good;
	const struct catalog_entry bad[][3] = {
		{root, entry_of("dump.sql", S_IFLNK | 0777)},
		{root, entry_of("dump.sql", S_IFIFO | 0600)},
		{root, entry_of("dump.sql", S_IFDIR | 0700)},
		{root, entry_of("a", S_IFDIR | 0700), entry_of("a/dump.sql", S_IFIFO | 0600)},
	};
	struct catalog_entry three[3] = {root}, linked[3] = {root};

	good.size = 5;
	good.content_count = 1;
	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		struct catalog_entry entries[] = {root, good};

		entries[1].contents = contents[i];
		add_catalog(raw, entries, 2, 0);
	}
	good.contents = &chunk;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		add_catalog(raw, bad[i], bad[i][2].path ? 3 : 2, 0);
	add_catalog(raw, &root, 1, 0);
	three[1] = three[2] = good;
	three[1].path = "another";
	add_catalog(raw, three, 3, 0);
	linked[1] = good;
	linked[1].flags = ENTRY_LINKED;
	other.path = "more";
	other.hardlink = "dump.sql";
	linked[2] = other;
	add_catalog(raw, linked, 3, 0);
	three[1] = good;
	add_catalog(raw, three, 2, CATALOG_PARTIAL);
}

static void test_crafted(void **state)
{
	struct scratch scratch;
	struct raw_catalogs raw;
	struct error *error = NULL;

	(void)state;
	scratch_make(&scratch, "/dev/shm");
	raw_open(&raw, scratch.fd, CRAFTED_MOST);
	add_crafted(&raw);
	raw_finish(&raw);
	for (size_t i = 0; i < raw.count; i++) {
		struct tree_record tree;
		struct dump_reader *reader;

		tree_record_init(&tree);
		tree.kind = TREE_DUMP;
		tree.entries = DUMP_ENTRIES;
		tree.bytes = 5;
		tree.root = raw.roots[i];
		reader = dump_open(raw.store, &tree, &error);
		if (i && reader)
			fail_msg("catalog %zu was accepted", i);
		if (reader) {
			const uint8_t *data;
			size_t size;

			/* its chunk is in no pack */
			must_fail(dump_next(reader, &data, &size, &error), &error, ERROR_DAMAGED);
			dump_close(reader);
			tree.bytes = 6;
			assert_null(dump_open(raw.store, &tree, &error));
		}
		assert_non_null(error);
		assert_int_equal(error->kind, ERROR_DAMAGED);
		error_free(error);
		error = NULL;
	}
	raw_release(&raw);
	scratch_remove(&scratch);
}

/* What a dump is loaded over goes, but for what is nobody's to delete. */
static void test_clear(void **state)
{
	struct scratch scratch;
	struct error *error = NULL;
	int fd, inner;

	(void)state;
	scratch_make(&scratch, "/dev/shm");
	fd = make_directory(scratch.fd, "volume");
	inner = make_directory(fd, "base");
	make_text_file(inner, "16384", "half of a table");
	close(inner);
	assert_int_equal(mkdirat(fd, "lost+found", 0700), 0);
	assert_int_equal(symlinkat("..", fd, "out"), 0);
	make_text_file(fd, ".sidesnap-tree", "a mark");
	make_text_file(fd, ".hidden", "");
	make_text_file(scratch.fd, "beside", "stays");
	must(tree_clear(fd, &error), &error);
	assert_int_equal(faccessat(fd, "lost+found", F_OK, 0), 0);
	assert_int_equal(faccessat(fd, ".sidesnap-tree", F_OK, 0), 0);
	assert_int_equal(faccessat(scratch.fd, "beside", F_OK, 0), 0);
	assert_int_equal(faccessat(fd, "base", F_OK, 0), -1);
	assert_int_equal(faccessat(fd, ".hidden", F_OK, 0), -1);
	assert_int_equal(faccessat(fd, "out", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	must(tree_clear(fd, &error), &error);
	close(fd);
	scratch_remove(&scratch);
}

static void test_names(void **state)
{
	cleanup_free char *longest = memory_alloc(257);

	(void)state;
	memset(longest, 'x', 256);
	longest[256] = '\0';
	assert_false(dump_name_is_valid(longest));
	longest[255] = '\0';
	assert_true(dump_name_is_valid(longest));
	assert_true(dump_name_is_valid("dump.sql"));
	assert_false(dump_name_is_valid(""));
	assert_false(dump_name_is_valid("."));
	assert_false(dump_name_is_valid(".."));
	assert_false(dump_name_is_valid("a/b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	   cmocka_unit_test(test_empty),
		cmocka_unit_test(test_clear),	   cmocka_unit_test(test_crafted),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
