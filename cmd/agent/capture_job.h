/*
 * A capture in progress, as far as the measure job shares it. Private to
 * helper_capture.c and helper_measure.c.
 */
#ifndef SIDESNAP_AGENT_CAPTURE_JOB_H
#define SIDESNAP_AGENT_CAPTURE_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "helper.h"
#include "precopy.h"
#include "tree/capture.h"
#include "tree/manifest.h"
#include "tree/own.h"

struct capture_job {
	const struct json *job;
	int root_fd, store_fd, target_fd;
	struct job_trees trees;
	struct tree_measure *measures; /* by tree */
	uint64_t total_bytes;
	bool has_parent;
	struct manifest parent;
	struct store *parent_store;
	const struct tree_record *parent_own;
	uint64_t min_free, written; /* bytes: to stay free, and of packs and own files so far */
	struct string_list dropped, included;
	struct capture *capture;
	struct precopy precopy;
	bool is_precopied;
	uint64_t hot_bytes, reused_bytes;
	struct own *own;
	unsigned processes;
	struct manifest manifest;
	const char *phase;
	uint64_t done_bytes; /* of trees that are finished */
};

/* capture_job_init(state, job), capture_job_release(state): The job is borrowed. */
void capture_job_init(struct capture_job *state, const struct json *job);
void capture_job_release(struct capture_job *state);

/* capture_job_parent(state, err): Open the snapshot that the helper was made from, if it is one. */
int capture_job_parent(struct capture_job *state, struct error **err);

/* capture_job_own(state, measure_only, err): Find where own files come from, and the candidates. */
int capture_job_own(struct capture_job *state, bool measure_only, struct error **err);

#endif
