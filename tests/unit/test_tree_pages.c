/*
 * Page-structured files: a page that changes is stored alone, the lists of contents are used
 * on, and whatever the earlier catalog says, the restored file is right.
 */
#include "test_tree_support.h"

#include "store/page_hash.h"
#include "tree/record_contents.h"

#define PAGE 8192U
#define BLOCK 32768U

/* One tree and the chain of its snapshots. */
struct chain {
	struct scratch scratch;
	int fd; /* of "source" */
	struct string_list pages;
	struct snapshot last; /* its store is NULL: none yet */
	const char *store_name;
	uint64_t random;
	struct store_writer_totals totals; /* of the last capture */
	struct capture_pass pass;
};

static void chain_make(struct chain *chain)
{
	memset(chain, 0, sizeof(*chain));
	scratch_make(&chain->scratch, "/var/tmp");
	chain->fd = make_directory(chain->scratch.fd, "source");
	chain->random = 0x9a6e5;
	string_list_init(&chain->pages);
	string_list_add(&chain->pages, "p*");
	chain->last.store_fd = -1;
	chain->store_name = "store";
	manifest_init(&chain->last.manifest);
}

static void chain_remove(struct chain *chain)
{
	snapshot_release(&chain->last);
	string_list_release(&chain->pages);
	close(chain->fd);
	scratch_remove(&chain->scratch);
}

static struct tree_source source_of(const struct chain *chain)
{
	return (struct tree_source){
		.root_fd = chain->fd, .pages = &chain->pages, .page_size = PAGE};
}

static const struct snapshot *last_of(const struct chain *chain)
{
	return chain->last.store ? &chain->last : NULL;
}

static struct capture *begin_next(struct chain *chain, struct snapshot *next)
{
	snapshot_begin(next, chain->scratch.fd, chain->store_name);
	return snapshot_capture(next, last_of(chain));
}

/* It takes the place of the last one, whose packs it keeps. */
static void end_next(struct chain *chain, struct snapshot *next, struct capture *capture)
{
	snapshot_end(next, capture, last_of(chain), &chain->totals);
	snapshot_release(&chain->last);
	chain->last = *next;
}

/* The next snapshot, over the last one. */
static void take(struct chain *chain)
{
	struct snapshot next;
	struct capture *capture = begin_next(chain, &next);

	snapshot_capture_tree(&next, capture, source_of(chain), last_of(chain), NULL, &chain->pass);
	end_next(chain, &next, capture);
}

/* Bytes only: a file with few holes may be read as one without, where blocks are counted. */
static void assert_same_bytes(struct chain *chain, const char *name)
{
	cleanup_free char *a = memory_printf("source/%s", name);
	cleanup_free char *b = memory_printf("target/%s", name);
	cleanup_fd int first = openat(chain->scratch.fd, a, O_RDONLY | O_CLOEXEC);
	cleanup_fd int second = openat(chain->scratch.fd, b, O_RDONLY | O_CLOEXEC);
	static char left[1 << 16], right[1 << 16];
	uint64_t at = 0;
	ssize_t size;

	assert_true(first >= 0 && second >= 0);
	do {
		size = io_pread_full(first, left, sizeof(left), at);
		assert_int_equal(io_pread_full(second, right, sizeof(right), at), size);
		assert_memory_equal(left, right, (size_t)size);
		at += (uint64_t)size;
	} while (size);
}

static void restore(struct chain *chain)
{
	snapshot_restore(&chain->last, chain->scratch.fd);
}

static void assert_restores(struct chain *chain)
{
	restore(chain);
	assert_same_tree(chain->scratch.fd, "source", "target");
}

