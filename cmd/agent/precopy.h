/*
 * The passes over all trees while the target still runs, so that little is left to be
 * read under the freeze.
 */
#ifndef SIDESNAP_AGENT_PRECOPY_H
#define SIDESNAP_AGENT_PRECOPY_H

#include <stdbool.h>
#include <stdint.h>

#include "helper.h"
#include "tree/capture/capture.h"
#include "tree/manifest.h"

/* Of one tree: where its last known state is. */
struct precopy_tree {
	const struct tree_record *parent; /* the parent's catalog; NULL: none */
	struct draft *draft;		  /* of the last pass; NULL: none yet */
	bool is_pointless;		  /* its times prove nothing: one pass warms the store */
};

struct precopy {
	const struct job_trees *trees; /* borrowed */
	struct store *parent_store;    /* borrowed; NULL: no parent */
	bool is_of_this_run;	       /* the parent: its fingerprints prove something */
	int directory_fd;	       /* for temporary files; borrowed */
	struct precopy_tree *list;     /* by tree */
	struct tree_measure *measures; /* by tree: set by the first pass; borrowed */
	void (*tree_done)(void *context, uint64_t bytes); /* after each tree of a pass */
	/* What else there is to do, while files cool down that are soon read; NULL: nothing, or done. */
	int (*meanwhile)(void *context, struct error **err);
	void *context;
};

/* precopy_init(precopy, trees, parent, store): Find each tree's like; parent may be NULL. */
void precopy_init(struct precopy *precopy, const struct job_trees *trees,
		  const struct manifest *parent, struct store *store);
void precopy_release(struct precopy *precopy);

/*
 * precopy_run(precopy, capture, err): Passes until one more would gain little, three at
 * most. What vanishes, grows or changes its type meanwhile is no error.
 */
int precopy_run(struct precopy *precopy, struct capture *capture, struct error **err);

/* precopy_again(precopy, capture, err): One pass more, over what changed since. */
int precopy_again(struct precopy *precopy, struct capture *capture, struct error **err);

/*
 * precopy_earlier(precopy, index): What is known of a tree: the last draft, else the
 * parent's catalog, else NULL. To be freed with earlier_free().
 */
struct earlier *precopy_earlier(const struct precopy *precopy, size_t index);

#endif
