/*
 * The labels of snapshots and helpers. docs/reference.md has the same table;
 * tests/unit/test_labels.c holds the two together.
 */
#ifndef SIDESNAP_SNAPSHOT_LABELS_H
#define SIDESNAP_SNAPSHOT_LABELS_H

#define LABEL_PREFIX "sidesnap."

/* On helpers and scratch containers only */
#define LABEL_NONCE "sidesnap.nonce"	 /* also the end of the helper's name */
#define LABEL_FREEZES "sidesnap.freezes" /* comma-separated ids that will be frozen; "" none */
#define LABEL_PURPOSE "sidesnap.purpose" /* create, describe, restore, ... */
#define LABEL_TARGET "sidesnap.target"	 /* id of the container that it works for; "" none */
#define LABEL_RELEASE "sidesnap.release" /* base64url JSON: exec commands to run after a thaw */
#define LABEL_STARTS "sidesnap.starts" /* id of the container that was stopped and must run again */
#define LABEL_MAKES "sidesnap.makes"   /* sidesnap.id of the snapshot that it becomes; "" none */
#define LABEL_OWNER "sidesnap.owner"   /* base64url JSON: whose helper it is (owner.h) */
#define LABEL_JOURNAL "sidesnap.journal" /* base64url JSON: how doctor ends a reset or replace */

/* On both */
#define LABEL_SET "sidesnap.set"   /* of a member, and of its helper: id of the set; "" none */
#define LABEL_ROLE "sidesnap.role" /* helper, scratch, snapshot, set, base; state on a volume */

/* On snapshots (images); all are always there, empty means absent */
#define LABEL_KIND "sidesnap.kind"		 /* user, safety */
#define LABEL_OPERATION "sidesnap.operation"	 /* of safety ones: reset, replace */
#define LABEL_FORMAT "sidesnap.format"		 /* 1; 2 of one with a dump */
#define LABEL_ID "sidesnap.id"			 /* 32 hex digits */
#define LABEL_PARENT "sidesnap.parent"		 /* id of the snapshot that the state came from */
#define LABEL_ANCESTORS "sidesnap.ancestors"	 /* ids before the parent, nearest first */
#define LABEL_LINEAGE "sidesnap.lineage"	 /* 32 hex digits, the same for one source */
#define LABEL_CREATED "sidesnap.created"	 /* RFC 3339, the instant of the state */
#define LABEL_TITLE "sidesnap.title"		 /* -m */
#define LABEL_CONSISTENCY "sidesnap.consistency" /* frozen, stopped, logical, live */
#define LABEL_PREPARE "sidesnap.prepare"   /* "failed": the driver's prepare, and it was ignored */
#define LABEL_DRIVER "sidesnap.driver"	   /* postgres, redis, ... */
#define LABEL_DATABASE "sidesnap.database" /* of a dump of one alone: its name */
#define LABEL_MASKED "sidesnap.masked"	   /* name of the file of create --mask */
#define LABEL_TREES "sidesnap.trees" /* JSON: [{"kind","name","paths","entries","bytes","hash"}] */
#define LABEL_BYTES "sidesnap.bytes" /* apparent bytes of all trees */
#define LABEL_STORED "sidesnap.stored"	   /* bytes of packs that this snapshot added */
#define LABEL_MANIFEST "sidesnap.manifest" /* BLAKE3 of manifest.json */
#define LABEL_LAYERS "sidesnap.layers"	   /* of the image: one that is built on it has more */
#define LABEL_OMITTED "sidesnap.omitted" /* names of run-time variables left out, comma-separated */
#define LABEL_NOT_CAPTURED "sidesnap.not-captured"  /* JSON: [{"path","type","reason"}] */
#define LABEL_CONTAINER "sidesnap.source.container" /* name */
#define LABEL_CONTAINER_ID "sidesnap.source.id"	    /* 64 hex digits */
#define LABEL_IMAGE "sidesnap.source.image"	    /* reference that the container was made from */
#define LABEL_IMAGE_ID "sidesnap.source.image-id"   /* sha256:... */
#define LABEL_DIGEST "sidesnap.source.digest"	    /* repo digest of it, where known */
#define LABEL_PROJECT "sidesnap.source.project"	    /* compose project */
#define LABEL_SERVICE "sidesnap.source.service"	    /* compose service */
#define LABEL_VERSION "sidesnap.version"	    /* of the tool */
#define LABEL_NOTES "sidesnap.notes"		    /* describe --notes */
#define LABEL_PINNED "sidesnap.pinned"		    /* "true": rm and prune leave it alone */

/* Bytes of what people write: a title is a line in every list. */
#define TITLE_MAX 1000
#define NOTES_MAX 16384

/* Set by people on their containers */
#define LABEL_FREEZE "sidesnap.freeze"		       /* "false": never frozen */
#define LABEL_DRIVER_OVERRIDE "sidesnap.driver"	       /* name of the driver, "none" */
#define LABEL_BUNDLE_CONFIG "sidesnap.bundle.config"   /* comma-separated paths of its settings */
#define LABEL_BUNDLE_MONITOR "sidesnap.bundle.monitor" /* a command for a shell in it, or a URL */

/* On images of sets, beside some of the others */
#define LABEL_MEMBERS "sidesnap.members" /* JSON: [{"name","container","id","image",...}] */

/* No label: the comment of an image that we committed, which one that is built on it has not. */
#define COMMIT_COMMENT_PREFIX "sidesnap "

#define COMPOSE_PROJECT "com.docker.compose.project"
#define COMPOSE_SERVICE "com.docker.compose.service"
#define COMPOSE_ONEOFF "com.docker.compose.oneoff" /* "True": of "compose run" */
#define COMPOSE_NUMBER "com.docker.compose.container-number"
#define COMPOSE_DEPENDS_ON                                                                         \
	"com.docker.compose.depends_on" /* of v2: "SERVICE:CONDITION:RESTART,..." */
#define COMPOSE_CONFIG_FILES "com.docker.compose.project.config_files" /* comma-separated */
#define COMPOSE_WORKING_DIRECTORY "com.docker.compose.project.working_dir"

#endif