static void write_noise(struct chain *chain, const char *name, uint64_t at, size_t size)
{
	int fd = openat(chain->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	cleanup_free uint8_t *data = memory_alloc(size + 8);

	for (size_t i = 0; i < size; i += 4) {
		uint32_t value = (uint32_t)next_random(&chain->random);

		memcpy(data + i, &value, 4);
	}
	assert_true(fd >= 0);
	assert_int_equal(io_pwrite_full(fd, data, size, at), 0);
	close(fd);
}

static void cut_file(struct chain *chain, const char *name, uint64_t size)
{
	int fd = openat(chain->fd, name, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

/* The record of a file in the last snapshot, as long as the reader lives. */
static struct catalog_reader *find_record(struct chain *chain, const char *path,
					  struct catalog_entry *entry)
{
	struct error *error = NULL;
	struct catalog_reader *reader =
		catalog_open(chain->last.store, &chain->last.manifest.trees->root, &error);

	assert_non_null(reader);
	while (catalog_next(reader, entry, &error) > 0)
		if (strcmp(entry->path, path) == 0)
			return reader;
	fail_msg("no \"%s\"", path);
	return NULL;
}

static size_t list_count(struct chain *chain, const char *path)
{
	struct catalog_entry entry;
	struct catalog_reader *reader = find_record(chain, path, &entry);
	size_t count = entry.lists ? entry.lists->count : 0;

	catalog_close(reader);
	return count;
}

/* What the catalog itself took is small, and is all beside ${pages} pages. */
static void assert_new_pages(const struct chain *chain, size_t pages, size_t catalog)
{
	if (chain->totals.new_bytes < pages * PAGE ||
	    chain->totals.new_bytes > pages * PAGE + catalog)
		fail_msg("%llu new bytes for %zu pages",
			 (unsigned long long)chain->totals.new_bytes, pages);
}

/* ---- the hash ---------------------------------------------------------------------------------- */

static void test_page_hash(void **state)
{
	/* b3sum --keyed */
	static const uint8_t expected[PAGE_HASH_SIZE] = {0xc8, 0x8a, 0xa8, 0x93,
							 0xcc, 0x9b, 0x81, 0x95};
	uint8_t key[PAGE_HASH_KEY_SIZE], page[PAGE_SIZE_MIN], hash[PAGE_HASH_SIZE],
		other[PAGE_HASH_SIZE];
	struct page_hasher *hasher;

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(page); i++)
		page[i] = (uint8_t)(i * i >> 3);
	hasher = page_hasher_new(key, sizeof(page));
	page_hasher_run(hasher, page, hash);
	assert_memory_equal(hash, expected, PAGE_HASH_SIZE);
	for (size_t i = 0; i < sizeof(page); i++) {
		page[i] ^= 1;
		page_hasher_run(hasher, page, other);
		assert_memory_not_equal(hash, other, PAGE_HASH_SIZE);
		page[i] ^= 1;
	}
	page_hasher_run(hasher, page, other);
	assert_memory_equal(hash, other, PAGE_HASH_SIZE);
	page_hasher_free(hasher);
	key[31] ^= 1;
	hasher = page_hasher_new(key, sizeof(page));
	page_hasher_run(hasher, page, other);
	assert_memory_not_equal(hash, other, PAGE_HASH_SIZE);
	page_hasher_free(hasher);
}

/* ---- what a change costs ----------------------------------------------------------------------- */

static void test_a_page_costs_a_page(void **state)
{
	struct chain chain;

	(void)state;
	chain_make(&chain);
	write_noise(&chain, "p", 0, 100 * BLOCK);
	take(&chain);
	assert_restores(&chain);
	/* one alone, two neighbours, two in one block apart, the last */
	write_noise(&chain, "p", 5 * PAGE, 1);
	write_noise(&chain, "p", 41 * PAGE + 100, PAGE);
	write_noise(&chain, "p", 80 * PAGE, 8);
	write_noise(&chain, "p", 82 * PAGE, 8);
	write_noise(&chain, "p", 399 * PAGE + 8000, 192);
	take(&chain);
	assert_new_pages(&chain, 6, 24576);
	assert_restores(&chain);
	/* nothing: not even of the catalog, once it has cooled down */
	cool_down();
	take(&chain);
	take(&chain);
	assert_int_equal(chain.totals.new_bytes, 0);
	/* three of four: the whole block */
	write_noise(&chain, "p", 100 * PAGE, 3 * PAGE);
	take(&chain);
	assert_new_pages(&chain, 4, 24576);
	assert_restores(&chain);
	chain_remove(&chain);
}

static void test_a_block_comes_back(void **state)
{
	cleanup_free uint8_t *old = memory_alloc(BLOCK);
	struct chain chain;
	int fd;

	(void)state;
	chain_make(&chain);
	write_noise(&chain, "p", 0, 20 * BLOCK);
	take(&chain);
	fd = openat(chain.fd, "p", O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, old, BLOCK, 3 * BLOCK), BLOCK);
	write_noise(&chain, "p", 3 * BLOCK + PAGE, PAGE);
	take(&chain);
	assert_int_equal(io_pwrite_full(fd, old, BLOCK, 3 * BLOCK), 0);
	close(fd);
	take(&chain);
	assert_new_pages(&chain, 0, 24576);
	assert_restores(&chain);
	chain_remove(&chain);
}

/* Another inode under the name may hold anything: nothing is believed of its pages. */
static void test_another_file_of_that_name(void **state)
{
	struct chain chain;

	(void)state;
	chain_make(&chain);
	write_noise(&chain, "p", 0, 20 * BLOCK);
	take(&chain);
	write_noise(&chain, "new", 0, 10 * BLOCK);
	assert_int_equal(renameat(chain.fd, "new", chain.fd, "p"), 0);
	take(&chain);
	assert_new_pages(&chain, 40, 24576);
	assert_restores(&chain);
	chain_remove(&chain);
}

static void test_lists(void **state)
{
	struct catalog_entry entry;
	struct catalog_reader *reader;
	struct chain chain;
	size_t most = 0;

	(void)state;
	chain_make(&chain);
	write_noise(&chain, "p", 0, 2000 * BLOCK);
	write_noise(&chain, "plain", 0, 300 * BLOCK);
	write_noise(&chain, "other", 0, 40000000);
	take(&chain);
	assert_int_equal(list_count(&chain, "p"), 1);
	assert_int_equal(list_count(&chain, "other"), 1);
	assert_restores(&chain);
	for (uint64_t round = 0; round < 30; round++) {
		for (uint64_t i = 0; i < 40; i++)
			write_noise(&chain, "p", next_random(&chain.random) % 8000 * PAGE, 64);
		take(&chain);
		/* one round's changes, more rarely all of them */
		assert_true(chain.totals.new_bytes < 40 * PAGE + 260000);
		if (round % 3)
			assert_new_pages(&chain, 38, 60000 + 2 * PAGE);
		if (list_count(&chain, "p") > most)
			most = list_count(&chain, "p");
		if (round % 10 == 9)
			assert_restores(&chain);
	}
	assert_in_range(most, 3, 12);
	reader = find_record(&chain, "p", &entry);
	assert_in_range(entry.content_count, 3500, 5000);
	catalog_close(reader);
	/* small again: all in the record */
	cut_file(&chain, "p", 200 * BLOCK);
	take(&chain);
	assert_restores(&chain);
	cut_file(&chain, "p", 10 * BLOCK);
	take(&chain);
	assert_int_equal(list_count(&chain, "p"), 0);
	assert_restores(&chain);
	chain_remove(&chain);
}

/* ---- random histories -------------------------------------------------------------------------- */

static void change_at_random(struct chain *chain, const char *name, uint64_t *size)
{
	uint64_t *random = &chain->random, at = *size ? next_random(random) % *size : 0;
	int fd;

	switch (next_random(random) % 8) {
	case 0: /* grow, at any size */
		write_noise(chain, name, *size, next_random(random) % 100000);
		break;
	case 1: /* a hole behind the end */
		cut_file(chain, name, *size + next_random(random) % 200000);
		break;
	case 2:
		if (next_random(random) % 3 == 0)
			cut_file(chain, name, at);
		break;
	case 3: /* a hole within */
		fd = openat(chain->fd, name, O_WRONLY | O_CLOEXEC);
		(void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
				(off_t)(1 + next_random(random) % 100000));
		close(fd);
		break;
	case 4:
		write_noise(chain, name, at, next_random(random) % 150000);
		break;
	default:
		write_noise(chain, name, at, 1 + next_random(random) % 64);
	}
	fd = openat(chain->fd, name, O_RDONLY | O_CLOEXEC);
	*size = (uint64_t)lseek(fd, 0, SEEK_END);
	close(fd);
}

static void test_random_histories(void **state)
{
	static const char *const names[] = {"p-a", "p-b", "p-c", "q"};
	uint64_t sizes[4] = {0};
	struct chain chain;

	(void)state;
	chain_make(&chain);
	for (size_t i = 0; i < 4; i++)
		write_noise(&chain, names[i], 0, sizes[i] = i * 9000000 + 12345);
	for (int round = 0; round < 60; round++) {
		take(&chain);
		restore(&chain);
		for (size_t i = 0; i < 4; i++)
			assert_same_bytes(&chain, names[i]);
		for (size_t i = 0; i < 4; i++)
			for (size_t j = next_random(&chain.random) % 12; j; j--)
				change_at_random(&chain, names[i], &sizes[i]);
		if (round % 7 == 0)
			cool_down();
	}
	chain_remove(&chain);
}

/* As a create does it: drafts while the file changes, then all that is left. */
static void test_precopy_by_pages(void **state)
{
	struct chain chain;

	(void)state;
	chain_make(&chain);
	write_noise(&chain, "p", 0, 1000 * BLOCK);
	cool_down();
	take(&chain);
	for (int round = 0; round < 6; round++) {
		struct snapshot next;
		struct capture *capture = begin_next(&chain, &next);
		struct draft *draft = NULL;
		struct capture_pass done;

		for (int pass = 0; pass < 3; pass++) {
			write_noise(&chain, "p", next_random(&chain.random) % 4000 * PAGE, 64);
			if (pass)
				cool_down();
			draft = snapshot_precopy(&next, capture, source_of(&chain), &chain.last,
						 draft, pass == 0, &done);
		}
		write_noise(&chain, "p", next_random(&chain.random) % 4000 * PAGE, 64);
		snapshot_capture_tree(&next, capture, source_of(&chain), &chain.last, draft,
				      &chain.pass);
		end_next(&chain, &next, capture);
		assert_true(chain.totals.new_bytes <= 4 * PAGE + 30000);
		assert_restores(&chain);
	}
	chain_remove(&chain);
}

/* Written anew from the snapshot alone, a file still has the hashes of its pages. */
static void test_consolidated_pages(void **state)
{
	struct capture_options options = {.workers = 2};
	struct error *error = NULL;
	struct snapshot whole;
	struct chain chain;

	(void)state;
	chain_make(&chain);
	write_noise(&chain, "p", 0, 600 * BLOCK + 3 * PAGE + 5);
	cut_file(&chain, "p", 700 * BLOCK);
	write_noise(&chain, "p", 650 * BLOCK + 4096, 3 * BLOCK);
	for (int round = 0; round < 5; round++) {
		take(&chain);
		for (int i = 0; i < 20; i++)
			write_noise(&chain, "p", next_random(&chain.random) % 2400 * PAGE, 64);
	}
	take(&chain);
	chain.store_name = "consolidated";
	must(snapshot_rewrite(&whole, chain.scratch.fd, chain.store_name, &chain.last, &options,
			      &error),
	     &error);
	snapshot_release(&chain.last);
	chain.last = whole;
	restore(&chain);
	assert_same_bytes(&chain, "p");
	write_noise(&chain, "p", 77 * PAGE, 64);
	write_noise(&chain, "p", 2000 * PAGE, 64);
	take(&chain);
	assert_new_pages(&chain, 2, 24576);
	restore(&chain);
	assert_same_bytes(&chain, "p");
	chain_remove(&chain);
}

/* ---- earlier catalogs that are wrong ----------------------------------------------------------- */

/* A catalog in place of the last snapshot's, all of whose records ${change} has had. */
static void forge(struct chain *chain, void (*change)(struct catalog_entry *entry))
{
	struct store_writer_options options = {
		.workers = 1, .directory_fd = chain->last.store_fd, .sink = raw_sink};
	struct raw_catalogs raw = {.roots = memory_zalloc(sizeof(struct catalog_root))};
	struct manifest *manifest = &chain->last.manifest;
	struct catalog_reader *reader;
	struct catalog_entry entry;
	struct error *error = NULL;
	struct pack_info *packs;
	struct buffer stream;
	size_t count, records = 0;

	options.sink_context = &raw;
	raw.store_fd = make_directory(chain->scratch.fd, "store");
	raw.writer = store_writer_open(&options, &error);
	buffer_init(&raw.list, 1U << 20);
	buffer_init(&stream, 64U << 20);
	buffer_append(&stream, CATALOG_MAGIC, CATALOG_MAGIC_SIZE);
	buffer_append_u32(&stream, 0);
	reader = catalog_open(chain->last.store, &manifest->trees->root, &error);
	for (; catalog_next(reader, &entry, &error) > 0; records++) {
		change(&entry);
		assert_int_equal(record_encode(&stream, &entry), 0);
	}
	catalog_close(reader);
	buffer_append_u32(&stream, 0);
	buffer_append_u64(&stream, records);
	raw_add(&raw, stream.data, stream.size);
	must(store_writer_finish(raw.writer, &packs, &count, &error), &error);
	manifest_add_packs(manifest, packs, count);
	catalog_root_release(&manifest->trees->root);
	manifest->trees->root = raw.roots[0];
	memset(raw.roots, 0, sizeof(*raw.roots));
	store_free(chain->last.store);
	chain->last.store = manifest_store(manifest, chain->last.store_fd, &error);
	assert_non_null(chain->last.store);
	raw.packs = packs;
	raw_release(&raw);
	buffer_release(&stream);
}

static void forge_hashes(struct catalog_entry *entry)
{
	if (entry->lists && entry->lists->hash_count)
		memset((uint8_t *)entry->lists->hashes, 0x5a,
		       entry->lists->hash_count * PAGE_HASH_SIZE);
	entry->flags |= ENTRY_HOT;
}

static void forge_key(struct catalog_entry *entry)
{
	if (entry->lists)
		((struct content_lists *)entry->lists)->key[0] ^= 1;
	entry->flags |= ENTRY_HOT;
}

static void forge_inode(struct catalog_entry *entry)
{
	entry->fingerprint.inode++;
	if (entry->content_count)
		((struct content *)entry->contents)[0].chunk.id.bytes[0] ^= 1;
}

static void forge_missing_chunk(struct catalog_entry *entry)
{
	if (entry->content_count)
		((struct content *)entry->contents)[0].chunk.id.bytes[0] ^= 1;
	entry->flags |= ENTRY_HOT;
}

/* Another content than its own, under hashes that fit: the file must be the same to be believed. */
static void test_forged_catalogs_cost_only_time(void **state)
{
	static void (*const changes[])(struct catalog_entry *) = {forge_hashes, forge_key,
								  forge_inode, forge_missing_chunk};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		struct chain chain;

		chain_make(&chain);
		write_noise(&chain, "p", 0, 20 * BLOCK);
		write_noise(&chain, "p2", 0, 3 * BLOCK + 77);
		take(&chain);
		forge(&chain, changes[i]);
		write_noise(&chain, "p", 9 * PAGE, 64);
		take(&chain);
		assert_restores(&chain);
		take(&chain);
		assert_restores(&chain);
		chain_remove(&chain);
	}
}

