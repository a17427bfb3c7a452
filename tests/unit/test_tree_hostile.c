/*
 * Catalogs made to do harm: whatever they say, a restore neither crashes nor touches
 * anything beside its root.
 */
#include "test_tree_support.h"

#define MUTATIONS 10000
#define CHUNK_BYTES 5000
#define CRAFTED_MOST 16

struct arena {
	struct scratch scratch;
	int root_fd;
	char *outside; /* what is beside the root, before */
};

static void arena_make(struct arena *arena)
{
	int fd;

	scratch_make(&arena->scratch, "/dev/shm");
	arena->root_fd = make_directory(arena->scratch.fd, "root");
	fd = make_directory(arena->scratch.fd, "outside");
	make_text_file(fd, "canary", "alive");
	assert_int_equal(symlinkat("../outside", arena->root_fd, "way-out"), 0);
	close(fd);
	arena->outside = describe(arena->scratch.fd, "outside");
}

static void arena_check(struct arena *arena)
{
	static const char *const known[] = {"root", "outside", "store", ".", ".."};
	cleanup_free char *now = describe(arena->scratch.fd, "outside");
	int fd = openat(arena->scratch.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fdopendir(fd);
	struct dirent *entry;

	assert_string_equal(arena->outside, now);
	while ((entry = readdir(directory))) {
		size_t i = 0;

		while (i < 5 && strcmp(known[i], entry->d_name) != 0)
			i++;
		if (i == 5)
			fail_msg("\"%s\" was made outside the root", entry->d_name);
	}
	closedir(directory);
}

static void arena_remove(struct arena *arena)
{
	free(arena->outside);
	close(arena->root_fd);
	scratch_remove(&arena->scratch);
}

static int restore(struct arena *arena, struct raw_catalogs *raw, size_t i, struct error **err)
{
	struct restore_options options = {.workers = 1, .remove_extra = true, .lenient = true};
	struct tree_record tree;

	tree_record_init(&tree);
	tree.root = raw->roots[i];
	return tree_restore(arena->root_fd, raw->store, &tree, &options, NULL, err);
}

static struct catalog_entry entry_of(const char *path, mode_t mode)
{
	return (struct catalog_entry){.path = path, .mode = mode, .link = "../outside"};
}

/* Each of these must be refused before it does what it is made for. */
static void add_crafted(struct raw_catalogs *raw)
{
	static const struct content stored = {.kind = CONTENT_HASH, .length = 3};
	struct catalog_entry root = entry_of("", S_IFDIR | 0755);
	struct catalog_entry evil[][4] = {
		{root, entry_of("../outside/canary", S_IFIFO | 0600)},
		{root, entry_of("a", S_IFLNK | 0777), entry_of("a/canary", S_IFIFO | 0600)},
		{root, entry_of("way-out/canary", S_IFIFO | 0600)},
		{root, entry_of("/etc/x", S_IFIFO | 0600)},
		{root, entry_of("a", S_IFDIR | 0755), entry_of("a/..", S_IFDIR | 0755)},
		{root, entry_of(".sidesnap-tree", S_IFIFO | 0600)},
		{root, entry_of("h", S_IFIFO | 0600)},
		{root, entry_of("c", S_IFREG | 0600)},
		{root, entry_of("l", S_IFLNK | 0777), entry_of("m", S_IFLNK | 0777)},
	};
	static const size_t counts[] = {2, 3, 2, 2, 3, 2, 2, 2, 3};
	struct buffer stream;

	evil[6][1].hardlink = "../outside/canary";
	evil[7][1].size = 3;
	evil[7][1].contents = &stored;
	evil[7][1].content_count = 1;
	evil[8][1].flags = ENTRY_LINKED;
	evil[8][2].hardlink = "l/canary";
	buffer_init(&stream, 1U << 20);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		buffer_clear(&stream);
		encode_catalog(&stream, evil[i], counts[i], 0);
		raw_add(raw, stream.data, stream.size);
	}
	buffer_clear(&stream);
	encode_catalog(&stream, evil[1], 1, CATALOG_PARTIAL);
	raw_add(raw, stream.data, stream.size);
	buffer_release(&stream);
}

