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
#include "snapshot/keep.h"
#include "snapshot/session.h"

struct driver_match;

/* A masked snapshot: what is dumped instead of the target's own database. */
struct create_masked {
	const char *container; /* id of the scratch container */
	const struct driver_match *driver;
	const char *name; /* of the file of statements, for a label */
};

/* Where the members of a set wait for one another. */
enum create_step {
	CREATE_PRECOPIED, /* what could be read while it runs has been read */
	CREATE_READY,	  /* prepared, and stopped where that was asked for: it may be frozen */
	CREATE_CAPTURED,  /* the last byte that needs the freeze has been read */
	CREATE_MADE,	  /* the image is there, without a name */
};

/*
 * A create that is one of several (pkg/project/set_create.c). It freezes and thaws nothing itself:
 * who leads it does that for all, between CREATE_READY and CREATE_CAPTURED.
 */
struct create_member {
	const char *set; /* sidesnap.id of the set */
	/* Volumes that another member captures: {NAME of the volume: NAME of the member}. */
	const struct json *elsewhere;
	/*
	 * wait(context, step, tick, create, err): Tell that this step is reached, and wait until all may
	 * go on, calling tick(create) at least once a second. 0; 1, at CREATE_PRECOPIED only: that is too
	 * long ago by now, read again; -1: the set is given up, which the caller has to do as well.
	 */
	int (*wait)(void *context, enum create_step step, void (*tick)(void *create), void *create,
		    struct error **err);
	/* alive(context): It makes progress while it is frozen. */
	void (*alive)(void *context);
	/* Set: what failed may go well another time, as a new writer has begun. */
	void (*disturbed)(void *context);
	/* made(context, result): At CREATE_MADE, before wait(). */
	void (*made)(void *context, const struct json *result);
	void *context;
};

struct create_options {
	const char *target;
	const char *reference; /* -t; NULL: the default tag */
	const char *title;     /* -m; NULL: none */
	bool stopped;	       /* --stopped */
	bool live;	       /* --live */
	bool logical;	       /* --logical: the database as its own dump; so with the next two */
	const char *database;  /* --database: of that one alone; NULL: the whole server */
	const char *onto;      /* --onto: the image to be loaded in; NULL: the target's own */
	/*
	 * Nothing but the dump of that is captured, and it begins a lineage of its own; with onto. NULL: it is
	 * none. Set by snapshot_create_masked().
	 */
	const struct create_masked *masked;
	bool image_command;
	bool allow_overlay_volume;
	bool force;
	bool ignore_prepare; /* --ignore-prepare: the driver's prepare may fail; a label says so */
	bool safety;	     /* kind safety instead of user */
	const char *operation; /* of a safety snapshot: "reset", "replace" */
	bool leave_stopped;    /* end the running target with the copy, and do not start it again */
	struct string_list with_environment;   /* names */
	struct string_list included, excluded; /* absolute paths in the container */
	uint64_t reserve_bytes;		       /* --min-free; UINT64_MAX: the default */
	/*
	 * Of an image for one use: it gets no name, and is in no list of snapshots. Called with the result ("reference" is "") while the
	 * helper is there, by which doctor would remove it; who is called takes care of it from then on,
	 * unless -1 is returned.
	 */
	int (*made)(void *context, const struct json *result, struct error **err);
	void *made_context;
	const struct create_member *member; /* NULL: it is alone */
};

/*
 * snapshot_freezes(session, options, ids, paused, err):
 * All that can be known and refused before anything is touched, and the ids of those that a create
 * would freeze, and of those that somebody has paused.
 */
int snapshot_freezes(struct session *session, const struct create_options *options,
		     struct string_list *ids, struct string_list *paused, struct error **err);

/*
 * snapshot_create(session, options, result, err):
 * {"reference","id","image","manifest","target","target_id","parent","lineage","created","title","kind",
 *  "consistency","driver","prepare":"failed"|"","frozen_ms","hot_bytes","duration_ms","bytes","new_bytes","stored_bytes",
 *  "consolidated":null|{"layers","bytes","stored_bytes","duration_ms"},
 *  "trees":[{"kind","name","paths","entries","bytes","hash"}],
 *  "own":{"files","bytes","deleted"}, "not_captured":[{"path","type","reason"}],
 *  "dump":null|{"file","bytes","database" (of the whole server: null),"without"},
 *  "frozen":[NAME], "omitted_variables":[NAME]}
 */
int snapshot_create(struct session *session, const struct create_options *options,
		    struct json **result, struct error **err);

