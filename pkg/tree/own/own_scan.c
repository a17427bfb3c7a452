/*
 * The walk keeps a node for each directory, a hundred bytes, and no descriptor: under the
 * freeze a node costs one statx(), and an openat2() where there are directories in it.
 */
#include "tree/own/own_scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "tree/own/own_place.h"
#include "tree/own/own_state.h"
#include "tree/write_back.h"

#define DEPTH_MAX 2048
#define PATH_SIZE 4096
#define NAMES_SIZE 32768
/* A layer_fd: the directory is not open there, which says nothing of whether it is there. */
#define LAYER_NOT_OPENED (-2)
/* Fewer directories than this prove nothing about the layers. */
#define USEFUL_MIN 32

struct node {
	char *name;
	struct own_look look;
	size_t next, first; /* sibling, child; 0: none (0 is the root) */
};

struct own_scan {
	struct own_scan_options options;
	struct node *nodes;
	size_t count, capacity;
	size_t same;	   /* directories that were the image's own in both */
	bool counts_links; /* a directory's links were seen to count those in it */
	uint64_t target_mount, layer_mount;
	char path[PATH_SIZE];
	_Alignas(8) uint8_t names[NAMES_SIZE]; /* of one call of getdents64() */
};

/* One directory of the walk. */
struct place {
	int target_fd, layer_fd; /* O_PATH; layer_fd -1: not there, or LAYER_NOT_OPENED */
	size_t node;
	size_t length; /* of its path */
	unsigned depth;
};

struct own_scan *own_scan_new(const struct own_scan_options *options)
{
	struct own_scan *scan = memory_zalloc(sizeof(*scan));

	scan->options = *options;
	return scan;
}

void own_scan_free(struct own_scan *scan)
{
	if (!scan)
		return;
	for (size_t i = 0; i < scan->count; i++)
		free(scan->nodes[i].name);
	free(scan->nodes);
	free(scan);
}

bool own_scan_is_useful(const struct own_scan *scan)
{
	return scan->count < USEFUL_MIN || scan->same > 0;
}

static size_t add_node(struct own_scan *scan, const char *name)
{
	if (scan->count == scan->capacity) {
		scan->capacity = scan->capacity ? scan->capacity * 2 : 256;
		scan->nodes = memory_array(scan->nodes, scan->capacity, sizeof(*scan->nodes));
	}
	memset(&scan->nodes[scan->count], 0, sizeof(*scan->nodes));
	scan->nodes[scan->count].name = memory_strdup(name);
	return scan->count++;
}

