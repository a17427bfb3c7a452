/*
 * The configuration of docker's own client, of whoever runs us.
 */
#ifndef SIDESNAP_REMOTE_CLIENT_CONFIG_H
#define SIDESNAP_REMOTE_CLIENT_CONFIG_H

#include "base/error.h"
#include "base/json.h"

/* client_config_path(): config.json in DOCKER_CONFIG, else in ~/.docker; NULL: no home is known. To be freed. */
char *client_config_path(void);

/*
 * client_config_read(path, err):
 * ${path} may be NULL. NULL without *err: there is no such file. It may hold secrets. To be freed.
 */
struct json *client_config_read(const char *path, struct error **err);

#endif
