/*
 * manifest.json. Everything that a restore trusts hangs on its hash, so it is
 * parsed with suspicion and printed with a seal that no truncation survives.
 */
#include "tree/manifest.h"

#include <errno.h>
#include <string.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "store/format.h"
#include "tree/format.h"

#define SEAL_BEGIN ",\"seal\":\""
#define SEAL_END "\"}\n"
#define SEAL_SIZE (sizeof(SEAL_BEGIN) - 1 + 2 * HASH_SIZE + sizeof(SEAL_END) - 1)
#define MEMBER_RUN "run" /* of extra */
#define TREES_MAX 4096
#define PACKS_MAX (1U << 16)
#define NUMBER_MAX (UINT64_C(1) << 53)

static const char *const tree_kinds[] = {"volume", "bind", "own", "dump"};

const char *tree_kind_name(enum tree_kind kind)
{
	return tree_kinds[kind];
}

void tree_record_init(struct tree_record *record)
{
	memset(record, 0, sizeof(*record));
	string_list_init(&record->paths);
	string_list_init(&record->excluded);
	string_list_init(&record->skipped);
}

void tree_record_release(struct tree_record *record)
{
	free(record->name);
	free(record->former);
	string_list_release(&record->paths);
	catalog_root_release(&record->root);
	catalog_root_release(&record->seed);
	string_list_release(&record->excluded);
	string_list_release(&record->skipped);
	tree_record_init(record);
}

void tree_record_name(struct tree_record *record, const struct tree_record *from)
{
	record->kind = from->kind;
	free(record->name);
	record->name = memory_strdup(text_or(from->name, ""));
	string_list_add_all(&record->paths, &from->paths);
	string_list_add_all(&record->excluded, &from->excluded);
	string_list_add_all(&record->skipped, &from->skipped);
}

bool tree_record_is(const struct tree_record *record, const struct hash *hash)
{
	for (size_t i = 0; i < record->former_count; i++) {
		if (hash_equal(&record->former[i], hash))
			return true;
	}
	return hash_equal(&record->hash, hash);
}

void tree_record_add_former(struct tree_record *record, const struct hash *hash)
{
	if (tree_record_is(record, hash))
		return;
	if (!record->former)
		record->former = memory_array(NULL, TREE_FORMER_MAX, sizeof(*record->former));
	if (record->former_count == TREE_FORMER_MAX)
		memmove(record->former, record->former + 1,
			--record->former_count * sizeof(*record->former));
	record->former[record->former_count++] = *hash;
}

void manifest_init(struct manifest *manifest)
{
	memset(manifest, 0, sizeof(*manifest));
	manifest->extra = json_new_object();
}

void manifest_release(struct manifest *manifest)
{
	free(manifest->id);
	free(manifest->parent);
	free(manifest->lineage);
	free(manifest->created);
	free(manifest->architecture);
	for (size_t i = 0; i < manifest->tree_count; i++)
		tree_record_release(&manifest->trees[i]);
	free(manifest->trees);
	free(manifest->packs);
	json_free(manifest->extra);
	memset(manifest, 0, sizeof(*manifest));
}

struct tree_record *manifest_add_tree(struct manifest *manifest)
{
	size_t count = manifest->tree_count++;

	manifest->trees = memory_array(manifest->trees, count + 1, sizeof(*manifest->trees));
	tree_record_init(&manifest->trees[count]);
	return &manifest->trees[count];
}

void manifest_add_packs(struct manifest *manifest, const struct pack_info *packs, size_t count)
{
	if (!count)
		return;
	manifest->packs = memory_array(manifest->packs, manifest->pack_count + count,
				       sizeof(*manifest->packs));
	memcpy(manifest->packs + manifest->pack_count, packs, count * sizeof(*packs));
	manifest->pack_count += count;
}

/* ---- printing ---- */

/* A name as a string, or {"base64": ...} where its bytes are not UTF-8. */
static struct json *name_to_json(const char *name)
{
	struct json *object;
	char *encoded;

	if (text_is_utf8(name))
		return json_new_string(name);
	object = json_new_object();
	encoded = text_base64(name, strlen(name), false);
	json_set_string(object, "base64", encoded);
	free(encoded);
	return object;
}

static void names_to_json(struct json *object, const char *key, const struct string_list *names)
{
	struct json *array = json_set_array(object, key);

	for (size_t i = 0; i < names->count; i++)
		json_add(array, name_to_json(names->items[i]));
}

