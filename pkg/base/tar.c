/*
 * Tar archives: libtar for small plain ones, libarchive for all else. Nothing
 * here touches a file system: archives go between memory, streams and callbacks.
 */
#include "base/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <libtar.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define BLOCK 512
#define READ_SIZE (64u << 10)
#define USTAR_NAME_MAX 99
#define USTAR_ID_MAX 07777777u
#define USTAR_SIZE_MAX 077777777777ull

/* ---- plain archives ---- */

/* libtar hands its callbacks a descriptor and nothing else. */
static _Thread_local struct buffer *plain_target;

static int plain_open(const char *path, int flags, ...)
{
	(void)path;
	(void)flags;
	return 0;
}

static int plain_close(int fd)
{
	(void)fd;
	return 0;
}

static ssize_t plain_read(int fd, void *data, size_t size)
{
	(void)fd;
	(void)data;
	(void)size;
	return 0;
}

static ssize_t plain_write(int fd, const void *data, size_t size)
{
	(void)fd;
	return buffer_append(plain_target, data, size) < 0 ? -1 : (ssize_t)size;
}

static tartype_t plain_type = {plain_open, plain_close, plain_read, plain_write};

static TAR *plain_begin(struct buffer *buffer, struct error **err)
{
	TAR *tar = NULL;

	plain_target = buffer;
	if (tar_fdopen(&tar, 0, "memory", &plain_type, O_WRONLY, 0, 0) < 0) {
		error_set_errno(err, errno, "cannot make a tar archive");
		return NULL;
	}
	return tar;
}

static int plain_too_large(const struct buffer *buffer, struct error **err)
{
	return error_set(err, ERROR_FAILED, "the tar archive exceeds %zu bytes", buffer->limit);
}

/* libtar would look up the names of the ids in this machine's users, and cut numbers to int. */
static void plain_header(TAR *tar, const struct tar_entry *entry, bool directory)
{
	struct tar_header *header = &tar->th_buf;
	int64_t mtime = entry->mtime.tv_sec < 0 ? 0 : entry->mtime.tv_sec;

	memset(header, 0, sizeof(*header));
	th_set_type(tar, directory ? S_IFDIR : S_IFREG);
	th_set_path(tar, entry->path);
	th_set_mode(tar, entry->mode & 07777);
	int_to_oct_nonull((int)entry->uid, header->uid, sizeof(header->uid));
	int_to_oct_nonull((int)entry->gid, header->gid, sizeof(header->gid));
	snprintf(header->size, sizeof(header->size), "%011llo",
		 directory ? 0ull : (unsigned long long)entry->size);
	snprintf(header->mtime, sizeof(header->mtime), "%011llo",
		 (unsigned long long)mtime & USTAR_SIZE_MAX);
	th_finish(tar);
}

int tar_append_plain(struct buffer *buffer, const struct tar_entry *entry, const void *data,
		     struct error **err)
{
	static const char zeros[BLOCK];
	bool directory = S_ISDIR(entry->mode);
	TAR *tar;
	int result;

	if (!directory && !S_ISREG(entry->mode))
		return error_set(err, ERROR_FAILED, "\"%s\" is no file or directory", entry->path);
	if (strlen(entry->path) >= USTAR_NAME_MAX || entry->uid > USTAR_ID_MAX ||
	    entry->gid > USTAR_ID_MAX || entry->size > USTAR_SIZE_MAX)
		return error_set(err, ERROR_FAILED, "\"%s\" does not fit into a plain tar archive",
				 entry->path);
	tar = plain_begin(buffer, err);
	if (!tar)
		return -1;
	plain_header(tar, entry, directory);
	result = th_write(tar);
	if (result == 0 && !directory && entry->size) {
		result = buffer_append(buffer, data, (size_t)entry->size);
		if (result == 0 && entry->size % BLOCK)
			result = buffer_append(buffer, zeros, BLOCK - entry->size % BLOCK);
	}
	tar_close(tar);
	return result < 0 ? plain_too_large(buffer, err) : 0;
}

