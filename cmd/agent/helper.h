/*
 * The jobs of a helper. Each reads its job, sends READY and what follows, and returns
 * 0 after DONE was sent, or -1.
 */
#ifndef SIDESNAP_AGENT_HELPER_H
#define SIDESNAP_AGENT_HELPER_H

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "tree/capture/capture.h"

int helper_capture(const struct json *job, struct error **err);
int helper_consolidate(const struct json *job, struct error **err);
int helper_diff(const struct json *job, struct error **err);
int helper_extract(const struct json *job, struct error **err);
int helper_measure(const struct json *job, struct error **err);
int helper_restore(const struct json *job, struct error **err);
int helper_verify(const struct json *job, struct error **err);

/* One of a job's "trees". */
struct job_tree {
	enum tree_kind kind;
	char *name, *mount;
	struct string_list paths, pages, excluded;
	uint64_t page_block, page_size;
	bool has_direct_io, allow_overlay, has_seed, has_parent_seed;
	int fd;
};

struct job_trees {
	struct job_tree *list;
	size_t count;
};

/* job_trees_open(trees, job, err): Parse them, open their mounts. To be released also after a failure. */
int job_trees_open(struct job_trees *trees, const struct json *job, struct error **err);
void job_trees_release(struct job_trees *trees);

/* job_tree_source(tree, source): For capture_tree() and tree_measure(). */
void job_tree_source(const struct job_tree *tree, struct tree_source *source);

/*
 * helper_work_gently(): The calling thread, and those that it starts from now on, leave
 * processor and disk to others. It cannot be undone.
 */
void helper_work_gently(void);

/* job_dropped(job, list): Paths that are never own files: the job's mounts and what engines make. */
int job_dropped(const struct json *job, struct string_list *list, struct error **err);

#endif
