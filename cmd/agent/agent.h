/*
 * The modes of sidesnap-agent. Each gets what follows its name on the command line
 * and returns an exit code (base/error.h).
 */
#ifndef SIDESNAP_AGENT_AGENT_H
#define SIDESNAP_AGENT_AGENT_H

#include "base/error.h"

/* A helper's process is alone when its owner is gone. */
#define EXIT_OWNER_GONE 3

int agent_helper(void);
int agent_boot(char **arguments); /* behind "boot": "--", then the original command */
int agent_pack(int count, char **arguments);
int agent_unpack(int count, char **arguments);
int agent_check(int count, char **arguments);

/* agent_report(error): Message and hint on stderr; frees it. Returns its exit code. */
int agent_report(struct error *error);

#endif