static size_t add_child(struct own_scan *scan, size_t parent, const char *name)
{
	size_t child = add_node(scan, name);

	scan->nodes[child].next = scan->nodes[parent].first;
	scan->nodes[parent].first = child;
	return child;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Overlays over the same layers show a file that none of them changed with one inode and ctime. */
static bool is_same(const struct file_status *a, const struct file_status *b)
{
	return a->inode == b->inode && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
	       (S_ISDIR(a->mode) || a->size == b->size) && same_time(&a->mtime, &b->mtime) &&
	       same_time(&a->ctime, &b->ctime);
}

static void look_at(int fd, const char *name, struct own_look *look, int *number)
{
	clock_gettime(CLOCK_REALTIME_COARSE, &look->looked);
	*number = beneath_status(fd, name, &look->status) < 0 ? errno : 0;
}

/* The path of ${name} in the directory becomes scan->path; its length. */
static int enter(struct own_scan *scan, const struct place *place, const char *name, size_t *length,
		 struct error **err)
{
	size_t size = strlen(name), slash = place->length ? 1 : 0;

	if (place->length + slash + size >= sizeof(scan->path))
		return error_set(err, ERROR_UNSUPPORTED,
				 "the path of \"%s\" in \"/%.*s...\" is too long", name, 100,
				 scan->path);
	if (slash)
		scan->path[place->length] = '/';
	memcpy(scan->path + place->length + slash, name, size + 1);
	*length = place->length + slash + size;
	return 0;
}

static void leave(struct own_scan *scan, const struct place *place)
{
	scan->path[place->length] = '\0';
}

static void found(struct own_scan *scan, const struct own_look *look)
{
	scan->options.found(scan->options.context, scan->path, look);
}

static int visit(struct own_scan *scan, const struct place *parent, const char *name, size_t node,
		 const struct own_look *look, struct error **err);

static int fail(const struct own_scan *scan, int number, struct error **err)
{
	return error_set_errno(err, number, "cannot examine \"/%s\" in the container", scan->path);
}

/* What getdents64() gives: see its manual page. */
struct name_record {
	uint64_t inode;
	int64_t offset;
	uint16_t size;
	uint8_t type;
	char name[];
};

static void take_name(int fd, const struct name_record *record, struct string_list *files,
		      struct string_list *directories)
{
	const char *name = record->name;
	struct file_status status;
	bool is_directory = record->type == DT_DIR;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return;
	if (record->type == DT_UNKNOWN)
		is_directory = beneath_status(fd, name, &status) == 0 && S_ISDIR(status.mode);
	if (is_directory)
		string_list_add(directories, name);
	else if (files)
		string_list_add(files, name);
}

/*
 * The names in a directory; one that was removed meanwhile has none. Without a DIR, which
 * costs three system calls and its memory each time.
 */
static int list(struct own_scan *scan, int fd, struct string_list *files,
		struct string_list *directories, struct error **err)
{
	cleanup_fd int copy = place_open(fd, "", O_RDONLY | O_DIRECTORY);
	long size;

	if (copy < 0)
		return place_is_absent(errno) ? 0 : fail(scan, errno, err);
	while ((size = syscall(SYS_getdents64, copy, scan->names, sizeof(scan->names))) > 0) {
		for (long at = 0; at < size;) {
			const void *position = scan->names + at;
			const struct name_record *record = position;

			take_name(fd, record, files, directories);
			at += record->size;
		}
	}
	return size < 0 && !place_is_absent(errno) ? fail(scan, errno, err) : 0;
}

/* A file of the target, or what only the layer has. */
static int compare(struct own_scan *scan, const struct place *place, const char *name,
		   struct error **err)
{
	struct own_look target, layer;
	int target_number, layer_number = ENOENT;
	size_t length;

	if (enter(scan, place, name, &length, err) < 0)
		return -1;
	look_at(place->target_fd, name, &target, &target_number);
	if (place->layer_fd >= 0)
		look_at(place->layer_fd, name, &layer, &layer_number);
	if (scan->options.is_dropped(scan->options.context, scan->path)) {
		leave(scan, place);
		return 0;
	}
	if (target_number && layer_number == 0 && layer.status.mount == scan->layer_mount)
		found(scan, NULL);
	if (target_number == 0 && target.status.mount == scan->target_mount &&
	    (layer_number || !is_same(&target.status, &layer.status)))
		found(scan, &target);
	leave(scan, place);
	return 0;
}

static int compare_files(struct own_scan *scan, const struct place *place,
			 const struct string_list *files, struct error **err)
{
	struct string_list layer;
	int result = 0;

	for (size_t i = 0; i < files->count; i++) {
		if (compare(scan, place, files->items[i], err) < 0)
			return -1;
	}
	string_list_init(&layer);
	if (place->layer_fd >= 0)
		result = list(scan, place->layer_fd, &layer, &layer, err);
	for (size_t i = 0; result == 0 && i < layer.count; i++) {
		struct file_status status;

		if (beneath_status(place->target_fd, layer.items[i], &status) < 0)
			result = compare(scan, place, layer.items[i], err);
	}
	string_list_release(&layer);
	return result;
}

static int visit_child(struct own_scan *scan, const struct place *place, const char *name,
		       size_t node, struct error **err)
{
	struct own_look look;
	int number;

	look_at(place->target_fd, name, &look, &number);
	if (number && !place_is_absent(number))
		return fail(scan, number, err);
	if (number || !S_ISDIR(look.status.mode) || look.status.mount != scan->target_mount)
		return 0;
	return visit(scan, place, name, node, &look, err);
}

static int visit_children(struct own_scan *scan, const struct place *place,
			  const struct string_list *directories, struct error **err)
{
	struct path_map known = {0};
	int result = 0;

	for (size_t child = scan->nodes[place->node].first; child; child = scan->nodes[child].next)
		path_map_put(&known, scan->nodes[child].name, child);
	for (size_t i = 0; result == 0 && i < directories->count; i++) {
		size_t child = path_map_get(&known, directories->items[i]);

		result = visit_child(scan, place, directories->items[i],
				     child == PATH_MAP_NONE ? 0 : child, err);
	}
	path_map_release(&known);
	return result;
}

/* The directories that were there before; a new one would have changed this one. */
static int visit_known(struct own_scan *scan, const struct place *place, struct error **err)
{
	size_t child = scan->nodes[place->node].first;

	for (; child; child = scan->nodes[child].next) {
		if (visit_child(scan, place, scan->nodes[child].name, child, err) < 0)
			return -1;
	}
	return 0;
}

/*
 * Most file systems below an overlay count in a directory's links what is in it: then one that
 * has two need not be listed. Believed once a directory was seen whose number fits. (Merged
 * directories have one link, whatever they hold.)
 */
static void learn_links(struct own_scan *scan, const struct own_look *look, size_t directories)
{
	if (directories && look->status.links == directories + 2)
		scan->counts_links = true;
}

/* ${is_image}: nothing has changed in it, so only the directories count. */
static int visit_listed(struct own_scan *scan, const struct place *place,
			const struct own_look *look, bool is_image, struct error **err)
{
	struct string_list files, directories;
	bool with_files = !is_image &&
			  !scan->options.is_known(scan->options.context, scan->path, &look->status);
	int result;

	string_list_init(&files);
	string_list_init(&directories);
	result = list(scan, place->target_fd, with_files ? &files : NULL, &directories, err);
	if (result == 0 && is_image)
		learn_links(scan, look, directories.count);
	if (result == 0 && with_files)
		result = compare_files(scan, place, &files, err);
	if (result == 0)
		result = visit_children(scan, place, &directories, err);
	string_list_release(&files);
	string_list_release(&directories);
	return result;
}

/* Whether the layer has the very same directory at scan->path; opens it at ${place} where not. */
static bool is_of_image(struct own_scan *scan, const struct place *parent, const char *name,
			const struct own_look *look)
{
	struct file_status layer;
	int result;

	if (parent->layer_fd >= 0) {
		result = beneath_status(parent->layer_fd, name, &layer);
	} else if (parent->layer_fd == LAYER_NOT_OPENED) {
		cleanup_fd int fd = place_open(scan->options.layer_fd, scan->path, O_PATH);

		result = fd < 0 ? -1 : beneath_status(fd, "", &layer);
	} else {
		return false;
	}
	return result == 0 && layer.mount == scan->layer_mount && is_same(&look->status, &layer) &&
	       !is_hot(&look->status, &look->looked);
}

/* Its node; ${node} 0: it gets one. */
static size_t note(struct own_scan *scan, const struct place *parent, const char *name, size_t node,
		   const struct own_look *look)
{
	if (!node)
		node = add_child(scan, parent->node, name);
	scan->nodes[node].look = *look;
	return node;
}

/* Opens the directory in the target; false: there is none any more, or it is another mount's. */
static bool open_target(struct own_scan *scan, const struct place *parent, const char *name,
			struct place *place, int *result, struct error **err)
{
	place->target_fd = place_open(parent->target_fd, name, O_PATH | O_DIRECTORY);
	*result = 0;
	if (place->target_fd < 0 && errno != EXDEV && !place_is_absent(errno))
		*result = fail(scan, errno, err);
	return place->target_fd >= 0;
}

/* One that has not changed since it was seen. */
static int visit_unchanged(struct own_scan *scan, const struct place *parent, const char *name,
			   struct place *place, const struct own_look *look, struct error **err)
{
	int result;

	if (!open_target(scan, parent, name, place, &result, err))
		return result;
	place->layer_fd = LAYER_NOT_OPENED;
	note(scan, parent, name, place->node, look);
	result = visit_known(scan, place, err);
	close(place->target_fd);
	return result;
}

/* One that was not seen before (place->node 0), or has changed since. */
static int visit_new(struct own_scan *scan, const struct place *parent, const char *name,
		     struct place *place, const struct own_look *look, struct error **err)
{
	bool is_image = is_of_image(scan, parent, name, look);
	int result;

	scan->same += is_image;
	if (is_image && scan->counts_links && look->status.links == 2) {
		note(scan, parent, name, place->node, look);
		return 0;
	}
	if (!open_target(scan, parent, name, place, &result, err))
		return result;
	place->node = note(scan, parent, name, place->node, look);
	if (parent->layer_fd != -1)
		place->layer_fd =
			place_open(scan->options.layer_fd, scan->path, O_PATH | O_DIRECTORY);
	/* a known one as well: what it is known by later is how it looked here, at the latest */
	if (!is_image)
		found(scan, look);
	result = visit_listed(scan, place, look, is_image, err);
	close(place->target_fd);
	if (place->layer_fd >= 0)
		close(place->layer_fd);
	return result;
}

static bool is_unchanged(const struct node *node, const struct own_look *look)
{
	return is_same(&node->look.status, &look->status) &&
	       !is_hot(&node->look.status, &node->look.looked);
}

/* ${node} 0: not seen before. */
static int visit(struct own_scan *scan, const struct place *parent, const char *name, size_t node,
		 const struct own_look *look, struct error **err)
{
	bool is_known = node && is_unchanged(&scan->nodes[node], look);
	struct place place = {
		.target_fd = -1, .layer_fd = -1, .node = node, .depth = parent->depth + 1};
	int result = 0;

	if (is_known && !scan->nodes[node].first)
		return 0;
	if (enter(scan, parent, name, &place.length, err) < 0)
		return -1;
	if (place.depth > DEPTH_MAX)
		return error_set(err, ERROR_UNSUPPORTED, "\"/%s\" is nested too deeply",
				 scan->path);
	if (!scan->options.is_dropped(scan->options.context, scan->path))
		result = is_known ? visit_unchanged(scan, parent, name, &place, look, err)
				  : visit_new(scan, parent, name, &place, look, err);
	leave(scan, parent);
	return result;
}

int own_scan_run(struct own_scan *scan, struct error **err)
{
	struct place root = {.target_fd = scan->options.target_fd, .layer_fd = LAYER_NOT_OPENED};
	bool is_first = !scan->count, is_image;
	struct file_status layer;
	struct own_look look;
	int number;

	scan->path[0] = '\0';
	look_at(root.target_fd, "", &look, &number);
	if (number || beneath_status(scan->options.layer_fd, "", &layer) < 0)
		return error_set_errno(err, number ? number : errno,
				       "cannot examine the container's root");
	scan->target_mount = look.status.mount;
	scan->layer_mount = layer.mount;
	if (is_first)
		add_node(scan, "");
	else if (is_unchanged(&scan->nodes[0], &look))
		return visit_known(scan, &root, err);
	scan->nodes[0].look = look;
	root.layer_fd = scan->options.layer_fd;
	is_image = is_same(&look.status, &layer) && !is_hot(&look.status, &look.looked);
	scan->same += is_image;
	if (!is_image)
		found(scan, &look);
	return visit_listed(scan, &root, &look, is_image, err);
}
