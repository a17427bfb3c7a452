/*
 * What "show" tells of a snapshot here and of one at a registry alike.
 */
#ifndef SIDESNAP_SNAPSHOT_SHOW_H
#define SIDESNAP_SNAPSHOT_SHOW_H

#include "base/json.h"

/*
 * show_config(result, config): "volumes", "command", "omitted_variables", "trees", "not_captured" and
 * "labels", from the configuration of an image ("Config" of an inspect).
 */
void show_config(struct json *result, const struct json *config);

#endif
