/*
 * Helper containers: made from a snapshot or a target's image, with our agent
 * injected as their only program, confined, talked to over their stdin and stdout.
 * Nothing that is in the image is ever executed.
 */
#ifndef SIDESNAP_SNAPSHOT_HELPER_H
#define SIDESNAP_SNAPSHOT_HELPER_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "snapshot/session.h"
#include "wire/wire.h"

struct helper_specification {
	const char *image;   /* id or reference that it is made from */
	const char *purpose; /* "create", "restore", "verify", "measure", "describe" */
	bool empty; /* it gets no agent, so it cannot be started: only to look at, or to commit */
	const char *
		target_id; /* lock: one helper with the purposes create and restore a target, describe a sidesnap.id; NULL: no lock */
	bool is_snapshot;  /* target_id is a sidesnap.id */
	const struct json *
		target; /* inspect of the target: userns and AppArmor profile are taken from it; may be NULL */
	const struct json *mounts; /* HostConfig.Mounts; copied; NULL: none */
	bool join_processes;	   /* PidMode container:target_id */
	bool write_volumes;	   /* capabilities that a restore needs */
	const char *freezes;	   /* label: comma-separated ids; NULL: "" */
	const char *release;	   /* label sidesnap.release; NULL: "" */
	const char *starts;	   /* label sidesnap.starts; NULL: "" */
	const char *makes;	   /* label sidesnap.makes; NULL: "" */
	const char *set;	   /* label sidesnap.set; NULL: "" */
	const char *journal;	   /* label sidesnap.journal; NULL: "" */
	/* Called when the container exists, so when the lock is held; the injection takes a while. */
	int (*made)(void *context, struct error **err);
	void *context; /* made may be NULL */
};

struct helper;

/*
 * helper_create(session, specification, err):
 * Create the container, covering every VOLUME that the image declares by a tmpfs, and
 * inject the agent. It is not started: GET archive from it shows the image's content.
 * ERROR_BUSY when a live helper holds the lock (the hint says whose and since when).
 */
struct helper *helper_create(const struct session *session,
			     const struct helper_specification *specification, struct error **err);

const char *helper_id(const struct helper *helper);
size_t helper_layers(const struct helper *helper);	    /* of the image that it is made from */
const char *helper_agent_path(const struct helper *helper); /* "/RANDOM/agent" */
char *helper_folder(const struct helper *helper);	    /* "/RANDOM"; to be freed */

/* helper_open(helper, err): Attach and start it, HELLO: it lives, and waits for its job. */
int helper_open(struct helper *helper, struct error **err);

/*
 * helper_start(helper, job, ready, err): Open it where that was not done, JOB; the READY
 * object in *ready (may be NULL).
 */
int helper_start(struct helper *helper, const struct json *job, struct json **ready,
		 struct error **err);

/* helper_send(helper, type, json, err), helper_send_bytes(): One frame (json may be NULL). */
int helper_send(struct helper *helper, enum wire_type type, const struct json *json,
		struct error **err);
int helper_send_bytes(struct helper *helper, enum wire_type type, const void *data, size_t size,
		      struct error **err);

/*
 * helper_wait(helper, type, answer, err):
 * Pass PROGRESS on to the session's progress until a frame of ${type} comes; its JSON in
 * *answer (may be NULL). A WIRE_FAILED of the agent becomes *err as the agent said it. When
 * the stream ends instead, says why (the helper's exit code, OOM, its target stopped,
 * the engine restarted).
 */
int helper_wait(struct helper *helper, enum wire_type type, struct json **answer,
		struct error **err);

/*
 * helper_listen(helper, found, context): Whom helper_wait() gives the JSON of each FOUND of the
 * agent on its way; -1 of it ends the wait.
 */
typedef int helper_found(void *context, const struct json *found, struct error **err);
void helper_listen(struct helper *helper, helper_found *found, void *context);

/*
 * helper_next(helper, frame, err): The next frame of the agent, whatever it is, but PROGRESS,
 * which is passed on, and FAILED, which becomes *err. Valid until the next call.
 */
int helper_next(struct helper *helper, struct wire_frame *frame, struct error **err);

/* helper_close(helper, err): BYE, then remove the container with its anonymous volumes, by id. */
int helper_close(struct helper *helper, struct error **err);

/*
 * helper_abandon(helper): Free it, but leave the container where it is: it is the journal
 * that doctor reads. NULL ok.
 */
void helper_abandon(struct helper *helper);

/* helper_free(helper): Closes as well as it can; NULL ok. */
void helper_free(struct helper *helper);
CLEANUP_DEFINE(struct helper, helper_free)

#endif
