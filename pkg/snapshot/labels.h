/*
 * The labels of snapshots and helpers. docs/reference.md has the same table;
 * tests/unit/test_labels.c holds the two together.
 */
#ifndef SIDESNAP_SNAPSHOT_LABELS_H
#define SIDESNAP_SNAPSHOT_LABELS_H

#define LABEL_PREFIX "sidesnap."

/* On helpers (containers) only */
#define LABEL_NONCE "sidesnap.nonce"	 /* also the end of the helper's name */
#define LABEL_FREEZES "sidesnap.freezes" /* comma-separated ids that will be frozen; "" none */
#define LABEL_PURPOSE "sidesnap.purpose" /* create, restore, verify, measure */
#define LABEL_TARGET "sidesnap.target"	 /* id of the container that it works for; "" none */
#define LABEL_RELEASE "sidesnap.release" /* base64url JSON: exec commands to run after a thaw */
#define LABEL_STARTS "sidesnap.starts" /* id of the container that was stopped and must run again */
#define LABEL_OWNER "sidesnap.owner"   /* base64url JSON: whose helper it is (doctor_owner.h) */
#define LABEL_UNDO "sidesnap.undo"     /* base64url JSON: how doctor rolls a replace back */

/* On both */
#define LABEL_ROLE "sidesnap.role" /* helper, snapshot, set */

/* On snapshots (images); all are always there, empty means absent */
#define LABEL_KIND "sidesnap.kind"		 /* user, safety */
#define LABEL_FORMAT "sidesnap.format"		 /* 1 */
#define LABEL_ID "sidesnap.id"			 /* 32 hex digits */
#define LABEL_PARENT "sidesnap.parent"		 /* id of the snapshot that the state came from */
#define LABEL_LINEAGE "sidesnap.lineage"	 /* 32 hex digits, the same for one source */
#define LABEL_CREATED "sidesnap.created"	 /* RFC 3339, the instant of the state */
#define LABEL_TITLE "sidesnap.title"		 /* -m */
#define LABEL_CONSISTENCY "sidesnap.consistency" /* frozen, stopped, logical, live */
#define LABEL_DRIVER "sidesnap.driver"		 /* postgres, redis, ... */
#define LABEL_TREES "sidesnap.trees" /* JSON: [{"kind","name","paths","entries","bytes","hash"}] */
#define LABEL_BYTES "sidesnap.bytes" /* apparent bytes of all trees */
#define LABEL_STORED "sidesnap.stored"	   /* bytes of packs that this snapshot added */
#define LABEL_MANIFEST "sidesnap.manifest" /* BLAKE3 of manifest.json */
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
#define LABEL_NOTES "sidesnap.notes"		    /* later: describe */
#define LABEL_PINNED "sidesnap.pinned"		    /* later: pin */

/* Set by people on their containers */
#define LABEL_FREEZE "sidesnap.freeze"		/* "false": never frozen */
#define LABEL_DRIVER_OVERRIDE "sidesnap.driver" /* name of the driver, "none" */

#define COMPOSE_PROJECT "com.docker.compose.project"
#define COMPOSE_SERVICE "com.docker.compose.service"

#endif
