/*
 * What a create that was killed has left, and its repair: of doctor, and of the next create that
 * meets it. All of it is told by the labels of the helper.
 */
#ifndef SIDESNAP_SNAPSHOT_CREATE_REPAIR_H
#define SIDESNAP_SNAPSHOT_CREATE_REPAIR_H

#include <stdbool.h>

#include "base/json.h"
#include "snapshot/session.h"

struct repair {
	struct session session; /* not cancellable: each repair is small, or leaves its label */
	bool dry_run;		/* report what would be done */
	bool is_scratch_clean;	/* repair_scratch() was here */
	struct json *helpers;	/* their inspects */
	struct json *actions;	/* objects: "what", "container", "detail" */
	struct json *problems;	/* sentences: what a person must look at */
};

/* repair_act(repair, what, container, detail): note what was done, or would be. */
void repair_act(struct repair *repair, const char *what, const char *container, const char *detail);

/* repair_problem(repair, text, problem): note what could not be done; ${problem} is taken, or NULL. */
void repair_problem(struct repair *repair, const char *text, struct error *problem);

/* repair_name(inspect): the container's name without its slash; the inspect's. */
const char *repair_name(const struct json *inspect);

/*
 * repair_create(repair, helper):
 * Undo what a create has left, whose helper (an inspect) is not alive: thaw, release, start,
 * remove the nameless image and the helper. The helper stays when something of it did not work.
 */
void repair_create(struct repair *repair, const struct json *helper);

/*
 * repair_scratch(repair): Once: remove what a killed comparison of data has booted; that of one which
 * cannot be seen from here is a problem.
 */
void repair_scratch(struct repair *repair);

/* repair_create_alone(session, helper, err): the same for one helper; -1: something did not work. */
int repair_create_alone(const struct session *session, const struct json *helper,
			struct error **err);

#endif