static void test_crafted(void **state)
{
	struct error *error = NULL;
	struct raw_catalogs raw;
	struct arena arena;

	(void)state;
	arena_make(&arena);
	raw_open(&raw, arena.scratch.fd, CRAFTED_MOST);
	add_crafted(&raw);
	raw_finish(&raw);
	for (size_t i = 0; i < raw.count; i++) {
		must_fail(restore(&arena, &raw, i, &error), &error, ERROR_DAMAGED);
		arena_check(&arena);
	}
	raw_release(&raw);
	arena_remove(&arena);
}

/*
 * For the tests of whole snapshots: ${folder} has the manifest.json of a good one. For each of those
 * catalogs it gets a folder N with that manifest, sealed anew, of which every tree has this catalog,
 * and "store" with their packs; N and the hash of each manifest are printed.
 */
static int write_crafted(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct raw_catalogs raw;

	assert_true(fd >= 0);
	raw_open(&raw, fd, CRAFTED_MOST);
	add_crafted(&raw);
	raw_finish(&raw);
	for (size_t i = 0; i < raw.count; i++) {
		struct error *error = NULL;
		struct manifest manifest;
		struct hash hash;
		char name[16], text[HASH_HEX_SIZE];
		int out;

		manifest_init(&manifest);
		must(manifest_read(&manifest, fd, NULL, &error), &error);
		for (size_t j = 0; j < manifest.tree_count; j++) {
			struct tree_record *tree = &manifest.trees[j];

			catalog_root_release(&tree->root);
			catalog_root_copy(&tree->root, &raw.roots[i]);
			hash_data(&tree->hash, &i,
				  sizeof(i)); /* no volume is taken to have it already */
		}
		manifest_add_packs(&manifest, raw.packs, raw.pack_count);
		snprintf(name, sizeof(name), "%zu", i);
		out = make_directory(fd, name);
		must(manifest_write(&manifest, out, &hash, &error), &error);
		hash_format(&hash, text);
		printf("%zu %s\n", i, text);
		manifest_release(&manifest);
		close(out);
	}
	raw_release(&raw);
	close(fd);
	return 0;
}

/* A link that the catalog makes is never gone through, whatever was there before. */
static void test_links_in_the_target(void **state)
{
	struct catalog_entry entries[] = {entry_of("", S_IFDIR | 0755),
					  entry_of("way-out", S_IFDIR | 0755),
					  entry_of("way-out/canary", S_IFIFO | 0600)};
	struct error *error = NULL;
	struct raw_catalogs raw;
	struct arena arena;
	struct buffer stream;
	struct stat status;

	(void)state;
	arena_make(&arena);
	raw_open(&raw, arena.scratch.fd, 1);
	buffer_init(&stream, 1U << 20);
	encode_catalog(&stream, entries, 3, 0);
	raw_add(&raw, stream.data, stream.size);
	raw_finish(&raw);
	/* the record's hash is not that of the catalog: known only at the end, too late to save us */
	must_fail(restore(&arena, &raw, 0, &error), &error, ERROR_DAMAGED);
	arena_check(&arena);
	assert_int_equal(fstatat(arena.root_fd, "way-out", &status, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISDIR(status.st_mode));
	buffer_release(&stream);
	raw_release(&raw);
	arena_remove(&arena);
}

/* ${chunk}: of ${CHUNK_BYTES} bytes, in the store that the catalog will be in. */
static void sample_catalog(struct buffer *stream, const struct chunk_ref *chunk)
{
	static const struct attribute attributes[] = {{"user.a", "value", 5}, {"user.b", "", 0}};
	static const struct content contents[] = {{.kind = CONTENT_HOLE, .length = 8192}};
	const struct content pieces[] = {
		{.kind = CONTENT_CHUNK, .length = CHUNK_BYTES, .chunk = *chunk},
		{.kind = CONTENT_HOLE, .length = 4096},
		{.kind = CONTENT_CHUNK, .length = 100, .chunk = *chunk, .offset = 10},
	};
	struct catalog_entry entries[] = {
		entry_of("", S_IFDIR | 0755),	       entry_of("a", S_IFDIR | 0700),
		entry_of("a/file", S_IFREG | 04755),   entry_of("a/link", S_IFLNK | 0777),
		entry_of("a/pipe", S_IFIFO | 0644),    entry_of("b", S_IFREG | 0644),
		entry_of("c", S_IFDIR | 0755),	       entry_of("c/d", S_IFDIR | 01777),
		entry_of("c/d/e", S_IFREG | 0600),     entry_of("way-out", S_IFDIR | 0755),
		entry_of("way-out/x", S_IFREG | 0600),
	};

	entries[2].flags = ENTRY_LINKED;
	entries[2].size = 8192;
	entries[2].contents = contents;
	entries[2].content_count = 1;
	entries[2].attributes = attributes;
	entries[2].attribute_count = 2;
	entries[5].hardlink = "a/file";
	entries[8].size = CHUNK_BYTES + 4096 + 100;
	entries[8].contents = pieces;
	entries[8].content_count = 3;
	encode_catalog(stream, entries, sizeof(entries) / sizeof(entries[0]), 0);
}

/* Flips, inserts, removals, copies and cuts; small values more often than others. */
static void mutate(struct buffer *stream, uint64_t *random)
{
	static const uint8_t values[] = {0, 1, 2, '.', '/', 0x7f, 0x80, 0xff};
	size_t rounds = 1 + next_random(random) % 4;

	while (rounds-- && stream->size > 1) {
		size_t at = next_random(random) % stream->size;
		size_t from = next_random(random) % stream->size;
		size_t size = next_random(random) % 64;

		switch (next_random(random) % 6) {
		case 0:
			stream->data[at] = (char)(stream->data[at] ^ 1 << next_random(random) % 8);
			break;
		case 1:
		case 2:
			stream->data[at] = (char)values[next_random(random) % sizeof(values)];
			break;
		case 3:
			stream->size = at ? at : 1;
			break;
		case 4:
			if (at + size < stream->size && from + size < stream->size)
				memmove(stream->data + at, stream->data + from, size);
			break;
		default:
			if (at + size < stream->size) {
				memmove(stream->data + at, stream->data + at + size,
					stream->size - at - size);
				stream->size -= size;
			}
		}
	}
}

/* Content for files, as the catalog numbered 0, and the reference to its one chunk. */
static struct chunk_ref add_content(struct raw_catalogs *raw)
{
	struct chunk_ref chunk = {0};
	char bytes[CHUNK_BYTES];
	struct cursor cursor;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * i);
	raw_add(raw, bytes, sizeof(bytes));
	cursor_init(&cursor, raw->list.data, raw->list.size);
	memcpy(chunk.id.bytes, cursor_bytes(&cursor, HASH_SIZE), HASH_SIZE);
	chunk.size = cursor_u32(&cursor);
	assert_int_equal(chunk.size, CHUNK_BYTES);
	return chunk;
}

