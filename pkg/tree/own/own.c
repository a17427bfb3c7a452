/*
 * Own files read from a process of the target: candidates are compared one by one
 * with what is there now, because lists of changes are incomplete (recreated
 * containers have none, some storage drivers hide deletions).
 */
#include "tree/own/own.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "tree/format.h"
#include "tree/own/own_state.h"
#include "tree/write_back.h"

#define RECORDS_MAX (4U << 20)
#define BLOCK_SIZE (128U << 10)
#define WITHOUT_RECORD (PATH_MAP_NONE - 1)
#define DEPTH_MAX 2048

static size_t path_slot(const struct path_map *map, const char *key)
{
	uint64_t value = 1469598103934665603ULL;
	size_t slot;

	for (const char *p = key; *p; p++)
		value = (value ^ (unsigned char)*p) * 1099511628211ULL;
	for (slot = (size_t)value & (map->capacity - 1);
	     map->keys[slot] && strcmp(map->keys[slot], key) != 0;
	     slot = (slot + 1) & (map->capacity - 1))
		;
	return slot;
}

size_t path_map_get(const struct path_map *map, const char *key)
{
	size_t slot;

	if (!map->count)
		return PATH_MAP_NONE;
	slot = path_slot(map, key);
	return map->keys[slot] ? map->values[slot] : PATH_MAP_NONE;
}

static void path_map_grow(struct path_map *map)
{
	struct path_map old = *map;

	map->capacity = old.capacity ? old.capacity * 2 : 64;
	map->keys = memory_zalloc(map->capacity * sizeof(*map->keys));
	map->values = memory_zalloc(map->capacity * sizeof(*map->values));
	for (size_t i = 0; i < old.capacity; i++) {
		size_t slot;

		if (!old.keys[i])
			continue;
		slot = path_slot(map, old.keys[i]);
		map->keys[slot] = old.keys[i];
		map->values[slot] = old.values[i];
	}
	free(old.keys);
	free(old.values);
}

void path_map_put(struct path_map *map, const char *key, size_t value)
{
	size_t slot;

	if (map->count * 2 >= map->capacity)
		path_map_grow(map);
	slot = path_slot(map, key);
	if (!map->keys[slot]) {
		map->keys[slot] = memory_strdup(key);
		map->count++;
	}
	map->values[slot] = value;
}

void path_map_release(struct path_map *map)
{
	for (size_t i = 0; i < map->capacity; i++)
		free(map->keys[i]);
	free(map->keys);
	free(map->values);
	memset(map, 0, sizeof(*map));
}

struct own *own_new(const struct own_options *options)
{
	struct own *own = memory_zalloc(sizeof(*own));

	own->options = *options;
	own->stream.fd = own->stream.old_fd = -1;
	for (size_t i = 0; i < OWN_PARENTS; i++)
		own->parents.level[i].fd = -1;
	string_list_init(&own->candidates);
	string_list_init(&own->skipped);
	return own;
}

void own_record_release(struct own_record *record)
{
	free(record->path);
	free(record->link);
	place_attributes_release(&record->attributes);
}

void own_free(struct own *own)
{
	if (!own)
		return;
	for (size_t i = 0; i < own->record_count; i++)
		own_record_release(&own->records[i]);
	own_scan_free(own->scan);
	own_known_release(&own->known);
	own_parents_release(&own->parents);
	path_map_release(&own->looked);
	free(own->looks);
	for (size_t i = 0; i < own->touched_count; i++)
		free(own->touched[i].path);
	free(own->records);
	free(own->touched);
	free(own->group_leaders);
	path_map_release(&own->queued);
	path_map_release(&own->deleted);
	path_map_release(&own->whole);
	path_map_release(&own->done);
	path_map_release(&own->groups);
	path_map_release(&own->touched_paths);
	string_list_release(&own->candidates);
	string_list_release(&own->skipped);
	if (own->stream.fd >= 0)
		close(own->stream.fd);
	if (own->stream.old_fd >= 0)
		close(own->stream.old_fd);
	hasher_free(own->stream.hasher);
	free(own);
}

void own_get_totals(const struct own *own, struct own_totals *totals)
{
	*totals = own->totals;
}

bool own_is_dropped(const struct own *own, const char *path)
{
	const struct string_list *dropped = own->options.dropped;
	cleanup_free char *absolute = NULL;

	if (!dropped || !*path)
		return false;
	absolute = memory_printf("/%s", path);
	for (size_t i = 0; i < dropped->count; i++) {
		if (path_is_at_or_under(absolute, dropped->items[i]))
			return true;
	}
	return false;
}

