/*
 * Own files that arrive as a stream: of targets that are stopped, which have no
 * process to read through. What the parent has unchanged is not written again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/path.h"
#include "tree/own/own_state.h"

#define COPY_BLOCK (64U << 10)

static int finish_member(struct own *own, struct error **err)
{
	struct own_stream *stream = &own->stream;
	struct own_record *record;
	const char *name = NULL;
	cleanup_fd int parent_fd = -1;
	int fd = stream->fd, old_fd = stream->old_fd, reached;

	if (!stream->is_open)
		return 0;
	stream->is_open = false;
	stream->fd = stream->old_fd = -1;
	if (fd >= 0)
		close(fd);
	if (old_fd >= 0)
		close(old_fd);
	if (stream->is_ignored)
		return 0;
	record = &own->records[stream->record];
	if (stream->left)
		return error_set(err, ERROR_FAILED, "the stream has too few bytes of \"/%s\"",
				 record->path);
	hasher_finish(stream->hasher, &record->hash);
	reached = own_layer_parent(own, record->path, &name, &parent_fd, err);
	return reached <= 0 ? reached : own_set_metadata(record, parent_fd, name, err);
}

/* A regular file begins: compare with what the layer has, or write from the start. */
static int begin_file(struct own *own, size_t index, int parent_fd, const char *name,
		      struct error **err)
{
	struct own_stream *stream = &own->stream;
	struct own_record *record = &own->records[index];
	struct stat status;
	int fd = openat(parent_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ||
			(uint64_t)status.st_size != record->size)) {
		close(fd);
		fd = -1;
	}
	stream->old_fd = fd;
	if (fd < 0) {
		stream->fd = own_create_file(own, record->path, parent_fd, name, err);
		if (stream->fd < 0)
			return -1;
	}
	if (!stream->hasher)
		stream->hasher = hasher_new();
	stream->record = index;
	stream->is_ignored = false;
	stream->is_open = true;
	own->totals.files++;
	return 0;
}

/* Of a symbolic link or a node: one of its own, as where the target runs. */
static int take_other_name(struct own *own, struct own_record *record,
			   const struct own_record *leader, int parent_fd, const char *name,
			   struct error **err)
{
	record->mode = leader->mode;
	record->uid = leader->uid;
	record->gid = leader->gid;
	record->device = leader->device;
	record->mtime = leader->mtime;
	free(record->link);
	record->link = memory_strdup(leader->link);
	place_attributes_release(&record->attributes);
	place_attributes_copy(&record->attributes, leader->attributes.list,
			      leader->attributes.count);
	return own_make(own, record, parent_fd, name, err);
}

static int take_hardlink(struct own *own, size_t index, const char *hardlink, int parent_fd,
			 const char *name, struct error **err)
{
	size_t leader = path_map_get(&own->done, hardlink);
	struct own_record *record = &own->records[index];
	cleanup_free char *key = NULL;

	if (leader >= own->record_count || S_ISDIR(own->records[leader].mode))
		return error_set(err, ERROR_FAILED, "\"/%s\" links to \"/%s\", which did not come",
				 record->path, hardlink);
	if (!S_ISREG(own->records[leader].mode))
		return take_other_name(own, record, &own->records[leader], parent_fd, name, err);
	if (own->records[leader].group) {
		record->group = own->records[leader].group;
	} else {
		key = memory_printf("path:%s", hardlink);
		record->group = own->records[leader].group = own_group(own, key, leader);
	}
	leader = own->group_leaders[record->group];
	record->mode = own->records[leader].mode;
	record->uid = own->records[leader].uid;
	record->gid = own->records[leader].gid;
	record->mtime = own->records[leader].mtime;
	record->size = own->records[leader].size;
	record->hash = own->records[leader].hash;
	own->totals.files++;
	own_touch(own, record->path);
	return own_link(own, &own->records[leader], parent_fd, name, err);
}

static void ignore_member(struct own *own, const struct own_member *member)
{
	own->stream.is_open = S_ISREG(member->mode) && member->size && !member->hardlink;
	own->stream.is_ignored = true;
	own->stream.left = member->size;
}

