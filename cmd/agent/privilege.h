/*
 * Rights that boot has only because the agent's file carries capabilities: used for
 * the restore by a container's first process, dropped for good before the service.
 */
#ifndef SIDESNAP_AGENT_PRIVILEGE_H
#define SIDESNAP_AGENT_PRIVILEGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct privilege {
	uint64_t gained; /* capabilities from the file; 0 for root and where there are none */
	bool is_first;	 /* the container's first process, or the child of an init that is */
	bool may_act;	 /* whether SIDESNAP_RESTORE counts: first, or nothing was gained */
};

/*
 * privilege_begin(privilege, arguments):
 * Find out, and make what was gained effective, or drop it at once when this is not the
 * first process. ${arguments}: the original command, to recognise an init's child.
 */
void privilege_begin(struct privilege *privilege, char **arguments);

/* privilege_pause(privilege), privilege_resume(): Do without for a while. */
void privilege_pause(const struct privilege *privilege);
void privilege_resume(const struct privilege *privilege);

/* privilege_end(privilege, err): Drop what was gained for good. Failure must end the process. */
int privilege_end(const struct privilege *privilege, struct error **err);

/*
 * privilege_explain(privilege, err):
 * Where *err comes of missing rights, hint at what took them and which option changes that.
 */
void privilege_explain(const struct privilege *privilege, struct error **err);

#endif
