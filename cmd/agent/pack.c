/*
 * Stores on a host's directories: for tests, and to get data out of an image by hand
 * when there is no engine to boot it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "base/cleanup.h"
#include "base/memory.h"
#include "base/text.h"
#include "layer.h"
#include "tree/capture.h"
#include "tree/manifest.h"
#include "tree/own.h"
#include "tree/restore.h"
#include "tree/seed.h"

static int usage(void)
{
	fputs("sidesnap: wrong arguments; see sidesnap-agent --help\n", stderr);
	return ERROR_USAGE;
}

static int open_directory(const char *path, struct error **err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? error_set_errno(err, errno, "cannot open \"%s\"", path) : fd;
}

static int fill_manifest(struct manifest *manifest, const char *directory, struct error **err)
{
	char *now = clock_format(clock_now());
	cleanup_free char *absolute = realpath(directory, NULL);

	manifest->id = text_random_hex(16);
	manifest->parent = memory_strdup("");
	manifest->lineage = memory_strdup(manifest->id);
	manifest->created = now;
	manifest->architecture = memory_strdup(MANIFEST_ARCHITECTURE);
	manifest->trees = memory_zalloc(sizeof(*manifest->trees));
	tree_record_init(&manifest->trees[0]);
	manifest->tree_count = 1;
	manifest->trees[0].kind = TREE_VOLUME;
	free(manifest->trees[0].name);
	manifest->trees[0].name = memory_strdup("packed");
	if (!absolute)
		return error_set_errno(err, errno, "cannot resolve \"%s\"", directory);
	string_list_add(&manifest->trees[0].paths, absolute);
	return 0;
}

static int pack(const char *directory, const char *store, const struct string_list *pages,
		struct error **err)
{
	cleanup_fd int root_fd = open_directory(directory, err), store_fd = -1;
	struct capture_options options = {0};
	struct tree_source source = {.pages = pages};
	struct store_writer_totals totals;
	CLEANUP(cleanup_capture_free) struct capture *capture = NULL;
	struct manifest manifest;
	struct hash hash;
	int result = -1;

	if (root_fd < 0)
		return -1;
	if (mkdir(store, 0755) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "cannot make \"%s\"", store);
	store_fd = open_directory(store, err);
	if (store_fd < 0)
		return -1;
	options.store_fd = store_fd;
	source.root_fd = root_fd;
	capture = capture_open(&options, err);
	if (!capture)
		return -1;
	manifest_init(&manifest);
	if (fill_manifest(&manifest, directory, err) == 0 &&
	    capture_tree(capture, &source, &manifest.trees[0], NULL, err) == 0 &&
	    capture_finish(capture, &manifest.packs, &manifest.pack_count, &totals, err) == 0 &&
	    manifest_write(&manifest, store_fd, &hash, err) == 0) {
		char digits[HASH_HEX_SIZE];

		hash_format(&hash, digits);
		printf("manifest %s\nraw %llu\nnew %llu\nstored %llu\n", digits,
		       (unsigned long long)totals.raw_bytes, (unsigned long long)totals.new_bytes,
		       (unsigned long long)totals.stored_bytes);
		result = 0;
	}
	manifest_release(&manifest);
	return result;
}

int agent_pack(int count, char **arguments)
{
	struct string_list pages;
	struct error *err = NULL;
	int result = -1;

	if (count < 2)
		return usage();
	string_list_init(&pages);
	for (int i = 2; i < count; i += 2) {
		if (strcmp(arguments[i], "--pages") != 0 || i + 1 >= count) {
			string_list_release(&pages);
			return usage();
		}
		string_list_add(&pages, arguments[i + 1]);
	}
	result = pack(arguments[0], arguments[1], &pages, &err);
	string_list_release(&pages);
	return result < 0 ? agent_report(err) : 0;
}

static int unpack(const char *path, uint64_t index, const char *directory, bool replace,
		  struct error **err)
{
	cleanup_fd int store_fd = open_directory(path, err), root_fd = -1;
	CLEANUP(cleanup_store_free) struct store *store = NULL;
	struct restore_options options = {.remove_extra = true};
	struct restore_totals totals;
	struct manifest manifest;
	int result = -1, is_empty;

	if (store_fd < 0)
		return -1;
	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "cannot make \"%s\"", directory);
	root_fd = open_directory(directory, err);
	if (root_fd < 0)
		return -1;
	manifest_init(&manifest);
	if (manifest_read(&manifest, store_fd, NULL, err) == 0 &&
	    (store = manifest_store(&manifest, store_fd, err))) {
		is_empty = volume_is_empty(root_fd, store, NULL, NULL, NULL, err);
		if (index >= manifest.tree_count || manifest.trees[index].kind == TREE_OWN)
			error_set(err, ERROR_NOT_FOUND, "the store has no tree %llu to unpack",
				  (unsigned long long)index);
		else if (is_empty == 0 && !replace) {
			error_set(err, ERROR_EXISTS, "\"%s\" is not empty", directory);
			error_hint(err, "unpack into another folder, or give --replace: what is in "
					"it and not in the store is then deleted");
		} else if (is_empty >= 0)
			result = tree_restore(root_fd, store, &manifest.trees[index], &options,
					      &totals, err);
	}
	manifest_release(&manifest);
	return result;
}

int agent_unpack(int count, char **arguments)
{
	struct error *err = NULL;
	uint64_t index = 0;
	bool replace = false;

	if (count < 2)
		return usage();
	for (int i = 2; i < count; i++) {
		if (strcmp(arguments[i], "--replace") == 0)
			replace = true;
		else if (strcmp(arguments[i], "--tree") != 0 || ++i == count ||
			 !text_parse_uint(arguments[i], 1U << 20, &index))
			return usage();
	}
	if (unpack(arguments[0], index, arguments[1], replace, &err) < 0)
		return agent_report(err);
	return 0;
}

static int check_agent(const struct manifest *manifest, int store_fd, struct error **err)
{
	struct error *problem = NULL;
	struct hash hash;

	if (layer_hash_file(store_fd, AGENT_NAME, &hash, &problem) < 0) {
		bool is_absent = problem && problem->kind == ERROR_NOT_FOUND;

		/* A store that was packed by hand carries none. */
		if (is_absent) {
			error_free(problem);
			return 0;
		}
		error_append(err, problem);
		return -1;
	}
	if (!hash_equal(&hash, &manifest->agent))
		return error_set(err, ERROR_DAMAGED, "the store's agent was changed");
	return 0;
}

static int check(const char *path, struct error **err)
{
	cleanup_fd int store_fd = open_directory(path, err);
	CLEANUP(cleanup_store_free) struct store *store = NULL;
	struct store_verify_totals totals;
	struct manifest manifest;
	int result = -1;

	if (store_fd < 0)
		return -1;
	manifest_init(&manifest);
	if (manifest_read(&manifest, store_fd, NULL, err) == 0 &&
	    check_agent(&manifest, store_fd, err) == 0 &&
	    (store = manifest_store(&manifest, store_fd, err)))
		result = store_verify(store, 0, NULL, NULL, &totals, err);
	for (size_t i = 0; result == 0 && i < manifest.tree_count; i++) {
		const struct tree_record seed = {.root = manifest.trees[i].seed};

		result = tree_verify(store, &manifest.trees[i], err);
		if (result == 0 && seed.root.count)
			result = own_verify(-1, store, &seed, false, err);
	}
	manifest_release(&manifest);
	return result;
}

int agent_check(int count, char **arguments)
{
	struct error *err = NULL;

	if (count != 1)
		return usage();
	if (check(arguments[0], &err) < 0)
		return agent_report(err);
	return 0;
}
