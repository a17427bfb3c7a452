/*
 * Differences between two trees, against a walk of the test's own: what is found, applied to
 * a model of the first tree, gives the second, and nothing is found that is not there.
 */
#include "test_tree_random.h"
#include "test_tree_support.h"

#include "base/path.h"
#include "store/format.h"
#include "tree/diff/diff.h"

#define ROUNDS 20
#define MUTATIONS 2000

/* ---- a tree as the test sees it ---------------------------------------------------------------- */

struct fact {
	char *path;
	struct stat status;
	char *link, *first; /* of a symlink; the name that this is another one of; "" */
	char *attributes;
	char *content; /* bytes of a regular file */
};

struct facts {
	struct fact *list;
	size_t count;
	struct {
		ino_t inode;
		const char *path;
	} * links;
	size_t link_count;
};

static void fact_release(struct fact *fact)
{
	free(fact->path);
	free(fact->link);
	free(fact->first);
	free(fact->attributes);
	free(fact->content);
}

static void facts_release(struct facts *facts)
{
	for (size_t i = 0; i < facts->count; i++)
		fact_release(&facts->list[i]);
	free(facts->list);
	free(facts->links);
}

static char *attributes_of(int parent, const char *name)
{
	struct description description = {.link_count = 0};
	int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	buffer_init(&description.text, 1U << 20);
	describe_attributes(&description, fd);
	close(fd);
	return buffer_steal(&description.text);
}

static char *content_of(int parent, const char *name, size_t size)
{
	int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char *content = memory_zalloc(size + 1);

	assert_int_equal(io_pread_full(fd, content, size, 0), size);
	close(fd);
	return content;
}

static const char *first_name(struct facts *facts, const struct stat *status, const char *path)
{
	for (size_t i = 0; i < facts->link_count; i++) {
		if (facts->links[i].inode == status->st_ino)
			return facts->links[i].path;
	}
	facts->links = memory_array(facts->links, facts->link_count + 1, sizeof(*facts->links));
	facts->links[facts->link_count].inode = status->st_ino;
	facts->links[facts->link_count++].path = path;
	return "";
}

static void walk(struct facts *facts, int parent, const char *name, const char *path)
{
	struct fact fact = {.path = memory_strdup(path)};
	char target[4096] = "";
	struct string_list names;
	DIR *directory;

	assert_int_equal(fstatat(parent, name, &fact.status, AT_SYMLINK_NOFOLLOW), 0);
	if (S_ISLNK(fact.status.st_mode))
		assert_true(readlinkat(parent, name, target, sizeof(target) - 1) > 0);
	fact.link = memory_strdup(target);
	fact.attributes =
		S_ISLNK(fact.status.st_mode) ? memory_strdup("") : attributes_of(parent, name);
	if (S_ISREG(fact.status.st_mode))
		fact.content = content_of(parent, name, (size_t)fact.status.st_size);
	fact.first = memory_strdup(!S_ISDIR(fact.status.st_mode) && fact.status.st_nlink > 1
					   ? first_name(facts, &fact.status, fact.path)
					   : "");
	facts->list = memory_array(facts->list, facts->count + 1, sizeof(fact));
	facts->list[facts->count++] = fact;
	if (!S_ISDIR(fact.status.st_mode))
		return;
	parent = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	directory = fdopendir(parent);
	sorted_names(directory, &names);
	for (size_t i = 0; i < names.count; i++) {
		cleanup_free char *below = *path ? memory_printf("%s/%s", path, names.items[i])
						 : memory_strdup(names.items[i]);

		walk(facts, parent, names.items[i], below);
	}
	string_list_release(&names);
	closedir(directory);
}

static const struct fact *fact_find(const struct facts *facts, const char *path)
{
	for (size_t i = 0; i < facts->count; i++) {
		if (strcmp(facts->list[i].path, path) == 0)
			return &facts->list[i];
	}
	return NULL;
}

/* ---- differences as the code sees them --------------------------------------------------------- */

struct found {
	char *path;
	enum diff_kind kind;
	unsigned what;
	uint64_t changed_bytes;
};

struct collection {
	struct found *list;
	size_t count;
	struct diff_totals totals;
};

