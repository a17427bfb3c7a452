/*
 * A capture in progress, and its part before the freeze. Private to helper_capture.c and
 * helper_measure.c.
 */
#ifndef SIDESNAP_AGENT_CAPTURE_JOB_H
#define SIDESNAP_AGENT_CAPTURE_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "helper.h"
#include "layer.h"
#include "precopy.h"
#include "tree/capture/capture.h"
#include "tree/manifest.h"
#include "tree/own/own.h"
#include "view.h"

struct capture_job {
	const struct json *job;
	const char *own_source;	   /* of own files: "process", "stream" or "none"; borrowed */
	struct snapshot_view base; /* the helper's own root; it may hold the parent */
	struct job_trees trees;
	struct tree_measure *measures; /* by tree */
	uint64_t total_bytes;
	const struct tree_record *parent_own; /* NULL: none */
	struct layer_reserve reserve;
	struct string_list dropped, included;
	struct capture *capture;
	struct precopy precopy;
	bool is_precopied;
	uint64_t hot_bytes, reused_bytes;
	struct own *own;
	struct own_root root; /* of the target */
	struct manifest manifest;
	const char *phase;
	uint64_t done_bytes;	 /* of trees that are finished */
	const struct json *dump; /* of the job; NULL: none */
	bool is_dumped;		 /* it has come, whole */
};

/* capture_job_init(state, job), capture_job_release(state): The job is borrowed. */
void capture_job_init(struct capture_job *state, const struct json *job);
void capture_job_release(struct capture_job *state);

/* capture_job_parent(state, err): Read the snapshot that the helper was made from, if it is one. */
int capture_job_parent(struct capture_job *state, struct error **err);

/* capture_job_own(state, measure_only, err): Find where own files come from, and the candidates. */
int capture_job_own(struct capture_job *state, bool measure_only, struct error **err);

/*
 * capture_job_prepare(state, err): All of a capture that comes before READY, for a job that
 * was checked: everything is open, measured and, where the job says so, pre-copied.
 */
int capture_job_prepare(struct capture_job *state, struct error **err);

/* capture_job_again(state, err): One pass more of a pre-copy that was prepared. */
int capture_job_again(struct capture_job *state, struct error **err);

/*
 * capture_job_dump(state, err): DUMP came: take what follows into the store as it arrives,
 * to its END. ERROR_FAILED where that says that not all has come.
 */
int capture_job_dump(struct capture_job *state, struct error **err);

/* capture_job_add_changes(state, changes, err): Candidates for own files, where any are captured. */
int capture_job_add_changes(struct capture_job *state, const struct json *changes,
			    struct error **err);

#endif
