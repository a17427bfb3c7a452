/* manifest.json: back and forth, the seal, and every way in which it may be wrong. */
#include "test_tree_support.h"

#include "base/path.h"

static void make_manifest(struct manifest *manifest)
{
	struct tree_record *tree;

	manifest_init(manifest);
	manifest->id = memory_strdup("0123");
	manifest->parent = memory_strdup("");
	manifest->lineage = memory_strdup("lineage");
	manifest->created = memory_strdup("2026-01-31T13:15:00.123Z");
	manifest->architecture = memory_strdup("amd64");
	hash_data(&manifest->agent, "agent", 5);
	manifest->tree_count = 2;
	manifest->trees = memory_zalloc(2 * sizeof(*manifest->trees));
	for (size_t i = 0; i < 2; i++) {
		tree = &manifest->trees[i];
		tree_record_init(tree);
		tree->kind = i ? TREE_OWN : TREE_VOLUME;
		tree->name = memory_strdup(i ? "" : "data");
		string_list_add(&tree->paths, i ? "/" : "/var/lib/data");
		hash_data(&tree->hash, "tree", 4);
		tree->entries = 7;
		tree->bytes = 1ULL << 40;
		tree->root.refs = memory_zalloc(sizeof(*tree->root.refs));
		tree->root.refs[0].size = 100;
		tree->root.count = 1;
	}
	tree = manifest->trees;
	tree_record_add_former(tree, &manifest->agent);
	string_list_add(&tree->paths, "/mnt/\xff\xfe");
	string_list_add(&tree->excluded, "tmp/x");
	string_list_add(&tree->skipped, "run/\x80.sock");
	manifest->pack_count = 1;
	manifest->packs = memory_zalloc(sizeof(*manifest->packs));
	snprintf(manifest->packs->name, sizeof(manifest->packs->name), "00ff.pack");
	manifest->packs->size = 5000000000;
	manifest->packs->raw_size = 6;
	manifest->packs->chunks = 3;
	json_set_string(manifest->extra, "driver", "postgres");
}

static void test_round_trip(void **state)
{
	struct manifest manifest, again;
	cleanup_free char *text = NULL, *second = NULL;
	struct error *error = NULL;
	struct hash hash, second_hash;

	(void)state;
	make_manifest(&manifest);
	text = manifest_print(&manifest, &hash);
	manifest_init(&again);
	must(manifest_parse(&again, text, strlen(text), &error), &error);
	assert_string_equal(again.trees[0].paths.items[1], "/mnt/\xff\xfe");
	assert_string_equal(again.trees[0].skipped.items[0], "run/\x80.sock");
	assert_int_equal(again.packs->size, 5000000000);
	assert_int_equal(again.trees[0].former_count, 1);
	assert_true(hash_equal(&again.trees[0].former[0], &manifest.agent));
	assert_int_equal(again.trees[1].former_count, 0);
	assert_int_equal(again.trees[0].bytes, 1ULL << 40);
	assert_string_equal(json_string(again.extra, "driver"), "postgres");
	second = manifest_print(&again, &second_hash);
	assert_string_equal(text, second);
	assert_true(hash_equal(&hash, &second_hash));
	manifest_release(&manifest);
	manifest_release(&again);
}

static int parse(const char *text, size_t size, enum error_kind *kind)
{
	struct error *error = NULL;
	struct manifest manifest;
	int result;

	manifest_init(&manifest);
	result = manifest_parse(&manifest, text, size, &error);
	manifest_release(&manifest);
	*kind = result < 0 ? error->kind : 0;
	error_free(error);
	return result;
}

static void test_former_hashes(void **state)
{
	struct tree_record tree;
	struct hash hash;

	(void)state;
	tree_record_init(&tree);
	hash_data(&tree.hash, "now", 3);
	for (uint32_t i = 0; i < TREE_FORMER_MAX + 3; i++) {
		hash_data(&hash, &i, sizeof(i));
		tree_record_add_former(&tree, &hash);
		tree_record_add_former(&tree, &hash);
		tree_record_add_former(&tree, &tree.hash);
		assert_true(tree_record_is(&tree, &hash));
	}
	/* the oldest three are forgotten, the present one is none of them */
	assert_int_equal(tree.former_count, TREE_FORMER_MAX);
	for (uint32_t i = 0; i < TREE_FORMER_MAX + 3; i++) {
		hash_data(&hash, &i, sizeof(i));
		assert_int_equal(tree_record_is(&tree, &hash), i >= 3);
	}
	assert_true(tree_record_is(&tree, &tree.hash));
	tree_record_release(&tree);
}