void own_add_candidate(struct own *own, const char *path)
{
	cleanup_free char *absolute = memory_printf("/%s", path);
	cleanup_free char *clean = path_clean(absolute);
	const char *relative = clean + 1;

	if (path_map_get(&own->queued, relative) != PATH_MAP_NONE || own_is_dropped(own, relative))
		return;
	path_map_put(&own->queued, relative, 0);
	string_list_add(&own->candidates, relative);
	own->is_sorted = false;
}

int own_add_parent(struct own *own, struct store *store, const struct catalog_root *root,
		   struct error **err)
{
	CLEANUP(cleanup_catalog_close)
	struct catalog_reader *reader = catalog_open(store, root, err);
	struct catalog_entry entry;
	int result;

	if (!reader)
		return -1;
	while ((result = catalog_next(reader, &entry, err)) > 0) {
		if (!*entry.path) {
			own_known_add(own, &entry);
			continue;
		}
		own_add_candidate(own, entry.path);
		if (entry.flags & ENTRY_DELETED)
			path_map_put(&own->deleted, entry.path, 0);
		own_known_add(own, &entry);
	}
	own->parent_store = store;
	own->parent_root = root;
	return result;
}

static int compare_paths(const void *a, const void *b)
{
	return path_compare(*(char *const *)a, *(char *const *)b);
}

const struct string_list *own_paths(struct own *own)
{
	if (!own->is_sorted && own->candidates.count)
		qsort(own->candidates.items, own->candidates.count, sizeof(*own->candidates.items),
		      compare_paths);
	own->is_sorted = true;
	return &own->candidates;
}

struct own_record *own_record_new(struct own *own, const char *path, struct error **err)
{
	struct own_record *record;

	if (own->record_count >= RECORDS_MAX) {
		error_set(err, ERROR_UNSUPPORTED,
			  "the container changed more than %u files of its own", RECORDS_MAX);
		error_hint(err, "keep what changes that much in a volume");
		return NULL;
	}
	if (own->record_count == own->record_capacity) {
		own->record_capacity = own->record_capacity ? own->record_capacity * 2 : 64;
		own->records =
			memory_array(own->records, own->record_capacity, sizeof(*own->records));
	}
	path_map_put(&own->done, path, own->record_count);
	record = &own->records[own->record_count++];
	memset(record, 0, sizeof(*record));
	record->path = memory_strdup(path);
	return record;
}

size_t own_group(struct own *own, const char *key, size_t record)
{
	size_t number = path_map_get(&own->groups, key);

	if (number != PATH_MAP_NONE)
		return number;
	number = ++own->group_count;
	path_map_put(&own->groups, key, number);
	own->group_leaders =
		memory_array(own->group_leaders, number + 1, sizeof(*own->group_leaders));
	own->group_leaders[number] = record;
	return number;
}

static int take(struct own *own, const char *path, bool whole, unsigned depth, struct error **err);

/* Read to the end what is open: into ${hash}, and into the layer where ${out} is not -1. */
static int copy_content(struct own *own, int fd, int out, uint64_t *size, struct hash *hash,
			struct error **err)
{
	struct hasher *hasher = hasher_new();
	cleanup_free uint8_t *block = memory_alloc(BLOCK_SIZE);
	ssize_t count;
	int result = 0;

	*size = 0;
	while (result == 0 && (count = io_pread_full(fd, block, BLOCK_SIZE, *size)) > 0) {
		hasher_update(hasher, block, (size_t)count);
		if (out >= 0)
			result = own_write_block(own, out, block, (size_t)count, err);
		*size += (uint64_t)count;
		own->totals.bytes += (uint64_t)count;
		own->totals.read_bytes += (uint64_t)count;
		if (result == 0 && own->options.progress)
			result = own->options.progress(own->options.progress_context,
						       own->totals.files, own->totals.bytes, err);
	}
	if (result == 0 && count < 0)
		result = error_set_errno(err, errno, "cannot read it in the container");
	hasher_finish(hasher, hash);
	hasher_free(hasher);
	return result;
}

