/*
 * Which registry an image's name means. The rules are those of the distribution reference
 * grammar and of docker's client.
 */
#ifndef SIDESNAP_REMOTE_REGISTRY_H
#define SIDESNAP_REMOTE_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * registry_host_length(name): How much of "registry.example:5000/team/db:monday" is the host, without
 * the '/' behind it; 0 where the name has none.
 */
size_t registry_host_length(const char *name);

/* registry_host(name): The host of a name, "docker.io" where it has none; to be freed. */
char *registry_host(const char *name);

/* registry_key(host): Under which name docker's client keeps the credentials of a host. Borrowed. */
const char *registry_key(const char *host);

/*
 * registry_takes(name): Whether anybody but the registry's own people could push to that name: not to
 * the host "localhost", which is no registry for us, nor to one of Docker Hub without a user's name.
 */
bool registry_takes(const char *name);

#endif
