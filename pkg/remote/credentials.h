/*
 * Who we are at a registry: what docker's client would say, found where it looks
 * (github.com/docker/cli: cli/config/credentials), and the engine's X-Registry-Auth.
 */
#ifndef SIDESNAP_REMOTE_CREDENTIALS_H
#define SIDESNAP_REMOTE_CREDENTIALS_H

#include <stdbool.h>

#include "base/error.h"

/* All NULL: none are known. */
struct credentials {
	char *username, *password;
	char *identity_token; /* instead of a password, from registries that log in by OAuth */
};

void credentials_release(struct credentials *credentials);
bool credentials_are_known(const struct credentials *credentials);

/*
 * credentials_find(host, cancel, credentials, err):
 * Of ${host} ("docker.io", "registry.example:5000") in config.json of DOCKER_CONFIG, else of
 * ~/.docker: by the credential helper that it names for the host or for all, else in its "auths".
 * Without a file, or an entry in it: success, and none are known. A helper is a program of the
 * user's, run as docker-credential-NAME; it may ask the user, for two minutes at most, and until
 * *${cancel} (may be NULL) is not zero. Failures: ERROR_FAILED and others, when the file or an
 * entry is damaged or the helper fails; no message has a secret in it.
 */
int credentials_find(const char *host, const volatile int *cancel, struct credentials *credentials,
		     struct error **err);

/* credentials_header(host, credentials): The value of X-Registry-Auth, also of none; to be freed. */
char *credentials_header(const char *host, const struct credentials *credentials);

/*
 * credentials_read_password(fd, password, err): As `docker login --password-stdin`: all of it without the line
 * end behind it. ERROR_USAGE: empty, or longer than 64 KiB. To be freed.
 */
int credentials_read_password(int fd, char **password, struct error **err);

#endif
