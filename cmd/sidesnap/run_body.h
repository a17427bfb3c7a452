/*
 * The options of docker run as the body of POST /containers/create.
 */
#ifndef SIDESNAP_CMD_RUN_BODY_H
#define SIDESNAP_CMD_RUN_BODY_H

#include "base/json.h"
#include "ui/options.h"

/*
 * run_body(options, err):
 * Without Image (whoever resolves REF puts it in). --entrypoint comes behind the snapshot's
 * boot. To be freed; NULL: ERROR_USAGE with the option that is wrong.
 */
struct json *run_body(const struct options *options, struct error **err);

#endif
