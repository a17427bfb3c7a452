/*
 * What can be done with snapshots. Every function reports its result as the JSON
 * that --json prints (shapes: docs/reference.md), to be freed by the caller.
 */
#ifndef SIDESNAP_SNAPSHOT_SNAPSHOT_H
#define SIDESNAP_SNAPSHOT_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/text.h"
#include "snapshot/session.h"

struct create_options {
	const char *target;
	const char *reference; /* -t; NULL: the default tag */
	const char *title;     /* -m; NULL: none */
	bool stopped;	       /* --stopped */
	bool live;	       /* --live */
	bool image_command;
	bool allow_overlay_volume;
	bool force;
	bool safety;			       /* kind safety instead of user */
	struct string_list with_environment;   /* names */
	struct string_list included, excluded; /* absolute paths in the container */
	uint64_t reserve_bytes;		       /* --min-free; UINT64_MAX: the default */
};

/*
 * snapshot_create(session, options, result, err):
 * {"reference","id","image","target","target_id","parent","lineage","created","title","kind",
 *  "consistency","driver","frozen_ms","hot_bytes","duration_ms","bytes","new_bytes","stored_bytes",
 *  "trees":[{"kind","name","paths","entries","bytes","hash"}],
 *  "own":{"files","bytes","deleted"}, "not_captured":[{"path","type","reason"}],
 *  "frozen":[NAME], "omitted_variables":[NAME]}
 */
int snapshot_create(struct session *session, const struct create_options *options,
		    struct json **result, struct error **err);

/*
 * snapshot_plan(session, options, result, err): --dry-run.
 * {"target","base","driver","consistency","reference","would_freeze":[NAME],"space_needed","space_free",
 *  "trees":[{"kind","name","paths","files","bytes"}],"own":{"files","bytes"},"not_captured":[...],
 *  "omitted_variables":[NAME]}
 */
int snapshot_plan(struct session *session, const struct create_options *options,
		  struct json **result, struct error **err);

/* snapshot_cancel(session, target, result, err): Ends a create of that target: {"target","cancelled":true}. */
int snapshot_cancel(struct session *session, const char *target, struct json **result,
		    struct error **err);

/* ---- list.c, show.c, remove.c, verify.c, containers.c ---- */

/*
 * snapshot_list(session, target, result, err): Newest first; of one target where not NULL.
 * [{"references":[..],"id","image","created","title","kind","consistency","driver","parent","lineage",
 *   "size","bytes","stored","source":{"container","image","project","service"},"containers":[NAME]}]
 */
int snapshot_list(struct session *session, const char *target, struct json **result,
		  struct error **err);

/* snapshot_show(session, reference, result, err): As in list, with all labels, trees, volumes, command, manifest. */
int snapshot_show(struct session *session, const char *reference, struct json **result,
		  struct error **err);

/* snapshot_remove(session, references, force, result, err): {"removed":[REF],"deleted_images":N}. */
int snapshot_remove(struct session *session, const struct string_list *references, bool force,
		    struct json **result, struct error **err);

/* snapshot_verify(session, reference, result, err): {"reference","ok":true,"packs","chunks","entries","bytes"}; ERROR_DAMAGED. */
int snapshot_verify(struct session *session, const char *reference, struct json **result,
		    struct error **err);

/*
 * snapshot_containers(session, all, result, err): `ps`.
 * [{"name","id","state","image","driver","project","service","volumes":[{"name","path","type"}],
 *   "last_snapshot":{"reference","created"}|null}]
 */
int snapshot_containers(struct session *session, bool all, struct json **result,
			struct error **err);

/* ---- run.c, replace.c ---- */

struct run_options {
	const char *reference;
	struct json
		*container; /* body of POST /containers/create as the options made it; borrowed */
	const char *name;
	uint64_t timeout_ms; /* until ready; 0: 10 minutes */
	bool remove_on_exit; /* --rm */
};

/* snapshot_run(...): {"container","name","address","ports":{..},"ready":true,"reference"}. */
int snapshot_run(struct session *session, const struct run_options *options, struct json **result,
		 struct error **err);

struct replace_options {
	const char *target;
	const char *reference;
	bool no_start;
	uint64_t timeout_ms;
};

/* snapshot_replace(...): {"container","name","reference","safety":REF,"restored":[{...}],"ready":true,"duration_ms"}. */
int snapshot_replace(struct session *session, const struct replace_options *options,
		     struct json **result, struct error **err);

/* ---- doctor.c ---- */

/* snapshot_doctor(session, dry_run, result, err): {"actions":[{"what","container","detail"}],"problems":[..]}. */
int snapshot_doctor(struct session *session, bool dry_run, struct json **result,
		    struct error **err);

#endif