static struct own_record *member_record(struct own *own, const struct own_member *member,
					struct error **err)
{
	struct own_record *record = own_record_new(own, member->path, err);

	if (!record)
		return NULL;
	record->mode = member->mode;
	record->uid = member->uid;
	record->gid = member->gid;
	record->device = member->device;
	record->size = S_ISREG(member->mode) ? member->size : 0;
	record->mtime = member->mtime;
	record->link = memory_strdup(member->link);
	place_attributes_copy(&record->attributes, member->attributes, member->attribute_count);
	return record;
}

int own_stream_entry(struct own *own, const struct own_member *member, struct error **err)
{
	const char *name = NULL;
	cleanup_fd int parent_fd = -1;
	struct own_record *record;
	int reached;

	if (finish_member(own, err) < 0)
		return -1;
	if (*member->path && !path_is_safe_relative(member->path, strlen(member->path)))
		return error_set(err, ERROR_FAILED, "bad path \"%s\" in the stream", member->path);
	own->stream.left = 0;
	if (own_is_dropped(own, member->path) ||
	    path_map_get(&own->done, member->path) != PATH_MAP_NONE) {
		ignore_member(own, member);
		return 0;
	}
	if (member->deleted)
		return own_delete(own, member->path, err);
	if (S_ISSOCK(member->mode)) {
		string_list_add(&own->skipped, member->path);
		return 0;
	}
	if (S_ISLNK(member->mode) && !member->link)
		return error_set(err, ERROR_FAILED, "link \"/%s\" without a target", member->path);
	reached = own_layer_parent(own, member->path, &name, &parent_fd, err);
	if (reached <= 0) {
		ignore_member(own, member);
		return reached;
	}
	record = member_record(own, member, err);
	if (!record)
		return -1;
	if (member->hardlink)
		return take_hardlink(own, own->record_count - 1, member->hardlink, parent_fd, name,
				     err);
	if (S_ISREG(member->mode)) {
		own->stream.left = member->size;
		own->stream.done = 0;
		return begin_file(own, own->record_count - 1, parent_fd, name, err);
	}
	if (member->whole && S_ISDIR(member->mode))
		path_map_put(&own->whole, member->path, 0);
	return *member->path ? own_make(own, record, parent_fd, name, err) : 0;
}

static bool is_in_whole(const struct own *own, const char *path)
{
	for (const char *slash = strchr(path, '/'); own->whole.count && slash;
	     slash = strchr(slash + 1, '/')) {
		cleanup_free char *part = memory_strndup(path, (size_t)(slash - path));

		if (path_map_get(&own->whole, part) != PATH_MAP_NONE)
			return true;
	}
	return false;
}

/* The file differs from the layer's after ${stream->done} equal bytes: write it anew. */
static int write_anew(struct own *own, struct error **err)
{
	struct own_stream *stream = &own->stream;
	const struct own_record *record = &own->records[stream->record];
	cleanup_free char *block = memory_alloc(COPY_BLOCK);
	const char *name = NULL;
	cleanup_fd int parent_fd = -1;
	int reached = own_layer_parent(own, record->path, &name, &parent_fd, err);

	if (reached < 0)
		return -1;
	if (!reached)
		return error_set(err, ERROR_FAILED, "\"/%s\" is behind a mount", record->path);
	stream->fd = own_create_file(own, record->path, parent_fd, name, err);
	if (stream->fd < 0)
		return -1;
	for (uint64_t offset = 0; offset < stream->done;) {
		uint64_t left = stream->done - offset;
		size_t want = left < COPY_BLOCK ? (size_t)left : COPY_BLOCK;

		if (io_pread_full(stream->old_fd, block, want, offset) != (ssize_t)want)
			return error_set(err, ERROR_FAILED, "cannot read \"/%s\" in the layer",
					 record->path);
		if (own_write_block(own, stream->fd, block, want, err) < 0)
			return -1;
		offset += want;
	}
	close(stream->old_fd);
	stream->old_fd = -1;
	return 0;
}