static void hash_to_json(struct json *object, const char *key, const struct hash *hash)
{
	char text[HASH_HEX_SIZE];

	hash_format(hash, text);
	json_set_string(object, key, text);
}

static void hashes_to_json(struct json *object, const char *key, const struct hash *hashes,
			   size_t count)
{
	struct json *array = json_set_array(object, key);

	for (size_t i = 0; i < count; i++) {
		char text[HASH_HEX_SIZE];

		hash_format(&hashes[i], text);
		json_add_string(array, text);
	}
}

static void root_to_json(struct json *object, const char *key, const struct catalog_root *root)
{
	struct json *array = json_set_array(object, key);

	for (size_t i = 0; i < root->count; i++) {
		struct json *item = json_add_object(array);

		hash_to_json(item, "id", &root->refs[i].id);
		json_set_int(item, "size", root->refs[i].size);
	}
}

static void tree_to_json(struct json *array, const struct tree_record *tree)
{
	struct json *object = json_add_object(array);

	json_set_string(object, "kind", tree_kinds[tree->kind]);
	json_set(object, "name", name_to_json(text_or(tree->name, "")));
	names_to_json(object, "paths", &tree->paths);
	hash_to_json(object, "hash", &tree->hash);
	hashes_to_json(object, "former", tree->former, tree->former_count);
	json_set_int(object, "entries", (int64_t)tree->entries);
	json_set_int(object, "bytes", (int64_t)tree->bytes);
	root_to_json(object, "catalog", &tree->root);
	root_to_json(object, "seed", &tree->seed);
	names_to_json(object, "excluded", &tree->excluded);
	names_to_json(object, "skipped", &tree->skipped);
}

static void pack_to_json(struct json *array, const struct pack_info *pack)
{
	struct json *object = json_add_object(array);

	json_set_string(object, "name", pack->name);
	json_set_int(object, "size", (int64_t)pack->size);
	json_set_int(object, "raw_size", (int64_t)pack->raw_size);
	json_set_int(object, "chunks", (int64_t)pack->chunks);
	hash_to_json(object, "footer", &pack->footer);
}

static struct json *manifest_to_json(const struct manifest *manifest)
{
	struct json *object = json_new_object(), *array;

	json_set_int(object, "format", manifest_format(manifest));
	json_set_string(object, "id", text_or(manifest->id, ""));
	json_set_string(object, "parent", text_or(manifest->parent, ""));
	json_set_string(object, "lineage", text_or(manifest->lineage, ""));
	json_set_string(object, "created", text_or(manifest->created, ""));
	json_set_string(object, "architecture", text_or(manifest->architecture, ""));
	hash_to_json(object, "agent", &manifest->agent);
	array = json_set_array(object, "trees");
	for (size_t i = 0; i < manifest->tree_count; i++)
		tree_to_json(array, &manifest->trees[i]);
	array = json_set_array(object, "packs");
	for (size_t i = 0; i < manifest->pack_count; i++)
		pack_to_json(array, &manifest->packs[i]);
	json_set(object, "extra", json_copy(manifest->extra));
	return object;
}

int manifest_check_label(const struct buffer *text, const char *expected, struct error **err)
{
	struct hash hash;
	char digits[HASH_HEX_SIZE];

	hash_data(&hash, text->data, text->size);
	hash_format(&hash, digits);
	return strcmp(digits, expected) == 0
		       ? 0
		       : error_set(err, ERROR_DAMAGED,
				   "its manifest is not the one that its label names");
}

void manifest_note_run(struct manifest *manifest)
{
	char run[CLOCK_RUN_SIZE];

	if (clock_run(run))
		json_set_string(manifest->extra, MEMBER_RUN, run);
}

bool manifest_is_of_this_run(const struct manifest *manifest)
{
	char run[CLOCK_RUN_SIZE];

	return clock_run(run) && strcmp(run, json_string_or(manifest->extra, MEMBER_RUN, "")) == 0;
}

char *manifest_print(const struct manifest *manifest, struct hash *hash)
{
	CLEANUP(cleanup_json_free) struct json *json = manifest_to_json(manifest);
	cleanup_free char *body = json_print(json, false);
	char seal[HASH_HEX_SIZE], *text;
	struct hash body_hash;
	size_t size = strlen(body) - 1; /* its closing brace comes behind the seal */

	hash_data(&body_hash, body, size);
	hash_format(&body_hash, seal);
	body[size] = '\0';
	text = memory_printf("%s" SEAL_BEGIN "%s" SEAL_END, body, seal);
	if (hash)
		hash_data(hash, text, strlen(text));
	return text;
}

