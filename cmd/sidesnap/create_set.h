/* The part of create that is of several containers. */
#ifndef SIDESNAP_CMD_CREATE_SET_H
#define SIDESNAP_CMD_CREATE_SET_H

#include "verb.h"

/* create_set_is_meant(command): Several targets, a project without one, or --all. */
bool create_set_is_meant(const struct command *command);

/* create_set_run(command, result, err): As verb.run(). */
int create_set_run(struct command *command, struct json **result, struct error **err);

/* create_set_print_plan(plan): Of --dry-run, to stdout. */
void create_set_print_plan(const struct json *plan);

#endif
