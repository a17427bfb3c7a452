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
#include "tree/capture/capture.h"
#include "tree/manifest.h"
#include "tree/own/own.h"
#include "tree/own/seed.h"
#include "tree/restore/restore.h"
#include "view.h"

#define PAGE_SIZE_DEFAULT (8U << 10)

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
	struct tree_record *tree;

	manifest->id = text_random_hex(16);
	manifest->parent = memory_strdup("");
	manifest->lineage = memory_strdup(manifest->id);
	manifest->created = now;
	manifest->architecture = memory_strdup(MANIFEST_ARCHITECTURE);
	tree = manifest_add_tree(manifest);
	tree->kind = TREE_VOLUME;
	tree->name = memory_strdup("packed");
	if (!absolute)
		return error_set_errno(err, errno, "cannot resolve \"%s\"", directory);
	string_list_add(&tree->paths, absolute);
	return 0;
}

/* The snapshot that is in the store already, if there is one. */
struct earlier_pack {
	struct snapshot_view view;
	struct earlier *files;
};

static void release_earlier(struct earlier_pack *before)
{
	earlier_free(before->files);
	view_release(&before->view);
}

static int open_earlier(struct earlier_pack *before, const char *store, struct error **err)
{
	struct snapshot_view *view = &before->view;

	view->store_fd = open_directory(store, err);
	if (view->store_fd < 0 || view_read_if_there(view, err) < 0)
		return -1;
	if (view->store && view->manifest.tree_count)
		before->files = earlier_of_catalog(view->store, &view->manifest.trees[0].root,
						   manifest_is_of_this_run(&view->manifest));
	return 0;
}

static int pack_into(struct manifest *manifest, struct earlier_pack *before, const char *directory,
		     struct tree_source *source, struct error **err)
{
	int store_fd = before->view.store_fd;
	struct capture_options options = {.store_fd = store_fd, .known = before->view.store};
	CLEANUP(cleanup_capture_free) struct capture *capture = capture_open(&options, err);
	struct store_writer_totals totals;
	char digits[HASH_HEX_SIZE];
	struct hash hash;

	if (!capture)
		return -1;
	source->earlier = before->files;
	if (fill_manifest(manifest, directory, err) < 0 ||
	    capture_tree(capture, source, &manifest->trees[0], NULL, err) < 0 ||
	    capture_finish(capture, &manifest->packs, &manifest->pack_count, &totals, err) < 0)
		return -1;
	/* those that were there belong to it too */
	manifest_add_packs(manifest, before->view.manifest.packs, before->view.manifest.pack_count);
	manifest_note_run(manifest);
	if (manifest_write(manifest, store_fd, &hash, err) < 0)
		return -1;
	hash_format(&hash, digits);
	printf("manifest %s\nraw %llu\nnew %llu\nstored %llu\n", digits,
	       (unsigned long long)totals.raw_bytes, (unsigned long long)totals.new_bytes,
	       (unsigned long long)totals.stored_bytes);
	return 0;
}

static int pack(const char *directory, const char *store, const struct string_list *pages,
		struct error **err)
{
	cleanup_fd int root_fd = open_directory(directory, err);
	struct tree_source source = {.pages = pages, .page_size = PAGE_SIZE_DEFAULT};
	struct earlier_pack before = {.files = NULL};
	struct manifest manifest;
	int result;

	if (root_fd < 0)
		return -1;
	if (mkdir(store, 0755) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "cannot make \"%s\"", store);
	source.root_fd = root_fd;
	manifest_init(&manifest);
	view_init(&before.view);
	result = open_earlier(&before, store, err);
	if (result == 0)
		result = pack_into(&manifest, &before, directory, &source, err);
	release_earlier(&before);
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

/* The snapshot in a store on the host. */
static int open_packed(struct snapshot_view *view, const char *store, struct error **err)
{
	view->store_fd = open_directory(store, err);
	return view->store_fd < 0 ? -1 : view_read_checked(view, "", 0, err);
}

static int unpack_tree(const struct snapshot_view *view, uint64_t index, const char *directory,
		       bool replace, struct error **err)
{
	const struct manifest *manifest = &view->manifest;
	struct restore_options options = {.remove_extra = true};
	cleanup_fd int root_fd = -1;
	struct restore_totals totals;
	int is_empty;

	if (index >= manifest->tree_count || manifest->trees[index].kind == TREE_OWN)
		return error_set(err, ERROR_NOT_FOUND, "the store has no tree %llu to unpack",
				 (unsigned long long)index);
	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "cannot make \"%s\"", directory);
	root_fd = open_directory(directory, err);
	is_empty = root_fd < 0 ? -1 : volume_is_empty(root_fd, view->store, NULL, NULL, NULL, err);
	if (is_empty < 0)
		return -1;
	if (!is_empty && !replace) {
		error_set(err, ERROR_EXISTS, "\"%s\" is not empty", directory);
		return error_hint(err,
				  "unpack into another folder, or give --replace: what is in it "
				  "and not in the store is then deleted");
	}
	return tree_restore(root_fd, view->store, &manifest->trees[index], &options, &totals, err);
}

static int unpack(const char *store, uint64_t index, const char *directory, bool replace,
		  struct error **err)
{
	struct snapshot_view view;
	int result;

	view_init(&view);
	result = open_packed(&view, store, err);
	if (result == 0)
		result = unpack_tree(&view, index, directory, replace, err);
	view_release(&view);
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

static int check_all(const struct snapshot_view *view, struct error **err)
{
	const struct manifest *manifest = &view->manifest;
	struct store_verify_totals totals;

	if (check_agent(manifest, view->store_fd, err) < 0 ||
	    store_verify(view->store, 0, NULL, NULL, &totals, err) < 0)
		return -1;
	for (size_t i = 0; i < manifest->tree_count; i++) {
		const struct tree_record seed = {.root = manifest->trees[i].seed};

		if (tree_verify(view->store, &manifest->trees[i], err) < 0 ||
		    (seed.root.count && own_verify(-1, view->store, &seed, false, err) < 0))
			return -1;
	}
	return 0;
}

static int check(const char *store, struct error **err)
{
	struct snapshot_view view;
	int result;

	view_init(&view);
	result = open_packed(&view, store, err);
	if (result == 0)
		result = check_all(&view, err);
	view_release(&view);
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