/* Whether two files hold the same bytes; then their hash. */
static bool is_same_content(int a, int b, uint64_t size, struct hash *hash)
{
	struct hasher *hasher = hasher_new();
	cleanup_free uint8_t *x = memory_alloc(BLOCK_SIZE), *y = memory_alloc(BLOCK_SIZE);
	uint64_t offset = 0;
	ssize_t count;

	while ((count = io_pread_full(a, x, BLOCK_SIZE, offset)) > 0) {
		if (io_pread_full(b, y, BLOCK_SIZE, offset) != count ||
		    memcmp(x, y, (size_t)count) != 0)
			break;
		hasher_update(hasher, x, (size_t)count);
		offset += (uint64_t)count;
	}
	hasher_finish(hasher, hash);
	hasher_free(hasher);
	return count == 0 && offset == size;
}

/* The open file ${fd} of the target becomes ${name} in the layer, unless that is the same already. */
static int take_content(struct own *own, struct own_record *record, int fd, int parent_fd,
			const char *name, struct error **err)
{
	cleanup_fd int out = -1, old = -1;
	struct stat status;

	old = openat(parent_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (old >= 0 && fstat(old, &status) == 0 && S_ISREG(status.st_mode) &&
	    (uint64_t)status.st_size == record->size &&
	    is_same_content(fd, old, record->size, &record->hash)) {
		own->totals.bytes += record->size;
		own->totals.read_bytes += record->size;
		return own_set_metadata(record, parent_fd, name, err);
	}
	out = own_create_file(own, record->path, parent_fd, name, err);
	if (out < 0 || copy_content(own, fd, out, &record->size, &record->hash, err) < 0)
		return -1;
	return own_set_metadata(record, parent_fd, name, err);
}

/* Whether it is one more name of a file that has a record, and that name is in the layer. */
static int take_name(struct own *own, size_t index, const struct file_status *status,
		     bool *is_taken, struct error **err)
{
	struct own_record *record = &own->records[index];
	const char *name = NULL;
	cleanup_free char *key = NULL;
	cleanup_fd int parent_fd = -1;
	size_t leader;
	int reached;

	*is_taken = false;
	if (status->links < 2)
		return 0;
	key = memory_printf("%llx:%llx", (unsigned long long)status->device,
			    (unsigned long long)status->inode);
	record->group = own_group(own, key, index);
	leader = own->group_leaders[record->group];
	if (leader == index)
		return 0;
	*is_taken = true;
	record->hash = own->records[leader].hash;
	record->size = own->records[leader].size;
	if (own->options.measure_only)
		return 0;
	reached = own_layer_parent(own, record->path, &name, &parent_fd, err);
	if (reached <= 0)
		return reached;
	own_touch(own, record->path);
	return own_link(own, &own->records[leader], parent_fd, name, err);
}

static int take_file(struct own *own, size_t index, const struct file_status *status, int fd,
		     int parent_fd, const char *name, struct error **err)
{
	struct own_record *record = &own->records[index];
	bool is_taken;

	own->totals.files++;
	if (take_name(own, index, status, &is_taken, err) < 0)
		return -1;
	if (is_taken)
		return 0;
	if (own->options.measure_only) {
		own->totals.bytes += record->size;
		return 0;
	}
	return take_content(own, record, fd, parent_fd, name, err);
}

/* Both have the directory: what only the parent image has is gone; what only the target has is new. */
static int compare_directory(struct own *own, const char *path, unsigned depth, struct error **err)
{
	struct string_list target, layer;
	size_t i = 0, j = 0;
	int result = 0;

	string_list_init(&target);
	string_list_init(&layer);
	if (place_list(own->options.target_fd, path, &target, err) < 0 ||
	    place_list(own->options.layer_fd, path, &layer, err) < 0)
		result = -1;
	while (result == 0 && (i < target.count || j < layer.count)) {
		int order = i >= target.count  ? 1
			    : j >= layer.count ? -1
					       : strcmp(target.items[i], layer.items[j]);
		const char *name = order <= 0 ? target.items[i] : layer.items[j];
		cleanup_free char *child =
			*path ? memory_printf("%s/%s", path, name) : memory_strdup(name);

		i += order <= 0;
		j += order >= 0;
		if (order && !own_is_dropped(own, child) &&
		    path_map_get(&own->done, child) == PATH_MAP_NONE)
			result = order < 0 ? take(own, child, true, depth + 1, err)
					   : own_delete(own, child, err);
	}
	string_list_release(&target);
	string_list_release(&layer);
	return result;
}

static int take_all_of(struct own *own, const char *path, unsigned depth, struct error **err)
{
	struct string_list names;
	int result;

	string_list_init(&names);
	result = place_list(own->options.target_fd, path, &names, err);
	for (size_t i = 0; result == 0 && i < names.count; i++) {
		cleanup_free char *child = *path ? memory_printf("%s/%s", path, names.items[i])
						 : memory_strdup(names.items[i]);

		result = take(own, child, true, depth + 1, err);
	}
	string_list_release(&names);
	return result;
}

static int take_directory(struct own *own, const char *path, bool whole, bool layer_had_it,
			  unsigned depth, struct error **err)
{
	if (depth > DEPTH_MAX)
		return error_set(err, ERROR_UNSUPPORTED, "\"/%s\" is nested too deeply", path);
	if (layer_had_it && compare_directory(own, path, depth, err) < 0)
		return -1;
	if (!layer_had_it || whole)
		return take_all_of(own, path, depth, err);
	return 0;
}

static struct own_record *record_from(struct own *own, const char *path,
				      const struct file_status *status, int parent_fd,
				      const char *name, struct error **err)
{
	struct own_record *record = own_record_new(own, path, err);

	if (!record)
		return NULL;
	record->mode = status->mode;
	record->uid = status->uid;
	record->gid = status->gid;
	record->device = status->node;
	record->size = S_ISREG(status->mode) ? status->size : 0;
	record->mtime = status->mtime;
	if (S_ISLNK(status->mode)) {
		record->link = place_read_link(parent_fd, name);
		if (!record->link) {
			error_set(err, ERROR_FAILED, "cannot read the link \"/%s\"", path);
			return NULL;
		}
	} else {
		place_read_attributes(parent_fd, name, &record->attributes);
	}
	return record;
}

/* Record and layer for something that is there in the target; ${fd} is open when it is a file. */
static int take_present(struct own *own, const char *path, const struct file_status *status, int fd,
			int target_parent, const char *target_name, bool *layer_had_it,
			struct error **err)
{
	const struct own_record *known = own_known_find(own, path);
	const char *name = NULL;
	cleanup_fd int parent_fd = -1;
	struct own_record *record;
	struct stat there;
	int reached;
	bool is_there = place_stat(own->options.layer_fd, path, &there) == 0;

	*layer_had_it = is_there && S_ISDIR(there.st_mode);
	if (S_ISSOCK(status->mode)) {
		string_list_add(&own->skipped, path);
		path_map_put(&own->done, path, WITHOUT_RECORD);
		return 0;
	}
	if (!own->options.measure_only) {
		reached = own_layer_parent(own, path, &name, &parent_fd, err);
		if (reached <= 0)
			return reached;
	}
	record = record_from(own, path, status, target_parent, target_name, err);
	if (!record)
		return -1;
	record->is_new = known ? known->is_new : !is_there;
	if (S_ISREG(status->mode))
		return take_file(own, own->record_count - 1, status, fd, parent_fd, name, err);
	if (own->options.measure_only || !*path)
		return 0;
	return own_make(own, record, parent_fd, name, err);
}

/* The directories above a record are records too: their times and owners count as well. */
static int take_parents(struct own *own, const char *path, struct error **err)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		cleanup_free char *part = memory_strndup(path, (size_t)(slash - path));
		const char *name = NULL;
		cleanup_fd int parent_fd = -1;
		struct file_status status;
		bool ignored;

		if (path_map_get(&own->done, part) != PATH_MAP_NONE)
			continue;
		parent_fd = place_parent(own->options.target_fd, part, &name);
		if (parent_fd < 0 || beneath_status(parent_fd, name, &status) < 0 ||
		    !S_ISDIR(status.mode))
			return 0;
		if (take_present(own, part, &status, -1, parent_fd, name, &ignored, err) < 0)
			return -1;
	}
	return 0;
}

