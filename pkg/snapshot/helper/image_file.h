/*
 * Files of an image, through a container that is made from it and never started.
 */
#ifndef SIDESNAP_SNAPSHOT_HELPER_IMAGE_FILE_H
#define SIDESNAP_SNAPSHOT_HELPER_IMAGE_FILE_H

#include "base/buffer.h"
#include "snapshot/helper/helper.h"

/* image_file_helper(session, image, err): The container; to be freed. */
struct helper *image_file_helper(const struct session *session, const char *image,
				 struct error **err);

/*
 * image_file_read(session, helper, path, text, err):
 * The regular file at ${path} into an empty buffer; ERROR_DAMAGED where it is none, or has more bytes than
 * the buffer takes.
 */
int image_file_read(const struct session *session, const struct helper *helper, const char *path,
		    struct buffer *text, struct error **err);

#endif