/* The bytes that FORMAT.md shows; when this fails, the format changed. */
static void test_golden(void **state)
{
	static const char list_bytes[] =
		"7373636f6e303031"
		"00100000"
		"02000000"
		"0000000000000000"
		"01000000"
		"0100200000"
		"0102030000000000000000000000000000000000000000000000000000000000"
		"a0a1a2a3a4a5a6a7"
		"b0b1b2b3b4b5b6b7"
		"0030000000000000"
		"01000000"
		"020010000000100000"
		"00200000"
		"0102030000000000000000000000000000000000000000000000000000000000"
		"d0d1d2d3d4d5d6d7";
	static const char record_parts[] =
		"00100000"
		"0000000000000000000000000000000000000000000000000000000000000007"
		"0040000000000000"
		"01"
		"9200000000000000"
		"01000000"
		"92000000"
		"0400000000000000000000000000000000000000000000000000000000000000"
		"01000000"
		"0020000000000000"
		"01000000"
		"0100100000"
		"0500000000000000000000000000000000000000000000000000000000000000"
		"c0c1c2c3c4c5c6c7";
	struct content contents[] = {
		{.kind = CONTENT_CHUNK, .list = 1, .length = 8192, .chunk = {{{1, 2, 3}}, 8192}},
		{.kind = CONTENT_CHUNK, .length = 4096, .chunk = {{{5}}, 4096}},
		{.kind = CONTENT_CHUNK,
		 .list = 1,
		 .length = 4096,
		 .offset = 4096,
		 .chunk = {{{1, 2, 3}}, 8192}},
	};
	uint8_t hashes[4 * PAGE_HASH_SIZE];
	struct chunk_ref ref = {{{4}}, 146};
	struct content_list list = {.size = 146, .refs = &ref, .count = 1};
	struct content_lists stored = {
		.page = 4096, .hashes = hashes, .hash_count = 4, .lists = &list, .count = 1};
	struct catalog_entry entry = {.path = "f",
				      .mode = S_IFREG | 0644,
				      .size = 16384,
				      .contents = contents,
				      .content_count = 3,
				      .lists = &stored};
	cleanup_free char *hex = NULL, *record = NULL;
	struct buffer buffer;

	(void)state;
	for (size_t i = 0; i < sizeof(hashes); i++)
		hashes[i] = (uint8_t)(0xa0 + i / 8 * 16 + i % 8);
	stored.key[31] = 7;
	buffer_init(&buffer, 1000);
	contents_encode_list(&buffer, &entry, 1);
	hex = text_hex(buffer.data, buffer.size);
	assert_string_equal(hex, list_bytes);
	assert_int_equal(contents_list_size(&entry, 1), buffer.size);
	buffer_clear(&buffer);
	/* what came later stands in the record */
	contents[1].list = LIST_NONE;
	assert_int_equal(record_encode(&buffer, &entry), 0);
	record = text_hex(buffer.data + 4 + 59 + 2, buffer.size - 4 - 59 - 2);
	assert_string_equal(record, record_parts);
	buffer_release(&buffer);
}