static int collect(void *context, const struct difference *difference, struct error **err)
{
	struct collection *collection = context;
	struct found *found;

	(void)err;
	if (collection->count)
		assert_true(path_compare(collection->list[collection->count - 1].path,
					 difference->path) < 0);
	collection->list = memory_array(collection->list, collection->count + 1, sizeof(*found));
	found = &collection->list[collection->count++];
	*found = (struct found){memory_strdup(difference->path), difference->kind, difference->what,
				difference->changed_bytes};
	assert_int_equal(difference->kind == DIFF_CHANGED, difference->what != 0);
	assert_int_equal(difference->kind == DIFF_ADDED, !difference->from);
	assert_int_equal(difference->kind == DIFF_REMOVED, !difference->to);
	return 0;
}

static void collection_release(struct collection *collection)
{
	for (size_t i = 0; i < collection->count; i++)
		free(collection->list[i].path);
	free(collection->list);
	memset(collection, 0, sizeof(*collection));
}

static int diff_sides(const struct diff_side *from, const struct diff_side *to,
		      struct collection *collection, struct error **err)
{
	const struct diff_options options = {.found = collect, .context = collection};

	memset(collection, 0, sizeof(*collection));
	return tree_diff(from, to, &options, &collection->totals, err);
}

static struct diff_side side_of(const struct snapshot *snapshot)
{
	return (struct diff_side){.store = snapshot->store,
				  .root = &snapshot->manifest.trees->root};
}

static void diff_snapshots(const struct snapshot *from, const struct snapshot *to,
			   struct collection *collection)
{
	const struct diff_side a = side_of(from), b = side_of(to);
	struct error *error = NULL;

	must(diff_sides(&a, &b, collection, &error), &error);
}

/* "+a -b *c(content 5) ..." */
static char *to_text(const struct collection *collection)
{
	static const char *const names[] = {"content",	  "mode", "owner", "time",
					    "attributes", "link", "names", "device"};
	struct buffer text;

	buffer_init(&text, 1U << 20);
	for (size_t i = 0; i < collection->count; i++) {
		const struct found *found = &collection->list[i];

		buffer_printf(&text, "%s%c%s", i ? " " : "", "+-*!"[found->kind], found -> path);
		for (size_t w = 0; w < 8; w++) {
			if (found->what & 1U << w)
				buffer_printf(&text, ":%s", names[w]);
		}
		if (found->changed_bytes)
			buffer_printf(&text, "=%llu", (unsigned long long)found->changed_bytes);
	}
	return buffer_steal(&text);
}

/* ---- captures ------------------------------------------------------------------------------------ */

struct bench {
	struct scratch scratch;
	int fd; /* of its "tree" */
	struct string_list pages;
	unsigned stores;
};

static void bench_make(struct bench *bench, const char *parent)
{
	memset(bench, 0, sizeof(*bench));
	scratch_make(&bench->scratch, parent);
	string_list_init(&bench->pages);
	string_list_add(&bench->pages, "[a-m]*");
}

static void bench_remove(struct bench *bench)
{
	string_list_release(&bench->pages);
	scratch_remove(&bench->scratch);
}

