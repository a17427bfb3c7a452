/*
 * A volume made to hold a tree, in the order that a crash at any step forgives: its state
 * is forgotten, the mark says that it is being restored, the guard files go, then all else
 * changes and is synced, then the guards come, the mark says that it is done, and a new
 * state is left. Several volumes of one service take each step together.
 */
#ifndef SIDESNAP_TREE_RESTORE_VOLUME_H
#define SIDESNAP_TREE_RESTORE_VOLUME_H

#include "base/cleanup.h"
#include "base/error.h"
#include "tree/mark.h"
#include "tree/restore/restore.h"
#include "tree/state.h"

struct volume_plan {
	int root_fd; /* borrowed, as all else is */
	struct store *store;
	const struct tree_record *tree;
	struct restore_options options; /* known[] is filled in from the states */
	struct mark restoring, restored;
	/* Where the state is and shall be: a directory, a name in it, whose it is. -1: none. */
	int state_fd;
	const char *state_name;
	struct state_key key;
	/* What boots left: a directory of states of any volume, or -1. */
	int boot_state_fd;
};

struct volume_restore;

/* volume_restore_open(plan, err): Reads the states, changes nothing. NULL on failure. */
struct volume_restore *volume_restore_open(const struct volume_plan *plan, struct error **err);

/* volume_restore_verdict(volume): What became of the state. */
enum state_verdict volume_restore_verdict(const struct volume_restore *volume);

/* The steps, each to be taken once, in this order; what fails is not gone on with. */
int volume_restore_begin(struct volume_restore *volume, struct error **err);
int volume_restore_fill(struct volume_restore *volume, struct error **err);
int volume_restore_end(struct volume_restore *volume, struct error **err);

/* volume_restore_totals(volume, totals): So far. */
void volume_restore_totals(struct volume_restore *volume, struct restore_totals *totals);

void volume_restore_free(struct volume_restore *volume); /* NULL ok */
CLEANUP_DEFINE(struct volume_restore, volume_restore_free)

/* volume_restore_all(plan, totals, err): All steps of one volume. */
int volume_restore_all(const struct volume_plan *plan, struct restore_totals *totals,
		       struct error **err);

#endif
