/*
 * Finding a path step by step. Catalogs are read from their beginning, so all steps that lie
 * in one tree are found in one pass over it.
 */
#include "locate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/path.h"
#include "tree/catalog.h"
#include "tree/own/own_place.h"

#define LINKS_MAX 40 /* as the kernel's */

enum step {
	STEP_FOUND,
	STEP_LINK,
	STEP_ABSENT,
};

struct search {
	const struct snapshot_view *view;
	bool follow;
	char *done; /* absolute, without links; "" is the root */
	char *todo; /* what is left of the way */
	unsigned links;
	struct location found;
};

void location_release(struct location *location)
{
	free(location->path);
	free(location->relative);
	memset(location, 0, sizeof(*location));
}

const struct tree_record *locate_tree(const struct manifest *manifest, const char *path,
				      const char **relative)
{
	const struct tree_record *found = NULL;
	size_t longest = 0;

	for (size_t i = 0; i < manifest->tree_count; i++) {
		const struct tree_record *tree = &manifest->trees[i];

		for (size_t p = 0; tree->kind != TREE_OWN && p < tree->paths.count; p++) {
			const char *below = path_below(path, tree->paths.items[p]);

			if (!below || strlen(tree->paths.items[p]) < longest)
				continue;
			longest = strlen(tree->paths.items[p]);
			found = tree;
			*relative = below;
		}
	}
	return found;
}

static int absent(const struct search *search, struct error **err)
{
	cleanup_free char *path = memory_printf("%s/%s", search->done, search->todo);
	cleanup_free char *clean = path_clean(path);

	return error_set(err, ERROR_NOT_FOUND, "there is no \"%s\" in the snapshot", clean);
}

/* What one step of the way has come to: ${path}, a link with its target, or nothing. */
struct finding {
	enum step step;
	char *path; /* relative to the tree or image */
	char *link;
	mode_t mode;
	uint64_t size;
};

static void finding_release(struct finding *finding)
{
	free(finding->path);
	free(finding->link);
}

static void take_entry(struct finding *finding, const struct catalog_entry *entry)
{
	finding->step = S_ISLNK(entry->mode) ? STEP_LINK : STEP_FOUND;
	finding->path = memory_strdup(entry->path);
	finding->mode = entry->mode;
	finding->size = entry->size;
	if (entry->link)
		finding->link = memory_strdup(entry->link);
}

/* The path in a tree, or the first link on the way to it. */
static int find_in_tree(const struct snapshot_view *view, const struct tree_record *tree,
			const char *path, struct finding *finding, struct error **err)
{
	CLEANUP(cleanup_catalog_close)
	struct catalog_reader *reader = catalog_open(view->store, &tree->root, err);
	cleanup_free char *first = NULL;
	struct catalog_entry entry;
	int result;

	finding->step = STEP_ABSENT;
	if (!reader)
		return -1;
	while ((result = catalog_next_brief(reader, &entry, err)) > 0) {
		size_t size = strlen(entry.path);
		bool is_it = strcmp(entry.path, path) == 0;
		bool is_above = strncmp(entry.path, path, size) == 0 && path[size] == '/';

		if (is_it || (is_above && S_ISLNK(entry.mode) && !entry.hardlink)) {
			take_entry(finding, &entry);
			/* it is another name: the first one has the rest */
			first = memory_strdup(entry.hardlink);
			break;
		}
		if (path_compare(entry.path, path) > 0)
			return 0;
	}
	if (result < 0 || !first)
		return result < 0 ? -1 : 0;
	finding_release(finding);
	*finding = (struct finding){.step = STEP_ABSENT};
	result = find_in_tree(view, tree, first, finding, err);
	if (result == 0 && finding->step != STEP_ABSENT) {
		free(finding->path);
		finding->path = memory_strdup(path);
	}
	return result;
}

static int find_in_image(const struct snapshot_view *view, const char *path,
			 struct finding *finding, struct error **err)
{
	const char *name = NULL;
	cleanup_fd int parent_fd = -1;
	struct stat status;

	finding->step = STEP_ABSENT;
	if (place_stat(view->root_fd, path, &status) < 0) {
		if (place_is_absent(errno))
			return 0;
		if (errno != EXDEV)
			return error_set_errno(err, errno, "cannot examine \"/%s\"", path);
		error_set(err, ERROR_NOT_FOUND, "\"/%s\" is no part of the snapshot", path);
		return error_hint(err, "the engine or a mount makes it, in each container anew");
	}
	finding->step = S_ISLNK(status.st_mode) ? STEP_LINK : STEP_FOUND;
	finding->path = memory_strdup(path);
	finding->mode = status.st_mode;
	finding->size = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
	if (!S_ISLNK(status.st_mode))
		return 0;
	parent_fd = place_parent(view->root_fd, path, &name);
	finding->link = parent_fd < 0 ? NULL : place_read_link(parent_fd, name);
	return finding->link ? 0 : error_set_errno(err, errno, "cannot read \"/%s\"", path);
}

/* The next part of the way; *rest is what is behind it. NULL: it is done. */
static char *next_part(const struct search *search, const char **rest)
{
	const char *begin = search->todo + strspn(search->todo, "/");
	size_t size = strcspn(begin, "/");

	*rest = begin + size;
	return size ? memory_strndup(begin, size) : NULL;
}

static bool is_dots(const char *part)
{
	return strcmp(part, ".") == 0 || strcmp(part, "..") == 0;
}

static void set_text(char **text, char *value)
{
	free(*text);
	*text = value;
}