/* "tree" as a snapshot in a store of its own. */
static void take(struct bench *bench, struct snapshot *snapshot)
{
	struct tree_source source = {.pages = &bench->pages, .page_block = 8192, .page_size = 1024};
	struct error *error = NULL;
	char name[32];

	snprintf(name, sizeof(name), "store.%u", bench->stores++);
	source.root_fd = openat(bench->scratch.fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(source.root_fd >= 0);
	must(snapshot_take(snapshot, bench->scratch.fd, name, &source, &error), &error);
	close(source.root_fd);
}

/* As a chain has it: packs of both in one directory, the second store opened over all. */
static void take_over(struct bench *bench, struct snapshot *snapshot, const struct snapshot *before)
{
	struct tree_source source = {.pages = &bench->pages, .page_block = 8192, .page_size = 1024};

	source.root_fd = openat(bench->scratch.fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snapshot_take_over(snapshot, before->store_fd, ".", source, before, NULL);
	close(source.root_fd);
}

/* ---- differences applied to a model ------------------------------------------------------------- */

static bool same_file(const struct fact *a, const struct fact *b)
{
	/* what a name of another file says is that file's */
	if (*a->first || *b->first)
		return strcmp(a->first, b->first) == 0;
	return a->status.st_mode == b->status.st_mode && a->status.st_uid == b->status.st_uid &&
	       a->status.st_gid == b->status.st_gid && a->status.st_rdev == b->status.st_rdev &&
	       a->status.st_mtim.tv_sec == b->status.st_mtim.tv_sec &&
	       a->status.st_mtim.tv_nsec == b->status.st_mtim.tv_nsec &&
	       strcmp(a->link, b->link) == 0 && strcmp(a->attributes, b->attributes) == 0 &&
	       (!S_ISREG(a->status.st_mode) ||
		(a->status.st_size == b->status.st_size &&
		 memcmp(a->content, b->content, (size_t)a->status.st_size) == 0));
}

/* Of a change of its bits only these are taken over from the second tree. */
static void apply_change(struct fact *model, const struct fact *now, unsigned what)
{
	if (what & DIFF_MODE)
		model->status.st_mode = now->status.st_mode;
	if (what & DIFF_OWNER) {
		model->status.st_uid = now->status.st_uid;
		model->status.st_gid = now->status.st_gid;
	}
	if (what & DIFF_TIME)
		model->status.st_mtim = now->status.st_mtim;
	if (what & DIFF_DEVICE)
		model->status.st_rdev = now->status.st_rdev;
	if (what & DIFF_ATTRIBUTES) {
		free(model->attributes);
		model->attributes = memory_strdup(now->attributes);
	}
	if (what & DIFF_LINK) {
		free(model->link);
		model->link = memory_strdup(now->link);
	}
	if (what & DIFF_CONTENT) {
		free(model->content);
		model->status.st_size = now->status.st_size;
		model->content = memory_alloc((size_t)now->status.st_size + 1);
		memcpy(model->content, now->content, (size_t)now->status.st_size);
	}
}

static uint64_t bytes_that_differ(const struct fact *a, const struct fact *b)
{
	uint64_t x = (uint64_t)a->status.st_size, y = (uint64_t)b->status.st_size;
	uint64_t both = x < y ? x : y, count = (x < y ? y : x) - both;

	for (uint64_t i = 0; i < both; i++)
		count += a->content[i] != b->content[i];
	return count;
}

static void check_one(struct facts *model, const struct facts *now, const struct found *found)
{
	struct fact *before = (struct fact *)fact_find(model, found->path);
	const struct fact *after = fact_find(now, found->path);

	if (found->kind == DIFF_REMOVED || found->kind == DIFF_ADDED) {
		assert_int_equal(before != NULL, found->kind == DIFF_REMOVED);
		assert_int_equal(after != NULL, found->kind == DIFF_ADDED);
		return;
	}
	assert_non_null(before);
	assert_non_null(after);
	assert_false(same_file(before, after));
	assert_int_equal(found->kind == DIFF_TYPE,
			 (before->status.st_mode & S_IFMT) != (after->status.st_mode & S_IFMT));
	if (found->kind == DIFF_TYPE)
		return;
	assert_int_equal((found->what & DIFF_NAMES) != 0, strcmp(before->first, after->first) != 0);
	if (found->what & DIFF_NAMES)
		return;
	if (found->what & DIFF_CONTENT) {
		uint64_t truth = bytes_that_differ(before, after);

		assert_true(truth > 0);
		assert_true(found->changed_bytes >= truth);
	}
	apply_change(before, after, found->what);
	assert_true(same_file(before, after));
}

/* What was not found must be the same, too. */
static void check_rest(const struct facts *model, const struct facts *now,
		       const struct collection *collection)
{
	size_t i = 0, j = 0, next = 0;

	while (i < model->count || j < now->count) {
		int order = i == model->count ? 1
			    : j == now->count
				    ? -1
				    : path_compare(model->list[i].path, now->list[j].path);
		const char *path = order <= 0 ? model->list[i].path : now->list[j].path;
		bool is_found =
			next < collection->count && strcmp(collection->list[next].path, path) == 0;

		if (!is_found && (order || !same_file(&model->list[i], &now->list[j])))
			fail_msg("\"%s\" differs and was not found", path);
		next += is_found;
		i += order <= 0;
		j += order >= 0;
	}
	assert_int_equal(next, collection->count);
}

static void check_diff(const struct snapshot *from, const struct snapshot *to, struct facts *model,
		       const struct facts *now)
{
	struct collection collection;

	diff_snapshots(from, to, &collection);
	for (size_t i = 0; i < collection.count; i++)
		check_one(model, now, &collection.list[i]);
	check_rest(model, now, &collection);
	collection_release(&collection);
}

static uint64_t seed(void)
{
	const char *text = getenv("SIDESNAP_TEST_SEED");

	return text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) * 1000003U;
}

static unsigned rounds(void)
{
	const char *text = getenv("SIDESNAP_TEST_ROUNDS");

	return text ? (unsigned)strtoul(text, NULL, 0) : ROUNDS;
}

/* In one store, over what the first knows, or in two: the answer is the same. */
static void test_applied_it_gives_the_second(void **state)
{
	uint64_t first = seed();

	(void)state;
	printf("SIDESNAP_TEST_SEED=%llu\n", (unsigned long long)first);
	for (unsigned round = 0; round < rounds(); round++) {
		struct facts before = {0}, after = {0}, unchanged = {0};
		struct snapshot one, other;
		struct bench bench;

		bench_make(&bench, "/tmp");
		random_tree(bench.scratch.fd, "tree", first + round);
		take(&bench, &one);
		walk(&before, bench.scratch.fd, "tree", "");
		walk(&unchanged, bench.scratch.fd, "tree", "");
		change_tree(bench.scratch.fd, "tree", first + round + 77);
		if (round % 2)
			take(&bench, &other);
		else
			take_over(&bench, &other, &one);
		walk(&after, bench.scratch.fd, "tree", "");
		check_diff(&one, &other, &before, &after);
		facts_release(&before);
		memset(&before, 0, sizeof(before));
		walk(&before, bench.scratch.fd, "tree", "");
		check_diff(&other, &one, &before, &unchanged);
		snapshot_release(&other);
		snapshot_release(&one);
		facts_release(&before);
		facts_release(&after);
		facts_release(&unchanged);
		bench_remove(&bench);
	}
}

/* ---- one thing at a time --------------------------------------------------------------------- */

static void expect(struct bench *bench, struct snapshot *before, const char *expected)
{
	struct collection collection;
	struct snapshot now;
	cleanup_free char *text = NULL;

	take(bench, &now);
	diff_snapshots(before, &now, &collection);
	text = to_text(&collection);
	assert_string_equal(text, expected);
	collection_release(&collection);
	snapshot_release(&now);
}

static void set_time(int parent, const char *name, time_t seconds)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = seconds}};

	assert_int_equal(utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

/* Changed as a test wants it and nothing else: the times are put back. */
static void test_each_kind(void **state)
{
	struct snapshot before;
	struct bench bench;
	int fd;

	(void)state;
	bench_make(&bench, "/tmp");
	fd = make_directory(bench.scratch.fd, "tree");
	make_text_file(fd, "x.file", "hello");
	make_text_file(fd, "x.other", "hello");
	assert_int_equal(linkat(fd, "x.other", fd, "y.name", 0), 0);
	assert_int_equal(symlinkat("here", fd, "x.link"), 0);
	set_time(fd, "x.file", 5);
	set_time(fd, "x.other", 5);
	set_time(fd, "x.link", 5);
	set_time(fd, ".", 5);
	take(&bench, &before);
	expect(&bench, &before, "");

	assert_int_equal(fchmodat(fd, "x.file", 0600, 0), 0);
	expect(&bench, &before, "*x.file:mode");
	assert_int_equal(fchmodat(fd, "x.file", 0644, 0), 0);
	assert_int_equal(fchownat(fd, "x.file", 1, 2, 0), 0);
	expect(&bench, &before, "*x.file:owner");
	assert_int_equal(fchownat(fd, "x.file", 0, 0, 0), 0);
	set_time(fd, "x.file", 6);
	expect(&bench, &before, "*x.file:time");
	make_text_file(fd, "x.file", "hellO");
	set_time(fd, "x.file", 5);
	expect(&bench, &before, "*x.file:content=5");
	/* of another size: where it differs is looked at */
	make_text_file(fd, "x.file", "hello, you");
	set_time(fd, "x.file", 5);
	expect(&bench, &before, "*x.file:content=5");
	make_text_file(fd, "x.file", "hello");
	set_time(fd, "x.file", 5);
	expect(&bench, &before, "");

	/* of a file with two names the first one tells */
	make_text_file(fd, "x.other", "hello, all");
	set_time(fd, "x.other", 5);
	expect(&bench, &before, "*x.other:content=5");
	make_text_file(fd, "x.other", "hello");
	set_time(fd, "x.other", 5);
	assert_int_equal(unlinkat(fd, "y.name", 0), 0);
	set_time(fd, ".", 5);
	expect(&bench, &before, "-y.name");
	make_text_file(fd, "y.name", "hello");
	set_time(fd, "y.name", 5);
	set_time(fd, ".", 5);
	expect(&bench, &before, "*y.name:names");
	assert_int_equal(unlinkat(fd, "y.name", 0), 0);
	assert_int_equal(linkat(fd, "x.other", fd, "y.name", 0), 0);

	assert_int_equal(unlinkat(fd, "x.link", 0), 0);
	assert_int_equal(symlinkat("there", fd, "x.link"), 0);
	set_time(fd, "x.link", 5);
	set_time(fd, ".", 5);
	expect(&bench, &before, "*x.link:link");
	assert_int_equal(unlinkat(fd, "x.link", 0), 0);
	close(make_directory(fd, "x.link"));
	set_time(fd, ".", 5);
	expect(&bench, &before, "!x.link");
	make_text_file(fd, "z", "new");
	expect(&bench, &before, "*:time !x.link +z");
	snapshot_release(&before);
	close(fd);
	bench_remove(&bench);
}

/* ---- what a file is made of -------------------------------------------------------------------- */

#define BLOCK 8192U
#define PAGE 1024U

struct ranges {
	struct buffer text;
};

static int note_range(void *context, uint64_t offset, uint64_t length, struct error **err)
{
	struct ranges *ranges = context;

	(void)err;
	buffer_printf(&ranges->text, "%s%llu+%llu", ranges->text.size ? " " : "",
		      (unsigned long long)offset, (unsigned long long)length);
	return 0;
}

/* The record of ${path}, as long as the reader is open. */
static struct catalog_reader *find(const struct snapshot *snapshot, const char *path,
				   struct catalog_entry *entry)
{
	struct error *error = NULL;
	struct catalog_reader *reader =
		catalog_open(snapshot->store, &snapshot->manifest.trees->root, &error);

	assert_non_null(reader);
	while (catalog_next(reader, entry, &error) > 0) {
		if (strcmp(entry->path, path) == 0)
			return reader;
	}
	fail_msg("no \"%s\"", path);
	return NULL;
}

static char *content_ranges(const struct snapshot *from, const struct snapshot *to,
			    const char *path, struct diff_reading *reading)
{
	struct catalog_entry a, b;
	struct catalog_reader *left = find(from, path, &a), *right = find(to, path, &b);
	struct error *error = NULL;
	struct ranges ranges;
	uint64_t changed;

	buffer_init(&ranges.text, 1U << 20);
	must(diff_content(from->store, &a, to->store, &b, reading, note_range, &ranges, &changed,
			  &error),
	     &error);
	catalog_close(left);
	catalog_close(right);
	return buffer_steal(&ranges.text);
}

static void write_at(int parent, const char *name, uint64_t at, const void *data, size_t size)
{
	int fd = openat(parent, name, O_WRONLY | O_CLOEXEC);

	assert_int_equal(io_pwrite_full(fd, data, size, at), 0);
	close(fd);
}

static void make_noise(int parent, const char *name, size_t size)
{
	cleanup_free uint8_t *data = memory_alloc(size);
	uint64_t random = 99;

	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)next_random(&random);
	make_file(parent, name, data, size);
}