/*
 * snapshot_create_masked(session, options, path, result, err): create --mask.
 * The target as it is now is booted in a scratch container without a network, the statements in the file
 * ${path} are run there by the database's own client, and only when all of them succeeded, what the
 * database holds then is dumped into a snapshot that stands on the plain image: nothing of what was
 * there before is in any of its layers. As snapshot_create(), with "masked": the file's name.
 */
int snapshot_create_masked(struct session *session, const struct create_options *options,
			   const char *path, struct json **result, struct error **err);

/*
 * snapshot_plan(session, options, result, err): --dry-run.
 * {"target","base","would_consolidate","driver","consistency","reference","would_freeze":[NAME],"space_needed","space_free",
 *  "trees":[{"kind","name","paths","files","bytes"}],"own":{"files","bytes"},"not_captured":[...],
 *  "dump":null|{"file","database","paths"},"omitted_variables":[NAME]}
 */
int snapshot_plan(struct session *session, const struct create_options *options,
		  struct json **result, struct error **err);

/* snapshot_cancel(session, target, result, err): Ends a create of that target: {"target","cancelled":true}. */
int snapshot_cancel(struct session *session, const char *target, struct json **result,
		    struct error **err);

/* ---- list.c, lineage.c, show.c, tag.c, describe.c, remove.c, verify.c, containers.c ---- */

/*
 * snapshot_list(session, target, result, err): Newest first; of one target where not NULL.
 * [{"references":[..],"id","image","created","title","notes","pinned","kind","operation","consistency",
 *   "prepare","driver","parent","ancestors":[ID],"lineage","size","committed","bytes","stored",
 *   "source":{"container","id","image","project","service"},"containers":[NAME]}]
 */
int snapshot_list(struct session *session, const char *target, struct json **result,
		  struct error **err);

/*
 * snapshot_tree(session, target, result, err):
 * [{"lineage","source":{...},"snapshots":[{...,"images":[ID],"parent_state","ancestor","depth",
 *   "containers":[NAME],"current":[NAME]}]}], in the order of history_tree(); of the lineages of
 * one target where not NULL. "current" are the containers whose data came from that snapshot last.
 */
int snapshot_tree(struct session *session, const char *target, struct json **result,
		  struct error **err);

/*
 * snapshot_log(session, name, result, err):
 * One snapshot and what it came from, newest first, as in tree without "depth". ${name}: a target,
 * of which it is where its data came from last; else a snapshot; NULL: the newest of all.
 */
int snapshot_log(struct session *session, const char *name, struct json **result,
		 struct error **err);

/*
 * snapshot_show(session, reference, result, err): As in list, with all labels, trees, volumes,
 * command, manifest, "parent_state", "ancestor":{"id","references"} or null, "children":[{...}].
 */
int snapshot_show(struct session *session, const char *reference, struct json **result,
		  struct error **err);

/*
 * snapshot_tag(session, reference, name, force, result, err):
 * Another name for a snapshot: {"reference","id","image","moved_from":image or ""}. ERROR_EXISTS
 * when another image has the name, unless ${force}.
 */
int snapshot_tag(struct session *session, const char *reference, const char *name, bool force,
		 struct json **result, struct error **err);

enum describe_pin { DESCRIBE_KEEP, DESCRIBE_PIN, DESCRIBE_UNPIN };

struct describe_options {
	const char *reference;
	const char *title; /* NULL: as it is; "": none */
	const char *notes; /* the same */
	enum describe_pin pin;
};

/*
 * snapshot_describe(session, options, result, err): describe, pin and unpin.
 * What a snapshot says of itself changes, its state and sidesnap.id do not; its image does, and
 * all its tags move to the new one: {"reference","id","image","previous","references":[REF],"title",
 * "notes","pinned","changed"}. Where nothing changes, "image" and "previous" are the same.
 */
int snapshot_describe(struct session *session, const struct describe_options *options,
		      struct json **result, struct error **err);

struct remove_options {
	const struct string_list *references;
	bool force;    /* also one that is pinned, in use, or a member of a set */
	bool with_set; /* members of a set may go, since it goes as well */
};

/* snapshot_remove(session, options, result, err): {"removed":[REF],"deleted_images":N,"freed_bytes":N}. */
int snapshot_remove(struct session *session, const struct remove_options *options,
		    struct json **result, struct error **err);

/* ---- prune.c ---- */

struct prune_options {
	const char *target; /* the lineages that it has snapshots in; NULL: all */
	struct keep_rules rules;
	bool no_rewrite;	/* leave the layers of those that were removed below the others */
	uint64_t reserve_bytes; /* --min-free of what is written anew; UINT64_MAX: the default */
};

