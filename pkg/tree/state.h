/*
 * What a restore left in a volume: the record of each regular file with the stat that it
 * had afterwards. A file whose stat is still the same holds what its record says, so the
 * next restore need not open it. A state that is absent, old, foreign, cut off or forged
 * costs time and nothing else: a record counts only where the file's stat proves it.
 * Bytes: FORMAT.md.
 */
#ifndef SIDESNAP_TREE_STATE_H
#define SIDESNAP_TREE_STATE_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "store/hash.h"
#include "tree/beneath.h"
#include "tree/catalog.h"

#define STATE_NAME_MAX 255 /* of a volume's name and time of creation, bytes */

/* Whose state it is; both may be "". */
struct state_key {
	const char *volume;  /* the engine's name of it */
	const char *created; /* the engine's time of its creation */
};

enum state_verdict {
	STATE_NONE,    /* none was asked for, or no file of this volume can be known by its stat */
	STATE_ABSENT,  /* there is no such file */
	STATE_FOREIGN, /* damaged, of another volume, or of before the machine started */
	STATE_USED,
};

/* state_verdict_name(verdict): "none", "absent", "foreign", "used". */
const char *state_verdict_name(enum state_verdict verdict);

/* A state being read, in bounded memory. */
struct volume_state;

/*
 * state_open(directory_fd, name, key, root_fd, verdict):
 * The state of the volume whose root is ${root_fd}, if all of it is sound: seal, key (NULL:
 * any), root, this run of the machine. Else NULL, and why in *verdict.
 */
struct volume_state *state_open(int directory_fd, const char *name, const struct state_key *key,
				int root_fd, enum state_verdict *verdict);
void state_close(struct volume_state *state); /* NULL ok */
CLEANUP_DEFINE(struct volume_state, state_close)

/*
 * state_find(state, path, status): As earlier_find(): the record of a regular file whose stat
 * proves that it still holds what the record says, or NULL. Paths must come in order.
 */
const struct catalog_entry *state_find(struct volume_state *state, const char *path,
				       const struct file_status *status);

/*
 * state_last(state, path): The record of a regular file as it was left, whatever has become of
 * it since: a hint, and no proof. NULL: there is none, or no fingerprint in it. As state_find().
 */
const struct catalog_entry *state_last(struct volume_state *state, const char *path);

/*
 * state_remove(directory_fd, name, err): Before the first change to the volume, durably: after
 * a crash contents may be newer than the times beside them. One that is absent is fine.
 */
int state_remove(int directory_fd, const char *name, struct error **err);

/* A state being written, under a temporary name until it is complete. */
struct state_writer;

struct state_writer *state_writer_open(int directory_fd, const char *name,
				       const struct state_key *key, int root_fd,
				       const struct hash *tree, struct error **err);

/*
 * state_writer_add(writer, entry, is_proven, err): The record of a regular file, in path order.
 * Unless it ${is_proven} its fingerprint is asked for at the end.
 */
int state_writer_add(struct state_writer *writer, const struct catalog_entry *entry, bool is_proven,
		     struct error **err);

/*
 * state_writer_settle(writer, ask, context, err): All files are as they shall be, and synced:
 * have ${ask} fill in the fingerprints that are not proven. False: that file is not known.
 */
int state_writer_settle(struct state_writer *writer,
			bool (*ask)(void *context, const struct catalog_entry *entry,
				    struct fingerprint *fingerprint),
			void *context, struct error **err);

/*
 * state_writer_commit(writer, err): Settled, it takes its place. Not synced: it is worth nothing after a
 * crash in any case (see state_open()).
 */
int state_writer_commit(struct state_writer *writer, struct error **err);
void state_writer_free(struct state_writer *writer); /* NULL ok; removes what was not committed */
CLEANUP_DEFINE(struct state_writer, state_writer_free)

#endif