int tar_finish_plain(struct buffer *buffer, struct error **err)
{
	TAR *tar = plain_begin(buffer, err);
	int result;

	if (!tar)
		return -1;
	result = tar_append_eof(tar);
	tar_close(tar);
	return result < 0 ? plain_too_large(buffer, err) : 0;
}

/* ---- archives with extended attributes ---- */

static void fill_entry(struct archive_entry *item, const struct tar_entry *entry)
{
	archive_entry_clear(item);
	archive_entry_set_pathname(item, entry->path);
	archive_entry_set_uid(item, entry->uid);
	archive_entry_set_gid(item, entry->gid);
	archive_entry_set_mtime(item, entry->mtime.tv_sec, entry->mtime.tv_nsec);
	archive_entry_set_mode(item, entry->mode);
	if (entry->hardlink)
		archive_entry_set_hardlink(item, entry->hardlink);
	else if (S_ISLNK(entry->mode))
		archive_entry_set_symlink(item, entry->link);
	else if (S_ISCHR(entry->mode) || S_ISBLK(entry->mode))
		archive_entry_set_rdev(item, entry->device);
	archive_entry_set_size(
		item, S_ISREG(entry->mode) && !entry->hardlink ? (la_int64_t)entry->size : 0);
	for (size_t i = 0; i < entry->attribute_count; i++)
		archive_entry_xattr_add_entry(item, entry->attributes[i].name,
					      entry->attributes[i].value,
					      entry->attributes[i].size);
}

struct tar_writer {
	tar_sink *sink;
	void *context;
	struct error *problem; /* of the sink */
	struct archive *archive;
	struct archive_entry *item;
};

static la_ssize_t pax_write(struct archive *archive, void *context, const void *data, size_t size)
{
	struct tar_writer *writer = context;

	if (writer->sink(writer->context, data, size, &writer->problem) < 0) {
		archive_set_error(archive, EIO, "its sink failed");
		return -1;
	}
	return (la_ssize_t)size;
}

static int write_failed(struct tar_writer *writer, struct error **err)
{
	const char *text = archive_error_string(writer->archive);

	if (writer->problem) {
		error_append(err, STEAL_POINTER(writer->problem));
		return -1;
	}
	return error_set(err, ERROR_FAILED, "cannot write a tar archive: %s",
			 text ? text : "libarchive failed");
}

/* Its higher levels are not in the library (scripts/deps-build). */
#define ZSTD_LEVEL "12"

static int set_packing(struct archive *archive, enum tar_packing packing)
{
	if (packing == TAR_PLAIN)
		return archive_write_add_filter_none(archive);
	if (archive_write_add_filter_zstd(archive) != ARCHIVE_OK)
		return ARCHIVE_FATAL;
	return archive_write_set_filter_option(archive, "zstd", "compression-level", ZSTD_LEVEL);
}

struct tar_writer *tar_writer_new(tar_sink *sink, void *context, struct error **err)
{
	return tar_writer_new_packed(sink, context, TAR_PLAIN, err);
}

struct tar_writer *tar_writer_new_packed(tar_sink *sink, void *context, enum tar_packing packing,
					 struct error **err)
{
	struct tar_writer *writer = memory_zalloc(sizeof(*writer));

	writer->sink = sink;
	writer->context = context;
	writer->archive = archive_write_new();
	writer->item = archive_entry_new();
	if (!writer->archive || !writer->item) {
		error_set(err, ERROR_FAILED, "no memory for libarchive");
		tar_writer_free(writer);
		return NULL;
	}
	archive_write_set_format_pax(writer->archive);
	/* One form of attributes, the one that engines know. */
	if (set_packing(writer->archive, packing) != ARCHIVE_OK ||
	    archive_write_set_format_option(writer->archive, "pax", "xattrheader", "SCHILY") !=
		    ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(writer->archive, 0) != ARCHIVE_OK ||
	    archive_write_open(writer->archive, writer, NULL, pax_write, NULL) != ARCHIVE_OK) {
		write_failed(writer, err);
		tar_writer_free(writer);
		return NULL;
	}
	return writer;
}

