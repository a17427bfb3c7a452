/*
 * Files and folders out of a snapshot, through a helper that is made from it. What comes is
 * a stranger's: names are checked here, and who takes them still follows nothing.
 */
#ifndef SIDESNAP_SNAPSHOT_EXTRACT_H
#define SIDESNAP_SNAPSHOT_EXTRACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/tar.h"
#include "snapshot/helper/helper.h"
#include "snapshot/session.h"

/* REF:PATH taken apart. */
struct extract_source {
	char *reference, *path; /* path: absolute */
};

/*
 * extract_parse(word, source, err): The path begins at the first ":/", which no reference holds.
 * ERROR_USAGE. To be released in any case.
 */
int extract_parse(const char *word, struct extract_source *source, struct error **err);
void extract_source_release(struct extract_source *source);

/* Who takes what comes; -1 of any of them ends it. */
struct extract_taker {
	/* A member: path "" is what was asked for; hardlink as path. With its folders before it. */
	int (*entry)(void *context, const struct tar_entry *entry, struct error **err);
	int (*data)(void *context, const void *data, size_t size, struct error **err);
	int (*hole)(void *context, uint64_t length, struct error **err); /* zeros */
	void *context;
};

struct extraction;

/* extraction_open(session, source, follow, err): Find it; ${follow}: a symbolic link at its end, too. */
struct extraction *extraction_open(const struct session *session,
				   const struct extract_source *source, bool follow,
				   struct error **err);
void extraction_free(struct extraction *extraction); /* NULL ok */
CLEANUP_DEFINE(struct extraction, extraction_free)

/* Where it is without links on the way; "file", "directory", ... Borrowed. */
const char *extraction_path(const struct extraction *extraction);
const char *extraction_type(const struct extraction *extraction);
const char *extraction_reference(const struct extraction *extraction);

/* extraction_run(extraction, taker, done, err): All of it, once. *done is {"files","bytes"}. */
int extraction_run(struct extraction *extraction, const struct extract_taker *taker,
		   struct json **done, struct error **err);

/*
 * extract_take(helper, taker, err): Members that an agent sends, until its END. For whoever has a
 * helper of its own.
 */
int extract_take(struct helper *helper, const struct extract_taker *taker, struct error **err);

#endif
