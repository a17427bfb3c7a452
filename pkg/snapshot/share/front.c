/* Only names that are expected are kept, sizes are limits before memory is taken. */
#include "snapshot/share/front.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/tar.h"
#include "base/text.h"
#include "store/format.h"
#include "tree/manifest.h"

#define STORE_PREFIX ".sidesnap/"
#define PACKS_PREFIX STORE_PREFIX PACK_DIRECTORY "/"
#define PACKS_COUNT_MAX 64
/* Of the archive: packs, the manifest, and what stands before them, which is the agent mostly. */
#define RAW_MAX (FRONT_PACKS_MAX + (64U << 20))
#define ZSTD_MAGIC "\x28\xb5\x2f\xfd"

struct reading {
	struct front *front;
	size_t at;	       /* in what there is of the archive */
	bool is_dry;	       /* more was asked for than there is */
	bool has_ended;	       /* nothing that is wanted comes any more */
	struct buffer *target; /* of the member's data; NULL: passed over */
};

static void drop_files(struct front *front)
{
	if (front->manifest.data.data)
		buffer_release(&front->manifest.data);
	for (size_t i = 0; i < front->pack_count; i++)
		buffer_release(&front->packs[i].data);
	free(front->packs);
	front->manifest = (struct front_file){0};
	front->packs = NULL;
	front->pack_count = 0;
}

static void drop_archive(struct front *front)
{
	gunzip_free(front->gunzip);
	front->gunzip = NULL;
	buffer_release(&front->raw);
}

void front_init(struct front *front, bool manifest_only)
{
	*front = (struct front){.manifest_only = manifest_only};
	buffer_init(&front->raw, RAW_MAX);
}

void front_release(struct front *front)
{
	drop_files(front);
	drop_archive(front);
}

static ssize_t take(void *context, void *data, size_t size, struct error **err)
{
	struct reading *reading = context;
	const struct buffer *raw = &reading->front->raw;
	size_t left = raw->size - reading->at;

	(void)err;
	if (size > left)
		size = left;
	reading->is_dry |= !left;
	if (size)
		memcpy(data, raw->data + reading->at, size);
	reading->at += size;
	return (ssize_t)size;
}

static int begin_file(struct reading *reading, struct front_file *file, const char *name,
		      const struct tar_entry *entry, size_t limit, struct error **err)
{
	*file = (struct front_file){0};
	buffer_init(&file->data, limit);
	if (!S_ISREG(entry->mode) || entry->hardlink)
		return error_set(err, ERROR_DAMAGED, "its \"%s\" is no regular file", name);
	if (entry->size > limit)
		return error_set(err, ERROR_UNSUPPORTED, "its \"%s\" is too large to be read here",
				 name);
	snprintf(file->name, sizeof(file->name), "%s", name);
	reading->target = &file->data;
	return 0;
}

static bool is_catalog_pack(const char *name)
{
	return name[0] == PACK_PREFIX_CATALOG && !strchr(name, '/') &&
	       strlen(name) < sizeof(((struct front_file *)NULL)->name) &&
	       text_has_suffix(name, PACK_SUFFIX);
}

static int on_entry(void *context, const struct tar_entry *entry, struct error **err)
{
	struct reading *reading = context;
	struct front *front = reading->front;
	const char *path = entry->path, *name;

	while (path[0] == '.' && path[1] == '/')
		path += 2;
	while (path[0] == '/')
		path++;
	name = text_has_prefix(path, PACKS_PREFIX) ? path + strlen(PACKS_PREFIX) : NULL;
	reading->target = NULL;
	if (!strcmp(path, STORE_PREFIX MANIFEST_NAME)) {
		if (front->manifest.data.data)
			return error_set(err, ERROR_DAMAGED, "it has two manifests");
		return begin_file(reading, &front->manifest, MANIFEST_NAME, entry,
				  MANIFEST_SIZE_MAX, err);
	}
	if (name && is_catalog_pack(name) && !front->manifest_only) {
		if (front->pack_count >= PACKS_COUNT_MAX)
			return error_set(err, ERROR_UNSUPPORTED, "it has too many packs");
		front->packs =
			memory_array(front->packs, front->pack_count + 1, sizeof(*front->packs));
		return begin_file(reading, &front->packs[front->pack_count++], name, entry,
				  FRONT_PACKS_MAX, err);
	}
	/* sorted, what is wanted would have come before this */
	if ((name && (front->manifest_only || name[0] > PACK_PREFIX_CATALOG)) ||
	    strcmp(path, PACKS_PREFIX "~") > 0) {
		reading->has_ended = true;
		return -1;
	}
	return 0;
}

static int on_data(void *context, const void *data, size_t size, struct error **err)
{
	struct reading *reading = context;

	if (reading->target && buffer_append(reading->target, data, size) < 0)
		return error_set(err, ERROR_UNSUPPORTED,
				 "its catalogs are too large to be read here");
	return 0;
}

/* The archive's own bytes, behind those that were there. */
static int unpack(struct front *front, const void *data, size_t size, bool is_first,
		  struct error **err)
{
	if (is_first && size >= 4 && memcmp(data, ZSTD_MAGIC, 4) == 0)
		return error_set(err, ERROR_UNSUPPORTED,
				 "it is compressed by zstd, which is not read here");
	if (is_first && gzip_is(data, size))
		front->gunzip = gunzip_new();
	if (front->gunzip)
		return gunzip_feed(front->gunzip, data, size, &front->raw, err);
	if (buffer_append(&front->raw, data, size) < 0)
		return error_set(err, ERROR_UNSUPPORTED,
				 "its catalogs are too large to be read here");
	return 0;
}

/* From its beginning: that is memory, and twice as much each time. */
static enum front_end read_files(struct front *front, bool is_last, struct error **err)
{
	static const struct tar_callbacks callbacks = {.entry = on_entry, .data = on_data};
	struct reading reading = {.front = front};
	cleanup_error struct error *problem = NULL;
	int result;

	drop_files(front);
	result = tar_read(take, &reading, &callbacks, &reading, &problem);
	if (reading.has_ended || result == 0)
		return FRONT_ENOUGH;
	if (!is_last && reading.is_dry && problem && problem->kind == ERROR_DAMAGED)
		return FRONT_MORE;
	error_append(err, STEAL_POINTER(problem));
	return FRONT_FAILED;
}

enum front_end front_feed(struct front *front, const void *data, size_t size, bool is_last,
			  struct error **err)
{
	bool is_first = !front->gunzip && !front->raw.size;
	enum front_end end = FRONT_FAILED;

	if (unpack(front, data, size, is_first, err) == 0)
		end = read_files(front, is_last, err);
	if (end != FRONT_MORE)
		drop_archive(front);
	return end;
}