void tar_writer_free(struct tar_writer *writer)
{
	if (!writer)
		return;
	archive_entry_free(writer->item);
	if (writer->archive) {
		/* what was not finished must not be ended as if it were */
		archive_write_fail(writer->archive);
		archive_write_free(writer->archive);
	}
	error_free(writer->problem);
	free(writer);
}

int tar_writer_entry(struct tar_writer *writer, const struct tar_entry *entry, struct error **err)
{
	fill_entry(writer->item, entry);
	/* a name that is no text goes as the bytes that it is, with a warning */
	return archive_write_header(writer->archive, writer->item) >= ARCHIVE_WARN
		       ? 0
		       : write_failed(writer, err);
}

int tar_writer_data(struct tar_writer *writer, const void *data, size_t size, struct error **err)
{
	return archive_write_data(writer->archive, data, size) == (la_ssize_t)size
		       ? 0
		       : write_failed(writer, err);
}

int tar_writer_finish(struct tar_writer *writer, struct error **err)
{
	return archive_write_close(writer->archive) == ARCHIVE_OK ? 0 : write_failed(writer, err);
}

static int append_to_buffer(void *context, const void *data, size_t size, struct error **err)
{
	struct buffer *buffer = context;

	if (buffer_append(buffer, data, size) < 0)
		return error_set(err, ERROR_FAILED, "the tar archive exceeds %zu bytes",
				 buffer->limit);
	return 0;
}

int tar_write_all(struct buffer *buffer, const struct tar_entry *entries, const void *const *data,
		  size_t count, struct error **err)
{
	CLEANUP(cleanup_tar_writer_free)
	struct tar_writer *writer = tar_writer_new(append_to_buffer, buffer, err);

	if (!writer)
		return -1;
	for (size_t i = 0; i < count; i++) {
		const struct tar_entry *entry = &entries[i];

		if (tar_writer_entry(writer, entry, err) < 0 ||
		    (S_ISREG(entry->mode) && !entry->hardlink && entry->size &&
		     tar_writer_data(writer, data[i], (size_t)entry->size, err) < 0))
			return -1;
	}
	return tar_writer_finish(writer, err);
}

/* ---- reading ---- */

static int archive_failed(struct archive *archive, const char *what, struct error **err)
{
	const char *text = archive_error_string(archive);

	return error_set(err, ERROR_FAILED, "%s: %s", what, text ? text : "libarchive failed");
}

struct reader {
	tar_source *source;
	void *context;
	struct error *problem; /* of the source */
	struct buffer first;   /* what libarchive gets before it; empty once it has */
	uint64_t total;	       /* bytes that the source gave */
	bool exhausted;
	bool is_packed; /* perhaps: what the source gave is not the tar's size */
	char block[READ_SIZE];
};

static la_ssize_t pull(struct archive *archive, void *context, const void **data)
{
	struct reader *reader = context;
	ssize_t count = 0;

	if (reader->first.size) {
		*data = memcpy(reader->block, reader->first.data, reader->first.size);
		count = (ssize_t)reader->first.size;
		buffer_clear(&reader->first);
		return count;
	}
	*data = reader->block;
	if (!reader->exhausted)
		count = reader->source(reader->context, reader->block, READ_SIZE, &reader->problem);
	if (count < 0) {
		archive_set_error(archive, EIO, "its source failed");
		return -1;
	}
	reader->exhausted = count == 0;
	reader->total += (uint64_t)count;
	return count;
}