/* ---- hostile lists ----------------------------------------------------------------------------- */

/* A catalog of "" and one file "f", whose record has the parts as they are given. */
static void raw_record(struct buffer *stream, uint64_t size, const struct content_list *lists,
		       size_t count, const struct content *fresh, size_t fresh_count)
{
	const struct catalog_entry root = {.path = "", .mode = S_IFDIR | 0755};
	struct content_lists stored = {.lists = lists, .count = count};
	struct catalog_entry entry = {.path = "f",
				      .mode = S_IFREG | 0644,
				      .size = size,
				      .contents = fresh,
				      .content_count = fresh_count,
				      .lists = &stored};

	buffer_clear(stream);
	buffer_append(stream, CATALOG_MAGIC, CATALOG_MAGIC_SIZE);
	buffer_append_u32(stream, 0);
	assert_int_equal(record_encode(stream, &root), 0);
	assert_int_equal(record_encode(stream, &entry), 0);
	buffer_append_u32(stream, 0);
	buffer_append_u64(stream, 2);
}

/* A stored stream of these bytes. */
static struct content_list raw_list(struct raw_catalogs *raw, const struct buffer *bytes)
{
	size_t i = raw_add(raw, bytes->data, bytes->size);
	struct content_list list = {.size = bytes->size};