/* As much of the way as lies in one tree or is one step in the image: absolute, with what is left. */
static char *next_stretch(const struct search *search, const struct tree_record **tree,
			  const char **rest)
{
	struct search ahead = {.todo = search->todo};
	char *path = memory_strdup(search->done), *part;
	const char *behind, *ignored;
	bool first = true;

	while ((part = next_part(&ahead, &behind))) {
		cleanup_free char *longer = memory_printf("%s/%s", path, part);
		const struct tree_record *of =
			locate_tree(&search->view->manifest, longer, &ignored);
		bool ends = is_dots(part) || (!first && (of != *tree || !of));

		free(part);
		if (ends)
			break;
		set_text(&path, STEAL_POINTER(longer));
		*tree = of;
		*rest = ahead.todo = (char *)behind;
		first = false;
	}
	return path;
}

/* On from a link: its target is looked for from where the link is. */
static int follow(struct search *search, const struct finding *finding, const char *absolute,
		  const char *tree_top, const char *rest, struct error **err)
{
	cleanup_free char *link = memory_printf("%s/%s", tree_top, finding->path);
	char *slash = strrchr(link, '/');

	if (++search->links > LINKS_MAX)
		return error_set(err, ERROR_NOT_FOUND,
				 "too many symbolic links on the way to \"%s\"", absolute);
	set_text(&search->todo, memory_printf("%s/%s", finding->link, rest));
	*slash = '\0';
	set_text(&search->done, memory_strdup(*finding->link == '/' ? "" : link));
	return 0;
}

/* What is left of a stretch behind the link that was found on it, then the rest of the way. */
static char *behind_link(const char *relative, const struct finding *finding, const char *rest)
{
	const char *left = relative + strlen(finding->path);

	return memory_printf("%s%s", left + (*left == '/'), rest);
}

static int found(struct search *search, const struct finding *finding,
		 const struct tree_record *tree, const char *absolute)
{
	location_release(&search->found);
	search->found = (struct location){
		.path = memory_strdup(absolute),
		.tree = tree,
		.relative = memory_strdup(finding->path),
		.mode = finding->mode,
		.size = finding->size,
	};
	return 0;
}

/* 1: there is more to do; 0: the place is found. */
static int advance(struct search *search, struct error **err)
{
	const struct tree_record *tree = NULL;
	const char *rest = search->todo, *relative;
	cleanup_free char *absolute = next_stretch(search, &tree, &rest), *left = NULL, *top = NULL;
	CLEANUP(finding_release) struct finding finding = {0};
	bool is_last = !rest[strspn(rest, "/")];

	if (!tree)
		relative = absolute + 1;
	else
		locate_tree(&search->view->manifest, absolute, &relative);
	top = memory_strndup(absolute, (size_t)(relative - absolute));
	while (*top && top[strlen(top) - 1] == '/')
		top[strlen(top) - 1] = '\0';
	if ((tree ? find_in_tree(search->view, tree, relative, &finding, err)
		  : find_in_image(search->view, relative, &finding, err)) < 0)
		return -1;
	if (finding.step == STEP_ABSENT)
		return absent(search, err);
	if (finding.step == STEP_LINK &&
	    (search->follow || !is_last || strcmp(finding.path, relative) != 0)) {
		left = behind_link(relative, &finding, rest);
		return follow(search, &finding, absolute, top, left, err) < 0 ? -1 : 1;
	}
	if (!is_last && !S_ISDIR(finding.mode))
		return absent(search, err);
	found(search, &finding, tree, absolute);
	left = memory_strdup(rest);
	set_text(&search->done, STEAL_POINTER(absolute));
	set_text(&search->todo, STEAL_POINTER(left));
	return 1;
}

/* The parts that are no names: 1 where there was one. */
static int take_dots(struct search *search)
{
	const char *rest;
	cleanup_free char *part = next_part(search, &rest), *left = NULL;
	char *slash = strrchr(search->done, '/');

	if (!part || !is_dots(part))
		return 0;
	if (strcmp(part, "..") == 0 && slash)
		*slash = '\0';
	left = memory_strdup(rest);
	set_text(&search->todo, STEAL_POINTER(left));
	return 1;
}

/* Where the way has come to by ".." or by a link to "/", which no step has looked at. */
static int look_at_done(struct search *search, struct error **err)
{
	const char *relative;
	const struct tree_record *tree;
	CLEANUP(finding_release) struct finding finding = {0};

	if (search->found.path && strcmp(search->found.path, search->done) == 0)
		return 0;
	tree = locate_tree(&search->view->manifest, *search->done ? search->done : "/", &relative);
	if (!tree)
		relative = *search->done ? search->done + 1 : "";
	if ((tree ? find_in_tree(search->view, tree, relative, &finding, err)
		  : find_in_image(search->view, relative, &finding, err)) < 0)
		return -1;
	if (finding.step == STEP_ABSENT)
		return absent(search, err);
	return found(search, &finding, tree, search->done);
}

int locate(const struct snapshot_view *view, const char *path, bool follow_last,
	   struct location *location, struct error **err)
{
	struct search search = {
		.view = view,
		.follow = follow_last,
		.done = memory_strdup(""),
		.todo = memory_strdup(path),
	};
	int result = 1;

	while (result > 0 && search.todo[strspn(search.todo, "/")])
		result = take_dots(&search) ? 1 : advance(&search, err);
	if (result > 0)
		result = look_at_done(&search, err);
	if (result < 0)
		location_release(&search.found);
	else if (!*search.found.path)
		set_text(&search.found.path, memory_strdup("/"));
	*location = search.found;
	free(search.done);
	free(search.todo);
	return result;
}
