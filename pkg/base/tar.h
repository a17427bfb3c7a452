/*
 * Tar archives where one crosses our border. Small plain ones that are injected
 * are made with libtar; those with extended attributes, and all that are read,
 * with libarchive. No other file knows these libraries.
 */
#ifndef SIDESNAP_BASE_TAR_H
#define SIDESNAP_BASE_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"

/* One member. Strings are borrowed for the time of the call. */
struct tar_entry {
	const char *path; /* as in the archive, no leading '/' when written */
	mode_t mode;	  /* with type: S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO */
	uid_t uid;
	gid_t gid;
	uint64_t size;
	struct timespec mtime;
	dev_t device;	      /* of device nodes */
	const char *link;     /* target of a symlink */
	const char *hardlink; /* earlier member that this is a link to */
	const struct tar_attribute *attributes;
	size_t attribute_count;
};

struct tar_attribute {
	const char *name; /* "user.x", "security.capability" */
	const void *value;
	size_t size;
};

/*
 * tar_append_plain(buffer, entry, data, err):
 * Add a directory or a regular file with its ${entry->size} bytes to an uncompressed
 * ustar archive in memory (libtar). No attributes. tar_finish_plain() ends the archive.
 */
int tar_append_plain(struct buffer *buffer, const struct tar_entry *entry, const void *data,
		     struct error **err);
int tar_finish_plain(struct buffer *buffer, struct error **err);

/*
 * tar_write_all(buffer, entries, count, data, err):
 * A whole pax archive of ${count} members (data[i] may be NULL) with their extended
 * attributes as SCHILY.xattr (libarchive), nanosecond times, end included.
 */
int tar_write_all(struct buffer *buffer, const struct tar_entry *entries, const void *const *data,
		  size_t count, struct error **err);

/*
 * The same piece by piece, as long as it may be: each member, then its ${size} bytes, and
 * tar_writer_finish() at the end. -1 of the sink ends it.
 */
typedef int tar_sink(void *context, const void *data, size_t size, struct error **err);
struct tar_writer;
struct tar_writer *tar_writer_new(tar_sink *sink, void *context, struct error **err);

/* How a whole archive is packed. */
enum tar_packing { TAR_PLAIN, TAR_ZSTD };

/* tar_writer_new_packed(sink, context, packing, err): The same, packed as well as the library can. */
struct tar_writer *tar_writer_new_packed(tar_sink *sink, void *context, enum tar_packing packing,
					 struct error **err);
int tar_writer_entry(struct tar_writer *writer, const struct tar_entry *entry, struct error **err);
int tar_writer_data(struct tar_writer *writer, const void *data, size_t size, struct error **err);
int tar_writer_finish(struct tar_writer *writer, struct error **err);
void tar_writer_free(struct tar_writer *writer); /* NULL ok */
CLEANUP_DEFINE(struct tar_writer, tar_writer_free)

struct tar_callbacks {
	/* A member begins. -1 stops. */
	int (*entry)(void *context, const struct tar_entry *entry, struct error **err);
	/* Bytes of its content, in order. -1 stops. */
	int (*data)(void *context, const void *data, size_t size, struct error **err);
};

/*
 * tar_read(source, context, callbacks, callback_context, err):
 * Read a whole uncompressed tar from a pull source (bytes put, 0 at the end, -1).
 * A missing end of archive is an error: podman sends an empty body while it still
 * unmounts. The file type bits that docker 20.10 leaves in the header's mode are
 * masked away, and so is a slash at the end of a directory's name. Nothing else of a
 * name is checked: it may be absolute or hold "..", see path_is_safe_relative().
 */
typedef ssize_t tar_source(void *context, void *data, size_t size, struct error **err);
int tar_read(tar_source *source, void *source_context, const struct tar_callbacks *callbacks,
	     void *context, struct error **err);

/* tar_read_packed(...): The same of one that may be packed; what is packed says itself whether it is whole. */
int tar_read_packed(tar_source *source, void *source_context, const struct tar_callbacks *callbacks,
		    void *context, struct error **err);

#endif