	list.count = raw->list.size / 36;
	list.refs = memory_zalloc(list.count * sizeof(*list.refs));
	for (size_t j = 0; j < list.count; j++) {
		memcpy(list.refs[j].id.bytes, raw->list.data + 36 * j, HASH_SIZE);
		memcpy(&list.refs[j].size, raw->list.data + 36 * j + 32, 4);
	}
	(void)i;
	return list;
}

static void append_header(struct buffer *buffer, uint32_t page, uint32_t runs)
{
	buffer_clear(buffer);
	buffer_append(buffer, CONTENT_LIST_MAGIC, CATALOG_MAGIC_SIZE);
	buffer_append_u32(buffer, page);
	buffer_append_u32(buffer, runs);
}

static void append_hole_run(struct buffer *buffer, uint64_t at, uint64_t length)
{
	buffer_append_u64(buffer, at);
	buffer_append_u32(buffer, 1);
	buffer_append_u8(buffer, RECORD_CONTENT_HOLE);
	buffer_append_u64(buffer, length);
}

static int read_catalog(struct raw_catalogs *raw, size_t i, uint64_t *size)
{
	struct error *error = NULL;
	struct catalog_reader *reader = catalog_open(raw->store, &raw->roots[i], &error);
	struct catalog_entry entry;
	int result = -1;

	if (reader)
		while ((result = catalog_next(reader, &entry, &error)) > 0)
			*size = entry.size;
	catalog_close(reader);
	if (result < 0) {
		assert_non_null(error);
		if (error->kind != ERROR_DAMAGED)
			fail_msg("kind %d: %s", (int)error->kind, error->message);
		error_free(error);
	}
	return result;
}

