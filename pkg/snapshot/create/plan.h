/*
 * What a create will capture and what not, and why: worked out from the target's
 * inspect alone, before anything is touched.
 */
#ifndef SIDESNAP_SNAPSHOT_PLAN_H
#define SIDESNAP_SNAPSHOT_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"
#include "base/text.h"
#include "driver/driver.h"
#include "snapshot/session.h"
#include "snapshot/snapshot.h"
#include "snapshot/target.h"
#include "tree/manifest.h"

struct plan_tree {
	enum tree_kind kind;
	char *name;    /* of the volume, or the bind's source path */
	char *subpath; /* of the volume, or NULL */
	char *folder;  /* on the engine's machine, where the volume cannot be mounted by name */
	struct string_list paths;    /* in the container */
	struct string_list excluded; /* relative */
	struct string_list pages;    /* relative globs */
	uint32_t page_block, page_size;
	bool has_direct_io; /* the driver's server writes past the page cache */
	bool dropped;	    /* turned out to be a single file: becomes an own file */
};

struct plan {
	struct plan_tree *trees;
	size_t count;
	struct string_list
		mounts; /* every mount's path in the container: own files never lie there */
	struct string_list included; /* single files behind binds: become own files */
	struct json *not_captured;   /* [{"path","type","reason"}] */
	struct driver_match driver;
	/* of a logical snapshot: volumes and directories that the load of its dump fills; else none */
	struct string_list dump_paths;
};

/* plan_is_logical(options): Whether the database is to be in the snapshot as its own dump. */
bool plan_is_logical(const struct create_options *options);

void plan_init(struct plan *plan);
void plan_release(struct plan *plan);

/* plan_make(session, target, image, options, plan, err): ${image} is the inspect of the target's image. */
int plan_make(const struct session *session, const struct target *target, const struct json *image,
	      const struct create_options *options, struct plan *plan, struct error **err);

/* plan_helper_mounts(plan, read_only): HostConfig.Mounts of a helper, tree N at /dev/sidesnap/N; to be freed. */
struct json *plan_helper_mounts(const struct plan *plan, bool read_only);

/* plan_tree_mount(index): "/dev/sidesnap/N", to be freed. */
char *plan_tree_mount(size_t index);

/* plan_add_description(trees, tree): Append {"kind","name","paths"} of a tree. Returns the object, for more. */
struct json *plan_add_description(struct json *trees, const struct plan_tree *tree);

/* plan_job_trees(plan, options): The "trees" of a capture or measure job; to be freed. */
struct json *plan_job_trees(const struct plan *plan, const struct create_options *options);

/* plan_not_captured(plan, path, type, reason): Note one. */
void plan_not_captured(struct plan *plan, const char *path, const char *type, const char *reason);

#endif
