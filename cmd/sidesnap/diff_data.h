/* The part of `diff` that compares what a database holds. */
#ifndef SIDESNAP_CMD_DIFF_DATA_H
#define SIDESNAP_CMD_DIFF_DATA_H

#include "verb.h"

/* diff_data_run(command, err): diff --data; the output is written by it. */
int diff_data_run(struct command *command, struct error **err);

#endif