/* Blocks tell by their hashes, pages by theirs, and only who wants every byte reads. */
static void test_blocks_pages_bytes(void **state)
{
	struct diff_reading coarse = {0}, exact = {.is_exact = true};
	struct snapshot before, alone, over;
	cleanup_free char *blocks = NULL, *pages = NULL, *bytes = NULL;
	struct bench bench;
	int fd;

	(void)state;
	bench_make(&bench, "/tmp");
	fd = make_directory(bench.scratch.fd, "tree");
	make_noise(fd, "a", 20 * BLOCK);
	take(&bench, &before);
	write_at(fd, "a", 3 * BLOCK + 2 * PAGE + 7, "xyz", 3);
	write_at(fd, "a", 9 * BLOCK - 1, "xy", 2);
	/* captured afresh: another key, so that pages tell nothing */
	take(&bench, &alone);
	take_over(&bench, &over, &before);
	blocks = content_ranges(&before, &alone, "a", &coarse);
	assert_string_equal(blocks, "24576+8192 65536+16384");
	assert_int_equal(coarse.read_bytes, 0);
	pages = content_ranges(&before, &over, "a", &coarse);
	assert_string_equal(pages, "26624+1024 72704+2048");
	assert_int_equal(coarse.read_bytes, 0);
	bytes = content_ranges(&before, &over, "a", &exact);
	assert_string_equal(bytes, "26631+3 73727+2");
	assert_true(exact.read_bytes <= 8 * BLOCK);
	snapshot_release(&over);
	snapshot_release(&alone);
	snapshot_release(&before);
	close(fd);
	bench_remove(&bench);
}