/*
 * snapshot_prune_plan(session, options, result, err): What would go; nothing is changed.
 * {"lineages":[{"lineage","source":{...},"snapshots":[{...as in tree,"reasons":[WORD]}]}],
 *  "kept_snapshots","removed_snapshots","bytes" (that those had added),"removed":[REF],"dry_run":true}
 * A snapshot without a reason goes. ERROR_USAGE: there is no rule.
 */
int snapshot_prune_plan(struct session *session, const struct prune_options *options,
			struct json **result, struct error **err);

/*
 * snapshot_prune_estimate(session, options, plan, err):
 * About what the plan would free, as "frees_bytes" of it and of each snapshot: of one that goes its
 * layers which nothing else has, of one that is kept what is gained where it would be written
 * anew, from catalogs; null where that could not be told, and the sum is without it.
 */
int snapshot_prune_estimate(struct session *session, const struct prune_options *options,
			    struct json *plan, struct error **err);

/*
 * snapshot_prune(session, options, plan, result, err):
 * Remove what ${plan} says, but what must stay by now, unless session->assume_yes: then ${plan} is
 * of this moment. Then write chains anew, so that the room is freed (prune_rewrite.h). As the plan,
 * with what was done, and "skipped":[REF],"deleted_images":N,"rewritten":[{"reference","id","image",
 * "previous","stored_bytes","duration_ms"}],"freed_bytes":N by the sizes of images before and after.
 * On failure some are removed and the others are whole; the error says how many.
 */
int snapshot_prune(struct session *session, const struct prune_options *options,
		   const struct json *plan, struct json **result, struct error **err);

/* ---- push.c, pull.c ---- */

/* Who we are at the registry; both NULL: who docker's configuration says. */
struct registry_login {
	const char *username;
	const char *password;
};

struct push_options {
	const struct string_list *references;
	/*
	 * And what was chosen already, in this order, before them: [{"repository","tag","image","id"}]; NULL:
	 * nothing. Neither "to" nor a lineage is of these.
	 */
	const struct json *chosen;
	const char *
		to; /* REPOSITORY or REPOSITORY:TAG; NULL: each by the name that it was given with */
	bool lineage; /* what they came from, too */
	struct registry_login login;
};

/*
 * snapshot_push(session, options, result, err):
 * {"pushed":[{"reference","id","image","digest","layers":{"moved","there"},"bytes","tries"}],
 *  "duration_ms"}, in the order in which they were sent: what others came from first. Names made
 * for it are taken away again when the push of them fails; ERROR_EXISTS where another image has one.
 */
int snapshot_push(struct session *session, const struct push_options *options, struct json **result,
		  struct error **err);

/*
 * snapshot_pull(session, references, login, result, err):
 * {"pulled":[{"reference","id","image","digest","layers":{"moved","there"},"bytes","tries",
 * "changed","kept":REF or ""}],"duration_ms"}. "kept" is the name given to a snapshot that lost its
 * last one to that which was pulled. An image that is no snapshot is ERROR_USAGE, and not kept.
 */
int snapshot_pull(struct session *session, const struct string_list *references,
		  const struct registry_login *login, struct json **result, struct error **err);

/* ---- share/remote_*.c: at a registry; session->engine may be NULL ---- */

struct remote_options {
	struct registry_login login;
	bool insecure; /* no certificate is asked for, and without TLS it is plain HTTP */
};

/*
 * snapshot_list_remote(session, name, options, result, err):
 * Of a repository, or of those of its tags that fit ${name}'s pattern ("registry.example/team/db:2026*").
 * As snapshot_list(), with "digest" of each image's manifest; "image" is the digest of its configuration,
 * "size" that of its layers as they are at the registry. Tags that are no snapshots are left out.
 */
int snapshot_list_remote(struct session *session, const char *name,
			 const struct remote_options *options, struct json **result,
			 struct error **err);

/*
 * snapshot_show_remote(session, name, options, result, err): As snapshot_show(), with "digest" and
 * "fetched" (bytes); "parent_state" is "unknown" where there is a parent.
 */
int snapshot_show_remote(struct session *session, const char *name,
			 const struct remote_options *options, struct json **result,
			 struct error **err);

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

/* ---- diff.c ---- */