/* Nothing has changed since it was brought into the layer. */
static int take_known(struct own *own, struct own_record *known, const char *path,
		      const struct file_status *status, struct error **err)
{
	struct own_record *record;
	bool ignored;

	if (take_parents(own, path, err) < 0)
		return -1;
	record = own_record_new(own, path, err);
	if (!record)
		return -1;
	free(record->path);
	*record = *known;
	record->path = memory_strdup(path);
	record->group = 0;
	known->link = NULL;
	known->attributes = (struct place_attributes){0};
	known->is_hot = true;
	if (!S_ISREG(status->mode))
		return 0;
	own->totals.files++;
	own->totals.bytes += record->size;
	return take_name(own, own->record_count - 1, status, &ignored, err);
}

/* The fingerprint that the record is believed by later; ${status}: of the open file. */
static void note_fingerprint(struct own *own, size_t index, const struct own_look *look,
			     const struct file_status *status, bool is_clean)
{
	struct own_record *record = &own->records[index];

	if (!own->scan || !own->options.source)
		return;
	record->has_fingerprint = true;
	record->inode = look->status.inode;
	record->ctime = look->status.ctime;
	record->is_hot = is_hot(&look->status, &look->looked) || !is_clean ||
			 look->status.inode != status->inode || look->status.size != status->size ||
			 look->status.mode != status->mode ||
			 memcmp(&look->status.ctime, &status->ctime, sizeof(status->ctime)) != 0 ||
			 memcmp(&look->status.mtime, &status->mtime, sizeof(status->mtime)) != 0;
}