static void test_bad_lists(void **state)
{
	const struct content hole = {.kind = CONTENT_HOLE, .list = LIST_NONE, .length = 100};
	struct content_list good, bad[9];
	struct buffer bytes, stream;
	struct raw_catalogs raw;
	struct scratch scratch;
	size_t first, count = 0;
	uint64_t size = 0;

	(void)state;
	scratch_make(&scratch, "/dev/shm");
	raw_open(&raw, scratch.fd, 100);
	buffer_init(&bytes, 1U << 20);
	buffer_init(&stream, 1U << 20);
	append_header(&bytes, 0, 1);
	append_hole_run(&bytes, 0, 1000);
	good = raw_list(&raw, &bytes);
	/* another page size, no such run, behind one another, past the largest file, cut, too long */
	append_header(&bytes, 4096, 1);
	append_hole_run(&bytes, 0, 1000);
	bad[count++] = raw_list(&raw, &bytes);
	append_header(&bytes, 0, 2);
	append_hole_run(&bytes, 0, 1000);
	bad[count++] = raw_list(&raw, &bytes);
	append_header(&bytes, 0, 2);
	append_hole_run(&bytes, 0, 1000);
	append_hole_run(&bytes, 999, 1);
	bad[count++] = raw_list(&raw, &bytes);
	append_header(&bytes, 0, 1);
	append_hole_run(&bytes, RECORD_FILE_SIZE_MAX - 1, 2);
	bad[count++] = raw_list(&raw, &bytes);
	append_header(&bytes, 0, UINT32_MAX);
	append_hole_run(&bytes, 0, 1000);
	bad[count++] = raw_list(&raw, &bytes);
	append_header(&bytes, 0, 1);
	append_hole_run(&bytes, 0, 1000);
	buffer_append_u8(&bytes, 0);
	bad[count++] = raw_list(&raw, &bytes);
	/* a gap */
	append_header(&bytes, 0, 1);
	append_hole_run(&bytes, 1, 1000);
	bad[count++] = raw_list(&raw, &bytes);
	/* sizes that are not those of its chunks */
	bad[count] = good;
	bad[count++].size++;
	bad[count] = good;
	bad[count++].size = 1;
	first = raw.count;
	raw_record(&stream, 1000, &good, 1, NULL, 0);
	raw_add(&raw, stream.data, stream.size);
	/* cut off at the end, and carried on behind it */
	raw_record(&stream, 10, &good, 1, NULL, 0);
	raw_add(&raw, stream.data, stream.size);
	raw_record(&stream, 100, &good, 1, &hole, 1);
	raw_add(&raw, stream.data, stream.size);
	for (size_t i = 0; i < count; i++) {
		raw_record(&stream, 1000, &bad[i], 1, NULL, 0);
		raw_add(&raw, stream.data, stream.size);
	}
	raw_record(&stream, 1001, &good, 1, NULL, 0);
	raw_add(&raw, stream.data, stream.size);
	raw_finish(&raw);
	assert_int_equal(read_catalog(&raw, first, &size), 0);
	assert_int_equal(size, 1000);
	assert_int_equal(read_catalog(&raw, first + 1, &size), 0);
	assert_int_equal(size, 10);
	assert_int_equal(read_catalog(&raw, first + 2, &size), 0);
	for (size_t i = first + 3; i < raw.count; i++)
		if (read_catalog(&raw, i, &size) == 0)
			fail_msg("bad list %zu was accepted", i - first - 3);
	free(good.refs);
	for (size_t i = 0; i + 2 < count; i++)
		free(bad[i].refs);
	buffer_release(&bytes);
	buffer_release(&stream);
	raw_release(&raw);
	scratch_remove(&scratch);
}

