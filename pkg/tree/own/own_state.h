/*
 * What own.c, own_stream.c and own_catalog.c share. Private to them.
 */
#ifndef SIDESNAP_TREE_OWN_STATE_H
#define SIDESNAP_TREE_OWN_STATE_H

#include "tree/own/own.h"
#include "tree/own/own_place.h"
#include "tree/own/own_scan.h"
#include "tree/write_back.h"

/* Strings with a number; open addressing. */
struct path_map {
	char **keys;
	size_t *values;
	size_t capacity, count;
};

#define PATH_MAP_NONE ((size_t)-1)

void path_map_release(struct path_map *map);
size_t path_map_get(const struct path_map *map, const char *key); /* or PATH_MAP_NONE */
void path_map_put(struct path_map *map, const char *key, size_t value);

/* One record in the making; all pointers owned. */
struct own_record {
	char *path;
	uint32_t flags;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	dev_t device;
	uint64_t size;
	struct timespec mtime;
	char *link;
	struct place_attributes attributes;
	struct hash hash; /* of a regular file's content */
	size_t group;	  /* files with the same number are names of one; 0: alone */
	/* What the target's stat said, when that is known. */
	bool has_fingerprint;
	uint64_t inode;
	struct timespec ctime;
	bool is_hot; /* it proves nothing */
	bool is_new; /* the image below has nothing in its place */
};

/* What was found before, by the last snapshot or by the pre-copy, and is in the layer. */
struct own_known {
	struct own_record *records;
	size_t count, capacity;
	struct path_map paths;
};

/* Directories of the target that were opened on the way to a file, one a depth. */
#define OWN_PARENTS 16
struct own_parents {
	struct {
		char *path;
		int fd;
	} level[OWN_PARENTS];
};

/* A directory of the layer that was written in: its time is put back at the end. */
struct touched {
	char *path;
	struct timespec mtime;
};

struct own_stream {
	bool is_open;	     /* content of ${record} is coming */
	bool is_ignored;     /* it goes nowhere */
	int fd;		     /* where it goes, -1: it has been the same as ${old_fd} so far */
	int old_fd;	     /* what the layer has in its place; -1: nothing like it */
	uint64_t done, left; /* bytes */
	struct hasher *hasher;
	size_t record;
};

struct own {
	struct own_options options;
	struct string_list candidates;
	bool is_sorted;
	struct path_map queued;	 /* candidates, to take none twice */
	struct path_map deleted; /* the parent's catalog has these as deleted */
	struct path_map whole;	 /* directories that a stream has whole */
	struct path_map done;	 /* path -> index of its record, or PATH_MAP_NONE - 1 without one */
	struct own_record *records;
	size_t record_count, record_capacity;
	struct path_map groups; /* "dev:ino" -> group number */
	size_t group_count;
	size_t *group_leaders; /* by number: index of the record that has content in the layer */
	struct touched *touched;
	size_t touched_count;
	struct path_map touched_paths;
	struct string_list skipped;
	struct own_totals totals;
	struct own_stream stream;
	struct store *parent_store; /* borrowed, with parent_root */
	const struct catalog_root *parent_root;
	struct own_scan *scan; /* NULL: lists of changes are needed */
	struct own_known known;
	struct own_look *looks; /* from before the write-back, by number in ${looked} */
	size_t look_count, look_capacity;
	struct path_map looked;
	struct own_parents parents;
	uint64_t mount; /* the target's root; 0: not asked yet */
	bool is_precopy;
	enum write_back_kind write_back; /* what makes a file clean that was looked at */
	bool is_layer_suspect;		 /* the pre-copy has removed a directory from the layer */
	bool is_finished;		 /* the directories of the layer have their times */
};

/* own_is_dropped(own, path): Whether a relative path is at or below one that is never looked at. */
bool own_is_dropped(const struct own *own, const char *path);

/* own_record_new(own, path, err): A zeroed record; NULL when there are too many. */
struct own_record *own_record_new(struct own *own, const char *path, struct error **err);

/* own_touch(own, path): About to change names in the directory that holds ${path}. */
void own_touch(struct own *own, const char *path);

/* own_layer_parent(own, path, name, fd, err): 1 and the directory in the layer that holds it; 0 not reachable. */
int own_layer_parent(struct own *own, const char *path, const char **name, int *fd,
		     struct error **err);

/* own_make(own, record, parent_fd, name, err): Anything but a regular file, in place of what is there. */
int own_make(struct own *own, const struct own_record *record, int parent_fd, const char *name,
	     struct error **err);

/* own_link(own, leader, parent_fd, name, err): Another name of a file that the layer has. */
int own_link(struct own *own, const struct own_record *leader, int parent_fd, const char *name,
	     struct error **err);

/* own_set_metadata(record, parent_fd, name): Owner, mode, attributes, times; only what differs. */
int own_set_metadata(const struct own_record *record, int parent_fd, const char *name,
		     struct error **err);

/* own_delete(own, path, err): Remove it from the layer and note that. */
int own_delete(struct own *own, const char *path, struct error **err);

/* own_create_file(own, path, parent_fd, name, err): A new empty file in place of what is there; its descriptor. */
int own_create_file(struct own *own, const char *path, int parent_fd, const char *name,
		    struct error **err);

/* own_write_block(own, fd, data, size, err): Append, leaving holes for zeros. */
int own_write_block(struct own *own, int fd, const void *data, size_t size, struct error **err);

/* own_finish_directories(own, err): Times and modes of directories, after everything else. */
int own_finish_directories(struct own *own, struct error **err);

/* own_record_release(record): What it points to. */
void own_record_release(struct own_record *record);

/* ---- own_known.c ---- */

/* own_known_add(own, entry): A record of the last snapshot's catalog, where its fingerprint is the target's. */
void own_known_add(struct own *own, const struct catalog_entry *entry);

/* own_known_find(own, path): What is known of a path, right or not; NULL. */
struct own_record *own_known_find(struct own *own, const char *path);

/* own_known_match(own, path, status): The same if the file has not changed since; NULL. */
struct own_record *own_known_match(struct own *own, const char *path,
				   const struct file_status *status);

/* own_known_take(own): All records become what is known; what they were about is to be looked at again. */
void own_known_take(struct own *own);

void own_known_release(struct own_known *known);

/* own_target_parent(own, path, name): As place_parent() in the target; borrowed until own_parents_release(). */
int own_target_parent(struct own *own, const char *path, const char **name);
void own_parents_release(struct own_parents *parents);

/* ---- own_precopy.c ---- */

/* own_early_look(own, path): How it looked before the write-back; NULL. */
const struct own_look *own_early_look(const struct own *own, const char *path);

/*
 * own_record_fill(record, entry): What the entry of a catalog says of a file, but for its
 * path, its flags and other names of it.
 */
void own_record_fill(struct own_record *record, const struct catalog_entry *entry);

/* own_take_all(own, err): Every candidate (own.c). */
int own_take_all(struct own *own, struct error **err);

/* own_group(own, key, record): The group of hard links called ${key}, made if new. */
size_t own_group(struct own *own, const char *key, size_t record);

#endif