/*
 * A directory that is known by its times has nothing new in it: that is true of the times
 * that it had before the scan compared what is in it, and of none after that.
 */
static bool was_scanned(const struct own *own, const struct own_look *early)
{
	return !own->is_precopy || early;
}

/* It is there and has changed, or nothing is known of it. */
static int take_changed(struct own *own, const char *path, const struct own_look *look,
			int parent_fd, const char *name, bool *layer_had_it, struct error **err)
{
	const struct own_look *early = own_early_look(own, path);
	struct file_status status;
	/* An O_PATH descriptor tells a mount point, and wakes no FIFO or device. */
	cleanup_fd int fd = place_open(parent_fd, name,
				       S_ISREG(look->status.mode) ? O_RDONLY | O_NONBLOCK : O_PATH);
	size_t before;
	bool is_clean = true;

	if (fd < 0 && place_is_absent(errno))
		return own_delete(own, path, err) < 0 ? -1 : 1;
	if (fd < 0 && errno == EXDEV)
		return 1; /* a mount */
	if (fd < 0 || beneath_status(fd, "", &status) < 0)
		return error_set_errno(err, errno, "cannot open \"/%s\" in the container", path);
	if (take_parents(own, path, err) < 0)
		return -1;
	before = own->record_count;
	if (S_ISREG(status.mode))
		is_clean = own->is_precopy && early && write_back(fd, own->write_back);
	else if (S_ISDIR(status.mode))
		is_clean = was_scanned(own, early);
	if (take_present(own, path, &status, fd, parent_fd, name, layer_had_it, err) < 0)
		return error_prefix(err, "own file \"/%s\"", path);
	if (own->record_count > before)
		note_fingerprint(own, before, early ? early : look, &status, is_clean);
	return S_ISDIR(status.mode) ? 0 : 1;
}

/* 1: there is nothing in it; 0: a directory that must be looked into. */
static int take_one(struct own *own, const char *path, bool *layer_had_it, struct error **err)
{
	const char *name = NULL;
	int parent_fd = own_target_parent(own, path, &name);
	struct own_record *known;
	struct own_look look;
	int result;

	clock_gettime(CLOCK_REALTIME_COARSE, &look.looked);
	if (parent_fd < 0 || beneath_status(parent_fd, name, &look.status) < 0) {
		if (place_is_absent(errno))
			return own_delete(own, path, err) < 0 ? -1 : 1;
		if (errno == EXDEV)
			return 1; /* below a mount */
		return error_set_errno(err, errno, "cannot examine \"/%s\" in the container", path);
	}
	if (own->mount && look.status.mount != own->mount)
		return 1;
	known = own_known_match(own, path, &look.status);
	if (known)
		return take_known(own, known, path, &look.status, err) < 0 ? -1 : 1;
	result = take_changed(own, path, &look, parent_fd, name, layer_had_it, err);
	if (result >= 0 && own->options.progress &&
	    own->options.progress(own->options.progress_context, own->totals.files,
				  own->totals.bytes, err) < 0)
		return -1;
	return result;
}

/* What goes wrong while the target runs is done again under the freeze, where it counts. */
static bool may_be_a_race(const struct own *own, const struct error *problem)
{
	return own->is_precopy && problem && problem->kind != ERROR_NO_SPACE &&
	       problem->kind != ERROR_CANCELLED && problem->kind != ERROR_UNSUPPORTED;
}

static int take(struct own *own, const char *path, bool whole, unsigned depth, struct error **err)
{
	struct error *problem = NULL;
	bool layer_had_it = false;
	size_t index;
	int result;

	if (path_map_get(&own->done, path) != PATH_MAP_NONE || own_is_dropped(own, path))
		return 0;
	result = take_one(own, path, &layer_had_it, &problem);
	if (result == 0)
		result = take_directory(own, path, whole, layer_had_it, depth, &problem);
	if (result >= 0)
		return 0;
	if (!may_be_a_race(own, problem)) {
		error_append(err, problem);
		return -1;
	}
	error_free(problem);
	index = path_map_get(&own->done, path);
	if (index < own->record_count)
		own->records[index].is_hot = true;
	return 0;
}

