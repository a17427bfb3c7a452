/* Who is in a set: found before anything is touched. */
#ifndef SIDESNAP_PROJECT_SET_MEMBERS_H
#define SIDESNAP_PROJECT_SET_MEMBERS_H

#include "project/member_process.h"
#include "project/set.h"
#include "snapshot/reference.h"

struct set_member {
	char *name;		    /* in the set, and behind '-' in its tag */
	struct json *inspect;	    /* of the container */
	const char *id, *container; /* its id and name; borrowed */
	const char *never_frozen;   /* why; NULL: it may be. Borrowed */
	struct json *elsewhere;	    /* as create_member has it */
	struct create_member role;
	struct create_options create;
	struct reference reference; /* of its snapshot */
	struct member_process process;
};

struct set_members {
	struct set_member *list;
	size_t count;
	const char *project;  /* that all are of, NULL: none. Borrowed */
	struct json *reasons; /* as writers_never_frozen() gives them */
};

/*
 * set_members_find(session, options, members, err):
 * By name; or those of the project; or all that are no helpers. In order of their names. ERROR_NOT_FOUND: there are none.
 */
int set_members_find(const struct session *session, const struct set_options *options,
		     struct set_members *members, struct error **err);

void set_members_release(struct set_members *members);

#endif