/* Flips in a record with pages, lists and runs, and in its lists: damage or a good catalog, no more. */
static void test_mutated_lists(void **state)
{
	enum { COUNT = 4000 };
	uint64_t random = 0xfeed5eed, size;
	struct content contents[40];
	struct content_list lists[2];
	struct buffer bytes, record, stream;
	struct raw_catalogs raw;
	struct scratch scratch;
	struct hash key;
	size_t damaged = 0, first;
	struct content_lists stored = {.page = 512, .lists = lists};
	uint8_t hashes[40 * 8 * PAGE_HASH_SIZE];
	struct catalog_entry entry = {.path = "f", .mode = S_IFREG | 0644, .contents = contents};

	(void)state;
	hash_data(&key, "", 0);
	memset(hashes, 0xee, sizeof(hashes));
	memset(contents, 0, sizeof(contents));
	for (size_t i = 0; i < 40; i++) {
		contents[i].kind = i % 7 ? CONTENT_CHUNK : CONTENT_HOLE;
		contents[i].length = i % 7 ? 1024 : 512 * (1 + i);
		contents[i].chunk = (struct chunk_ref){key, 4096};
		contents[i].offset = (uint32_t)(i % 3 * 1024);
		contents[i].list = (uint8_t)(i % 5 ? 0 : i % 2);
		stored.hash_count += i % 7 ? 2 : 0;
		entry.size += contents[i].length;
	}
	stored.hashes = hashes;
	entry.content_count = 40;
	entry.lists = &stored;
	scratch_make(&scratch, "/dev/shm");
	raw_open(&raw, scratch.fd, 3 * COUNT + 10);
	buffer_init(&bytes, 1U << 20);
	buffer_init(&record, 1U << 20);
	buffer_init(&stream, 1U << 20);
	for (unsigned i = 0; i < 2; i++) {
		buffer_clear(&bytes);
		contents_encode_list(&bytes, &entry, i);
		lists[i] = raw_list(&raw, &bytes);
	}
	stored.count = 2;
	contents[17].list = LIST_NONE;
	first = raw.count;
	for (size_t i = 0; i < COUNT; i++) {
		struct content_list mutated = {0};

		/* every other time the first list, else the record */
		buffer_clear(&bytes);
		contents_encode_list(&bytes, &entry, 0);
		if (i % 2) {
			struct content_list whole = lists[0];

			bytes.data[next_random(&random) % bytes.size] = (char)next_random(&random);
			mutated = raw_list(&raw, &bytes);
			lists[0] = mutated;
			buffer_clear(&stream);
			encode_catalog(&stream,
				       &(struct catalog_entry){.path = "", .mode = S_IFDIR | 0755},
				       1, 0);
			stream.size -= 12;
			assert_int_equal(record_encode(&stream, &entry), 0);
			lists[0] = whole;
		} else {
			buffer_clear(&record);
			assert_int_equal(record_encode(&record, &entry), 0);
			record.data[4 + next_random(&random) % (record.size - 4)] =
				(char)next_random(&random);
			buffer_clear(&stream);
			encode_catalog(&stream,
				       &(struct catalog_entry){.path = "", .mode = S_IFDIR | 0755},
				       1, 0);
			stream.size -= 12;
			buffer_append(&stream, record.data, record.size);
		}
		buffer_append_u32(&stream, 0);
		buffer_append_u64(&stream, 2);
		raw_add(&raw, stream.data, stream.size);
		free(mutated.refs);
	}
	raw_finish(&raw);
	for (size_t i = first; i < raw.count; i++)
		damaged += read_catalog(&raw, i, &size) < 0;
	assert_true(damaged > COUNT / 2);
	for (size_t i = 0; i < 2; i++)
		free(lists[i].refs);
	buffer_release(&bytes);
	buffer_release(&record);
	buffer_release(&stream);
	raw_release(&raw);
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page_hash),
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_a_page_costs_a_page),
		cmocka_unit_test(test_a_block_comes_back),
		cmocka_unit_test(test_another_file_of_that_name),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_random_histories),
		cmocka_unit_test(test_precopy_by_pages),
		cmocka_unit_test(test_consolidated_pages),
		cmocka_unit_test(test_forged_catalogs_cost_only_time),
		cmocka_unit_test(test_bad_lists),
		cmocka_unit_test(test_mutated_lists),
	};

	if (geteuid() != 0) {
		print_message("skipped: needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