static char *descriptor_target(int fd)
{
	cleanup_free char *link = memory_printf("/proc/self/fd/%d", fd);

	return place_read_link(AT_FDCWD, link);
}

/* Where an included file goes: its path without the links that the layer has on the way. */
static char *included_place(struct own *own, const char *absolute, struct error **err)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve =
				       RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
	cleanup_free char *clean = path_clean(absolute), *root = NULL, *parent = NULL;
	char *slash = strrchr(clean, '/');
	cleanup_fd int fd = -1;
	const char *below;

	if (!slash[1]) {
		error_set(err, ERROR_USAGE, "the root itself cannot be included");
		return NULL;
	}
	*slash = '\0';
	fd = (int)syscall(SYS_openat2, own->options.layer_fd, *clean ? clean : "/", &how,
			  sizeof(how));
	if (fd < 0 && errno == ENOENT) {
		*slash = '/';
		return memory_strdup(clean + 1);
	}
	root = fd < 0 ? NULL : descriptor_target(own->options.layer_fd);
	parent = fd < 0 ? NULL : descriptor_target(fd);
	below = root && parent ? path_below(parent, root) : NULL;
	if (!below) {
		error_set_errno(err, errno, "cannot place \"%s\" in the layer", absolute);
		return NULL;
	}
	return *below ? memory_printf("%s/%s", below, slash + 1) : memory_strdup(slash + 1);
}

/*
 * A file behind a bind mount: links on its way are followed inside the target's root,
 * its place in the layer is the one that the same walk finds there.
 */
static int take_included(struct own *own, const char *absolute, struct error **err)
{
	struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	cleanup_fd int fd =
		(int)syscall(SYS_openat2, own->options.target_fd, absolute, &how, sizeof(how));
	cleanup_free char *path = NULL;
	struct file_status status;
	bool ignored;

	if (fd < 0 || beneath_status(fd, "", &status) < 0)
		return error_set_errno(err, errno, "cannot open \"%s\" in the container", absolute);
	if (!S_ISREG(status.mode))
		return error_set(err, ERROR_REFUSED, "\"%s\" is no regular file", absolute);
	path = included_place(own, absolute, err);
	if (!path)
		return -1;
	if (path_map_get(&own->done, path) != PATH_MAP_NONE)
		return 0;
	/* The other names of the bind's source are not the container's, nor are its attributes. */
	status.links = 1;
	if (take_parents(own, path, err) < 0)
		return -1;
	return take_present(own, path, &status, fd, -1, "", &ignored, err);
}

static int take_root(struct own *own, struct error **err)
{
	const struct own_look *early = own_early_look(own, "");
	struct own_look look;
	struct own_record *record, *known;

	clock_gettime(CLOCK_REALTIME_COARSE, &look.looked);
	if (beneath_status(own->options.target_fd, "", &look.status) < 0)
		return error_set_errno(err, errno, "cannot examine the container's root");
	own->mount = look.status.mount;
	known = own_known_match(own, "", &look.status);
	if (known)
		return take_known(own, known, "", &look.status, err);
	record = record_from(own, "", &look.status, own->options.target_fd, ".", err);
	if (!record)
		return -1;
	note_fingerprint(own, own->record_count - 1, early ? early : &look, &look.status,
			 was_scanned(own, early));
	return 0;
}

int own_take_all(struct own *own, struct error **err)
{
	const struct string_list *paths = own_paths(own);

	own_parents_release(&own->parents);
	if (take_root(own, err) < 0)
		return -1;
	for (size_t i = 0; i < paths->count; i++) {
		if (*paths->items[i] && take(own, paths->items[i], false, 0, err) < 0)
			return -1;
	}
	own_parents_release(&own->parents);
	return 0;
}

int own_run(struct own *own, struct error **err)
{
	const struct string_list *included = own->options.included;

	if (own->scan && own_scan_run(own->scan, err) < 0)
		return -1;
	if (own_take_all(own, err) < 0)
		return -1;
	for (size_t i = 0; included && i < included->count; i++) {
		if (take_included(own, included->items[i], err) < 0)
			return error_prefix(err, "included file");
	}
	/* With a pre-copy somebody may be frozen: that can wait for own_write_catalog(). */
	return own->options.measure_only || own->scan ? 0 : own_finish_directories(own, err);
}