static void test_every_flip_and_cut_is_found(void **state)
{
	struct manifest manifest;
	cleanup_free char *text = NULL;
	enum error_kind kind;
	size_t size;

	(void)state;
	make_manifest(&manifest);
	text = manifest_print(&manifest, NULL);
	size = strlen(text);
	for (size_t i = 0; i < size; i++) {
		text[i] = (char)(text[i] ^ 1 << i % 7);
		if (parse(text, size, &kind) == 0)
			fail_msg("flip at %zu was not found", i);
		text[i] = (char)(text[i] ^ 1 << i % 7);
		assert_int_equal(parse(text, i, &kind), -1);
	}
	assert_int_equal(parse(text, size, &kind), 0);
	manifest_release(&manifest);
}

/* Replace text in a good manifest and seal it again, as a forger would. */
static enum error_kind parse_forged(const char *from, const char *to)
{
	struct manifest manifest;
	cleanup_free char *text = NULL, *forged = NULL;
	char *at, seal[HASH_HEX_SIZE];
	enum error_kind kind;
	struct hash hash;
	size_t body;

	make_manifest(&manifest);
	text = manifest_print(&manifest, NULL);
	manifest_release(&manifest);
	at = strstr(text, from);
	if (!at)
		fail_msg("no %s in %s", from, text);
	forged = memory_printf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	at = strstr(forged, ",\"seal\":\"");
	assert_non_null(at);
	body = (size_t)(at - forged);
	hash_data(&hash, forged, body);
	hash_format(&hash, seal);
	memcpy(at + 9, seal, 64);
	parse(forged, strlen(forged), &kind);
	return kind;
}

static void test_forgeries(void **state)
{
	static const char *const bad[][2] = {
		{"\"format\":1", "\"format\":0"},
		{"\"format\":1", "\"format\":\"1\""},
		{"\"format\":1", "\"format\":2"},	      /* that of a dump, which it has not */
		{"\"kind\":\"volume\"", "\"kind\":\"dump\""}, /* in a format that has none */
		{"\"id\":\"0123\"", "\"id\":\"\""},
		{"\"id\":\"0123\"", "\"id\":3"},
		{"\"volume\"", "\"socket\""},
		{"\"former\":[]", "\"former\":3"},
		{"\"former\":[]", "\"farmer\":[]"},
		{"\"former\":[]", "\"former\":[\"12\"]"},
		{"/var/lib/data", "var/lib/data"},
		{"/var/lib/data", "/var/../data"},
		{"\"/var/lib/data\",", "\"/\","}, /* two trees at one path */
		{"tmp/x", "../x"},
		{"tmp/x", "/x"},
		{"00ff.pack", "../ff.pack"},
		{"00ff.pack", "00ff.pack.gz"},
		{"00ff.pack", ".pack"},
		{"\"size\":5000000000", "\"size\":-1"},
		{"\"size\":5000000000", "\"size\":1e300"},
		{"\"size\":100", "\"size\":0"},
		{"\"size\":100", "\"size\":1000000"},
		{"\"entries\":7", "\"entries\":7.5"},
		{"\"extra\":{", "\"extra\":1,\"x\":{"},
		{"\"trees\":[", "\"trees\":3,\"x\":["},
		{"\"packs\":[", "\"packs\":[7,"},
		{"\"base64\":\"L21udC//", "\"base64\":\"AAAA"},
	};

	(void)state;
	assert_int_equal(parse_forged("0123", "0124"), 0);
	assert_int_equal(parse_forged("\"format\":1", "\"format\":3"), ERROR_UNSUPPORTED);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (parse_forged(bad[i][0], bad[i][1]) != ERROR_DAMAGED)
			fail_msg("%s was accepted", bad[i][1]);
	}
}