/* ---- parsing ---- */

static int damaged(struct error **err, const char *what)
{
	return error_set(err, ERROR_DAMAGED, "manifest: %s", what);
}

/* The counterpart of name_to_json(); NULL when it is no name. To be freed. */
static char *name_from_json(const struct json *json)
{
	const char *encoded;
	uint8_t *bytes;
	size_t size;

	if (json_is_string(json))
		return memory_strdup(json_string(json, NULL));
	encoded = json_string(json, "base64");
	bytes = encoded ? text_unbase64(encoded, &size) : NULL;
	if (bytes && memchr(bytes, '\0', size)) {
		free(bytes);
		return NULL;
	}
	return (char *)bytes;
}

static bool is_clean_absolute(const char *path)
{
	cleanup_free char *clean = NULL;

	if (path[0] != '/' || strlen(path) > RECORD_PATH_MAX)
		return false;
	clean = path_clean(path);
	return strcmp(clean, path) == 0;
}

static bool is_clean_relative(const char *path)
{
	return path_is_safe_relative(path, strlen(path));
}

static int names_from_json(const struct json *object, const char *key, bool (*check)(const char *),
			   struct string_list *names, struct error **err)
{
	const struct json *array = json_get(object, key);

	if (!json_is_array(array))
		return error_set(err, ERROR_DAMAGED, "manifest: no list \"%s\"", key);
	json_for_each(item, array) {
		cleanup_free char *name = name_from_json(item);

		if (!name || !check(name))
			return error_set(err, ERROR_DAMAGED, "manifest: bad path in \"%s\"", key);
		string_list_add(names, name);
	}
	return 0;
}

static bool hash_from_json(const struct json *object, const char *key, struct hash *hash)
{
	const char *text = json_string(object, key);

	return text && hash_parse(text, hash);
}

static int former_from_json(const struct json *object, struct tree_record *tree, struct error **err)
{
	const struct json *array = json_get(object, "former");

	if (!json_is_array(array) || json_count(array) > TREE_FORMER_MAX)
		return damaged(err, "bad list \"former\"");
	json_for_each(item, array) {
		const char *text = json_string(item, NULL);
		struct hash hash;

		if (!text || !hash_parse(text, &hash))
			return damaged(err, "bad hash in \"former\"");
		tree_record_add_former(tree, &hash);
	}
	return 0;
}

static int root_from_json(const struct json *object, const char *key, struct catalog_root *root,
			  struct error **err)
{
	const struct json *array = json_get(object, key);
	size_t count = json_count(array);

	if (!json_is_array(array))
		return error_set(err, ERROR_DAMAGED, "manifest: no list \"%s\"", key);
	if (!count)
		return 0;
	root->refs = memory_array(NULL, count, sizeof(*root->refs));
	json_for_each(item, array) {
		struct chunk_ref *ref = &root->refs[root->count];
		uint64_t size;

		if (!hash_from_json(item, "id", &ref->id) ||
		    !json_uint_checked(item, "size", CHUNK_SIZE_MAX, &size) || !size)
			return error_set(err, ERROR_DAMAGED, "manifest: bad chunk in \"%s\"", key);
		ref->size = (uint32_t)size;
		root->count++;
	}
	return 0;
}

static int kind_from_json(const struct json *object, enum tree_kind *kind)
{
	const char *text = json_string_or(object, "kind", "");

	for (size_t i = 0; i < sizeof(tree_kinds) / sizeof(tree_kinds[0]); i++) {
		if (strcmp(text, tree_kinds[i]) == 0) {
			*kind = (enum tree_kind)i;
			return 0;
		}
	}
	return -1;
}

