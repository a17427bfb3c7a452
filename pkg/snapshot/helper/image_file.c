/* The engine sends an archive of one member; whatever else it is, is damage. */
#include "snapshot/helper/image_file.h"

#include <string.h>
#include <sys/stat.h>

#include "base/tar.h"

/* Tar header, padding and end. */
#define ARCHIVE_MORE (64U << 10)

struct extraction {
	struct buffer *text;
	bool found;
};

struct helper *image_file_helper(const struct session *session, const char *image,
				 struct error **err)
{
	struct helper_specification specification = {
		.image = image,
		.purpose = "verify",
		.empty = true,
	};

	return helper_create(session, &specification, err);
}

static int keep(void *context, const void *data, size_t size, struct error **err)
{
	if (buffer_append(context, data, size) < 0)
		return error_set(err, ERROR_DAMAGED, "it is larger than any of ours");
	return 0;
}

static ssize_t take(void *context, void *data, size_t size, struct error **err)
{
	struct cursor *cursor = context;
	size_t left = cursor_left(cursor);

	(void)err;
	if (size > left)
		size = left;
	if (size)
		memcpy(data, cursor_bytes(cursor, size), size);
	return (ssize_t)size;
}

static int on_entry(void *context, const struct tar_entry *entry, struct error **err)
{
	struct extraction *extraction = context;

	if (!S_ISREG(entry->mode) || extraction->found)
		return error_set(err, ERROR_DAMAGED, "it is no regular file");
	extraction->found = true;
	return 0;
}

static int on_data(void *context, const void *data, size_t size, struct error **err)
{
	struct extraction *extraction = context;

	return keep(extraction->text, data, size, err);
}

int image_file_read(const struct session *session, const struct helper *helper, const char *path,
		    struct buffer *text, struct error **err)
{
	static const struct tar_callbacks callbacks = {.entry = on_entry, .data = on_data};
	struct extraction extraction = {.text = text};
	CLEANUP(buffer_release) struct buffer archive;
	struct cursor cursor;

	buffer_init(&archive, text->limit + ARCHIVE_MORE);
	if (container_archive_get(session->engine, helper_id(helper), path, keep, &archive, err) <
	    0)
		return error_prefix(err, "\"%s\" of the image", path);
	cursor_init(&cursor, archive.data, archive.size);
	if (tar_read(take, &cursor, &callbacks, &extraction, err) < 0)
		return error_prefix(err, "\"%s\" of the image", path);
	return 0;
}
