/*
 * Who a snapshot is: its id, what it came from, and the image that its helper is
 * made from.
 */
#ifndef SIDESNAP_SNAPSHOT_IDENTITY_H
#define SIDESNAP_SNAPSHOT_IDENTITY_H

#include "base/json.h"
#include "snapshot/create/plan.h"
#include "snapshot/session.h"
#include "snapshot/target.h"

struct identity {
	char *id;		 /* 32 hex digits, random */
	char *parent;		 /* sidesnap.id, or "" */
	char *ancestors;	 /* what the parent came from, nearest first, with ','; or "" */
	char *lineage;		 /* 32 hex digits */
	char *base;		 /* image id that the helper is made from */
	char *created;		 /* RFC 3339; set anew at the instant of the state */
	struct json *base_trees; /* label of the base, parsed; NULL: it is no snapshot */
	struct json *images;	 /* the snapshots that there were */
};

/* What decides whether the helper may be made from an older snapshot. All borrowed. */
struct identity_facts {
	const struct target *target;
	const struct json *image; /* inspect of the target's image */
	const struct plan *plan;
	const struct string_list *environment; /* "NAME=VALUE" that the new snapshot will have */
	const char
		*database; /* of a dump: of that one alone; NULL: of the whole server, or no dump */
	bool is_apart;	   /* no state of the target's: a lineage of its own, on the plain image */
};

/*
 * identity_holds_more(snapshot, facts): Whether the older snapshot's image (its inspect) has
 * something that the new one is not to have: a variable, a volume or an exposed port, which
 * a commit takes over from the helper, or data that is excluded now, which its layers carry.
 */
bool identity_holds_more(const struct json *snapshot, const struct identity_facts *facts);

/*
 * identity_missing_trees(labels, plan): How many of the plan's trees a snapshot with these
 * labels does not have: on it, they would be stored as if there were no snapshot.
 */
size_t identity_missing_trees(const struct json *labels, const struct plan *plan);

/*
 * identity_same_kind(labels, facts): Whether both have a dump of the same, or none: nothing of a
 * dump is found again in a volume's files, and what is left out now must not be in a layer below.
 */
bool identity_same_kind(const struct json *labels, const struct identity_facts *facts);

/* identity_base_has_dump(identity, path): Whether the base is a snapshot whose dump fills that first. */
bool identity_base_has_dump(const struct identity *identity, const char *path);

/* identity_base_has(identity, tree): Whether the base is a snapshot that has this tree. */
bool identity_base_has(const struct identity *identity, const struct plan_tree *tree);

/* identity_find(session, facts, identity, err): Who the new snapshot is. 0 or -1. */
int identity_find(const struct session *session, const struct identity_facts *facts,
		  struct identity *identity, struct error **err);

/*
 * identity_settle_parent(identity, target, record):
 * The parent with what the last reset has noted (state.h), which can be read only once there is a
 * helper. NULL: nothing is known.
 */
void identity_settle_parent(struct identity *identity, const struct target *target,
			    const struct json *record);

void identity_release(struct identity *identity);

#endif
