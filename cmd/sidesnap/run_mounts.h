/*
 * -v and --mount of sidesnap run.
 */
#ifndef SIDESNAP_CMD_RUN_MOUNTS_H
#define SIDESNAP_CMD_RUN_MOUNTS_H

#include "base/error.h"
#include "base/json.h"

/* run_add_volume(body, text, err): "[NAME:|/PATH:]PATH[:OPTIONS]" into a create's body. */
int run_add_volume(struct json *body, const char *text, struct error **err);

/* run_add_mount(body, text, err): "type=volume,source=NAME,target=PATH,readonly,...". */
int run_add_mount(struct json *body, const char *text, struct error **err);

#endif