static int read_failed(struct reader *reader, struct archive *archive, struct error **err)
{
	if (reader->problem) {
		if (err)
			*err = STEAL_POINTER(reader->problem);
		return -1;
	}
	archive_failed(archive, "the tar archive is damaged", err);
	if (err && *err)
		(*err)->kind = ERROR_DAMAGED;
	return -1;
}

static size_t take_attributes(struct archive_entry *item, struct tar_attribute **attributes)
{
	size_t count = (size_t)archive_entry_xattr_reset(item), got = 0;

	*attributes = count ? memory_array(NULL, count, sizeof(**attributes)) : NULL;
	while (got < count &&
	       archive_entry_xattr_next(item, &(*attributes)[got].name, &(*attributes)[got].value,
					&(*attributes)[got].size) == ARCHIVE_OK)
		got++;
	return got;
}

static int deliver_entry(struct archive_entry *item, const struct tar_callbacks *callbacks,
			 void *context, struct error **err)
{
	struct tar_attribute *attributes = NULL;
	char *path;
	size_t size;
	struct tar_entry entry = {
		.path = archive_entry_pathname(item),
		/* The type comes from libarchive's reading of the type flag. */
		.mode = archive_entry_filetype(item) | (archive_entry_mode(item) & 07777),
		.uid = (uid_t)archive_entry_uid(item),
		.gid = (gid_t)archive_entry_gid(item),
		.size = archive_entry_size_is_set(item) ? (uint64_t)archive_entry_size(item) : 0,
		.mtime = {archive_entry_mtime(item), archive_entry_mtime_nsec(item)},
		.device = archive_entry_rdev(item),
		.hardlink = archive_entry_hardlink(item),
	};
	int result;

	if (!entry.path || !*entry.path)
		return error_set(err, ERROR_DAMAGED, "the tar archive has a member without a name");
	/* Some writers end a directory's name with a slash, some do not. */
	size = strlen(entry.path);
	while (size > 1 && entry.path[size - 1] == '/')
		size--;
	path = memory_strndup(entry.path, size);
	entry.path = path;
	if (S_ISLNK(entry.mode) && !entry.hardlink)
		entry.link = archive_entry_symlink(item);
	if (entry.hardlink)
		entry.mode = S_IFREG | (entry.mode & 07777);
	entry.attribute_count = take_attributes(item, &attributes);
	entry.attributes = attributes;
	result = callbacks->entry ? callbacks->entry(context, &entry, err) : 0;
	free(attributes);
	free(path);
	return result;
}

/* Holes of sparse members are given as the zeros that they stand for. */
static int deliver_zeros(const struct tar_callbacks *callbacks, void *context, uint64_t size,
			 struct error **err)
{
	static const char zeros[4096];

	while (size) {
		size_t part = size < sizeof(zeros) ? (size_t)size : sizeof(zeros);

		if (callbacks->data(context, zeros, part, err) < 0)
			return -1;
		size -= part;
	}
	return 0;
}

static int deliver_data(struct reader *reader, struct archive *archive,
			const struct tar_callbacks *callbacks, void *context, struct error **err)
{
	const void *data;
	size_t size;
	la_int64_t offset;
	uint64_t position = 0;

	for (;;) {
		int code = archive_read_data_block(archive, &data, &size, &offset);

		if (code == ARCHIVE_EOF) {
			if (callbacks->data && (uint64_t)offset > position)
				return deliver_zeros(callbacks, context,
						     (uint64_t)offset - position, err);
			return 0;
		}
		if (code != ARCHIVE_OK)
			return read_failed(reader, archive, err);
		if (!callbacks->data)
			continue;
		if ((uint64_t)offset > position &&
		    deliver_zeros(callbacks, context, (uint64_t)offset - position, err) < 0)
			return -1;
		if (size && callbacks->data(context, data, size, err) < 0)
			return -1;
		position = (uint64_t)offset + size;
	}
}