/* The same bytes in other pieces are no difference: whole, pieced together, and cut anew. */
static void test_pieces_are_no_difference(void **state)
{
	struct capture_options options = {.workers = 2};
	struct snapshot before, pieced, whole, rewritten;
	struct collection collection;
	struct error *error = NULL;
	struct bench bench;
	int fd;

	(void)state;
	bench_make(&bench, "/tmp");
	fd = make_directory(bench.scratch.fd, "tree");
	make_noise(fd, "a", 64 * BLOCK);
	make_noise(fd, "z", 64 * BLOCK);
	take(&bench, &before);
	for (uint64_t at = 0; at < 64; at += 5)
		write_at(fd, "a", at * BLOCK + 3 * PAGE, "page", 4);
	take_over(&bench, &pieced, &before);
	take(&bench, &whole);
	diff_snapshots(&pieced, &whole, &collection);
	assert_int_equal(collection.count, 0);
	collection_release(&collection);

	must(snapshot_rewrite(&rewritten, bench.scratch.fd, "rewritten", &pieced, &options, &error),
	     &error);
	diff_snapshots(&pieced, &rewritten, &collection);
	assert_int_equal(collection.count, 0);
	collection_release(&collection);
	snapshot_release(&rewritten);
	snapshot_release(&whole);
	snapshot_release(&pieced);
	snapshot_release(&before);
	close(fd);
	bench_remove(&bench);
}