/* Who hears of each difference, in the order of trees and paths; -1 ends it. */
struct diff_sink {
	/* ${tree}: {"kind","name","path"}; ${entry} as docs/reference.md has it. May be NULL. */
	int (*entry)(void *context, const struct json *tree, const struct json *entry,
		     struct error **err);
	void *context;
};

/*
 * snapshot_diff(session, from, to, sink, result, err): Snapshots or one of them a container; ${to}
 * NULL: ${from} against what it came from.
 * {"from":{"reference","id","image","created","title"}|{"container","container_id","state"},"to":{...},"same",
 *  "trees":[{"kind","name","path","from":{"entries","bytes"},"to":{...} (absent: only the other has it),
 *   "state":"same"|"changed"|"added"|"removed","added","removed","changed","metadata","types",
 *   "added_bytes","removed_bytes","changed_bytes"}], the same sums, "records","skipped","read_bytes","duration_ms"}
 */
int snapshot_diff(struct session *session, const char *from, const char *to,
		  const struct diff_sink *sink, struct json **result, struct error **err);

/*
 * snapshot_diff_remote(session, from, to, options, sink, result, err):
 * As snapshot_diff(), of two snapshots of which at least one is at a registry, with "digest" of those and
 * "fetched" (bytes). A name that is of no registry is one of here, which needs the engine. Nothing
 * but catalogs is read: files that may differ do, and own files that only one of them names are "added"
 * or "removed", whatever is in the image below. ERROR_UNSUPPORTED: they have no catalogs to be read so.
 */
int snapshot_diff_remote(struct session *session, const char *from, const char *to,
			 const struct remote_options *options, const struct diff_sink *sink,
			 struct json **result, struct error **err);

/* snapshot_diff_needs_engine(from, to): Whether one of the two is here, for snapshot_diff_remote(). */
bool snapshot_diff_needs_engine(const char *from, const char *to);

/*
 * snapshot_diff_content(session, from, to, path, result, err): One file, by its absolute path.
 * {"from","to" (as above, with "size" where the file is there),"path","kind":"text","same","diff":TEXT}, or
 * {...,"kind":"binary","same","ranges":[[OFFSET,LENGTH]] (the first 100000),"count","changed_bytes"}
 */
int snapshot_diff_content(struct session *session, const char *from, const char *to,
			  const char *path, struct json **result, struct error **err);

/* ---- diff_data.c ---- */

struct diff_data_options {
	uint64_t rows;	     /* how many of each table are shown */
	bool definitions;    /* what differs in those of a changed object */
	uint64_t timeout_ms; /* until both can be used; 0: 10 minutes */
};

/* Who hears of each row that is shown, in the order of databases and tables; -1 ends it. */
struct diff_data_sink {
	int (*row)(void *context, const struct json *row, struct error **err);
	void *context;
};

/*
 * snapshot_diff_data(session, from, to, options, sink, result, err):
 * What changed in the database: both are booted, closed to the outside, and read by its own tools.
 * ${from} and ${to} as with snapshot_diff(); of a container an image for this use is made.
 * {"from":{as above,"version"},"to":{...},"driver","same","databases":[{"name" ("" is what belongs to
 *  the server),"state","reason","schema":[{"change","type","name","diff"}],"tables":[{"name","kind",
 *  "state","reason","matched_by":"key"|"content","key":[NAME],"columns_added","columns_removed":[NAME],
 *  "rows_from","rows_to","added","removed","changed"}],"tables_compared","added","removed",
 *  "changed"}],"added","removed","changed","objects","skipped","notes":[TEXT],"duration_ms"}
 * Tables that are the same are only counted. A row: {"database","table","change",
 * "key":[VALUE],"values":[VALUE] (added, removed),"columns":[{"column","from","to"}] (changed)} with VALUE
 * {"column","value" or "value64" or null,"size" (bytes, where cut)}. ERROR_UNSUPPORTED: no driver that can.
 */
int snapshot_diff_data(struct session *session, const char *from, const char *to,
		       const struct diff_data_options *options, const struct diff_data_sink *sink,
		       struct json **result, struct error **err);

/* ---- copy.c ---- */

/* Bytes for a person's standard output; -1 ends it. */
typedef int snapshot_output(void *context, const void *data, size_t size, struct error **err);

/* snapshot_cat(session, source, output, context, err): The regular file at ${source}, "REF:PATH". */
int snapshot_cat(struct session *session, const char *source, snapshot_output *output,
		 void *context, struct error **err);

struct copy_options {
	const char *source;	 /* "REF:PATH" */
	const char *destination; /* a file or folder of this machine; NULL: a tar to ${output} */
	bool archive;		 /* -a */
	bool follow;		 /* -L: a symbolic link at the end of PATH */
	snapshot_output *output;
	void *context;
};