/* libarchive takes a stream that just stops between two members for a whole one. */
static int check_end(struct reader *reader, struct archive *archive, uint64_t end_of_members,
		     struct error **err)
{
	while (!reader->exhausted) {
		const void *data;

		if (pull(archive, reader, &data) < 0)
			return read_failed(reader, archive, err);
	}
	if (!reader->total)
		return error_set(err, ERROR_DAMAGED, "the tar archive is empty");
	if (!reader->is_packed &&
	    reader->total < (end_of_members + BLOCK - 1) / BLOCK * BLOCK + 2 * BLOCK)
		return error_set(err, ERROR_DAMAGED, "the tar archive breaks off before its end");
	return 0;
}

/*
 * Every archive begins with a link of ours, which nobody gets to see: of the first link in an archive
 * libarchive forgets the target when nothing of it is in the ustar header. Go's writer leaves out there
 * what is no ASCII, and has it in the pax header only.
 */
static int make_first_link(struct buffer *buffer, struct error **err)
{
	TAR *tar = plain_begin(buffer, err);
	int result;

	if (!tar)
		return -1;
	memset(&tar->th_buf, 0, sizeof(tar->th_buf));
	th_set_type(tar, S_IFLNK);
	th_set_path(tar, "link");
	snprintf(tar->th_buf.linkname, sizeof(tar->th_buf.linkname), "link");
	th_finish(tar);
	result = th_write(tar);
	tar_close(tar);
	return result < 0 ? plain_too_large(buffer, err) : 0;
}

static int read_members(struct reader *reader, struct archive *archive,
			const struct tar_callbacks *callbacks, void *context, struct error **err)
{
	uint64_t end_of_members = 0;
	struct archive_entry *item;

	/* nothing can be put in front of what is packed; we made it, and Go did not */
	if (!reader->is_packed && make_first_link(&reader->first, err) < 0)
		return -1;
	if (archive_read_open(archive, reader, NULL, pull, NULL) != ARCHIVE_OK ||
	    (!reader->is_packed && archive_read_next_header(archive, &item) != ARCHIVE_OK))
		return read_failed(reader, archive, err);
	for (;;) {
		int code = archive_read_next_header(archive, &item);

		if (code == ARCHIVE_EOF)
			return check_end(reader, archive, end_of_members, err);
		/* ARCHIVE_WARN: a name that is not UTF-8, which is nothing wrong. */
		if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
			return read_failed(reader, archive, err);
		if (deliver_entry(item, callbacks, context, err) < 0 ||
		    deliver_data(reader, archive, callbacks, context, err) < 0)
			return -1;
		end_of_members = (uint64_t)archive_filter_bytes(archive, 0) - BLOCK;
	}
}

static int read_archive(tar_source *source, void *source_context, bool is_packed,
			const struct tar_callbacks *callbacks, void *context, struct error **err)
{
	struct reader *reader = memory_zalloc(sizeof(*reader));
	struct archive *archive = archive_read_new();
	int result;

	reader->source = source;
	reader->context = source_context;
	buffer_init(&reader->first, BLOCK);
	reader->is_packed = is_packed;
	if (is_packed && archive)
		archive_read_support_filter_zstd(archive);
	if (!archive || archive_read_support_format_tar(archive) != ARCHIVE_OK)
		result = error_set(err, ERROR_FAILED, "no memory for libarchive");
	else
		result = read_members(reader, archive, callbacks, context, err);
	archive_read_free(archive);
	error_free(reader->problem);
	buffer_release(&reader->first);
	free(reader);
	return result;
}

int tar_read(tar_source *source, void *source_context, const struct tar_callbacks *callbacks,
	     void *context, struct error **err)
{
	return read_archive(source, source_context, false, callbacks, context, err);
}

int tar_read_packed(tar_source *source, void *source_context, const struct tar_callbacks *callbacks,
		    void *context, struct error **err)
{
	return read_archive(source, source_context, true, callbacks, context, err);
}