static bool equals_old(struct own_stream *stream, const uint8_t *data, size_t size)
{
	uint8_t block[4096];

	for (size_t offset = 0; offset < size;) {
		size_t want = size - offset < sizeof(block) ? size - offset : sizeof(block);

		if (io_pread_full(stream->old_fd, block, want, stream->done + offset) !=
			    (ssize_t)want ||
		    memcmp(block, data + offset, want) != 0)
			return false;
		offset += want;
	}
	return true;
}

int own_stream_data(struct own *own, const void *data, size_t size, struct error **err)
{
	struct own_stream *stream = &own->stream;

	if (!stream->is_open || size > stream->left)
		return error_set(err, ERROR_FAILED, "the stream has bytes that belong to no file");
	stream->left -= size;
	if (stream->is_ignored)
		return 0;
	if (stream->fd < 0 && !equals_old(stream, data, size) && write_anew(own, err) < 0)
		return -1;
	if (stream->fd >= 0 && own_write_block(own, stream->fd, data, size, err) < 0)
		return -1;
	hasher_update(stream->hasher, data, size);
	stream->done += size;
	own->totals.bytes += size;
	own->totals.read_bytes += size;
	return 0;
}

/* A record of the parent's catalog that the stream did not mention: still so in the layer? */
static int keep_parent_entry(struct own *own, const struct catalog_entry *entry, struct error **err)
{
	struct own_record *record;
	struct stat status;
	bool is_there = place_stat(own->options.layer_fd, entry->path, &status) == 0;

	if (path_map_get(&own->done, entry->path) != PATH_MAP_NONE ||
	    own_is_dropped(own, entry->path))
		return 0;
	if (is_in_whole(own, entry->path))
		return own_delete(own, entry->path, err);
	if (entry->flags & ENTRY_DELETED) {
		record = is_there ? NULL : own_record_new(own, entry->path, err);
		if (record)
			record->flags = ENTRY_DELETED;
		return is_there || record ? 0 : -1;
	}
	if (!is_there || (status.st_mode & S_IFMT) != (entry->mode & S_IFMT))
		return 0;
	record = own_record_new(own, entry->path, err);
	if (!record)
		return -1;
	own_record_fill(record, entry);
	if (entry->hardlink) {
		size_t leader = path_map_get(&own->done, entry->hardlink);
		cleanup_free char *key = memory_printf("path:%s", entry->hardlink);

		if (leader < own->record_count && S_ISREG(own->records[leader].mode)) {
			if (!own->records[leader].group)
				own->records[leader].group = own_group(own, key, leader);
			record = &own->records[own->record_count - 1];
			record->group = own->records[leader].group;
			record->size = own->records[leader].size;
			record->hash = own->records[leader].hash;
		}
	}
	return 0;
}

static int keep_parent(struct own *own, struct error **err)
{
	CLEANUP(cleanup_catalog_close)
	struct catalog_reader *reader = catalog_open(own->parent_store, own->parent_root, err);
	struct catalog_entry entry;
	int result;

	if (!reader)
		return -1;
	while ((result = catalog_next(reader, &entry, err)) > 0) {
		if (keep_parent_entry(own, &entry, err) < 0)
			return -1;
	}
	return result;
}

int own_stream_end(struct own *own, struct error **err)
{
	struct stat status;

	if (finish_member(own, err) < 0)
		return -1;
	if (own->parent_root && own->parent_root->count && keep_parent(own, err) < 0)
		return -1;
	if (path_map_get(&own->done, "") == PATH_MAP_NONE) {
		struct own_record *record = own_record_new(own, "", err);

		if (!record)
			return -1;
		if (fstatat(own->options.layer_fd, "", &status, AT_EMPTY_PATH) < 0)
			return error_set_errno(err, errno, "cannot examine the layer's root");
		record->mode = status.st_mode;
		record->uid = status.st_uid;
		record->gid = status.st_gid;
		record->mtime = status.st_mtim;
	}
	return own_finish_directories(own, err);
}