/* A byte put in at the front moves all: nothing is read but what finds the first difference. */
static void test_moved_content(void **state)
{
	const size_t size = 4U << 20;
	cleanup_free uint8_t *data = memory_zalloc(size + 1);
	struct diff_reading reading = {0};
	struct snapshot before, after;
	struct bench bench;
	uint64_t random = 5;
	cleanup_free char *text = NULL;
	int fd;

	(void)state;
	bench_make(&bench, "/tmp");
	fd = make_directory(bench.scratch.fd, "tree");
	for (size_t i = 0; i <= size; i++)
		data[i] = (uint8_t)next_random(&random);
	make_file(fd, "z", data + 1, size);
	take(&bench, &before);
	make_file(fd, "z", data, size + 1);
	take(&bench, &after);
	text = content_ranges(&before, &after, "z", &reading);
	assert_true(reading.read_bytes <= 4 * CHUNK_SIZE_MAX);
	snapshot_release(&after);
	snapshot_release(&before);
	close(fd);
	bench_remove(&bench);
}

static void test_holes_are_zeros(void **state)
{
	cleanup_free uint8_t *zeros = memory_zalloc(1U << 20);
	struct snapshot before;
	struct bench bench;
	int fd, file;

	(void)state;
	bench_make(&bench, "/tmp");
	fd = make_directory(bench.scratch.fd, "tree");
	make_file(fd, "z", zeros, 1U << 20);
	set_time(fd, "z", 5);
	take(&bench, &before);
	file = openat(fd, "z", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(file, 0), 0);
	assert_int_equal(ftruncate(file, 1 << 20), 0);
	close(file);
	set_time(fd, "z", 5);
	expect(&bench, &before, "");
	write_at(fd, "z", 70000, "x", 1);
	set_time(fd, "z", 5);
	expect(&bench, &before, "*z:content=1");
	snapshot_release(&before);
	close(fd);
	bench_remove(&bench);
}

/* ---- much that is the same ------------------------------------------------------------------- */

#define FILES 20000

