/*
 * What is known of own files before they are looked at under the freeze: from the last
 * snapshot's catalog, then from the pre-copy. The layer has all of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "tree/own/own_state.h"

/* More than that hardly pays. */
#define KNOWN_MAX (1U << 20)

static struct own_record *add(struct own_known *known, const char *path)
{
	struct own_record *record;

	if (known->count == known->capacity) {
		known->capacity = known->capacity ? known->capacity * 2 : 64;
		known->records =
			memory_array(known->records, known->capacity, sizeof(*known->records));
	}
	path_map_put(&known->paths, path, known->count);
	record = &known->records[known->count++];
	memset(record, 0, sizeof(*record));
	return record;
}

void own_record_fill(struct own_record *record, const struct catalog_entry *entry)
{
	record->mode = entry->mode;
	record->uid = entry->uid;
	record->gid = entry->gid;
	record->device = entry->device;
	record->size = entry->size;
	record->mtime = entry->mtime;
	record->link = memory_strdup(entry->link);
	place_attributes_copy(&record->attributes, entry->attributes, entry->attribute_count);
	if (entry->content_count && entry->contents[0].kind == CONTENT_HASH)
		record->hash = entry->contents[0].chunk.id;
}

void own_known_add(struct own *own, const struct catalog_entry *entry)
{
	struct own_record *record;

	if (own->options.measure_only || own->options.is_new_run || !own->options.source ||
	    own->known.count >= KNOWN_MAX || entry->fingerprint.device != own->options.source ||
	    entry->hardlink || entry->flags & (ENTRY_DELETED | ENTRY_HOT))
		return;
	if (S_ISREG(entry->mode) && entry->size &&
	    (entry->content_count != 1 || entry->contents[0].kind != CONTENT_HASH))
		return;
	record = add(&own->known, entry->path);
	record->path = memory_strdup(entry->path);
	own_record_fill(record, entry);
	record->has_fingerprint = true;
	record->inode = entry->fingerprint.inode;
	record->ctime = entry->fingerprint.ctime;
}

struct own_record *own_known_find(struct own *own, const char *path)
{
	size_t index = path_map_get(&own->known.paths, path);

	return index == PATH_MAP_NONE ? NULL : &own->known.records[index];
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Whether the layer still has what was put there: a directory above it may have been removed since. */
static bool is_in_layer(const struct own *own, const struct own_record *record, const char *path)
{
	struct stat status;

	if (!own->is_layer_suspect)
		return true;
	return place_stat(own->options.layer_fd, path, &status) == 0 &&
	       (status.st_mode & S_IFMT) == (record->mode & S_IFMT) &&
	       (!S_ISREG(record->mode) || (uint64_t)status.st_size == record->size);
}

struct own_record *own_known_match(struct own *own, const char *path,
				   const struct file_status *status)
{
	struct own_record *record = own_known_find(own, path);

	if (!record || !record->has_fingerprint || record->is_hot ||
	    record->flags & ENTRY_DELETED || record->mode != status->mode ||
	    record->uid != status->uid || record->gid != status->gid ||
	    record->inode != status->inode ||
	    (S_ISREG(record->mode) && record->size != status->size) ||
	    !same_time(&record->mtime, &status->mtime) ||
	    !same_time(&record->ctime, &status->ctime) || !is_in_layer(own, record, path))
		return NULL;
	return record;
}

void own_known_release(struct own_known *known)
{
	for (size_t i = 0; i < known->count; i++)
		own_record_release(&known->records[i]);
	free(known->records);
	path_map_release(&known->paths);
	memset(known, 0, sizeof(*known));
}

void own_known_take(struct own *own)
{
	own_known_release(&own->known);
	for (size_t i = 0; i < own->record_count; i++) {
		struct own_record *record = &own->records[i];

		if (*record->path)
			own_add_candidate(own, record->path);
		/* The layer lacks it already: that it was there must not be forgotten. */
		if (record->flags & ENTRY_DELETED)
			path_map_put(&own->deleted, record->path, 0);
		path_map_put(&own->known.paths, record->path, i);
	}
	own->known.records = STEAL_POINTER(own->records);
	own->known.count = own->known.capacity = own->record_count;
	own->record_count = own->record_capacity = 0;
	path_map_release(&own->done);
	path_map_release(&own->groups);
	free(STEAL_POINTER(own->group_leaders));
	own->group_count = 0;
	string_list_release(&own->skipped);
	memset(&own->totals, 0, sizeof(own->totals));
}

/* ---- directories on the way ---- */

void own_parents_release(struct own_parents *parents)
{
	for (size_t i = 0; i < OWN_PARENTS; i++) {
		free(STEAL_POINTER(parents->level[i].path));
		if (parents->level[i].fd >= 0)
			close(parents->level[i].fd);
		parents->level[i].fd = -1;
	}
}

int own_target_parent(struct own *own, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *parent =
		slash ? memory_strndup(path, (size_t)(slash - path)) : memory_strdup("");
	unsigned depth = 0;
	int fd;

	*name = slash ? slash + 1 : path;
	for (const char *p = path; *p; p++)
		depth += *p == '/';
	depth = depth < OWN_PARENTS ? depth : OWN_PARENTS - 1;
	if (own->parents.level[depth].fd >= 0 &&
	    strcmp(own->parents.level[depth].path, parent) == 0)
		return own->parents.level[depth].fd;
	fd = place_open(own->options.target_fd, parent, O_PATH | O_DIRECTORY);
	if (fd < 0)
		return -1;
	if (own->parents.level[depth].fd >= 0)
		close(own->parents.level[depth].fd);
	free(own->parents.level[depth].path);
	own->parents.level[depth].path = STEAL_POINTER(parent);
	own->parents.level[depth].fd = fd;
	return fd;
}