static int tree_from_json(const struct json *object, struct tree_record *tree, struct error **err)
{
	if (kind_from_json(object, &tree->kind) < 0)
		return damaged(err, "unknown kind of tree");
	tree->name = name_from_json(json_get(object, "name"));
	if (!tree->name)
		return damaged(err, "a tree has no name");
	if (!hash_from_json(object, "hash", &tree->hash) ||
	    !json_uint_checked(object, "entries", NUMBER_MAX, &tree->entries) ||
	    !json_uint_checked(object, "bytes", NUMBER_MAX, &tree->bytes))
		return damaged(err, "bad hash or size of a tree");
	if (former_from_json(object, tree, err) < 0 ||
	    names_from_json(object, "paths", is_clean_absolute, &tree->paths, err) < 0 ||
	    names_from_json(object, "excluded", is_clean_relative, &tree->excluded, err) < 0 ||
	    names_from_json(object, "skipped", is_clean_relative, &tree->skipped, err) < 0 ||
	    root_from_json(object, "catalog", &tree->root, err) < 0 ||
	    root_from_json(object, "seed", &tree->seed, err) < 0)
		return -1;
	if (!tree->paths.count || !tree->root.count)
		return damaged(err, "a tree has no path or no catalog");
	if (tree->kind == TREE_OWN &&
	    (tree->paths.count != 1 || strcmp(tree->paths.items[0], "/") != 0))
		return damaged(err, "own files that are not at \"/\"");
	if (tree->kind == TREE_DUMP && string_list_has(&tree->paths, "/"))
		return damaged(err, "a dump that would fill \"/\"");
	return 0;
}

/* No path may be claimed twice: which tree wins would depend on the order. */
static int check_paths(const struct manifest *manifest, struct error **err)
{
	struct string_list paths;
	int result = 0;

	string_list_init(&paths);
	for (size_t i = 0; i < manifest->tree_count; i++)
		string_list_add_all(&paths, &manifest->trees[i].paths);
	string_list_sort(&paths);
	for (size_t i = 1; i < paths.count && !result; i++) {
		if (strcmp(paths.items[i - 1], paths.items[i]) == 0)
			result = error_set(err, ERROR_DAMAGED, "manifest: two trees at \"%s\"",
					   paths.items[i]);
	}
	string_list_release(&paths);
	return result;
}

static int trees_from_json(struct manifest *manifest, const struct json *array, struct error **err)
{
	if (!json_is_array(array) || json_count(array) > TREES_MAX)
		return damaged(err, "bad list of trees");
	json_for_each(item, array) {
		if (tree_from_json(item, manifest_add_tree(manifest), err) < 0)
			return -1;
	}
	return check_paths(manifest, err);
}

/* Two dumps would be loaded over one another; a format that is not its own is a forger's. */
static int check_dump(const struct manifest *manifest, const struct json *json, struct error **err)
{
	size_t count = 0;

	for (size_t i = 0; i < manifest->tree_count; i++)
		count += manifest->trees[i].kind == TREE_DUMP;
	if (count > 1)
		return damaged(err, "two dumps");
	if (json_int(json, "format") != (int64_t)manifest_format(manifest))
		return damaged(err, count ? "a dump in a format that has none"
					  : "its format is that of a dump, which it has not");
	return 0;
}

static bool is_pack_name(const char *name)
{
	size_t digits = strspn(name, "0123456789abcdef");

	return digits && strlen(name) < sizeof(((struct pack_info *)NULL)->name) &&
	       strcmp(name + digits, PACK_SUFFIX) == 0;
}

static int packs_from_json(struct manifest *manifest, const struct json *array, struct error **err)
{
	if (!json_is_array(array) || json_count(array) > PACKS_MAX)
		return damaged(err, "bad list of packs");
	json_for_each(item, array) {
		struct pack_info pack = {.size = 0};
		const char *name = json_string_or(item, "name", "");

		if (!is_pack_name(name) ||
		    !json_uint_checked(item, "size", NUMBER_MAX, &pack.size) ||
		    !json_uint_checked(item, "raw_size", NUMBER_MAX, &pack.raw_size) ||
		    !json_uint_checked(item, "chunks", NUMBER_MAX, &pack.chunks) ||
		    !hash_from_json(item, "footer", &pack.footer))
			return damaged(err, "bad pack");
		memcpy(pack.name, name, strlen(name) + 1);
		manifest_add_packs(manifest, &pack, 1);
	}
	return 0;
}

static int check_seal(const char *text, size_t size, struct error **err)
{
	const char *seal = text + size - SEAL_SIZE;
	const size_t begin = sizeof(SEAL_BEGIN) - 1;
	char digits[HASH_HEX_SIZE];
	struct hash actual;

	if (size <= SEAL_SIZE || memcmp(seal, SEAL_BEGIN, begin) != 0 ||
	    memcmp(text + size - (sizeof(SEAL_END) - 1), SEAL_END, sizeof(SEAL_END) - 1) != 0)
		return damaged(err, "it has no seal at its end");
	hash_data(&actual, text, size - SEAL_SIZE);
	hash_format(&actual, digits);
	/* as text: another case of the digits would be another file with the same seal */
	if (memcmp(digits, seal + begin, 2UL * HASH_SIZE) != 0)
		return damaged(err, "its seal does not match");
	return 0;
}

