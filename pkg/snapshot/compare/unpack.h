/*
 * Members of a snapshot become files below a folder, and never anything outside of it:
 * no symbolic link is followed, whoever made it.
 */
#ifndef SIDESNAP_SNAPSHOT_UNPACK_H
#define SIDESNAP_SNAPSHOT_UNPACK_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "snapshot/compare/extract.h"

struct unpack;

/*
 * unpack_new(folder_fd, name, archive):
 * ${name} (one component; NULL: the folder itself) below ${folder_fd}, borrowed, is what was
 * asked for. With ${archive} owner, set-id bits and attributes are restored, too. Never NULL.
 */
struct unpack *unpack_new(int folder_fd, const char *name, bool archive);
void unpack_free(struct unpack *unpack); /* removes a file that is not whole; NULL ok */
CLEANUP_DEFINE(struct unpack, unpack_free)

/* unpack_taker(unpack): Its functions for extraction_run(). */
struct extract_taker unpack_taker(struct unpack *unpack);

/* unpack_finish(unpack, err): Modes and times of folders, after everything else. */
int unpack_finish(struct unpack *unpack, struct error **err);

/* unpack_skipped(unpack): Members that could not be made for want of rights, as "PATH: REASON". Borrowed. */
const struct string_list *unpack_skipped(const struct unpack *unpack);

#endif