/* Format 2 is that of a dump and of nothing else, so that older programs refuse just that. */
static void test_dump(void **state)
{
	static const char golden[] = "{\"format\":2,\"id\":\"0123\",\"parent\":\"\",";
	struct manifest manifest, again;
	cleanup_free char *text = NULL, *plain = NULL, *two = NULL, *root = NULL;
	struct error *error = NULL;
	enum error_kind kind;

	(void)state;
	make_manifest(&manifest);
	plain = manifest_print(&manifest, NULL);
	assert_memory_equal(plain, "{\"format\":1,", 12);
	assert_null(manifest_dump(&manifest));
	manifest.trees[0].kind = TREE_DUMP;
	text = manifest_print(&manifest, NULL);
	assert_memory_equal(text, golden, sizeof(golden) - 1);
	assert_non_null(strstr(text, "\"trees\":[{\"kind\":\"dump\",\"name\":\"data\","));
	manifest_init(&again);
	must(manifest_parse(&again, text, strlen(text), &error), &error);
	assert_ptr_equal(manifest_dump(&again), &again.trees[0]);
	assert_int_equal(manifest_format(&again), 2);
	manifest_release(&again);
	free(manifest.trees[0].paths.items[1]);
	manifest.trees[0].paths.items[1] = memory_strdup("/");
	manifest.trees[1].kind = TREE_VOLUME;
	root = manifest_print(&manifest, NULL);
	assert_int_equal(parse(root, strlen(root), &kind), -1);
	assert_int_equal(kind, ERROR_DAMAGED);
	free(manifest.trees[0].paths.items[1]);
	manifest.trees[0].paths.items[1] = memory_strdup("/more");
	free(manifest.trees[1].paths.items[0]);
	manifest.trees[1].paths.items[0] = memory_strdup("/other");
	manifest.trees[1].kind = TREE_DUMP;
	two = manifest_print(&manifest, NULL);
	assert_int_equal(parse(two, strlen(two), &kind), -1);
	assert_int_equal(kind, ERROR_DAMAGED);
	manifest_release(&manifest);
}

/* What a person who seals it anew may write: it is refused, or what it says can do no harm. */
static void check_harmless(const struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->pack_count; i++)
		assert_null(strchr(manifest->packs[i].name, '/'));
	for (size_t i = 0; i < manifest->tree_count; i++) {
		const struct tree_record *tree = &manifest->trees[i];

		for (size_t j = 0; j < tree->paths.count; j++) {
			cleanup_free char *clean = path_clean(tree->paths.items[j]);

			assert_string_equal(clean, tree->paths.items[j]);
		}
		for (size_t j = 0; j < tree->excluded.count; j++)
			assert_true(path_is_safe_relative(tree->excluded.items[j],
							  strlen(tree->excluded.items[j])));
	}
}

static void test_mutations_under_a_seal(void **state)
{
	static const char values[] = "0123456789-.,:/\"{}[]\\u\xff e";
	uint64_t random = 0x5eed5eed5eed5eedULL;
	struct manifest good;
	cleanup_free char *text = NULL;
	size_t accepted = 0, size, body;

	(void)state;
	make_manifest(&good);
	text = manifest_print(&good, NULL);
	manifest_release(&good);
	size = strlen(text);
	body = (size_t)(strstr(text, ",\"seal\":\"") - text);
	for (int round = 0; round < 10000; round++) {
		cleanup_free char *forged = memory_strdup(text);
		struct manifest manifest;
		struct error *error = NULL;
		char seal[HASH_HEX_SIZE];
		struct hash hash;

		for (size_t i = 0; i <= next_random(&random) % 4; i++)
			forged[next_random(&random) % body] =
				values[next_random(&random) % (sizeof(values) - 1)];
		hash_data(&hash, forged, body);
		hash_format(&hash, seal);
		memcpy(forged + body + 9, seal, 64);
		manifest_init(&manifest);
		if (manifest_parse(&manifest, forged, size, &error) == 0) {
			check_harmless(&manifest);
			accepted++;
		} else {
			assert_true(error->kind == ERROR_DAMAGED ||
				    error->kind == ERROR_UNSUPPORTED);
		}
		error_free(error);
		manifest_release(&manifest);
	}
	/* Another digit in a number or a hash is as good as the one that was there. */
	assert_in_range(accepted, 100, 9000);
}

static void test_files(void **state)
{
	struct scratch scratch;
	struct manifest manifest, again;
	struct error *error = NULL;
	struct hash written, read;

	(void)state;
	scratch_make(&scratch, "/dev/shm");
	make_manifest(&manifest);
	manifest_init(&again);
	must_fail(manifest_read(&again, scratch.fd, NULL, &error), &error, ERROR_NOT_FOUND);
	must(manifest_write(&manifest, scratch.fd, &written, &error), &error);
	must(manifest_read(&again, scratch.fd, &read, &error), &error);
	assert_true(hash_equal(&written, &read));
	manifest_release(&manifest);
	manifest_release(&again);
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_former_hashes),
		cmocka_unit_test(test_every_flip_and_cut_is_found),
		cmocka_unit_test(test_forgeries),
		cmocka_unit_test(test_dump),
		cmocka_unit_test(test_mutations_under_a_seal),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