/* All but a few chunks of the catalog are gone over, wherever the change is. */
static void test_the_rest_is_skipped(void **state)
{
	static const char *const changed[] = {"n00000", "n00001", "n10000", "n19999"};
	const struct timespec cool_down = {.tv_nsec = 130 * 1000000L};
	struct snapshot before, after;
	struct collection collection;
	struct bench bench;
	int fd;

	(void)state;
	bench_make(&bench, "/dev/shm");
	fd = make_directory(bench.scratch.fd, "tree");
	for (unsigned i = 0; i < FILES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%05u", i);
		make_text_file(fd, name, name);
	}
	/* else those that were just made are hot, and later not */
	nanosleep(&cool_down, NULL);
	take(&bench, &before);
	for (size_t i = 0; i < 4; i++) {
		write_at(fd, changed[i], 0, "x", 1);
		take(&bench, &after);
		diff_snapshots(&before, &after, &collection);
		assert_int_equal(collection.count, i + 1);
		assert_string_equal(collection.list[i].path, changed[i]);
		assert_int_equal(collection.totals.records, 2 * (FILES + 1));
		assert_true(collection.totals.skipped > 2 * FILES * 9 / 10);
		collection_release(&collection);
		snapshot_release(&after);
	}
	assert_int_equal(unlinkat(fd, "n05000", 0), 0);
	make_text_file(fd, "n10000a", "new");
	take(&bench, &after);
	diff_snapshots(&before, &after, &collection);
	assert_int_equal(collection.totals.removed, 1);
	assert_int_equal(collection.totals.added, 1);
	assert_int_equal(collection.totals.metadata, 1); /* the directory's time */
	assert_true(collection.totals.skipped > 2 * FILES * 9 / 10);
	collection_release(&collection);
	/* the same list of chunks: not even that is read */
	diff_snapshots(&after, &after, &collection);
	assert_int_equal(collection.count, 0);
	assert_int_equal(collection.totals.records, 0);
	collection_release(&collection);
	snapshot_release(&after);
	snapshot_release(&before);
	close(fd);
	bench_remove(&bench);
}

/* ---- own files ----------------------------------------------------------------------------------- */

static int look(void *context, const char *path, struct catalog_entry *entry, struct error **err)
{
	(void)context;
	(void)err;
	if (strcmp(path, "etc/image") != 0)
		return 0;
	*entry = (struct catalog_entry){
		.path = path, .mode = S_IFREG | 0644, .mtime = {.tv_sec = 7}};
	return 1;
}

/* Paths that only one side names are as its image has them on the other. */
static void test_partial(void **state)
{
	static const struct content some = {.kind = CONTENT_HASH, .length = 3},
				    other = {.kind = CONTENT_HASH, .length = 4};
	const struct catalog_entry root = {.path = "", .mode = S_IFDIR | 0755},
				   directory = {.path = "etc", .mode = S_IFDIR | 0755};
	const struct catalog_entry from[] = {
		root,
		directory,
		{.path = "etc/gone", .mode = S_IFREG | 0644},
		{.path = "etc/was-deleted", .mode = 0, .flags = ENTRY_DELETED},
		{.path = "etc/x",
		 .mode = S_IFREG | 0644,
		 .size = 3,
		 .contents = &some,
		 .content_count = 1},
		{.path = "etc/y",
		 .mode = S_IFREG | 0644,
		 .size = 3,
		 .contents = &some,
		 .content_count = 1},
	};
	const struct catalog_entry to[] = {
		root,
		directory,
		{.path = "etc/image", .mode = S_IFREG | 0600, .mtime = {7, 5}},
		{.path = "etc/new", .mode = S_IFREG | 0600},
		{.path = "etc/was-deleted", .mode = S_IFREG | 0600},
		{.path = "etc/x",
		 .mode = S_IFREG | 0644,
		 .size = 4,
		 .contents = &other,
		 .content_count = 1},
		{.path = "etc/y", .mode = 0, .flags = ENTRY_DELETED},
	};
	struct collection collection;
	struct raw_catalogs raw;
	struct scratch scratch;
	struct diff_side sides[2];
	struct error *error = NULL;
	struct buffer stream;
	cleanup_free char *text = NULL;

	(void)state;
	scratch_make(&scratch, "/dev/shm");
	raw_open(&raw, scratch.fd, 2);
	buffer_init(&stream, 1U << 20);
	encode_catalog(&stream, from, 6, CATALOG_PARTIAL);
	raw_add(&raw, stream.data, stream.size);
	buffer_clear(&stream);
	encode_catalog(&stream, to, 7, CATALOG_PARTIAL);
	raw_add(&raw, stream.data, stream.size);
	raw_finish(&raw);
	for (size_t i = 0; i < 2; i++)
		sides[i] =
			(struct diff_side){.store = raw.store, .root = &raw.roots[i], .look = look};
	must(diff_sides(&sides[0], &sides[1], &collection, &error), &error);
	text = to_text(&collection);
	assert_string_equal(text, "-etc/gone *etc/image:mode +etc/new +etc/was-deleted "
				  "*etc/x:content=4 -etc/y");
	collection_release(&collection);
	/* as of a snapshot without own files */
	free(text);
	sides[0].root = NULL;
	must(diff_sides(&sides[0], &sides[1], &collection, &error), &error);
	text = to_text(&collection);
	assert_string_equal(text, "+ +etc *etc/image:mode +etc/new +etc/was-deleted +etc/x");
	collection_release(&collection);
	buffer_release(&stream);
	raw_release(&raw);
	scratch_remove(&scratch);
}