static int check_format(const struct json *json, struct error **err)
{
	uint64_t format;

	if (!json_uint_checked(json, "format", NUMBER_MAX, &format) || !format)
		return damaged(err, "no format number");
	if (format > MANIFEST_FORMAT) {
		error_set(err, ERROR_UNSUPPORTED,
			  "the snapshot has format %llu, this sidesnap reads up to %d",
			  (unsigned long long)format, MANIFEST_FORMAT);
		return error_hint(err, "use a newer sidesnap");
	}
	return 0;
}

static char *text_from_json(const struct json *json, const char *key)
{
	const char *text = json_string(json, key);

	return text && strlen(text) <= 256 ? memory_strdup(text) : NULL;
}

int manifest_parse(struct manifest *manifest, const char *text, size_t size, struct error **err)
{
	CLEANUP(cleanup_json_free) struct json *json = NULL;

	if (size > MANIFEST_SIZE_MAX)
		return damaged(err, "it is too large");
	if (check_seal(text, size, err) < 0)
		return -1;
	json = json_parse(text, size, err);
	if (!json) {
		if (err && *err)
			(*err)->kind = ERROR_DAMAGED;
		return error_prefix(err, "manifest");
	}
	if (check_format(json, err) < 0)
		return -1;
	manifest->id = text_from_json(json, "id");
	manifest->parent = text_from_json(json, "parent");
	manifest->lineage = text_from_json(json, "lineage");
	manifest->created = text_from_json(json, "created");
	manifest->architecture = text_from_json(json, "architecture");
	if (!manifest->id || !*manifest->id || !manifest->parent || !manifest->lineage ||
	    !manifest->created || !manifest->architecture)
		return damaged(err, "id, parent, lineage, created or architecture is missing");
	if (!hash_from_json(json, "agent", &manifest->agent))
		return damaged(err, "no hash of the agent");
	if (!json_is_object(json_get(json, "extra")))
		return damaged(err, "no \"extra\"");
	json_free(manifest->extra);
	manifest->extra = json_copy(json_get(json, "extra"));
	if (trees_from_json(manifest, json_get(json, "trees"), err) < 0 ||
	    check_dump(manifest, json, err) < 0)
		return -1;
	return packs_from_json(manifest, json_get(json, "packs"), err);
}

int manifest_read(struct manifest *manifest, int store_fd, struct hash *hash, struct error **err)
{
	struct buffer buffer;
	int result;

	buffer_init(&buffer, MANIFEST_SIZE_MAX);
	result = io_read_file(store_fd, MANIFEST_NAME, &buffer, err);
	if (result == 0)
		result = manifest_parse(manifest, buffer.data, buffer.size, err);
	if (result == 0 && hash)
		hash_data(hash, buffer.data, buffer.size);
	buffer_release(&buffer);
	return result;
}

int manifest_write(const struct manifest *manifest, int store_fd, struct hash *hash,
		   struct error **err)
{
	cleanup_free char *text = manifest_print(manifest, hash);
	size_t size = strlen(text);

	if (size > MANIFEST_SIZE_MAX) {
		error_set(err, ERROR_FAILED, "the manifest would have %zu bytes, more than %u",
			  size, MANIFEST_SIZE_MAX);
		return error_hint(err, "exclude the directories that hold so many sockets");
	}
	return io_write_file_atomic(store_fd, MANIFEST_NAME, text, size, 0644, err);
}

static const struct tree_record *find_kind(const struct manifest *manifest, enum tree_kind kind)
{
	for (size_t i = 0; i < manifest->tree_count; i++) {
		if (manifest->trees[i].kind == kind)
			return &manifest->trees[i];
	}
	return NULL;
}

const struct tree_record *manifest_own_tree(const struct manifest *manifest)
{
	return find_kind(manifest, TREE_OWN);
}

const struct tree_record *manifest_dump(const struct manifest *manifest)
{
	return find_kind(manifest, TREE_DUMP);
}

unsigned manifest_format(const struct manifest *manifest)
{
	return manifest_dump(manifest) ? MANIFEST_FORMAT : MANIFEST_FORMAT_PLAIN;
}

struct store *manifest_store(const struct manifest *manifest, int store_fd, struct error **err)
{
	return store_open(store_fd, manifest->packs, manifest->pack_count, 0, err);
}