static void test_mutations(void **state)
{
	uint64_t random = 0x5eed5eed5eed5eedULL;
	size_t damaged = 0;
	struct raw_catalogs raw;
	struct chunk_ref chunk;
	struct arena arena;
	struct buffer sample, stream;

	(void)state;
	arena_make(&arena);
	raw_open(&raw, arena.scratch.fd, MUTATIONS + 1);
	buffer_init(&sample, 1U << 20);
	buffer_init(&stream, 1U << 20);
	chunk = add_content(&raw);
	sample_catalog(&sample, &chunk);
	for (size_t i = 0; i < MUTATIONS; i++) {
		buffer_clear(&stream);
		buffer_append(&stream, sample.data, sample.size);
		mutate(&stream, &random);
		raw_add(&raw, stream.data, stream.size);
	}
	raw_finish(&raw);
	for (size_t i = 1; i <= MUTATIONS; i++) {
		struct tree_record tree;
		struct error *error = NULL;
		int result;

		tree_record_init(&tree);
		tree.root = raw.roots[i];
		/* the tree's hash is not known here: it is always found at the end, if not before */
		result = tree_verify(raw.store, &tree, &error);
		assert_int_equal(result, -1);
		error_free(error);
		error = NULL;
		result = restore(&arena, &raw, i, &error);
		assert_int_equal(result, -1);
		assert_non_null(error);
		damaged += error->kind == ERROR_DAMAGED;
		error_free(error);
		if (i % 100 == 0)
			arena_check(&arena);
	}
	arena_check(&arena);
	/* the rest are names and sizes that the file system refuses */
	assert_true(damaged > MUTATIONS * 9 / 10);
	buffer_release(&sample);
	buffer_release(&stream);
	raw_release(&raw);
	arena_remove(&arena);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crafted),
		cmocka_unit_test(test_links_in_the_target),
		cmocka_unit_test(test_mutations),
	};

	return argc > 1 ? write_crafted(argv[1]) : cmocka_run_group_tests(tests, NULL, NULL);
}