/* ---- catalogs made to do harm ---------------------------------------------------------------- */

static void encode_sample(struct buffer *stream)
{
	static const struct content hole = {.kind = CONTENT_HOLE, .length = 100000};
	static const struct attribute attribute = {"user.a", "value", 5};
	const struct catalog_entry entries[] = {
		{.path = "", .mode = S_IFDIR | 0755},
		{.path = "a",
		 .mode = S_IFDIR | 0755,
		 .attributes = &attribute,
		 .attribute_count = 1},
		{.path = "a/b",
		 .mode = S_IFREG | 0644,
		 .flags = ENTRY_LINKED,
		 .size = 100000,
		 .contents = &hole,
		 .content_count = 1},
		{.path = "a/c", .mode = S_IFREG | 0644, .hardlink = "a/b"},
		{.path = "d", .mode = S_IFLNK | 0777, .link = "a/b"},
		{.path = "e", .mode = S_IFCHR | 0600, .device = makedev(1, 3)},
		{.path = "f", .mode = S_IFREG | 0644},
	};

	buffer_clear(stream);
	encode_catalog(stream, entries, 7, 0);
}

static void mutate(struct buffer *stream, uint64_t *random)
{
	for (uint64_t i = 1 + next_random(random) % 4; i; i--) {
		size_t at = (size_t)next_random(random) % stream->size;

		if (next_random(random) % 8 == 0)
			stream->size = at + 1;
		else
			stream->data[at] =
				(char)(stream->data[at] ^ (char)(1U << next_random(random) % 8));
	}
}

/* Differences or a refusal, and nothing else: the sanitizers watch. */
static void test_mutations(void **state)
{
	uint64_t random = 0x1234567;
	unsigned refused = 0, different = 0;
	struct raw_catalogs raw;
	struct scratch scratch;
	struct buffer stream;

	(void)state;
	scratch_make(&scratch, "/dev/shm");
	raw_open(&raw, scratch.fd, MUTATIONS + 1);
	buffer_init(&stream, 1U << 20);
	encode_sample(&stream);
	raw_add(&raw, stream.data, stream.size);
	for (size_t i = 1; i <= MUTATIONS; i++) {
		encode_sample(&stream);
		mutate(&stream, &random);
		raw_add(&raw, stream.data, stream.size);
	}
	raw_finish(&raw);
	for (size_t i = 1; i <= MUTATIONS; i++) {
		const struct diff_side good = {.store = raw.store, .root = &raw.roots[0]};
		const struct diff_side evil = {.store = raw.store, .root = &raw.roots[i]};
		cleanup_error struct error *error = NULL;
		struct collection collection;

		if (diff_sides(i % 2 ? &good : &evil, i % 2 ? &evil : &good, &collection, &error) <
		    0) {
			assert_int_equal(error->kind, ERROR_DAMAGED);
			refused++;
		}
		different += collection.count > 0;
		collection_release(&collection);
	}
	assert_true(refused > MUTATIONS / 4);
	assert_true(different > MUTATIONS / 8);
	buffer_release(&stream);
	raw_release(&raw);
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_kind),
		cmocka_unit_test(test_blocks_pages_bytes),
		cmocka_unit_test(test_pieces_are_no_difference),
		cmocka_unit_test(test_moved_content),
		cmocka_unit_test(test_holes_are_zeros),
		cmocka_unit_test(test_the_rest_is_skipped),
		cmocka_unit_test(test_partial),
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_applied_it_gives_the_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