/* snapshot_copy(...): {"reference","path","type","destination","files","bytes","skipped":["PATH: REASON"]}. */
int snapshot_copy(struct session *session, const struct copy_options *options, struct json **result,
		  struct error **err);

/* ---- run.c ---- */

struct run_options {
	const char *reference;
	struct json
		*container; /* body of POST /containers/create as the options made it; borrowed */
	const char *name;
	uint64_t timeout_ms; /* until ready; 0: 10 minutes */
	bool remove_on_exit; /* --rm */
	const char *
		finish; /* --finish: a file of statements for the database once it is ready; NULL */
};

/* snapshot_run(...): {"container","name","address","ports":{..},"ready":true,"reference"}. */
int snapshot_run(struct session *session, const struct run_options *options, struct json **result,
		 struct error **err);

/* ---- reset.c, replace.c, undo.c ---- */

struct restore_options {
	const char *target;
	const char *reference; /* reset: NULL for where its data came from last; not of undo */
	bool no_start;
	bool no_safety;	     /* not of undo */
	uint64_t timeout_ms; /* until ready; 0: 10 minutes */
	const char *
		finish; /* --finish: a file of statements for the database once it is ready; NULL */
};

/*
 * snapshot_reset(session, options, result, err): The same container, the snapshot's data.
 * {"container","name","operation","reference","safety":REF or "","restored":[{...}],"restarted":[NAME],
 *  "notes":[TEXT],"written_bytes","read_bytes","kept_files","removed_files","ready","safety_ms","stop_ms",
 *  "restore_ms","ready_ms","duration_ms"}
 */
int snapshot_reset(struct session *session, const struct restore_options *options,
		   struct json **result, struct error **err);

/* snapshot_replace(...): The container made anew from the snapshot. As reset, and "recreated":[NAME]. */
int snapshot_replace(struct session *session, const struct restore_options *options,
		     struct json **result, struct error **err);

/* snapshot_undo(...): Back to the newest safety snapshot, by the operation that undoes; its result. */
int snapshot_undo(struct session *session, const struct restore_options *options,
		  struct json **result, struct error **err);

/* ---- database/dump.c, database/load.c ---- */

struct dump_options {
	const char *target;
	const char *driver;   /* --driver; NULL: the container's */
	const char *database; /* NULL: the whole server */
	int (*output)(void *context, const void *data, size_t size, struct error **err);
	void *context;
};

/*
 * snapshot_dump(session, options, result, err):
 * The database's own dump into the output. Only with 0 is what came a whole one:
 * {"target","target_id","driver","version","database","warnings","bytes","duration_ms"}
 */
int snapshot_dump(struct session *session, const struct dump_options *options, struct json **result,
		  struct error **err);

struct load_options {
	const char *target;
	const char *driver;   /* --driver; NULL: the container's */
	const char *database; /* NULL: the whole server, or what the dump is of */
	bool no_safety;
	const char *reference; /* of a logical snapshot: its dump; NULL: what the input gives */
	/* Bytes put into data, 0 at the end, -1. */
	ssize_t (*input)(void *context, void *data, size_t size, struct error **err);
	void *context;
	uint64_t total; /* bytes that will come; 0: not known */
};

/*
 * snapshot_load(session, options, result, err):
 * A dump into the running server; asks first. On failure the hint tells how to return to the state before.
 * {"target","target_id","driver","database","safety":REF or "","bytes","duration_ms"}
 */
int snapshot_load(struct session *session, const struct load_options *options, struct json **result,
		  struct error **err);

/*
 * snapshot_test_driver(session, driver, target, result, err): drivers test.
 * Whether the driver does in this container what it says, by doing it: nothing but its own prepare and
 * release, questions and dumps reach the container; what is loaded goes into a scratch one.
 * {"driver","target","target_id","ok","steps":[{"step","result":"ok"|"failed"|"absent" (not in the
 *  driver)|"skipped" (another failed),"detail","duration_ms"}]}. A step that fails is in the result, not in *err.
 */
int snapshot_test_driver(struct session *session, const char *driver, const char *target,
			 struct json **result, struct error **err);

/* ---- doctor.c ---- */

/* snapshot_doctor(session, dry_run, result, err): {"actions":[{"what","container","detail"}],"problems":[TEXT],"notes":[TEXT]}. */
int snapshot_doctor(struct session *session, bool dry_run, struct json **result,
		    struct error **err);

#endif
